/**
 * Moving regions: what differs from the background and moves, whatever the detector says of it.
 *
 * Cells that touch are one region, with what stands before the background beside them: of somebody who waits, the
 * head moves and the feet do not. A region of which nothing moves is a thing that was put down, and stays as it is.
 */
import type { SizePx } from '../../contract/geometry.ts';
import { type Foreground, MOVING } from '../../contract/picture.ts';
import { BLOCK_PX, type MosaicShape, personCellPxMin } from './mosaic.ts';

/** Single cells are leaves, rain and the codec's noise; a person of 40 px moves in more. */
const MOVING_CELLS_MIN = 2;

export interface MovingRegion {
  readonly grid: Pick<Foreground, 'columns' | 'rows' | 'cellNorm'>;
  /** Region of each cell; 0 is none. */
  readonly regionOf: Uint16Array;
  readonly region: number;
  /** In cells, [left, top, right, bottom), margin included. */
  readonly box: readonly [number, number, number, number];
}

/** Each region reaches one cell beyond what was seen to differ, which also closes gaps of two cells. */
export function movingRegions(foreground: Foreground): MovingRegion[] {
  const { columns, rows, cells } = foreground;
  const regionOf = new Uint16Array(columns * rows);
  const grown = widened(foreground);
  const regions: MovingRegion[] = [];
  let region = 0;
  for (let start = 0; start < grown.length; start += 1) {
    if (grown[start] === 0 || regionOf[start] !== 0) continue;
    region += 1;
    const box: [number, number, number, number] = [columns, rows, 0, 0];
    let moving = 0;
    const open = [start];
    regionOf[start] = region;
    for (let cell = open.pop(); cell !== undefined; cell = open.pop()) {
      if (cells[cell] === MOVING) moving += 1;
      const [x, y] = [cell % columns, Math.floor(cell / columns)];
      box[0] = Math.min(box[0], x);
      box[1] = Math.min(box[1], y);
      box[2] = Math.max(box[2], x + 1);
      box[3] = Math.max(box[3], y + 1);
      for (const next of around(x, y, columns, rows)) {
        if (grown[next] === 0 || regionOf[next] !== 0) continue;
        regionOf[next] = region;
        open.push(next);
      }
    }
    if (moving >= MOVING_CELLS_MIN) regions.push({ grid: foreground, regionOf, region, box });
  }
  return regions;
}

/** The blocks of a picture of `size` that a region touches, and how coarsely they are drawn: as a person is. */
export function mosaicShapeOf(moving: MovingRegion, size: SizePx, reachPx: number): MosaicShape {
  const { grid, regionOf, region, box } = moving;
  const { columns, rows, cellNorm } = grid;
  const [across, down] = [cellNorm[0] * size.widthPx, cellNorm[1] * size.heightPx];
  // The last cells reach to the edge of the picture, which they need not divide.
  const right = box[2] === columns ? size.widthPx : box[2] * across;
  const bottom = box[3] === rows ? size.heightPx : box[3] * down;
  const xyxyPx = [
    box[0] * across - reachPx,
    box[1] * down - reachPx,
    right + reachPx,
    bottom + reachPx,
  ] as const;
  const span = (block: number, cellPx: number, cells: number): [number, number] => [
    Math.min(cells - 1, Math.max(0, Math.floor((block * BLOCK_PX - reachPx) / cellPx))),
    Math.min(cells - 1, Math.max(0, Math.ceil(((block + 1) * BLOCK_PX + reachPx) / cellPx) - 1)),
  ];
  const covers = (column: number, row: number): boolean => {
    const [left, last] = span(column, across, columns);
    const [top, lowest] = span(row, down, rows);
    for (let y = top; y <= lowest; y += 1) {
      for (let x = left; x <= last; x += 1) if (regionOf[y * columns + x] === region) return true;
    }
    return false;
  };
  return { xyxyPx, cellPxMin: personCellPxMin(xyxyPx), covers };
}

/** 1 for the cells of the foreground and their neighbours. */
function widened({ columns, rows, cells }: Foreground): Uint8Array {
  const grown = new Uint8Array(cells.length);
  for (let cell = 0; cell < cells.length; cell += 1) {
    if (cells[cell] === 0) continue;
    grown[cell] = 1;
    for (const next of around(cell % columns, Math.floor(cell / columns), columns, rows)) grown[next] = 1;
  }
  return grown;
}

function* around(x: number, y: number, columns: number, rows: number): Generator<number> {
  for (let row = Math.max(0, y - 1); row <= Math.min(rows - 1, y + 1); row += 1) {
    for (let column = Math.max(0, x - 1); column <= Math.min(columns - 1, x + 1); column += 1) {
      if (row !== y || column !== x) yield row * columns + column;
    }
  }
}
