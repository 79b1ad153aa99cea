/** Rounds shares so that a rounded one claims no more than the exact one. */

/**
 * A share in tenths of a percent, as a share again.
 * @param round down for what is claimed: only all of it is 100 %; up for what is missing: only none of it is 0 %
 */
export function roundedShare(share: number, round: 'down' | 'up'): number {
  // Sums of shares are off by less than this.
  const thousandths = Math.round(share * 1e9) / 1e6;
  return (round === 'down' ? Math.floor(thousandths) : Math.ceil(thousandths)) / 1000;
}
