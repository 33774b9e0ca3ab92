import { signal } from '@angular/core';

import { isSame, type WorkerId } from '../cluster/worker-id';
import type { ConnectedTo, ServerMessage } from '../types';
import { ServerClock } from '../wire/clock';
import type {
  OpenTransport,
  Position,
  Room,
  Transport,
  TransportListener,
} from '../wire/transport';
import type { TransportKind } from '../wire/transports';
import { Ledger } from './ledger';

const SHOWN = 50;
/** Connections tried to reach a worker that is wanted; then the one there is will do. */
const ATTEMPTS = 8;

/** One push, as a client received it. */
export interface Push {
  /** Counts up, in the order of arrival. */
  readonly number: number;
  /** The worker at which it was initiated, and the worker that delivered it. */
  readonly from: WorkerId;
  readonly to: WorkerId;
  readonly position: Position;
  /** When it arrived, in milliseconds since 1970. */
  readonly arrived: number;
  /** Milliseconds from the worker at which it was initiated to this page. */
  readonly latency: number;
  /** It was published while this client was away. */
  readonly recovered: boolean;
}

export type ClientState = 'connecting' | 'connected' | 'closed';

/** What a client has to know of the others. */
export interface Surroundings {
  open(kind: TransportKind): OpenTransport;
  /** Whether another client sits on this worker already, though there are workers without one. */
  crowded(worker: WorkerId, client: Client): boolean;
  /** Whether there are other workers than this one. */
  alternatives(worker: WorkerId): boolean;
  /** Whether the offsets of a channel have no holes. */
  contiguous(): boolean;
}

/** A client of the cluster, as a panel shows it. It outlives its connections and keeps its position through them. */
export class Client {
  readonly state = signal<ClientState>('connecting');
  /** Why it is not connected. */
  readonly reason = signal('');
  readonly worker = signal<ConnectedTo | null>(null);
  /** When it was connected, in milliseconds since 1970. */
  readonly since = signal(0);
  /** Milliseconds from being without a connection to having one. */
  readonly took = signal(0);
  /** Newest first. */
  readonly pushes = signal<readonly Push[]>([]);
  readonly kind = signal<TransportKind>('websocket');

  private readonly ledger = new Ledger(() => this.surroundings.contiguous());
  readonly counters = signal(this.ledger.counters);

  private transport: Transport | undefined;
  /** Stands for the transport that is listened to; the others are on their way out. */
  private attempt = {};
  /** Connections that stay until there is a new one: nginx sends who comes to where there are fewest. */
  private held: Transport[] = [];
  private readonly clock = new ServerClock();
  private pushed = 0;

  constructor(
    readonly name: string,
    readonly channel: Room,
    kind: TransportKind,
    private readonly surroundings: Surroundings,
  ) {
    this.kind.set(kind);
    this.open((worker) => surroundings.crowded(worker, this));
  }

  /** Have everyone on the channel notified. */
  push(): void {
    this.transport?.push();
  }

  /** Leave this worker for another one, without missing anything. */
  reconnect(): void {
    const old = this.worker();
    const elsewhere = old !== null && this.surroundings.alternatives(old);
    this.replace((worker) => elsewhere && isSame(old, worker));
  }

  /** Go on over another transport. */
  use(kind: TransportKind): void {
    this.kind.set(kind);
    this.replace((worker) => this.surroundings.crowded(worker, this));
  }

  close(): void {
    this.attempt = {};
    this.transport?.close();
    this.release();
  }

  private replace(avoid: (worker: WorkerId) => boolean): void {
    if (this.transport) this.held.push(this.transport);
    this.open(avoid);
  }

  private release(): void {
    this.held.forEach((transport) => transport.close());
    this.held = [];
  }

  private open(avoid: (worker: WorkerId) => boolean): void {
    const attempt = (this.attempt = {});
    const current = () => this.attempt === attempt;
    let looking = true;
    let asked = Date.now();
    const listener: TransportListener = {
      connecting: (reason) => {
        if (!current()) return;
        if (this.state() !== 'connecting') asked = Date.now();
        this.state.set('connecting');
        this.reason.set(reason);
      },
      connected: (worker) => {
        if (!current()) return;
        if (looking && this.held.length < ATTEMPTS && avoid(worker)) {
          this.replace(avoid);
          return;
        }
        looking = false;
        this.release();
        this.settle(worker, asked);
      },
      subscribed: (position, recovered) => {
        if (!current()) return;
        this.ledger.begin(position, recovered);
        this.counters.set(this.ledger.counters);
      },
      published: (message, position) => {
        if (current()) this.take(message, position);
      },
      closed: (reason) => {
        if (!current()) return;
        this.release();
        this.state.set('closed');
        this.reason.set(reason);
      },
    };
    const open = this.surroundings.open(this.kind());
    this.transport = open(this.channel, this.ledger.position, listener);
  }

  private settle(worker: ConnectedTo, asked: number): void {
    const now = Date.now();
    this.clock.observe(asked, worker.report_time, now);
    this.worker.set(worker);
    this.since.set(now);
    this.took.set(now - asked);
    this.state.set('connected');
    this.reason.set('');
  }

  private take(message: ServerMessage, position: Position): void {
    const worker = this.worker();
    if (message.push_type !== 'notified_by' || !worker) return;
    const recovered = message.report_time < worker.report_time;
    const isNew = this.ledger.take(position, recovered);
    this.counters.set(this.ledger.counters);
    if (!isNew) return;
    const push: Push = {
      number: ++this.pushed,
      from: message,
      to: worker,
      position,
      arrived: Date.now(),
      latency: this.clock.since(message.report_time),
      recovered,
    };
    this.pushes.update((pushes) => [push, ...pushes.slice(0, SHOWN - 1)]);
  }
}
