// What the development server does not have is the cluster's.
const target = `http://127.0.0.1:${process.env.CLUSTER_PORT ?? 8008}`;

export default Object.fromEntries(
  ['/api', '/asyncapi.json', '/connection', '/docs', '/emulation', '/openapi.json', '/ws'].map(
    (path) => [path, { target, ws: true }],
  ),
);
