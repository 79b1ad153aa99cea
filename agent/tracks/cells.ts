/**
 * Marks an 8 × 8 grid over the picture as a mask of 64 bits, by which a search skips tracks that were never near its
 * place.
 *
 * INVARIANT: a path that meets a drawing shares a cell with it.
 */
import type { PointNorm } from '../contract/geometry.ts';
import { isInside } from '../contract/plane.ts';
import type { PathPoint } from './path.ts';

const GRID = 8;
/** Step along a path, and reach of a cell beyond its border: more than rounding and simplifying move a point. */
const STEP = 0.004;
/**
 * Reach of a drawing, as a ratio of the picture. Near a line there is a band that decides nothing, .1 heights of a box
 * that is at most as high as the picture. A clear crossing has a point outside the band on each side.
 */
const DRAWING_REACH = 0.02;

/** Returns the cells that a path touches, as a signed integer of 64 bits. */
export function cellsOfPath(points: readonly PathPoint[]): bigint {
  const rows = new Uint8Array(GRID);
  for (let i = 0; i < points.length; i += 1) {
    const to = points[i] as PathPoint;
    const from = points[Math.max(0, i - 1)] as PathPoint;
    markWay(rows, [from.x, from.y], [to.x, to.y], STEP);
  }
  return maskOf(rows);
}

/** Returns the cells that a line touches, or a polygon with its interior. */
export function cellsOfDrawing(points: readonly PointNorm[], isClosed: boolean): bigint {
  const rows = new Uint8Array(GRID);
  for (let i = 0; i < points.length; i += 1) {
    if (i === points.length - 1 && !isClosed) break;
    markWay(rows, points[i] as PointNorm, points[(i + 1) % points.length] as PointNorm, DRAWING_REACH);
  }
  if (isClosed) markInside(rows, points);
  return maskOf(rows);
}

/** Marks every cell within `reach` of the way. */
function markWay(
  rows: Uint8Array,
  from: readonly [number, number],
  to: readonly [number, number],
  reach: number,
): void {
  const steps = Math.max(1, Math.ceil(Math.hypot(to[0] - from[0], to[1] - from[1]) / STEP));
  for (let step = 0; step <= steps; step += 1) {
    const x = from[0] + (step / steps) * (to[0] - from[0]);
    const y = from[1] + (step / steps) * (to[1] - from[1]);
    for (let row = cellAt(y - reach); row <= cellAt(y + reach); row += 1) {
      for (let column = cellAt(x - reach); column <= cellAt(x + reach); column += 1) mark(rows, row, column);
    }
  }
}

/**
 * Marks the inner cells of a polygon. A cell that no side touches is entirely inside or outside, so its centre decides.
 */
function markInside(rows: Uint8Array, polygon: readonly PointNorm[]): void {
  for (let row = 0; row < GRID; row += 1) {
    for (let column = 0; column < GRID; column += 1) {
      if (isInside(polygon, [(column + 0.5) / GRID, (row + 0.5) / GRID])) mark(rows, row, column);
    }
  }
}

const cellAt = (place: number): number => Math.min(GRID - 1, Math.max(0, Math.floor(place * GRID)));

function mark(rows: Uint8Array, row: number, column: number): void {
  rows[row] = (rows[row] as number) | (1 << column);
}

function maskOf(rows: Uint8Array): bigint {
  return Buffer.from(rows).readBigInt64LE();
}
