/**
 * Draws blocks. A hidden area without a clean plate is drawn in blocks of the colours around it, and no hidden pixel
 * contributes to them. A vehicle is drawn in blocks of its own pixels, too coarse for a licence plate or for a face
 * behind the windscreen.
 *
 * Blocks are squares of 2^k px at multiples of their side, so that blocks of overlapping boxes nest.
 */
import type { XyxyPx } from '../../contract/geometry.ts';
import { CELL_PX, COARSE, type Grid, pixelsOf, touched } from './cells.ts';
import { colourOf } from './means.ts';

/** Blocks along the long side of a hidden area. A person is drawn in at most 6 × 6 blocks, those at the ends cut. */
const BLOCKS_OF_LONG_SIDE = 5;
/**
 * Blocks along the short side of a vehicle, which is 1.5 m high or 1.8 m wide. A block is 12 cm or more. So a licence
 * plate (52 × 11 cm) covers four or five blocks, each a mean of two characters, and a face covers 2 × 2.
 */
const BLOCKS_OF_VEHICLE = 12;
const GREY = 128;

/** Mean colours of squares of 2^k cells, over their visible pixels. */
interface Layer {
  readonly columns: number;
  /** Red, green, blue and number of cells, by square. */
  readonly sums: Float64Array;
}

/**
 * Draws the cells marked in `unknown`. `open` marks cells whose pixels may be shown. `boxes` are the hidden boxes,
 * whose size sets the size of the blocks.
 */
export function fillUnknown(
  rgb: Uint8Array,
  grid: Grid,
  unknown: Uint8Array,
  open: Uint8Array,
  boxes: readonly XyxyPx[],
): void {
  const layers = layersOf(rgb, grid, open);
  const coarseness = new Uint8Array(unknown.length);
  for (const box of boxes) {
    const k = Math.log2(Math.max(CELL_PX, personBlockPx(box)) / CELL_PX);
    const [left, top, right, bottom] = touched(box, grid);
    for (let row = top; row < bottom; row += 1) {
      for (let cell = row * grid.columns + left; cell < row * grid.columns + right; cell += 1)
        coarseness[cell] = Math.max(k, coarseness[cell] as number);
    }
  }
  for (let cell = 0; cell < unknown.length; cell += 1) {
    if (unknown[cell] === 1)
      paint(rgb, grid, cell, colourAround(layers, grid, cell, coarseness[cell] as number));
  }
}

function longSide([x1, y1, x2, y2]: XyxyPx): number {
  return Math.max(x2 - x1, y2 - y1);
}

function layersOf(rgb: Uint8Array, grid: Grid, open: Uint8Array): Layer[] {
  const { columns, rows } = grid;
  const first: Layer = { columns, sums: new Float64Array(columns * rows * 4) };
  for (let cell = 0; cell < open.length; cell += 1) {
    if (open[cell] !== 1) continue;
    colourOf(rgb, grid, cell, 4, first.sums, cell * 4);
    first.sums[cell * 4 + 3] = 1;
  }
  const layers = [first];
  let [lowerLayer, layerColumns, layerRows] = [first, columns, rows];
  while (layerColumns > 1 || layerRows > 1) {
    const fromAcross = layerColumns;
    const fromDown = layerRows;
    layerColumns = Math.ceil(layerColumns / 2);
    layerRows = Math.ceil(layerRows / 2);
    const layer: Layer = { columns: layerColumns, sums: new Float64Array(layerColumns * layerRows * 4) };
    for (let y = 0; y < fromDown; y += 1) {
      for (let x = 0; x < fromAcross; x += 1) {
        const from = (y * fromAcross + x) * 4;
        const to = ((y >> 1) * layerColumns + (x >> 1)) * 4;
        for (let i = 0; i < 4; i += 1)
          layer.sums[to + i] = (layer.sums[to + i] as number) + (lowerLayer.sums[from + i] as number);
      }
    }
    layers.push(layer);
    lowerLayer = layer;
  }
  return layers;
}

/**
 * Returns the colour of the smallest square around a cell that has visible cells, with a side of at least 2^k cells.
 */
