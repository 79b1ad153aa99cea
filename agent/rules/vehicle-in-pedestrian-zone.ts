/**
 * A vehicle has come into the zone and has been there for so long. It must have been seen to move: a
 * parked car that was there before the box, and a kiosk that a small detector takes for a lorry, belong
 * to the scene, and a rule that took them for an arrival would alert for ever. What stands there from the first
 * seconds on is `present-at-start`.
 */

import type { Dwell } from '../contract/dwell.ts';
import { iou, type SizePx, type XyxyNorm } from '../contract/geometry.ts';
import type { Observation, ObservedTrack } from '../contract/observation.ts';
import type { VehicleInPedestrianZone } from '../contract/rule-config.ts';
import type { Situation } from '../contract/situation.ts';
import { driveOf, Paths, sizeOf } from './paths.ts';
import { dwellOf, RememberedDwells } from './remembered-dwells.ts';
import type { Rule } from './rule.ts';
import { UNMOVED_SCORE_MIN } from './standing-score.ts';
import { Succession } from './succession.ts';
import { isSure } from './sure.ts';

/** Half of the box has moved on: the jitter of a standing vehicle's box stays above 0.7. */
const MOVED_IOU_MAX = 0.5;
/**
 * … and it has driven there: the box of a standing vehicle may change to a part of it and back, and a track
 * may jump from one false box to the next. A drive of a quarter of its longer side within 5 s is slower than
 * walking pace.
 */
const LOOK_BACK_MS = 5000;
const DRIVE_MIN_SIZES = 0.25;
/** A detector finds what is there within so long, and what comes has moved when it is found (vision says the same of places). */
const FIRST_LOOK_MS = 7000;
/** A stop at a crossing or to let somebody out is shorter. */
const STANDS_FOR_MS = 10_000;

interface Vehicle {
  /** Where it was first seen. */
  readonly first: XyxyNorm;
  /** It has moved since, or had before a break. */
  moved: boolean;
  /** While it is in the zone. */
  last: Dwell | undefined;
}

export class VehicleInPedestrianZoneRule implements Rule {
  readonly config: VehicleInPedestrianZone;
  readonly #succession = new Succession();
  readonly #paths = new Paths(LOOK_BACK_MS);
  readonly #remembered = new RememberedDwells();
  /** By root number. */
  readonly #vehicles = new Map<number, Vehicle>();
  /** Media time at which the box began to look, or to look again. */
  #beganMs: number | undefined;

  constructor(config: VehicleInPedestrianZone) {
    this.config = config;
  }

  get dwells(): readonly Dwell[] {
    const here = [...this.#vehicles.values()].flatMap(({ moved, last }) => (moved && last ? [last] : []));
    return [...new Set([...here, ...this.#remembered.missing])];
  }

  resume(dwells: readonly Dwell[], anew: boolean): void {
    this.#remembered.remember(dwells);
    if (anew) this.#beganMs = undefined;
  }

  observe(observation: Observation): Situation[] {
    this.#beganMs ??= observation.atMs;
    this.#remembered.advance(observation.atMs);
    this.#succession.update(observation);
    this.#paths.update(observation);
    this.#forget();
    const { tracks, atMs, source } = observation;
    const { zone, classes, afterS } = this.config;
    const labels: readonly string[] = classes;
    return tracks.flatMap((track) => {
      if (track.group !== 'vehicle') return [];
      const root = this.#succession.rootOf(track.id);
      const vehicle = this.#vehicleOf(root, track);
      vehicle.moved ||=
        track.seen && iou(vehicle.first, track.xyxyNorm) < MOVED_IOU_MAX && this.#drives(track, source);
      const presence = track.zones.find((z) => z.zone === zone);
      if (presence === undefined) {
        vehicle.last = undefined;
        return [];
      }
      const score = Math.max(vehicle.last?.score ?? 0, track.score);
      const sinceMs = Math.min(vehicle.last?.sinceMs ?? presence.sinceMs, presence.sinceMs);
      vehicle.last = dwellOf(track, { sinceMs, seenMs: atMs, score });
      if (!labels.includes(track.label)) return [];
      const stayedMs = atMs - sinceMs;
      const present = !vehicle.moved && this.#wasThere(vehicle.last, track, atMs);
      if (stayedMs < afterS * 1000 || !((vehicle.moved && isSure(track)) || present)) return [];
      const seconds = Math.round(stayedMs / 100) / 10;
      const situation = { key: `track-${root}`, objects: [track], momentary: false };
      return [
        present
          ? { ...situation, cause: { stoodS: seconds }, presentAtStart: true }
          : { ...situation, cause: { stayedS: seconds } },
      ];
    });
  }

  #vehicleOf(root: number, track: ObservedTrack): Vehicle {
    const known = this.#vehicles.get(root);
    if (known?.last !== undefined) this.#remembered.forget(known.last);
    if (known !== undefined) return known;
    const last = this.#remembered.take(track);
    const vehicle = { first: track.xyxyNorm, moved: last !== undefined, last };
    this.#vehicles.set(root, vehicle);
    return vehicle;
  }

  /** It has stood in the zone since the box began to look. */
  #wasThere({ sinceMs, score }: Dwell, track: ObservedTrack, atMs: number): boolean {
    const beganMs = this.#beganMs ?? atMs;
    const stands = track.seen && score >= UNMOVED_SCORE_MIN && atMs - sinceMs >= STANDS_FOR_MS;
    return stands && track.firstMs - beganMs < FIRST_LOOK_MS && sinceMs - beganMs < FIRST_LOOK_MS;
  }

  #drives(track: ObservedTrack, source: SizePx): boolean {
    const travel = DRIVE_MIN_SIZES * sizeOf(track, source);
    return driveOf(this.#paths.of(track), travel, () => true) !== undefined;
  }

  #forget(): void {
    const roots = this.#succession.roots();
    for (const root of this.#vehicles.keys()) if (!roots.has(root)) this.#vehicles.delete(root);
  }
}
