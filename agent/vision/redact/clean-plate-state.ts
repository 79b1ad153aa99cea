/**
 * State of each cell of the clean plate: its learnt appearance, and recent people, vehicles and motion in front of it.
 *
 * INVARIANT: moments are media times in ms; no moment before `sinceMs` is known.
 */
import type { XyxyPx } from '../../contract/geometry.ts';
import type { Foreground, YuvPlanes } from '../../contract/picture.ts';
import { CELL_PX, fillBox, fillTouched, type Grid, gridOf, touched } from './cells.ts';
import { emptyPlanes } from './clean-plate-cell.ts';
import type { Light } from './clean-plate-light.ts';
import { HOLD_MS, type SeenBox, type SeenFrame } from './history.ts';
import { emptyMeans, type Means } from './means.ts';
import { vehicleBlockPx } from './mosaic.ts';
import { movingCells } from './moving.ts';
import { grownBox, toPx } from './redaction-map.ts';

/**
 * Largest difference of the same appearance, in levels: the background's own limits (observe/background.ts), for a cell
 * of a quarter of the size.
 */
const SAME_Y = 8;
const SAME_UV = 8;
/** Matching pictures required before a cell is known. */
const PICTURES_MIN = 2;
/** Differing pictures required before a known cell counts as changed. */
const PICTURES_CHANGED = 10;
/**
 * Matching pictures required if a person was detected there within `PEOPLE_MS`: more than a minute of pictures, because
 * the person may be standing there.
 */
const PICTURES_PEOPLE = 61;
const PEOPLE_MS = 60_000;
/** Matching pictures required after an object has covered and uncovered the cell `RETURNS_MIN` times. */
const PICTURES_PASSED = 10;
const RETURNS_MIN = 2;
/** Ratio of a box's width and height that a body fills, in the middle. */
const BODY_RATIO = 0.5;
/** Time after which a body in front of a cell counts as staying there, and the largest gap in it, in ms. */
const STAYS_MS = 3000;
const BODY_GAP_MS = 1000;

/**
 * Use of a cell of a picture for learning.
 *
 * - FREE: no person can have been there, and nothing has moved.
 * - PASSED: a person has just been there or is about to be. A cell that looks as before shows the scene.
 * - OCCUPIED: a person is standing there, almost motionless.
 */
export const FREE = 1;
export const PASSED = 2;
export const OCCUPIED = 3;

export class CleanPlateState {
  readonly grid: Grid;
  readonly planes: YuvPlanes;
  /** Means of the cells in the present light, and the change from the light of the stored pixels to it. */
  readonly means: Means;
  readonly light: Light;
  readonly cells: Uint8Array;
  readonly seenMs: Float64Array;
  /** Pictures in which the cell looked as in the clean plate. */
  readonly matches: Uint8Array;
  readonly doubts: Uint8Array;
  /** True if it has looked different since; then how often it returned to that appearance. */
  readonly differenceFlags: Uint8Array;
  readonly returns: Uint8Array;
  /** Time when something last moved in front of the cell, or a confident (`sure`) box covered it. */
  readonly occludedMs: Float64Array;
  /** Time when an uncertain box, a vehicle or foreground covered the cell; then the same for a vehicle alone. */
  readonly doubtfulMs: Float64Array;
  readonly vehicleMs: Float64Array;
  /** Side of the blocks in which that vehicle is drawn, in cells. */
  readonly vehicleCells: Uint8Array;
  /** Time when a person's box covered it; then the first and last time of the body of a confident detection. */
  readonly peopleMs: Float64Array;
  readonly bodySinceMs: Float64Array;
  readonly bodyMs: Float64Array;
  /** Time since which that is known. */
  readonly sinceMs: number;
  /** Foreground that was recorded last. */
  foreground: Foreground | undefined;

