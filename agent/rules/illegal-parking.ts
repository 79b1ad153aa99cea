/**
 * Raises an incident when a vehicle stands in the zone for too long. The incident belongs to the place, which vision
 * follows through occlusion and changes of light, so that one parked car is one incident.
 *
 * A vehicle whose arrival was not seen is reported as `present-at-start` instead of an alert, unless one stood there
 * before a break. Nothing starts while the place is out of sight, because the hidden vehicle may have left. After a
 * break, it may be another vehicle: the time continues, and the cause states how long no one saw it.
 */

import type { Dwell } from '../contract/dwell.ts';
import type { Observation, StationaryVehicle } from '../contract/observation.ts';
import type { IllegalParking } from '../contract/rule-config.ts';
import type { Situation } from '../contract/situation.ts';
import { continued, interruptionsOf, newDwell, RememberedDwells, secondsOf } from './remembered-dwells.ts';
import type { Rule } from './rule.ts';
import { STATIONARY_SCORE_MIN } from './stationary-score.ts';

/** A vehicle at its place. */
interface Watched {
  /** A vehicle stood here before a break, and this is the same one. */
  readonly resumed: boolean;
  /** Its arrival was seen, in this run or an earlier one. */
  arrived: boolean;
  raised: boolean;
  dwell: Dwell;
}

export class IllegalParkingRule implements Rule {
  readonly config: IllegalParking;
  readonly #remembered = new RememberedDwells();
  /** Vehicles by place. */
  #vehicles = new Map<number, Watched>();

  constructor(config: IllegalParking) {
    this.config = config;
  }

  get dwells(): readonly Dwell[] {
    const arrivedVehicles = [...this.#vehicles.values()].filter(({ arrived }) => arrived);
    return [...new Set([...arrivedVehicles.map(({ dwell }) => dwell), ...this.#remembered.missing])];
  }

  resume(dwells: readonly Dwell[]): void {
    this.#remembered.remember(dwells);
  }

  observe({ standing: stationaryVehicles, atMs }: Observation): Situation[] {
    this.#remembered.advance(atMs);
    const before = this.#vehicles;
    this.#vehicles = new Map();
    return stationaryVehicles.flatMap((stationaryVehicle) => {
      if (!this.#isWatched(stationaryVehicle)) return [];
      const existing = before.get(stationaryVehicle.place);
      if (existing !== undefined) this.#remembered.forget(existing.dwell);
      const watched = existing ?? this.#begin(stationaryVehicle, atMs);
      this.#vehicles.set(stationaryVehicle.place, watched);
      return this.#situation(stationaryVehicle, watched, atMs);
    });
  }

  #isWatched({ moveTolerance, vehicle }: StationaryVehicle): boolean {
    return (
      moveTolerance === this.config.moveTolerance &&
      vehicle.zones.some(({ zone }) => zone === this.config.zone)
    );
  }

  #begin({ vehicle, arrival }: StationaryVehicle, atMs: number): Watched {
    // It was observed again from its first detection on.
    const remembered = this.#remembered.take(vehicle, Math.min(vehicle.firstMs, atMs));
    const dwell = remembered ?? newDwell(vehicle, vehicle.firstMs, atMs);
    const resumed = remembered !== undefined;
    return {
      resumed,
      arrived: resumed || arrival !== 'unseen',
      raised: false,
      dwell: { ...dwell, seenMs: atMs },
    };
  }

  #situation(stationaryVehicle: StationaryVehicle, watched: Watched, atMs: number): Situation[] {
    const { place, presence, vehicle } = stationaryVehicle;
    const { afterS, classes } = this.config;
    // A vehicle that stood here before a break was tracked then.
    const arrival = watched.resumed ? 'followed' : stationaryVehicle.arrival;
    watched.arrived = arrival !== 'unseen';
    watched.dwell = continued(watched.dwell, vehicle, atMs);
    const { dwell } = watched;
    const { score } = dwell;
    const labels: readonly string[] = classes;
    // The label of a raised vehicle may change; it is still the same vehicle.
    const counts =
      labels.includes(vehicle.label) && score >= STATIONARY_SCORE_MIN[arrival] && presence !== 'hidden';
    const stoodMs = atMs - dwell.sinceMs;
    if (stoodMs < afterS * 1000 || !(watched.raised || counts)) return [];
    watched.raised = true;
    const cause = { stationaryS: secondsOf(stoodMs), ...interruptionsOf(dwell), presence };
    const situation = { key: `place-${place}`, objects: [{ ...vehicle, score }], cause, momentary: false };
    return [watched.arrived ? situation : { ...situation, presentAtStart: true }];
  }
}
