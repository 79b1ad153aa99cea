/**
 * Computes the frame rate that the street demands. It is one a second without motion, the configured rate with motion,
 * and up to `FPS_MAX` for objects too quick for that.
 *
 * An object is too quick if it passes a zone or line of a rule and one of these holds:
 * - It would move by more than a third of its size between two detector runs.
 * - It would be seen fewer than three times in a zone.
 *
 * New motion near such a place is assumed to be as quick as nine of ten earlier objects.
 *
 * INVARIANTS: time is media time; a rule contributes only places, never kinds of objects.
 */
import { assert } from '../../base/errors.ts';
import type { LineConfig, ZoneConfig } from '../../contract/config.ts';
import type { Frame, Glimpse, LookTerms, Track } from '../../contract/picture.ts';
import {
  distanceToBoundary,
  distanceToSegment,
  isInside,
  meetingPoint,
  type Point,
} from '../../contract/plane.ts';

/** Highest rate. A car at 50 km/h, 6 m from the camera, moves by half of its length in a fifteenth of a second. */
export const FPS_MAX = 15;
/** Rate without motion: that of the pictures from which the clean plate is learnt. */
const FPS_STILL = 1;
/** Time at the usual rate after motion, in ms, in which tracker and static regions settle. */
export const SETTLE_MS = 2000;
/**
 * Largest step between two runs, in sizes. Boxes then overlap by .48 and are matched without a known velocity (.2 is
 * the minimum). After one miss, as in one of three runs, they still overlap by .18, which the tracker's pass with
 * enlarged boxes accepts (track/settings.ts).
 */
const STEP_SIZES_MAX = 0.35;
/**
 * Runs required in a zone. Three boxes confirm a vehicle's track (track/settings.ts); a known track needs two to be in
 * a zone.
 */
const RUNS_MIN = 3;
/** Examined part of an object's path, in s before and after now. A slower object has three runs at 5 a second. */
const PATH_S = { from: -0.6, to: 1, step: 0.1 };
/** Time in which a new track is assumed quick, and in which the filter's velocity settles, in ms. */
const NEW_MS = 1000;
const SETTLED_MS = 500;
/**
 * Distance to a watched place that counts as near. An object that crosses the picture in a second and a half covers it
 * in two frames of fifteen a second.
 */
const NEAR_NORM = 0.1;
/**
 * Steps for following the 90th percentile of earlier objects, in frames a second: nine tenths of a step upwards, one
 * tenth downwards. The first steps are large, because ten objects hardly determine a 90th percentile.
 */
const QUANTILE_STEP = 1;
const FIRST_STEPS = 20;
/**
 * Margin around a track's box in which it explains motion, in its sizes: shadows, and its movement until the next run.
 */
const EXPLAINED = 0.5;

/** Places that rules watch. */
export interface WatchedPlaces {
  readonly zones: readonly ZoneConfig[];
  readonly lines: readonly LineConfig[];
}

/** Reports whether a normalised place is at or near one that a rule watches. */
export function isNearWatched({ zones, lines }: WatchedPlaces, place: Point): boolean {
  return (
    zones.some(({ polygon }) => isInside(polygon, place) || distanceToBoundary(polygon, place) < NEAR_NORM) ||
    lines.some(({ from, to }) => distanceToSegment(from, to, place) < NEAR_NORM)
  );
}

export interface WantedRateOptions extends WatchedPlaces {
  /** Analysed frames a second with motion. */
  readonly usualFps: number;
}

export class WantedRate {
  readonly #options: WantedRateOptions;
  /** Boxes of the tracks, enlarged by EXPLAINED. */
  #knownBoxes = new Float64Array();
  #movedMs = Number.NEGATIVE_INFINITY;
  #unknownMs = Number.NEGATIVE_INFINITY;
  /** Rate demanded by the tracks of the last analysed frame. */
  #byTracks = 0;
  /** Highest rate that each present track has demanded. */
  #demands = new Map<number, number>();
  #newcomersFps = FPS_MAX;
  #newcomers = 0;

  constructor(options: WantedRateOptions) {
    this.#options = options;
  }

  /** Takes every frame of the camera. */
  watch({ atMs, motion }: Pick<Glimpse, 'atMs' | 'motion'>): void {
    assert(motion !== undefined, 'a camera with an adaptive rate must state the motion');
    if (motion.any) this.#movedMs = atMs;
    if (motion.unknown) this.#unknownMs = atMs;
  }

