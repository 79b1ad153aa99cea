/**
 * What vision says of a frame, all of it:
 *
 *   Frame, Look ─▶ pixel motion, furniture ─▶ track places ─┐
 *          ├─────▶ standing vehicles ───────────────────────┤
 *          ├─────▶ static regions ──────────────────────────┼─▶ Observation
 *          ├─────▶ camera conditions ───────────────────────┘
 *          └─────▶ moving cells ────────────────────────────▶ Foreground, for the redactor
 *
 * INVARIANTS: only what the settings ask for is looked for; all times are media times.
 */

import { type CameraCondition, isBlinding } from '../../contract/condition.ts';
import { iou } from '../../contract/geometry.ts';
import { UNKNOWN } from '../../contract/label.ts';
import type { VisionLimit, VisionSettings } from '../../contract/link.ts';
import {
  type Observation,
  type ObservedTrack,
  PLACE_TOLERANCE,
  STANDING_MAX,
  type StandingVehicle,
} from '../../contract/observation.ts';
import type { Foreground, Frame, Look, Track } from '../../contract/picture.ts';
import { CameraConditions } from './condition.ts';
import { Furniture } from './furniture.ts';
import { MovingCells } from './moving.ts';
import type { UnknownMover } from './passages.ts';
import { PixelMotion } from './pixel-motion.ts';
import { SceneObserver } from './scene.ts';
import { StandingVehicles } from './standing.ts';
import { type PlacedTrack, TrackPlaces } from './track-places.ts';
import { VehicleColours } from './vehicle-colour.ts';

/** Above all numbers of tracks, which begin below 2⁴⁰. */
const UNNAMED_FROM = 2 ** 41;
/** One and the same whichever rules run, since it decides what the detector looks at. */
const WAITING_TOLERANCE = PLACE_TOLERANCE;

export type ObserverOptions = Pick<
  VisionSettings,
  'zones' | 'lines' | 'moveTolerances' | 'knownView' | 'regions' | 'vehicleColours'
>;

type ObserverLimit = Extract<
  VisionLimit,
  | 'crossings_dropped'
  | 'furniture_dropped'
  | 'grounds_dropped'
  | 'standing_places_dropped'
  | 'static_regions_dropped'
  | 'carrier_places_dropped'
>;

export class Observer {
  readonly #pixels = new PixelMotion();
  readonly #furniture = new Furniture();
  readonly #places: TrackPlaces;
  /** Of the tolerance that decides when to look; the others are for rules that ask for them. */
  readonly #waiting: StandingVehicles;
  readonly #standing: ReadonlyMap<number, StandingVehicles>;
  readonly #wanted: ReadonlySet<number>;
  #placesGiven = 0;
  #standingCut = 0;
  readonly #scene: SceneObserver | undefined;
  readonly #conditions: CameraConditions;
  readonly #moving = new MovingCells();
  /** Undefined where no name of a colour may be told. */
  readonly #colours: VehicleColours | undefined;
  #foreground: Foreground | undefined;
  #blind = false;

