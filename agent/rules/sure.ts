/** How sure the detector must have been of an object, once, before it may raise an alert. */
import type { ObjectGroup } from '../contract/label.ts';
import type { ObservedTrack } from '../contract/observation.ts';

/**
 * Of vehicles: boxes that appear under a shadow's edge, a change of focus or a part of a shop front have 0.2 to 0.35 at
 * best over the life of their track; of 116 tracks that drive through boulevard25, crosswalk, car-detection and
 * highway-320 at 5 frames a second 95 in 100 reach 0.37, and most of the rest are parts of a vehicle that is followed
 * as well. What is followed of the other groups has been surer than that from its beginning (the tracker's settings).
 */
const BEST_SCORE_MIN: Readonly<Partial<Record<ObjectGroup, number>>> = { vehicle: 0.35 };

export function isSure({ group, bestScore }: ObservedTrack): boolean {
  return bestScore >= (BEST_SCORE_MIN[group] ?? 0);
}
