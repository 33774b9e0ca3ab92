import { clockOffset } from './clock';

describe('the clock offset', () => {
  it('is none when what the server told lies between question and answer', () => {
    expect(clockOffset(1000, 1010, 1020)).toBe(0);
  });

  it('is measured from the middle otherwise', () => {
    expect(clockOffset(1000, 5010, 1020)).toBe(4000);
    expect(clockOffset(5000, 1010, 5020)).toBe(-4000);
  });
});
