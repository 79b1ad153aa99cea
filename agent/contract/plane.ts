/** Plane geometry of zones and lines. Pure functions; points are [x, y] in any one unit, y down. */

export type Point = readonly [number, number];
/** Corners in order; the last one connects to the first. */
export type Polygon = readonly Point[];

/**
 * Tests by the even-odd rule (Shimrat, "Position of point relative to polygon", CACM 1962); self-crossing polygons are
 * allowed.
 */
export function isInside(polygon: Polygon, point: Point): boolean {
  const x = point[0];
  const y = point[1];
  let inside = false;
  for (let i = 0; i < polygon.length; i += 1) {
    const a = polygon[i] as Point;
    const b = nextCorner(polygon, i);
    if (a[1] > y !== b[1] > y && x < a[0] + ((y - a[1]) / (b[1] - a[1])) * (b[0] - a[0])) inside = !inside;
  }
  return inside;
}

/** Returns the distance of a point from the nearest side, inside or outside. */
export function distanceToBoundary(polygon: Polygon, point: Point): number {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < polygon.length; i += 1) {
    least = Math.min(least, distanceToSegment(polygon[i] as Point, nextCorner(polygon, i), point));
  }
  return least;
}

export function distanceToSegment(a: Point, b: Point, point: Point): number {
  const dx = b[0] - a[0];
  const dy = b[1] - a[1];
  const fromX = point[0] - a[0];
  const fromY = point[1] - a[1];
  const length2 = dx * dx + dy * dy;
  const along = length2 === 0 ? 0 : Math.min(1, Math.max(0, (fromX * dx + fromY * dy) / length2));
  return Math.hypot(fromX - along * dx, fromY - along * dy);
}

/**
 * Returns the signed distance of a point from the infinite line through `from` and `to`. It is positive on the
 * right-hand side when looking from `from` to `to` (y down), and NaN if the two are the same point.
 */
export function distanceRightOf(from: Point, to: Point, point: Point): number {
  const dx = to[0] - from[0];
  const dy = to[1] - from[1];
  return (dx * (point[1] - from[1]) - dy * (point[0] - from[0])) / Math.hypot(dx, dy);
}

/**
 * Returns the position where the way `a`→`b` crosses the infinite line: 0 at `from`, 1 at `to`. Undefined if it does
 * not.
 */
export function meetingPoint(from: Point, to: Point, a: Point, b: Point): number | undefined {
  const before = distanceRightOf(from, to, a);
  const after = distanceRightOf(from, to, b);
  if (before >= 0 === after >= 0) return undefined;
  const ratio = before / (before - after);
  const x = a[0] + ratio * (b[0] - a[0]) - from[0];
  const y = a[1] + ratio * (b[1] - a[1]) - from[1];
  const dx = to[0] - from[0];
  const dy = to[1] - from[1];
  return (x * dx + y * dy) / (dx * dx + dy * dy);
}

/**
 * Extends a zone that reaches the frame's edge beyond it, because objects cut off by the edge stand there. Each side
 * along an edge of the unit square (both ends within `slack`) is moved out by 1.
 */
export function beyondEdges(polygon: Polygon, slack: number): Polygon {
  return polygon.flatMap((a, i): Point[] => {
    const b = nextCorner(polygon, i);
    for (const axis of [0, 1] as const) {
      for (const [edge, out] of [
        [0, -1],
        [1, 2],
      ] as const) {
        if (Math.abs(a[axis] - edge) > slack || Math.abs(b[axis] - edge) > slack) continue;
        return axis === 0 ? [a, [out, a[1]], [out, b[1]]] : [a, [a[0], out], [b[0], out]];
      }
    }
    return [a];
  });
}

function nextCorner(polygon: Polygon, i: number): Point {
  return polygon[(i + 1) % polygon.length] as Point;
}

/** Reports whether two segments, a→b and c→d, meet. */
export function meets(a: Point, b: Point, c: Point, d: Point): boolean {
  const side = (p: Point, q: Point, r: Point): number =>
    (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0]);
  return side(a, b, c) * side(a, b, d) <= 0 && side(c, d, a) * side(c, d, b) <= 0;
}
