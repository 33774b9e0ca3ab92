import { ChangeDetectionStrategy, Component, computed, input } from '@angular/core';

import { milliseconds } from '../shared/format';
import { hostWidth } from '../shared/width';
import type { Latencies } from './latencies';

const HEIGHT = 220;
const FLOOR = HEIGHT - 28;
const TICKS = [0.1, 1, 10, 100, 1000, 10_000];

/** Latencies as bars, from 0.1 ms to 10 s, with p50 and p99. */
@Component({
  selector: 'app-histogram',
  template: `
    <svg [attr.viewBox]="box()" [attr.height]="height" role="img" [attr.aria-label]="story()">
      @for (tick of ticks(); track tick.label) {
        <line class="grid" [attr.x1]="tick.x" y1="0" [attr.x2]="tick.x" [attr.y2]="floor" />
        <text class="tick" [attr.x]="tick.x" [attr.y]="floor + 18" [attr.text-anchor]="tick.anchor">
          {{ tick.label }}
        </text>
      }
      @for (bar of bars(); track $index) {
        <rect
          class="bar"
          [attr.x]="bar.x"
          [attr.y]="floor - bar.height"
          [attr.width]="bar.width"
          [attr.height]="bar.height"
        />
      }
      @for (mark of marks(); track mark.name) {
        <g class="mark" [attr.data-mark]="mark.name">
          <line [attr.x1]="mark.x" y1="16" [attr.x2]="mark.x" [attr.y2]="floor" />
          <text [attr.x]="mark.x" y="11" [attr.text-anchor]="mark.anchor">{{ mark.name }}</text>
        </g>
      }
    </svg>
  `,
  changeDetection: ChangeDetectionStrategy.OnPush,
})
export class Histogram {
  readonly latencies = input.required<Latencies>();

  private readonly width = hostWidth(720);
  protected readonly height = HEIGHT;
  protected readonly box = computed(() => `0 0 ${this.width()} ${HEIGHT}`);
  protected readonly floor = FLOOR;
  protected readonly ticks = computed(() =>
    TICKS.map((ms, index) => ({
      label: ms < 1 ? '0.1 ms' : ms < 1000 ? `${ms} ms` : `${ms / 1000} s`,
      x: this.x(ms),
      anchor: index === 0 ? 'start' : index === TICKS.length - 1 ? 'end' : 'middle',
    })),
  );

  protected readonly bars = computed(() => {
    const counts = this.latencies().counts;
    const most = Math.max(...counts, 1);
    const width = this.width() / counts.length;
    return counts.map((count, bucket) => ({
      x: bucket * width + 0.5,
      width: width - 1,
      height: count === 0 ? 0 : Math.max(1, (count / most) * (FLOOR - 20)),
    }));
  });

  protected readonly marks = computed(() => {
    const p50 = this.latencies().quantile(0.5);
    const p99 = this.latencies().quantile(0.99);
    if (p50 === null || p99 === null) return [];
    return [
      { name: 'p50', x: this.x(p50), anchor: 'end' },
      { name: 'p99', x: this.x(p99), anchor: 'start' },
    ];
  });

  protected readonly story = computed(() => {
    const p50 = this.latencies().quantile(0.5);
    const p99 = this.latencies().quantile(0.99);
    if (p50 === null || p99 === null) return 'No messages yet.';
    return `Half of the messages took at most ${milliseconds(p50)}, 99 in 100 at most ${milliseconds(p99)}.`;
  });

  private x(ms: number): number {
    return (
      (Math.log10(ms / TICKS[0]) / Math.log10(TICKS[TICKS.length - 1] / TICKS[0])) * this.width()
    );
  }
}
