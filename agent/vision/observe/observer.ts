/**
 * Makes the observation of a frame, vision's complete result:
 *
 *   Frame, Look ─▶ pixel motion, static false positives ─▶ track places ─┐
 *          ├─────▶ parked vehicles ──────────────────────────────────────┤
 *          ├─────▶ static regions ───────────────────────────────────────┼─▶ Observation
 *          ├─────▶ camera conditions ────────────────────────────────────┘
 *          └─────▶ moving cells ─────────────────────────────────────────▶ Foreground, for the redactor
 *
 * INVARIANTS: only results that the settings request are computed; all times are media times.
 */

import { type CameraCondition, isBlinding } from '../../contract/condition.ts';
import { iou } from '../../contract/geometry.ts';
import { UNKNOWN } from '../../contract/label.ts';
import type { VisionLimit, VisionSettings } from '../../contract/link.ts';
import {
  type Observation,
  type ObservedTrack,
  PLACE_TOLERANCE,
  STATIONARY_MAX,
  type StationaryVehicle,
} from '../../contract/observation.ts';
import type { Foreground, Frame, FrameAnalysis, Track } from '../../contract/picture.ts';
import { CameraConditions } from './condition.ts';
import { MovingCells } from './moving.ts';
import { PixelMotion } from './pixel-motion.ts';
import { SceneObserver } from './scene.ts';
import { StaticFalsePositives } from './static-false-positives.ts';
import { StationaryVehicles } from './stationary-vehicles.ts';
import { type PlacedTrack, TrackPlaces } from './track-places.ts';
import type { UnclassifiedObject } from './unclassified-motion.ts';
import { VehicleColours } from './vehicle-colour.ts';

/** First ID of unclassified motion, above all track IDs, which begin below 2⁴⁰. */
const UNNAMED_FROM = 2 ** 41;
/** Tolerance that decides when the detector runs; the same whichever rules run. */
const WAITING_TOLERANCE = PLACE_TOLERANCE;

export type ObserverOptions = Pick<
  VisionSettings,
  'zones' | 'lines' | 'moveTolerances' | 'knownView' | 'regions' | 'vehicleColours'
>;

type ObserverLimit = Extract<
  VisionLimit,
  | 'crossings_dropped'
  | 'static_false_positives_dropped'
  | 'grounds_dropped'
  | 'standing_places_dropped'
  | 'static_regions_dropped'
  | 'associated_track_places_dropped'
>;

export class Observer {
  readonly #pixels = new PixelMotion();
  readonly #staticFalsePositives = new StaticFalsePositives();
  readonly #places: TrackPlaces;
  /**
   * Parked vehicles with the tolerance that decides when the detector runs; the others serve rules that request them.
   */
  readonly #waiting: StationaryVehicles;
  readonly #stationary: ReadonlyMap<number, StationaryVehicles>;
  readonly #moveTolerances: ReadonlySet<number>;
  #placesGiven = 0;
  #stationaryDropped = 0;
  readonly #scene: SceneObserver | undefined;
  readonly #conditions: CameraConditions;
  readonly #moving = new MovingCells();
  /** Undefined if colour names are not allowed. */
  readonly #colours: VehicleColours | undefined;
  #foreground: Foreground | undefined;
  #blind = false;

