/**
 * Evaluates whether a stored path does the requested action at a place. It uses the same lines and zones as live vision
 * (contract/tripwire.ts, contract/zone-visit.ts).
 */
import { isInside, type Polygon } from '../contract/plane.ts';
import type { TrackPlace } from '../contract/track-log.ts';
import { newApproach, Tripwire } from '../contract/tripwire.ts';
import { newVisit, type Visit, Zone } from '../contract/zone-visit.ts';
import type { PathPoint } from './path.ts';
import { between, longestStop } from './stop.ts';

/** One action at the place, with its start in the path's own time. */
export interface Deed {
  readonly atMs: number;
  /** Duration of the stay or stop; 0 for a crossing. */
  readonly durationMs: number;
  /** False if it was out of sight at that moment. */
  readonly isSeen: boolean;
}

/** Height of the picture in the unit of lines and zones; only its ratio to the width counts. */
const HEIGHT = 1000;
/** Same as frames at five a second. */
const STEP_MS = 200;
/** A path that moves by less than this between two stored points decides nothing: a quarter of the band of a zone. */
const STEP_HEIGHTS = 0.025;
/** Ratio of the picture, more than the distance at which a zone counts as reaching its edge. */
const EDGE = 0.011;
const SLACK = 1e-9;

/** Range in the path's own time. */
interface Within {
  readonly fromMs: number;
  /** First moment that no longer counts. */
  readonly toMs: number;
}
const ALWAYS: Within = { fromMs: Number.NEGATIVE_INFINITY, toMs: Number.POSITIVE_INFINITY };

/**
 * Returns the first action that ends at `fromMs` or later and begins before `toMs`, or the longest stop; undefined if
 * there is none.
 *
 * @param aspect width of the picture to its height
 */
export function deedOf(
  path: readonly PathPoint[],
  place: TrackPlace,
  aspect: number,
  within: Within = ALWAYS,
): Deed | undefined {
  if (!mayDo(path, place)) return undefined;
  for (const deed of deedsOf(path, place, aspect, within)) {
    if (deed.atMs >= within.toMs) return undefined;
    if (deed.atMs + deed.durationMs >= within.fromMs) return deed;
  }
  return undefined;
}

/** Quick check: most paths that share a cell with the place pass it by. */
function mayDo(path: readonly PathPoint[], place: TrackPlace): boolean {
  if (!('line' in place)) {
    const bounds = beyondPicture(boundsOf(place.polygon));
    return path.some((to, i) => isNear(path[Math.max(0, i - 1)] as PathPoint, to, bounds));
  }
  const [[fromX, fromY], [toX, toY]] = place.line;
  const [dx, dy] = [toX - fromX, toY - fromY];
  let last: { readonly side: number; readonly along: number } | undefined;
  for (const { x, y } of path) {
    const side = dx * (y - fromY) - dy * (x - fromX);
    const along = dx * (x - fromX) + dy * (y - fromY);
    if (last !== undefined && last.side >= 0 !== side >= 0) {
      const met = last.along + (last.side / (last.side - side)) * (along - last.along);
      if (met >= -SLACK && met <= dx * dx + dy * dy + SLACK) return true;
    }
    last = { side, along };
  }
  return false;
}

function deedsOf(
  path: readonly PathPoint[],
  place: TrackPlace,
  aspect: number,
  within: Within,
): Iterable<Deed> {
  if ('line' in place) return crossingsOf(path, place, aspect);
  return place.does === 'stops' ? stopsIn(path, place, aspect, within) : visitsOf(path, place, aspect);
}

type LinePlace = Extract<TrackPlace, { line: unknown }>;
type AreaPlace = Extract<TrackPlace, { polygon: unknown }>;

const sizeOf = (aspect: number) => ({ widthPx: aspect * HEIGHT, heightPx: HEIGHT });

/** Yields crossings in the requested direction. */
function* crossingsOf(
  path: readonly PathPoint[],
  { line, direction }: LinePlace,
  aspect: number,
): Generator<Deed> {
  const [from, to] = line;
  const wire = new Tripwire({ id: 'asked', from, to });
  const approach = newApproach();
  const size = sizeOf(aspect);
  let met: Deed | undefined;
  for (let i = 0; i < path.length; i += 1) {
    const point = path[i] as PathPoint;
    const before = path[i - 1];
    const ratio = before === undefined ? undefined : ratioAtLine(before, point, line);
    if (before !== undefined && ratio !== undefined)
      met = { atMs: between(before, point, ratio).atMs, durationMs: 0, isSeen: point.wasSeen };
    const passed = wire.approach(
      approach,
      size,
      [point.x * size.widthPx, point.y * HEIGHT],
      point.height * HEIGHT,
    );
    const isWanted = passed !== undefined && (direction === 'both' || direction === passed);
    if (isWanted && met !== undefined) yield met;
  }
}

