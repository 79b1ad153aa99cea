/** Visible part of the picture while a technician draws, and the corner that a finger holds. */
import { signal } from '@preact/signals';
import type { PointNorm } from '../../contract/geometry.ts';
import { type PictureView, WHOLE_PICTURE, zoomedAround } from '../../kit/zoom.ts';

/** Factor of one press of a zoom button: two presses reach the maximum. */
const STEP = 2;

export const pictureView = signal<PictureView>(WHOLE_PICTURE);
/** Place of the corner under the finger; undefined if no corner is dragged. */
export const heldCorner = signal<PointNorm | undefined>(undefined);

export function resetView(): void {
  pictureView.value = WHOLE_PICTURE;
  heldCorner.value = undefined;
}

/** Moves an enlarged picture to a place that a key has reached outside of the visible part. */
export function reveal([x, y]: PointNorm): void {
  const view = pictureView.value;
  const isVisible = (value: number, from: number): boolean => value >= from && value <= from + 1 / view.zoom;
  if (!isVisible(x, view.x) || !isVisible(y, view.y)) pictureView.value = zoomedAround(view.zoom, [x, y]);
}

export function zoomIn(place: PointNorm): void {
  pictureView.value = zoomedAround(pictureView.value.zoom * STEP, place);
}

export function zoomOut(): void {
  const { zoom, x, y } = pictureView.value;
  pictureView.value = zoomedAround(zoom / STEP, [x + 0.5 / zoom, y + 0.5 / zoom]);
}
