/**
 * When the wall clock may decide what is deleted.
 *
 * A clock that jumps forward by a month must not delete a month of events. So the wall clock counts only
 * while it is synchronised, and has run beside the monotonic clock without a step for STEADY_MS.
 */

import { type Clock, ClockSteps } from './clock.ts';
import type { Counters } from './counters.ts';

/** A clock that is only being slewed (500 ppm at most, adjtimex(2)) drifts 30 ms a minute. */
const STEP_MS = 60_000;

/** systemd-timesyncd asks every 2,048 s at the latest (timesyncd.conf(5)): within an hour it has put a wrong clock right. */
const STEADY_MS = 3_600_000;

export class SteadyClock {
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

  /** The clock is set by the network. */
  get synced(): boolean {
    return this.#synced();
  }

  /** Looks at both clocks; to be called more often than once an hour. */
  trusted(): boolean {
    const nowMs = this.#clock.nowMs();
    const stepped = Math.abs(this.#clockSteps.sinceLastMs()) > STEP_MS;
    if (stepped) this.#steps += 1;
    if (stepped || !this.#synced()) this.#steadySinceMs = nowMs;
    return nowMs - this.#steadySinceMs >= STEADY_MS;
  }
}
