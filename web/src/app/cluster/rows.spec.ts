import type { ClusterReport, ProcessReport, WorkerReport } from '../types';
import { ratesBetween, rowsOf } from './rows';
import { keyOf } from './worker-id';

const worker = (more: Partial<WorkerReport>): WorkerReport => ({
  host: 'here',
  pid: 1,
  port: 8100,
  uptime: 10,
  ready: true,
  connections: 2,
  channels: 1,
  published: 0,
  received: 0,
  delivered: 0,
  cpu_percent: 5,
  rss_bytes: 100,
  interval: 1,
  ...more,
});
const process = (more: Partial<ProcessReport>): ProcessReport => ({
  name: 'api-0',
  state: 'RUNNING',
  pid: 1,
  uptime: 10,
  cpu_percent: 1,
  rss_bytes: 200,
  ...more,
});
const report = (more: Partial<ClusterReport>): ClusterReport => ({
  answered_by: 1,
  host: 'here',
  contiguous: true,
  workers: [],
  processes: [],
  events: [],
  ...more,
});

describe('the rows of a report', () => {
  it('join a process with what its worker says of itself', () => {
    const [row] = rowsOf(
      report({ processes: [process({})], workers: [worker({})] }),
      new Map([[keyOf(worker({})), { received: 3, delivered: 6 }]]),
    );
    expect(row).toMatchObject({
      name: 'api-0',
      role: 'worker',
      port: 8100,
      connections: 2,
      cpu: 5,
    });
    expect(row.rates).toEqual({ received: 3, delivered: 6 });
  });

  it('show a killed worker without PID, though its last report is still known', () => {
    const rows = rowsOf(
      report({ processes: [process({ state: 'STARTING', pid: null })], workers: [worker({})] }),
      new Map(),
    );
    expect(rows).toHaveLength(1);
    expect(rows[0]).toMatchObject({ state: 'STARTING', pid: null, connections: null, rss: null });
  });

  it('keep the key of a worker that was respawned', () => {
    const before = rowsOf(report({ processes: [process({ pid: 1 })] }), new Map());
    const after = rowsOf(report({ processes: [process({ pid: 9 })] }), new Map());
    expect(after[0].key).toBe(before[0].key);
  });

  it('begin with the forwarder', () => {
    const processes = ['nginx', 'api-0', 'watchdog', 'forwarder'].map((name) => process({ name }));
    const names = rowsOf(report({ processes }), new Map()).map(({ name }) => name);
    expect(names).toEqual(['forwarder', 'api-0', 'nginx', 'watchdog']);
  });

  it('show the workers of other hosts, on which nobody can act from here', () => {
    const rows = rowsOf(
      report({
        processes: [process({})],
        workers: [worker({}), worker({ host: 'there', pid: 7 })],
      }),
      new Map(),
    );
    expect(rows.map(({ name, process }) => [name, process])).toEqual([
      ['api-0', 'api-0'],
      ['there:8100', null],
    ]);
  });

  it('tell workers of two hosts apart that have the same PID', () => {
    const here = worker({ delivered: 1 });
    const there = worker({ host: 'there', connections: 5 });
    const rates = new Map([
      [keyOf(here), { received: 3, delivered: 6 }],
      [keyOf(there), { received: 4, delivered: 8 }],
    ]);
    const rows = rowsOf(report({ processes: [process({})], workers: [here, there] }), rates);
    expect(
      rows.map(({ id, connections, rates, process }) => [id, connections, rates, process]),
    ).toEqual([
      [{ host: 'here', pid: 1 }, 2, { received: 3, delivered: 6 }, 'api-0'],
      [{ host: 'there', pid: 1 }, 5, { received: 4, delivered: 8 }, null],
    ]);
  });

  it('keep their order and are not taken for one another when the other host answers', () => {
    const workers = [worker({}), worker({ host: 'there' })];
    const processes = [process({})];
    const here = rowsOf(report({ processes, workers }), new Map());
    const there = rowsOf(report({ host: 'there', processes, workers }), new Map());
    expect(here.map(({ host }) => host)).toEqual(['here', 'there']);
    expect(there.map(({ host }) => host)).toEqual(['here', 'there']);
    expect(there.find(({ process }) => process)?.key).not.toBe(
      here.find(({ process }) => process)?.key,
    );
  });

  it('show the workers alone where there is no supervisor', () => {
    expect(rowsOf(report({ workers: [worker({})] }), new Map())).toHaveLength(1);
  });
});

describe('rates', () => {
  it('are differences by the time between two reports', () => {
    const before = worker({ uptime: 10, received: 100, delivered: 200 });
    const now = worker({ uptime: 12, received: 110, delivered: 260 });
    expect(ratesBetween(before, now)).toEqual({ received: 5, delivered: 30 });
  });

  it('are unknown between a report and itself', () => {
    expect(ratesBetween(worker({}), worker({}))).toBeNull();
  });
});