  constructor(options: ObserverOptions) {
    const { zones, lines, moveTolerances, knownView, regions, vehicleColours } = options;
    this.#places = new TrackPlaces({ zones, lines });
    this.#moveTolerances = new Set(moveTolerances);
    const nextPlace = (): number => ++this.#placesGiven;
    const newVehicles = (moveTolerance: number): StationaryVehicles =>
      new StationaryVehicles({ zones, moveTolerance, nextPlace });
    this.#waiting = newVehicles(WAITING_TOLERANCE);
    const otherTolerances = moveTolerances.filter((moveTolerance) => moveTolerance !== WAITING_TOLERANCE);
    this.#stationary = new Map([
      [WAITING_TOLERANCE, this.#waiting],
      ...otherTolerances.map((one) => [one, newVehicles(one)] as const),
    ]);
    this.#scene = regions ? new SceneObserver({ zones }) : undefined;
    this.#conditions = new CameraConditions({ knownView, zones });
    this.#colours = vehicleColours === true ? new VehicleColours() : undefined;
  }

  /** Takes the next frame and its detections and tracks. */
  observationOf(frame: Frame, { detectorRan, detections, tracks, features }: FrameAnalysis): Observation {
    const { index, atMs, wallMs, source } = frame;
    const moving = this.#pixels.update(frame, tracks);
    const staticFalsePositives = this.#staticFalsePositives.update(frame, tracks, moving);
    const foreground = this.#moving.update(frame);
    const isNew = foreground !== this.#foreground;
    this.#foreground = foreground;
    const camera = this.#conditions.update(frame, detections, { detectorRan, foreground });
    this.#followSight(camera);
    const { unknown } = this.#conditions;
    const placed = unknown.length === 0 ? tracks : [...tracks, ...unnamed(unknown, tracks, atMs)];
    const { tracks: observed, crossings } = this.#places.update(frame, placed, {
      moving,
      staticFalsePositives,
    });
    this.#nameColours(frame, tracks, observed, isNew);
    const observation: Observation = {
      frame: index,
      atMs,
      wallMs,
      source: { widthPx: source.widthPx, heightPx: source.heightPx },
      tracks: observed,
      crossings,
      standing: this.#stationaryIn(frame, { detectorRan, detections, tracks }),
    };
    if (!detectorRan) observation.looked = detectorRan;
    if (this.#scene !== undefined)
      observation.regions = this.#scene.update(frame, tracks, detections, features);
    observation.camera = camera;
    const { blindZones } = this.#conditions;
    if (blindZones.length > 0) observation.blindZones = blindZones;
    return observation;
  }

  /** Adds the colour names of vehicles. An old foreground does not match this frame, and a blind camera has none. */
  #nameColours(
    frame: Frame,
    tracks: readonly Track[],
    observed: readonly ObservedTrack[],
    isNew: boolean,
  ): void {
    const colours = this.#colours;
    if (colours === undefined) return;
    const foreground = isNew && !this.#blind ? this.#foreground : undefined;
    colours.update(frame, tracks, { foreground, light: this.#conditions.light });
    for (const track of observed) {
      const names = colours.namesOf(track.id);
      if (names.length > 0) track.colours = [...names];
    }
  }

  /** Restarts the arrivals when the camera sees again, because any vehicle may have come meanwhile. */
  #followSight(conditions: readonly CameraCondition[]): void {
    const blind = conditions.length > 0 && conditions.some(isBlinding);
    if (this.#blind && !blind) for (const vehicles of this.#stationary.values()) vehicles.viewReturns();
    this.#blind = blind;
  }

  /** Returns the parked vehicles. Each tolerance has its own places, independent of the others. */
  #stationaryIn(frame: Frame, { detectorRan, detections, tracks }: FrameAnalysis): StationaryVehicle[] {
    const all: StationaryVehicle[] = [];
    for (const places of this.#stationary.values()) {
      const stationary = places.update(frame, tracks, detections, detectorRan);
      if (this.#moveTolerances.has(places.moveTolerance)) all.push(...stationary);
    }
    if (all.length > STATIONARY_MAX) {
      this.#stationaryDropped += all.length - STATIONARY_MAX;
      all.length = STATIONARY_MAX;
    }
    return all;
  }

  /** Foreground of the last frame: the cells that differ from the learnt street. */
  get foreground(): Foreground | undefined {
    return this.#foreground;
  }

  /** Reports whether a vehicle may have stopped, so that the detector should run on the next frame. */
  waits(atMs: number): boolean {
    return this.#waiting.waits(atMs);
  }

  /** True if no condition of the camera is active or has begun. */
  get settled(): boolean {
    return this.#conditions.settled;
  }

  /** Media times whose stills are still needed as evidence. */
  get pinnedMs(): readonly number[] {
    return this.#scene?.pinnedMs ?? [];
  }

  /** Counts of results that were dropped because there were too many. */
  get limits(): Record<ObserverLimit, number> {
    const { regions = 0, places = 0, features = 0 } = this.#scene?.droppedCounts ?? {};
    return {
      crossings_dropped: this.#places.crossingsDropped,
      static_false_positives_dropped: this.#staticFalsePositives.droppedPlaces,
      grounds_dropped: features,
      standing_places_dropped: [...this.#stationary.values()].reduce(
        (sum, { droppedCandidates }) => sum + droppedCandidates,
        this.#stationaryDropped,
      ),
      static_regions_dropped: regions,
      associated_track_places_dropped: places,
    };
  }

  /** Returns the data of the camera's view when it is due to be sent; otherwise undefined. */
  viewToTell(): VisionSettings['knownView'] {
    return this.#conditions.viewToTell();
  }

  /** Takes a person's confirmation that the present view is the right one. */
  confirmView(): void {
    this.#conditions.confirm();
  }
}

/** Returns unclassified motion as objects, except where a track overlaps. */
function unnamed(
  unclassified: readonly UnclassifiedObject[],
  tracks: readonly Track[],
  atMs: number,
): PlacedTrack[] {
  return unclassified
    .filter(({ xyxyPx }) => !tracks.some((track) => iou(track.xyxyPx, xyxyPx) > 0))
    .map(({ id, ...object }) => ({
      ...object,
      id: UNNAMED_FROM + id,
      group: UNKNOWN,
      label: UNKNOWN,
      score: 0,
      bestScore: 0,
      seen: object.lastMs === atMs,
    }));
}
