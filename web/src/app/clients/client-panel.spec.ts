import { signal } from '@angular/core';
import { TestBed } from '@angular/core/testing';

import { Admin } from '../cluster/admin';
import { Cluster } from '../cluster/cluster';
import type { WorkerId } from '../cluster/worker-id';
import type { Client } from './client';
import { ClientPanel } from './client-panel';

describe('a panel', () => {
  const state = signal('connected');
  const counters = signal({ received: 7, missed: 0, duplicated: 0, recovered: 2, resets: 0 });
  const client = {
    name: 'B',
    state,
    counters,
    reason: signal('closed with 1006'),
    worker: signal({ host: 'here', pid: 42, report_time: 0 }),
    since: signal(0),
    took: signal(14),
    kind: signal('plain'),
    pushes: signal([
      {
        number: 1,
        from: { host: 'here', pid: 41 },
        to: { host: 'here', pid: 42 },
        position: { epoch: 'e', offset: 9 },
        arrived: 0,
        latency: 3.2,
        recovered: false,
      },
    ]),
    push: vi.fn(),
  };

  async function shown(): Promise<HTMLElement> {
    TestBed.configureTestingModule({
      providers: [
        { provide: Admin, useValue: { authorized: signal(false) } },
        {
          provide: Cluster,
          useValue: { slot: ({ pid }: WorkerId) => pid % 8, processOf: () => 'api-0' },
        },
      ],
    });
    const fixture = TestBed.createComponent(ClientPanel);
    fixture.componentRef.setInput('client', client as unknown as Client);
    await fixture.whenStable();
    return fixture.nativeElement;
  }

  beforeEach(() => {
    state.set('connected');
    counters.update((counters) => ({ ...counters, missed: 0, resets: 0 }));
  });

  it('shows where its client is and what it received', async () => {
    const panel = await shown();
    expect(panel.querySelector('.bound')?.textContent).toContain('42');
    expect(panel.querySelector('.facts')?.textContent).toContain('14 ms');
    const cells = [...panel.querySelectorAll('tbody td')].map((cell) => cell.textContent?.trim());
    expect(cells).toEqual(['41', '42', '9', expect.any(String), '3.2 ms']);
  });

  it('pushes only while it is connected', async () => {
    const panel = await shown();
    const button = panel.querySelector<HTMLButtonElement>('button.primary')!;
    button.click();
    expect(client.push).toHaveBeenCalledOnce();
    state.set('connecting');
    await vi.waitFor(() => expect(button.disabled).toBe(true));
    expect(panel.querySelector('.reason')?.textContent).toBe('closed with 1006');
  });

  it('makes it seen that something was missed', async () => {
    counters.update((counters) => ({ ...counters, missed: 2, resets: 1 }));
    const missed = (await shown()).querySelector('[data-counter=missed]');
    expect(missed?.classList).toContain('bad');
    expect(missed?.textContent).toContain('2 + ?');
  });
});
