/** Models the drawn place of a query: a line with a direction, or an area with an action. */
import type { PointNorm } from '../../../../../agent/contract/geometry.ts';
import { polygonProblem } from '../../../../../agent/contract/polygon.ts';
import type { TrackPlace } from '../../../../../agent/contract/track-log.ts';
import { rounded } from '../../../../../agent/kit/drag-handle.ts';

type LinePlace = Extract<TrackPlace, { line: unknown }>;
type AreaPlace = Extract<TrackPlace, { polygon: unknown }>;
export type Direction = LinePlace['direction'];
export type Deed = AreaPlace['does'];

export interface DrawnPlace {
  readonly kind: 'line' | 'area';
  readonly points: readonly PointNorm[];
  readonly direction: Direction;
  readonly does: Deed;
  readonly atLeastS: number;
}

/** Limits as in the schema of a polygon. */
const CORNERS_MAX = 64;
const CORNERS_MIN = 3;

const START: Readonly<Record<DrawnPlace['kind'], readonly PointNorm[]>> = {
  line: [
    [0.35, 0.7],
    [0.65, 0.7],
  ],
  area: rectangle([0.35, 0.5], [0.65, 0.8]),
};

/** Creates a place in the middle of the lower half, where streets usually are. */
export function placed(kind: DrawnPlace['kind'], points = START[kind]): DrawnPlace {
  return { kind, points, direction: 'both', does: 'enters', atLeastS: 30 };
}

export function rectangle([x, y]: PointNorm, [toX, toY]: PointNorm): PointNorm[] {
  return [
    [x, y],
    [toX, y],
    [toX, toY],
    [x, toY],
  ];
}

export function withCorner(place: DrawnPlace, index: number, to: PointNorm): DrawnPlace {
  return { ...place, points: place.points.map((corner, i) => (i === index ? rounded(to) : corner)) };
}

/** Inserts a corner after the given one; returns the place unchanged at the maximum. */
export function withInserted(place: DrawnPlace, after: number, at: PointNorm): DrawnPlace {
  const { kind, points } = place;
  if (kind === 'line' || points.length >= CORNERS_MAX) return place;
  return { ...place, points: [...points.slice(0, after + 1), rounded(at), ...points.slice(after + 1)] };
}

/** Removes a corner; returns the place unchanged at the minimum. */
export function withoutCorner(place: DrawnPlace, index: number): DrawnPlace {
  const { kind, points } = place;
  if (kind === 'line' || points.length <= CORNERS_MIN) return place;
  return { ...place, points: points.filter((_, i) => i !== index) };
}

/** True if the sides cross, or the area or the length is zero. */
export function isInvalid({ kind, points }: DrawnPlace): boolean {
  if (kind === 'area') return polygonProblem(points) !== undefined;
  const [from, to] = points;
  return from === undefined || to === undefined || (from[0] === to[0] && from[1] === to[1]);
}

/** Converts the drawing to the form of the query. */
export function asPlace({ kind, points, direction, does, atLeastS }: DrawnPlace): TrackPlace {
  const corners = points.map(([x, y]): PointNorm => [x, y]);
  if (kind === 'area') return { polygon: corners, does, atLeastS: isLasting(does) ? atLeastS : 0 };
  const [from = [0, 0], to = [0, 0]] = corners;
  return { line: [from, to], direction };
}

export function asDrawn(place: TrackPlace): DrawnPlace {
  if ('line' in place) return { ...placed('line', place.line), direction: place.direction };
  const { polygon, does, atLeastS } = place;
  return { ...placed('area', polygon), does, atLeastS };
}

/** True for actions with a minimum duration. */
export function isLasting(does: Deed): boolean {
  return does === 'stays' || does === 'stops';
}

export interface Arrow {
  readonly side: 'left' | 'right';
  /** CSS px. */
  readonly from: readonly [x: number, y: number];
  readonly tip: readonly [x: number, y: number];
}

/** Returns arrows from the middle of the line to each counted side, perpendicular to it on screen. */
export function arrowsOf({ points, direction }: DrawnPlace, w: number, h: number, lengthPx: number): Arrow[] {
  const [from, to] = points.map(([x, y]) => [x * w, y * h] as const);
  if (from === undefined || to === undefined) return [];
  const long = Math.hypot(to[0] - from[0], to[1] - from[1]) || 1;
  // Normal to the right-hand side, seen from the first end; y points down.
  const [nx, ny] = [-(to[1] - from[1]) / long, (to[0] - from[0]) / long];
  const [x, y] = [(from[0] + to[0]) / 2, (from[1] + to[1]) / 2];
  return (['left', 'right'] as const)
    .filter((side) => direction === 'both' || direction === side)
    .map((side) => {
      const by = side === 'right' ? lengthPx : -lengthPx;
      return { side, from: [x, y] as const, tip: [x + nx * by, y + ny * by] as const };
    });
}
