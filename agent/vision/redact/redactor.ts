/**
 * The only maker of a picture that may leave the vision process.
 *
 * INVARIANTS: a snapshot is made only from a still whose own frame the detector has seen; nothing is encoded but what
 * was composed (compose.ts) and drawn over it; what is hidden is fixed when `redact` is called.
 * LIMITS: one snapshot is made at a time, and whoever asks waits for it; a snapshot takes at most
 * as many encodings as its format has steps; the history's limits stand in history.ts, the plate's in plate.ts.
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
import { type Composed, compose, SHOWN } from './compose.ts';
import { type Around, coverOf } from './cover.ts';
import type { Figure } from './figures.ts';
import { DetectionHistory, type SeenFrame } from './history.ts';
import { encode } from './jpeg.ts';
import { drawLegendOf, drawMarks, PATH_MS, type Subject } from './marks.ts';
import { placeTime } from './place-time.ts';
import { Plate } from './plate.ts';

/** How a picture is encoded once it has been drawn; what is hidden in it does not hang on this. */
export interface Format {
  /** Tried in this order until the file is small enough. */
  readonly steps: readonly { readonly longSidePx: number; readonly quality: number }[];
  readonly bytesMax: number;
}

/**
 * As it is published. At 80 a street scene has no
 * visible artefacts; below 40 blocks show, so the size goes down instead. The last step holds even for 320 × 320
 * px of black and white noise (97 kB), the worst that a picture can be.
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

/** For the technician who aims: the edges of a zone matter, fine texture does not. */
export const PREVIEW: Format = {
  bytesMax: PREVIEW_BYTES_MAX,
  steps: [
    { longSidePx: PREVIEW_LONG_SIDE_PX_MAX, quality: 65 },
    { longSidePx: PREVIEW_LONG_SIDE_PX_MAX, quality: 40 },
    { longSidePx: 640, quality: 40 },
    { longSidePx: 320, quality: 40 },
  ],
};

/** A picture that is ready to be encoded, and by what each of its cells is drawn. */
export interface Drawn extends Composed {
  readonly size: SizePx;
  readonly rgb: Uint8Array;
  readonly figures: readonly Figure[];
  readonly redaction: Redaction;
}

export class Redactor {
  readonly #history = new DetectionHistory();
  readonly #plate = new Plate();
  readonly #timeZone: string;
  /** Remembered, and not taken by the plate yet. */
  #seen: SeenFrame | undefined;
  #busy = false;

  /** `timeZone`: IANA name; the times on pictures are in it. */
  constructor(timeZone: string) {
    this.#timeZone = timeZone;
  }

  /** Frames that left the history before their time because of its limit. */
  get forgotten(): number {
    return this.#history.forgotten;
  }

  /**
   * Takes note of every analysed frame, in their order: all detections down to the detector's floor, the
   * tracks after this frame, and what differs from the background.
   */
  remember(
    frame: Pick<Frame, 'atMs' | 'wallMs' | 'source'>,
    detections: readonly Detection[],
    tracks: readonly Track[],
    foreground?: Foreground,
  ): void {
    this.#seen = this.#history.add(frame, detections, tracks, foreground);
  }

  /** The plate takes the frame that was remembered last, once; of pixels only these are kept. */
  learnPlace(planes: YuvPlanes | undefined): void {
    if (this.#seen !== undefined) this.#plate.take(this.#seen, planes);
    this.#seen = undefined;
  }

  /** Media time of the newest frame that the detector has seen, ms; undefined before the first. */
  get newestMs(): number | undefined {
    return this.#history.newestMs;
  }

  /** A picture can be made of the still at a media time. */
  hasSeen(atMs: number): boolean {
    return this.#history.around(atMs) !== undefined;
  }

  /** The camera shows another view: what is known of the place is forgotten. */
  forgetPlace(): void {
    this.#plate.drop();
  }

  /**
   * Makes the snapshot of a still.
   *
   * Throws `unavailable` where the detector has not seen the still's frame, `corrupt` where the still is not a
   * JPEG of its announced size: there is then no snapshot. One call at a time.
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

  /** As `redact`, before it is encoded. */
  async draw(still: Still, subject: Subject): Promise<Drawn> {
    const around = this.#around(still.atMs);
    const path = this.#history.between(still.atMs - PATH_MS, around.own.atMs);
    const known = this.#plate.known;
    const size = fitted(still.source, SNAPSHOT_LONG_SIDE_PX_MAX);
    const { rgb: decoded, reachPx, black } = await still.pixels(size);
    // A library's Buffer has a hidden class of its own, which dies with the last one: V8 would compile all that draws anew.
    const rgb = new Uint8Array(decoded.buffer, decoded.byteOffset, decoded.length);
    const cover = coverOf(around, size, reachPx, thingsIn(subject));
    const usable = sameSize(known?.planes.size, size) ? known : undefined;
    const composed = compose(rgb, cover, usable, around.own.foreground);
    const { items, figures } = drawMarks(rgb, size, subject, path);
    // What was drawn may run through a mask.
    for (const [from, to] of black.flat()) rgb.fill(0, from, to);
    const placeAt = this.#timeOf(composed, around.own);
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

  #around(atMs: number): Around {
    const around = this.#history.around(atMs);
    if (around !== undefined) return around;
    const newestMs = this.#history.newestMs;
    const known = newestMs === undefined ? 'no frame yet' : `frames up to ${Math.round(newestMs)} ms`;
    throw new AgentError(
      'unavailable',
      `no snapshot: the detector has not seen the still's frame at ${Math.round(atMs)} ms (it has seen ${known})`,
    );
  }
}

/** Parts of the place that an event is about. */
function thingsIn({ focus }: Subject): XyxyNorm[] {
  return focus.filter(({ object }) => object === undefined).map(({ xyxyNorm }) => xyxyNorm);
}

function redactionOf(
  { cells, oldestMs }: Composed,
  { atMs }: Still,
  figures: number,
  masks: number,
): Redaction {
  // A part that was seen after the still, before it was asked for, is not old.
  const oldestS = oldestMs === undefined ? 0 : Math.max(0, Math.round((atMs - oldestMs) / 100) / 10);
  return {
    figures,
    plate: { share: shareOf(cells, SHOWN.plate), oldestS },
    mosaicShare: shareOf(cells, SHOWN.mosaic),
    masks,
  };
}

/** Of the cells, those with this value: 0 to 1, four decimals. */
function shareOf(cells: Uint8Array, value: number): number {
  let count = 0;
  for (let cell = 0; cell < cells.length; cell += 1) if (cells[cell] === value) count += 1;
  return Number((count / cells.length).toFixed(4));
}
