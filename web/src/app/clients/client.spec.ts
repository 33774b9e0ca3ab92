import type { NotifiedBy } from '../types';
import type { Position, TransportListener } from '../wire/transport';
import { keyOf } from '../cluster/worker-id';
import { Client, type Surroundings } from './client';

/** A transport of which the test plays the cluster's part. */
interface Played {
  readonly since: Position | null;
  readonly listener: TransportListener;
  readonly push: ReturnType<typeof vi.fn>;
  readonly close: ReturnType<typeof vi.fn>;
}

const worker = (pid: number, report_time = Date.now(), host = 'h') => ({
  push_type: 'connected_to' as const,
  initiated_by: 'connect-initiated' as const,
  host,
  pid,
  report_time,
});
const push = (pid: number, report_time = Date.now()): NotifiedBy => ({
  push_type: 'notified_by',
  initiated_by: 'user-initiated',
  host: 'h',
  pid,
  report_time,
});
const at = (offset: number): Position => ({ epoch: 'e', offset });

describe('a client', () => {
  let transports: Played[];
  let taken: Set<string>;
  let client: Client;
  const last = () => transports.at(-1)!.listener;

  beforeEach(() => {
    transports = [];
    taken = new Set();
    const surroundings: Surroundings = {
      open: () => (_, since, listener) => {
        const played = { since, listener, push: vi.fn(), close: vi.fn() };
        transports.push(played);
        listener.connecting('connecting');
        return played;
      },
      crowded: (worker) => taken.has(keyOf(worker)),
      alternatives: () => true,
      contiguous: () => true,
    };
    client = new Client('A', 'chat:x', 'plain', surroundings);
  });

  it('shows the worker it is bound to', () => {
    expect(client.state()).toBe('connecting');
    last().connected(worker(1));
    expect(client.state()).toBe('connected');
    expect(client.worker()?.pid).toBe(1);
  });

  it('looks for a worker of its own when there are some', () => {
    taken.add(keyOf(worker(1)));
    last().connected(worker(1));
    expect(client.state()).toBe('connecting');
    last().connected(worker(2));
    expect(client.worker()?.pid).toBe(2);
    expect(transports[0].close).toHaveBeenCalled();
  });

  it('takes what it gets after some attempts', () => {
    taken.add(keyOf(worker(1)));
    for (let attempt = 0; attempt < 20 && client.state() !== 'connected'; attempt++) {
      last().connected(worker(1));
    }
    expect(client.worker()?.pid).toBe(1);
    expect(transports.slice(0, -1).every(({ close }) => close.mock.calls.length === 1)).toBe(true);
  });

  it('lists pushes with origin and own worker, newest first', () => {
    last().connected(worker(1));
    last().subscribed(at(0), null);
    last().published(push(1), at(1));
    last().published(push(2), at(2));
    expect(
      client.pushes().map(({ from, to, position }) => [from.pid, to.pid, position.offset]),
    ).toEqual([
      [2, 1, 2],
      [1, 1, 1],
    ]);
  });

  it('tells a worker from one of another host with the same PID', () => {
    last().connected(worker(1, 1000, 'here'));
    last().subscribed(at(0), null);
    last().published({ ...push(1), host: 'there' }, at(1));
    expect(client.pushes()[0].from).toMatchObject({ host: 'there', pid: 1 });
    expect(client.pushes()[0].to).toMatchObject({ host: 'here', pid: 1 });
    client.reconnect();
    last().connected(worker(1, 2000, 'there'));
    expect(client.state()).toBe('connected');
    expect(client.worker()?.host).toBe('there');
  });

  it('goes to another worker with its position, and keeps the old connection until it is there', () => {
    last().connected(worker(1));
    last().subscribed(at(4), null);
    last().published(push(2), at(5));
    client.reconnect();
    expect(transports[1].since).toEqual(at(5));
    expect(transports[0].close).not.toHaveBeenCalled();
    last().connected(worker(1));
    last().connected(worker(3));
    expect(client.worker()?.pid).toBe(3);
    expect(transports[0].close).toHaveBeenCalled();
    expect(transports[1].close).toHaveBeenCalled();
  });

  it('lets go of every connection, however often it is told to reconnect', () => {
    last().connected(worker(1));
    client.reconnect();
    client.reconnect();
    last().connected(worker(2));
    expect(transports.map(({ close }) => close.mock.calls.length)).toEqual([1, 1, 0]);
    client.reconnect();
    client.close();
    expect(transports.map(({ close }) => close.mock.calls.length)).toEqual([1, 1, 1, 1]);
  });

  it('hears nothing any more from a connection it has left', () => {
    last().connected(worker(1));
    last().subscribed(at(0), null);
    client.reconnect();
    transports[0].listener.published(push(2), at(1));
    expect(client.counters().received).toBe(0);
    last().connected(worker(2));
    last().subscribed(at(0), true);
    last().published(push(2), at(1));
    expect(client.counters()).toMatchObject({ received: 1, missed: 0, duplicated: 0 });
  });

  it('tells what was published while it was away from what is new', () => {
    last().connected(worker(1, 1000));
    last().subscribed(at(0), null);
    last().connecting('closed with 1006');
    last().connected(worker(2, 2000));
    last().subscribed(at(0), true);
    last().published(push(3, 1500), at(1));
    last().published(push(3, 2500), at(2));
    expect(client.counters()).toMatchObject({ received: 2, recovered: 1, missed: 0 });
    expect(client.pushes().map(({ recovered }) => recovered)).toEqual([false, true]);
  });

  it('says that it was sent away for good', () => {
    last().closed('permission denied');
    expect(client.state()).toBe('closed');
    expect(client.reason()).toBe('permission denied');
  });

  it('pushes over the connection it has', () => {
    last().connected(worker(1));
    client.push();
    expect(transports[0].push).toHaveBeenCalled();
  });
});
