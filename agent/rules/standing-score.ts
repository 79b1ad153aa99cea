import type { StandingVehicle } from '../contract/observation.ts';

/**
 * What nobody has seen move must have scored so much once: with as many looks as it has had, the scores of trunks, kerbs
 * and shadows of a street reach .44 (boulevard25). From here on a calibrated detector is more often right than wrong.
 */
export const UNMOVED_SCORE_MIN = 0.5;

/**
 * The least best score of a vehicle that stands, by how it came. That its place has changed is a witness of its own, so
 * the detector's start threshold (its model card) is enough: a car from straight above has no more than .32
 * (parked-car-composed), and what shadow edges and noise make as a rule .2.
 */
export const STANDING_SCORE_MIN: Readonly<Record<StandingVehicle['arrival'], number>> = {
  followed: 0.3,
  appeared: 0.3,
  unseen: UNMOVED_SCORE_MIN,
};
