/**
 * Detects passing objects of any kind: connected moving cells that travel steadily by their own size or more. Each is
 * reported once, with whether the detector saw it on its way. Individuals are not told apart.
 *
 * Shadows, reflections and parts of a person pass too. Beside a detected object they belong to it and give no
 * information about the detector. Beside an uncertain detection they may (`hinted`).
 *
 *   Foreground ─▶ connected parts of a person's or vehicle's size ─▶ followed from tick to tick ─▶ passed objects
 *
 * Motion that only sways (trees, flags), flickers (water, noise, rain) or changes most of the picture (light, focus)
 * does not travel.
 *
 * LIMITS: PARTS_MAX parts a tick; parts that touch are one.
 */
import type { SizePx, XyxyPx } from '../../contract/geometry.ts';
import { BEFORE_MAX } from '../../contract/observation.ts';
import { type Detection, type Foreground, MOVING } from '../../contract/picture.ts';

/**
 * Minimum height or width, as a ratio of the picture's height: a tenth, the smallest person that the detector usually
 * finds.
 */
const SIDE_MIN = 0.09;
/**
 * Minimum ratio of the box that a part fills. A walking person fills 0.4 and more; two distant parts joined by noise do
 * not.
 */
const FILL_MIN = 0.35;
/** Maximum ratio of the picture: a lorry close by. A larger part is a change of light, or an object at the lens. */
const AREA_MAX = 0.2;
/** Ratio of moving cells from which tracking stops, because the light, the focus or the camera has changed. */
const MOVING_MAX = 0.3;
const PARTS_MAX = 64;
/** Largest factor of a part's size from one tick to the next, and its largest step in its own sizes. */
const GROWTH_MAX = 2;
const STEP_MAX = 1.2;
/** Longest time that a part may be missing, in ms: two updates at 3 frames a second. */
const MISSING_MS = 700;
/** Minimum travel in own sizes, number of updates and duration in ms. A gust moves a branch for half a second. */
const TRAVEL_SIZES = 1.5;
const UPDATES_MIN = 4;
const LASTS_MS = 800;
/** Minimum ratio of the direct distance to the path. A walker has 0.9, four random steps leave 0.5. */
const STRAIGHT_MIN = 0.75;
/**
 * Minimum step of the path, in own sizes.
 *
 * A row of cells that flickers with codec noise moves the centre of the smallest part, of four cells, by an eighth of
 * its size. Half a size is four such rows. Without a minimum, flicker would lengthen the path at each update, and slow
 * objects, with many updates, would seem to wander.
 */
const STRIDE_SIZES = 0.5;
/** Score from which the detector has seen it, which is the score for alerts, and minimum ratio of updates with it. */
export const SEEN_SCORE = 0.35;
const SEEN_RATIO = 0.2;
/**
 * Minimum ratio of updates beside a detected object. A shadow accompanies its object most of the way; an object met or
 * overtaken does not.
 */
const BESIDE_RATIO = 0.5;
/** Time after which a moving object is evaluated, unless it ends before, in ms. */
const EVALUATE_AFTER_MS = 6000;

interface Part {
  /** Centre and half sides, in heights of the frame. */
  readonly x: number;
  readonly y: number;
  readonly halfX: number;
  readonly halfY: number;
}

interface MovingObject {
  /** Unique among those of this process. */
  readonly id: number;
  part: Part;
  readonly first: Part;
  readonly firstMs: number;
  lastMs: number;
  updates: number;
  sightings: number;
  /** Updates with a confident detection at it or beside it. */
  nearSightings: number;
  /** True if there was a detection at it or beside it, of any score. */
  hinted: boolean;
  /** Length of the path up to `stride`, in steps of at least `STRIDE_SIZES`. */
  way: number;
  /** Position where the last such step ended. */
  stride: Part;
  isEvaluated: boolean;
  /**
   * True if it travels like an object without a confident detection at it or beside it; then kept while it is followed.
   */
  unknown: boolean;
  /** Positions until then, the oldest first. */
  path: { readonly atMs: number; readonly part: Part }[];
}

/** Unclassified motion: travels like an object, and the detector did not find it with a usable score. */
export interface UnclassifiedObject {
  readonly id: number;
  readonly xyxyPx: XyxyPx;
  /** Velocity of the box's centre over its complete path, in px/s. */
  readonly velocityPxPerS: readonly [number, number];
  readonly firstMs: number;
  readonly lastMs: number;
  /** Positions before it became one, the oldest first; only in the frame in which it becomes one. */
  readonly before: readonly { readonly atMs: number; readonly xyxyPx: XyxyPx }[];
}

export interface PassedObject {
  readonly atMs: number;
  readonly wasDetected: boolean;
  /** True if it was not seen, but a detection at it or beside it had a score too low for an alert. */
  readonly hinted: boolean;
}

