/**
 * Handles fingers on the layer of shapes. One finger takes the nearest corner within reach, not the topmost one. The
 * middle of a side becomes a corner. Otherwise it moves the shape itself, or an enlarged picture, and a tap selects
 * another shape. Two fingers enlarge and move the picture, and change no shape.
 */
import type { PointNorm } from '../../../contract/geometry.ts';
import { type DragHandle, handleAt, TARGET_PX } from '../../../kit/drag-handle.ts';
import { GUTTER_PX, type StageSize } from '../../../kit/stage.ts';
import { placeAt, zoomed } from '../../../kit/zoom.ts';
import { heldCorner, pictureView, resetView } from '../picture-view.ts';

/** Length of a side whose middle is a target of its own, apart from both corners. */
export const SIDE_PX_MIN = 2 * TARGET_PX;

export interface Draggable {
  readonly points: readonly PointNorm[];
  readonly withMiddles: boolean;
  /** True if the place lies in an area that can be moved as a whole. */
  holds(at: PointNorm): boolean;
  /** Inserts a corner after the given one; false if the maximum is reached. */
  insert(after: number, at: PointNorm): boolean;
  /** Starts moving a corner. */
  take(corner: number): void;
  moveCorner(corner: number, to: PointNorm, size: StageSize): void;
  moveAll(by: PointNorm): void;
  drop(): void;
  cancel(): void;
}

/** Smaller movements are a trembling finger. CSS px. */
const MOVED_PX = 6;

interface Grab {
  readonly pointer: number;
  readonly from: PointNorm;
  readonly corner: number | undefined;
  /** Offset from the finger to the corner, so that the corner does not jump. */
  readonly off: PointNorm;
  readonly movesAll: boolean;
  hasMoved: boolean;
}

let grab: Grab | undefined;
/** Spots of the fingers on the picture, by pointer. */
const fingers = new Map<number, PointNorm>();
/** True from the second finger until all are lifted. */
let isPinch = false;

/** Forgets all fingers, because the layer of shapes is removed. */
export function releaseFingers(): void {
  grab = undefined;
  fingers.clear();
  isPinch = false;
  resetView();
}

export function dragging(target: () => Draggable | undefined, tap: (at: PointNorm, size: StageSize) => void) {
  const letGo = (): void => {
    if (grab !== undefined && (grab.corner !== undefined || grab.movesAll)) target()?.cancel();
    grab = undefined;
    heldCorner.value = undefined;
  };
  const lift = (pointer: number): void => {
    fingers.delete(pointer);
    if (fingers.size === 0) isPinch = false;
  };
  return (size: StageSize) => ({
    onPointerDown(event: PointerEvent): void {
      if (fingers.size >= 2) return;
      fingers.set(event.pointerId, spotOf(event));
      (event.currentTarget as Element).setPointerCapture(event.pointerId);
      event.preventDefault();
      if (fingers.size === 2) {
        letGo();
        isPinch = true;
        return;
      }
      grab = grabbed(event.pointerId, target(), placeAt(pictureView.value, spotOf(event)), size);
      heldCorner.value = grab.corner === undefined ? undefined : target()?.points[grab.corner];
    },
    onPointerMove(event: PointerEvent): void {
      const before = fingers.get(event.pointerId);
      if (before === undefined) return;
      const spot = spotOf(event);
      if (isPinch) {
        pinch(event.pointerId, before, spot);
        return;
      }
      if (grab?.pointer !== event.pointerId) return;
      const [x, y] = placeAt(pictureView.value, spot);
      const by: PointNorm = [x - grab.from[0], y - grab.from[1]];
      grab.hasMoved ||= Math.hypot(by[0] * size.w, by[1] * size.h) > MOVED_PX;
      if (!grab.hasMoved) return;
      if (grab.corner !== undefined) {
        target()?.moveCorner(grab.corner, [x + grab.off[0], y + grab.off[1]], size);
        heldCorner.value = target()?.points[grab.corner];
      } else if (grab.movesAll) target()?.moveAll(by);
      else {
        pictureView.value = zoomed(pictureView.value, 1, before, spot);
        fingers.set(event.pointerId, spot);
      }
    },
    onPointerUp(event: PointerEvent): void {
      lift(event.pointerId);
      if (grab?.pointer !== event.pointerId) return;
      const { corner, hasMoved, movesAll, from } = grab;
      grab = undefined;
      heldCorner.value = undefined;
      if (corner === undefined && !hasMoved) tap(from, size);
      else if (corner !== undefined || movesAll) target()?.drop();
    },
    onPointerCancel(event: PointerEvent): void {
      lift(event.pointerId);
      if (grab?.pointer === event.pointerId) letGo();
    },
  });
}

/** Keeps the places under both fingers there, by turns for each. */
function pinch(pointer: number, before: PointNorm, spot: PointNorm): void {
  const other = [...fingers].find(([id]) => id !== pointer)?.[1];
  fingers.set(pointer, spot);
  if (other === undefined) return;
  const factor = distance(spot, other) / Math.max(distance(before, other), 0.01);
  pictureView.value = zoomed(pictureView.value, factor, middleOf(before, other), middleOf(spot, other));
}

function distance([ax, ay]: PointNorm, [bx, by]: PointNorm): number {
  return Math.hypot(ax - bx, ay - by);
}

function middleOf([ax, ay]: PointNorm, [bx, by]: PointNorm): PointNorm {
  return [(ax + bx) / 2, (ay + by) / 2];
}

function grabbed(pointer: number, target: Draggable | undefined, at: PointNorm, size: StageSize): Grab {
  const idle = { pointer, from: at, off: [0, 0] as PointNorm, hasMoved: false };
  if (target === undefined) return { ...idle, corner: undefined, movesAll: false };
  const dragHandle = handleAt(target.points, at, size, target.withMiddles ? SIDE_PX_MIN : undefined);
  const grabbedCorner = dragHandle === undefined ? undefined : take(target, dragHandle);
  if (grabbedCorner === undefined) return { ...idle, corner: undefined, movesAll: target.holds(at) };
  target.take(grabbedCorner.corner);
  const off: PointNorm = [grabbedCorner.at[0] - at[0], grabbedCorner.at[1] - at[1]];
  return { ...idle, corner: grabbedCorner.corner, off, movesAll: false };
}

function take(target: Draggable, dragHandle: DragHandle): { corner: number; at: PointNorm } | undefined {
  if ('corner' in dragHandle)
    return { corner: dragHandle.corner, at: target.points[dragHandle.corner] as PointNorm };
  if (!target.insert(dragHandle.between, dragHandle.at)) return undefined;
  return { corner: dragHandle.between + 1, at: dragHandle.at };
}

/** Spot of a finger in the frame, 0..1. */
function spotOf(event: PointerEvent): PointNorm {
  const { left, top, width, height } = (event.currentTarget as Element).getBoundingClientRect();
  return [
    (event.clientX - left - GUTTER_PX) / (width - 2 * GUTTER_PX),
    (event.clientY - top - GUTTER_PX) / (height - 2 * GUTTER_PX),
  ];
}