  constructor(like: YuvPlanes, sinceMs: number) {
    this.sinceMs = sinceMs;
    this.grid = gridOf(like.size);
    const cells = this.grid.columns * this.grid.rows;
    this.planes = emptyPlanes(like);
    this.means = emptyMeans(this.grid);
    const { y: gain, u, v } = emptyMeans(this.grid);
    this.light = { gain: gain.fill(1), u, v };
    this.cells = new Uint8Array(cells);
    this.seenMs = new Float64Array(cells);
    this.matches = new Uint8Array(cells);
    this.doubts = new Uint8Array(cells);
    this.differenceFlags = new Uint8Array(cells);
    this.returns = new Uint8Array(cells);
    const never = (): Float64Array => new Float64Array(cells).fill(Number.NEGATIVE_INFINITY);
    this.occludedMs = never();
    this.doubtfulMs = never();
    this.vehicleMs = never();
    this.vehicleCells = new Uint8Array(cells);
    this.peopleMs = never();
    this.bodySinceMs = never();
    this.bodyMs = never();
  }
}

/** Records the cells that a box or the foreground covers. */
export function markOccluded(
  state: CleanPlateState,
  { atMs, detections, tracks, foreground }: SeenFrame,
): void {
  const { grid, occludedMs, doubtfulMs, peopleMs } = state;
  for (let i = 0; i < detections.length + tracks.length; i += 1) {
    const box = (i < detections.length ? detections[i] : tracks[i - detections.length]) as SeenBox;
    const boxPx = grownBox(box, grid.size, 0);
    if (box.treatment === 'vehicle') {
      fillBox(doubtfulMs, boxPx, grid, atMs);
      markVehicle(state, boxPx, atMs);
      continue;
    }
    fillBox(box.sure ? occludedMs : doubtfulMs, boxPx, grid, atMs);
    fillBox(peopleMs, boxPx, grid, atMs);
    if (box.sure) markBody(state, bodyOf(toPx(box.xyxyNorm, grid.size)), atMs);
  }
  // It changes at most five times a second (observe/moving.ts).
  if (foreground === undefined || foreground === state.foreground) return;
  state.foreground = foreground;
  fillTouched(doubtfulMs, foreground, foreground.cells, grid, atMs);
  fillTouched(occludedMs, foreground, movingCells(foreground), grid, atMs);
}

function markVehicle({ grid, vehicleMs, vehicleCells }: CleanPlateState, boxPx: XyxyPx, atMs: number): void {
  const blockCells = Math.max(1, vehicleBlockPx(boxPx) / CELL_PX);
  const place = touched(boxPx, grid);
  for (let row = place[1]; row < place[3]; row += 1) {
    const end = row * grid.columns + place[2];
    for (let cell = row * grid.columns + place[0]; cell < end; cell += 1) {
      const lasts = atMs - (vehicleMs[cell] as number) < HOLD_MS;
      vehicleCells[cell] = Math.max(blockCells, lasts ? (vehicleCells[cell] as number) : 1);
      vehicleMs[cell] = atMs;
    }
  }
}

function markBody({ grid, bodySinceMs, bodyMs }: CleanPlateState, body: XyxyPx, atMs: number): void {
  const place = touched(body, grid);
  for (let row = place[1]; row < place[3]; row += 1) {
    const end = row * grid.columns + place[2];
    for (let cell = row * grid.columns + place[0]; cell < end; cell += 1) {
      if (atMs - (bodyMs[cell] as number) > BODY_GAP_MS) bodySinceMs[cell] = atMs;
      bodyMs[cell] = atMs;
    }
  }
}

/** Returns 1 for cells that were covered at a moment or later. */
export function occludedSince(state: CleanPlateState | undefined, fromMs: number): Uint8Array {
  const occluded = new Uint8Array(state?.occludedMs.length ?? 0);
  for (let cell = 0; cell < occluded.length; cell += 1) {
    if ((state?.occludedMs[cell] as number) >= fromMs) occluded[cell] = 1;
  }
  return occluded;
}

function bodyOf(box: XyxyPx): XyxyPx {
  const x = ((1 - BODY_RATIO) / 2) * (box[2] - box[0]);
  const y = ((1 - BODY_RATIO) / 2) * (box[3] - box[1]);
  return [box[0] + x, box[1] + y, box[2] - x, box[3] - y];
}

