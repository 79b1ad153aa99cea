/**
 * At most so many alerts of a rule within any hour of media time: few operators watch many cameras, and a
 * rule that calls every minute tells them nothing but that it is badly placed.
 *
 * INVARIANTS: once it has held an alert back it is `limiting` until half the hour's share is free again, so
 * that the overflow is told once and not with each alert. LIMITS: remembers `perHour` moments.
 */
const HOUR_MS = 3_600_000;

export class AlertLimit {
  readonly #perHour: number;
  /** Oldest first. */
  readonly #raisedMs: number[] = [];
  #heldBack = 0;
  #limiting = false;
  #heldBackNow = 0;

  constructor(perHour: number) {
    this.#perHour = perHour;
  }

  get limiting(): boolean {
    return this.#limiting;
  }

  /** Alerts held back since the start. */
  get heldBack(): number {
    return this.#heldBack;
  }

  /** Alerts held back since it is limiting, or while it last was. */
  get heldBackNow(): number {
    return this.#heldBackNow;
  }

  /** Moves the hour on; to be called before `admits`. */
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

  holdBack(): void {
    this.#heldBack += 1;
    this.#heldBackNow = this.#limiting ? this.#heldBackNow + 1 : 1;
    this.#limiting = true;
  }
}
