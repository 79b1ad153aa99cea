/** Confidence interval of a counted ratio. */
import { assert } from './errors.ts';

/** The 97.5 % point of the standard normal distribution: two-sided 95 %. */
export const Z_95 = 1.959963984540054;

export interface Interval {
  readonly low: number;
  readonly high: number;
}

/**
 * Returns the score interval for a ratio of `hits` in `tries` (whole numbers, 0 ≤ hits ≤ tries, tries ≥ 1).
 * E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", Journal of the American
 * Statistical Association 22 (1927), 209–212. The interval contains all ratios p for which |hits/tries − p| is at most
 * z standard errors √(p (1 − p) / tries). Unlike hits/tries ± z standard errors, it is sound for few tries and for
 * ratios near 0 and 1 (Brown, Cai and DasGupta, Statistical Science 16 (2001), 101–133).
 */
export function wilson(hits: number, tries: number): Interval {
  const areIntegers = Number.isInteger(hits) && Number.isInteger(tries);
  assert(areIntegers && hits >= 0 && tries >= 1 && hits <= tries, `not a ratio: ${hits} of ${tries}`);
  const ratio = hits / tries;
  const z2 = Z_95 ** 2 / tries;
  const middle = (ratio + z2 / 2) / (1 + z2);
  const half = Math.sqrt(z2 * (ratio * (1 - ratio) + z2 / 4)) / (1 + z2);
  return {
    // Exact at the ends, where rounding could leave 1e-17 on the wrong side.
    low: hits === 0 ? 0 : Math.max(0, middle - half),
    high: hits === tries ? 1 : Math.min(1, middle + half),
  };
}

/** Rounds to three decimals, more than such counts can resolve. */
export function compact(ratio: number): number {
  return Math.round(ratio * 1000) / 1000;
}
