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

/** Of two hosts, each with one worker of the same PID. */
function pair(answering: string, uptime: number, delivered: [number, number]): ClusterReport {
  const { workers, ...rest } = report([7], uptime, 0);
  return {
    ...rest,
    host: answering,
    workers: ['here', 'there'].map((host, index) => ({
      ...workers[0],
      host,
      delivered: delivered[index],
    })),
  };
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

  it('counts anew for a worker that was started again with the PID of the one before', async () => {
    answers.push(report([1, 2], 1, 0), report([1, 2], 2, 20));
    await vi.advanceTimersByTimeAsync(2000);
    expect(cluster.delivered()).toBe(40);
  });

  it('gives a respawned worker the colour of the one before, which keeps it', async () => {
    answers.push(report([1, 9], 11, 150));
    await vi.advanceTimersByTimeAsync(1000);
    expect(cluster.slot({ host: 'here', pid: 9 })).toBe(1);
    expect(cluster.slot({ host: 'here', pid: 2 })).toBe(1);
    expect(cluster.processOf({ host: 'here', pid: 9 })).toBe('api-1');
    expect(cluster.processOf({ host: 'here', pid: 2 })).toBeNull();
  });

  it('tells workers of two hosts apart that have the same PID', async () => {
    answers.push(pair('here', 10, [100, 1000]), pair('here', 11, [110, 1300]));
    await vi.advanceTimersByTimeAsync(2000);
    expect(cluster.rows().map(({ rates }) => rates?.delivered)).toEqual([10, 300]);
    expect(cluster.slot({ host: 'here', pid: 7 })).toBe(0);
    expect(cluster.slot({ host: 'there', pid: 7 })).toBe(1);
  });

  it('names a process of the host that answers, and none of the other', async () => {
    const [here, there] = ['here', 'there'].map((host) => ({ host, pid: 7 }));
    answers.push(pair('here', 10, [0, 0]), pair('there', 11, [0, 0]));
    await vi.advanceTimersByTimeAsync(1000);
    expect([here, there].map((worker) => cluster.processOf(worker))).toEqual(['api-0', null]);
    await vi.advanceTimersByTimeAsync(1000);
    expect([here, there].map((worker) => cluster.processOf(worker))).toEqual([null, 'api-0']);
    expect([here, there].map((worker) => cluster.slot(worker))).toEqual([0, 1]);
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
