/** Plane geometry that tells whether a polygon can be a zone. Coordinates are normalised, y down. */
import type { PointNorm } from '../contract/geometry.ts';

/** Less than this share of the picture is no area: two pixels of a 1920×1080 frame. */
const AREA_NORM_MIN = 1e-6;

/** What is wrong with the polygon, and what would be right; undefined when it is fine. */
export function polygonFault(polygon: readonly PointNorm[]): string | undefined {
  const edges = edgesOf(polygon);
  for (const [index, [from, to]] of edges.entries()) {
    if (from[0] !== to[0] || from[1] !== to[1]) continue;
    return index === edges.length - 1
      ? 'the last corner repeats the first; leave it out, a polygon closes by itself'
      : `corner ${index + 2} repeats corner ${index + 1}; leave one out`;
  }
  if (areaNorm(polygon) < AREA_NORM_MIN && polygon.length === 3)
    return 'the corners lie on one line: no area';
  for (let i = 0; i < edges.length; i++) {
    for (let j = i + 2; j < edges.length; j++) {
      if (i === 0 && j === edges.length - 1) continue;
      const [a, b] = [edges[i], edges[j]];
      if (a === undefined || b === undefined || !touch(a, b)) continue;
      return `the side from corner ${i + 1} crosses the side from corner ${j + 1}; give the corners in order around the area`;
    }
  }
  return areaNorm(polygon) < AREA_NORM_MIN ? 'the corners enclose no area' : undefined;
}

/** True when no point of `inner` lies outside of `outer`. */
export function covers(outer: readonly PointNorm[], inner: readonly PointNorm[]): boolean {
  if (!inner.every((point) => contains(outer, point))) return false;
  const sides = edgesOf(outer);
  return !edgesOf(inner).some((edge) => sides.some((side) => cross(edge, side)));
}

/** Shoelace formula. */
export function areaNorm(polygon: readonly PointNorm[]): number {
  const sum = edgesOf(polygon).reduce((total, [[x1, y1], [x2, y2]]) => total + x1 * y2 - x2 * y1, 0);
  return Math.abs(sum) / 2;
}

type Edge = readonly [PointNorm, PointNorm];

function edgesOf(polygon: readonly PointNorm[]): Edge[] {
  return polygon.map((point, index) => [point, polygon[(index + 1) % polygon.length] ?? point]);
}

/** Twice the signed area of a→b→c: which side of a→b the point c lies on. */
function side([ax, ay]: PointNorm, [bx, by]: PointNorm, [cx, cy]: PointNorm): number {
  return (bx - ax) * (cy - ay) - (by - ay) * (cx - ax);
}

/** The edges pass through each other in a point inside both. */
function cross([a, b]: Edge, [c, d]: Edge): boolean {
  return side(a, b, c) * side(a, b, d) < 0 && side(c, d, a) * side(c, d, b) < 0;
}

/** The edges have a point in common, ends included. */
function touch(first: Edge, second: Edge): boolean {
  const [a, b] = first;
  const [c, d] = second;
  return (
    cross(first, second) || onEdge(first, c) || onEdge(first, d) || onEdge(second, a) || onEdge(second, b)
  );
}

function onEdge([a, b]: Edge, point: PointNorm): boolean {
  if (side(a, b, point) !== 0) return false;
  const between = (axis: 0 | 1): boolean =>
    Math.min(a[axis], b[axis]) <= point[axis] && point[axis] <= Math.max(a[axis], b[axis]);
  return between(0) && between(1);
}

/** Even-odd rule; a point on an edge counts as inside. */
function contains(polygon: readonly PointNorm[], point: PointNorm): boolean {
  let inside = false;
  for (const edge of edgesOf(polygon)) {
    if (onEdge(edge, point)) return true;
    const [[x1, y1], [x2, y2]] = edge;
    if (y1 > point[1] !== y2 > point[1] && point[0] < x1 + ((point[1] - y1) * (x2 - x1)) / (y2 - y1)) {
      inside = !inside;
    }
  }
  return inside;
}