function colourAround(
  layers: readonly Layer[],
  { columns }: Grid,
  cell: number,
  k: number,
): readonly number[] {
  const [x, y] = [cell % columns, Math.floor(cell / columns)];
  for (let up = Math.min(k, layers.length - 1); up < layers.length; up += 1) {
    const { columns: layerColumns, sums } = layers[up] as Layer;
    const at = ((y >> up) * layerColumns + (x >> up)) * 4;
    const count = sums[at + 3] as number;
    if (count === 0) continue;
    return [
      Math.round((sums[at] as number) / count),
      Math.round((sums[at + 1] as number) / count),
      Math.round((sums[at + 2] as number) / count),
    ];
  }
  return [GREY, GREY, GREY];
}

function paint(rgb: Uint8Array, grid: Grid, cell: number, colour: readonly number[]): void {
  const [left, top, right, bottom] = pixelsOf(cell, grid);
  for (let y = top; y < bottom; y += 1) {
    for (let x = left; x < right; x += 1) {
      const at = (y * grid.size.widthPx + x) * 3;
      for (let i = 0; i < 3; i += 1) rgb[at + i] = colour[i] as number;
    }
  }
}

/** Box that is drawn in blocks of its own pixels. */
export interface CoarseBox {
  readonly box: XyxyPx;
  /** A power of two. */
  readonly sidePx: number;
}

export function vehicleBlockPx([x1, y1, x2, y2]: XyxyPx): number {
  return powerOfTwo(Math.min(x2 - x1, y2 - y1) / BLOCKS_OF_VEHICLE);
}

/** Returns the block side for anything that may be a person. */
export function personBlockPx(box: XyxyPx): number {
  return powerOfTwo(longSide(box) / BLOCKS_OF_LONG_SIDE);
}

function powerOfTwo(least: number): number {
  return 2 ** Math.max(0, Math.ceil(Math.log2(least)));
}

/** Draws coarse cells, the finest blocks first, because the mean of a larger block is unchanged by them. */
export function coarsen(rgb: Uint8Array, grid: Grid, cells: Uint8Array, boxes: readonly CoarseBox[]): void {
  for (const { box, sidePx } of [...boxes].sort((a, b) => a.sidePx - b.sidePx)) {
    // Cells are coarse as a whole, however fine the blocks are.
    const [left, top, right, bottom] = touched(box, grid).map((cells) => cells * CELL_PX) as [
      number,
      number,
      number,
      number,
    ];
    for (let y = top - (top % sidePx); y < Math.min(bottom, grid.size.heightPx); y += sidePx) {
      for (let x = left - (left % sidePx); x < Math.min(right, grid.size.widthPx); x += sidePx) {
        coarsenBlock(rgb, grid, cells, x, y, sidePx);
      }
    }
  }
}

function coarsenBlock(
  rgb: Uint8Array,
  grid: Grid,
  cells: Uint8Array,
  left: number,
  top: number,
  sidePx: number,
): void {
  const { columns, size } = grid;
  const right = Math.min(left + sidePx, size.widthPx);
  const bottom = Math.min(top + sidePx, size.heightPx);
  let [r, g, b, count] = [0, 0, 0, 0];
  for (let y = top; y < bottom; y += 1) {
    const row = (y >> 3) * columns;
    for (let x = left; x < right; x += 1) {
      if (cells[row + (x >> 3)] !== COARSE) continue;
      const at = (y * size.widthPx + x) * 3;
      r += rgb[at] as number;
      g += rgb[at + 1] as number;
      b += rgb[at + 2] as number;
      count += 1;
    }
  }
  if (count === 0) return;
  const red = Math.round(r / count);
  const green = Math.round(g / count);
  const blue = Math.round(b / count);
  for (let y = top; y < bottom; y += 1) {
    const row = (y >> 3) * columns;
    for (let x = left; x < right; x += 1) {
      if (cells[row + (x >> 3)] !== COARSE) continue;
      const at = (y * size.widthPx + x) * 3;
      rgb[at] = red;
      rgb[at + 1] = green;
      rgb[at + 2] = blue;
    }
  }
}
