/** The cluster's clock, as far as this page can know it: from times it was told. All times in ms since 1970. */
export class ServerClock {
  private ahead = 0;
  private uncertainty = Infinity;

  /**
   * The cluster told the time between `asked` and `answered`; the narrowest answer counts. When both clocks can be
   * right they are taken to be the same.
   */
  observe(asked: number, told: number, answered: number): void {
    if (answered - asked >= this.uncertainty) return;
    this.uncertainty = answered - asked;
    const same = asked - 1 <= told && told <= answered + 1;
    this.ahead = same ? 0 : told - (asked + answered) / 2;
  }

  /** Milliseconds since `told`, a time of the cluster's clock. */
  since(told: number): number {
    return Math.max(0, Date.now() + this.ahead - told);
  }
}
