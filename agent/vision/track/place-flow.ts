/**
 * Traffic flow by place: the usual velocity of the vehicles tracked there. On a fast road a vehicle moves by more than
 * its length between two detector runs. Its next place cannot be predicted from one box, but earlier vehicles went the
 * same way.
 *
 * Velocities are in sizes of the box (its longer side) a second, so that near and far vehicles of one cell agree.
 *
 * INVARIANTS: a statistic of places, which identifies no track.
 * LIMITS: 16 × 12 cells for each group; a cell follows the last eight that passed.
 */
import type { SizePx, XyxyPx } from '../../contract/geometry.ts';

const COLUMNS = 16;
const ROWS = 12;
/** Number of objects in the mean, and minimum number for a result. */
const MEAN_OBJECTS = 8;
const KNOWN_MIN = 2;
/** Minimum ratio of mean velocity to mean speed: 1 if all go one way, 0 if they come from all directions. */
const AGREEMENT_MIN = 0.9;

type Velocity = readonly [number, number];

interface Cell {
  count: number;
  x: number;
  y: number;
  speed: number;
}

export class PlaceFlow {
  readonly #cells = new Map<number, Cell>();

  /** Returns the cell of a box's ground point. */
  cellOf(box: XyxyPx, { widthPx, heightPx }: SizePx): number {
    return step(box[3] / heightPx, ROWS) * COLUMNS + step((box[0] + box[2]) / 2 / widthPx, COLUMNS);
  }

  /** Records an object that passed through the cell with this velocity, sizes/s. */
  note(cell: number, [x, y]: Velocity): void {
    const flow = this.#cells.get(cell) ?? { count: 0, x: 0, y: 0, speed: 0 };
    flow.count = Math.min(MEAN_OBJECTS, flow.count + 1);
    flow.x += (x - flow.x) / flow.count;
    flow.y += (y - flow.y) / flow.count;
    flow.speed += (Math.hypot(x, y) - flow.speed) / flow.count;
    this.#cells.set(cell, flow);
  }

  /** Returns the usual velocity there, sizes/s; undefined if there is none. */
  at(cell: number): Velocity | undefined {
    const flow = this.#cells.get(cell);
    if (flow === undefined || flow.count < KNOWN_MIN) return undefined;
    return Math.hypot(flow.x, flow.y) < AGREEMENT_MIN * flow.speed ? undefined : [flow.x, flow.y];
  }
}

/** Returns the index of a ratio among `steps` steps from 0 to 1. */
function step(ratio: number, steps: number): number {
  return Math.min(steps - 1, Math.max(0, Math.floor(ratio * steps)));
}
