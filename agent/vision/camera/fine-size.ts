/** Computes the size of the larger picture beside a frame, for the detector's high-resolution pass. */
import type { SizePx } from '../../contract/geometry.ts';
import { placementOf } from '../../contract/letterbox.ts';

/**
 * Maximum side, as a multiple of the frame's side. Four times the pixels cost four times the work
 * (docs/design/005-benchmark.md).
 */
const SIDE_TIMES_MAX = 2;
/** Minimum side, as a multiple of the frame's side. A source hardly larger than the frame shows nothing more. */
const SIDE_TIMES_MIN = 1.25;
/** Step of the side length, in px. Detectors take multiples of it (models/*.json), and so does the frame. */
const STEP_PX = 32;

/** Returns the size of a useful larger picture; undefined if the source shows no more than the frame. */
export function fineSize(source: SizePx, input: SizePx): SizePx | undefined {
  const times = Math.min(SIDE_TIMES_MAX, source.widthPx / placementOf(source, input).widthPx);
  if (times < SIDE_TIMES_MIN) return undefined;
  const side = (px: number): number => Math.floor((px * times) / STEP_PX) * STEP_PX;
  return { widthPx: side(input.widthPx), heightPx: side(input.heightPx) };
}
