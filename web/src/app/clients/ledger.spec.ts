import { Ledger } from './ledger';

const at = (offset: number, epoch = 'a') => ({ epoch, offset });

describe('the ledger', () => {
  let ledger: Ledger;

  beforeEach(() => {
    ledger = new Ledger();
    ledger.begin(at(10), null);
  });

  it('counts what comes in turn', () => {
    ledger.take(at(11), false);
    ledger.take(at(12), false);
    expect(ledger.counters).toEqual({
      received: 2,
      missed: 0,
      duplicated: 0,
      recovered: 0,
      resets: 0,
    });
    expect(ledger.position).toEqual(at(12));
  });

  it('notices what is left out', () => {
    ledger.take(at(14), false);
    expect(ledger.counters).toMatchObject({ received: 1, missed: 3 });
  });

  it('notices what comes twice, and does not go back', () => {
    ledger.take(at(11), false);
    expect(ledger.take(at(11), false)).toBe(false);
    expect(ledger.counters).toMatchObject({ received: 1, duplicated: 1 });
    expect(ledger.position).toEqual(at(11));
  });

  it('takes a hole for nothing where offsets have holes', () => {
    ledger = new Ledger(() => false);
    ledger.begin({ epoch: 'e', offset: 1 }, null);
    ledger.take({ epoch: 'e', offset: 5 }, false);
    expect(ledger.counters).toMatchObject({ received: 1, missed: 0 });
  });

  it('keeps its place when all that was missed follows', () => {
    ledger.take(at(11), false);
    ledger.begin(at(11), true);
    ledger.take(at(12), true);
    ledger.take(at(13), false);
    expect(ledger.counters).toMatchObject({ received: 3, missed: 0, recovered: 1 });
  });

  it('counts what it is told cannot be recovered', () => {
    ledger.begin(at(15), false);
    ledger.take(at(16), false);
    expect(ledger.counters).toMatchObject({ received: 1, missed: 5, resets: 0 });
  });

  it('knows that it cannot know how much is lost when the channel begins anew', () => {
    ledger.begin(at(3, 'b'), false);
    ledger.take(at(4, 'b'), false);
    expect(ledger.counters).toMatchObject({ received: 1, missed: 0, resets: 1 });
  });
});
