/**
 * Limits the alerts of a rule within any hour of media time. Few operators watch many cameras, and a rule that alerts
 * every minute only shows that it is badly placed.
 *
 * INVARIANTS: after suppressing an alert, it is `limiting` until half of the hourly limit is free again. The overflow
 * is thus reported once and not with each alert.
 *
 * LIMITS: stores at most `perHour` timestamps; further alerts are suppressed and counted.
 */
const HOUR_MS = 3_600_000;

export class AlertLimit {
  readonly #perHour: number;
  /** Oldest first. */
  readonly #raisedMs: number[] = [];
  #suppressed = 0;
  #limiting = false;
  #suppressedNow = 0;

  constructor(perHour: number) {
    this.#perHour = perHour;
  }

  get limiting(): boolean {
    return this.#limiting;
  }

  /** Alerts suppressed since the start. */
  get suppressed(): number {
    return this.#suppressed;
  }

  /** Alerts suppressed in the current or, if it has ended, in the last limiting period. */
  get suppressedNow(): number {
    return this.#suppressedNow;
  }

  /** Removes timestamps older than an hour; must be called before `admits`. */
  advance(atMs: number): void {
    while (atMs - (this.#raisedMs[0] ?? atMs) >= HOUR_MS) this.#raisedMs.shift();
    if (this.#raisedMs.length <= this.#perHour / 2) this.#limiting = false;
  }

  get admits(): boolean {
    return this.#raisedMs.length < this.#perHour;
  }

  raise(atMs: number): void {
    this.#raisedMs.push(atMs);
  }

  suppress(): void {
    this.#suppressed += 1;
    this.#suppressedNow = this.#limiting ? this.#suppressedNow + 1 : 1;
    this.#limiting = true;
  }
}
