/**
 * Visible part of an enlarged picture. Places are normalised to the whole picture; a spot is a place in the frame on
 * the screen, 0..1 from its left and top.
 *
 * INVARIANT: the visible part never leaves the picture.
 */
import type { PointNorm } from './stage.ts';

export const ZOOM_MAX = 4;

export interface PictureView {
  /** Enlargement, 1 to ZOOM_MAX. */
  readonly zoom: number;
  /** Left and top of the visible part. */
  readonly x: number;
  readonly y: number;
}

export const WHOLE_PICTURE: PictureView = { zoom: 1, x: 0, y: 0 };

/** Returns the place of the picture that lies at a spot of the frame. */
export function placeAt({ zoom, x, y }: PictureView, [spotX, spotY]: PointNorm): PointNorm {
  return [x + spotX / zoom, y + spotY / zoom];
}

/** Enlarges by a factor. The place at the spot `from` is at the spot `to` afterwards, unless an edge prevents it. */
export function zoomed(
  view: PictureView,
  factor: number,
  from: PointNorm,
  to: PointNorm = from,
): PictureView {
  const zoom = Math.min(ZOOM_MAX, Math.max(1, view.zoom * factor));
  const [placeX, placeY] = placeAt(view, from);
  return within(zoom, placeX - to[0] / zoom, placeY - to[1] / zoom);
}

/** Returns the view with this zoom around a place. */
export function zoomedAround(zoom: number, [x, y]: PointNorm): PictureView {
  const limited = Math.min(ZOOM_MAX, Math.max(1, zoom));
  return within(limited, x - 0.5 / limited, y - 0.5 / limited);
}

function within(zoom: number, x: number, y: number): PictureView {
  const limit = (value: number): number => Math.min(1 - 1 / zoom, Math.max(0, value));
  return { zoom, x: limit(x), y: limit(y) };
}
