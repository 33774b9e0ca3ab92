import { amount, duration, megabytes, milliseconds, percent } from './format';

describe('figures', () => {
  it('are written with the digits that mean something', () => {
    expect([0, 0.04, 7.46, 950, 12_400, 2_500_000].map(amount)).toEqual([
      '0',
      '0.0',
      '7.5',
      '950',
      '12.4k',
      '2.5M',
    ]);
    expect([0.32, 14.6, 1530, 12_000].map(milliseconds)).toEqual([
      '0.3 ms',
      '15 ms',
      '1.5 s',
      '12 s',
    ]);
    expect([3, 185, 7620, 273_600].map(duration)).toEqual([
      '3 s',
      '3 min 05 s',
      '2 h 07 min',
      '3 d 4 h',
    ]);
    expect([0.5, 42.3].map(percent)).toEqual(['0.5 %', '42 %']);
    expect(megabytes(52_428_800)).toBe('50 MB');
  });
});
