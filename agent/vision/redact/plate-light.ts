/**
 * How the light has moved between what is known of a place and a picture of it: for each tile of 8 × 8 cells a gain
 * of the brightness and a step of each colour, measured where both can be seen, and drawn smoothly between the middles
 * of the tiles.
 *
 * Exposure and daylight multiply the light; a camera's tone curve makes of it what a gain of the levels describes well
 * within a tile. White balance moves the colours.
 */
import type { Grid } from './cells.ts';
import type { Means } from './means.ts';

const TILE_CELLS = 8;
/** Of a tile and those around it; with fewer the whole picture tells. */
const CELLS_MIN = 24;
/** A cell whose gain is further from the whole picture's shows something else, not other light. */
const SAME_LIGHT = 2;
/** Black pixels have no gain: a level is added to both sides. */
const BLACK = 4;
const GAIN_MAX = 8;
/** Cells of which the median tells the light of the whole picture. */
const SAMPLES = 500;

/** By cell. */
export interface Light {
  /** Factors for the brightness and the colours. */
  readonly gain: Float32Array;
  /** Levels to add to blue and red difference, after the gain. */
  readonly u: Float32Array;
  readonly v: Float32Array;
}

/**
 * Undefined where fewer than CELLS_MIN cells can be compared. `smooth`: a tile's light is that of those around it too,
 * drawn from middle to middle; without, it is the tile's own, so that a correction by it leaves nothing to correct, and
 * may be repeated.
 */
export function lightBetween(
  known: Means,
  seen: Means,
  use: Uint8Array,
  grid: Grid,
  smooth: boolean,
): Light | undefined {
  const whole = medianGain(known, seen, use);
  if (whole === undefined) return undefined;
  const { columns, rows } = grid;
  const [across, down] = [Math.ceil(columns / TILE_CELLS), Math.ceil(rows / TILE_CELLS)];
  const tiles = Array.from({ length: across * down }, () => new Sum());
  const all = new Sum();
  for (let cell = 0; cell < use.length; cell += 1) {
    if (use[cell] === 0) continue;
    const gain = ((seen.y[cell] as number) + BLACK) / ((known.y[cell] as number) + BLACK) / whole;
    if (gain > SAME_LIGHT || gain < 1 / SAME_LIGHT) continue;
    const row = Math.floor(cell / columns);
    const tile = Math.floor(row / TILE_CELLS) * across + Math.floor((cell - row * columns) / TILE_CELLS);
    tiles[tile]?.take(known, seen, cell);
    all.take(known, seen, cell);
  }
  const steps = tiles.map((own, tile) => {
    const near = smooth ? joined(tiles, tile, across, down) : own;
    return (near.count >= CELLS_MIN ? near : all).light();
  });
  return drawn(steps, across, down, grid, smooth);
}

/** A tile and those around it. */
function joined(tiles: readonly Sum[], tile: number, across: number, down: number): Sum {
  const near = new Sum();
  const [x, y] = [tile % across, Math.floor(tile / across)];
  for (let ny = Math.max(0, y - 1); ny <= Math.min(down - 1, y + 1); ny += 1) {
    for (let nx = Math.max(0, x - 1); nx <= Math.min(across - 1, x + 1); nx += 1) {
      near.join(tiles[ny * across + nx] as Sum);
    }
  }
  return near;
}

/** Of one tile: gain, and steps of the colours. */
type Step = readonly [number, number, number];

class Sum {
  count = 0;
  #knownY = 0;
  #knownU = 0;
  #knownV = 0;
  #seenY = 0;
  #seenU = 0;
  #seenV = 0;

  take(known: Means, seen: Means, cell: number): void {
    this.count += 1;
    this.#knownY += known.y[cell] as number;
    this.#seenY += seen.y[cell] as number;
    this.#knownU += known.u[cell] as number;
    this.#knownV += known.v[cell] as number;
    this.#seenU += seen.u[cell] as number;
    this.#seenV += seen.v[cell] as number;
  }

  join(other: Sum): void {
    this.count += other.count;
    this.#knownY += other.#knownY;
    this.#seenY += other.#seenY;
    this.#knownU += other.#knownU;
    this.#knownV += other.#knownV;
    this.#seenU += other.#seenU;
    this.#seenV += other.#seenV;
  }

  light(): Step {
    if (this.count === 0) return [1, 0, 0];
    const gain = (this.#seenY / this.count + BLACK) / (this.#knownY / this.count + BLACK);
    const u = (this.#seenU - gain * this.#knownU) / this.count;
    const v = (this.#seenV - gain * this.#knownV) / this.count;
    return [Math.min(GAIN_MAX, Math.max(1 / GAIN_MAX, gain)), u, v];
  }
}

/** Of some SAMPLES cells all over the picture. */
function medianGain(known: Means, seen: Means, use: Uint8Array): number | undefined {
  const gains = new Float32Array(2 * SAMPLES);
  let [count, used] = [0, 0];
  for (let cell = 0; cell < use.length; cell += 1) used += use[cell] === 0 ? 0 : 1;
  if (used < CELLS_MIN) return undefined;
  const step = Math.max(1, Math.floor(used / SAMPLES));
  let next = 0;
  for (let cell = 0, at = 0; cell < use.length; cell += 1) {
    if (use[cell] === 0) continue;
    if (at === next && count < gains.length) {
      gains[count] = ((seen.y[cell] as number) + BLACK) / ((known.y[cell] as number) + BLACK);
      count += 1;
      next += step;
    }
    at += 1;
  }
  return gains.subarray(0, count).sort()[count >> 1];
}

/** Bilinear between the middles of the tiles, level beyond those at the edge; or level in each tile. */
function drawn(
  tiles: readonly Step[],
  across: number,
  down: number,
  { columns, rows }: Grid,
  smooth: boolean,
): Light {
  const plane = (): Float32Array => new Float32Array(columns * rows);
  const light = { gain: plane(), u: plane(), v: plane() };
  for (let column = 0; column < columns; column += 1) {
    const x = tilePosition(column, smooth);
    const x0 = nearest(Math.floor(x), across);
    const x1 = nearest(Math.floor(x) + 1, across);
    const fx = x - Math.floor(x);
    for (let row = 0; row < rows; row += 1) {
      const y = tilePosition(row, smooth);
      const y0 = nearest(Math.floor(y), down);
      const y1 = nearest(Math.floor(y) + 1, down);
      const fy = y - Math.floor(y);
      const a = tiles[y0 * across + x0] as Step;
      const b = tiles[y0 * across + x1] as Step;
      const c = tiles[y1 * across + x0] as Step;
      const d = tiles[y1 * across + x1] as Step;
      const cell = row * columns + column;
      light.gain[cell] = bilinear(a[0], b[0], c[0], d[0], fx, fy);
      light.u[cell] = bilinear(a[1], b[1], c[1], d[1], fx, fy);
      light.v[cell] = bilinear(a[2], b[2], c[2], d[2], fx, fy);
    }
  }
  return light;
}

/** Position of a cell among the middles of the tiles; whole numbers are middles. Without `smooth`, its own tile's. */
function tilePosition(cell: number, smooth: boolean): number {
  return smooth ? (cell + 0.5) / TILE_CELLS - 0.5 : Math.floor(cell / TILE_CELLS);
}

function nearest(tile: number, tiles: number): number {
  return Math.min(tiles - 1, Math.max(0, tile));
}

function bilinear(a: number, b: number, c: number, d: number, fx: number, fy: number): number {
  const above = a + fx * (b - a);
  return above + fy * (c + fx * (d - c) - above);
}
