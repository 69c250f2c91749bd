/** Stopwatch: working time, without the pauses. */

const LONGEST_PAUSE_MS = 15_000;

export class Stopwatch {
  private spent = 0;
  private last: number | null = null;

  /** Something was done. */
  tick(now: number): void {
    if (this.last !== null) this.spent += Math.min(now - this.last, LONGEST_PAUSE_MS);
    this.last = now;
  }

  get seconds(): number {
    return Math.round(this.spent / 100) / 10;
  }

  /** The seconds so far, and from zero again. */
  take(now: number): number {
    this.tick(now);
    const taken = this.seconds;
    this.spent = 0;
    return taken;
  }
}
