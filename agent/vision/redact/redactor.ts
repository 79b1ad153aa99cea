/**
 * Makes redacted pictures. No other module makes a readable picture that may leave the vision process.
 *
 * INVARIANTS:
 * - A snapshot is made only from a still whose own frame was analysed.
 * - Only composed pictures (compose.ts) with the marks over them are encoded.
 * - The hidden areas are fixed when `redact` is called.
 * LIMITS: one snapshot at a time, for which the caller waits. At most as many encodings as the format has steps. Limits
 * of the history are in history.ts, those of the clean plate in clean-plate.ts.
 */
import { createHash } from 'node:crypto';
import { AgentError, assert } from '../../base/errors.ts';
import { fitted } from '../../contract/fitted-size.ts';
import { type SizePx, sameSize, type XyxyNorm } from '../../contract/geometry.ts';
import { PREVIEW_BYTES_MAX, PREVIEW_LONG_SIDE_PX_MAX } from '../../contract/page-link.ts';
import type { Detection, Foreground, Frame, Still, Track, YuvPlanes } from '../../contract/picture.ts';
import {
  type RedactedJpeg,
  type Redaction,
  SNAPSHOT_BYTES_MAX,
  SNAPSHOT_LONG_SIDE_PX_MAX,
} from '../../contract/redacted-jpeg.ts';
import { CleanPlate } from './clean-plate.ts';
import { type Composed, compose, SHOWN } from './compose.ts';
import type { Figure } from './figures.ts';
import { DetectionHistory, type SeenFrame } from './history.ts';
import { encode } from './jpeg.ts';
import { drawLegendOf, drawMarks, PATH_MS, type Subject } from './marks.ts';
import { placeTime } from './place-time.ts';
import { type FrameContext, redactionMapOf } from './redaction-map.ts';

/** Encoding of a drawn picture; independent of the hidden areas. */
export interface Format {
  /** Steps that are tried in sequence until the file is small enough. */
  readonly steps: readonly { readonly longSidePx: number; readonly quality: number }[];
  readonly bytesMax: number;
}

/**
 * Format of published snapshots. At quality 80 a street scene has no visible artefacts. Below 40 blocks show, so the
 * size is reduced instead. The last step suffices even for 320 × 320 px of black and white noise (97 kB), the worst
 * possible picture.
 */
export const SNAPSHOT: Format = {
  bytesMax: SNAPSHOT_BYTES_MAX,
  steps: [
    { longSidePx: SNAPSHOT_LONG_SIDE_PX_MAX, quality: 80 },
    { longSidePx: SNAPSHOT_LONG_SIDE_PX_MAX, quality: 65 },
    { longSidePx: SNAPSHOT_LONG_SIDE_PX_MAX, quality: 50 },
    { longSidePx: SNAPSHOT_LONG_SIDE_PX_MAX, quality: 40 },
    { longSidePx: 960, quality: 50 },
    { longSidePx: 960, quality: 40 },
    { longSidePx: 640, quality: 40 },
    { longSidePx: 320, quality: 40 },
  ],
};

/** Format of previews for the technician who aims the camera: zone edges matter, fine texture does not. */
export const PREVIEW: Format = {
  bytesMax: PREVIEW_BYTES_MAX,
  steps: [
    { longSidePx: PREVIEW_LONG_SIDE_PX_MAX, quality: 65 },
    { longSidePx: PREVIEW_LONG_SIDE_PX_MAX, quality: 40 },
    { longSidePx: 640, quality: 40 },
    { longSidePx: 320, quality: 40 },
  ],
};

/** Picture that is ready to be encoded, with the content of each cell. */
export interface DrawnPicture extends Composed {
  readonly size: SizePx;
  readonly rgb: Uint8Array;
  readonly figures: readonly Figure[];
  readonly redaction: Redaction;
}

export class Redactor {
  readonly #history = new DetectionHistory();
  readonly #cleanPlate = new CleanPlate();
  readonly #timeZone: string;
  /** Frame that was recorded but not passed to the clean plate yet. */
  #pendingFrame: SeenFrame | undefined;
  #busy = false;

  /** `timeZone` is an IANA name; it applies to the times on pictures. */
  constructor(timeZone: string) {
    this.#timeZone = timeZone;
  }

  /** Frames that the history's limit removed early. */
  get forgotten(): number {
    return this.#history.forgotten;
  }

  /**
   * Records each analysed frame in sequence: all detections down to the detector's minimum score, the tracks after this
   * frame, and the foreground.
   */
  remember(
    frame: Pick<Frame, 'atMs' | 'wallMs' | 'source'>,
    detections: readonly Detection[],
    tracks: readonly Track[],
    foreground?: Foreground,
  ): void {
    this.#pendingFrame = this.#history.add(frame, detections, tracks, foreground);
  }

