/**
 * Raises an incident when many people stay in a zone. A passing stream is not a crowd: only people who hardly move
 * count. A rider detected as a bicycle or a motorcycle counts if the cycle has arrived and no one stands beside it, as
 * beside a parked one. The count is the median of the last two seconds. The threshold to end lies below the one to
 * start, so that one person who comes and goes does not cause two alerts.
 *
 * LIMITS: 512 riders, the maximum of an observation.
 */

import { ratioInside, type SizePx } from '../contract/geometry.ts';
import type { Observation, ObservedTrack } from '../contract/observation.ts';
import type { CrowdGathering } from '../contract/rule-config.ts';
import type { Situation } from '../contract/situation.ts';
import { Paths } from './paths.ts';
import type { Rule } from './rule.ts';
import { Succession } from './succession.ts';

/** Long enough for a walker to leave his place, short enough that people in a crowd keep their track. */
const PATH_MS = 3000;
/** A younger track has not yet shown whether it stays. */
const AGE_MIN_MS = 1000;
/**
 * Maximum speed of a person who stays, in body heights per second. Walking is 1.4 m/s (Bohannon 1997), which is 0.8
 * heights. A person who stands and shuffles stays below 0.3, as does the jitter of a box over a second.
 */
const STAYING_HEIGHTS_PER_S = 0.3;
/**
 * Window of the median, ms. People hide each other for about a second. The median ignores up to half of the window, and
 * follows a jump once the other half shows it.
 */
const MEDIAN_MS = 2000;
/**
 * Longest time for which a crowd may look too small before it is reported, ms. Two people who pass in front hide some
 * others in turn.
 */
const LAPSE_MAX_MS = 4000;
/**
 * Movement that shows a rider's arrival, in heights of the box: more than a box jitters. A parked bicycle has not
 * moved.
 */
const RIDDEN_HEIGHTS = 1;
/** A bicycle that has not moved for longer is parked. No red light and no talk in the saddle lasts longer. */
const RIDDEN_MAX_MS = 300_000;
/** Minimum overlap, as a ratio of the cycle's box, of a rider who is also detected as a person. */
const RIDER_RATIO_MIN = 0.2;
/** The crowd ends below this ratio of minCount. */
const END_RATIO = 0.7;

interface Ridden {
  /** Position in frame heights. */
  readonly x: number;
  readonly y: number;
  readonly movedMs: number;
  readonly isRidden: boolean;
}

/** Returns the area of the zone's ground, in m², for a camera of this frame size; undefined if unknown. */
export type MeasureZone = (source: SizePx) => number | undefined;

export class CrowdGatheringRule implements Rule {
  readonly config: CrowdGathering;
  readonly #measure: MeasureZone | undefined;
  readonly #paths = new Paths(PATH_MS);
  readonly #succession = new Succession();
  /** Oldest first. */
  readonly #counts: { readonly atMs: number; readonly count: number }[] = [];
  /** Bicycles and motorcycles by root number: the place from which they last moved, and when. */
  #cycles = new Map<number, Ridden>();
  #sinceMs: number | undefined;
  /** Time of the last sufficient count. */
  #enoughMs = 0;
  #isActive = false;
  #gatherings = 0;

  constructor(config: CrowdGathering, measure?: MeasureZone) {
    this.config = config;
    this.#measure = measure;
  }

  observe(observation: Observation): Situation[] {
    this.#paths.update(observation);
    this.#succession.update(observation);
    this.#followCycles(observation);
    const staying = observation.tracks.filter((track) => this.#stays(track, observation));
    const { atMs } = observation;
    const count = this.#median(staying.length, atMs);
    const { minCount, afterS } = this.config;
    const hasEnough = count >= minCount;
    if (hasEnough) {
      // The median lags by half of its window; the counts in it do not.
      this.#sinceMs ??= this.#counts.find((one) => one.count >= minCount)?.atMs ?? atMs;
      this.#enoughMs = atMs;
    } else if (this.#isActive ? count < END_RATIO * minCount : atMs - this.#enoughMs > LAPSE_MAX_MS) {
      this.#sinceMs = undefined;
    }
    const stayedMs = this.#sinceMs === undefined ? 0 : atMs - this.#sinceMs;
    const isBeginning = hasEnough && stayedMs >= afterS * 1000;
    const isActive = this.#sinceMs !== undefined && (this.#isActive || isBeginning);
    if (isActive && !this.#isActive) this.#gatherings += 1;
    this.#isActive = isActive;
    if (!isActive) return [];
    const areaM2 = this.#measure?.(observation.source);
    const cause = {
      count,
      dwellS: Math.round(stayedMs / 100) / 10,
      ...(areaM2 !== undefined && { peoplePerM2: Math.round((100 * count) / areaM2) / 100 }),
    };
    return [{ key: `gathering-${this.#gatherings}`, objects: staying, cause, momentary: false }];
  }

  /** Finds bicycles and motorcycles with a rider who is not also detected as a person. */
  #followCycles({ tracks, atMs, source }: Observation): void {
    const aspect = source.widthPx / source.heightPx;
    const people = tracks.filter(({ group }) => group === 'person');
    const before = this.#cycles;
    const roots = this.#succession.roots();
    this.#cycles = new Map([...before].filter(([root]) => roots.has(root)));
    for (const { id, label, ground, xyxyNorm } of tracks) {
      if (label !== 'bicycle' && label !== 'motorcycle') continue;
      const [x, y] = [ground[0] * aspect, ground[1]];
      const root = this.#succession.rootOf(id);
      const previous = before.get(root) ?? { x, y, movedMs: Number.NEGATIVE_INFINITY, isRidden: false };
      const hasMoved =
        Math.hypot(x - previous.x, y - previous.y) >= RIDDEN_HEIGHTS * (xyxyNorm[3] - xyxyNorm[1]);
      const from = hasMoved ? { x, y, movedMs: atMs } : previous;
      const hasDetectedRider = people.some(
        (person) => ratioInside(xyxyNorm, person.xyxyNorm) >= RIDER_RATIO_MIN,
      );
      this.#cycles.set(root, { ...from, isRidden: !hasDetectedRider && atMs - from.movedMs < RIDDEN_MAX_MS });
    }
  }

  #isRidden({ id }: ObservedTrack): boolean {
    return this.#cycles.get(this.#succession.rootOf(id))?.isRidden === true;
  }

  #stays(track: ObservedTrack, { atMs }: Observation): boolean {
    if (track.group !== 'person' && !this.#isRidden(track)) return false;
    if (!track.zones.some(({ zone }) => zone === this.config.zone)) return false;
    const path = this.#paths.of(track);
    const [first, last] = [path[0], path.at(-1)];
    if (first === undefined || last === undefined || atMs - track.firstMs < AGE_MIN_MS) return false;
    const heights = (track.xyxyNorm[3] - track.xyxyNorm[1]) * Math.max(1, (last.atMs - first.atMs) / 1000);
    // A person cut off by the frame's lower edge looks shorter, which errs towards "walks".
    return Math.hypot(last.x - first.x, last.y - first.y) < STAYING_HEIGHTS_PER_S * heights;
  }

  /** Returns the median of the last seconds including this count; of two middle values the greater. */
  #median(count: number, atMs: number): number {
    this.#counts.push({ atMs, count });
    while (atMs - (this.#counts[0]?.atMs ?? atMs) > MEDIAN_MS) this.#counts.shift();
    const sorted = this.#counts.map((one) => one.count).sort((a, b) => a - b);
    return sorted[Math.floor(sorted.length / 2)] ?? count;
  }
}
