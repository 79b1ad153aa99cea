/**
 * Defines the grid on which pictures are redacted: cells of 8 × 8 px, the blocks of JPEG (ITU-T T.81). So no block of
 * the file mixes public and hidden content.
 */
import type { SizePx, XyxyPx } from '../../contract/geometry.ts';
import type { Foreground } from '../../contract/picture.ts';

export const CELL_PX = 8;

/** Shown unchanged. */
export const LIVE = 0;
/** Hidden: no content of the still is shown. */
export const HIDDEN = 1;
/** Shown in blocks of its own pixels. */
export const COARSE = 2;

export interface Grid {
  readonly size: SizePx;
  readonly columns: number;
  readonly rows: number;
}

/** Returns the grid of a picture; cells at the right and lower edge may be cut. */
export function gridOf(size: SizePx): Grid {
  const { widthPx, heightPx } = size;
  return { size, columns: Math.ceil(widthPx / CELL_PX), rows: Math.ceil(heightPx / CELL_PX) };
}

/** Returns the pixels of a cell, [left, top, right, bottom), clipped to the picture. */
export function pixelsOf(cell: number, { columns, size }: Grid): XyxyPx {
  const left = (cell % columns) * CELL_PX;
  const top = Math.floor(cell / columns) * CELL_PX;
  return [left, top, Math.min(size.widthPx, left + CELL_PX), Math.min(size.heightPx, top + CELL_PX)];
}

/** Returns the cells that a box touches, [left, top, right, bottom), clipped to the picture. */
export function touched(box: XyxyPx, { columns, rows }: Grid): XyxyPx {
  return [
    clip(Math.floor(box[0] / CELL_PX), columns),
    clip(Math.floor(box[1] / CELL_PX), rows),
    clip(Math.ceil(box[2] / CELL_PX), columns),
    clip(Math.ceil(box[3] / CELL_PX), rows),
  ];
}

function clip(value: number, max: number): number {
  return Math.min(max, Math.max(0, value));
}

/** Sets the cells that a box touches to one value. */
export function fillBox(cells: Uint8Array | Float64Array, box: XyxyPx, grid: Grid, value: number): void {
  const place = touched(box, grid);
  if (place[0] >= place[2]) return;
  for (let row = place[1]; row < place[3]; row += 1)
    cells.fill(value, row * grid.columns + place[0], row * grid.columns + place[2]);
}

/** Sets the cells touched by marked cells of the foreground's grid to one value, including `reachPx` around them. */
export function fillTouched(
  cells: Uint8Array | Float64Array,
  { columns, rows, cellNorm }: Pick<Foreground, 'columns' | 'rows' | 'cellNorm'>,
  marked: Uint8Array,
  grid: Grid,
  value: number,
  reachPx = 0,
): void {
  const { widthPx, heightPx } = grid.size;
  const cellWidthPx = cellNorm[0] * widthPx;
  const cellHeightPx = cellNorm[1] * heightPx;
  for (let y = 0; y < rows; y += 1) {
    // The last cells reach the edge of the picture, which need not be a multiple of them.
    const bottom = y === rows - 1 ? heightPx : (y + 1) * cellHeightPx;
    for (let x = 0; x < columns; x += 1) {
      if (marked[y * columns + x] === 0) continue;
      let end = x + 1;
      while (end < columns && marked[y * columns + end] !== 0) end += 1;
      const right = end === columns ? widthPx : end * cellWidthPx;
      const box: XyxyPx = [
        x * cellWidthPx - reachPx,
        y * cellHeightPx - reachPx,
        right + reachPx,
        bottom + reachPx,
      ];
      fillBox(cells, box, grid, value);
      x = end;
    }
  }
}