  constructor(options: ObserverOptions) {
    const { zones, lines, moveTolerances, knownView, regions, vehicleColours } = options;
    this.#places = new TrackPlaces({ zones, lines });
    this.#wanted = new Set(moveTolerances);
    const nextPlace = (): number => ++this.#placesGiven;
    const standing = (moveTolerance: number): StandingVehicles =>
      new StandingVehicles({ zones, moveTolerance, nextPlace });
    this.#waiting = standing(WAITING_TOLERANCE);
    const others = moveTolerances.filter((moveTolerance) => moveTolerance !== WAITING_TOLERANCE);
    this.#standing = new Map([
      [WAITING_TOLERANCE, this.#waiting],
      ...others.map((one) => [one, standing(one)] as const),
    ]);
    this.#scene = regions ? new SceneObserver({ zones }) : undefined;
    this.#conditions = new CameraConditions({ known: knownView, zones });
    this.#colours = vehicleColours === true ? new VehicleColours() : undefined;
  }

  /** Takes the next frame and what is known to be in it. */
  observationOf(frame: Frame, { looked, found, tracks, features }: Look): Observation {
    const { index, atMs, wallMs, source } = frame;
    const moving = this.#pixels.update(frame, tracks);
    const furniture = this.#furniture.update(frame, tracks, moving);
    const foreground = this.#moving.update(frame);
    const isFresh = foreground !== this.#foreground;
    this.#foreground = foreground;
    const camera = this.#conditions.update(frame, found, { looked, foreground });
    this.#followSight(camera);
    const { unknown } = this.#conditions;
    const placed = unknown.length === 0 ? tracks : [...tracks, ...unnamed(unknown, tracks, atMs)];
    const { tracks: observed, crossings } = this.#places.update(frame, placed, { moving, furniture });
    this.#nameColours(frame, tracks, observed, isFresh);
    const observation: Observation = {
      frame: index,
      atMs,
      wallMs,
      source: { widthPx: source.widthPx, heightPx: source.heightPx },
      tracks: observed,
      crossings,
      standing: this.#standingIn(frame, { looked, found, tracks }),
    };
    if (!looked) observation.looked = looked;
    if (this.#scene !== undefined) observation.regions = this.#scene.update(frame, tracks, found, features);
    observation.camera = camera;
    const { blindZones } = this.#conditions;
    if (blindZones.length > 0) observation.blindZones = blindZones;
    return observation;
  }

  /** Adds what vehicles are called by colour; an old foreground is not that of this frame, and a blind camera shows none. */
  #nameColours(
    frame: Frame,
    tracks: readonly Track[],
    observed: readonly ObservedTrack[],
    isFresh: boolean,
  ): void {
    const colours = this.#colours;
    if (colours === undefined) return;
    const foreground = isFresh && !this.#blind ? this.#foreground : undefined;
    colours.update(frame, tracks, { foreground, light: this.#conditions.light });
    for (const track of observed) {
      const names = colours.namesOf(track.id);
      if (names.length > 0) track.colours = [...names];
    }
  }

  /** When the camera sees again, nobody knows what has come meanwhile. */
  #followSight(conditions: readonly CameraCondition[]): void {
    const blind = conditions.length > 0 && conditions.some(isBlinding);
    if (this.#blind && !blind) for (const standing of this.#standing.values()) standing.viewReturns();
    this.#blind = blind;
  }

  /** One life of places for each tolerance, whoever asks for another. */
  #standingIn(frame: Frame, { looked, found, tracks }: Look): StandingVehicle[] {
    const all: StandingVehicle[] = [];
    for (const places of this.#standing.values()) {
      const standing = places.update(frame, tracks, found, looked);
      if (this.#wanted.has(places.moveTolerance)) all.push(...standing);
    }
    if (all.length > STANDING_MAX) {
      this.#standingCut += all.length - STANDING_MAX;
      all.length = STANDING_MAX;
    }
    return all;
  }

  /** Of the frame that was taken last: what does not look like the street as it is. */
  get foreground(): Foreground | undefined {
    return this.#foreground;
  }

  /** A vehicle may have come to stand: the next frame should be looked at. */
  waits(atMs: number): boolean {
    return this.#waiting.waits(atMs);
  }

  /** Whether no condition of the camera stands or has begun. */
  get settled(): boolean {
    return this.#conditions.settled;
  }

  /** Media times whose stills are still needed as evidence. */
  get pinnedMs(): readonly number[] {
    return this.#scene?.pinnedMs ?? [];
  }

  /** What was left out because there was too much of it. */
  get limits(): Record<ObserverLimit, number> {
    const { regions = 0, places = 0, features = 0 } = this.#scene?.dropped ?? {};
    return {
      crossings_dropped: this.#places.crossingsDropped,
      furniture_dropped: this.#furniture.dropped,
      grounds_dropped: features,
      standing_places_dropped: [...this.#standing.values()].reduce(
        (sum, { dropped }) => sum + dropped,
        this.#standingCut,
      ),
      static_regions_dropped: regions,
      carrier_places_dropped: places,
    };
  }

  /** What is known of the camera's view, when it is time to tell it; undefined at all other times. */
  viewToTell(): VisionSettings['knownView'] {
    return this.#conditions.viewToTell();
  }

  /** A person has looked at the camera's view: it is the right one as it is now. */
  confirmView(): void {
    this.#conditions.confirm();
  }
}

/** What travels and was not named, as an object; what a track follows is that track's. */
function unnamed(movers: readonly UnknownMover[], tracks: readonly Track[], atMs: number): PlacedTrack[] {
  return movers
    .filter(({ xyxyPx }) => !tracks.some((track) => iou(track.xyxyPx, xyxyPx) > 0))
    .map(({ id, ...mover }) => ({
      ...mover,
      id: UNNAMED_FROM + id,
      group: UNKNOWN,
      label: UNKNOWN,
      score: 0,
      bestScore: 0,
      seen: mover.lastMs === atMs,
    }));
}
