import { TestBed } from '@angular/core/testing';

import type { ClusterReport } from '../types';
import { Cluster } from './cluster';

function report(pids: number[], uptime: number, delivered: number): ClusterReport {
  const workers = pids.map((pid, index) => ({
    host: 'here',
    pid,
    port: 8100 + index,
    uptime,
    ready: true,
    connections: 0,
    channels: 0,
    published: 0,
    received: 0,
    delivered,
    cpu_percent: 0,
    rss_bytes: 0,
    interval: 1,
  }));
  const processes = pids.map((pid, index) => ({
    name: `api-${index}`,
    state: 'RUNNING',
    pid,
    uptime,
    cpu_percent: 0,
    rss_bytes: 0,
  }));
  return { answered_by: pids[0], host: 'here', contiguous: true, workers, processes, events: [] };
}

describe('the cluster', () => {
  const answers: (ClusterReport | null)[] = [];
  let cluster: Cluster;

  beforeEach(async () => {
    vi.useFakeTimers();
    answers.splice(0, answers.length, report([1, 2], 10, 100));
    vi.stubGlobal('fetch', async () => {
      const answer = answers.shift();
      if (!answer) throw new TypeError('nobody answers');
      return { ok: true, json: async () => answer };
    });
    cluster = TestBed.inject(Cluster);
    await vi.advanceTimersByTimeAsync(0);
  });

  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  it('is asked once a second for what happened since', async () => {
    expect(cluster.delivered()).toBe(0);
    answers.push(report([1, 2], 11, 150));
    await vi.advanceTimersByTimeAsync(1000);
    expect(cluster.delivered()).toBe(100);
    expect(cluster.history().times).toHaveLength(2);
  });

  it('keeps the rate while a worker has nothing new to report', async () => {
    answers.push(report([1, 2], 11, 150), report([1, 2], 11, 150));
    await vi.advanceTimersByTimeAsync(2000);
    expect(cluster.delivered()).toBe(100);
  });

  it('gives a respawned worker the colour of the one before, which keeps it', async () => {
    answers.push(report([1, 9], 11, 150));
    await vi.advanceTimersByTimeAsync(1000);
    expect(cluster.slot(9)).toBe(1);
    expect(cluster.slot(2)).toBe(1);
    expect(cluster.processOf(9)).toBe('api-1');
    expect(cluster.processOf(2)).toBeNull();
  });

  it('is known not to answer, and to answer again', async () => {
    answers.push(null, report([1, 2], 12, 150));
    await vi.advanceTimersByTimeAsync(1000);
    expect(cluster.reachable()).toBe(false);
    expect(cluster.workers()).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(1000);
    expect(cluster.reachable()).toBe(true);
  });
});
