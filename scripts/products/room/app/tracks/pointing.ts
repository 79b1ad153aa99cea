/**
 * Handles a pointer on the picture. It takes the corner in reach, creates one in the middle of a side, or moves the
 * whole area. Elsewhere it draws a new line or rectangle from where it was pressed.
 */
import type { PointNorm } from '../../../../../agent/contract/geometry.ts';
import { covers } from '../../../../../agent/contract/polygon.ts';
import { handleAt, rounded, shifted, snapped } from '../../../../../agent/kit/drag-handle.ts';
import { GUTTER_PX, type StageSize } from '../../../../../agent/kit/stage.ts';
import { type DrawnPlace, placed, rectangle, withCorner, withInserted } from './drawn-place.ts';
import { drawnPlace } from './question.ts';

/** Minimum movement of a drag in CSS px; less is a trembling hand. */
const MOVED_PX = 5;

interface Grab {
  readonly pointer: number;
  readonly from: PointNorm;
  /** Drawing before the drag. */
  readonly before: DrawnPlace;
  readonly to: (at: PointNorm, size: StageSize) => DrawnPlace;
  hasMoved: boolean;
}

let grab: Grab | undefined;

export function pointing(size: StageSize) {
  return {
    onPointerDown(event: PointerEvent): void {
      const place = drawnPlace.peek();
      if (grab !== undefined || event.button !== 0 || place === undefined) return;
      const at = placeOf(event, size);
      const to = grabbed(place, at, size);
      grab = { pointer: event.pointerId, from: at, before: place, to, hasMoved: false };
      (event.currentTarget as Element).setPointerCapture(event.pointerId);
      event.preventDefault();
    },
    onPointerMove(event: PointerEvent): void {
      if (grab?.pointer !== event.pointerId) return;
      const at = placeOf(event, size);
      const { from } = grab;
      grab.hasMoved ||= Math.hypot((at[0] - from[0]) * size.w, (at[1] - from[1]) * size.h) > MOVED_PX;
      if (grab.hasMoved) drawnPlace.value = grab.to(at, size);
    },
    onPointerUp(event: PointerEvent): void {
      if (grab?.pointer === event.pointerId) grab = undefined;
    },
    onPointerCancel(event: PointerEvent): void {
      if (grab?.pointer !== event.pointerId) return;
      drawnPlace.value = grab.before;
      grab = undefined;
    },
  };
}

function grabbed(place: DrawnPlace, from: PointNorm, size: StageSize): Grab['to'] {
  const dragHandle = handleAt(place.points, from, size, place.kind === 'area' ? 0 : undefined);
  if (dragHandle !== undefined && 'corner' in dragHandle)
    return (at, size) => withCorner(place, dragHandle.corner, snapped(at, [], size));
  if (dragHandle !== undefined) {
    const extendedPlace = withInserted(place, dragHandle.between, dragHandle.at);
    return (at, size) => withCorner(extendedPlace, dragHandle.between + 1, snapped(at, [], size));
  }
  if (place.kind === 'area' && covers(place.points, [from])) {
    return (at) => ({ ...place, points: shifted(place.points, [at[0] - from[0], at[1] - from[1]]) });
  }
  const start = rounded(from);
  return (at, size) => {
    const end = snapped(at, [], size);
    const points = place.kind === 'line' ? [start, end] : rectangle(start, end);
    return { ...placed(place.kind, points), ...withoutPoints(place), points };
  };
}

/** Keeps the options; the corners are new. */
function withoutPoints({ points: _, ...rest }: DrawnPlace): Omit<DrawnPlace, 'points'> {
  return rest;
}

function placeOf(event: PointerEvent, { w, h }: StageSize): PointNorm {
  const { left, top } = (event.currentTarget as Element).getBoundingClientRect();
  return [(event.clientX - left - GUTTER_PX) / w, (event.clientY - top - GUTTER_PX) / h];
}
