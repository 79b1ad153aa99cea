/**
 * Trusted clock: decides when the wall clock may be used for deletions.
 * A clock that jumps forward by a month must not delete a month of events. The wall clock is therefore trusted only
 * while it is synchronised and has run beside the monotonic clock without a step for STEADY_MS.
 */

import { type Clock, ClockSteps } from './clock.ts';
import type { Counters } from './counters.ts';

/**
 * Difference that counts as a step, in ms. A clock that is only slewed (500 ppm at most, adjtimex(2)) drifts 30 ms a
 * minute.
 */
const STEP_MS = 60_000;

/**
 * Time without a step before the clock is trusted, in ms. systemd-timesyncd polls at least every 2,048 s
 * (timesyncd.conf(5)). It therefore corrects a wrong clock within an hour.
 */
const STEADY_MS = 3_600_000;

export class TrustedClock {
  readonly #clock: Pick<Clock, 'nowMs'>;
  readonly #synced: () => boolean;
  readonly #clockSteps: ClockSteps;
  #steadySinceMs: number;
  #steps = 0;

  constructor(clock: Pick<Clock, 'nowMs' | 'wallMs'>, synced: () => boolean) {
    this.#clock = clock;
    this.#synced = synced;
    this.#clockSteps = new ClockSteps(clock);
    this.#steadySinceMs = clock.nowMs();
  }

  get counters(): Counters {
    return { clock_steps: this.#steps };
  }

  /** The clock is synchronised by the network. */
  get synced(): boolean {
    return this.#synced();
  }

  /** Checks both clocks; must be called more often than once an hour. */
  trusted(): boolean {
    const nowMs = this.#clock.nowMs();
    const stepped = Math.abs(this.#clockSteps.sinceLastMs()) > STEP_MS;
    if (stepped) this.#steps += 1;
    if (stepped || !this.#synced()) this.#steadySinceMs = nowMs;
    return nowMs - this.#steadySinceMs >= STEADY_MS;
  }
}
