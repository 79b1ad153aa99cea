/**
 * Plane geometry: checks whether a polygon can be a zone, and whether one lies inside another. Coordinates are
 * normalised, y down.
 */
import type { PointNorm } from './geometry.ts';

/** Smallest valid area as a ratio of the picture: two pixels of a 1920×1080 frame. */
const AREA_NORM_MIN = 1e-6;

/** Returns the fault of a polygon and its fix, or undefined if it is valid. */
export function polygonProblem(polygon: readonly PointNorm[]): string | undefined {
  const edges = edgesOf(polygon);
  for (const [index, [from, to]] of edges.entries()) {
    if (from[0] !== to[0] || from[1] !== to[1]) continue;
    return index === edges.length - 1
      ? 'the last corner repeats the first; leave it out, a polygon closes automatically'
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

/**
 * Distance within which a point counts as on an edge, as a ratio of the picture. It is a fifth of a pixel of 1920×1080,
 * and the rounding error of a drawing with four decimals.
 */
const ON_EDGE_NORM = 1e-4;

/**
 * Reports whether no point of `inner` lies outside `outer`. `inner` is a polygon that does not cross itself, or the two
 * ends of a line.
 */
export function covers(outer: readonly PointNorm[], inner: readonly PointNorm[]): boolean {
  // If the complete border is inside, the polygon is inside, because `outer` has no holes.
  return edgesOf(inner).every((edge) => coversEdge(outer, edge));
}

/** Reports whether an edge lies in `outer`. Between two points where it meets the border, it stays on one side. */
function coversEdge(outer: readonly PointNorm[], [a, b]: Edge): boolean {
  const ratios = [0, 1, ...edgesOf(outer).flatMap((edge) => meetings([a, b], edge))].sort((p, q) => p - q);
  const at = (ratio: number): PointNorm => [a[0] + ratio * (b[0] - a[0]), a[1] + ratio * (b[1] - a[1])];
  return ratios.every((ratio, index) => {
    const before = ratios[index - 1] ?? ratio;
    return contains(outer, at(ratio)) && contains(outer, at((before + ratio) / 2));
  });
}

/**
 * Returns the positions on a→b (0..1) at which it crosses the other edge or passes beside the first corner of that
 * edge.
 */
function meetings([a, b]: Edge, [c, d]: Edge): number[] {
  const ratios: number[] = [];
  if (side(a, b, c) * side(a, b, d) <= 0) {
    const [from, to] = [side(c, d, a), side(c, d, b)];
    ratios.push(from / (from - to));
  }
  // Twice the limit, so that nothing can come near and leave again between two meetings.
  if (distanceNorm([a, b], c) <= 2 * ON_EDGE_NORM) {
    const [dx, dy] = [b[0] - a[0], b[1] - a[1]];
    ratios.push(((c[0] - a[0]) * dx + (c[1] - a[1]) * dy) / (dx ** 2 + dy ** 2));
  }
  // NaN results from parallel edges or an edge of zero length.
  return ratios.filter((ratio) => ratio > 0 && ratio < 1);
}

/** Ratio of the width below which two coordinates of a drawing are equal. */
const SAME_NORM = 1e-9;

/**
 * Reports whether no point of `inner` lies outside all `outers` together. Between the heights of corners and crossings,
 * a strip of the picture consists of complete trapezia. The middle of each strip therefore decides for all of it.
 */
export function coversTogether(
  outers: readonly (readonly PointNorm[])[],
  inner: readonly PointNorm[],
): boolean {
  const [top, bottom] = [Math.min(...inner.map(([, y]) => y)), Math.max(...inner.map(([, y]) => y))];
  const edges = [inner, ...outers].flatMap(edgesOf).filter(([[, y1], [, y2]]) => {
    return Math.max(y1, y2) >= top && Math.min(y1, y2) <= bottom;
  });
  const heights = [top, bottom];
  for (const [index, [a, b]] of edges.entries()) {
    heights.push(a[1]);
    for (const [c, d] of edges.slice(index + 1)) {
      const [from, to] = [side(c, d, a), side(c, d, b)];
      if (from * to < 0 && side(a, b, c) * side(a, b, d) < 0)
        heights.push(a[1] + (from / (from - to)) * (b[1] - a[1]));
    }
  }
  const borders = heights.filter((y) => y >= top && y <= bottom).sort((p, q) => p - q);
  return borders.every((y, index) => {
    const before = borders[index - 1] ?? y;
    if (y - before < SAME_NORM) return true;
    const middle = (before + y) / 2;
    const black = outers.flatMap((outer) => spansAt(outer, middle)).sort(([p], [q]) => p - q);
    return spansAt(inner, middle).every((span) => isWithin(span, black));
  });
}

type Span = readonly [from: number, to: number];

/** Returns the spans of the polygon at this height, which passes through no corner. */
function spansAt(polygon: readonly PointNorm[], y: number): Span[] {
  const at = edgesOf(polygon)
    .filter(([[, y1], [, y2]]) => y1 > y !== y2 > y)
    .map(([[x1, y1], [x2, y2]]) => x1 + ((y - y1) * (x2 - x1)) / (y2 - y1))
    .sort((p, q) => p - q);
  return at.flatMap((from, index) => (index % 2 === 0 ? [[from, at[index + 1] ?? from] as const] : []));
}

/** Reports whether a span lies within `spans`, which are sorted by their start. */
function isWithin([from, to]: Span, spans: readonly Span[]): boolean {
  let reached = from;
  for (const [begin, end] of spans) if (begin <= reached + SAME_NORM) reached = Math.max(reached, end);
  return reached >= to - SAME_NORM;
}

/** Returns the area by the shoelace formula. */
export function areaNorm(polygon: readonly PointNorm[]): number {
  const sum = edgesOf(polygon).reduce((total, [[x1, y1], [x2, y2]]) => total + x1 * y2 - x2 * y1, 0);
  return Math.abs(sum) / 2;
}

type Edge = readonly [PointNorm, PointNorm];

function edgesOf(polygon: readonly PointNorm[]): Edge[] {
  return polygon.map((point, index) => [point, polygon[(index + 1) % polygon.length] ?? point]);
}

/** Returns twice the signed area of a→b→c, whose sign is the side of a→b on which c lies. */
function side([ax, ay]: PointNorm, [bx, by]: PointNorm, [cx, cy]: PointNorm): number {
  return (bx - ax) * (cy - ay) - (by - ay) * (cx - ax);
}

/** Reports whether the edges cross in a point inside both. */
function cross([a, b]: Edge, [c, d]: Edge): boolean {
  return side(a, b, c) * side(a, b, d) < 0 && side(c, d, a) * side(c, d, b) < 0;
}

/** Reports whether the edges share a point, ends included. */
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

/** Tests by the even-odd rule; a point on an edge counts as inside. */
function contains(polygon: readonly PointNorm[], point: PointNorm): boolean {
  let inside = false;
  for (const edge of edgesOf(polygon)) {
    if (distanceNorm(edge, point) <= ON_EDGE_NORM) return true;
    const [[x1, y1], [x2, y2]] = edge;
    if (y1 > point[1] !== y2 > point[1] && point[0] < x1 + ((point[1] - y1) * (x2 - x1)) / (y2 - y1)) {
      inside = !inside;
    }
  }
  return inside;
}

function distanceNorm([a, b]: Edge, point: PointNorm): number {
  const [dx, dy] = [b[0] - a[0], b[1] - a[1]];
  const length2 = dx ** 2 + dy ** 2;
  const ratio = length2 === 0 ? 0 : ((point[0] - a[0]) * dx + (point[1] - a[1]) * dy) / length2;
  const near = Math.min(1, Math.max(0, ratio));
  return Math.hypot(a[0] + near * dx - point[0], a[1] + near * dy - point[1]);
}

interface Shape {
  readonly polygon: readonly PointNorm[];
}

/** Returns the shapes whose polygon is not among `otherShapes`. */
export function notAmong<S extends Shape>(shapes: readonly S[], otherShapes: readonly Shape[]): S[] {
  const otherPolygons = new Set(otherShapes.map(({ polygon }) => JSON.stringify(polygon)));
  return shapes.filter(({ polygon }) => !otherPolygons.has(JSON.stringify(polygon)));
}

/** Returns the shapes that `covers` do not cover, singly or together. */
export function uncovered<S extends Shape>(shapes: readonly S[], outerShapes: readonly Shape[]): S[] {
  const outers = outerShapes.map(({ polygon }) => polygon);
  return notAmong(shapes, outerShapes).filter(({ polygon }) => !coversTogether(outers, polygon));
}
