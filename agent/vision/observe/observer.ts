/**
 * What vision says of a frame, all of it:
 *
 *   Frame, Look ─▶ track places ─────────┐
 *          ├─────▶ standing vehicles ────┤
 *          ├─────▶ static regions ───────┼─▶ Observation
 *          ├─────▶ camera conditions ────┘
 *          └─────▶ moving cells ───────────▶ Foreground, for the redactor
 *
 * INVARIANTS: only what the settings ask for is looked for; all times are media times.
 */
import type { VisionLimit, VisionSettings } from '../../contract/link.ts';
import type { Observation } from '../../contract/observation.ts';
import type { Foreground, Frame, Look } from '../../contract/picture.ts';
import { CameraConditions } from './condition.ts';
import { MovingCells } from './moving.ts';
import { SceneObserver } from './scene.ts';
import { StandingVehicles } from './standing.ts';
import { TrackPlaces } from './track-places.ts';

export type ObserverOptions = Pick<
  VisionSettings,
  'zones' | 'lines' | 'moveTolerance' | 'knownStanding' | 'knownView' | 'regions'
>;

type ObserverLimit = Extract<
  VisionLimit,
  'crossings_dropped' | 'standing_places_dropped' | 'static_regions_dropped' | 'carrier_places_dropped'
>;

export class Observer {
  readonly #places: TrackPlaces;
  readonly #standing: StandingVehicles | undefined;
  readonly #scene: SceneObserver | undefined;
  readonly #conditions: CameraConditions;
  readonly #moving = new MovingCells();
  #foreground: Foreground | undefined;

  constructor(options: ObserverOptions) {
    const { zones, lines, moveTolerance, knownStanding: known, knownView, regions } = options;
    this.#places = new TrackPlaces({ zones, lines });
    this.#standing =
      moveTolerance === null ? undefined : new StandingVehicles({ zones, moveTolerance, known });
    this.#scene = regions ? new SceneObserver({ zones }) : undefined;
    this.#conditions = new CameraConditions({ known: knownView });
  }

  /** Takes the next frame and what is known to be in it. */
  observationOf(frame: Frame, { looked, found, tracks }: Look): Observation {
    const { index, atMs, wallMs, source } = frame;
    const observation: Observation = {
      frame: index,
      atMs,
      wallMs,
      source: { widthPx: source.widthPx, heightPx: source.heightPx },
      ...(looked ? {} : { looked }),
      ...this.#places.update(frame, tracks),
      standing: this.#standing?.update(frame, tracks, found, looked) ?? [],
    };
    if (this.#scene !== undefined) observation.regions = this.#scene.update(frame, tracks, found);
    observation.camera = this.#conditions.update(frame, found);
    this.#foreground = this.#moving.update(frame);
    return observation;
  }

  /** Of the frame that was taken last: what does not look like the street as it is. */
  get foreground(): Foreground | undefined {
    return this.#foreground;
  }

  /** A vehicle may have come to stand: the next frame should be looked at. */
  waits(atMs: number): boolean {
    return this.#standing?.waits(atMs) ?? false;
  }

  /** Media times whose stills are still needed as evidence. */
  get pinnedMs(): readonly number[] {
    return this.#scene?.pinnedMs ?? [];
  }

  /** What was left out because there was too much of it. */
  get limits(): Record<ObserverLimit, number> {
    const { regions = 0, places = 0 } = this.#scene?.dropped ?? {};
    return {
      crossings_dropped: this.#places.crossingsDropped,
      standing_places_dropped: this.#standing?.dropped ?? 0,
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
