/**
 * Milliseconds by which the server's clock is ahead of this one, from a time the server told between `asked` and
 * `answered`. 0 when both can be right: then they are taken to be the same clock.
 */
export function clockOffset(asked: number, told: number, answered: number): number {
  return asked - 1 <= told && told <= answered + 1 ? 0 : told - (asked + answered) / 2;
}
