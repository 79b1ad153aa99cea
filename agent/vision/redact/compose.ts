/**
 * Composes the redacted picture of a still. Hidden cells show the clean plate, or blocks where it is unknown. Vehicles
 * are shown in coarse blocks, all other cells unchanged.
 *
 * INVARIANT: no pixel of a hidden cell contributes to the picture, in that cell or elsewhere.
 */
import type { Foreground } from '../../contract/picture.ts';
import { CELL_PX, COARSE, fillTouched, type Grid, HIDDEN, LIVE } from './cells.ts';
import { isOtherView, type LearntScene } from './clean-plate.ts';
import { drawCell } from './clean-plate-cell.ts';
import { type Light, lightBetween } from './clean-plate-light.ts';
import { meansOfRgb } from './means.ts';
import { coarsen, fillUnknown } from './mosaic.ts';
import type { RedactionMap } from './redaction-map.ts';

/** Content by which a cell is drawn. */
export const SHOWN = { live: 0, plate: 1, mosaic: 2, coarse: 3 } as const;

export interface Composed {
  /** A value of SHOWN for each cell. */
  readonly cells: Uint8Array;
  /** Media time when the oldest drawn part of the clean plate was last seen, in ms; undefined if none was drawn. */
  readonly oldestMs: number | undefined;
  /**
   * Mean difference of luma between clean plate and still, in cells beside the drawn clean plate that could show
   * either.
   */
  readonly seam: number | undefined;
}

const MANY_CELLS = 6000;

interface Comparison {
  /** Light that converts the clean plate's pixels to the still's light. */
  readonly light: Light;
  /** Luma of the clean plate in that light minus the still's, by cell; NaN where they could not be compared. */
  readonly differences: Float32Array;
}

/** Hatching that is visible at a glance and hides nothing: every 24th diagonal, 20 of 255 levels lighter or darker. */
const HATCH_PX = 24;
const HATCH_LEVELS = 20;

/** Draws into `rgb` (8 bits, row-major, no padding), a picture of the redaction map's size. */
export function compose(
  rgb: Uint8Array,
  redactionMap: RedactionMap,
  scene: LearntScene | undefined,
  foreground: Foreground | undefined,
): Composed {
  const { grid, cells: mapCells } = redactionMap;
  const compared = scene === undefined ? undefined : compare(rgb, redactionMap, scene, foreground);
  const cells = new Uint8Array(mapCells.length);
  const unknown = new Uint8Array(mapCells.length);
  const open = new Uint8Array(mapCells.length);
  let oldestMs: number | undefined;
  for (let cell = 0; cell < mapCells.length; cell += 1) {
    if (mapCells[cell] === COARSE) cells[cell] = SHOWN.coarse;
    if (mapCells[cell] !== HIDDEN) {
      open[cell] = mapCells[cell] === LIVE ? 1 : 0;
      continue;
    }
    if (scene === undefined || compared === undefined || scene.cells[cell] === 0) {
      cells[cell] = SHOWN.mosaic;
      unknown[cell] = 1;
      continue;
    }
    cells[cell] = SHOWN.plate;
    open[cell] = 1;
    drawCell(rgb, scene.planes, cell, grid, compared.light);
    oldestMs = Math.min(oldestMs ?? Number.POSITIVE_INFINITY, scene.seenMs[cell] as number);
  }
  if (unknown.includes(1)) fillUnknown(rgb, grid, unknown, open, redactionMap.hidden);
  coarsen(rgb, grid, mapCells, redactionMap.coarse);
  hatch(rgb, grid, cells);
  return { cells, oldestMs, seam: seamOf(grid, cells, compared?.differences) };
}

/** Compares clean plate and still; undefined if they cannot be compared or the clean plate shows another view. */
function compare(
  rgb: Uint8Array,
  { grid, cells }: RedactionMap,
  scene: LearntScene,
  foreground: Foreground | undefined,
): Comparison | undefined {
  const use = new Uint8Array(cells.length);
  // Of a large picture, every other cell in diagonals suffices to measure the light.
  const every = cells.length > MANY_CELLS ? 2 : 1;
  for (let cell = 0; cell < cells.length; cell += 1) {
    const column = cell % grid.columns;
    const turn = ((cell - column) / grid.columns + column) % every;
    if (cells[cell] === LIVE && turn === 0) use[cell] = scene.cells[cell] as number;
  }
  if (foreground !== undefined) {
    fillTouched(use, foreground, foreground.cells, grid, 0);
  }
  const stillMeans = meansOfRgb(rgb, grid, use);
  const light = lightBetween(scene.means, stillMeans, use, grid, true);
  if (light === undefined || isOtherView(scene.means, stillMeans, use, light)) return undefined;
  const { gain, u, v } = scene.light;
  const differences = new Float32Array(cells.length).fill(Number.NaN);
  for (let cell = 0; cell < cells.length; cell += 1) {
    const factor = light.gain[cell] as number;
    if (use[cell] !== 0)
      differences[cell] = (scene.means.y[cell] as number) * factor - (stillMeans.y[cell] as number);
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
    if (Number.isNaN(difference) || !isBesideCleanPlate(cells, cell, columns)) continue;
    sum += difference;
    count += 1;
  }
  return count === 0 ? undefined : sum / count;
}

function isBesideCleanPlate(cells: Uint8Array, cell: number, columns: number): boolean {
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
