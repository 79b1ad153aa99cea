/**
 * Many people stay in a zone. A stream that passes by is no crowd: only those count who hardly move. Who rides is one
 * of them, boxed as a bicycle or a motorcycle: one that has come and that nobody stands beside, as beside a parked one.
 * The count is the median of the last two seconds, and the threshold to end lies below the one to start, so that one
 * person who comes and goes does not make two alerts.
 *
 * LIMITS: 512 riders are followed, as many as an observation holds.
 */

import { type SizePx, shareInside } from '../contract/geometry.ts';
import type { Observation, ObservedTrack } from '../contract/observation.ts';
import type { CrowdGathering } from '../contract/rule-config.ts';
import type { Situation } from '../contract/situation.ts';
import { Paths } from './paths.ts';
import type { Rule } from './rule.ts';
import { Succession } from './succession.ts';

/** Long enough for a walker to leave his place, short enough that people in a crowd keep their track. */
const LOOK_BACK_MS = 3000;
/** A track younger than this has not shown yet whether it stays. */
const AGE_MIN_MS = 1000;
/**
 * Body heights per second. Walking is 1.4 m/s (Bohannon 1997), 0.8 heights; somebody who stands and
 * shuffles stays below 0.3, as does the jitter of a box over a second.
 */
const STAYING_HEIGHTS_PER_S = 0.3;
/**
 * People hide each other for a second or so: the median of so long is deaf to half of it, and follows a jump as soon as
 * the other half shows it.
 */
const MEDIAN_MS = 2000;
/** Before it is told, a crowd may look too small for so long: two who pass before it hide some one after the other. */
const LAPSE_MAX_MS = 4000;
/** Whoever rides up has moved by more than a box jitters, in heights of the box; a parked bicycle has not. */
const RIDDEN_HEIGHTS = 1;
/** A bicycle that has not moved for longer is parked: no red light and no talk in the saddle lasts so long. */
const RIDDEN_MAX_MS = 300_000;
/** A rider who is boxed as a person too covers so much of the cycle's box. */
const RIDER_SHARE_MIN = 0.2;
/** The crowd ends below this share of minCount. */
const END_SHARE = 0.7;

interface Ridden {
  /** In frame heights. */
  readonly x: number;
  readonly y: number;
  readonly movedMs: number;
  readonly ridden: boolean;
}

/** The zone's ground, m², seen by a camera of this frame size; undefined where it cannot be told. */
export type MeasureZone = (source: SizePx) => number | undefined;

export class CrowdGatheringRule implements Rule {
  readonly config: CrowdGathering;
  readonly #measure: MeasureZone | undefined;
  readonly #paths = new Paths(LOOK_BACK_MS);
  readonly #succession = new Succession();
  /** Oldest first. */
  readonly #counts: { readonly atMs: number; readonly count: number }[] = [];
  /** Bicycles and motorcycles by root number: where they were last seen to have moved from, and when. */
  #cycles = new Map<number, Ridden>();
  #sinceMs: number | undefined;
  /** When there were enough last. */
  #enoughMs = 0;
  #standing = false;
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
    const enough = count >= minCount;
    if (enough) {
      // The median is half of its time late, what it is made of is not.
      this.#sinceMs ??= this.#counts.find((one) => one.count >= minCount)?.atMs ?? atMs;
      this.#enoughMs = atMs;
    } else if (this.#standing ? count < END_SHARE * minCount : atMs - this.#enoughMs > LAPSE_MAX_MS) {
      this.#sinceMs = undefined;
    }
    const stayedMs = this.#sinceMs === undefined ? 0 : atMs - this.#sinceMs;
    const begins = enough && stayedMs >= afterS * 1000;
    const stands = this.#sinceMs !== undefined && (this.#standing || begins);
    if (stands && !this.#standing) this.#gatherings += 1;
    this.#standing = stands;
    if (!stands) return [];
    const areaM2 = this.#measure?.(observation.source);
    const cause = {
      count,
      stayedS: Math.round(stayedMs / 100) / 10,
      ...(areaM2 !== undefined && { peoplePerM2: Math.round((100 * count) / areaM2) / 100 }),
    };
    return [{ key: `gathering-${this.#gatherings}`, objects: staying, cause, momentary: false }];
  }

  /** Which bicycles and motorcycles have somebody on them who is not boxed as a person too. */
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
      const known = before.get(root) ?? { x, y, movedMs: Number.NEGATIVE_INFINITY, ridden: false };
      const moved = Math.hypot(x - known.x, y - known.y) >= RIDDEN_HEIGHTS * (xyxyNorm[3] - xyxyNorm[1]);
      const from = moved ? { x, y, movedMs: atMs } : known;
      const beside = people.some((person) => shareInside(xyxyNorm, person.xyxyNorm) >= RIDER_SHARE_MIN);
      this.#cycles.set(root, { ...from, ridden: !beside && atMs - from.movedMs < RIDDEN_MAX_MS });
    }
  }

  #isRidden({ id }: ObservedTrack): boolean {
    return this.#cycles.get(this.#succession.rootOf(id))?.ridden === true;
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

  /** Of the last seconds, this count among them; of two in the middle the greater one. */
  #median(count: number, atMs: number): number {
    this.#counts.push({ atMs, count });
    while (atMs - (this.#counts[0]?.atMs ?? atMs) > MEDIAN_MS) this.#counts.shift();
    const sorted = this.#counts.map((one) => one.count).sort((a, b) => a - b);
    return sorted[Math.floor(sorted.length / 2)] ?? count;
  }
}
