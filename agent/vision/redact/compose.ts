/**
 * A still made into what may be seen of it: the plate where somebody or something moving is hidden, blocks where the
 * plate knows nothing, vehicles in coarse blocks, and the rest as it is.
 *
 * INVARIANT: no pixel of a hidden cell has a part in what is drawn, in it or elsewhere.
 */
import type { Foreground } from '../../contract/picture.ts';
import { CELL_PX, COARSE, fillTouched, type Grid, HIDDEN, LIVE } from './cells.ts';
import type { Cover } from './cover.ts';
import { meansOfRgb } from './means.ts';
import { coarsen, fillUnknown } from './mosaic.ts';
import { isOtherView, type Known } from './plate.ts';
import { drawCell } from './plate-cell.ts';
import { type Light, lightBetween } from './plate-light.ts';

/** By what a cell is drawn. */
export const SHOWN = { live: 0, plate: 1, mosaic: 2, coarse: 3 } as const;

export interface Composed {
  /** A value of SHOWN for each cell. */
  readonly cells: Uint8Array;
  /** When the oldest part of the plate that was drawn was last seen, media time, ms; undefined where none was. */
  readonly oldestMs: number | undefined;
  /** Mean difference of brightness between plate and still in cells that could be drawn by either, beside the plate. */
  readonly seam: number | undefined;
}

const MANY_CELLS = 6000;

interface Compared {
  /** By which the plate's pixels become those of the still's light. */
  readonly light: Light;
  /** By cell: the plate's brightness in that light less the still's; NaN where they could not be compared. */
  readonly differences: Float32Array;
}

/** Every 24th diagonal, lighter or darker by 20 of 255 levels: seen at a glance, and hides nothing. */
const HATCH_PX = 24;
const HATCH_LEVELS = 20;

/** Draws into `rgb` (8 bits, row-major, no padding), a picture of the cover's size. */
export function compose(
  rgb: Uint8Array,
  cover: Cover,
  known: Known | undefined,
  foreground: Foreground | undefined,
): Composed {
  const { grid, cells: covered } = cover;
  const compared = known === undefined ? undefined : compare(rgb, cover, known, foreground);
  const cells = new Uint8Array(covered.length);
  const unknown = new Uint8Array(covered.length);
  const open = new Uint8Array(covered.length);
  let oldestMs: number | undefined;
  for (let cell = 0; cell < covered.length; cell += 1) {
    if (covered[cell] === COARSE) cells[cell] = SHOWN.coarse;
    if (covered[cell] !== HIDDEN) {
      open[cell] = covered[cell] === LIVE ? 1 : 0;
      continue;
    }
    if (known === undefined || compared === undefined || known.cells[cell] === 0) {
      cells[cell] = SHOWN.mosaic;
      unknown[cell] = 1;
      continue;
    }
    cells[cell] = SHOWN.plate;
    open[cell] = 1;
    drawCell(rgb, known.planes, cell, grid, compared.light);
    oldestMs = Math.min(oldestMs ?? Number.POSITIVE_INFINITY, known.seenMs[cell] as number);
  }
  if (unknown.includes(1)) fillUnknown(rgb, grid, unknown, open, cover.hidden);
  coarsen(rgb, grid, covered, cover.coarse);
  hatch(rgb, grid, cells);
  return { cells, oldestMs, seam: seamOf(grid, cells, compared?.differences) };
}

/** Undefined where the plate cannot be held against what is seen, or shows another view. */
function compare(
  rgb: Uint8Array,
  { grid, cells }: Cover,
  known: Known,
  foreground: Foreground | undefined,
): Compared | undefined {
  const use = new Uint8Array(cells.length);
  // Every other cell of a large picture, in diagonals: enough to tell the light by.
  const every = cells.length > MANY_CELLS ? 2 : 1;
  for (let cell = 0; cell < cells.length; cell += 1) {
    const column = cell % grid.columns;
    const turn = ((cell - column) / grid.columns + column) % every;
    if (cells[cell] === LIVE && turn === 0) use[cell] = known.cells[cell] as number;
  }
  if (foreground !== undefined) {
    fillTouched(use, foreground, foreground.cells, grid, 0);
  }
  const seen = meansOfRgb(rgb, grid, use);
  const light = lightBetween(known.means, seen, use, grid, true);
  if (light === undefined || isOtherView(known.means, seen, use, light)) return undefined;
  const { gain, u, v } = known.light;
  const differences = new Float32Array(cells.length).fill(Number.NaN);
  for (let cell = 0; cell < cells.length; cell += 1) {
    const factor = light.gain[cell] as number;
    if (use[cell] !== 0)
      differences[cell] = (known.means.y[cell] as number) * factor - (seen.y[cell] as number);
    light.gain[cell] = factor * (gain[cell] as number);
    light.u[cell] = (light.u[cell] as number) + factor * (u[cell] as number);
    light.v[cell] = (light.v[cell] as number) + factor * (v[cell] as number);
  }
  return { light, differences };
}

function seamOf(
  { columns }: Grid,
  cells: Uint8Array,
  differences: Float32Array | undefined,
): number | undefined {
  let sum = 0;
  let count = 0;
  for (let cell = 0; cell < cells.length && differences !== undefined; cell += 1) {
    const difference = Math.abs(differences[cell] as number);
    if (Number.isNaN(difference) || !isBesidePlate(cells, cell, columns)) continue;
    sum += difference;
    count += 1;
  }
  return count === 0 ? undefined : sum / count;
}

function isBesidePlate(cells: Uint8Array, cell: number, columns: number): boolean {
  const { plate } = SHOWN;
  if (cell > 0 && cells[cell - 1] === plate) return true;
  if (cell + 1 < cells.length && cells[cell + 1] === plate) return true;
  if (cell >= columns && cells[cell - columns] === plate) return true;
  return cell + columns < cells.length && cells[cell + columns] === plate;
}

function hatch(rgb: Uint8Array, { columns, size }: Grid, cells: Uint8Array): void {
  for (let y = 0; y < size.heightPx; y += 1) {
    const row = Math.floor(y / CELL_PX) * columns;
    for (let x = (HATCH_PX - (y % HATCH_PX)) % HATCH_PX; x < size.widthPx; x += HATCH_PX) {
      if (cells[row + (x >> 3)] !== SHOWN.plate) continue;
      const at = (y * size.widthPx + x) * 3;
      const step = (rgb[at + 1] as number) < 150 ? HATCH_LEVELS : -HATCH_LEVELS;
      for (let i = at; i < at + 3; i += 1) rgb[i] = Math.min(255, Math.max(0, (rgb[i] as number) + step));
    }
  }
}
