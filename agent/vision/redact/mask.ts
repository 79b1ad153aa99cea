/** Privacy masks: every pixel that a polygon touches, however little, is black. */
import type { PointNorm, SizePx } from '../../contract/geometry.ts';

/** Half-open byte ranges [from, to) of an RGB picture, row by row; they may overlap. */
export type ByteRanges = readonly (readonly [number, number])[];

interface Edge {
  readonly x1: number;
  readonly y1: number;
  readonly x2: number;
  readonly y2: number;
}

/**
 * The bytes of the pixels that lie within `reachPx` (a whole number of pixels, along rows and columns) of
 * a polygon's inside or edge. Corners outside the frame are allowed; winding is non-zero, so that a polygon
 * that crosses itself has no hole.
 *
 * Method: a row of pixels is the band between two horizontal lines. A pixel that the polygon touches is
 * crossed by an edge within the band, or lies wholly inside, and then its upper line lies inside too.
 */
export function maskRanges(polygon: readonly PointNorm[], size: SizePx, reachPx: number): ByteRanges {
  const { widthPx, heightPx } = size;
  const edges = edgesOf(polygon, size);
  const ranges: [number, number][] = [];
  for (let y = 0; y < heightPx; y += 1) {
    const spans = edges.flatMap((edge) => spanInBand(edge, y - reachPx, y + 1 + reachPx));
    for (let line = y - reachPx; line <= y + 1 + reachPx; line += 1) spans.push(...insideSpans(edges, line));
    for (const [from, to] of spans) {
      const left = Math.max(0, Math.floor(from) - reachPx);
      const right = Math.min(widthPx, Math.floor(to) + 1 + reachPx);
      if (left < right) ranges.push([(y * widthPx + left) * 3, (y * widthPx + right) * 3]);
    }
  }
  return ranges;
}

export function blacken(rgb: Uint8Array, ranges: ByteRanges): void {
  for (const [from, to] of ranges) rgb.fill(0, from, to);
}

function edgesOf(polygon: readonly PointNorm[], { widthPx, heightPx }: SizePx): Edge[] {
  return polygon.map(([x1, y1], index) => {
    const [x2, y2] = polygon[(index + 1) % polygon.length] ?? [x1, y1];
    return { x1: x1 * widthPx, y1: y1 * heightPx, x2: x2 * widthPx, y2: y2 * heightPx };
  });
}

/** The x-range of the part of an edge that lies in top ≤ y ≤ bottom. */
function spanInBand(edge: Edge, top: number, bottom: number): [number, number][] {
  const { y1, y2 } = edge;
  if (Math.max(y1, y2) < top || Math.min(y1, y2) > bottom) return [];
  const a = xAt(edge, clamp(y1, top, bottom));
  const b = xAt(edge, clamp(y2, top, bottom));
  if (y1 === y2) return [[Math.min(edge.x1, edge.x2), Math.max(edge.x1, edge.x2)]];
  return [[Math.min(a, b), Math.max(a, b)]];
}

/** The x-ranges of a horizontal line that lie inside. */
function insideSpans(edges: readonly Edge[], y: number): [number, number][] {
  const crossings: { x: number; turn: number }[] = [];
  for (const edge of edges) {
    const down = edge.y1 <= y && edge.y2 > y;
    const up = edge.y2 <= y && edge.y1 > y;
    if (down || up) crossings.push({ x: xAt(edge, y), turn: down ? 1 : -1 });
  }
  crossings.sort((a, b) => a.x - b.x);
  const spans: [number, number][] = [];
  let winding = 0;
  let from = 0;
  for (const { x, turn } of crossings) {
    if (winding === 0) from = x;
    winding += turn;
    if (winding === 0) spans.push([from, x]);
  }
  return spans;
}

function xAt({ x1, y1, x2, y2 }: Edge, y: number): number {
  return y1 === y2 ? x1 : x1 + ((y - y1) / (y2 - y1)) * (x2 - x1);
}

function clamp(value: number, min: number, max: number): number {
  return Math.min(Math.max(value, min), max);
}