/** Detections of a frame: all, and those with a score for alerts. */
interface DetectedParts {
  readonly all: readonly Part[];
  readonly sure: readonly Part[];
}

export class UnclassifiedMotion {
  #movingObjects: MovingObject[] = [];
  #foreground: Foreground | undefined;
  #source: SizePx | undefined;
  #lastId = 0;

  /** Takes the moving cells and the detections of a frame; returns the objects that have passed. */
  update(
    foreground: Foreground,
    detections: readonly Detection[],
    source: SizePx,
    atMs: number,
  ): PassedObject[] {
    if (foreground === this.#foreground) return [];
    this.#foreground = foreground;
    this.#source = source;
    // Heights and widths in the same unit, the frame's height.
    const aspect = source.widthPx / source.heightPx;
    const parts = partsOf(foreground, aspect);
    const boxes = partsFound(detections, source, aspect);
    const remaining = new Set(parts);
    const over: MovingObject[] = [];
    for (const object of this.#movingObjects) {
      const part = nearest(object.part, remaining);
      if (part !== undefined) {
        remaining.delete(part);
        follow(object, part, boxes, atMs);
      }
      if (atMs - object.lastMs > MISSING_MS) over.push(object);
    }
    this.#movingObjects = this.#movingObjects.filter((object) => !over.includes(object));
    for (const part of remaining) this.#movingObjects.push(newObject(++this.#lastId, part, boxes, atMs));
    const ripe = this.#movingObjects.filter(
      ({ isEvaluated, firstMs }) => !isEvaluated && atMs - firstMs >= EVALUATE_AFTER_MS,
    );
    return [...over, ...ripe].flatMap((object) => evaluate(object, atMs));
  }

  /** Unclassified motion that is followed now. */
  get unknown(): UnclassifiedObject[] {
    const source = this.#source;
    if (source === undefined) return [];
    const unknown: UnclassifiedObject[] = [];
    for (const object of this.#movingObjects) {
      const { id, part, first, firstMs, lastMs, path } = object;
      if (!object.unknown) continue;
      const box = boxOf(part, source);
      const [from, to] = [boxOf(first, source), box];
      const seconds = Math.max(1, lastMs - firstMs) / 1000;
      const velocityPxPerS = [
        (to[0] + to[2] - from[0] - from[2]) / 2 / seconds,
        (to[1] + to[3] - from[1] - from[3]) / 2 / seconds,
      ] as const;
      const before = path.map((at) => ({ atMs: at.atMs, xyxyPx: boxOf(at.part, source) }));
      object.path = [];
      unknown.push({ id, xyxyPx: box, velocityPxPerS, firstMs, lastMs, before });
    }
    return unknown;
  }
}

function evaluate(object: MovingObject, atMs: number): PassedObject[] {
  const { isEvaluated, updates } = object;
  if (isEvaluated || !travels(object)) return [];
  object.isEvaluated = true;
  const wasDetected = object.sightings >= Math.max(1, SEEN_RATIO * updates);
  if (!wasDetected && object.nearSightings >= BESIDE_RATIO * updates) return [];
  return [{ atMs, wasDetected, hinted: !wasDetected && object.hinted }];
}

/** Reports whether it moves steadily, by its own size and more. */
function travels({ part, first, updates, way, stride, firstMs, lastMs }: MovingObject): boolean {
  const travelled = distance(part, first);
  const size = 2 * Math.max(part.halfX, part.halfY, first.halfX, first.halfY);
  if (updates < UPDATES_MIN || lastMs - firstMs < LASTS_MS) return false;
  return travelled >= TRAVEL_SIZES * size && travelled >= STRAIGHT_MIN * (way + distance(part, stride));
}

function distance(a: Part, b: Part): number {
  return Math.hypot(a.x - b.x, a.y - b.y);
}

function newObject(id: number, part: Part, detected: DetectedParts, atMs: number): MovingObject {
  const none = {
    updates: 0,
    sightings: 0,
    nearSightings: 0,
    hinted: false,
    way: 0,
    isEvaluated: false,
    unknown: false,
  };
  const object: MovingObject = {
    id,
    part,
    first: part,
    stride: part,
    firstMs: atMs,
    lastMs: atMs,
    path: [],
    ...none,
  };
  follow(object, part, detected, atMs);
  return object;
}

function follow(object: MovingObject, part: Part, { all, sure }: DetectedParts, atMs: number): void {
  const step = distance(part, object.stride);
  if (step >= STRIDE_SIZES * 2 * Math.max(part.halfX, part.halfY)) {
    object.way += step;
    object.stride = part;
  }
  object.part = part;
  object.lastMs = atMs;
  object.updates += 1;
  if (isSeen(part, sure)) object.sightings += 1;
  if (isBeside(part, sure)) object.nearSightings += 1;
  object.hinted ||= isBeside(part, all);
  if (object.nearSightings > 0) {
    object.unknown = false;
    object.path = [];
  } else if (!object.unknown) {
    object.path = [...object.path.slice(1 - BEFORE_MAX), { atMs, part }];
    object.unknown = travels(object);
  }
}

