/**
 * The recent path of every track's ground point, for rules that judge movement.
 * Coordinates are in frame heights (x stretched by the aspect ratio), so that directions and lengths
 * are those that a person sees. A path begins anew where its track was out of sight for more than two
 * frames: what is found again then may be another. LIMITS: `keptMs` back, 128 points a track; a track's path ends with it.
 */
import type { SizePx } from '../contract/geometry.ts';
import type { Observation, ObservedTrack } from '../contract/observation.ts';
import type { Witness } from './witnessed.ts';

export interface PathPoint {
  readonly atMs: number;
  /** In frame heights, right. */
  readonly x: number;
  /** In frame heights, down. */
  readonly y: number;
  /** Left, top and right of the box at the same moment, in frame heights; `y` is its bottom. */
  readonly leftX: number;
  readonly topY: number;
  readonly rightX: number;
  /** The step to here is one that a vehicle makes (witnessed.ts). */
  readonly witnessed: boolean;
}

/** A way that was driven: from one point of a path to its last. */
export interface Drive {
  /** In frame heights. */
  readonly travel: number;
  /** Counter-clockwise from "right", as the configuration counts it, -180..180. */
  readonly headingDeg: number;
}

const POINTS_MAX = 128;
/** A swap of numbers is one step; three steps in the same direction are a drive. */
const STEPS_MIN = 3;
/**
 * What drives moves with all of its corners; a box that grows or shrinks at one end, as when two cars are taken
 * for one lorry, has moved by half of that at most. The least of the corners must have gone so much of the way.
 */
const LESSER_END_SHARE = 0.5;
/**
 * The way as the crow flies to the sum of its steps. A quarter turn has 0.9; numbers that are swapped to and fro
 * between the cars of a queue have less than half, and a box that wanders over something still less yet.
 */
const STRAIGHT_SHARE_MIN = 0.7;
/**
 * So much of the way, and as many of the steps, must be witnessed. Of real drives, two thirds and more of the looks say
 * at 5 frames a second that pixels move, and 98 in 100 drives have half; of boxes that jump over what stands hardly one
 * look in ten. Of the steps too, because a jump that ends where something moves is one step, however long.
 */
const WITNESSED_SHARE_MIN = 0.5;
/** No single step may be more than this share of the whole way: a jump is not a drive. */
const LARGEST_STEP_SHARE = 0.5;
/** Two missed frames make three intervals; half of one on top for uneven frame times. */
const GAP_INTERVALS = 3.5;

export class Paths {
  readonly #keptMs: number;
  readonly #witness: Witness | undefined;
  #paths = new Map<number, PathPoint[]>();
  #lastMs: number | undefined;
  #intervalMs = 0;

  /** `witness`: for whoever asks for drives. */
  constructor(keptMs: number, witness?: Witness) {
    this.#keptMs = keptMs;
    this.#witness = witness;
  }

  /** Takes the tracks that were seen in this frame; forgets those that are gone. */
  update({ tracks, source, atMs }: Observation): void {
    const aspect = source.widthPx / source.heightPx;
    if (this.#lastMs !== undefined) this.#intervalMs = atMs - this.#lastMs;
    this.#lastMs = atMs;
    const kept = new Map<number, PathPoint[]>();
    const steps = this.#witness?.update(tracks);
    const paths = this.#paths;
    const gapMs = GAP_INTERVALS * this.#intervalMs;
    const keptMs = this.#keptMs;
    // By index: an iterator for each track and each box costs more than all that is done with them.
    for (let i = 0; i < tracks.length; i++) {
      const { id, ground, xyxyNorm, seen } = tracks[i] as ObservedTrack;
      const path = paths.get(id) ?? [];
      if (seen) {
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
      // In place: most frames drop one point of a path, and none where nothing is old.
      let old = Math.max(0, path.length - POINTS_MAX);
      while (old < path.length && atMs - (path[old] as PathPoint).atMs > keptMs) old += 1;
      if (old > 0) path.splice(0, old);
      kept.set(id, path);
    }
    this.#paths = kept;
  }

  /** Oldest first; empty for an unknown track. Good until the next update. */
  of(track: ObservedTrack): readonly PathPoint[] {
    return this.#paths.get(track.id) ?? [];
  }
}

/** The longest stretch that ends now and is a drive of at least `minTravel` that way, if there is one. */
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

/** Every corner of the box has gone a good part of the way, in its direction. */
function isRigid(start: PathPoint, now: PathPoint, travel: number): boolean {
  const [ux, uy] = [(now.x - start.x) / travel, (now.y - start.y) / travel];
  const along = (xs: number, ys: number): boolean => xs * ux + ys * uy >= LESSER_END_SHARE * travel;
  const [top, bottom] = [now.topY - start.topY, now.y - start.y];
  return [now.leftX - start.leftX, now.rightX - start.rightX].every((x) => along(x, top) && along(x, bottom));
}

/** No jump, no zig-zag, and witnessed for most of the way and in most of its steps. */
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
  if (largest > LARGEST_STEP_SHARE * travel || travel < STRAIGHT_SHARE_MIN * sum) return false;
  return witnessed >= WITNESSED_SHARE_MIN * sum && steps >= WITNESSED_SHARE_MIN * (path.length - 1);
}

/** The longer side of a track's box, in frame heights. */
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
