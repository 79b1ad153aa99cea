/**
 * Raises an event when a vehicle travels against the zone's direction. It evaluates the path of the last seconds
 * instead of single frames: a box jitters, and two cars that swap numbers make one jump.
 */

import type { SizePx } from '../contract/geometry.ts';
import type { Observation, ObservedTrack } from '../contract/observation.ts';
import type { WrongWay } from '../contract/rule-config.ts';
import type { Situation } from '../contract/situation.ts';
import { apartDeg, type Drive, driveOf, Paths, sizeOf } from './paths.ts';
import type { Rule } from './rule.ts';
import { isSure } from './sure.ts';
import { Witness } from './witnessed.ts';

/** Time in which a car at walking pace (the slowest relevant speed) covers a tenth of the frame's height. */
const PATH_MS = 5000;
/**
 * Minimum way in box sizes. A moving vehicle's box is wrong by up to a tenth of its size (0.05, standard deviation).
 * Over half of its own length that makes 15 degrees; over less, its direction is unknown.
 */
const TRAVEL_MIN_SIZES = 0.5;

export class WrongWayRule implements Rule {
  readonly config: WrongWay;
  readonly #paths = new Paths(PATH_MS, new Witness());
  /** Tracks that were found against the direction, until they end. */
  #wrong = new Set<number>();

  constructor(config: WrongWay) {
    this.config = config;
  }

  observe(observation: Observation): Situation[] {
    this.#paths.update(observation);
    const { zone, classes } = this.config;
    const labels: readonly string[] = classes;
    const wrong = new Set<number>();
    const situations = observation.tracks.flatMap((track): Situation[] => {
      if (!track.zones.some((z) => z.zone === zone) || !labels.includes(track.label) || !isSure(track))
        return [];
      const way = this.#wayAgainst(track, observation.source);
      if (way === undefined && !this.#wrong.has(track.id)) return [];
      wrong.add(track.id);
      const cause =
        way === undefined
          ? {}
          : { headingDeg: Math.round((way.headingDeg + 360) % 360), travel: round(way.travel) };
      return [{ key: `track-${track.id}`, objects: [track], cause, momentary: false }];
    });
    this.#wrong = wrong;
    return situations;
  }

  /** Returns the way that the track has gone against the direction up to now, if it is long enough. */
  #wayAgainst(track: ObservedTrack, source: SizePx): Drive | undefined {
    const { directionDeg, toleranceDeg, minTravel } = this.config;
    const travel = Math.max(minTravel, TRAVEL_MIN_SIZES * sizeOf(track, source));
    return driveOf(this.#paths.of(track), travel, (deg) => apartDeg(deg, directionDeg + 180) <= toleranceDeg);
  }
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