function isSeen(part: Part, boxes: readonly Part[]): boolean {
  for (const box of boxes) {
    if (Math.abs(box.x - part.x) >= Math.max(box.halfX, part.halfX)) continue;
    if (Math.abs(box.y - part.y) < Math.max(box.halfY, part.halfY)) return true;
  }
  return false;
}

/** Reports whether a part is closer to a box than the larger of the two is: the reach of a shadow or reflection. */
function isBeside(part: Part, boxes: readonly Part[]): boolean {
  for (const box of boxes) {
    const reach = 2 * Math.max(box.halfX, box.halfY, part.halfX, part.halfY);
    if (Math.abs(box.x - part.x) >= box.halfX + part.halfX + reach) continue;
    if (Math.abs(box.y - part.y) < box.halfY + part.halfY + reach) return true;
  }
  return false;
}

function nearest(part: Part, parts: ReadonlySet<Part>): Part | undefined {
  let best: Part | undefined;
  let least = STEP_MAX * 2 * Math.max(part.halfX, part.halfY);
  for (const other of parts) {
    const grown = (other.halfX * other.halfY) / (part.halfX * part.halfY);
    if (grown > GROWTH_MAX || grown < 1 / GROWTH_MAX) continue;
    const shift = distance(other, part);
    if (shift >= least) continue;
    least = shift;
    best = other;
  }
  return best;
}

function partsFound(detections: readonly Detection[], source: SizePx, aspect: number): DetectedParts {
  const all: Part[] = [];
  const sure: Part[] = [];
  for (const detection of detections) {
    const part = partOf(detection, source, aspect);
    all.push(part);
    if (detection.score >= SEEN_SCORE) sure.push(part);
  }
  return { all, sure };
}

function partOf({ xyxyPx: box }: Detection, { widthPx, heightPx }: SizePx, aspect: number): Part {
  const sx = (0.5 * aspect) / widthPx;
  const sy = 0.5 / heightPx;
  return {
    x: (box[0] + box[2]) * sx,
    y: (box[1] + box[3]) * sy,
    halfX: (box[2] - box[0]) * sx,
    halfY: (box[3] - box[1]) * sy,
  };
}

function boxOf({ x, y, halfX, halfY }: Part, { heightPx }: SizePx): XyxyPx {
  return [(x - halfX) * heightPx, (y - halfY) * heightPx, (x + halfX) * heightPx, (y + halfY) * heightPx];
}

/** Returns connected moving cells of an object's size; none if most of the picture moves. */
function partsOf({ columns, rows, cellNorm, cells }: Foreground, aspect: number): Part[] {
  const open = new Uint8Array(cells.length);
  let moving = 0;
  for (let cell = 0; cell < cells.length; cell += 1) {
    if (cells[cell] !== MOVING) continue;
    open[cell] = 1;
    moving += 1;
  }
  if (moving > MOVING_MAX * cells.length) return [];
  const [wide, high] = [cellNorm[0] * aspect, cellNorm[1]];
  const parts: Part[] = [];
  const stack: number[] = [];
  for (let from = 0; from < open.length && parts.length < PARTS_MAX; from += 1) {
    if (open[from] !== 1) continue;
    let [left, right, top, bottom, count] = [columns, 0, rows, 0, 0];
    open[from] = 0;
    stack.push(from);
    for (let cell = stack.pop(); cell !== undefined; cell = stack.pop()) {
      const column = cell % columns;
      const row = Math.floor(cell / columns);
      left = Math.min(left, column);
      right = Math.max(right, column);
      top = Math.min(top, row);
      bottom = Math.max(bottom, row);
      count += 1;
      for (let y = Math.max(0, row - 1); y <= Math.min(rows - 1, row + 1); y += 1) {
        for (let x = Math.max(0, column - 1); x <= Math.min(columns - 1, column + 1); x += 1) {
          const next = y * columns + x;
          if (open[next] !== 1) continue;
          open[next] = 0;
          stack.push(next);
        }
      }
    }
    const columnCount = right - left + 1;
    const rowCount = bottom - top + 1;
    const fill = count / (columnCount * rowCount);
    const side = Math.max(columnCount * wide, rowCount * high);
    if (side < SIDE_MIN || fill < FILL_MIN || count > AREA_MAX * cells.length) continue;
    parts.push({
      x: (left + columnCount / 2) * wide,
      y: (top + rowCount / 2) * high,
      halfX: (columnCount * wide) / 2,
      halfY: (rowCount * high) / 2,
    });
  }
  return parts;
}
