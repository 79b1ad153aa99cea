/**
 * Computes the redaction map of a still: which cells are shown, hidden or drawn coarsely.
 *
 * Hidden are:
 * - detections of the still's own frame,
 * - boxes of objects that were detected up to 2 s before or after and are missing in it,
 * - boxes predicted by the tracker, and
 * - everything that moves.
 *
 * Coarse are vehicles of which the detector or the tracker is sure, and the object of the event where certainly no
 * person is.
 */
import { assert } from '../../base/errors.ts';
import type { SizePx, XyxyNorm, XyxyPx } from '../../contract/geometry.ts';
import type { Foreground } from '../../contract/picture.ts';
import { COARSE, fillBox, fillTouched, type Grid, gridOf, HIDDEN, touched } from './cells.ts';
import { missingIn, sameObject } from './chains.ts';
import type { SeenBox, SeenFrame, SeenTrack } from './history.ts';
import { type CoarseBox, personBlockPx, vehicleBlockPx } from './mosaic.ts';
import { movingCells } from './moving.ts';

/**
 * Margin around a box, as a ratio of its long side: three quarters of a head (a standing body is 7.5 heads tall).
 *
 * Boxes of a small detector cut hands, feet and hair, and a retained box lags behind its object. Of the area of people
 * on PETS09-S2L1, 97.5 % were covered without a margin, 99.6 % with half of this one, 99.9 % with it
 * (docs/design/002-redaction.md).
 */
const MARGIN_OF_LONG_SIDE = 1 / 10;

/**
 * Upward growth of a cycle's box, as a ratio of its height, with or without a rider. A bicycle or motorcycle is about
 * 1.05 m high, and its rider's head reaches 1.8 m.
 */
const RIDER_ABOVE = 0.8;

/**
 * Limits for an uncertain box that is part of a vehicle, at most its driver. They are the minimum ratio of its area
 * inside the vehicle's box, and the maximum ratio of the heights. A person in front of a car is taller than the car.
 */
const WITHIN_VEHICLE = 0.8;
const LOWER_THAN_VEHICLE = 0.8;

/** Speed below which a track is at rest, in heights of its box per second: detector jitter, 15 cm/s for a car. */
const STATIONARY_SPEED = 0.1;

/** The still's own frame and the frames up to 2 s before it (oldest first) and after it (newest first). */
export interface FrameContext {
  readonly own: SeenFrame;
  readonly before: readonly SeenFrame[];
  readonly after: readonly SeenFrame[];
}

export interface RedactionMap {
  readonly grid: Grid;
  /** LIVE, HIDDEN or COARSE, by cell. */
  readonly cells: Uint8Array;
  /** Boxes of hidden objects with margins, in pixels of the picture, possibly beyond it. */
  readonly hidden: readonly XyxyPx[];
  /** Boxes of coarsely drawn objects, likewise, with the side of their blocks. */
  readonly coarse: readonly CoarseBox[];
}

/**
 * Computes the map. `reachPx` is the distance by which the down-scaling kernel spread an object's pixels. `things` are
 * the objects of the event.
 */
export function redactionMapOf(
  { own, before, after }: FrameContext,
  size: SizePx,
  reachPx: number,
  things: readonly XyxyNorm[] = [],
): RedactionMap {
  const grid = gridOf(size);
  const cells = new Uint8Array(grid.columns * grid.rows);
  const ownBoxes = [...own.detections, ...own.tracks];
  const all = [...ownBoxes, ...missingIn(own, before), ...missingIn(own, after)];
  const vehicles = ownBoxes.filter((box) => isVehicle(box) && box.sure);
  const parts = all.filter((box) => isPartOfOne(box, vehicles));
  // A possible vehicle counts as one where a confident one is; a person in front of a vehicle is hidden.
  const doubtful = all.filter((box) => isVehicle(box) && !vehicles.includes(box));
  const people = all.filter((box) => !isVehicle(box) && !parts.includes(box));
  const ofVehicles = grownBoxes(vehicles, size, reachPx);
  const ofParts = grownBoxes(parts, size, reachPx);
  const ofDoubtful = grownBoxes(doubtful, size, reachPx);
  const ofUnsure = grownBoxes(
    people.filter((box) => !box.sure),
    size,
    reachPx,
  );
  const ofSure = grownBoxes(
    people.filter((box) => box.sure),
    size,
    reachPx,
  );
  fillBoxes(cells, ofDoubtful, grid, HIDDEN);
  fillBoxes(cells, ofVehicles, grid, COARSE);
  fillBoxes(cells, ofParts, grid, COARSE);
  fillBoxes(cells, ofUnsure, grid, HIDDEN);
  const objects = things.map((xyxyNorm) => toPx(xyxyNorm, size));
  for (const box of objects) {
    const [left, top, right, bottom] = touched(box, grid);
    for (let row = top; row < bottom; row += 1) {
      for (let cell = row * grid.columns + left; cell < row * grid.columns + right; cell += 1)
        if (cells[cell] === HIDDEN) cells[cell] = COARSE;
    }
  }
  // Motion in front of a parked vehicle belongs to another object.
  const driving = vehicles.filter((box) => !own.tracks.some((track) => isStationary(track, box)));
  if (own.foreground !== undefined) {
    hideMoving(own.foreground, cells, grid, grownBoxes(driving, size, reachPx), reachPx);
  }
  fillBoxes(cells, ofSure, grid, HIDDEN);
  return {
    grid,
    cells,
    hidden: [...ofDoubtful, ...ofUnsure, ...ofSure],
    coarse: [
      ...ofVehicles.map((box) => ({ box, sidePx: vehicleBlockPx(box) })),
      ...ofParts.map((box) => ({ box, sidePx: personBlockPx(box) })),
      ...objects.map((box) => ({ box, sidePx: objectBlockPx(box, [...ofDoubtful, ...ofUnsure]) })),
    ],
  };
}

