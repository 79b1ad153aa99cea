/**
 * Measures how the light changed between the clean plate and a picture. Each tile of 8 × 8 cells has a gain of the luma
 * and a step of each chroma channel. They are measured in comparable cells and interpolated between the centres of the
 * tiles.
 *
 * Exposure and daylight multiply the light. After a camera's tone curve, a gain of the levels still describes this well
 * within a tile. White balance shifts the colours.
 */
import type { Grid } from './cells.ts';
import type { Means } from './means.ts';

const TILE_CELLS = 8;
/** Comparable cells needed in a tile and its neighbours; with fewer, the light of the complete picture applies. */
const CELLS_MIN = 24;
/** Largest factor between a cell's gain and that of the complete picture. Beyond it, the cell shows another object. */
const SAME_LIGHT = 2;
/** Levels added to both sides, because black pixels have no gain. */
const BLACK = 4;
const GAIN_MAX = 8;
/** Number of cells whose median gives the light of the complete picture. */
const SAMPLES = 500;

/** Change of the light, by cell. */
export interface Light {
  /** Factors for luma and chroma. */
  readonly gain: Float32Array;
  /** Levels to add to blue and red difference, after the gain. */
  readonly u: Float32Array;
  readonly v: Float32Array;
}

/**
 * Measures the change of the light; undefined if fewer than CELLS_MIN cells are comparable.
 *
 * With `smooth`, a tile's light includes its neighbours and is interpolated between centres. Without it, the light is
 * the tile's own: a correction by it leaves no difference and may be repeated.
 */
export function lightBetween(
  learntMeans: Means,
  seenMeans: Means,
  use: Uint8Array,
  grid: Grid,
  smooth: boolean,
): Light | undefined {
  const overallGain = medianGain(learntMeans, seenMeans, use);
  if (overallGain === undefined) return undefined;
  const { columns, rows } = grid;
  const tileColumns = Math.ceil(columns / TILE_CELLS);
  const tileRows = Math.ceil(rows / TILE_CELLS);
  const tiles = tileColumns * tileRows;
  // The last row is that of the complete picture.
  const sums = new Float64Array((tiles + 1) * SUMS);
  for (let cell = 0; cell < use.length; cell += 1) {
    if (use[cell] === 0) continue;
    const gain =
      ((seenMeans.y[cell] as number) + BLACK) / ((learntMeans.y[cell] as number) + BLACK) / overallGain;
    if (gain > SAME_LIGHT || gain < 1 / SAME_LIGHT) continue;
    const row = Math.floor(cell / columns);
    const tile = Math.floor(row / TILE_CELLS) * tileColumns + Math.floor((cell - row * columns) / TILE_CELLS);
    take(sums, tile * SUMS, learntMeans, seenMeans, cell);
    take(sums, tiles * SUMS, learntMeans, seenMeans, cell);
  }
  const steps = new Float64Array(tiles * STEPS);
  const near = new Float64Array(SUMS);
  for (let tile = 0; tile < tiles; tile += 1) {
    if (smooth) joinAround(near, sums, tile, tileColumns, tileRows);
    else near.set(sums.subarray(tile * SUMS, (tile + 1) * SUMS));
    if ((near[COUNT] as number) >= CELLS_MIN) noteStep(steps, tile * STEPS, near, 0);
    else noteStep(steps, tile * STEPS, sums, tiles * SUMS);
  }
  return expandSteps(steps, tileColumns, tileRows, grid, smooth);
}

/** Layout of the sums of a tile: number of cells, then the known and the seen value of each channel. */
const COUNT = 0;
const KNOWN_Y = 1;
const KNOWN_U = 2;
const KNOWN_V = 3;
const SEEN_Y = 4;
const SEEN_U = 5;
const SEEN_V = 6;
const SUMS = 7;
/** Layout of the light of a tile: gain, and steps of the chroma. */
const STEPS = 3;

/** Adds a cell to the sums that begin at `at`. */
function take(sums: Float64Array, at: number, learntMeans: Means, seenMeans: Means, cell: number): void {
  sums[at + COUNT] = (sums[at + COUNT] as number) + 1;
  sums[at + KNOWN_Y] = (sums[at + KNOWN_Y] as number) + (learntMeans.y[cell] as number);
  sums[at + KNOWN_U] = (sums[at + KNOWN_U] as number) + (learntMeans.u[cell] as number);
  sums[at + KNOWN_V] = (sums[at + KNOWN_V] as number) + (learntMeans.v[cell] as number);
  sums[at + SEEN_Y] = (sums[at + SEEN_Y] as number) + (seenMeans.y[cell] as number);
  sums[at + SEEN_U] = (sums[at + SEEN_U] as number) + (seenMeans.u[cell] as number);
  sums[at + SEEN_V] = (sums[at + SEEN_V] as number) + (seenMeans.v[cell] as number);
}

