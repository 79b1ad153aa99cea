/**
 * Computes quantiles of durations without storing each.
 *
 * LIMITS: durations from an hour on are counted by the minute, and those from 30 days on as 30 days. So at most 47,000
 * different values are stored.
 */
import type { Durations } from '../contract/week.ts';

const FINE_S = 3600;
const COARSE_S = 60;
const MAX_S = 30 * 86_400;

export class DurationCounts {
  readonly #counts = new Map<number, number>();
  #count = 0;

  /** Adds a duration in s. One below zero, after a clock was set back, counts as zero. */
  add(s: number): void {
    const wholeS = Math.min(Math.max(0, Math.round(s)), MAX_S);
    const countedS = wholeS < FINE_S ? wholeS : Math.round(wholeS / COARSE_S) * COARSE_S;
    this.#counts.set(countedS, (this.#counts.get(countedS) ?? 0) + 1);
    this.#count += 1;
  }

  result(): Durations {
    const sorted = [...this.#counts].sort(([a], [b]) => a - b);
    /** Nearest rank: the smallest duration that at least this ratio of all does not exceed. */
    const quantile = (ratio: number): number | null => {
      let restCount = Math.ceil(ratio * this.#count);
      for (const [s, count] of sorted) {
        restCount -= count;
        if (restCount <= 0) return s;
      }
      return null;
    };
    return { count: this.#count, medianS: quantile(0.5), p90S: quantile(0.9) };
  }
}
