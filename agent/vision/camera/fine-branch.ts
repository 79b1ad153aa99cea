/**
 * The larger picture beside a frame, for a detector that looks closely: the branch of the pipeline that makes it is shut
 * unless somebody wants it, and what it gives is paired with the frame of the same time stamp.
 *
 * INVARIANTS
 * - A larger picture is given out only with the frame of the same time stamp, and black under the privacy masks.
 * - It shows no more than the source does: it is never scaled up.
 * - Which frames have one depends on the frames alone, in a replay as well: those on their way when the branch was
 *   opened go without.
 * - All of one size lie in one place in memory, one after the other.
 * LIMITS: 2.5 a second (pipeline.ts).
 */

import type { NativePipeline } from '../../base/gstreamer.ts';
import { type SizePx, sameSize } from '../../contract/geometry.ts';
import { placementOf } from '../../contract/letterbox.ts';
import type { Frame } from '../../contract/picture.ts';
import type { PrivacyMasks } from './mask.ts';
import { type FinePacket, frameBytes } from './packet.ts';
import { letterboxCaps, SINK_PACKETS_MAX } from './pipeline.ts';

/** Times the side of the frame: four times the pixels cost four times the work (docs/design/005-benchmark.md). */
const SIDE_TIMES_MAX = 2;
/** A source that is hardly larger than the frame has nothing more to show. */
const SIDE_TIMES_MIN = 1.25;
/** Detectors take multiples of it (models/*.json); the frame's size is one too. */
const STEP_PX = 32;
/** So many frames may be on their way when the branch is opened: each is two packets of the sink at least. */
const ON_THE_WAY_MAX = SINK_PACKETS_MAX.replay;

export interface FineBranchOptions {
  readonly pipeline: Pick<NativePipeline, 'set'>;
  readonly masks: PrivacyMasks;
  /** Size of the frame. */
  readonly input: SizePx;
}

export class FineBranch {
  readonly #options: FineBranchOptions;
  #wanted = false;
  /** Of the pictures that the branch gives; undefined while it is shut. */
  #size: SizePx | undefined;
  #place: Buffer | undefined;
  #packet: FinePacket | undefined;
  /** Frames since it was opened. */
  #frames = 0;

  constructor(options: FineBranchOptions) {
    this.#options = options;
  }

  /** From the next frame on: whether larger pictures are wanted. */
  want(wanted: boolean): void {
    this.#wanted = wanted;
  }

  /** Where the next one is to be written; undefined while there is none to come. */
  get place(): Buffer | undefined {
    return this.#place;
  }

  keep(packet: FinePacket): void {
    this.#packet = packet;
  }

  /** A new opening of the source: nothing of the last one counts. */
  reopen(): void {
    this.#packet = undefined;
    this.#frames = 0;
  }

  /** The one of the frame with this time stamp, if there is one; opens and shuts the branch. */
  taken(ptsNs: bigint, source: SizePx): Frame['fine'] {
    const packet = this.#packet;
    this.#packet = undefined;
    this.#turn(this.#wanted ? fineSize(source, this.#options.input) : undefined);
    const size = this.#size;
    if (size === undefined) return undefined;
    this.#frames += 1;
    if (this.#frames <= ON_THE_WAY_MAX || packet?.ptsNs !== ptsNs) return undefined;
    const { rgb } = packet;
    if (rgb.length !== size.widthPx * size.heightPx * 3) return undefined;
    this.#options.masks.blackenFrame(rgb, source, size);
    return { size, rgb };
  }

  #turn(size: SizePx | undefined): void {
    const same =
      size === undefined || this.#size === undefined ? size === this.#size : sameSize(size, this.#size);
    if (same) return;
    const { pipeline } = this.#options;
    if (size !== undefined) pipeline.set('fine-size', 'caps', letterboxCaps(size));
    pipeline.set('fine', 'drop', size === undefined);
    this.#size = size;
    this.#place = size && Buffer.alloc(frameBytes(size));
    this.#frames = 0;
  }
}

/** How large a picture of the source is worth having; undefined where it has no more to show than the frame does. */
export function fineSize(source: SizePx, input: SizePx): SizePx | undefined {
  const times = Math.min(SIDE_TIMES_MAX, source.widthPx / placementOf(source, input).widthPx);
  if (times < SIDE_TIMES_MIN) return undefined;
  const side = (px: number): number => Math.floor((px * times) / STEP_PX) * STEP_PX;
  return { widthPx: side(input.widthPx), heightPx: side(input.heightPx) };
}
