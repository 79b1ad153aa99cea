/** Applies finger gestures to the selected shape. */
import { computed, signal } from '@preact/signals';
import type { PointNorm } from '../../../contract/geometry.ts';
import { covers } from '../../../contract/polygon.ts';
import { handleAt, shifted, snapped } from '../../../kit/drag-handle.ts';
import type { StageSize } from '../../../kit/stage.ts';
import { change, dragged, drawing, history, selected } from '../draft.ts';
import {
  CORNERS_MAX,
  type Shape,
  sameShape,
  shapesOf,
  withCorner,
  withInserted,
  withPoints,
} from '../drawing.ts';
import type { Draggable } from '../parts/dragging.ts';
import { authorisation } from '../store.ts';

/** Last touched corner of the selected shape. */
export const corner = signal<number | undefined>(undefined);
export const selectedShape = computed(() =>
  shapesOf(drawing.value).find((shape) => sameShape(shape, selected.value)),
);

export function editable(): Draggable | undefined {
  const shape = selectedShape.value;
  if (shape === undefined) return undefined;
  return {
    points: shape.points,
    withMiddles: shape.kind !== 'line' && shape.points.length < CORNERS_MAX,
    holds: (at) => shape.kind !== 'line' && covers(shape.points, [at]),
    insert: (after, at) => {
      if (shape.points.length >= CORNERS_MAX) return false;
      put(withInserted(shape, after, at));
      return true;
    },
    take: (index) => {
      corner.value = index;
    },
    moveCorner: (index, to, size) => put(withCorner(shape, index, snapped(to, cornersBeside(shape), size))),
    moveAll: (by) => put(shifted(before(shape).points, by)),
    drop,
    cancel: () => {
      dragged.value = undefined;
    },
  };
}

function put(points: readonly PointNorm[]): void {
  if (selected.value !== undefined) dragged.value = withPoints(drawing.value, selected.value, points);
}

/** Returns the shape before the drag. */
function before(shape: Shape): Shape {
  return shapesOf(history.value.now).find((one) => sameShape(one, shape)) ?? shape;
}

function drop(): void {
  const next = dragged.value;
  dragged.value = undefined;
  if (next !== undefined) change(next);
}

function cornersBeside(shape: Shape): PointNorm[] {
  const otherShapes = shapesOf(drawing.value).filter((other) => !sameShape(other, shape));
  const outlines = authorisation.value?.outlines ?? [];
  return [...otherShapes.flatMap(({ points }) => points), ...outlines.flatMap(({ polygon }) => polygon)];
}

/** Selects the shape under the finger; of several the next one after the selected. */
export function tapped(at: PointNorm, size: StageSize): void {
  const under = shapesOf(drawing.value).filter(
    ({ kind, points }) => (kind !== 'line' && covers(points, [at])) || nearSide(points, at, size),
  );
  const index = under.findIndex((shape) => sameShape(shape, selected.value));
  const next = under[(index + 1) % under.length];
  selected.value = next === undefined ? undefined : { kind: next.kind, id: next.id };
  corner.value = undefined;
}

/** A line is thin, so its ends and middles are the targets. */
function nearSide(points: readonly PointNorm[], at: PointNorm, size: StageSize): boolean {
  return handleAt(points, at, size, 0) !== undefined;
}
