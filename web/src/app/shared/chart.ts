import {
  ChangeDetectionStrategy,
  Component,
  DestroyRef,
  effect,
  ElementRef,
  inject,
  input,
  untracked,
} from '@angular/core';
import uPlot from 'uplot';

import { Theme } from './theme';

/** One line of a chart. `color` is any CSS colour, also a variable. */
export interface Line {
  readonly label: string;
  readonly color: string;
  readonly values: readonly (number | null)[];
}

const SECONDS = 120;

/** Figures of the last two minutes. Drawn by uPlot; screen readers are told the newest ones. */
@Component({
  selector: 'app-chart',
  host: { role: 'img', '[attr.aria-label]': 'description()', '[class.spark]': 'spark()' },
  template: '',
  changeDetection: ChangeDetectionStrategy.OnPush,
})
export class Chart {
  readonly label = input.required<string>();
  readonly times = input.required<readonly number[]>();
  readonly lines = input.required<readonly Line[]>();
  readonly format = input.required<(value: number) => string>();
  /** Only the lines: no axes. */
  readonly spark = input(false);

  private readonly host = inject<ElementRef<HTMLElement>>(ElementRef).nativeElement;
  private plot: uPlot | undefined;

  constructor() {
    const theme = inject(Theme);
    const observer = new ResizeObserver(() => this.fit());
    observer.observe(this.host);
    inject(DestroyRef).onDestroy(() => {
      observer.disconnect();
      this.plot?.destroy();
    });

    // What lines there are and how they look: a new plot. Their figures: only new data.
    let look = '';
    effect(() => {
      const lines = this.lines();
      const data = [this.times(), ...lines.map((line) => line.values)] as uPlot.AlignedData;
      const now = JSON.stringify([theme.dark(), lines.map((line) => [line.label, line.color])]);
      if (now === look) {
        this.plot?.setData(data);
        return;
      }
      look = now;
      // The theme is put on the document by an effect as well: colours are read after it.
      queueMicrotask(() => untracked(() => this.draw(data)));
    });
  }

  protected description(): string {
    const newest = this.lines().map((line) => {
      const value = line.values.at(-1);
      return `${line.label} ${value == null ? 'unknown' : this.format()(value)}`;
    });
    return `${this.label()}: ${newest.join(', ')}`;
  }

  private draw(data: uPlot.AlignedData): void {
    this.plot?.destroy();
    this.plot = new uPlot(this.options(), data, this.host);
  }

  private fit(): void {
    this.plot?.setSize({ width: this.host.clientWidth, height: this.host.clientHeight });
  }

  private options(): uPlot.Options {
    const spark = this.spark();
    const muted = this.color('var(--muted)');
    const grid = { stroke: this.color('var(--line)'), width: 1 };
    const axis: uPlot.Axis = {
      stroke: muted,
      font: '11px Inter, sans-serif',
      grid,
      ticks: { show: false },
    };
    return {
      width: this.host.clientWidth,
      height: this.host.clientHeight,
      padding: spark ? [2, 0, 2, 0] : [8, 14, 0, 0],
      legend: { show: false },
      cursor: { show: false },
      scales: {
        x: { time: false, range: (_, __, max) => [max - SECONDS, max] },
        y: { range: (_, __, max) => [0, Math.max(max ?? 0, 1) * 1.1] },
      },
      axes: spark
        ? [{ show: false }, { show: false }]
        : [
            {
              ...axis,
              size: 28,
              gap: 8,
              splits: (_, __, ___, max) => [max - 120, max - 60, max],
              values: (plot, splits) => splits.map((at) => ago((plot.scales['x'].max ?? at) - at)),
              grid: { show: false },
            },
            {
              ...axis,
              size: 44,
              values: (_, splits) => splits.map((value) => this.format()(value)),
            },
          ],
      series: [
        {},
        ...this.lines().map((line): uPlot.Series => {
          const stroke = this.color(line.color);
          return {
            label: line.label,
            stroke,
            width: 1.5,
            points: { show: false },
            spanGaps: false,
          };
        }),
      ],
    };
  }

  /** A colour as a canvas understands it. */
  private color(css: string): string {
    this.host.style.color = css;
    const { color } = getComputedStyle(this.host);
    this.host.style.color = '';
    return color;
  }
}

function ago(seconds: number): string {
  return seconds < 1 ? 'now' : `−${Math.round(seconds)} s`;
}
