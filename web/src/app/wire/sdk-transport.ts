import { Centrifuge, type TransportName } from 'centrifuge';

import { type ConnectedTo, subscription } from '../types';
import {
  type OpenTransport,
  type Position,
  type Room,
  socketUrl,
  type Transport,
  type TransportListener,
} from './transport';

/** The transports of the Centrifuge SDK that the cluster serves. */
export type SdkTransportName = Extract<TransportName, 'websocket' | 'http_stream' | 'sse'>;

const MIN_DELAY = 200;
const MAX_DELAY = 5000;

/** A client of the SDK on `transport`, not connected yet. */
export function sdkClient(transport: SdkTransportName): Centrifuge {
  const path = `/connection/${transport}`;
  const endpoint = transport === 'websocket' ? socketUrl(path) : path;
  return new Centrifuge([{ transport, endpoint }], {
    name: 'demo',
    minReconnectDelay: MIN_DELAY,
    maxReconnectDelay: MAX_DELAY,
  });
}

/** The npm package `centrifuge`: it reconnects, keeps the position and recovers by itself. */
export function openSdk(transport: SdkTransportName): OpenTransport {
  return (channel, since, listener) => new SdkTransport(transport, channel, since, listener);
}

class SdkTransport implements Transport {
  private readonly client: Centrifuge;
  private ended = false;

  constructor(
    transport: SdkTransportName,
    private readonly channel: Room,
    since: Position | null,
    listener: TransportListener,
  ) {
    let epoch = '';
    this.client = sdkClient(transport)
      .on('connecting', ({ reason }) => this.ended || listener.connecting(reason))
      .on('connected', ({ data }) => this.ended || listener.connected(data as ConnectedTo))
      .on('disconnected', ({ reason }) => this.ended || listener.closed(reason));
    subscription(
      this.client,
      channel,
      ({ data, offset = 0 }) => this.ended || listener.published(data, { epoch, offset }),
      since ? { since: { ...since } } : {},
    )
      .on('subscribed', ({ streamPosition, wasRecovering, recovered }) => {
        epoch = streamPosition?.epoch ?? '';
        const position = { epoch, offset: streamPosition?.offset ?? 0 };
        if (!this.ended) listener.subscribed(position, wasRecovering ? recovered : null);
      })
      .on('unsubscribed', ({ reason }) => this.ended || listener.closed(reason))
      .subscribe();
    this.client.connect();
  }

  push(): void {
    // What fails while the worker dies is said by the connection's state.
    this.client.rpc('push', { channel: this.channel }).catch(() => undefined);
  }

  close(): void {
    this.ended = true;
    this.client.disconnect();
  }
}
