/** The larger picture beside a frame, for a detector that looks closely: how large it is. */
import type { SizePx } from '../../contract/geometry.ts';
import { placementOf } from '../../contract/letterbox.ts';

/** Times the side of the frame: four times the pixels cost four times the work (docs/design/005-benchmark.md). */
const SIDE_TIMES_MAX = 2;
/** A source that is hardly larger than the frame has nothing more to show. */
const SIDE_TIMES_MIN = 1.25;
/** Detectors take multiples of it (models/*.json); the frame's size is one too. */
const STEP_PX = 32;

/** How large a picture of the source is worth having; undefined where it has no more to show than the frame does. */
export function fineSize(source: SizePx, input: SizePx): SizePx | undefined {
  const times = Math.min(SIDE_TIMES_MAX, source.widthPx / placementOf(source, input).widthPx);
  if (times < SIDE_TIMES_MIN) return undefined;
  const side = (px: number): number => Math.floor((px * times) / STEP_PX) * STEP_PX;
  return { widthPx: side(input.widthPx), heightPx: side(input.heightPx) };
}
