/**
 * Raises an incident when a vehicle has entered the zone and stayed for the set time. It must have been seen to move. A
 * car parked there before the box started belongs to the scene, like a kiosk that a small detector takes for a lorry.
 * Both would alert indefinitely.
 *
 * A vehicle that stands there since the start of analysis is `present-at-start`. This is a property of its place, whose
 * picture vision compares, and not of its track. A track may begin late or change its number by the rounding of one
 * score.
 */

import type { Dwell } from '../contract/dwell.ts';
import { iou, type SizePx, type XyxyNorm } from '../contract/geometry.ts';
import {
  type Observation,
  type ObservedTrack,
  PLACE_TOLERANCE,
  type StationaryVehicle,
} from '../contract/observation.ts';
import type { VehicleInPedestrianZone } from '../contract/rule-config.ts';
import type { Situation } from '../contract/situation.ts';
import { driveOf, Paths, sizeOf } from './paths.ts';
import { continued, interruptionsOf, newDwell, RememberedDwells, secondsOf } from './remembered-dwells.ts';
import type { Rule } from './rule.ts';
import { UNMOVED_SCORE_MIN } from './stationary-score.ts';
import { Succession } from './succession.ts';
import { isSure } from './sure.ts';
import { Witness } from './witnessed.ts';

/** Half of the box has moved on; the overlap of a standing vehicle's boxes stays above 0.7. */
const MOVED_IOU_MAX = 0.5;
/**
 * The vehicle must also have driven there. The box of a standing vehicle may change to a part of it and back, and a
 * track may jump from one false box to the next. A drive of a quarter of its longer side within 5 s is slower than
 * walking pace.
 */
const PATH_MS = 5000;
const DRIVE_MIN_SIZES = 0.25;
/** A stop at a crossing or to drop a passenger is shorter. */
const STATIONARY_MIN_MS = 10_000;

interface Vehicle {
  /** Box at the first sighting. */
  readonly first: XyxyNorm;
  /** It has moved since, or had before a break. */
  hasMoved: boolean;
  /** Dwell while it is in the zone. */
  last: Dwell | undefined;
}

export class VehicleInPedestrianZoneRule implements Rule {
  readonly config: VehicleInPedestrianZone;
  readonly #succession = new Succession();
  readonly #paths = new Paths(PATH_MS, new Witness());
  readonly #remembered = new RememberedDwells();
  /** Vehicles by root number. */
  readonly #vehicles = new Map<number, Vehicle>();
  /** Media time at which the rule started. */
  #beganMs: number | undefined;

  constructor(config: VehicleInPedestrianZone) {
    this.config = config;
  }

  get dwells(): readonly Dwell[] {
    const presentDwells = [...this.#vehicles.values()].flatMap(({ hasMoved, last }) =>
      hasMoved && last ? [last] : [],
    );
    return [...new Set([...presentDwells, ...this.#remembered.missing])];
  }

  resume(dwells: readonly Dwell[]): void {
    this.#remembered.remember(dwells);
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
    const situations = tracks.flatMap((track) => {
      if (track.group !== 'vehicle') return [];
      const root = this.#succession.rootOf(track.id);
      const vehicle = this.#vehicleOf(root, track, atMs);
      vehicle.hasMoved ||=
        track.seen && iou(vehicle.first, track.xyxyNorm) < MOVED_IOU_MAX && this.#drives(track, source);
      const presence = track.zones.find((z) => z.zone === zone);
      if (presence === undefined) {
        vehicle.last = undefined;
        return [];
      }
      vehicle.last = continued(vehicle.last ?? newDwell(track, presence.sinceMs, atMs), track, atMs);
      const counts = labels.includes(track.label) && vehicle.hasMoved && isSure(track);
      const stayedMs = atMs - vehicle.last.sinceMs;
      if (stayedMs < afterS * 1000 || !counts) return [];
      const cause = { dwellS: secondsOf(stayedMs), ...interruptionsOf(vehicle.last) };
      return [{ key: `track-${root}`, objects: [track], cause, momentary: false }];
    });
    return [...situations, ...this.#presentAtStart(observation)];
  }

  /**
   * Returns vehicles that have stood in the zone since before the rule could see their arrival, and have not moved
   * since.
   */
  #presentAtStart({ standing: stationaryVehicles, atMs }: Observation): Situation[] {
    return stationaryVehicles
      .filter((stationaryVehicle) => this.#wasThere(stationaryVehicle, atMs))
      .map(({ place, vehicle }) => ({
        key: `place-${place}`,
        objects: [vehicle],
        cause: { stationaryS: Math.round((atMs - vehicle.firstMs) / 100) / 10 },
        momentary: false,
        presentAtStart: true,
      }));
  }

  #wasThere({ arrival, moveTolerance, presence, vehicle }: StationaryVehicle, atMs: number): boolean {
    const { zone, classes, afterS } = this.config;
    const labels: readonly string[] = classes;
    if (moveTolerance !== PLACE_TOLERANCE || presence === 'hidden') return false;
    // A rule created while vision was running has not seen the arrival either.
    if (arrival !== 'unseen' && vehicle.firstMs > (this.#beganMs ?? atMs)) return false;
    if (vehicle.score < UNMOVED_SCORE_MIN || !labels.includes(vehicle.label)) return false;
    if (atMs - vehicle.firstMs < Math.max(STATIONARY_MIN_MS, afterS * 1000)) return false;
    const hasMoved = this.#vehicles.get(this.#succession.rootOf(vehicle.id))?.hasMoved ?? false;
    return !hasMoved && vehicle.zones.some((visit) => visit.zone === zone);
  }

  #vehicleOf(root: number, track: ObservedTrack, atMs: number): Vehicle {
    const existing = this.#vehicles.get(root);
    if (existing?.last !== undefined) this.#remembered.forget(existing.last);
    if (existing !== undefined) return existing;
    const last = this.#remembered.take(track, atMs);
    const vehicle = { first: track.xyxyNorm, hasMoved: last !== undefined, last };
    this.#vehicles.set(root, vehicle);
    return vehicle;
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
