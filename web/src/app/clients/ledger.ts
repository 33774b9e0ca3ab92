import type { Position } from '../wire/transport';

/** What a client can tell from the positions it saw. */
export interface Counters {
  /** Publications, each counted once. */
  readonly received: number;
  /** Publications that never came. */
  readonly missed: number;
  /** Publications that came again. */
  readonly duplicated: number;
  /** Of those received: published while it was away. */
  readonly recovered: number;
  /** How often something was lost, with an unknown number of publications lost. */
  readonly resets: number;
}

/** Keeps a client's position in a channel and the books of what came. */
export class Ledger {
  private place: Position | null = null;
  private readonly count = { received: 0, missed: 0, duplicated: 0, recovered: 0, resets: 0 };

  /** `contiguous`: whether the offsets of the channel have no holes. Where they have, a hole tells nothing. */
  constructor(private readonly contiguous: () => boolean = () => true) {}

  get position(): Position | null {
    return this.place;
  }

  get counters(): Counters {
    return { ...this.count };
  }

  /** A subscription begins after `position`; `recovered`: what lies between here and there follows. */
  begin(position: Position, recovered: boolean | null): void {
    if (this.place && recovered) return;
    if (this.place?.epoch === position.epoch && this.contiguous()) {
      this.miss(position.offset - this.place.offset);
    } else if (this.place) {
      this.count.resets += 1;
    }
    this.place = position;
  }

  /** A publication came; `late`: it was published while this client was away. False if it came before. */
  take(position: Position, late: boolean): boolean {
    if (this.place?.epoch === position.epoch) {
      if (position.offset <= this.place.offset) {
        this.count.duplicated += 1;
        return false;
      }
      if (this.contiguous()) this.miss(position.offset - this.place.offset - 1);
    }
    this.place = position;
    this.count.received += 1;
    if (late) this.count.recovered += 1;
    return true;
  }

  private miss(count: number): void {
    this.count.missed += Math.max(0, count);
  }
}
