/**
 * Makes frames and stills from the pictures of the sink. The sink holds the decoder's output, and sees motion in each
 * (native/gst/watch.h). On request, the addon makes the detector's input, planes, a larger input or a JPEG from it.
 *
 * INVARIANTS
 * - The size of a frame, and of everything made from it, is the one that came with its own buffer.
 * - No pixel under a privacy mask leaves the addon: each call to it passes the black ranges.
 * - All frames use one buffer in turn. Separate buffers of a third of a megabyte would make V8 collect constantly. Data
 *   made from a frame stays valid until data of the next one is made.
 */

import type { Motion, Picture, Scene } from 'vigie-native';
import { AgentError, assert, messageOf } from '../../base/errors.ts';
import { fitted } from '../../contract/fitted-size.ts';
import type { SizePx } from '../../contract/geometry.ts';
import { placementOf } from '../../contract/letterbox.ts';
import {
  EVERY_FRAME,
  type Frame,
  type Glimpse,
  type LookTerms,
  type YuvPlanes,
} from '../../contract/picture.ts';
import { SNAPSHOT_LONG_SIDE_PX_MAX } from '../../contract/redacted-jpeg.ts';
import type { NativePipeline } from '../native/gstreamer.ts';
import { fineSize } from './fine-size.ts';
import { type PrivacyMasks, spreadPx } from './mask.ts';
import { type PictureKinds, PictureTimes } from './picture-times.ts';
import { planesBytes, planesOf } from './planes.ts';
import type { StillRing } from './still-ring.ts';
import type { Timeline } from './timeline.ts';

/**
 * Minimum distance of two frames, as a ratio of the requested interval.
 *
 * videorate counts frames from the opening. After hours of a slower camera (night) it would pass every frame of a
 * faster one. The whole intervals of a faster camera that fit into the requested one are always more than half of it.
 * For example, 15 of 25 a second come 40 and 80 ms apart.
 */
const INTERVAL_PART_MIN = 0.5;
/** Minimum side of the picture, and of its part of the detector's input, in px. */
const SIDE_PX_MIN = 16;
/** Maximum side in px, as in `SizePx`. */
const SIDE_PX_MAX = 16_384;

/** Returns the cells of a grey picture of `size` in which motion is looked for. `masked` is 1 for masked pixels. */
export type CellsOf = (
  size: SizePx,
  masked: Uint8Array | undefined,
) => Omit<Scene, keyof SizePx | 'black' | 'atMs'>;

interface LookRecord {
  readonly ptsNs: bigint;
  readonly source: SizePx;
  readonly motion: Glimpse['motion'];
}

export interface FrameReaderOptions {
  readonly pipeline: Pick<NativePipeline, 'look' | 'beginScene' | 'get' | 'fail'>;
  readonly timeline: Timeline;
  readonly ring: StillRing;
  readonly masks: PrivacyMasks;
  readonly input: SizePx;
  readonly fps: number | null;
  /** Absent if glimpses need no motion. Then none is passed over. */
  readonly cellsOf?: CellsOf | undefined;
  readonly stillLongSidePx: number;
}

export class FrameReader {
  readonly #options: FrameReaderOptions;
  readonly #spacingNs: bigint;
  readonly #times = new PictureTimes();
  readonly #rgb: Buffer;
  /** Buffers, each of the length that was needed last. */
  #planes: Buffer = Buffer.alloc(0);
  #fine: Buffer = Buffer.alloc(0);
  #fineWidthMaxPx = 0;
  #streetStill = false;
  #picture: Picture | undefined;
  /** Pictures that were looked at, to be returned; the last one is held. */
  #records: LookRecord[] = [];
  /** Size of the pictures of the scene, and of the grey picture. */
  #sizes: { readonly source: SizePx; readonly small: SizePx } | undefined;
  #due: PictureKinds | undefined;
  #index = 0;
  #indexAtOpening = 0;
  #readBefore = 0;
  #readNow = 0;

  constructor(options: FrameReaderOptions) {
    this.#options = options;
    const { input, fps } = options;
    this.#rgb = Buffer.alloc(input.widthPx * input.heightPx * 3);
    this.#spacingNs = fps === null ? 0n : BigInt(Math.round((INTERVAL_PART_MIN * 1e9) / fps));
  }

