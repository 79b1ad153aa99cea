/** Minimum scores of stopped vehicles, below which a rule ignores them. */

import type { StationaryVehicle } from '../contract/observation.ts';

/**
 * Minimum best score of a vehicle that was never seen to move. After as many detector runs, the scores of trunks, kerbs
 * and shadows in a street reach .44 (boulevard25). Above this value a calibrated detector is more often right than
 * wrong.
 */
export const UNMOVED_SCORE_MIN = 0.5;

/**
 * Minimum best score of a stopped vehicle, by how it arrived. A change of its place is independent evidence, so the
 * detector's start threshold (its model card) suffices. A car seen from straight above scores at most .32
 * (parked-car-composed). Shadow edges and noise usually score .2.
 */
export const STATIONARY_SCORE_MIN: Readonly<Record<StationaryVehicle['arrival'], number>> = {
  followed: 0.3,
  appeared: 0.3,
  unseen: UNMOVED_SCORE_MIN,
};
