/**
 * The only maker of a picture that may leave the vision process.
 *
 * INVARIANTS: a snapshot is made only from a still whose own frame the detector has seen; what is encoded
 * is the redacted RGB and nothing else; the places to redact are fixed when `redact` is called.
 * LIMITS: one snapshot is made at a time, and whoever asks waits for it; a snapshot takes at most
 * STEPS.length encodings; the history's limits stand in history.ts.
 */
import { createHash } from 'node:crypto';
import { AgentError, assert } from '../../base/errors.ts';
import type { SizePx, XyxyNorm } from '../../contract/geometry.ts';
import type { Detection, Foreground, Frame, Still, Track } from '../../contract/picture.ts';
import {
  type RedactedJpeg,
  type RedactionCounts,
  SNAPSHOT_BYTES_MAX,
  SNAPSHOT_LONG_SIDE_PX_MAX,
} from '../../contract/redacted-jpeg.ts';
import { DetectionHistory } from './history.ts';
import { encode } from './jpeg.ts';
import { pixelate, planMosaic } from './mosaic.ts';
import { mosaicShapeOf } from './moving.ts';
import { drawOutline } from './outline.ts';
import { mosaicBoxOf, type Regions, regionsOf, toPx } from './regions.ts';
import { fitted } from './size.ts';

/**
 * Long side and quality, tried in this order until the file is small enough. At 80 a street scene has no
 * visible artefacts; below 40 blocks show, so the size goes down instead. The last step holds even for 320 × 320
 * px of black and white noise (97 kB), the worst that a picture can be.
 */
const STEPS: readonly { readonly longSidePx: number; readonly quality: number }[] = [
  { longSidePx: SNAPSHOT_LONG_SIDE_PX_MAX, quality: 80 },
  { longSidePx: SNAPSHOT_LONG_SIDE_PX_MAX, quality: 65 },
  { longSidePx: SNAPSHOT_LONG_SIDE_PX_MAX, quality: 50 },
  { longSidePx: SNAPSHOT_LONG_SIDE_PX_MAX, quality: 40 },
  { longSidePx: 960, quality: 50 },
  { longSidePx: 960, quality: 40 },
  { longSidePx: 640, quality: 40 },
  { longSidePx: 320, quality: 40 },
];

export class Redactor {
  readonly #history = new DetectionHistory();
  #busy = false;

  /** Frames that left the history before their time because of its limit. */
  get forgotten(): number {
    return this.#history.forgotten;
  }

  /**
   * Takes note of every analysed frame, in their order: all detections down to the detector's floor, the
   * tracks after this frame, and what differs from the background. Keeps boxes and cells, no pixels.
   */
  remember(
    frame: Pick<Frame, 'index' | 'atMs' | 'source' | 'input' | 'rgb'>,
    detections: readonly Detection[],
    tracks: readonly Track[],
    foreground?: Foreground,
  ): void {
    this.#history.add(frame, detections, tracks, foreground);
  }

  /**
   * Makes the snapshot of a still, with a thin outline around the boxes of `focus`.
   *
   * Throws `unavailable` where the detector has not seen the still's frame, `corrupt` where the still is not a
   * JPEG of its announced size: there is then no snapshot. One call at a time.
   */
  async redact(still: Still, focus: readonly XyxyNorm[]): Promise<RedactedJpeg> {
    assert(!this.#busy, 'one snapshot at a time');
    const regions = this.#regions(still.atMs);
    this.#busy = true;
    try {
      return await this.#make(still, regions, focus);
    } finally {
      this.#busy = false;
    }
  }

  #regions(atMs: number): Regions {
    const around = this.#history.around(atMs);
    if (around !== undefined) return regionsOf(around);
    const newestMs = this.#history.newestMs;
    const known = newestMs === undefined ? 'no frame yet' : `frames up to ${Math.round(newestMs)} ms`;
    throw new AgentError(
      'unavailable',
      `no snapshot: the detector has not seen the still's frame at ${Math.round(atMs)} ms (it has seen ${known})`,
    );
  }

  async #make(still: Still, regions: Regions, focus: readonly XyxyNorm[]): Promise<RedactedJpeg> {
    let picture: { size: SizePx; rgb: Uint8Array; moving: number; masks: number } | undefined;
    for (const { longSidePx, quality } of STEPS) {
      const size = fitted(still.source, longSidePx);
      if (picture?.size.widthPx !== size.widthPx || picture.size.heightPx !== size.heightPx) {
        picture = { size, ...(await this.#redacted(still, size, regions, focus)) };
      }
      const bytes = await encode(picture.rgb, size, quality);
      if (bytes.length > SNAPSHOT_BYTES_MAX) continue;
      const redaction: RedactionCounts = {
        persons: regions.persons,
        plates: regions.vehicles,
        moving: picture.moving,
        masks: picture.masks,
      };
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      return { bytes, sha256, ...size, atMs: still.atMs, redaction } as RedactedJpeg;
    }
    throw new AgentError(
      'exhausted',
      `no snapshot: even the smallest is larger than ${SNAPSHOT_BYTES_MAX} bytes`,
    );
  }

  /** Scales first, then redacts: no later step can carry a pixel across the border of a redacted place. */
  async #redacted(
    still: Still,
    size: SizePx,
    regions: Regions,
    focus: readonly XyxyNorm[],
  ): Promise<{ rgb: Uint8Array; moving: number; masks: number }> {
    const { rgb, reachPx, black } = await still.pixels(size);
    const mosaic = planMosaic(
      size,
      regions.boxes.map((box) => mosaicBoxOf(box, size, reachPx)),
      regions.moving.map((region) => mosaicShapeOf(region, size, reachPx)),
    );
    pixelate(rgb, size, mosaic);
    for (const box of focus) drawOutline(rgb, size, toPx(box, size));
    // A block that reaches below a mask has been given a colour there, and an outline may run through it.
    for (const [from, to] of black.flat()) rgb.fill(0, from, to);
    return { rgb, moving: mosaic.shapesDrawn, masks: black.length };
  }
}
