/**
 * Computes the pixels under the privacy masks: every pixel that a polygon touches, however little. They are black in
 * every picture that the camera gives out.
 *
 * The addon blackens them while it makes a picture from the decoder's output (frame-reader.ts). Code behind the camera
 * does not need to know the masks and cannot forget them.
 *
 * INVARIANTS:
 * - Scaling spreads pixels before they are blackened, so a mask of a scaled picture reaches correspondingly further.
 * - Without masks no picture is changed.
 */
import type { MaskConfig } from '../../contract/config.ts';
import { type PointNorm, type SizePx, sameSize } from '../../contract/geometry.ts';
import { type Placement, placementOf } from '../../contract/letterbox.ts';
import type { ByteRanges } from '../../contract/picture.ts';
import { stridesOf } from './planes.ts';

/**
 * Distance by which scaling and the conversion from 4:2:0 spread a pixel, in pixels of the smaller picture (made or
 * coded). Measured for factors from 0.16 to 2.1, on colours, which spread most.
 */
const FRAME_REACH_PX = 3;
/** Number of cached sizes: those of one source and of the previous one. */
const SIZES_MAX = 16;

/** Size of a decoder's picture, in square pixels and as coded. */
export interface DecodedSize {
  readonly source: SizePx;
  readonly coded: SizePx;
}

/** Black part of a picture of one size, as half-open ranges [from, to) in pairs. */
export interface BlackPixels {
  /** Ranges of pixels, row by row. */
  readonly ranges: Int32Array;
  /** 1 for black pixels, row by row; undefined without masks. */
  readonly masked: Uint8Array | undefined;
}

/** Black part of planes of one size: byte ranges of the luma plane and of each chroma plane (planes.ts). */
export interface BlackPlanes {
  readonly y: Int32Array;
  readonly uv: Int32Array;
}

/** Black part of pictures of one size, by mask. */
interface PictureMask {
  readonly size: SizePx;
  readonly reachPx: number;
  readonly black: readonly ByteRanges[];
}

const NOTHING = new Int32Array();

export class PrivacyMasks {
  readonly #polygons: readonly (readonly PointNorm[])[];
  readonly #pixels = new Map<string, BlackPixels>();
  readonly #planes = new Map<string, BlackPlanes>();
  #picture: PictureMask | undefined;

  constructor(masks: readonly MaskConfig[]) {
    this.#polygons = masks.map(({ polygon }) => polygon);
  }

