/**
 * How often the street should be looked at: once a second where nothing moves, at the configured rate where something
 * does, and up to `FPS_MAX` where an object passes a zone or a line of a rule so quickly that the configured rate
 * would lose it: it would move by more than a third of its own size between two looks, or be seen fewer than three times
 * in a zone. What has just begun to move near such a place and is not known yet is taken for as quick as nine of ten
 * that came before.
 *
 * INVARIANTS: time is media time; what a rule asks for is a place, never a kind of object.
 */
import { assert } from '../../base/errors.ts';
import type { LineConfig, ZoneConfig } from '../../contract/config.ts';
import type { Frame, Glimpse, Track } from '../../contract/picture.ts';
import {
  distanceToBoundary,
  distanceToSegment,
  isInside,
  meetingPoint,
  type Point,
} from '../../contract/plane.ts';
import { Onset } from './onset.ts';

/** A car at 50 km/h, 6 m from the camera, moves by half of its length in a fifteenth of a second. */
export const FPS_MAX = 15;
/** Where nothing moves: the rate of the pictures from which the place is learnt. */
const FPS_STILL = 1;
/** What has come to rest is seen at the usual rate for so long: tracker and static regions settle in it. */
export const SETTLE_MS = 2000;
/**
 * So moved, boxes overlap by .48 and are matched without a known velocity (.2 is the least); after one look that missed
 * the object, as one of three does, they still overlap by .18, which the tracker's pass with enlarged boxes takes
 * (track/settings.ts).
 */
const STEP_SIZES_MAX = 0.35;
/** A vehicle's track is confirmed by three boxes (track/settings.ts); to be in a zone takes two of a known track. */
const LOOKS_MIN = 3;
/** So much of an object's path is looked at, s: since then, until then. A slower passage has three looks at 5 a second. */
const PATH_S = { from: -0.6, to: 1, step: 0.1 };
/** By its first second a track tells how quick it is: the filter's velocity is settled after half of that. */
const NEW_MS = 1000;
const SETTLED_MS = 500;
/** What crosses the picture in a second and a half comes so near within two frames of fifteen a second. */
const NEAR_NORM = 0.1;
/**
 * The ninth tenth of what came is followed upwards by nine tenths of a step and downwards by one tenth, frames a second;
 * a step is large for the first few (of ten the ninth tenth is hardly known) and then this.
 */
const QUANTILE_STEP = 1;
const FIRST_STEPS = 20;
/** A track explains motion within half of its size around its box: shadows, and what it moves until the next look. */
const EXPLAINED = 0.5;

export interface WantedRateOptions {
  readonly zones: readonly ZoneConfig[];
  readonly lines: readonly LineConfig[];
  /** Analysed frames a second where something moves. */
  readonly usualFps: number;
}

type Box = readonly [number, number, number, number];

export class WantedRate {
  readonly #options: WantedRateOptions;
  readonly #onset: Onset;
  #boxes: readonly Box[] = [];
  #movedMs = Number.NEGATIVE_INFINITY;
  #unknownMs = Number.NEGATIVE_INFINITY;
  /** Asked for by the tracks of the last analysed frame. */
  #byTracks = 0;
  /** Of the tracks that live: the most that each has asked for. */
  #asked = new Map<number, number>();
  #newcomersFps = FPS_MAX;
  #newcomers = 0;

  constructor(options: WantedRateOptions) {
    this.#options = options;
    this.#onset = new Onset((point) => this.#isNear(point));
  }

  /** Takes every frame that the camera gives. */
  watch({ atMs, small }: Pick<Glimpse, 'atMs' | 'small'>): void {
    assert(small !== undefined, 'a camera whose rate follows the street gives small pictures');
    const { any, unknown } = this.#onset.update(small, atMs, (point) => this.#isKnown(point));
    if (any) this.#movedMs = atMs;
    if (unknown) this.#unknownMs = atMs;
  }

  /** Takes what is known after an analysed frame. */
  note({ source }: Pick<Frame, 'source'>, tracks: readonly Track[]): void {
    const { widthPx, heightPx } = source;
    const asked = new Map<number, number>();
    this.#byTracks = 0;
    for (const track of tracks) {
      const fps = track.lastMs - track.firstMs < SETTLED_MS ? 0 : this.#askedBy(track, widthPx, heightPx);
      this.#byTracks = Math.max(this.#byTracks, fps);
      const most = Math.max(fps, this.#asked.get(track.id) ?? 0);
      asked.set(track.id, most);
    }
    for (const [id, fps] of this.#asked) if (!asked.has(id) && fps > 0) this.#learn(fps);
    this.#asked = asked;
    this.#boxes = tracks.map(({ xyxyPx: [x1, y1, x2, y2] }) => {
      const [dx, dy] = [EXPLAINED * (x2 - x1), EXPLAINED * (y2 - y1)];
      return [(x1 - dx) / widthPx, (y1 - dy) / heightPx, (x2 + dx) / widthPx, (y2 + dy) / heightPx];
    });
  }

  /** Whether nothing has moved for a while, as of the frame that was taken last. */
  isStill(atMs: number): boolean {
    return atMs - this.#movedMs >= SETTLE_MS;
  }

  /** Frames a second that should be analysed. `awaited`: an object is waited for, or an incident is open. */
  fps(atMs: number, awaited: boolean): number {
    const { usualFps } = this.#options;
    if (!awaited && this.isStill(atMs)) return Math.min(FPS_STILL, usualFps);
    const newcomers = atMs - this.#unknownMs < NEW_MS ? this.#newcomersFps : 0;
    return Math.max(usualFps, Math.min(FPS_MAX, Math.max(this.#byTracks, newcomers)));
  }

  /** By how quickly it passes what is watched; 0 where it passes nothing. */
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
      const through = inside.at(0) === false && inside.at(-1) === false;
      const needed = LOOKS_MIN / (count * PATH_S.step);
      // Who cuts a corner of the zone so quickly that no rate would do is not chased.
      if (through && needed <= FPS_MAX) fps = Math.max(fps, needed);
    }
    return fps;
  }

  #learn(fps: number): void {
    this.#newcomers += 1;
    const step = Math.max(QUANTILE_STEP, FIRST_STEPS / this.#newcomers);
    const by = fps > this.#newcomersFps ? 0.9 * step : -0.1 * step;
    this.#newcomersFps = Math.min(FPS_MAX, Math.max(0, this.#newcomersFps + by));
  }

  #isKnown([x, y]: Point): boolean {
    return this.#boxes.some(([x1, y1, x2, y2]) => x >= x1 && x <= x2 && y >= y1 && y <= y2);
  }

  #isNear(point: Point): boolean {
    const { zones, lines } = this.#options;
    return (
      zones.some(
        ({ polygon }) => isInside(polygon, point) || distanceToBoundary(polygon, point) < NEAR_NORM,
      ) || lines.some(({ from, to }) => distanceToSegment(from, to, point) < NEAR_NORM)
    );
  }
}

function passes(path: readonly Point[], { from, to }: LineConfig): boolean {
  return path.some((point, i) => {
    const at = meetingPoint(from, to, path[i - 1] ?? point, point);
    return at !== undefined && at >= 0 && at <= 1;
  });
}