  /** Passes the last recorded frame to the clean plate, once. These are the only pixels that are kept. */
  learnPlace(planes: YuvPlanes | undefined): void {
    if (this.#pendingFrame !== undefined) this.#cleanPlate.take(this.#pendingFrame, planes);
    this.#pendingFrame = undefined;
  }

  /** Media time of the newest analysed frame, in ms; undefined before the first. */
  get newestMs(): number | undefined {
    return this.#history.newestMs;
  }

  /** Reports whether a picture can be made of the still at a media time. */
  hasSeen(atMs: number): boolean {
    return this.#history.framesAround(atMs) !== undefined;
  }

  /** Forgets the clean plate, because the camera shows another view. */
  forgetPlace(): void {
    this.#cleanPlate.drop();
  }

  /**
   * Makes the snapshot of a still. One call at a time.
   *
   * @throws `unavailable` if the still's frame was not analysed. `corrupt` if the still is not a JPEG of its announced
   * size. There is then no snapshot.
   */
  async redact(still: Still, subject: Subject, format = SNAPSHOT): Promise<RedactedJpeg> {
    assert(!this.#busy, 'one snapshot at a time');
    this.#busy = true;
    try {
      const { rgb, size, redaction } = await this.draw(still, subject);
      for (const { longSidePx, quality } of format.steps) {
        const target = fitted(size, longSidePx);
        const bytes = await encode(rgb, size, quality, target);
        if (bytes.length > format.bytesMax) continue;
        const sha256 = createHash('sha256').update(bytes).digest('hex');
        return { bytes, sha256, ...target, atMs: still.atMs, redaction } as RedactedJpeg;
      }
    } finally {
      this.#busy = false;
    }
    throw new AgentError(
      'exhausted',
      `no snapshot: even the smallest is larger than ${format.bytesMax} bytes`,
    );
  }

  /** Makes the same picture as `redact`, without encoding it. */
  async draw(still: Still, subject: Subject): Promise<DrawnPicture> {
    const context = this.#contextOf(still.atMs);
    const path = this.#history.between(still.atMs - PATH_MS, context.own.atMs);
    const scene = this.#cleanPlate.learntScene;
    const size = fitted(still.source, SNAPSHOT_LONG_SIDE_PX_MAX);
    const { rgb: decoded, reachPx, black } = await still.pixels(size);
    // A library's Buffer has its own hidden class, which is freed with the last such Buffer. V8 would then compile all
    // drawing code again.
    const rgb = new Uint8Array(decoded.buffer, decoded.byteOffset, decoded.length);
    const redactionMap = redactionMapOf(context, size, reachPx, thingsIn(subject));
    const usable = sameSize(scene?.planes.size, size) ? scene : undefined;
    const composed = compose(rgb, redactionMap, usable, context.own.foreground);
    const { items, figures } = drawMarks(rgb, size, subject, path);
    // Marks may run through a mask.
    for (const [from, to] of black.flat()) rgb.fill(0, from, to);
    const placeAt = this.#timeOf(composed, context.own);
    const unknown = composed.cells.includes(SHOWN.mosaic);
    drawLegendOf(rgb, size, items, { placeAt, unknown, focus: subject.focus });
    return {
      ...composed,
      size,
      rgb,
      figures,
      redaction: redactionOf(composed, still, figures.length, black.length),
    };
  }

  #timeOf({ oldestMs }: Composed, { atMs, wallMs }: SeenFrame): string | undefined {
    return oldestMs === undefined ? undefined : placeTime(wallMs - (atMs - oldestMs), wallMs, this.#timeZone);
  }

  #contextOf(atMs: number): FrameContext {
    const context = this.#history.framesAround(atMs);
    if (context !== undefined) return context;
    const newestMs = this.#history.newestMs;
    const seenFrames = newestMs === undefined ? 'no frame yet' : `frames up to ${Math.round(newestMs)} ms`;
    throw new AgentError(
      'unavailable',
      `no snapshot: the detector has not seen the still's frame at ${Math.round(atMs)} ms (it has seen ${seenFrames})`,
    );
  }
}

/** Returns the parts of the scene that an event is about. */
function thingsIn({ focus }: Subject): XyxyNorm[] {
  return focus.filter(({ object }) => object === undefined).map(({ xyxyNorm }) => xyxyNorm);
}

function redactionOf(
  { cells, oldestMs }: Composed,
  { atMs }: Still,
  figures: number,
  masks: number,
): Redaction {
  // A part seen after the still, but before the request, is not old.
  const maxAgeS = oldestMs === undefined ? 0 : Math.max(0, Math.round((atMs - oldestMs) / 100) / 10);
  return {
    figures,
    cleanPlate: { ratio: ratioOf(cells, SHOWN.plate), maxAgeS },
    mosaicShare: ratioOf(cells, SHOWN.mosaic),
    masks,
  };
}

/** Returns the ratio of the cells with this value: 0 to 1, four decimals. */
function ratioOf(cells: Uint8Array, value: number): number {
  let count = 0;
  for (let cell = 0; cell < cells.length; cell += 1) if (cells[cell] === value) count += 1;
  return Number((count / cells.length).toFixed(4));
}
