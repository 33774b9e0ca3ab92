import { openPlain } from './plain-transport';
import { openSdk } from './sdk-transport';
import type { OpenTransport } from './transport';

/** The ways to the cluster a visitor can choose from. */
export const TRANSPORTS = {
  websocket: { label: 'SDK · WebSocket', open: openSdk('websocket') },
  http_stream: { label: 'SDK · HTTP stream', open: openSdk('http_stream') },
  sse: { label: 'SDK · SSE', open: openSdk('sse') },
  plain: { label: 'Plain WebSocket', open: openPlain },
} as const satisfies Record<string, { label: string; open: OpenTransport }>;

export type TransportKind = keyof typeof TRANSPORTS;
