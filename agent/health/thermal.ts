/**
 * Computes the number of steps by which to reduce the analysis rate, because the board is hot.
 *
 * INVARIANTS:
 * - Increases by one step at a time and at most every `UP_EVERY_MS`, so that a lower rate can take effect.
 * - Decreases by one when the board has been cooler by `COOLER_C` than that step's limit for `DOWN_AFTER_MS`.
 */

import { temperatureC } from './host.ts';

/** Temperature in °C from which each step applies. A Raspberry Pi 4 and 5 throttle at 80 and 85 °C; a Jetson later. */
const LIMITS_C = [75, 79, 82, 85] as const;
const COOLER_C = 4;
/** Minimum time between two increases in ms, within which a heat sink responds. */
const UP_EVERY_MS = 15_000;
const DOWN_AFTER_MS = 60_000;
const READ_EVERY_MS = 5000;

export class Thermal {
  readonly #sysClass: string | undefined;
  #readMs = Number.NEGATIVE_INFINITY;
  #steps = 0;
  #changedMs = Number.NEGATIVE_INFINITY;
  #coolSinceMs: number | undefined;

  /** `sysClass` contains `thermal` and `hwmon`, if it is not /sys/class. */
  constructor(sysClass?: string) {
    this.#sysClass = sysClass;
  }

  /** Returns the current steps, at a monotonic time; the sensors are read every READ_EVERY_MS. */
  steps(nowMs: number): number {
    if (nowMs - this.#readMs < READ_EVERY_MS) return this.#steps;
    this.#readMs = nowMs;
    const celsius = temperatureC(this.#sysClass);
    if (celsius === null) return this.#steps;
    const next = LIMITS_C[this.#steps];
    const own = LIMITS_C[this.#steps - 1];
    if (next !== undefined && celsius >= next) {
      this.#coolSinceMs = undefined;
      if (nowMs - this.#changedMs >= UP_EVERY_MS) this.#go(this.#steps + 1, nowMs);
    } else if (own !== undefined && celsius <= own - COOLER_C) {
      this.#coolSinceMs ??= nowMs;
      if (nowMs - this.#coolSinceMs >= DOWN_AFTER_MS) this.#go(this.#steps - 1, nowMs);
    } else {
      this.#coolSinceMs = undefined;
    }
    return this.#steps;
  }

  #go(steps: number, nowMs: number): void {
    this.#steps = steps;
    this.#changedMs = nowMs;
    this.#coolSinceMs = undefined;
  }
}
