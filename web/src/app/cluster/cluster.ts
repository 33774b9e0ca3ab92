import { computed, DestroyRef, inject, Injectable, signal } from '@angular/core';

import type { ClusterReport, WorkerReport } from '../types';
import { History } from './history';
import { type Rates, ratesBetween, type Row, rowsOf } from './rows';

const INTERVAL = 1000;
const PATIENCE = 3000;

/** The colours there are for workers. */
export const SLOTS = 8;

/** The cluster as any of its workers tells it, asked once a second. */
@Injectable({ providedIn: 'root' })
export class Cluster {
  private readonly last = signal<ClusterReport | null>(null);
  private timer: ReturnType<typeof setTimeout> | undefined;
  private reports = new Map<number, WorkerReport>();
  private rates = new Map<number, Rates>();
  private readonly slots = new Map<number, number>();

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
  slot(pid: number): number {
    this.last();
    return this.slots.get(pid) ?? pid % SLOTS;
  }

  /** The supervised process with this PID, by its name. */
  processOf(pid: number): string | null {
    return this.rows().find((row) => row.pid === pid)?.process ?? null;
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
      const before = this.reports.get(worker.pid);
      const rates = before && ratesBetween(before, worker);
      if (rates) this.rates.set(worker.pid, rates);
      if (rates || !before) this.reports.set(worker.pid, worker);
    }
    const rows = rowsOf(report, this.rates);
    rows
      .filter((row) => row.role === 'worker')
      .forEach((row, place) => row.pid !== null && this.slots.set(row.pid, place % SLOTS));
    this.last.set(report);
    this.rows.set(rows);
    this.history.update((history) => history.with(Date.now() / 1000, rows));
  }
}
