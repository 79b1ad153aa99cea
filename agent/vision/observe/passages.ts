/**
 * What passes through the picture, whatever it is: connected moving cells that travel steadily by their own size or more.
 * Of each it is told once whether the detector saw it on its way. Nobody is told from anybody by this.
 * Shadows, reflections and parts of somebody pass too. Beside what the detector saw they are his and say nothing of the
 * detector; beside what it was unsure of they may be (`hinted`).
 *
 *   Foreground ─▶ connected parts of a person's or vehicle's size ─▶ followed from tick to tick ─▶ passages
 *
 * What only sways (trees, flags), flickers (water, noise, rain), or changes most of the picture (light, focus) does not
 * travel. LIMITS: PARTS_MAX parts a tick; parts that touch are one.
 */
import type { SizePx, XyxyPx } from '../../contract/geometry.ts';
import { BEFORE_MAX } from '../../contract/observation.ts';
import { type Detection, type Foreground, MOVING } from '../../contract/picture.ts';

/** As high or wide as the smallest person that the detector finds more often than not: a tenth of the picture's height. */
const SIDE_MIN = 0.09;
/** A person who walks fills 0.4 of its box and more; two far parts that noise joins do not. */
const FILL_MIN = 0.35;
/** A lorry close by; a larger part is a change of light, or something at the lens. */
const AREA_MAX = 0.2;
/** When so much of the picture moves the light, the focus or the camera has changed: nothing can be followed. */
const MOVING_MAX = 0.3;
const PARTS_MAX = 64;
/** From one tick to the next a part keeps its size to a factor, and moves by no more than its own size. */
const GROWTH_MAX = 2;
const STEP_MAX = 1.2;
/** … and may be missing for so long: two looks at 3 frames a second. */
const MISSING_MS = 700;
/** It travels by its own size and more, seen so often, for so long: a gust moves a branch for half a second. */
const TRAVEL_SIZES = 1.5;
const LOOKS_MIN = 4;
const LASTS_MS = 800;
/** The way straight from beginning to end, of the way it went: a walker's is 0.9, random steps leave 0.5 of four. */
const STRAIGHT_MIN = 0.75;
/**
 * The way is measured in steps of so many sizes and more. A row of cells that flickers with a codec's noise moves the
 * centre of the smallest part, of four cells, by an eighth of its size; half a size is four such rows. Summed from look to
 * look, flicker lengthens the way by every look, and what is slow, with many looks, would seem to wander.
 */
const STRIDE_SIZES = 0.5;
/** Seen by the detector: named with this score, from which on alerts are raised, in so many of its looks. */
export const SEEN_SCORE = 0.35;
const SEEN_SHARE = 0.2;
/** A shadow goes beside the one who throws it most of its way; another who is met or overtaken does not. */
const BESIDE_SHARE = 0.5;
/** Judged at its end, or after so long. */
const JUDGED_MS = 6000;

interface Part {
  /** Shares of the frame: centre and half sides. */
  readonly x: number;
  readonly y: number;
  readonly halfX: number;
  readonly halfY: number;
}

interface Mover {
  /** Unique among those of this process. */
  readonly id: number;
  part: Part;
  readonly first: Part;
  readonly firstMs: number;
  lastMs: number;
  looks: number;
  seen: number;
  /** Looks in which something was seen at it or beside it. */
  beside: number;
  /** Something was found at it or beside it, with whatever score. */
  hinted: boolean;
  /** The way up to `stride`, in steps of `STRIDE_SIZES` and more. */
  way: number;
  /** Where its last such step ended. */
  stride: Part;
  judged: boolean;
  /** Travels as an object does, and nothing sure was found at it or beside it; from then on as long as it is followed. */
  unknown: boolean;
  /** Where it was, the oldest first, until it became that. */
  path: { readonly atMs: number; readonly part: Part }[];
}

/** What travels as an object does, and was not found by the detector with a score that says anything. */
export interface UnknownMover {
  readonly id: number;
  readonly xyxyPx: XyxyPx;
  /** Of the box's centre, px a second, over its whole way. */
  readonly velocityPxPerS: readonly [number, number];
  readonly firstMs: number;
  readonly lastMs: number;
  /** Where it was before it was known as one, the oldest first; only in the frame in which it becomes one. */
  readonly before: readonly { readonly atMs: number; readonly xyxyPx: XyxyPx }[];
}

export interface Passage {
  readonly atMs: number;
  readonly seen: boolean;
  /** Not seen, but something was found at it or beside it, with a score too low for an alert. */
  readonly hinted: boolean;
}

/** What was found in a frame: all of it, and what is sure enough to raise alerts. */
interface Found {
  readonly all: readonly Part[];
  readonly sure: readonly Part[];
}

export class Passages {
  #movers: Mover[] = [];
  #foreground: Foreground | undefined;
  #source: SizePx | undefined;
  #begun = 0;