/** Returns the point of the way at which the infinite line is crossed, 0..1. */
function ratioAtLine(a: PathPoint, b: PathPoint, [from, to]: LinePlace['line']): number | undefined {
  const side = ({ x, y }: PathPoint): number =>
    (to[0] - from[0]) * (y - from[1]) - (to[1] - from[1]) * (x - from[0]);
  const [before, after] = [side(a), side(b)];
  return before >= 0 === after >= 0 ? undefined : before / (before - after);
}

/** Yields the longest stop within the area and the time, if it is long enough. */
function* stopsIn(
  path: readonly PathPoint[],
  { polygon, atLeastS }: AreaPlace,
  aspect: number,
  { fromMs, toMs }: Within,
): Generator<Deed> {
  const stop = longestStop(path, aspect, {
    isPlace: (x, y) => isInside(polygon, [x, y]),
    isTime: (beginMs, endMs) => beginMs < toMs && endMs >= fromMs,
  });
  if (stop === undefined || stop.durationMs === 0 || stop.durationMs < atLeastS * 1000) return;
  yield { atMs: stop.fromMs, durationMs: stop.durationMs, isSeen: true };
}

/** Yields entries, exits or sufficiently long stays. */
function* visitsOf(
  path: readonly PathPoint[],
  { polygon, does, atLeastS }: AreaPlace,
  aspect: number,
): Generator<Deed> {
  const zone = new Zone({ id: 'asked', polygon: [...polygon] });
  const visit = newVisit();
  const size = sizeOf(aspect);
  const first = path[0];
  const last = path.at(-1);
  if (first === undefined || last === undefined) return;
  // A track that starts inside has not entered.
  const beganInside = isInside(polygon, [first.x, first.y]);
  let entries = 0;
  for (const point of places(path, polygon, visit)) {
    const was = visit.present;
    const sinceMs = visit.sinceMs;
    zone.visit(visit, size, [point.x * size.widthPx, point.y * HEIGHT], point.height * HEIGHT, point.atMs);
    if (was === visit.present) continue;
    const changedMs = visit.sinceMs;
    if (visit.present) {
      entries += 1;
      if (does === 'enters' && !(beganInside && entries === 1))
        yield { atMs: changedMs, durationMs: 0, isSeen: point.wasSeen };
      continue;
    }
    if (does === 'leaves') yield { atMs: changedMs, durationMs: 0, isSeen: point.wasSeen };
    if (does === 'stays' && changedMs - sinceMs >= atLeastS * 1000)
      yield { atMs: sinceMs, durationMs: changedMs - sinceMs, isSeen: true };
  }
  const stayedMs = last.atMs - visit.sinceMs;
  if (does === 'stays' && visit.present && stayedMs >= atLeastS * 1000)
    yield { atMs: visit.sinceMs, durationMs: stayedMs, isSeen: true };
}

/**
 * Yields the points of the path, with intermediate places where it moves in or near the area; none where it was out of
 * sight.
 */
function* places(path: readonly PathPoint[], polygon: Polygon, visit: Readonly<Visit>): Generator<PathPoint> {
  const box = boundsOf(polygon);
  for (let i = 0; i < path.length; i += 1) {
    const to = path[i] as PathPoint;
    const from = path[i - 1];
    if (
      from !== undefined &&
      to.wasSeen &&
      (visit.present || visit.contraryMs !== undefined || isNear(from, to, box))
    ) {
      const way = Math.hypot(to.x - from.x, to.y - from.y) / Math.max(to.height, 0.01);
      const count = Math.ceil(Math.min((to.atMs - from.atMs) / STEP_MS, Math.max(2, way / STEP_HEIGHTS)));
      for (let step = 1; step < count; step += 1) yield between(from, to, step / count);
    }
    yield to;
  }
}

/** An area that reaches the edge of the picture extends beyond it (contract/zone-visit.ts). */
function beyondPicture({ left, top, right, bottom }: Bounds): Bounds {
  const openBelow = (edge: number): number => (edge <= EDGE ? Number.NEGATIVE_INFINITY : edge);
  const openAbove = (edge: number): number => (edge >= 1 - EDGE ? Number.POSITIVE_INFINITY : edge);
  return { left: openBelow(left), top: openBelow(top), right: openAbove(right), bottom: openAbove(bottom) };
}

interface Bounds {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

function boundsOf(polygon: Polygon): Bounds {
  const xs = polygon.map(([x]) => x);
  const ys = polygon.map(([, y]) => y);
  return { left: Math.min(...xs), top: Math.min(...ys), right: Math.max(...xs), bottom: Math.max(...ys) };
}

/** True if the way may meet the bounds. */
function isNear(from: PathPoint, to: PathPoint, { left, top, right, bottom }: Bounds): boolean {
  return (
    Math.max(from.x, to.x) >= left &&
    Math.min(from.x, to.x) <= right &&
    Math.max(from.y, to.y) >= top &&
    Math.min(from.y, to.y) <= bottom
  );
}
