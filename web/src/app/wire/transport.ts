import type { ConnectedTo, ServerMessage } from '../types';

/** Where a client stands in a channel. */
export interface Position {
  readonly epoch: string;
  readonly offset: number;
}

/** A channel of the demonstration that everyone may push to. */
export type Room = `chat:${string}`;

/** What a transport tells its owner, in the order it happens. */
export interface TransportListener {
  /** It is on its way to a worker, for the first time or again. */
  connecting(reason: string): void;
  connected(worker: ConnectedTo): void;
  /**
   * What follows starts after `position`. `recovered` answers a client that came back: true, all it missed follows;
   * false, something is lost. null when nothing was asked for.
   */
  subscribed(position: Position, recovered: boolean | null): void;
  published(message: ServerMessage, position: Position): void;
  /** It gave up. */
  closed(reason: string): void;
}

/** One client's way to one channel. It reconnects by itself and goes on where it was, until it is closed. */
export interface Transport {
  /** Ask for a push to everyone on the channel. */
  push(): void;
  close(): void;
}

/** Open a transport to `channel`; with `since`, what followed that position comes first. */
export type OpenTransport = (
  channel: Room,
  since: Position | null,
  listener: TransportListener,
) => Transport;

/** The address of `path` on the host that served this page, with the scheme of WebSockets. */
export function socketUrl(path: string): string {
  const url = new URL(path, location.href);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return url.href;
}