/** Returns the use of each cell of the second of three successive pictures: FREE, PASSED, OCCUPIED or 0. */
export function cellUses(
  { grid, occludedMs, bodySinceMs, bodyMs, sinceMs }: CleanPlateState,
  atMs: number,
  near: Uint8Array | undefined,
  [before, own, next]: readonly [Means, Means, Means],
): Uint8Array {
  const use = new Uint8Array(grid.columns * grid.rows);
  const fromMs = atMs - HOLD_MS;
  if (fromMs < sinceMs) return use;
  for (let cell = 0; cell < use.length; cell += 1) {
    const lastMs = occludedMs[cell] as number;
    const isOccluded = lastMs >= fromMs;
    const stays =
      (bodySinceMs[cell] as number) <= atMs - STAYS_MS / 2 && (bodyMs[cell] as number) >= atMs + STAYS_MS / 2;
    if (!same(before, own, cell) || !same(own, next, cell)) continue;
    if (!isOccluded) use[cell] = FREE;
    else if (stays) use[cell] = OCCUPIED;
    else if (near?.[cell] === 0) use[cell] = PASSED;
  }
  return use;
}

/** Returns the number of matching pictures required before a cell is known. */
export function matchesRequired(state: CleanPlateState, cell: number, atMs: number): number {
  const { peopleMs, returns } = state;
  if (isDoubtful(state, cell, atMs)) return PICTURES_PEOPLE;
  if (atMs - (peopleMs[cell] as number) >= PEOPLE_MS) return PICTURES_MIN;
  return (returns[cell] as number) >= RETURNS_MIN ? PICTURES_PASSED : PICTURES_PEOPLE;
}

/** Reports whether the cell has an uncertain detection, a vehicle or foreground. */
export function isDoubtful({ doubtfulMs }: CleanPlateState, cell: number, atMs: number): boolean {
  return atMs - (doubtfulMs[cell] as number) < HOLD_MS;
}

/** Returns the number of successive differing pictures required before a known cell counts as changed. */
export function doubtsWanted({ doubtfulMs, peopleMs }: CleanPlateState, cell: number, atMs: number): number {
  const people = atMs - Math.max(peopleMs[cell] as number, doubtfulMs[cell] as number) < PEOPLE_MS;
  return people ? PICTURES_PEOPLE : PICTURES_CHANGED;
}

/** Marks a cell as unknown: a person is standing there, and the cell looks as it should without that person. */
export function forget({ cells, matches, doubts, returns }: CleanPlateState, cell: number): void {
  cells[cell] = 0;
  matches[cell] = 0;
  doubts[cell] = 0;
  returns[cell] = 0;
}

/** Returns the means of a picture; under a possible vehicle, those of the blocks in which it is drawn. */
export function withVehicles(state: CleanPlateState, means: Means, atMs: number, use: Uint8Array): Means {
  const { grid, vehicleCells } = state;
  const blocks = new Map<number, { y: number; u: number; v: number; cells: number[] }>();
  for (let cell = 0; cell < use.length; cell += 1) {
    const side = vehicleCells[cell] as number;
    if (use[cell] === 0 || side <= 1 || !isVehicle(state, cell, atMs)) continue;
    const x = cell % grid.columns;
    const y = Math.floor(cell / grid.columns);
    const key = ((y - (y % side)) * grid.columns + x - (x % side)) * 256 + side;
    const block = blocks.get(key) ?? { y: 0, u: 0, v: 0, cells: [] };
    blocks.set(key, block);
    block.y += means.y[cell] as number;
    block.u += means.u[cell] as number;
    block.v += means.v[cell] as number;
    block.cells.push(cell);
  }
  if (blocks.size === 0) return means;
  const coarse = { y: means.y.slice(), u: means.u.slice(), v: means.v.slice() };
  for (const { y, u, v, cells } of blocks.values()) {
    for (const cell of cells) {
      coarse.y[cell] = y / cells.length;
      coarse.u[cell] = u / cells.length;
      coarse.v[cell] = v / cells.length;
    }
  }
  return coarse;
}

/**
 * Reports whether a vehicle's box covers the cell. Such a cell has one colour, so licence plates and windscreens are
 * not learnt.
 */
export function isVehicle({ vehicleMs }: CleanPlateState, cell: number, atMs: number): boolean {
  return atMs - (vehicleMs[cell] as number) < HOLD_MS;
}

export function same(a: Means, b: Means, cell: number): boolean {
  return (
    Math.abs((a.y[cell] as number) - (b.y[cell] as number)) <= SAME_Y &&
    Math.abs((a.u[cell] as number) - (b.u[cell] as number)) <= SAME_UV &&
    Math.abs((a.v[cell] as number) - (b.v[cell] as number)) <= SAME_UV
  );
}
