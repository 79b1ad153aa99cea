/** Computes how long a track stood still. */
import type { PathPoint } from './path.ts';

/**
 * Distance from its start within which a stop continues, in heights of the box. It covers a door that opens, a person
 * who shifts weight, and the jitter of a box (.05).
 */
const STOP_HEIGHTS = 0.35;
/** Minimum box height for this distance, as a ratio of the picture's height. */
const HEIGHT_MIN = 0.02;
/** Interval at which places between two stored points are evaluated. A track moves evenly between them. */
const STEP_MS = 500;

/** A stop, in the path's own time. */
export interface Stop {
  readonly fromMs: number;
  readonly durationMs: number;
}

/** Filter on stops: every place of one, and its first and last moment. */
interface StopFilter {
  isPlace(x: number, y: number): boolean;
  isTime(beginMs: number, endMs: number): boolean;
}
const ANY: StopFilter = { isPlace: () => true, isTime: () => true };

/** Returns the longest stop that passes the filter. */
export function longestStop(
  points: readonly PathPoint[],
  aspect: number,
  filter: StopFilter = ANY,
): Stop | undefined {
  const places = spaced(points);
  let longest: Stop | undefined;
  let begin = 0;
  for (let i = 0; i < places.length; i += 1) {
    const place = places[i] as PathPoint;
    if (!filter.isPlace(place.x, place.y)) {
      begin = i + 1;
      continue;
    }
    while (begin < i && !isNear(places[begin] as PathPoint, place, aspect)) begin += 1;
    const from = places[begin] as PathPoint;
    const durationMs = place.atMs - from.atMs;
    if (longest !== undefined && durationMs <= longest.durationMs) continue;
    if (filter.isTime(from.atMs, place.atMs)) longest = { fromMs: from.atMs, durationMs };
  }
  return longest;
}

/** Returns the longest stop of a whole piece in s, rounded down. */
export function longestStopS(points: readonly PathPoint[], aspect: number): number {
  return Math.floor((longestStop(points, aspect)?.durationMs ?? 0) / 1000);
}

const isNear = (a: PathPoint, b: PathPoint, aspect: number): boolean =>
  Math.hypot((b.x - a.x) * aspect, b.y - a.y) <= STOP_HEIGHTS * Math.max(a.height, HEIGHT_MIN);

/** Returns the points, with intermediate places where the track moves by more than a stop may. */
function spaced(points: readonly PathPoint[]): PathPoint[] {
  return points.flatMap((to, i) => {
    const from = points[i - 1];
    if (from === undefined) return [to];
    const steps = Math.max(1, Math.ceil((to.atMs - from.atMs) / STEP_MS));
    const isStill = from.x === to.x && from.y === to.y;
    const count = isStill ? 1 : steps;
    return Array.from({ length: count }, (_, step) => between(from, to, (step + 1) / count));
  });
}

/** Returns the place at a ratio of the way, at constant speed. */
export function between(from: PathPoint, to: PathPoint, ratio: number): PathPoint {
  const at = (a: number, b: number): number => a + ratio * (b - a);
  return {
    atMs: at(from.atMs, to.atMs),
    x: at(from.x, to.x),
    y: at(from.y, to.y),
    height: at(from.height, to.height),
    wasSeen: to.wasSeen,
  };
}