  /** Frames decoded since the start. */
  get read(): number {
    return this.#readBefore + this.#readNow;
  }

  /** Frames due for analysis that a newer one replaced. */
  get droppedFrames(): number {
    return Number(this.#options.pipeline.get('sink', 'replaced'));
  }

  /** True once this opening has given a frame. */
  get flowing(): boolean {
    return this.#index > this.#indexAtOpening;
  }

  /** Sets the maximum width of the scene in a larger picture beside each frame; 0 for none. */
  wantFine(widthMaxPx: number): void {
    this.#fineWidthMaxPx = widthMaxPx;
  }

  /** Sets whether nothing moves in the street; stills are then few. */
  followStreet(isStill: boolean): void {
    this.#streetStill = isStill;
  }

  /** Prepares for pictures of a new opening. */
  reopen(): void {
    this.#options.timeline.reopen();
    this.#times.reopen();
    this.#release();
    this.#due = undefined;
    this.#records = [];
    this.#sizes = undefined;
    this.#indexAtOpening = this.#index;
    this.#readBefore += this.#readNow;
    this.#readNow = 0;
  }

  /**
   * Returns the next glimpse; undefined when the opening has ended. Waits until a picture fits the terms; those before
   * it are returned first, one by one, and are not held.
   */
  async next(termsNow?: () => LookTerms): Promise<Glimpse | undefined> {
    while (this.#records.length === 0) {
      this.#release();
      const { fromMs, onMotion, onPictured, knownBoxes } = termsNow?.() ?? EVERY_FRAME;
      const { picture, records } = await this.#options.pipeline.look({
        spacingNs: this.#spacingNs,
        fromMs,
        markNs: onPictured ? this.#times.nextNs(this.#streetStill) : null,
        onMotion,
        knownBoxes,
      });
      const { source, small: size } = this.#sizes ?? {};
      if (source !== undefined && size !== undefined)
        this.#records = records.map(({ ptsNs, motion }) => ({ ptsNs, source, motion: { ...motion, size } }));
      if (picture === null && records.length === 0) return undefined;
      if (picture !== null) this.#hold(picture);
    }
    const [record] = this.#records.splice(0, 1);
    assert(record !== undefined, 'a picture was seen');
    return this.#glimpse(record, this.#records.length === 0 && this.#picture !== undefined);
  }

  /** Holds the wanted picture, and adds it to the seen ones if it begins a scene. */
  #hold(picture: Picture): void {
    this.#picture = picture;
    const { ptsNs, source } = picture;
    if (ptsNs === null || this.#records.at(-1)?.ptsNs === ptsNs) return;
    const problem = sizeProblem(source, this.#options.input);
    if (problem === undefined)
      this.#records.push({ ptsNs, source, motion: this.#beginScene(picture, ptsNs) });
    else this.#options.pipeline.fail({ message: problem, debug: '' });
  }

  #beginScene(picture: Picture, ptsNs: bigint): Glimpse['motion'] {
    const { input, masks, cellsOf, pipeline, timeline } = this.#options;
    if (cellsOf === undefined) return undefined;
    const { source } = picture;
    const inner = placementOf(source, input);
    const size = { widthPx: inner.widthPx >> 1, heightPx: inner.heightPx >> 1 };
    const { ranges: black, masked } = masks.inPixels(picture, size, { leftPx: 0, topPx: 0, ...size });
    this.#sizes = { source, small: size };
    const scene = { ...size, ...cellsOf(size, masked), black, atMs: timeline.atMs(ptsNs) };
    const motion: Motion = pipeline.beginScene(picture, scene);
    return { ...motion, size };
  }

  /**
   * Makes the frame to be analysed from the last glimpse of `next`, once. Rejects with `unavailable` if a due still of
   * it cannot be made.
   */
  async frame(glimpse: Glimpse): Promise<Frame> {
    const { index, ptsNs, atMs, wallMs, source } = glimpse;
    const due = this.#due;
    const picture = this.#picture;
    assert(
      due !== undefined && picture !== undefined && index === this.#index,
      'only the newest frame is held',
    );
    const { input, masks } = this.#options;
    if (due.still) await this.#keepStill(glimpse, picture);
    const { ranges, masked } = masks.inPixels(picture, input);
    picture.letterbox(this.#rgb, input, placementOf(source, input), ranges);
    const planes = due.planes ? this.#planesOf(picture) : undefined;
    const fine = due.fine && this.#fineWidthMaxPx > 0 ? this.#fineOf(picture) : undefined;
    this.#times.noteMade(due, ptsNs);
    // Releases the decoder's picture, so that the decoder holds one less during the analysis.
    this.#release();
    const { still } = due;
    return { index, ptsNs, atMs, wallMs, source, input, rgb: this.#rgb, masked, planes, still, fine };
  }

  #release(): void {
    this.#picture?.release();
    this.#picture = undefined;
  }

  #glimpse({ ptsNs, source, motion }: LookRecord, isHeld: boolean): Glimpse {
    const { timeline, pipeline } = this.#options;
    const atMs = timeline.atMs(ptsNs);
    // A pipeline that is being stopped resets its count; the number of frames read must not fall.
    if (isHeld) this.#readNow = Math.max(this.#readNow, Number(pipeline.get('rate', 'in')));
    this.#index += 1;
    const due = this.#times.due(ptsNs, this.#streetStill);
    this.#due = isHeld ? due : undefined;
    const pictured = due.still || due.planes;
    return {
      index: this.#index,
      ptsNs,
      atMs,
      wallMs: timeline.wallMs(atMs),
      source,
      pictured,
      isHeld,
      motion,
    };
  }

  async #keepStill({ ptsNs, atMs, source }: Glimpse, picture: Picture): Promise<void> {
    const { masks, ring, stillLongSidePx } = this.#options;
    const { coded } = picture;
    const size = fitted(source, stillLongSidePx);
    const { jpeg, ptsNs: shownNs } = await picture.still(size, masks.inPlanes(picture, size)).catch(noJpeg);
    assert(shownNs === ptsNs, 'a still shows the picture that it was made of');
    ring.add({ ptsNs, atMs, source, size, spreadPx: spreadPx(coded, size), jpeg });
  }

  #planesOf(picture: Picture): YuvPlanes {
    const { masks } = this.#options;
    const size = fitted(picture.source, SNAPSHOT_LONG_SIDE_PX_MAX);
    this.#planes = placeOf(this.#planes, planesBytes(size));
    picture.planes(this.#planes, size, masks.inPlanes(picture, size));
    return planesOf(this.#planes, size);
  }

  #fineOf(picture: Picture): Frame['fine'] {
    const { input, masks } = this.#options;
    const { source } = picture;
    const size = fineSize(source, input, this.#fineWidthMaxPx);
    if (size === undefined) return undefined;
    this.#fine = placeOf(this.#fine, size.widthPx * size.heightPx * 3);
    picture.letterbox(this.#fine, size, placementOf(source, size), masks.inPixels(picture, size).ranges);
    return { size, rgb: this.#fine };
  }
}

/** Returns the reason why pictures of this size cannot be used, whatever the stream claims; undefined if they can. */
function sizeProblem(source: SizePx, input: SizePx): string | undefined {
  const { widthPx, heightPx } = source;
  const inner = placementOf(source, input);
  const isSmall = Math.min(widthPx, heightPx, inner.widthPx, inner.heightPx) < SIDE_PX_MIN;
  if (!isSmall && Math.max(widthPx, heightPx) <= SIDE_PX_MAX) return undefined;
  return `pictures of ${widthPx}×${heightPx} square pixels, where ${SIDE_PX_MIN} to ${SIDE_PX_MAX} a side are expected, and no narrow strip`;
}

function noJpeg(error: unknown): never {
  throw new AgentError('unavailable', `GStreamer makes no JPEG of the picture: ${messageOf(error)}`, error);
}

function placeOf(place: Buffer, length: number): Buffer {
  return place.length === length ? place : Buffer.alloc(length);
}