  /** Takes what moves and what was found in a frame; returns what has passed. */
  update(foreground: Foreground, found: readonly Detection[], source: SizePx, atMs: number): Passage[] {
    if (foreground === this.#foreground) return [];
    this.#foreground = foreground;
    this.#source = source;
    // Heights and widths alike in one unit, the frame's height.
    const aspect = source.widthPx / source.heightPx;
    const parts = partsOf(foreground, aspect);
    const boxes = partsFound(found, source, aspect);
    const left = new Set(parts);
    const over: Mover[] = [];
    for (const mover of this.#movers) {
      const part = nearest(mover.part, left);
      if (part !== undefined) {
        left.delete(part);
        follow(mover, part, boxes, atMs);
      }
      if (atMs - mover.lastMs > MISSING_MS) over.push(mover);
    }
    this.#movers = this.#movers.filter((mover) => !over.includes(mover));
    for (const part of left) this.#movers.push(begun(++this.#begun, part, boxes, atMs));
    const ripe = this.#movers.filter(({ judged, firstMs }) => !judged && atMs - firstMs >= JUDGED_MS);
    return [...over, ...ripe].flatMap((mover) => judge(mover, atMs));
  }

  /** Those that are followed now and travel, and that the detector says nothing of. */
  get unknown(): UnknownMover[] {
    const source = this.#source;
    if (source === undefined) return [];
    const unknown: UnknownMover[] = [];
    for (const mover of this.#movers) {
      const { id, part, first, firstMs, lastMs, path } = mover;
      if (!mover.unknown) continue;
      const box = boxOf(part, source);
      const [from, to] = [boxOf(first, source), box];
      const seconds = Math.max(1, lastMs - firstMs) / 1000;
      const velocityPxPerS = [
        (to[0] + to[2] - from[0] - from[2]) / 2 / seconds,
        (to[1] + to[3] - from[1] - from[3]) / 2 / seconds,
      ] as const;
      const before = path.map((at) => ({ atMs: at.atMs, xyxyPx: boxOf(at.part, source) }));
      mover.path = [];
      unknown.push({ id, xyxyPx: box, velocityPxPerS, firstMs, lastMs, before });
    }
    return unknown;
  }
}

function judge(mover: Mover, atMs: number): Passage[] {
  const { judged, looks } = mover;
  if (judged || !travels(mover)) return [];
  mover.judged = true;
  const seen = mover.seen >= Math.max(1, SEEN_SHARE * looks);
  if (!seen && mover.beside >= BESIDE_SHARE * looks) return [];
  return [{ atMs, seen, hinted: !seen && mover.hinted }];
}

/** Steadily, by its own size and more. */
function travels({ part, first, looks, way, stride, firstMs, lastMs }: Mover): boolean {
  const travelled = distance(part, first);
  const size = 2 * Math.max(part.halfX, part.halfY, first.halfX, first.halfY);
  if (looks < LOOKS_MIN || lastMs - firstMs < LASTS_MS) return false;
  return travelled >= TRAVEL_SIZES * size && travelled >= STRAIGHT_MIN * (way + distance(part, stride));
}

function distance(a: Part, b: Part): number {
  return Math.hypot(a.x - b.x, a.y - b.y);
}

function begun(id: number, part: Part, found: Found, atMs: number): Mover {
  const none = { looks: 0, seen: 0, beside: 0, hinted: false, way: 0, judged: false, unknown: false };
  const mover: Mover = {
    id,
    part,
    first: part,
    stride: part,
    firstMs: atMs,
    lastMs: atMs,
    path: [],
    ...none,
  };
  follow(mover, part, found, atMs);
  return mover;
}

function follow(mover: Mover, part: Part, { all, sure }: Found, atMs: number): void {
  const step = distance(part, mover.stride);
  if (step >= STRIDE_SIZES * 2 * Math.max(part.halfX, part.halfY)) {
    mover.way += step;
    mover.stride = part;
  }
  mover.part = part;
  mover.lastMs = atMs;
  mover.looks += 1;
  if (isSeen(part, sure)) mover.seen += 1;
  if (isBeside(part, sure)) mover.beside += 1;
  mover.hinted ||= isBeside(part, all);
  if (mover.beside > 0) {
    mover.unknown = false;
    mover.path = [];
  } else if (!mover.unknown) {
    mover.path = [...mover.path.slice(1 - BEFORE_MAX), { atMs, part }];
    mover.unknown = travels(mover);
  }
}

function isSeen(part: Part, boxes: readonly Part[]): boolean {
  for (const box of boxes) {
    if (Math.abs(box.x - part.x) >= Math.max(box.halfX, part.halfX)) continue;
    if (Math.abs(box.y - part.y) < Math.max(box.halfY, part.halfY)) return true;
  }
  return false;
}

/** Nearer to a box than the larger of the two is: as far as a shadow or a reflection falls. */
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
    const away = distance(other, part);
    if (away >= least) continue;
    least = away;
    best = other;
  }
  return best;
}

function partsFound(found: readonly Detection[], source: SizePx, aspect: number): Found {
  const all: Part[] = [];
  const sure: Part[] = [];
  for (const detection of found) {
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

/** Connected moving cells of an object's size; none where most of the picture moves. */
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
    const across = right - left + 1;
    const down = bottom - top + 1;
    const fill = count / (across * down);
    const side = Math.max(across * wide, down * high);
    if (side < SIDE_MIN || fill < FILL_MIN || count > AREA_MAX * cells.length) continue;
    parts.push({
      x: (left + across / 2) * wide,
      y: (top + down / 2) * high,
      halfX: (across * wide) / 2,
      halfY: (down * high) / 2,
    });
  }
  return parts;
}
