/**
 * Detects motion since the last detector run, in cells of 4 × 4 pixels of the detector's input.
 *
 * The comparison with the last run, instead of the last frame, lets slow motion add up.
 *
 * LIMITS: motion that differs from its ground by too few levels is missed (native/gst/motion.cpp); the detector runs
 * every two seconds anyway.
 */
import { placementOf } from '../../contract/letterbox.ts';
import { isMasked } from '../../contract/masked.ts';
import type { Frame } from '../../contract/picture.ts';
import { FrameMotion } from '../native/addon.ts';
import { gridOf } from './motion-cells.ts';

/** Maximum number of cells, whatever the input's size. */
const CELLS_MAX = 8000;

export class Motion {
  #size = '';
  #cells: InstanceType<typeof FrameMotion> | undefined;

  /** Takes the next frame; returns true if something has moved since the last detector run, or before the first one. */
  update(frame: Frame): boolean {
    const { widthPx, heightPx } = frame.source;
    const size = `${widthPx}x${heightPx}`;
    if (size !== this.#size || this.#cells === undefined) this.#cells = cellsOf(frame);
    this.#size = size;
    return this.#cells.update(frame.rgb);
  }

  /** Records that the detector has run on the last frame. */
  noteDetectorRun(): void {
    this.#cells?.keep();
  }
}

function cellsOf(frame: Frame): InstanceType<typeof FrameMotion> {
  const placement = placementOf(frame.source, frame.input);
  const { leftPx, topPx } = placement;
  const grid = gridOf(placement, CELLS_MAX, (x, y, sidePx) =>
    isMasked(frame, leftPx + x, topPx + y, sidePx, sidePx),
  );
  return new FrameMotion(grid, frame.input.widthPx, leftPx, topPx);
}
