/**
 * Raises an incident when an object was put down in the zone and left behind. Its nature does not matter: it is a
 * static region that appeared while a person was beside it, and none of those people has stayed. The incident stays
 * active until the object is removed, also while others pass by.
 */

import type { AssociatedTrack, Observation, StaticRegion } from '../contract/observation.ts';
import type { IllegalDumping } from '../contract/rule-config.ts';
import type { Situation } from '../contract/situation.ts';
import { RaisedRegions } from './raised-regions.ts';
import type { Rule } from './rule.ts';

export class IllegalDumpingRule implements Rule {
  readonly config: IllegalDumping;
  readonly #regions = new RaisedRegions({
    associatedTrackOf: (region, atMs) => this.#dumpedBy(region, atMs),
    causeOf: (region, associatedTrack, atMs, timeOf) => ({
      depositTime: timeOf(region.firstMs),
      leftTime: timeOf(associatedTrack.leftMs),
      unattendedS: Math.round((atMs - Math.max(associatedTrack.leftMs, region.firstMs)) / 100) / 10,
    }),
    momentsOf: (region) => [
      { moment: 'before', atMs: region.beforeMs },
      { moment: 'deposit', atMs: region.firstMs },
    ],
  });

  constructor(config: IllegalDumping) {
    this.config = config;
  }

  observe(observation: Observation): Situation[] {
    return this.#regions.situations(observation);
  }

  /** Returns the track that left the region behind, if that was long enough ago. */
  #dumpedBy(region: StaticRegion, atMs: number): AssociatedTrack | undefined {
    const { zone, afterS, minAreaNorm } = this.config;
    const { kind, areaNorm, places, attended, seen: isSeen, associatedTrack, firstMs } = region;
    if (kind !== 'appeared' || areaNorm < minAreaNorm || attended || !isSeen) return undefined;
    if (!places.some((place) => place.zone === zone && place.standsIn)) return undefined;
    if (associatedTrack === undefined) return undefined;
    return atMs - Math.max(associatedTrack.leftMs, firstMs) >= afterS * 1000 ? associatedTrack : undefined;
  }
}
