/** Plane geometry: whether a polygon can be a zone, and whether one lies inside another. Coordinates are normalised, y down. */
import type { PointNorm } from './geometry.ts';

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

/**
 * Nearer to an edge than this is on it, as a share of the picture: a fifth of a pixel of 1920×1080, and what a drawing
 * with four digits after the point is off by.
 */
const ON_EDGE_NORM = 1e-4;

/** True when no point of `inner`, a polygon that does not cross itself or the two ends of a line, lies outside of `outer`. */
export function covers(outer: readonly PointNorm[], inner: readonly PointNorm[]): boolean {
  // What is inside with its whole border is inside: `outer` has no holes.
  return edgesOf(inner).every((edge) => coversEdge(outer, edge));
}

/** Between two places where it meets the border, an edge is on one side of it. */
function coversEdge(outer: readonly PointNorm[], [a, b]: Edge): boolean {
  const shares = [0, 1, ...edgesOf(outer).flatMap((edge) => meetings([a, b], edge))].sort((p, q) => p - q);
  const at = (share: number): PointNorm => [a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])];
  return shares.every((share, index) => {
    const before = shares[index - 1] ?? share;
    return contains(outer, at(share)) && contains(outer, at((before + share) / 2));
  });
}

/** Where on a→b, as shares of it, it meets the other edge: crosses it, or has its first corner beside it. */
function meetings([a, b]: Edge, [c, d]: Edge): number[] {
  const shares: number[] = [];
  if (side(a, b, c) * side(a, b, d) <= 0) {
    const [from, to] = [side(c, d, a), side(c, d, b)];
    shares.push(from / (from - to));
  }
  // Twice, so that between two meetings nothing can come near and go away again.
  if (distanceNorm([a, b], c) <= 2 * ON_EDGE_NORM) {
    const [dx, dy] = [b[0] - a[0], b[1] - a[1]];
    shares.push(((c[0] - a[0]) * dx + (c[1] - a[1]) * dy) / (dx ** 2 + dy ** 2));
  }
  // What is not a number belongs to edges that are parallel, or to an edge of no length.
  return shares.filter((share) => share > 0 && share < 1);
}

/** A share of the width that a number of a drawing does not tell apart. */
const SAME_NORM = 1e-9;

/**
 * True when no point of `inner` lies outside of all `outers`. Between the heights at which corners lie or sides cross, a
 * strip of the picture is made of whole trapezia, so that the middle of each strip tells for all of it.
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

/** Where the polygon lies at this height, which goes through none of its corners. */
function spansAt(polygon: readonly PointNorm[], y: number): Span[] {
  const at = edgesOf(polygon)
    .filter(([[, y1], [, y2]]) => y1 > y !== y2 > y)
    .map(([[x1, y1], [x2, y2]]) => x1 + ((y - y1) * (x2 - x1)) / (y2 - y1))
    .sort((p, q) => p - q);
  return at.flatMap((from, index) => (index % 2 === 0 ? [[from, at[index + 1] ?? from] as const] : []));
}

/** `spans` by where they begin. */
function isWithin([from, to]: Span, spans: readonly Span[]): boolean {
  let reached = from;
  for (const [begin, end] of spans) if (begin <= reached + SAME_NORM) reached = Math.max(reached, end);
  return reached >= to - SAME_NORM;
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
  const share = length2 === 0 ? 0 : ((point[0] - a[0]) * dx + (point[1] - a[1]) * dy) / length2;
  const near = Math.min(1, Math.max(0, share));
  return Math.hypot(a[0] + near * dx - point[0], a[1] + near * dy - point[1]);
}

interface Shape {
  readonly polygon: readonly PointNorm[];
}

/** Those of `shapes` that are not drawn in the same way among `others`. */
export function notAmong<S extends Shape>(shapes: readonly S[], others: readonly Shape[]): S[] {
  const known = new Set(others.map(({ polygon }) => JSON.stringify(polygon)));
  return shapes.filter(({ polygon }) => !known.has(JSON.stringify(polygon)));
}

/** Those of `shapes` that `covers` do not cover, one by one or together. */
export function uncovered<S extends Shape>(shapes: readonly S[], covers: readonly Shape[]): S[] {
  const outers = covers.map(({ polygon }) => polygon);
  return notAmong(shapes, covers).filter(({ polygon }) => !coversTogether(outers, polygon));
}
