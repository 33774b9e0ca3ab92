// Made from Pydantic models: cluster types cluster.messages cluster.roster cluster.app:hub
// What is changed here is lost the next time.

import type { Centrifuge, PublicationContext, Subscription, SubscriptionOptions } from 'centrifuge';

/**
 * Everything the demo application sends.
 */
export type ServerMessage = ConnectedTo | NotifiedBy;

/**
 * What a client sends to have every client notified.
 */
export interface ClientMessage {
  sent_message_type: "user-initiated";
}
/**
 * The workers known, which of them answers, and the supervised processes of its host.
 */
export interface ClusterReport {
  /**
   * PID of the worker that answers.
   */
  answered_by: number;
  /**
   * Its host.
   */
  host: string;
  /**
   * Whether a channel's offsets have no holes, so that a hole is a loss.
   */
  contiguous: boolean;
  workers: WorkerReport[];
  /**
   * Empty without a supervisor, and so are the events.
   */
  processes: ProcessReport[];
  /**
   * The last ones, oldest first.
   */
  events: ProcessEvent[];
}
/**
 * What a worker says of itself with each sign of life.
 */
export interface WorkerReport {
  host: string;
  pid: number;
  /**
   * TCP port it listens on; null when it is not known.
   */
  port: number | null;
  /**
   * Seconds since it started.
   */
  uptime: number;
  /**
   * Whether it reaches the bus and is not stopping.
   */
  ready: boolean;
  /**
   * WebSockets attached.
   */
  connections: number;
  /**
   * Channels it receives.
   */
  channels: number;
  /**
   * Publications it published since it started.
   */
  published: number;
  /**
   * Publications it received from the bus.
   */
  received: number;
  /**
   * Publications times clients they were handed to.
   */
  delivered: number;
  /**
   * Share of one core since its last report.
   */
  cpu_percent: number;
  /**
   * Resident memory.
   */
  rss_bytes: number;
  /**
   * Seconds until its next report.
   */
  interval: number;
}
/**
 * One process under supervisord, with its children: nginx works in some.
 */
export interface ProcessReport {
  name: string;
  /**
   * supervisord's word for it: RUNNING, STARTING, BACKOFF, STOPPED, FATAL, …
   */
  state: string;
  /**
   * null while there is no process.
   */
  pid: number | null;
  /**
   * Seconds since it started.
   */
  uptime: number;
  /**
   * Share of one core since it was last looked at.
   */
  cpu_percent: number;
  /**
   * Resident memory.
   */
  rss_bytes: number;
}
/**
 * A change of a supervised process.
 *
 * `respawned`: running again after it died. `failed`: it could not be started. `draining`: told to stop, it sends its
 * clients away first.
 */
export interface ProcessEvent {
  /**
   * Counts up.
   */
  id: number;
  /**
   * Milliseconds since 1970.
   */
  time: number;
  process: string;
  kind: "started" | "respawned" | "died" | "failed" | "draining" | "stopped";
  pid: number | null;
}
/**
 * Told to a client when it connects: the worker it is connected to.
 */
export interface ConnectedTo {
  push_type: "connected_to";
  host: string;
  pid: number;
  initiated_by: "connect-initiated";
  /**
   * Milliseconds since 1970.
   */
  report_time: number;
}
/**
 * What load is published, and by which worker; the last order counts.
 */
export interface LoadOrder {
  rate: number;
  host: string;
  pid: number;
  /**
   * After so many it ends, unless it is ordered again.
   */
  seconds: number;
}
/**
 * How much load is asked for.
 */
export interface LoadRequest {
  /**
   * Publications per second; 0 ends it.
   */
  rate: number;
}
/**
 * One of the publications that show what the cluster carries.
 */
export interface LoadSample {
  push_type: "load_sample";
  number: number;
  host: string;
  pid: number;
  /**
   * Milliseconds since 1970.
   */
  sent_at: number;
}
/**
 * Told to every client of every worker: the worker at which someone initiated a push.
 */
export interface NotifiedBy {
  push_type: "notified_by";
  host: string;
  pid: number;
  initiated_by: "user-initiated";
  /**
   * Milliseconds since 1970.
   */
  report_time: number;
}
/**
 * What a client of an SDK calls `push` with to have everyone on a channel notified.
 */
export interface PushRequest {
  channel: string;
}

/** What is published on each channel. */
export interface Channels {
  'notifications': ServerMessage;
  [name: `chat:${string}`]: ServerMessage;
  'load': LoadSample;
  'load-orders': LoadOrder;
}

export type ChannelName = keyof Channels & string;

/** A publication of the channel `C`, as the `publication` event of a subscription tells it. */
export type PublicationOf<C extends ChannelName> = Omit<PublicationContext, 'data'> & { data: Channels[C] };

/** `client.newSubscription`, with a listener that is given what is published on this very channel. */
export function subscription<C extends ChannelName>(
  client: Centrifuge,
  channel: C,
  onPublication: (publication: PublicationOf<C>) => void,
  options?: Partial<SubscriptionOptions>,
): Subscription {
  return client.newSubscription(channel, options).on('publication', onPublication);
}
