/**
 * Raises an incident when a wall looks permanently different after a person was beside it long enough. The module that
 * finds the region has already excluded light, shadow and moving pictures.
 */

import type { AssociatedTrack, Observation, StaticRegion } from '../contract/observation.ts';
import type { Graffiti } from '../contract/rule-config.ts';
import type { Situation } from '../contract/situation.ts';
import { RaisedRegions } from './raised-regions.ts';
import type { Rule } from './rule.ts';

/** A region belongs to the wall on which most of it lies. */
const RATIO_MIN = 0.5;
/** Minimum area of a tag as a ratio of the frame. Smaller regions are indistinguishable from a codec's blocks. */
const AREA_MIN_NORM = 0.0005;
/** An object that a person only held against the wall disappears with the person, within this time. */
const AFTER_LEFT_MS = 2000;

export class GraffitiRule implements Rule {
  readonly config: Graffiti;
  readonly #regions = new RaisedRegions({
    associatedTrackOf: (region, atMs) => this.#drawnBy(region, atMs),
    causeOf: (region, associatedTrack, _atMs, timeOf) => ({
      nearbyS: Math.round(associatedTrack.besideMs / 100) / 10,
      beforeTime: timeOf(region.beforeMs),
      changeTime: timeOf(region.firstMs),
      doneTime: timeOf(region.grownMs),
    }),
    momentsOf: (region) => [{ moment: 'before', atMs: region.beforeMs }],
  });

  constructor(config: Graffiti) {
    this.config = config;
  }

  observe(observation: Observation): Situation[] {
    return this.#regions.situations(observation);
  }

  /**
   * Returns the track that was beside the place long enough, if the place has changed and stayed so after the track
   * left.
   */
  #drawnBy(region: StaticRegion, atMs: number): AssociatedTrack | undefined {
    const { zone, dwellS, persistS } = this.config;
    const { kind, places, associatedTrack, grownMs, areaNorm, attended, seen: isSeen } = region;
    if (kind === 'removed' || attended || !isSeen) return undefined;
    if (areaNorm < AREA_MIN_NORM) return undefined;
    if (associatedTrack === undefined || associatedTrack.besideMs < dwellS * 1000) return undefined;
    if (!places.some((place) => place.zone === zone && place.share >= RATIO_MIN)) return undefined;
    const stays = atMs - grownMs >= persistS * 1000 && atMs - associatedTrack.leftMs >= AFTER_LEFT_MS;
    return stays ? associatedTrack : undefined;
  }
}
