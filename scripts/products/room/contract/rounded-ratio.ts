/** Rounds ratios so that the rounded value never claims more than the exact one. */

/**
 * Rounds a ratio to tenths of a percent. The result is again a ratio (0 to 1).
 *
 * @param round `down` for a claimed part, so that 100 % means all of it; `up` for a missing part, so that 0 % means
 * none
 */
export function roundedRatio(ratio: number, round: 'down' | 'up'): number {
  // Errors of summed ratios stay below 1e-9.
  const thousandths = Math.round(ratio * 1e9) / 1e6;
  return (round === 'down' ? Math.floor(thousandths) : Math.ceil(thousandths)) / 1000;
}
