/** Computes the mean colours of a picture's cells, for comparison with the clean plate. */
import type { YuvPlanes } from '../../contract/picture.ts';
import { CELL_PX, type Grid, pixelsOf } from './cells.ts';

/** Luma, and blue and red difference around 0, by cell; JPEG's full range (ITU-T T.871). */
export interface Means {
  readonly y: Float32Array;
  readonly u: Float32Array;
  readonly v: Float32Array;
}

export function emptyMeans({ columns, rows }: Grid): Means {
  const cells = columns * rows;
  return { y: new Float32Array(cells), u: new Float32Array(cells), v: new Float32Array(cells) };
}

/**
 * Computes the means from two rows of a cell. That is a quarter of the work, and the mean of 16 pixels of a noisy
 * picture is accurate to two levels.
 */
export function meansOfPlanes(
  { y, u, v, strideY, strideUv }: YuvPlanes,
  grid: Grid,
  means: Means = emptyMeans(grid),
): Means {
  const { widthPx, heightPx } = grid.size;
  const [widthUv, heightUv] = [Math.ceil(widthPx / 2), Math.ceil(heightPx / 2)];
  average(means.y, y, strideY, widthPx, heightPx, CELL_PX, 4, 0, grid);
  average(means.u, u, strideUv, widthUv, heightUv, CELL_PX / 2, 2, 128, grid);
  average(means.v, v, strideUv, widthUv, heightUv, CELL_PX / 2, 2, 128, grid);
  return means;
}

function average(
  into: Float32Array,
  plane: Uint8Array,
  stride: number,
  width: number,
  height: number,
  side: number,
  every: number,
  zero: number,
  { columns, rows }: Grid,
): void {
  for (let row = 0; row < rows; row += 1) {
    const top = row * side;
    const bottom = Math.min(height, (row + 1) * side);
    const lines = Math.ceil((bottom - top) / every);
    for (let column = 0; column < columns; column += 1) {
      const left = column * side;
      const right = Math.min(width, (column + 1) * side);
      let sum = 0;
      for (let line = top; line < bottom; line += every) {
        for (let at = line * stride + left, end = line * stride + right; at < end; at += 1)
          sum += plane[at] as number;
      }
      into[row * columns + column] = sum / (lines * (right - left)) - zero;
    }
  }
}

/** Computes the means of the cells in `use`, from every other pixel of every other row. */
export function meansOfRgb(rgb: Uint8Array, grid: Grid, use: Uint8Array): Means {
  const means = emptyMeans(grid);
  const colour = new Float64Array(3);
  for (let cell = 0; cell < use.length; cell += 1) {
    if (use[cell] === 0) continue;
    colourOf(rgb, grid, cell, 2, colour, 0);
    const r = colour[0] as number;
    const g = colour[1] as number;
    const b = colour[2] as number;
    const y = 0.299 * r + 0.587 * g + 0.114 * b;
    means.y[cell] = y;
    means.u[cell] = (b - y) / 1.772;
    means.v[cell] = (r - y) / 1.402;
  }
  return means;
}

/**
 * Writes the mean red, green and blue of a cell into `into` at `to`, from every `every`th pixel of every `every`th row.
 */
export function colourOf(
  rgb: Uint8Array,
  grid: Grid,
  cell: number,
  every: number,
  into: Float64Array,
  to: number,
): void {
  const place = pixelsOf(cell, grid);
  let r = 0;
  let g = 0;
  let b = 0;
  let count = 0;
  for (let line = place[1]; line < place[3]; line += every) {
    for (let x = place[0]; x < place[2]; x += every) {
      const at = (line * grid.size.widthPx + x) * 3;
      r += rgb[at] as number;
      g += rgb[at + 1] as number;
      b += rgb[at + 2] as number;
      count += 1;
    }
  }
  into[to] = r / count;
  into[to + 1] = g / count;
  into[to + 2] = b / count;
}
