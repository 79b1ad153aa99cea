/**
 * Drag handles: which part of a shape a finger takes, and where a corner is placed. Distances are in CSS px, places are
 * normalised.
 */
import type { PointNorm } from './stage.ts';

export interface ViewSize {
  readonly w: number;
  readonly h: number;
}

/** Half the size of a fingertip, which covers about 7 mm, 44 px on a phone. */
export const REACH_PX = 24;
const SNAP_PX = 12;
/** Size of a target for a finger, which is also the smallest distance between two of them. */
export const TARGET_PX = 44;
/** A tenth of a pixel of the largest picture shown. */
const ROUND = 10_000;

export type DragHandle =
  | { readonly corner: number }
  /** Handle between this corner and the next. */
  | { readonly between: number; readonly at: PointNorm };

export function middles(points: readonly PointNorm[]): PointNorm[] {
  return points.map(([x, y], i) => {
    const [nextX, nextY] = points[(i + 1) % points.length] as PointNorm;
    return [(x + nextX) / 2, (y + nextY) / 2];
  });
}

/** Returns the indices of the sides of at least this length, in px. */
export function sidesFrom(points: readonly PointNorm[], size: ViewSize, lengthPxMin: number): number[] {
  return [...points.keys()].filter((i) => {
    const next = points[(i + 1) % points.length] as PointNorm;
    return apartPx(points[i] as PointNorm, next, size) >= lengthPxMin;
  });
}

/** Reports whether a finger can cover two corners at once. */
export function hasCloseCorners(points: readonly PointNorm[], size: ViewSize): boolean {
  return points.some((one, i) => points.slice(i + 1).some((other) => apartPx(one, other, size) < TARGET_PX));
}

/**
 * Returns the nearest corner or middle of a side within reach; at equal distance, the corner, and the first one.
 * Middles are handles on sides of at least `sidePxMin`; undefined for none.
 */
export function handleAt(
  points: readonly PointNorm[],
  at: PointNorm,
  size: ViewSize,
  sidePxMin: number | undefined,
): DragHandle | undefined {
  const corner = nearest(points, at, size);
  const sides = sidePxMin === undefined ? [] : sidesFrom(points, size, sidePxMin);
  const all = middles(points);
  const middle = nearest(
    sides.map((side) => all[side] as PointNorm),
    at,
    size,
  );
  const between = middle === undefined ? undefined : sides[middle.index];
  if (middle !== undefined && between !== undefined && (corner === undefined || middle.px < corner.px))
    return { between, at: middle.point };
  return corner === undefined ? undefined : { corner: corner.index };
}

function nearest(points: readonly PointNorm[], at: PointNorm, size: ViewSize) {
  let best: { index: number; point: PointNorm; px: number } | undefined;
  for (const [index, point] of points.entries()) {
    const px = apartPx(point, at, size);
    if (px <= REACH_PX && (best === undefined || px < best.px)) best = { index, point, px };
  }
  return best;
}

function apartPx(a: PointNorm, b: PointNorm, { w, h }: ViewSize): number {
  return Math.hypot((a[0] - b[0]) * w, (a[1] - b[1]) * h);
}

/** Moves a point onto a near corner of another shape, or else onto the picture's near edge; never outside. */
export function snapped(at: PointNorm, corners: readonly PointNorm[], size: ViewSize): PointNorm {
  const inside = rounded(at);
  const { index } = nearest(corners, inside, size) ?? {};
  const corner = index === undefined ? undefined : corners[index];
  if (corner !== undefined && apartPx(corner, inside, size) < SNAP_PX) return [corner[0], corner[1]];
  const toEdge = (value: number, px: number): number =>
    value * px < SNAP_PX ? 0 : (1 - value) * px < SNAP_PX ? 1 : value;
  return [toEdge(inside[0], size.w), toEdge(inside[1], size.h)];
}

/** Rounds a point and limits it to the picture. */
export function rounded([x, y]: PointNorm): PointNorm {
  const one = (value: number): number => Math.round(Math.min(1, Math.max(0, value)) * ROUND) / ROUND;
  return [one(x), one(y)];
}

/** Moves all points together, within the picture. */
export function shifted(points: readonly PointNorm[], [dx, dy]: PointNorm): PointNorm[] {
  const within = (axis: 0 | 1, by: number): number => {
    const values = points.map((point) => point[axis]);
    return Math.min(1 - Math.max(...values), Math.max(-Math.min(...values), by));
  };
  const [x, y] = [within(0, dx), within(1, dy)];
  return points.map((point) => rounded([point[0] + x, point[1] + y]));
}
