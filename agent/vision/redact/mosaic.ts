/**
 * Pixelation on a grid that nests.
 *
 * The picture is divided into blocks of 8 × 8 px, those of JPEG. A redacted place is made of whole blocks,
 * so that no block of the file holds both redacted and public pixels, and every redacted block is of one
 * colour: nothing but its DC coefficients is left in the file.
 *
 * A box is cut into at most 8 × 8 cells, whose sides are 8·2^k px and lie at multiples of themselves in the
 * picture. All blocks of a box that lie in the same cell are joined, over all boxes; what is joined, however
 * often, gets one colour, its mean before anything was drawn. So a box never shows more than 8 × 8 samples,
 * whatever overlaps it, and since the cells of all boxes nest, overlapping boxes do not join endlessly.
 */
import { assert } from '../../base/errors.ts';
import type { SizePx, XyxyPx } from '../../contract/geometry.ts';

/** The block of a JPEG without chroma subsampling (ITU-T T.81). */
export const BLOCK_PX = 8;

/** No box is re-drawn from more than 8 × 8 samples. */
const CELLS_PER_SIDE_MAX = 8;

export interface MosaicBox {
  /** In pixels of the picture; may reach beyond it. */
  readonly xyxyPx: XyxyPx;
  /** The cells of this box are at least so large, px. */
  readonly cellPxMin: number;
}

/** Blocks of a box that has no straight sides. */
export interface MosaicShape extends MosaicBox {
  covers(column: number, row: number): boolean;
}

/** `sampleOf[row * columns + column]` names the sample that a block is drawn from; -1: a public block. */
export interface Mosaic {
  readonly columns: number;
  readonly rows: number;
  readonly sampleOf: Int32Array;
  /** Shapes of which something lies outside of all boxes. */
  readonly shapesDrawn: number;
}

/**
 * Cells of a person are at least a quarter of the box's short side. Of a standing body the mosaic leaves a head
 * about 2 × 2 samples by itself; but of a bust, whose head is half as wide as its box, it would leave up to
 * 6 × 6. This leaves 3 × 3 at most.
 */
const CELLS_OF_SHORT_SIDE = 4;

export function personCellPxMin([x1, y1, x2, y2]: XyxyPx): number {
  return Math.min(x2 - x1, y2 - y1) / CELLS_OF_SHORT_SIDE;
}

/** A box along one axis, in blocks [from, to), with the cell of each of its blocks. */
interface Cut {
  readonly from: number;
  readonly to: number;
  readonly cellOf: (block: number) => number;
}

/**
 * Plans the samples of a picture; what lies outside of it is left out. Of shapes, what no box and no earlier shape
 * has taken is drawn, in cells as large as the whole shape asks for: joined with what lies there, a large shape
 * would make every box that it touches coarse.
 */
export function planMosaic(
  size: SizePx,
  boxes: readonly MosaicBox[],
  shapes: readonly MosaicShape[] = [],
): Mosaic {
  const columns = Math.ceil(size.widthPx / BLOCK_PX);
  const rows = Math.ceil(size.heightPx / BLOCK_PX);
  const sampleOf = new Int32Array(columns * rows).fill(-1);
  const join = ({ xyxyPx, cellPxMin }: MosaicBox, takes?: MosaicShape['covers']): number => {
    assert(xyxyPx.every(Number.isFinite), 'a box to redact has coordinates');
    const [x1, y1, x2, y2] = xyxyPx;
    return joinCells(sampleOf, columns, cut(x1, x2, columns, cellPxMin), cut(y1, y2, rows, cellPxMin), takes);
  };
  for (const box of boxes) join(box);
  const free = (column: number, row: number): boolean => sampleOf[row * columns + column] === -1;
  const shapesDrawn = shapes.filter(
    (shape) => join(shape, (column, row) => free(column, row) && shape.covers(column, row)) > 0,
  ).length;
  for (let block = 0; block < sampleOf.length; block += 1) {
    if (sampleOf[block] !== -1) sampleOf[block] = rootOf(sampleOf, block);
  }
  return { columns, rows, sampleOf, shapesDrawn };
}

/**
 * Cuts [fromPx, toPx] into the smallest aligned cells of which it touches at most ten. Where it touches more
 * than eight, cells at the ends, which hold the box's margin, are drawn with their neighbours: the smaller
 * of the two ends, or both.
 */
