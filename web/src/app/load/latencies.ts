const PER_DECADE = 12;
const DECADES = 5;
const SMALLEST = 0.1;
const BUCKETS = PER_DECADE * DECADES;

/** Latencies from 0.1 ms to 10 s, counted in buckets whose widths grow with them. */
export class Latencies {
  private readonly buckets = new Uint32Array(BUCKETS);
  private total = 0;

  get count(): number {
    return this.total;
  }

  get counts(): readonly number[] {
    return Array.from(this.buckets);
  }

  record(ms: number): void {
    this.buckets[bucketOf(ms)] += 1;
    this.total += 1;
  }

  add(other: Latencies): void {
    other.buckets.forEach((count, bucket) => (this.buckets[bucket] += count));
    this.total += other.total;
  }

  /** What `share` of the latencies (0 to 1) do not exceed, in milliseconds; null when there are none. */
  quantile(share: number): number | null {
    let left = Math.max(1, Math.ceil(share * this.total));
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      left -= this.buckets[bucket];
      if (left <= 0) return upperBound(bucket);
    }
    return null;
  }
}

/** Milliseconds at which a bucket ends. */
export function upperBound(bucket: number): number {
  return SMALLEST * 10 ** ((bucket + 1) / PER_DECADE);
}

function bucketOf(ms: number): number {
  const bucket = Math.ceil(Math.log10(ms / SMALLEST) * PER_DECADE) - 1;
  return Math.min(Math.max(bucket, 0), BUCKETS - 1);
}
