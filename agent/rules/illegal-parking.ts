/**
 * Raises an incident when a vehicle stands in the zone for too long. The incident belongs to the place, which vision
 * follows through occlusion and changes of light, so that one parked car is one incident.
 *
 * A vehicle whose arrival was not seen is reported as `present-at-start` instead of an alert, unless one stood there
 * before a break. Nothing starts while the place is out of sight, because the hidden vehicle may have left.
 */

import type { Dwell } from '../contract/dwell.ts';
import type { Observation, StationaryVehicle } from '../contract/observation.ts';
import type { IllegalParking } from '../contract/rule-config.ts';
import type { Situation } from '../contract/situation.ts';
import { dwellOf, RememberedDwells } from './remembered-dwells.ts';
import type { Rule } from './rule.ts';
import { STATIONARY_SCORE_MIN } from './stationary-score.ts';

/** A vehicle at its place. */
interface Watched {
  readonly sinceMs: number;
  /** A vehicle stood here before a break, and this is the same one. */
  readonly resumed: boolean;
  /** Its arrival was seen, in this run or an earlier one. */
  arrived: boolean;
  /** Best score before a break. */
  readonly score: number;
  raised: boolean;
  last: Dwell;
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
    return [...new Set([...arrivedVehicles.map(({ last }) => last), ...this.#remembered.missing])];
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
      if (existing !== undefined) this.#remembered.forget(existing.last);
      const watched = existing ?? this.#begin(stationaryVehicle);
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

  #begin({ vehicle, arrival }: StationaryVehicle): Watched {
    const dwell = this.#remembered.take(vehicle);
    const sinceMs = Math.min(vehicle.firstMs, dwell?.sinceMs ?? vehicle.firstMs);
    const score = dwell?.score ?? 0;
    const last = dwell ?? dwellOf(vehicle, { sinceMs, seenMs: vehicle.lastMs, score });
    const resumed = dwell !== undefined;
    return { sinceMs, resumed, arrived: resumed || arrival !== 'unseen', score, raised: false, last };
  }

  #situation(stationaryVehicle: StationaryVehicle, watched: Watched, atMs: number): Situation[] {
    const { place, presence, vehicle } = stationaryVehicle;
    const { afterS, classes } = this.config;
    const { sinceMs, resumed } = watched;
    // A vehicle that stood here before a break was tracked then.
    const arrival = resumed ? 'followed' : stationaryVehicle.arrival;
    watched.arrived = arrival !== 'unseen';
    const score = Math.max(watched.score, vehicle.score);
    watched.last = dwellOf(vehicle, { sinceMs, score, seenMs: atMs });
    const labels: readonly string[] = classes;
    const stoodMs = atMs - sinceMs;
    // The label of a raised vehicle may change; it is still the same vehicle.
    const counts =
      labels.includes(vehicle.label) && score >= STATIONARY_SCORE_MIN[arrival] && presence !== 'hidden';
    if (stoodMs < afterS * 1000 || !(watched.raised || counts)) return [];
    watched.raised = true;
    const cause = { stationaryS: Math.round(stoodMs / 100) / 10, presence };
    const situation = { key: `place-${place}`, objects: [{ ...vehicle, score }], cause, momentary: false };
    return [watched.arrived ? situation : { ...situation, presentAtStart: true }];
  }
}
