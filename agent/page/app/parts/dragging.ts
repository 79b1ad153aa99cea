/**
 * Handles one finger on the layer of shapes. It takes the nearest corner within reach, not the topmost one. The middle
 * of a side becomes a corner. Otherwise it moves the shape itself, and a tap selects another.
 */
import type { PointNorm } from '../../../contract/geometry.ts';
import { type DragHandle, handleAt } from '../../../kit/drag-handle.ts';
import { GUTTER_PX, type StageSize } from '../../../kit/stage.ts';

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

export function dragging(target: () => Draggable | undefined, tap: (at: PointNorm, size: StageSize) => void) {
  return (size: StageSize) => ({
    onPointerDown(event: PointerEvent): void {
      if (grab !== undefined) return;
      const at = placeOf(event, size);
      grab = grabbed(event.pointerId, target(), at, size);
      (event.currentTarget as Element).setPointerCapture(event.pointerId);
      event.preventDefault();
    },
    onPointerMove(event: PointerEvent): void {
      if (grab?.pointer !== event.pointerId) return;
      const [x, y] = placeOf(event, size);
      const by: PointNorm = [x - grab.from[0], y - grab.from[1]];
      grab.hasMoved ||= Math.hypot(by[0] * size.w, by[1] * size.h) > MOVED_PX;
      if (!grab.hasMoved) return;
      if (grab.corner !== undefined)
        target()?.moveCorner(grab.corner, [x + grab.off[0], y + grab.off[1]], size);
      else if (grab.movesAll) target()?.moveAll(by);
    },
    onPointerUp(event: PointerEvent): void {
      if (grab?.pointer !== event.pointerId) return;
      const { corner, hasMoved, from } = grab;
      grab = undefined;
      if (corner === undefined && !hasMoved) tap(from, size);
      else target()?.drop();
    },
    onPointerCancel(event: PointerEvent): void {
      if (grab?.pointer !== event.pointerId) return;
      grab = undefined;
      target()?.cancel();
    },
  });
}

function grabbed(pointer: number, target: Draggable | undefined, at: PointNorm, size: StageSize): Grab {
  const idle = { pointer, from: at, off: [0, 0] as PointNorm, hasMoved: false };
  if (target === undefined) return { ...idle, corner: undefined, movesAll: false };
  const dragHandle = handleAt(target.points, at, size, target.withMiddles);
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

function placeOf(event: PointerEvent, { w, h }: StageSize): PointNorm {
  const { left, top } = (event.currentTarget as Element).getBoundingClientRect();
  return [(event.clientX - left - GUTTER_PX) / w, (event.clientY - top - GUTTER_PX) / h];
}
