/**
 * Stills only where something moves: two a second, and while the street is still one in two seconds, so that a
 * preview, and evidence asked for later, find one. They cost more than the
 * letterbox.
 *
 * INVARIANT: what begins to move is in the stills from the next that is due, at most half a second later; the moment
 * itself is within a second of the one before or after, so no event lacks its picture (still-ring.ts takes 5 s).
 */
import type { NativePipeline } from '../../base/gstreamer.ts';

/** As far back as a preview looks (redact/evidence.ts). */
const STILL_EVERY_MS = 2000;
/** The valve opens one still's spacing ahead of it. */
const AHEAD_MS = 500;

export class StillValve {
  readonly #pipeline: Pick<NativePipeline, 'set'>;
  #shut = false;
  #stillMs = Number.NEGATIVE_INFINITY;

  constructor(pipeline: Pick<NativePipeline, 'set'>) {
    this.#pipeline = pipeline;
  }

  /** Nothing moves, or something does, as of the frame at `atMs`, which has a still or none. */
  update(atMs: number, { isStill, hasStill }: { isStill: boolean; hasStill: boolean }): void {
    if (hasStill) this.#stillMs = atMs;
    const shut = isStill && atMs - this.#stillMs < STILL_EVERY_MS - AHEAD_MS;
    if (shut === this.#shut) return;
    this.#shut = shut;
    this.#pipeline.set('stills', 'drop', shut);
  }
}