/** Writes the sums of a tile and its neighbours into `near`. */
function joinAround(
  near: Float64Array,
  sums: Float64Array,
  tile: number,
  tileColumns: number,
  tileRows: number,
): void {
  near.fill(0);
  const x = tile % tileColumns;
  const y = Math.floor(tile / tileColumns);
  for (let ny = Math.max(0, y - 1); ny <= Math.min(tileRows - 1, y + 1); ny += 1) {
    for (let nx = Math.max(0, x - 1); nx <= Math.min(tileColumns - 1, x + 1); nx += 1) {
      const from = (ny * tileColumns + nx) * SUMS;
      for (let i = 0; i < SUMS; i += 1) near[i] = (near[i] as number) + (sums[from + i] as number);
    }
  }
}

/** Writes the light measured by the sums at `from` into `steps`. */
function noteStep(steps: Float64Array, at: number, sums: Float64Array, from: number): void {
  const count = sums[from + COUNT] as number;
  if (count === 0) {
    steps[at] = 1;
    return;
  }
  const gain =
    ((sums[from + SEEN_Y] as number) / count + BLACK) / ((sums[from + KNOWN_Y] as number) / count + BLACK);
  steps[at] = Math.min(GAIN_MAX, Math.max(1 / GAIN_MAX, gain));
  steps[at + 1] = ((sums[from + SEEN_U] as number) - gain * (sums[from + KNOWN_U] as number)) / count;
  steps[at + 2] = ((sums[from + SEEN_V] as number) - gain * (sums[from + KNOWN_V] as number)) / count;
}

/** Returns the median gain of about SAMPLES cells all over the picture. */
function medianGain(learntMeans: Means, seenMeans: Means, use: Uint8Array): number | undefined {
  const gains = new Float32Array(2 * SAMPLES);
  let count = 0;
  let usedCount = 0;
  for (let cell = 0; cell < use.length; cell += 1) usedCount += use[cell] === 0 ? 0 : 1;
  if (usedCount < CELLS_MIN) return undefined;
  const step = Math.max(1, Math.floor(usedCount / SAMPLES));
  let next = 0;
  for (let cell = 0, at = 0; cell < use.length; cell += 1) {
    if (use[cell] === 0) continue;
    if (at === next && count < gains.length) {
      gains[count] = ((seenMeans.y[cell] as number) + BLACK) / ((learntMeans.y[cell] as number) + BLACK);
      count += 1;
      next += step;
    }
    at += 1;
  }
  return gains.subarray(0, count).sort()[count >> 1];
}

/**
 * Expands `steps` from tiles to cells: bilinear between the centres of the tiles and constant beyond the outer ones, or
 * constant in each tile.
 */
function expandSteps(
  steps: Float64Array,
  tileColumns: number,
  tileRows: number,
  { columns, rows }: Grid,
  smooth: boolean,
): Light {
  const gain = new Float32Array(columns * rows);
  const u = new Float32Array(columns * rows);
  const v = new Float32Array(columns * rows);
  for (let column = 0; column < columns; column += 1) {
    const x = tilePosition(column, smooth);
    const x0 = nearest(Math.floor(x), tileColumns);
    const x1 = nearest(Math.floor(x) + 1, tileColumns);
    const fx = x - Math.floor(x);
    for (let row = 0; row < rows; row += 1) {
      const y = tilePosition(row, smooth);
      const y0 = nearest(Math.floor(y), tileRows);
      const y1 = nearest(Math.floor(y) + 1, tileRows);
      const fy = y - Math.floor(y);
      const a = (y0 * tileColumns + x0) * STEPS;
      const b = (y0 * tileColumns + x1) * STEPS;
      const c = (y1 * tileColumns + x0) * STEPS;
      const d = (y1 * tileColumns + x1) * STEPS;
      const cell = row * columns + column;
      gain[cell] = bilinear(steps, a, b, c, d, fx, fy);
      u[cell] = bilinear(steps, a + 1, b + 1, c + 1, d + 1, fx, fy);
      v[cell] = bilinear(steps, a + 2, b + 2, c + 2, d + 2, fx, fy);
    }
  }
  return { gain, u, v };
}

/**
 * Returns the position of a cell relative to the tile centres, which have integer positions. Without `smooth`, its own
 * tile's.
 */
function tilePosition(cell: number, smooth: boolean): number {
  return smooth ? (cell + 0.5) / TILE_CELLS - 0.5 : Math.floor(cell / TILE_CELLS);
}

function nearest(tile: number, tiles: number): number {
  return Math.min(tiles - 1, Math.max(0, tile));
}

/** Interpolates between the four steps at these places. */
function bilinear(
  steps: Float64Array,
  a: number,
  b: number,
  c: number,
  d: number,
  fx: number,
  fy: number,
): number {
  const left = steps[a] as number;
  const lowerLeft = steps[c] as number;
  const above = left + fx * ((steps[b] as number) - left);
  return above + fy * (lowerLeft + fx * ((steps[d] as number) - lowerLeft) - above);
}
