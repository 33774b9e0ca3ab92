import { ChangeDetectionStrategy, Component, computed, DestroyRef, inject } from '@angular/core';

import { Cluster } from '../cluster/cluster';
import { amount, milliseconds, percent } from '../shared/format';
import { Histogram } from './histogram';
import { FASTEST, Load } from './load';

/** A slider for the load, and how long messages take under it. */
@Component({
  selector: 'app-load-page',
  imports: [Histogram],
  providers: [Load],
  template: `
    <div class="intro">
      <h1>What it holds</h1>
      <p>
        A worker publishes at the rate you choose. This page is one of the subscribers, and measures
        each message from the worker that published it, through the forwarder, another worker and
        nginx, to here.
      </p>
    </div>

    <section class="card load" aria-label="Load">
      <label for="rate">Messages per second</label>
      <output for="rate">{{ load.rate() }}</output>
      <input
        #slider
        id="rate"
        type="range"
        min="0"
        step="100"
        [max]="fastest"
        [value]="load.rate()"
        (input)="load.set(slider.valueAsNumber)"
      />
      <div class="actions">
        @for (preset of presets; track preset) {
          <button
            type="button"
            class="small"
            [attr.aria-pressed]="load.rate() === preset"
            (click)="load.set(preset)"
          >
            {{ preset === 0 ? 'Stop' : preset }}
          </button>
        }
        <span class="problem" role="alert">{{ load.problem() }}</span>
      </div>
    </section>

    <dl class="figures">
      @for (figure of figures(); track figure.name) {
        <div class="card" [attr.data-figure]="figure.name">
          <dt>{{ figure.name }}</dt>
          <dd>{{ figure.value }}</dd>
        </div>
      }
    </dl>

    <section class="card" aria-labelledby="latency">
      <h2 id="latency">Latency of the last ten seconds</h2>
      <app-histogram [latencies]="load.reading().latencies" />
    </section>
  `,
  changeDetection: ChangeDetectionStrategy.OnPush,
})
export class LoadPage {
  protected readonly load = inject(Load);
  private readonly cluster = inject(Cluster);

  protected readonly fastest = FASTEST;
  protected readonly presets = [0, 100, 1000, FASTEST];

  protected readonly figures = computed(() => {
    const { perSecond, lost, latencies } = this.load.reading();
    const busiest = Math.max(0, ...this.cluster.workers().map((worker) => worker.cpu_percent));
    return [
      { name: 'received /s', value: amount(perSecond) },
      { name: 'p50', value: shown(latencies.quantile(0.5)) },
      { name: 'p99', value: shown(latencies.quantile(0.99)) },
      { name: 'missed', value: amount(lost) },
      { name: 'busiest worker', value: percent(busiest) },
    ];
  });

  constructor() {
    this.load.start();
    inject(DestroyRef).onDestroy(() => this.load.stop());
  }
}

function shown(ms: number | null): string {
  return ms === null ? '–' : milliseconds(ms);
}
