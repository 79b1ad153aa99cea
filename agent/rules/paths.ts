/**
 * Recent path of every track's ground point, for rules that evaluate movement. Coordinates are in frame heights (x
 * stretched by the aspect ratio), so that directions and lengths match what a person sees. A path restarts after its
 * track was out of sight for more than two frames, because the object found then may be another.
 *
 * LIMITS: `keptMs` back, 128 points a track. A path ends with its track.
 */
import type { SizePx } from '../contract/geometry.ts';
import type { Observation, ObservedTrack } from '../contract/observation.ts';
import type { Witness } from './witnessed.ts';

export interface PathPoint {
  readonly atMs: number;
  /** Position to the right, in frame heights. */
  readonly x: number;
  /** Position downwards, in frame heights. */
  readonly y: number;
  /** Left, top and right of the box at the same moment, in frame heights; `y` is its bottom. */
  readonly leftX: number;
  readonly topY: number;
  readonly rightX: number;
  /** True if the step to this point is one that a vehicle makes (witnessed.ts). */
  readonly witnessed: boolean;
}

/** A driven way: from one point of a path to its last. */
export interface Drive {
  /** Distance in frame heights. */
  readonly travel: number;
  /** Counter-clockwise from "right", as in the configuration, -180..180. */
  readonly headingDeg: number;
}

const POINTS_MAX = 128;
/** A swap of numbers is one step; three steps in the same direction are a drive. */
const STEPS_MIN = 3;
/**
 * Minimum ratio of the way that every corner of the box must have moved. A driving vehicle moves with all corners. A
 * box that grows or shrinks at one end, as when two cars are taken for one lorry, moves by at most half of that.
 */
const LESSER_END_RATIO = 0.5;
/**
 * Minimum ratio of the straight distance to the sum of the steps. A quarter turn has 0.9. Numbers that are swapped to
 * and fro between the cars of a queue have less than half, and a box that wanders over an object still less.
 */
const STRAIGHT_RATIO_MIN = 0.7;
/**
 * Minimum ratio of the way, and of the steps, that must be witnessed. In real drives pixels move in at least two thirds
 * of the detector runs at 5 frames a second. In 98 of 100 drives they move in half. Boxes that jump over standing
 * objects reach hardly one in ten. Steps count too, because a jump that ends where something moves is one step, however
 * long.
 */
const WITNESSED_RATIO_MIN = 0.5;
/** Largest ratio of the whole way that a single step may have: a jump is not a drive. */
const LARGEST_STEP_RATIO = 0.5;
/** Two missed frames make three intervals; half of one is added for uneven frame times. */
const GAP_INTERVALS = 3.5;

export class Paths {
  readonly #keptMs: number;
  readonly #witness: Witness | undefined;
  #paths = new Map<number, PathPoint[]>();
  #lastMs: number | undefined;
  #intervalMs = 0;

  /** `witness`: required by callers that evaluate drives. */
  constructor(keptMs: number, witness?: Witness) {
    this.#keptMs = keptMs;
    this.#witness = witness;
  }

