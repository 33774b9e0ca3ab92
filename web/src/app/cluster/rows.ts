import type { ClusterReport, ProcessReport, WorkerReport } from '../types';

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

/** The processes a report tells of: those of the host that answers, then the workers of other hosts. */
export function rowsOf(report: ClusterReport, rates: ReadonlyMap<number, Rates>): Row[] {
  const here = new Map(
    report.workers.filter(({ host }) => host === report.host).map((worker) => [worker.pid, worker]),
  );
  const supervised = report.processes.map((process) =>
    processRow(process, process.pid === null ? undefined : here.get(process.pid), rates),
  );
  // Without a supervisor the workers are all there is to tell of.
  const alone = report.workers.filter(
    ({ host }) => host !== report.host || report.processes.length === 0,
  );
  return [...supervised, ...alone.map((worker) => workerRow(worker, rates))].sort(
    (a, b) => ROLES.indexOf(a.role) - ROLES.indexOf(b.role),
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
  process: ProcessReport,
  worker: WorkerReport | undefined,
  rates: ReadonlyMap<number, Rates>,
): Row {
  const alive = process.pid !== null;
  return {
    key: process.name,
    name: process.name,
    role: roleOf(process.name),
    state: process.state,
    ready: worker?.ready ?? true,
    pid: process.pid,
    port: worker?.port ?? null,
    uptime: alive ? process.uptime : null,
    connections: worker?.connections ?? null,
    rates: worker ? (rates.get(worker.pid) ?? null) : null,
    cpu: alive ? (worker?.cpu_percent ?? process.cpu_percent) : null,
    rss: alive ? process.rss_bytes : null,
    process: process.name,
  };
}

function workerRow(worker: WorkerReport, rates: ReadonlyMap<number, Rates>): Row {
  const name = `${worker.host}:${worker.port ?? worker.pid}`;
  return {
    key: name,
    name,
    role: 'worker',
    state: 'RUNNING',
    ready: worker.ready,
    pid: worker.pid,
    port: worker.port,
    uptime: worker.uptime,
    connections: worker.connections,
    rates: rates.get(worker.pid) ?? null,
    cpu: worker.cpu_percent,
    rss: worker.rss_bytes,
    process: null,
  };
}

function roleOf(name: string): Role {
  if (name.startsWith('api-')) return 'worker';
  return ROLES.find((role) => role === name) ?? 'other';
}
