/** Computes the size of the larger picture beside a frame, for the detector's high-resolution pass. */
import type { SizePx } from '../../contract/geometry.ts';
import { placementOf } from '../../contract/letterbox.ts';
import { LARGER_SIDE_TIMES_MAX } from '../../contract/picture.ts';

/** Minimum side, as a multiple of the frame's side. A source hardly larger than the frame shows nothing more. */
const SIDE_TIMES_MIN = 1.25;
/** Step of the side length, in px. Detectors take multiples of it (models/*.json), and so does the frame. */
const STEP_PX = 32;

/**
 * Returns the size of a useful larger picture, in which the scene is at most `widthMaxPx` wide; undefined if that shows
 * no more than the frame.
 */
export function fineSize(source: SizePx, input: SizePx, widthMaxPx: number): SizePx | undefined {
  const times = Math.min(
    LARGER_SIDE_TIMES_MAX,
    Math.min(source.widthPx, widthMaxPx) / placementOf(source, input).widthPx,
  );
  if (times < SIDE_TIMES_MIN) return undefined;
  const side = (px: number): number => Math.floor((px * times) / STEP_PX) * STEP_PX;
  return { widthPx: side(input.widthPx), heightPx: side(input.heightPx) };
}
