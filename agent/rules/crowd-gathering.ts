/**
 * Many people stay in a zone. A stream that passes by is no crowd: only those count who hardly move.
 * The count is smoothed, and the threshold to end lies below the one to start, so that one person who
 * comes and goes does not make two alerts.
 */

import type { SizePx } from '../contract/geometry.ts';
import type { Observation, ObservedTrack } from '../contract/observation.ts';
import type { CrowdGathering } from '../contract/rule-config.ts';
import type { Situation } from '../contract/situation.ts';
import { Paths } from './paths.ts';
import type { Rule } from './rule.ts';

/** Long enough for a walker to leave his place, short enough that people in a crowd keep their track. */
const LOOK_BACK_MS = 3000;
/** A track younger than this has not shown yet whether it stays. */
const AGE_MIN_MS = 1000;
/**
 * Body heights per second. Walking is 1.4 m/s (Bohannon 1997), 0.8 heights; somebody who stands and
 * shuffles stays below 0.3, as does the jitter of a box over a second.
 */
const STAYING_HEIGHTS_PER_S = 0.3;
/** Time constant of the smoothed count: people hide each other for a second or two. */
const SMOOTH_MS = 4000;
/** An exponential mean comes near the true count but never reaches it: half a person counts as one. */
const ROUNDING = 0.5;
/** The crowd ends below this share of minCount. */
const END_SHARE = 0.7;

/** The zone's ground, m², seen by a camera of this frame size; undefined where it cannot be told. */
export type MeasureZone = (source: SizePx) => number | undefined;

export class CrowdGatheringRule implements Rule {
  readonly config: CrowdGathering;
  readonly #measure: MeasureZone | undefined;
  readonly #paths = new Paths(LOOK_BACK_MS);
  #smoothed = 0;
  #lastMs: number | undefined;
  #sinceMs: number | undefined;
  #standing = false;
  #gatherings = 0;

  constructor(config: CrowdGathering, measure?: MeasureZone) {
    this.config = config;
    this.#measure = measure;
  }

  observe(observation: Observation): Situation[] {
    this.#paths.update(observation);
    const staying = observation.tracks.filter((track) => this.#stays(track, observation));
    this.#smooth(staying.length, observation.atMs);
    const { minCount, afterS } = this.config;
    if (this.#smoothed >= minCount - ROUNDING) this.#sinceMs ??= observation.atMs;
    else if (!this.#standing || this.#smoothed < END_SHARE * minCount) this.#sinceMs = undefined;
    const stayedMs = this.#sinceMs === undefined ? 0 : observation.atMs - this.#sinceMs;
    const stands = this.#sinceMs !== undefined && (this.#standing || stayedMs >= afterS * 1000);
    if (stands && !this.#standing) this.#gatherings += 1;
    this.#standing = stands;
    if (!stands) return [];
    const areaM2 = this.#measure?.(observation.source);
    const cause = {
      count: Math.round(this.#smoothed),
      stayedS: Math.round(stayedMs / 100) / 10,
      ...(areaM2 !== undefined && { peoplePerM2: Math.round((100 * this.#smoothed) / areaM2) / 100 }),
    };
    return [{ key: `gathering-${this.#gatherings}`, objects: staying, cause, momentary: false }];
  }

  #stays(track: ObservedTrack, { atMs }: Observation): boolean {
    if (track.group !== 'person' || !track.zones.some(({ zone }) => zone === this.config.zone)) return false;
    const path = this.#paths.of(track);
    const [first, last] = [path[0], path.at(-1)];
    if (first === undefined || last === undefined || atMs - track.firstMs < AGE_MIN_MS) return false;
    const heights = (track.xyxyNorm[3] - track.xyxyNorm[1]) * Math.max(1, (last.atMs - first.atMs) / 1000);
    // A person cut off by the frame's lower edge looks shorter, which errs towards "walks".
    return Math.hypot(last.x - first.x, last.y - first.y) < STAYING_HEIGHTS_PER_S * heights;
  }

  #smooth(count: number, atMs: number): void {
    const dtMs = this.#lastMs === undefined ? 0 : atMs - this.#lastMs;
    this.#lastMs = atMs;
    this.#smoothed += (count - this.#smoothed) * (1 - Math.exp(-dtMs / SMOOTH_MS));
  }
}
