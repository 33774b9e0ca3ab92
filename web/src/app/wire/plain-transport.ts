import type { ClientMessage, ConnectedTo, ServerMessage } from '../types';
import {
  type OpenTransport,
  type Position,
  type Room,
  socketUrl,
  type Transport,
  type TransportListener,
} from './transport';

const FIRST_DELAY = 200;
const LAST_DELAY = 5000;

/** A publication with its place; without `data`, a notice of where this client now stands. */
interface Envelope extends Position {
  channel: string;
  recovered?: boolean;
  data?: ServerMessage;
}

/** `new WebSocket('/ws?channel=…&epoch=…&offset=…')`: no library, the position kept by hand. */
export const openPlain: OpenTransport = (channel, since, listener) =>
  new PlainTransport(channel, since, listener);

class PlainTransport implements Transport {
  private socket: WebSocket | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private delay = FIRST_DELAY;
  private ended = false;

  constructor(
    private readonly channel: Room,
    private position: Position | null,
    private readonly listener: TransportListener,
  ) {
    this.connect('connecting');
  }

  push(): void {
    const message: ClientMessage = { sent_message_type: 'user-initiated' };
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  close(): void {
    this.ended = true;
    clearTimeout(this.timer);
    this.socket?.close();
  }

  private connect(reason: string): void {
    this.listener.connecting(reason);
    const query = new URLSearchParams({ channel: this.channel });
    if (this.position) {
      query.set('epoch', this.position.epoch);
      query.set('offset', String(this.position.offset));
    }
    const socket = (this.socket = new WebSocket(socketUrl(`/ws?${query}`)));
    socket.onmessage = ({ data }) => {
      if (!this.ended) this.take(JSON.parse(data));
    };
    socket.onclose = ({ code, reason }) => {
      if (!this.ended) this.again(reason ? `${reason} (${code})` : `closed with ${code}`);
    };
  }

  private take(message: Envelope | ConnectedTo): void {
    if ('push_type' in message) {
      this.delay = FIRST_DELAY;
      this.listener.connected(message);
    } else if (message.data) {
      this.position = { epoch: message.epoch, offset: message.offset };
      this.listener.published(message.data, this.position);
    } else if (message.epoch) {
      this.position = { epoch: message.epoch, offset: message.offset };
      this.listener.subscribed(this.position, message.recovered ?? null);
    }
  }

  /** After a random part of a delay that doubles: when a worker ends, its clients must not all return at once. */
  private again(reason: string): void {
    this.listener.connecting(reason);
    this.timer = setTimeout(() => this.connect(reason), Math.random() * this.delay);
    this.delay = Math.min(this.delay * 2, LAST_DELAY);
  }
}
