import { History, LENGTH } from './history';
import type { Row } from './rows';

const row = (key: string, cpu: number | null): Row => ({ key, cpu, rates: null }) as Row;

describe('the history', () => {
  it('has a figure for each sample, and none where a process was not', () => {
    const history = History.EMPTY.with(1, [row('a', 5)])
      .with(2, [])
      .with(3, [row('a', 7)]);
    expect(history.times).toEqual([1, 2, 3]);
    expect(history.series('a', 'cpu')).toEqual([5, null, 7]);
    expect(history.series('a', 'received')).toEqual([null, null, null]);
  });

  it('forgets what is older than two minutes', () => {
    let history = History.EMPTY;
    for (let second = 0; second < LENGTH + 10; second++) history = history.with(second, []);
    expect(history.times).toHaveLength(LENGTH);
    expect(history.times[0]).toBe(10);
  });
});