  /** Takes the tracks seen in this frame, and removes those that have ended. */
  update({ tracks, source, atMs }: Observation): void {
    const aspect = source.widthPx / source.heightPx;
    if (this.#lastMs !== undefined) this.#intervalMs = atMs - this.#lastMs;
    this.#lastMs = atMs;
    const nextPaths = new Map<number, PathPoint[]>();
    const steps = this.#witness?.update(tracks);
    const paths = this.#paths;
    const gapMs = GAP_INTERVALS * this.#intervalMs;
    const keptMs = this.#keptMs;
    // Indexed loop: an iterator for each track and each box costs more than all the work on them.
    for (let i = 0; i < tracks.length; i++) {
      const { id, ground, xyxyNorm, seen: isSeen } = tracks[i] as ObservedTrack;
      const path = paths.get(id) ?? [];
      if (isSeen) {
        const last = path.at(-1);
        if (last !== undefined && atMs - last.atMs > gapMs) path.length = 0;
        path.push({
          atMs,
          x: ground[0] * aspect,
          y: ground[1],
          leftX: xyxyNorm[0] * aspect,
          topY: xyxyNorm[1],
          rightX: xyxyNorm[2] * aspect,
          witnessed: steps?.has(id) ?? false,
        });
      }
      // In place: most frames drop one point of a path, and none if nothing is old.
      let old = Math.max(0, path.length - POINTS_MAX);
      while (old < path.length && atMs - (path[old] as PathPoint).atMs > keptMs) old += 1;
      if (old > 0) path.splice(0, old);
      nextPaths.set(id, path);
    }
    this.#paths = nextPaths;
  }

  /** Oldest first; empty for an unknown track. Valid until the next update. */
  of(track: ObservedTrack): readonly PathPoint[] {
    return this.#paths.get(track.id) ?? [];
  }
}

/** Returns the longest stretch that ends now and is a drive of at least `minTravel` in that direction, if any. */
export function driveOf(
  path: readonly PathPoint[],
  minTravel: number,
  leadsThere: (headingDeg: number) => boolean,
): Drive | undefined {
  const now = path.at(-1);
  if (now === undefined) return undefined;
  for (let from = 0; from < path.length - STEPS_MIN; from++) {
    const start = path[from] as PathPoint;
    const travel = Math.hypot(now.x - start.x, now.y - start.y);
    if (travel < minTravel) continue;
    // y grows downwards, hence the sign.
    const headingDeg = degrees(start.y - now.y, now.x - start.x);
    if (!leadsThere(headingDeg)) continue;
    if (isRigid(start, now, travel) && isSteady(path.slice(from), travel)) return { travel, headingDeg };
  }
  return undefined;
}

/** True if every corner of the box has gone a good part of the way, in its direction. */
function isRigid(start: PathPoint, now: PathPoint, travel: number): boolean {
  const [ux, uy] = [(now.x - start.x) / travel, (now.y - start.y) / travel];
  const along = (xs: number, ys: number): boolean => xs * ux + ys * uy >= LESSER_END_RATIO * travel;
  const [top, bottom] = [now.topY - start.topY, now.y - start.y];
  return [now.leftX - start.leftX, now.rightX - start.rightX].every((x) => along(x, top) && along(x, bottom));
}

/** True if the path has no jump and no zig-zag, and is witnessed for most of the way and in most of its steps. */
function isSteady(path: readonly PathPoint[], travel: number): boolean {
  let [sum, witnessed, steps, largest] = [0, 0, 0, 0];
  for (let i = 1; i < path.length; i++) {
    const [a, b] = [path[i - 1] as PathPoint, path[i] as PathPoint];
    const step = Math.hypot(b.x - a.x, b.y - a.y);
    sum += step;
    if (b.witnessed) {
      witnessed += step;
      steps += 1;
    }
    largest = Math.max(largest, step);
  }
  if (largest > LARGEST_STEP_RATIO * travel || travel < STRAIGHT_RATIO_MIN * sum) return false;
  return witnessed >= WITNESSED_RATIO_MIN * sum && steps >= WITNESSED_RATIO_MIN * (path.length - 1);
}

/** Longer side of a track's box, in frame heights. */
export function sizeOf({ xyxyNorm: [x1, y1, x2, y2] }: ObservedTrack, { widthPx, heightPx }: SizePx): number {
  return Math.max(((x2 - x1) * widthPx) / heightPx, y2 - y1);
}

/** Angle between two headings, 0..180. */
export function apartDeg(a: number, b: number): number {
  const d = Math.abs(a - b) % 360;
  return d > 180 ? 360 - d : d;
}

function degrees(up: number, right: number): number {
  return (Math.atan2(up, right) * 180) / Math.PI;
}