  /** Motion that raises the rate, as of a frame at `atMs`; otherwise it can only fall. */
  reasons(atMs: number): Pick<LookTerms, 'onMotion' | 'knownBoxes'> {
    return { onMotion: this.isStill(atMs), knownBoxes: this.#knownBoxes };
  }

  /** Takes the tracks after an analysed frame. */
  note({ source }: Pick<Frame, 'source'>, tracks: readonly Track[]): void {
    const { widthPx, heightPx } = source;
    const demands = new Map<number, number>();
    this.#byTracks = 0;
    for (const track of tracks) {
      const fps = track.lastMs - track.firstMs < SETTLED_MS ? 0 : this.#askedBy(track, widthPx, heightPx);
      this.#byTracks = Math.max(this.#byTracks, fps);
      const highestFps = Math.max(fps, this.#demands.get(track.id) ?? 0);
      demands.set(track.id, highestFps);
    }
    for (const [id, fps] of this.#demands) if (!demands.has(id) && fps > 0) this.#learn(fps);
    this.#demands = demands;
    const sides = tracks.flatMap(({ xyxyPx: [x1, y1, x2, y2] }) => {
      const [dx, dy] = [EXPLAINED * (x2 - x1), EXPLAINED * (y2 - y1)];
      return [(x1 - dx) / widthPx, (y1 - dy) / heightPx, (x2 + dx) / widthPx, (y2 + dy) / heightPx];
    });
    this.#knownBoxes = Float64Array.from(sides);
  }

  /** Reports whether nothing has moved for a while, as of the last frame. */
  isStill(atMs: number): boolean {
    return atMs - this.#movedMs >= SETTLE_MS;
  }

  /** Returns the frames a second to be analysed. `awaited` states that an object is awaited, or an incident is open. */
  fps(atMs: number, awaited: boolean): number {
    const { usualFps } = this.#options;
    if (!awaited && this.isStill(atMs)) return this.#stillFps;
    const newcomers = atMs - this.#unknownMs < NEW_MS ? this.#newcomersFps : 0;
    return Math.max(usualFps, Math.min(FPS_MAX, Math.max(this.#byTracks, newcomers)));
  }

  /** Returns the lowest rate that can be demanded in the next second. */
  leastFps(atMs: number): number {
    const { usualFps } = this.#options;
    return this.isStill(atMs + 1000) ? this.#stillFps : Math.max(usualFps, Math.min(FPS_MAX, this.#byTracks));
  }

  get #stillFps(): number {
    return Math.min(FPS_STILL, this.#options.usualFps);
  }

  /** Returns the rate by how quickly a track passes watched places; 0 if it passes none. */
  #askedBy({ xyxyPx, velocityPxPerS: [vx, vy] }: Track, widthPx: number, heightPx: number): number {
    const [x1, y1, x2, y2] = xyxyPx;
    const sizesPerS = Math.hypot(vx, vy) / Math.sqrt(Math.max(1, (x2 - x1) * (y2 - y1)));
    const path: Point[] = [];
    for (let s = PATH_S.from; s <= PATH_S.to + 1e-9; s += PATH_S.step) {
      path.push([((x1 + x2) / 2 + s * vx) / widthPx, (y2 + s * vy) / heightPx]);
    }
    let fps = this.#options.lines.some((line) => passes(path, line)) ? sizesPerS / STEP_SIZES_MAX : 0;
    for (const { polygon } of this.#options.zones) {
      const inside = path.map((point) => isInside(polygon, point));
      const count = inside.filter(Boolean).length;
      if (count === 0) continue;
      fps = Math.max(fps, sizesPerS / STEP_SIZES_MAX);
      const passesThrough = inside.at(0) === false && inside.at(-1) === false;
      const needed = RUNS_MIN / (count * PATH_S.step);
      // An object that cuts a corner of the zone too quickly for any rate is ignored.
      if (passesThrough && needed <= FPS_MAX) fps = Math.max(fps, needed);
    }
    return fps;
  }

  #learn(fps: number): void {
    this.#newcomers += 1;
    const step = Math.max(QUANTILE_STEP, FIRST_STEPS / this.#newcomers);
    const by = fps > this.#newcomersFps ? 0.9 * step : -0.1 * step;
    this.#newcomersFps = Math.min(FPS_MAX, Math.max(0, this.#newcomersFps + by));
  }
}

function passes(path: readonly Point[], { from, to }: LineConfig): boolean {
  return path.some((point, i) => {
    const at = meetingPoint(from, to, path[i - 1] ?? point, point);
    return at !== undefined && at >= 0 && at <= 1;
  });
}
