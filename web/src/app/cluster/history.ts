import type { Row } from './rows';

/** Samples kept: two minutes. */
export const LENGTH = 120;

/** What is drawn of a process over time. */
export type Measure = 'received' | 'delivered' | 'connections' | 'cpu' | 'rss';

/** Figures over time, one per sample; null where there was none. */
export type Series = readonly (number | null)[];

/** The last samples of every process, oldest first. */
export class History {
  private constructor(
    /** Seconds since 1970, one per sample. */
    readonly times: readonly number[],
    private readonly rows: readonly ReadonlyMap<string, Row>[],
  ) {}

  static readonly EMPTY = new History([], []);

  /** This and one sample more. */
  with(seconds: number, rows: readonly Row[]): History {
    const sample = new Map(rows.map((row) => [row.key, row]));
    return new History(
      [...this.times.slice(1 - LENGTH), seconds],
      [...this.rows.slice(1 - LENGTH), sample],
    );
  }

  series(key: string, measure: Measure): Series {
    return this.rows.map((sample) => figure(sample.get(key), measure));
  }
}

function figure(row: Row | undefined, measure: Measure): number | null {
  if (!row) return null;
  switch (measure) {
    case 'received':
    case 'delivered':
      return row.rates?.[measure] ?? null;
    case 'connections':
    case 'cpu':
    case 'rss':
      return row[measure];
  }
}
