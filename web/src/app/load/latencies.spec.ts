import { Latencies } from './latencies';

describe('latencies', () => {
  it('have quantiles as exact as their buckets are wide', () => {
    const latencies = new Latencies();
    for (let ms = 1; ms <= 100; ms++) latencies.record(ms);
    expect(latencies.quantile(0.5)).toBeGreaterThanOrEqual(50);
    expect(latencies.quantile(0.5)).toBeLessThan(50 * 1.22);
    expect(latencies.quantile(0.99)).toBeGreaterThanOrEqual(99);
    expect(latencies.quantile(0.99)).toBeLessThan(99 * 1.22);
  });

  it('have none when there are none', () => {
    expect(new Latencies().quantile(0.5)).toBeNull();
  });

  it('take what is out of bounds for the bound', () => {
    const latencies = new Latencies();
    latencies.record(0);
    latencies.record(1e9);
    expect(latencies.counts.at(0)).toBe(1);
    expect(latencies.counts.at(-1)).toBe(1);
  });

  it('can be added up', () => {
    const one = new Latencies();
    const other = new Latencies();
    one.record(1);
    other.record(1);
    one.add(other);
    expect(one.count).toBe(2);
    expect(Math.max(...one.counts)).toBe(2);
  });
});
