import { computed, DestroyRef, inject, Injectable, signal } from '@angular/core';

import type { ClusterReport, WorkerReport } from '../types';
import { History } from './history';
import { type Rates, ratesBetween, type Row, rowsOf } from './rows';
import { isSame, keyOf, type WorkerId } from './worker-id';

const INTERVAL = 1000;
const PATIENCE = 3000;

/** The colours there are for workers. */
export const SLOTS = 8;

/** The cluster as any of its workers tells it, asked once a second. */
@Injectable({ providedIn: 'root' })
export class Cluster {
  private readonly last = signal<ClusterReport | null>(null);
  private timer: ReturnType<typeof setTimeout> | undefined;
  /** These three by `keyOf`. */
  private readonly reports = new Map<string, WorkerReport>();
  private readonly rates = new Map<string, Rates>();
  private readonly slots = new Map<string, number>();

  readonly report = this.last.asReadonly();
  readonly reachable = signal(true);
  readonly rows = signal<readonly Row[]>([]);
  readonly history = signal(History.EMPTY);
  readonly workers = computed(() => this.last()?.workers ?? []);
  readonly events = computed(() => this.last()?.events ?? []);
  /** Publications handed to clients per second, all workers together. */
  readonly delivered = computed(() =>
    this.rows().reduce((sum, row) => sum + (row.rates?.delivered ?? 0), 0),
  );

  constructor() {
    inject(DestroyRef).onDestroy(() => clearTimeout(this.timer));
    void this.poll();
  }

  /** The colour of a worker: its place in the cluster, which it had before it was killed and has after. */
  slot(worker: WorkerId): number {
    this.last();
    return this.slots.get(keyOf(worker)) ?? worker.pid % SLOTS;
  }

  /** The supervised process that this worker is, by its name; null where the host that answers is another one. */
  processOf(worker: WorkerId): string | null {
    return this.rows().find((row) => isSame(row.id, worker))?.process ?? null;
  }

  private async poll(): Promise<void> {
    try {
      const answer = await fetch('/api/cluster', { signal: AbortSignal.timeout(PATIENCE) });
      if (!answer.ok) throw new Error(answer.statusText);
      this.take((await answer.json()) as ClusterReport);
      this.reachable.set(true);
    } catch {
      this.reachable.set(false);
    }
    this.timer = setTimeout(() => void this.poll(), INTERVAL);
  }

  private take(report: ClusterReport): void {
    for (const worker of report.workers) {
      const key = keyOf(worker);
      const before = this.reports.get(key);
      const rates = before && ratesBetween(before, worker);
      if (rates) this.rates.set(key, rates);
      // A container started again may give the same PID to a worker that begins to count anew.
      if (worker.uptime !== before?.uptime) this.reports.set(key, worker);
    }
    const rows = rowsOf(report, this.rates);
    rows
      .filter((row) => row.role === 'worker')
      .forEach((row, place) => row.id && this.slots.set(keyOf(row.id), place % SLOTS));
    this.last.set(report);
    this.rows.set(rows);
    this.history.update((history) => history.with(Date.now() / 1000, rows));
  }
}
