/**
 * A vehicle has come into the zone and has been there for so long. It must have been seen to move: a
 * parked car that was there before the box, and a kiosk that a small detector takes for a lorry, belong
 * to the scene, and a rule that took them for an arrival would alert for ever.
 */

import { iou, type SizePx, type XyxyNorm } from '../contract/geometry.ts';
import type { Observation, ObservedTrack } from '../contract/observation.ts';
import type { VehicleInPedestrianZone } from '../contract/rule-config.ts';
import type { Situation } from '../contract/situation.ts';
import { driveOf, Paths, sizeOf } from './paths.ts';
import type { Rule } from './rule.ts';
import { Succession } from './succession.ts';

/** Half of the box has moved on: the jitter of a standing vehicle's box stays above 0.7. */
const MOVED_IOU_MAX = 0.5;
/**
 * … and it has driven there: the box of a standing vehicle may change to a part of it and back, and a track
 * may jump from one false box to the next. A drive of a quarter of its longer side within 5 s is slower than
 * walking pace.
 */
const LOOK_BACK_MS = 5000;
const DRIVE_MIN_SIZES = 0.25;

export class VehicleInPedestrianZoneRule implements Rule {
  readonly config: VehicleInPedestrianZone;
  readonly #succession = new Succession();
  readonly #paths = new Paths(LOOK_BACK_MS);
  /** By root number: where it was first seen, and whether it has moved since. */
  readonly #vehicles = new Map<number, { readonly first: XyxyNorm; moved: boolean }>();

  constructor(config: VehicleInPedestrianZone) {
    this.config = config;
  }

  observe(observation: Observation): Situation[] {
    this.#succession.update(observation);
    this.#paths.update(observation);
    this.#forget();
    const { tracks, atMs, source } = observation;
    const { zone, classes, afterS } = this.config;
    const labels: readonly string[] = classes;
    return tracks.flatMap((track) => {
      if (track.group !== 'vehicle') return [];
      const root = this.#succession.rootOf(track.id);
      const vehicle = this.#vehicles.get(root) ?? { first: track.xyxyNorm, moved: false };
      vehicle.moved ||=
        track.seen && iou(vehicle.first, track.xyxyNorm) < MOVED_IOU_MAX && this.#drives(track, source);
      this.#vehicles.set(root, vehicle);
      const presence = track.zones.find((z) => z.zone === zone);
      if (presence === undefined || !vehicle.moved || !labels.includes(track.label)) return [];
      const stayedMs = atMs - presence.sinceMs;
      if (stayedMs < afterS * 1000) return [];
      const cause = { stayedS: Math.round(stayedMs / 100) / 10 };
      return [{ key: `track-${root}`, objects: [track], cause, momentary: false }];
    });
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
