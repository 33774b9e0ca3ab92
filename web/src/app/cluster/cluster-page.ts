import { ChangeDetectionStrategy, Component, computed, DestroyRef, inject } from '@angular/core';

import { Clients, ROOM } from '../clients/clients';
import { Chart, type Line } from '../shared/chart';
import { amount, duration, megabytes, percent } from '../shared/format';
import { Pid } from '../shared/pid';
import { Admin } from './admin';
import { Cluster } from './cluster';
import { EventLog } from './event-log';
import type { Measure } from './history';
import { Presence } from './presence';
import { ProcessActions } from './process-actions';
import type { Row } from './rows';

/** The process tree, what it does and what happened to it. */
@Component({
  selector: 'app-cluster-page',
  imports: [Chart, EventLog, Pid, ProcessActions],
  providers: [Presence],
  template: `
    <div class="intro">
      <h1>The process tree, live</h1>
      <p>
        supervisord keeps a forwarder, the uvicorn workers and nginx running. Kill one: it is back
        with a new PID about a second later, and its clients are on another worker before that.
      </p>
    </div>

    @if (cluster.report()) {
      <section class="charts" aria-label="Workers over the last two minutes">
        @for (chart of charts(); track chart.label) {
          <figure class="card">
            <figcaption>
              {{ chart.label }} <strong>{{ chart.total }}</strong>
            </figcaption>
            <app-chart
              [label]="chart.label"
              [times]="cluster.history().times"
              [lines]="chart.lines"
              [format]="chart.format"
            />
          </figure>
        }
      </section>

      <section class="card tree" aria-labelledby="processes">
        <h2 id="processes">Processes</h2>
        <div class="scroll" tabindex="0" role="region" aria-label="Table of processes">
          <table>
            <thead>
              <tr>
                <th scope="col">process</th>
                <th scope="col">state</th>
                <th scope="col" class="figure">PID</th>
                <th scope="col" class="figure">port</th>
                <th scope="col" class="figure">uptime</th>
                <th scope="col" class="figure">clients</th>
                @for (measure of measures; track measure.name) {
                  <th scope="col" class="measure">
                    <span>{{ measure.label }}</span>
                  </th>
                }
                @if (admin.authorized()) {
                  <th scope="col"><span class="visually-hidden">actions</span></th>
                }
              </tr>
            </thead>
            <tbody>
              @if (cluster.report()?.processes?.length) {
                <tr class="root">
                  <th scope="row">supervisord</th>
                  <td [attr.colspan]="admin.authorized() ? 10 : 9">
                    on {{ cluster.report()?.host }}
                  </td>
                </tr>
              }
              @for (row of cluster.rows(); track row.key) {
                <tr [attr.data-process]="row.name">
                  <th scope="row">{{ row.name }}</th>
                  <td>
                    <span class="state" [attr.data-state]="row.ready ? row.state : 'NOT READY'">{{
                      row.ready ? row.state.toLowerCase() : 'not ready'
                    }}</span>
                  </td>
                  <td class="figure pid-cell" data-label="PID">
                    @if (row.id; as worker) {
                      <app-pid [worker]="worker" />
                    } @else {
                      {{ row.pid ?? '–' }}
                    }
                  </td>
                  <td class="figure" data-label="port">{{ row.port ?? '' }}</td>
                  <td class="figure" data-label="uptime">
                    {{ row.uptime === null ? '–' : time(row.uptime) }}
                  </td>
                  <td class="figure" data-label="clients">{{ row.connections ?? '' }}</td>
                  @for (measure of measures; track measure.name) {
                    <td class="measure" [attr.data-label]="measure.label">
                      @if (figure(row, measure.name); as shown) {
                        <span>{{ shown }}</span>
                        <app-chart
                          [spark]="true"
                          [label]="measure.label + ' of ' + row.name"
                          [times]="cluster.history().times"
                          [lines]="lines(row, measure.name)"
                          [format]="measure.format"
                        />
                      }
                    </td>
                  }
                  @if (admin.authorized()) {
                    <td class="row-actions">
                      @if (row.process; as process) {
                        <app-process-actions
                          [host]="row.host"
                          [process]="process"
                          [actions]="row.role === 'worker' ? both : restart"
                        />
                      }
                    </td>
                  }
                </tr>
              }
            </tbody>
          </table>
        </div>
      </section>

      <div class="columns">
        <section class="card" aria-labelledby="events">
          <h2 id="events">What happened</h2>
          <app-event-log [events]="cluster.events()" />
        </section>
        <section class="card" aria-labelledby="presence">
          <h2 id="presence">
            Present in <code>{{ room }}</code>
          </h2>
          <ul class="presence">
            @for (client of presence.present(); track client.client) {
              <li data-present>
                <code>{{ client.client.slice(0, 8) }}</code>
                <span>{{ client.user || 'anonymous' }}</span>
              </li>
            } @empty {
              <li class="empty">{{ presence.present() ? 'Nobody' : 'Not known yet' }}</li>
            }
          </ul>
          <h2>Clients of this page</h2>
          <ul class="presence">
            @for (client of clients.list(); track client) {
              <li>
                <span class="letter">{{ client.name }}</span>
                @if (client.worker(); as worker) {
                  <app-pid [worker]="worker" />
                }
                <span class="state" [attr.data-state]="client.state()">{{ client.state() }}</span>
                <span class="figure">{{ client.counters().missed }} missed</span>
              </li>
            }
          </ul>
        </section>
      </div>
    }
  `,
  changeDetection: ChangeDetectionStrategy.OnPush,
})
export class ClusterPage {
  protected readonly cluster = inject(Cluster);
  protected readonly admin = inject(Admin);
  protected readonly clients = inject(Clients);
  protected readonly presence = inject(Presence);

  protected readonly room = ROOM;
  protected readonly time = duration;
  protected readonly both = ['restart', 'kill'] as const;
  protected readonly restart = ['restart'] as const;
  protected readonly measures: readonly {
    name: Measure;
    label: string;
    format: (value: number) => string;
  }[] = [
    { name: 'received', label: 'in /s', format: amount },
    { name: 'delivered', label: 'out /s', format: amount },
    { name: 'cpu', label: 'CPU', format: percent },
    { name: 'rss', label: 'memory', format: megabytes },
  ];

  protected readonly charts = computed(() => [
    this.chart('Publications in /s', 'received', amount),
    this.chart('Deliveries out /s', 'delivered', amount),
    this.chart('Connections', 'connections', amount),
    this.chart('CPU', 'cpu', percent),
  ]);

  constructor() {
    this.presence.watch(ROOM);
    inject(DestroyRef).onDestroy(() => this.presence.stop());
  }

  protected figure(row: Row, measure: Measure): string | null {
    const value =
      measure === 'received' || measure === 'delivered' ? row.rates?.[measure] : row[measure];
    const format = this.measures.find(({ name }) => name === measure)?.format;
    return value == null || !format ? null : format(value);
  }

  protected lines(row: Row, measure: Measure): Line[] {
    const color = row.id ? `var(--slot-${this.cluster.slot(row.id)})` : 'var(--muted)';
    return [{ label: row.name, color, values: this.cluster.history().series(row.key, measure) }];
  }

  private chart(label: string, measure: Measure, format: (value: number) => string) {
    const workers = this.cluster.rows().filter((row) => row.role === 'worker');
    const lines = workers.map((row) => this.lines(row, measure)[0]);
    const newest = lines.map((line) => line.values.at(-1) ?? 0);
    return { label, lines, format, total: format(newest.reduce((a, b) => a + b, 0)) };
  }
}
