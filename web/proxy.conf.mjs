// What the development server does not have is the cluster's, on PORT.
const target = `http://127.0.0.1:${process.env.PORT ?? 8008}`;

export default Object.fromEntries(
    ['/api', '/asyncapi.json', '/connection', '/docs', '/emulation', '/openapi.json', '/ws'].map(
        (path) => [path, { target, ws: true }],
    ),
);