  /** Returns the black part of a picture of `size` in which the decoder's picture lies at `placement`. */
  inPixels({ source, coded }: DecodedSize, size: SizePx, placement = placementOf(source, size)): BlackPixels {
    if (this.#polygons.length === 0) return { ranges: NOTHING, masked: undefined };
    const { leftPx, topPx, widthPx, heightPx } = placement;
    const key = `${sizeText(coded)} ${sizeText(size)} ${leftPx} ${topPx} ${widthPx} ${heightPx}`;
    return remembered(this.#pixels, key, () => this.#inPixels(coded, size, placement));
  }

  /** Returns the black part of planes of `size` that are made from the whole picture. */
  inPlanes({ coded }: Pick<DecodedSize, 'coded'>, size: SizePx): BlackPlanes {
    if (this.#polygons.length === 0) return { y: NOTHING, uv: NOTHING };
    return remembered(this.#planes, `${sizeText(coded)} ${sizeText(size)}`, () =>
      this.#inPlanes(coded, size),
    );
  }

  /**
   * Blackens a picture of the whole source in place and returns the black ranges by mask. `reachPx` is the distance by
   * which its pixels were spread. A still is black there already; this also removes compression artefacts at the edges.
   */
  blackenPicture(rgb: Uint8Array, size: SizePx, reachPx: number): readonly ByteRanges[] {
    let mask = this.#picture;
    if (mask === undefined || !sameSize(mask.size, size) || mask.reachPx !== reachPx) {
      const black = this.#polygons.map((polygon) => maskRanges(polygon, size, reachPx));
      mask = { size, reachPx, black };
      this.#picture = mask;
    }
    for (const ranges of mask.black) for (const [from, to] of ranges) rgb.fill(0, from, to);
    return mask.black;
  }

  #inPixels(coded: SizePx, size: SizePx, placement: Placement): BlackPixels {
    const reachPx = scaledReachPx(coded, placement);
    const masked = new Uint8Array(size.widthPx * size.heightPx);
    for (const polygon of this.#polygons) {
      for (const [from, to] of maskRanges(polygon, size, reachPx, placement))
        masked.fill(1, from / 3, to / 3);
    }
    return { ranges: rangesOf(masked), masked };
  }

  #inPlanes(coded: SizePx, size: SizePx): BlackPlanes {
    // A chroma pixel covers two rows and columns of luma, scaled or not.
    const reachPx = Math.max(1, spreadPx(coded, size));
    const { strideY, strideUv } = stridesOf(size);
    const y: number[] = [];
    const uv: number[] = [];
    for (const polygon of this.#polygons) {
      for (const [from, to] of maskRanges(polygon, size, reachPx)) {
        const row = Math.floor(from / 3 / size.widthPx);
        const [left, right] = [from / 3 - row * size.widthPx, to / 3 - row * size.widthPx];
        y.push(row * strideY + left, row * strideY + right);
        const colours = (row >> 1) * strideUv;
        uv.push(colours + (left >> 1), colours + ((right + 1) >> 1));
      }
    }
    return { y: Int32Array.from(y), uv: Int32Array.from(uv) };
  }
}

/** Returns how far a picture's pixels spread in a picture made from it, in pixels of the latter; 0 for equal sizes. */
export function spreadPx(coded: SizePx, output: SizePx): number {
  return sameSize(coded, output) ? 0 : scaledReachPx(coded, output);
}

/** Returns the spread for output of the conversion to RGB, scaled or not. */
function scaledReachPx(coded: SizePx, output: SizePx): number {
  const enlarged = Math.max(1, output.widthPx / coded.widthPx, output.heightPx / coded.heightPx);
  return Math.ceil(FRAME_REACH_PX * enlarged);
}

function sizeText({ widthPx, heightPx }: SizePx): string {
  return `${widthPx}x${heightPx}`;
}

function remembered<T>(cache: Map<string, T>, key: string, make: () => T): T {
  let entry = cache.get(key);
  if (entry === undefined) {
    if (cache.size >= SIZES_MAX) cache.clear();
    entry = make();
    cache.set(key, entry);
  }
  return entry;
}

/** Returns the ranges of the pixels that are 1, each once. */
function rangesOf(masked: Uint8Array): Int32Array {
  const ranges: number[] = [];
  for (let from = masked.indexOf(1); from >= 0; ) {
    const end = masked.indexOf(0, from);
    const to = end < 0 ? masked.length : end;
    ranges.push(from, to);
    from = masked.indexOf(1, to);
  }
  return Int32Array.from(ranges);
}

interface Edge {
  readonly x1: number;
  readonly y1: number;
  readonly x2: number;
  readonly y2: number;
}

/**
 * Returns the byte ranges of the pixels within `reachPx` of a polygon's inside or edge, in a picture of `size`. The
 * reach is in whole pixels, along rows and columns. The source, to which the polygon is normalised, lies at `placement`
 * in the picture. Corners outside of it are allowed. Winding is non-zero, so a polygon that crosses itself has no hole.
 *
 * Method: a row of pixels is the band between two horizontal lines. A pixel that the polygon touches is either crossed
 * by an edge within the band, or lies completely inside. In the second case its upper line lies inside too.
 */
export function maskRanges(
  polygon: readonly PointNorm[],
  size: SizePx,
  reachPx: number,
  placement: Placement = { leftPx: 0, topPx: 0, ...size },
): ByteRanges {
  const { widthPx, heightPx } = size;
  const edges = edgesOf(polygon, placement);
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

function edgesOf(polygon: readonly PointNorm[], { leftPx, topPx, widthPx, heightPx }: Placement): Edge[] {
  const x = (norm: number): number => leftPx + norm * widthPx;
  const y = (norm: number): number => topPx + norm * heightPx;
  return polygon.map(([x1, y1], index) => {
    const [x2, y2] = polygon[(index + 1) % polygon.length] ?? [x1, y1];
    return { x1: x(x1), y1: y(y1), x2: x(x2), y2: y(y2) };
  });
}

/** Returns the x-range of the part of an edge that lies in top ≤ y ≤ bottom. */
function spanInBand(edge: Edge, top: number, bottom: number): [number, number][] {
  const { y1, y2 } = edge;
  if (Math.max(y1, y2) < top || Math.min(y1, y2) > bottom) return [];
  const a = xAt(edge, clamp(y1, top, bottom));
  const b = xAt(edge, clamp(y2, top, bottom));
  if (y1 === y2) return [[Math.min(edge.x1, edge.x2), Math.max(edge.x1, edge.x2)]];
  return [[Math.min(a, b), Math.max(a, b)]];
}

/** Returns the x-ranges of a horizontal line that lie inside. */
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
