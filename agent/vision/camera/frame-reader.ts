/**
 * The packets of the sink made into frames and stills.
 *
 * INVARIANTS
 * - A frame's size, and that of its still, is the one told before it. Should that be among packets that were
 *   dropped, the gauge's own length gives it away, and no frame is handed out: the camera opens anew.
 * - All frames lie in one place in memory, one after the other: a third of a megabyte each, they would have V8 collect
 *   all the time. A frame's picture and planes are there until the next one is asked for.
 * - A still goes into the ring, and planes and the larger picture are given out, only with the frame of the same time
 *   stamp.
 * - Live, a frame is handed out only if no newer one has entered the letterbox.
 * - A frame and its planes are black under the privacy masks before anybody gets them.
 */

import type { NativePipeline } from '../../base/gstreamer.ts';
import type { SizePx } from '../../contract/geometry.ts';
import type { Frame, YuvPlanes } from '../../contract/picture.ts';
import { FineBranch } from './fine-branch.ts';
import type { PrivacyMasks } from './mask.ts';
import {
  decodePacket,
  type FramePacket,
  frameBytes,
  type Packet,
  type PlanesPacket,
  planesOf,
  type StillPacket,
} from './packet.ts';
import type { StillRing } from './still-ring.ts';
import type { Timeline } from './timeline.ts';

/**
 * Frames come no closer than this part of the asked interval. videorate counts frames from the opening:
 * after hours of a slower camera (night) it would let every frame of a faster one pass. Whole intervals of a faster
 * camera that fit into the asked one are always more than half of it: 15 of 25 a second come 40 and 80 ms apart.
 */
const INTERVAL_PART_MIN = 0.5;

export interface FrameReaderOptions {
  readonly pipeline: Pick<NativePipeline, 'read' | 'get' | 'set'>;
  readonly timeline: Timeline;
  readonly ring: StillRing;
  readonly masks: PrivacyMasks;
  readonly input: SizePx;
  readonly fps: number | null;
  readonly live: boolean;
}

export class FrameReader {
  readonly #options: FrameReaderOptions;
  readonly #spacingNs: bigint;
  readonly #place: Buffer;
  readonly #fine: FineBranch;
  #size: SizePx | undefined;
  /** Length of the gauges of this size. */
  #gaugeBytes: number | undefined;
  #still: StillPacket | undefined;
  #planes: PlanesPacket | undefined;
  #planesSize: SizePx | undefined;
  /** Where planes lie; of the length of those that came last. */
  #planesPlace: Buffer | undefined;
  #lastPtsNs: bigint | undefined;
  #lastOrder = -1;
  #index = 0;
  #indexAtOpening = 0;
  #readBefore = 0;
  #readNow = 0;
  #dropped = 0;

  constructor(options: FrameReaderOptions) {
    this.#options = options;
    this.#place = Buffer.alloc(frameBytes(options.input));
    this.#fine = new FineBranch(options);
    this.#spacingNs = options.fps === null ? 0n : BigInt(Math.round((INTERVAL_PART_MIN * 1e9) / options.fps));
  }

  /** Frames decoded since the start. */
  get read(): number {
    return this.#readBefore + this.#readNow;
  }

  /** Frames to be analysed that gave way to a newer one. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Whether this opening has given a frame. */
  get flowing(): boolean {
    return this.#index > this.#indexAtOpening;
  }

  /** Whether frames are to have a larger picture beside them, as far as the source has one. */
  wantFine(wanted: boolean): void {
    this.#fine.want(wanted);
  }

  /** The next packets come from a new opening. */
  reopen(): void {
    this.#options.timeline.reopen();
    this.#fine.reopen();
    this.#size = undefined;
    this.#still = undefined;
    this.#planes = undefined;
    this.#planesSize = undefined;
    this.#lastPtsNs = undefined;
    this.#lastOrder = -1;
    this.#indexAtOpening = this.#index;
    this.#readBefore += this.#readNow;
    this.#readNow = 0;
  }

