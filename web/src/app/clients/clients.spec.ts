import { signal } from '@angular/core';
import { TestBed } from '@angular/core/testing';

import { Cluster } from '../cluster/cluster';
import type { WorkerId } from '../cluster/worker-id';
import type { TransportListener } from '../wire/transport';
import { TRANSPORTS } from '../wire/transports';
import { Clients } from './clients';

describe('the clients of a page', () => {
  const workers = signal<WorkerId[]>(['here', 'there'].map((host) => ({ host, pid: 7 })));
  const listeners: TransportListener[] = [];
  let clients: Clients;

  /** The connection opened as number `attempt` is to the worker of this host. */
  const reaches = (attempt: number, host: string) =>
    listeners[attempt].connected({
      push_type: 'connected_to',
      initiated_by: 'connect-initiated',
      host,
      pid: 7,
      report_time: 0,
    });

  beforeEach(() => {
    listeners.length = 0;
    vi.spyOn(TRANSPORTS.websocket, 'open').mockImplementation((_channel, _since, listener) => {
      listeners.push(listener);
      return { push: vi.fn(), close: vi.fn() };
    });
    TestBed.configureTestingModule({
      providers: [{ provide: Cluster, useValue: { workers, report: signal(null) } }],
    });
    clients = TestBed.inject(Clients);
    reaches(0, 'here');
  });

  afterEach(() => vi.restoreAllMocks());

  it('look for a worker of their own on another host, though its PID is the same', () => {
    reaches(1, 'here');
    expect(clients.list()[1].state()).toBe('connecting');
    reaches(2, 'there');
    expect(clients.list()[1].worker()?.host).toBe('there');
  });

  it('reconnect to a worker of another host, though its PID is the same', () => {
    reaches(1, 'there');
    clients.list()[0].reconnect();
    reaches(2, 'here');
    reaches(3, 'there');
    expect(clients.list()[0].worker()?.host).toBe('there');
  });
});
