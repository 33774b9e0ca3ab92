import type { ClusterReport, ProcessReport, WorkerReport } from '../types';
import { keyOf, type WorkerId } from './worker-id';

export type Role = 'forwarder' | 'worker' | 'nginx' | 'other';

/** Publications per second: received from the bus, and handed to clients. */
export interface Rates {
  readonly received: number;
  readonly delivered: number;
}

/** One process of the cluster. A respawned one keeps its row. */
export interface Row {
  readonly key: string;
  readonly name: string;
  readonly role: Role;
  readonly host: string;
  /** The worker it is; null for other processes, and while there is none. */
  readonly id: WorkerId | null;
  /** supervisord's word, or RUNNING for a worker of another host. */
  readonly state: string;
  /** Whether a worker wants clients; true for the others. */
  readonly ready: boolean;
  readonly pid: number | null;
  readonly port: number | null;
  readonly uptime: number | null;
  readonly connections: number | null;
  readonly rates: Rates | null;
  readonly cpu: number | null;
  readonly rss: number | null;
  /** Its name for the actions of an administrator; null where this host cannot act on it. */
  readonly process: string | null;
}

const ROLES: readonly Role[] = ['forwarder', 'worker', 'nginx', 'other'];

/**
 * The processes a report tells of: those of the host that answers, and the workers of other hosts.
 * Their order is the same whichever host answers. `rates` are by `keyOf`.
 */
export function rowsOf(report: ClusterReport, rates: ReadonlyMap<string, Rates>): Row[] {
  const here = new Map(
    report.workers.filter(({ host }) => host === report.host).map((worker) => [worker.pid, worker]),
  );
  const supervised = report.processes.map((process) =>
    processRow(
      report.host,
      process,
      process.pid === null ? undefined : here.get(process.pid),
      rates,
    ),
  );
  // Without a supervisor the workers are all there is to tell of.
  const alone = report.workers.filter(
    ({ host }) => host !== report.host || report.processes.length === 0,
  );
  return [...supervised, ...alone.map((worker) => workerRow(worker, rates))].sort(
    (a, b) => ROLES.indexOf(a.role) - ROLES.indexOf(b.role) || a.host.localeCompare(b.host),
  );
}

/** What a worker counted between two of its reports, per second; null when they are the same report. */
export function ratesBetween(before: WorkerReport, now: WorkerReport): Rates | null {
  const seconds = now.uptime - before.uptime;
  if (seconds <= 0) return null;
  return {
    received: Math.max(0, now.received - before.received) / seconds,
    delivered: Math.max(0, now.delivered - before.delivered) / seconds,
  };
}

function processRow(
  host: string,
  process: ProcessReport,
  worker: WorkerReport | undefined,
  rates: ReadonlyMap<string, Rates>,
): Row {
  const alive = process.pid !== null;
  const role = roleOf(process.name);
  return {
    key: `${host}:${process.name}`,
    name: process.name,
    role,
    host,
    id: role === 'worker' && process.pid !== null ? { host, pid: process.pid } : null,
    state: process.state,
    ready: worker?.ready ?? true,
    pid: process.pid,
    port: worker?.port ?? null,
    uptime: alive ? process.uptime : null,
    connections: worker?.connections ?? null,
    rates: worker ? (rates.get(keyOf(worker)) ?? null) : null,
    cpu: alive ? (worker?.cpu_percent ?? process.cpu_percent) : null,
    rss: alive ? process.rss_bytes : null,
    process: process.name,
  };
}

function workerRow(worker: WorkerReport, rates: ReadonlyMap<string, Rates>): Row {
  const name = `${worker.host}:${worker.port ?? worker.pid}`;
  return {
    key: name,
    name,
    role: 'worker',
    host: worker.host,
    id: { host: worker.host, pid: worker.pid },
    state: 'RUNNING',
    ready: worker.ready,
    pid: worker.pid,
    port: worker.port,
    uptime: worker.uptime,
    connections: worker.connections,
    rates: rates.get(keyOf(worker)) ?? null,
    cpu: worker.cpu_percent,
    rss: worker.rss_bytes,
    process: null,
  };
}

function roleOf(name: string): Role {
  if (name.startsWith('api-')) return 'worker';
  return ROLES.find((role) => role === name) ?? 'other';
}
