import { ChangeDetectionStrategy, Component, computed, inject, input, output } from '@angular/core';

import { Cluster } from '../cluster/cluster';
import { ProcessActions } from '../cluster/process-actions';
import { milliseconds, timeOfDay } from '../shared/format';
import { Pid } from '../shared/pid';
import { type TransportKind, TRANSPORTS } from '../wire/transports';
import type { Client } from './client';

/** One client: where it is, what it can do, what it received. */
@Component({
  selector: 'app-client-panel',
  imports: [Pid, ProcessActions],
  host: { class: 'card panel', role: 'group', '[attr.aria-label]': '"Client " + client().name' },
  template: `
    <header>
      <h2>
        <span class="letter">{{ client().name }}</span>
        @if (client().worker(); as worker) {
          <span class="bound">worker <app-pid [worker]="worker" /></span>
        } @else {
          <span class="bound">no worker yet</span>
        }
      </h2>
      <span class="state" role="status" [attr.data-state]="client().state()">{{
        client().state()
      }}</span>
      @if (removable()) {
        <button type="button" class="quiet icon" (click)="removed.emit()">
          <svg viewBox="0 0 16 16" aria-hidden="true"><path d="m4 4 8 8M12 4l-8 8" /></svg>
          <span class="visually-hidden">Remove client {{ client().name }}</span>
        </button>
      }
    </header>

    <dl class="facts">
      <div>
        <dt>Host</dt>
        <dd class="host">{{ client().worker()?.host ?? '–' }}</dd>
      </div>
      <div>
        <dt>Connected</dt>
        <dd>
          @if (client().state() === 'connected') {
            {{ time(client().since()) }} <small>in {{ ms(client().took()) }}</small>
          } @else {
            <span class="reason">{{ client().reason() }}</span>
          }
        </dd>
      </div>
      <div>
        <dt><label [attr.for]="'transport-' + client().name">Transport</label></dt>
        <dd>
          <select [id]="'transport-' + client().name" #kind (change)="use(kind.value)">
            @for (transport of transports; track transport.kind) {
              <option [value]="transport.kind" [selected]="transport.kind === client().kind()">
                {{ transport.label }}
              </option>
            }
          </select>
        </dd>
      </div>
    </dl>

    <div class="actions">
      <button
        type="button"
        class="primary"
        [disabled]="client().state() !== 'connected'"
        (click)="client().push()"
      >
        Initiate push
      </button>
      <button type="button" (click)="client().reconnect()">Reconnect</button>
      @if (process(); as process) {
        <app-process-actions
          [host]="process.host"
          [process]="process.name"
          [actions]="['kill']"
          [named]="true"
        />
      }
    </div>

    <dl class="counters">
      @for (counter of counters(); track counter.name) {
        <div [class.bad]="counter.bad" [attr.data-counter]="counter.name">
          <dt>{{ counter.name }}</dt>
          <dd>{{ counter.value }}</dd>
        </div>
      }
    </dl>

    <div
      class="pushes"
      tabindex="0"
      role="region"
      [attr.aria-label]="'Pushes client ' + client().name + ' received'"
    >
      <table>
        <thead>
          <tr>
            <th scope="col">from</th>
            <th scope="col">to</th>
            <th scope="col" class="figure">offset</th>
            <th scope="col" class="figure">time</th>
            <th scope="col" class="figure">latency</th>
          </tr>
        </thead>
        <tbody>
          @for (push of client().pushes(); track push.number) {
            <tr [class.recovered]="push.recovered">
              <td><app-pid [worker]="push.from" /></td>
              <td><app-pid [worker]="push.to" /></td>
              <td class="figure">{{ push.position.offset }}</td>
              <td class="figure">{{ time(push.arrived) }}</td>
              <td class="figure">
                @if (push.recovered) {
                  <span class="tag">recovered</span>
                } @else {
                  {{ ms(push.latency) }}
                }
              </td>
            </tr>
          } @empty {
            <tr class="empty">
              <td colspan="5">Nothing yet. A push of any client shows here.</td>
            </tr>
          }
        </tbody>
      </table>
    </div>
  `,
  changeDetection: ChangeDetectionStrategy.OnPush,
})
export class ClientPanel {
  readonly client = input.required<Client>();
  readonly removable = input(true);
  readonly removed = output();

  private readonly cluster = inject(Cluster);

  protected readonly time = timeOfDay;
  protected readonly ms = milliseconds;
  protected readonly transports = Object.entries(TRANSPORTS).map(([kind, { label }]) => ({
    kind,
    label,
  }));

  /** The supervised process this client sits on. */
  protected readonly process = computed(() => {
    const worker = this.client().worker();
    const name = worker && this.cluster.processOf(worker);
    return name ? { host: worker.host, name } : null;
  });

  protected readonly counters = computed(() => {
    const { received, missed, duplicated, recovered, resets } = this.client().counters();
    return [
      { name: 'received', value: received, bad: false },
      { name: 'missed', value: resets ? `${missed} + ?` : missed, bad: missed + resets > 0 },
      { name: 'duplicated', value: duplicated, bad: duplicated > 0 },
      { name: 'recovered', value: recovered, bad: false },
    ];
  });

  protected use(kind: string): void {
    this.client().use(kind as TransportKind);
  }
}