/** Returns the block side of an object: no finer than that of a possible person there. */
function objectBlockPx(box: XyxyPx, doubtful: readonly XyxyPx[]): number {
  const before = doubtful.filter(
    ([x1, y1, x2, y2]) => x1 < box[2] && x2 > box[0] && y1 < box[3] && y2 > box[1],
  );
  return Math.max(personBlockPx(box), ...before.map(personBlockPx));
}

function hideMoving(
  foreground: Foreground,
  cells: Uint8Array,
  grid: Grid,
  vehicles: readonly XyxyPx[],
  reachPx: number,
): void {
  const vehicle = new Uint8Array(cells.length);
  for (const box of vehicles) fillBox(vehicle, box, grid, 1);
  const moving = new Uint8Array(cells.length);
  fillTouched(moving, foreground, movingCells(foreground), grid, 1, reachPx);
  for (let cell = 0; cell < cells.length; cell += 1)
    if (moving[cell] === 1 && vehicle[cell] === 0) cells[cell] = HIDDEN;
}

function isStationary(track: SeenTrack, box: SeenBox): boolean {
  return isVehicle(track) && track.speed < STATIONARY_SPEED && sameObject(track, box);
}

function isVehicle({ treatment }: SeenBox): boolean {
  return treatment === 'vehicle';
}

function isPartOfOne(box: SeenBox, vehicles: readonly SeenBox[]): boolean {
  if (box.sure || isVehicle(box)) return false;
  const [x1, y1, x2, y2] = fullBoxOf(box);
  return vehicles.some(({ xyxyNorm: [left, top, right, bottom] }) => {
    const overlapX = Math.max(0, Math.min(x2, right) - Math.max(x1, left));
    const overlapY = Math.max(0, Math.min(y2, bottom) - Math.max(y1, top));
    const within = overlapX * overlapY >= WITHIN_VEHICLE * (x2 - x1) * (y2 - y1);
    return within && y2 - y1 <= LOWER_THAN_VEHICLE * (bottom - top);
  });
}

function grownBoxes(boxes: readonly SeenBox[], size: SizePx, reachPx: number): XyxyPx[] {
  const grown: XyxyPx[] = [];
  for (const box of boxes) grown.push(grownBox(box, size, reachPx));
  return grown;
}

function fillBoxes(cells: Uint8Array, boxes: readonly XyxyPx[], grid: Grid, value: number): void {
  for (const box of boxes) fillBox(cells, box, grid, value);
}

/** Returns a box with its margin, in pixels of a picture of `size`. */
export function grownBox(box: SeenBox, { widthPx, heightPx }: SizePx, reachPx: number): XyxyPx {
  const norm = box.xyxyNorm;
  const x1 = norm[0] * widthPx;
  const y1 = topOf(box) * heightPx;
  const x2 = norm[2] * widthPx;
  const y2 = norm[3] * heightPx;
  assert(Number.isFinite(x1 + y1 + x2 + y2), 'a box to hide has coordinates');
  const marginPx = Math.max(x2 - x1, y2 - y1) * MARGIN_OF_LONG_SIDE + reachPx;
  return [x1 - marginPx, y1 - marginPx, x2 + marginPx, y2 + marginPx];
}

/** Returns the box including, above a cycle, its rider. */
export function fullBoxOf(box: TreatedBox): XyxyNorm {
  const norm = box.xyxyNorm;
  return [norm[0], topOf(box), norm[2], norm[3]];
}

type TreatedBox = Pick<SeenBox, 'treatment' | 'xyxyNorm'>;

function topOf({ treatment, xyxyNorm: norm }: TreatedBox): number {
  return treatment === 'rider' ? norm[1] - RIDER_ABOVE * (norm[3] - norm[1]) : norm[1];
}

export function toPx(norm: XyxyNorm, { widthPx, heightPx }: SizePx): XyxyPx {
  return [norm[0] * widthPx, norm[1] * heightPx, norm[2] * widthPx, norm[3] * heightPx];
}
