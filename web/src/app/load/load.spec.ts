import type { LoadSample } from '../types';
import { lostBetween } from './load';

const sample = (number: number, host = 'here', pid = 7): LoadSample => ({
  push_type: 'load_sample',
  number,
  host,
  pid,
  sent_at: 0,
});

describe('what is lost of the load', () => {
  it('is what is missing between two samples of one worker', () => {
    expect(lostBetween(sample(1), sample(2))).toBe(0);
    expect(lostBetween(sample(2), sample(6))).toBe(3);
  });

  it('cannot be known of the first, nor of one that comes late', () => {
    expect(lostBetween(undefined, sample(6))).toBe(0);
    expect(lostBetween(sample(6), sample(2))).toBe(0);
  });

  it('is nothing between samples of two workers, though they have the same PID', () => {
    expect(lostBetween(sample(2), sample(6, 'there'))).toBe(0);
    expect(lostBetween(sample(2), sample(6, 'here', 8))).toBe(0);
  });
});