  /** The next frame, whose picture takes the place of the last one's; undefined when the opening is over. */
  async next(): Promise<Frame | undefined> {
    for (;;) {
      // The binding takes two places: while larger pictures come, which are more often, planes have buffers of their own.
      const finePlace = this.#fine.place;
      const sample = await this.#options.pipeline.read(this.#place, finePlace ?? this.#planesPlace);
      if (sample === null) return undefined;
      const packet = decodePacket(sample.buffer, sample.caps, this.#options.input);
      if (packet !== undefined) this.#measure(packet);
      const inPlace = [this.#place, finePlace, this.#planesPlace].includes(sample.buffer);
      if (packet?.kind === 'still') this.#still = kept(packet, inPlace);
      if (packet?.kind === 'planes-shape') this.#planesSize = packet.size;
      if (packet?.kind === 'planes') {
        const elsewhere = inPlace && sample.buffer !== this.#planesPlace;
        this.#planes = elsewhere ? { ...packet, bytes: Uint8Array.from(packet.bytes) } : packet;
        if (this.#planesPlace?.length !== sample.buffer.length)
          this.#planesPlace = Buffer.alloc(sample.buffer.length);
      }
      if (packet?.kind === 'fine') this.#fine.keep(packet);
      if (packet?.kind !== 'frame' || this.#superseded(packet)) continue;
      this.#dropped += packet.order - this.#lastOrder - 1;
      this.#lastOrder = packet.order;
      if (this.#size !== undefined && !this.#tooSoon(packet)) return this.#frame(packet, this.#size);
    }
  }

  #measure(packet: Packet): void {
    if (packet.kind === 'shape') {
      this.#size = packet.source;
      this.#gaugeBytes = undefined;
    }
    if (packet.kind !== 'gauge') return;
    this.#gaugeBytes ??= packet.bytes;
    if (packet.bytes !== this.#gaugeBytes) this.#size = undefined;
  }

  #superseded({ order }: FramePacket): boolean {
    return this.#options.live && order + 1 < Number(this.#options.pipeline.get('count', 'out'));
  }

  #tooSoon({ ptsNs }: FramePacket): boolean {
    return this.#lastPtsNs !== undefined && ptsNs - this.#lastPtsNs < this.#spacingNs;
  }

  #frame({ ptsNs, rgb }: FramePacket, source: SizePx): Frame {
    const { timeline, ring, masks, input, pipeline } = this.#options;
    const atMs = timeline.atMs(ptsNs);
    this.#lastPtsNs = ptsNs;
    // A pipeline that is being taken down starts to count anew, and what was read stays read.
    this.#readNow = Math.max(this.#readNow, Number(pipeline.get('rate', 'in')));
    const still = this.#still?.ptsNs === ptsNs ? this.#still : undefined;
    if (still !== undefined) ring.add({ ptsNs, atMs, source, jpeg: still.jpeg });
    this.#still = undefined;
    this.#index += 1;
    const masked = masks.blackenFrame(rgb, source, input);
    const wallMs = timeline.wallMs(atMs);
    return {
      index: this.#index,
      ptsNs,
      atMs,
      wallMs,
      source,
      input,
      rgb,
      masked,
      planes: this.#taken(ptsNs),
      still: still !== undefined,
      fine: this.#fine.taken(ptsNs, source),
    };
  }

  #taken(ptsNs: bigint): YuvPlanes | undefined {
    const packet = this.#planes;
    this.#planes = undefined;
    if (packet?.ptsNs !== ptsNs || this.#planesSize === undefined || this.#size === undefined)
      return undefined;
    const planes = planesOf(packet.bytes, this.#planesSize);
    if (planes !== undefined) this.#options.masks.blackenPlanes(planes, this.#size);
    return planes;
  }
}

/** A still that happens to be as long as a frame or as planes must not stay in their place. */
function kept(still: StillPacket, inPlace: boolean): StillPacket {
  return inPlace ? { ...still, jpeg: Uint8Array.from(still.jpeg) } : still;
}