function cut(fromPx: number, toPx: number, blocks: number, cellPxMin: number): Cut {
  const from = clamp(Math.floor(fromPx / BLOCK_PX), blocks);
  const to = clamp(Math.ceil(toPx / BLOCK_PX), blocks);
  const cellMin = Math.min(cellPxMin / BLOCK_PX, blocks);
  let k = 0;
  while (2 ** k < cellMin || ((to - 1) >> k) - (from >> k) + 1 > CELLS_PER_SIDE_MAX + 2) k += 1;
  const first = from >> k;
  const last = (to - 1) >> k;
  const excess = last - first + 1 - CELLS_PER_SIDE_MAX;
  const firstIsSmaller = ((first + 1) << k) - from <= to - (last << k);
  const low = excess === 2 || (excess === 1 && firstIsSmaller) ? first + 1 : first;
  const high = excess === 2 || (excess === 1 && !firstIsSmaller) ? last - 1 : last;
  return { from, to, cellOf: (block) => Math.min(Math.max(block >> k, low), high) };
}

function clamp(value: number, max: number): number {
  return Math.min(Math.max(value, 0), max);
}

/** Joins each block of the box with the first block of its cell; returns how many blocks that were. */
function joinCells(
  sampleOf: Int32Array,
  columns: number,
  across: Cut,
  down: Cut,
  takes: (column: number, row: number) => boolean = () => true,
): number {
  const firstOf = new Map<number, number>();
  let joined = 0;
  for (let row = down.from; row < down.to; row += 1) {
    for (let column = across.from; column < across.to; column += 1) {
      if (!takes(column, row)) continue;
      joined += 1;
      const block = row * columns + column;
      const cell = down.cellOf(row) * columns + across.cellOf(column);
      const first = firstOf.get(cell) ?? block;
      firstOf.set(cell, first);
      if (sampleOf[block] === -1) sampleOf[block] = block;
      sampleOf[rootOf(sampleOf, block)] = rootOf(sampleOf, first);
    }
  }
  return joined;
}

/** The block that stands for all that are joined with this one (disjoint sets; paths are halved). */
function rootOf(parents: Int32Array, block: number): number {
  let at = block;
  for (let up = parents[at] ?? at; up !== at; up = parents[at] ?? at) {
    parents[at] = parents[up] ?? up;
    at = up;
  }
  return at;
}

/** Re-draws the redacted blocks of an RGB picture (8 bits, row-major, no padding) in place. */
export function pixelate(rgb: Uint8Array, size: SizePx, mosaic: Mosaic): void {
  assert(rgb.length === size.widthPx * size.heightPx * 3, 'an RGB picture has three bytes a pixel');
  // Red, green, blue and number of pixels, by sample; then the means.
  const sums = new Float64Array(mosaic.sampleOf.length * 4);
  const add = (index: number, value: number): void => {
    sums[index] = (sums[index] ?? 0) + value;
  };
  forEachRun(size, mosaic, (sample, from, to) => {
    for (let at = from; at < to; at += 3) {
      add(sample * 4, rgb[at] ?? 0);
      add(sample * 4 + 1, rgb[at + 1] ?? 0);
      add(sample * 4 + 2, rgb[at + 2] ?? 0);
    }
    add(sample * 4 + 3, (to - from) / 3);
  });
  // index | 3 is where the sample's number of pixels lies.
  const means = sums.map((sum, index) => Math.round(sum / (sums[index | 3] || 1)));
  forEachRun(size, mosaic, (sample, from, to) => {
    for (let at = from; at < to; at += 3) {
      rgb[at] = means[sample * 4] ?? 0;
      rgb[at + 1] = means[sample * 4 + 1] ?? 0;
      rgb[at + 2] = means[sample * 4 + 2] ?? 0;
    }
  });
}

/** Visits the pixel rows of redacted blocks as byte ranges [from, to); blocks at the far edges may be cut. */
function forEachRun(
  { widthPx, heightPx }: SizePx,
  { columns, sampleOf }: Mosaic,
  visit: (sample: number, from: number, to: number) => void,
): void {
  for (let block = 0; block < sampleOf.length; block += 1) {
    const sample = sampleOf[block] ?? -1;
    if (sample === -1) continue;
    const left = (block % columns) * BLOCK_PX;
    const top = Math.floor(block / columns) * BLOCK_PX;
    const right = Math.min(left + BLOCK_PX, widthPx);
    for (let y = top; y < Math.min(top + BLOCK_PX, heightPx); y += 1) {
      visit(sample, (y * widthPx + left) * 3, (y * widthPx + right) * 3);
    }
  }
}
