import { ServerClock } from './clock';

describe('the clock of the cluster', () => {
  let clock: ServerClock;

  beforeEach(() => {
    vi.useFakeTimers({ now: 1020 });
    clock = new ServerClock();
  });

  afterEach(() => vi.useRealTimers());

  it('is this one when what it told lies between question and answer', () => {
    clock.observe(1000, 1005, 1020);
    expect(clock.since(1010)).toBe(10);
  });

  it('is another one otherwise, measured from the middle', () => {
    clock.observe(1000, 5010, 1020);
    expect(clock.since(5010)).toBe(10);
  });

  it('is not known worse because a later answer took longer', () => {
    clock.observe(1000, 5010, 1020);
    clock.observe(0, 5000, 9000);
    expect(clock.since(5010)).toBe(10);
  });

  it('never says that something was told in the future', () => {
    expect(clock.since(2000)).toBe(0);
  });
});
