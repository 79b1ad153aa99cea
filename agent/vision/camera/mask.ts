/**
 * Privacy masks: every pixel that a polygon touches, however little, is black, in every picture that the camera gives
 * out. Nobody behind the camera has to know of them, and nobody can forget them.
 *
 * INVARIANTS: scaling has spread pixels before they can be made black, so a mask of a scaled picture reaches as much
 * further; without masks no picture is touched.
 */
import type { MaskConfig } from '../../contract/config.ts';
import { type PointNorm, type SizePx, sameSize } from '../../contract/geometry.ts';
import { type Placement, placementOf } from '../../contract/letterbox.ts';
import type { ByteRanges, YuvPlanes } from '../../contract/picture.ts';

/**
 * How far `videoscale` and the conversion from 4:2:0 spread a pixel, in pixels of the frame where the source is larger
 * than it, else of the source. Measured for factors from 0.16 to 2.1 (GStreamer 1.26), as the colours spread most.
 */
const FRAME_REACH_PX = 3;

/** What is black in letterboxed pictures of one size, of one size of the source. */
interface FrameMask {
  readonly source: SizePx;
  readonly ranges: ByteRanges;
  /** 1 for black pixels, row by row. */
  readonly masked: Uint8Array;
}

/** What is black in planes of one size: byte ranges of the brightness, and of each plane of colour. */
interface PlanesMask {
  readonly size: SizePx;
  readonly y: ByteRanges;
  readonly uv: ByteRanges;
}

/** What is black in pictures of one size, by mask. */
interface PictureMask {
  readonly size: SizePx;
  readonly reachPx: number;
  readonly black: readonly ByteRanges[];
}

export class PrivacyMasks {
  readonly #polygons: readonly (readonly PointNorm[])[];
  /** By the size of the picture: the frame's, and that of a larger one. */
  readonly #frames = new Map<string, FrameMask>();
  #planes: PlanesMask | undefined;
  #picture: PictureMask | undefined;

  constructor(masks: readonly MaskConfig[]) {
    this.#polygons = masks.map(({ polygon }) => polygon);
  }

  /** Blackens a letterboxed picture of `input` in place; returns 1 for each black pixel, row by row, or undefined without masks. */
  blackenFrame(rgb: Uint8Array, source: SizePx, input: SizePx): Uint8Array | undefined {
    if (this.#polygons.length === 0) return undefined;
    const key = `${input.widthPx}x${input.heightPx}`;
    let mask = this.#frames.get(key);
    if (mask === undefined || !sameSize(mask.source, source)) {
      mask = { source, ...this.#frameMask(source, input) };
      this.#frames.set(key, mask);
    }
    blacken(rgb, mask.ranges);
    return mask.masked;
  }

  /**
   * Blackens a picture of the whole source in place; `reachPx`: how far its pixels have been spread. Returns what is
   * black, by mask.
   */
  blackenPicture(rgb: Uint8Array, size: SizePx, reachPx: number): readonly ByteRanges[] {
    let mask = this.#picture;
    if (mask === undefined || !sameSize(mask.size, size) || mask.reachPx !== reachPx) {
      const black = this.#polygons.map((polygon) => maskRanges(polygon, size, reachPx));
      mask = { size, reachPx, black };
      this.#picture = mask;
    }
    for (const ranges of mask.black) blacken(rgb, ranges);
    return mask.black;
  }

  /** Blackens planes of a picture of `source` in place. */
  blackenPlanes(planes: YuvPlanes, source: SizePx): void {
    if (this.#polygons.length === 0) return;
    const { size } = planes;
    if (this.#planes === undefined || !sameSize(this.#planes.size, size)) {
      this.#planes = this.#planesMask(planes, source);
    }
    for (const [from, to] of this.#planes.y) planes.y.fill(0, from, to);
    for (const plane of [planes.u, planes.v])
      for (const [from, to] of this.#planes.uv) plane.fill(128, from, to);
  }

  #planesMask({ size, strideY, strideUv }: YuvPlanes, source: SizePx): PlanesMask {
    // A pixel of colour serves two rows and columns of brightness, scaled or not.
    const reachPx = sameSize(size, source) ? 1 : FRAME_REACH_PX;
    const y: [number, number][] = [];
    const uv: [number, number][] = [];
    for (const polygon of this.#polygons) {
      for (const [from, to] of maskRanges(polygon, size, reachPx)) {
        const row = Math.floor(from / 3 / size.widthPx);
        const [left, right] = [from / 3 - row * size.widthPx, to / 3 - row * size.widthPx];
        y.push([row * strideY + left, row * strideY + right]);
        const colours = (row >> 1) * strideUv;
        uv.push([colours + (left >> 1), colours + ((right + 1) >> 1)]);
      }
    }
    return { size, y, uv };
  }

  #frameMask(source: SizePx, input: SizePx): Pick<FrameMask, 'ranges' | 'masked'> {
    const placement = placementOf(source, input);
    const reachPx = Math.ceil(FRAME_REACH_PX * Math.max(1, placement.widthPx / source.widthPx));
    const masked = new Uint8Array(input.widthPx * input.heightPx);
    for (const polygon of this.#polygons) {
      for (const [from, to] of maskRanges(polygon, input, reachPx, placement))
        masked.fill(1, from / 3, to / 3);
    }
    return { ranges: rangesOf(masked), masked };
  }
}

/** The byte ranges of the pixels that are 1, each once. */
function rangesOf(masked: Uint8Array): ByteRanges {
  const ranges: [number, number][] = [];
  for (let from = masked.indexOf(1); from >= 0; ) {
    const end = masked.indexOf(0, from);
    const to = end < 0 ? masked.length : end;
    ranges.push([from * 3, to * 3]);
    from = masked.indexOf(1, to);
  }
  return ranges;
}

interface Edge {
  readonly x1: number;
  readonly y1: number;
  readonly x2: number;
  readonly y2: number;
}

/**
 * The bytes of the pixels of a picture of `size` that lie within `reachPx` (a whole number of pixels, along rows and
 * columns) of a polygon's inside or edge. The source, to which the polygon is normalised, lies at `placement` in the
 * picture. Corners outside of it are allowed; winding is non-zero, so that a polygon that crosses itself has no hole.
 *
 * Method: a row of pixels is the band between two horizontal lines. A pixel that the polygon touches is
 * crossed by an edge within the band, or lies wholly inside, and then its upper line lies inside too.
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

function blacken(rgb: Uint8Array, ranges: ByteRanges): void {
  for (const [from, to] of ranges) rgb.fill(0, from, to);
}

function edgesOf(polygon: readonly PointNorm[], { leftPx, topPx, widthPx, heightPx }: Placement): Edge[] {
  const x = (norm: number): number => leftPx + norm * widthPx;
  const y = (norm: number): number => topPx + norm * heightPx;
  return polygon.map(([x1, y1], index) => {
    const [x2, y2] = polygon[(index + 1) % polygon.length] ?? [x1, y1];
    return { x1: x(x1), y1: y(y1), x2: x(x2), y2: y(y2) };
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
