/**
 * Stores the boxes of the detector and the tracker for recent frames, so that the redaction of a still uses more than
 * its own frame's boxes.
 *
 * INVARIANTS:
 * - Frames are sorted by media time.
 * - Boxes are normalised, so that a change of the stream's resolution does not move them.
 * - No pixels are stored.
 * LIMITS: HISTORY_MS and HISTORY_FRAMES_MAX. The oldest frame is removed first; `forgotten` counts frames that the
 * second limit removed early.
 */
import type { SizePx, XyxyNorm, XyxyPx } from '../../contract/geometry.ts';
import type { Group, Label } from '../../contract/label.ts';
import type { Detection, Foreground, Frame, Track } from '../../contract/picture.ts';

/**
 * Redaction of an object:
 * - `person`: the complete box.
 * - `rider`: a bicycle or motorcycle, whose rider reaches above the box.
 * - `vehicle`: a place of licence plates and windscreens.
 */
export type Treatment = 'person' | 'rider' | 'vehicle';

export interface SeenBox {
  readonly treatment: Treatment;
  readonly xyxyNorm: XyxyNorm;
  /** True if the score is high enough to start a track; always true for a track. */
  readonly sure: boolean;
}

export interface SeenTrack extends SeenBox {
  readonly id: number;
  /** Speed of the centre, in heights of its box per second. */
  readonly speed: number;
}

export interface SeenFrame {
  /** Media time, ms. */
  readonly atMs: number;
  /** Wall time, ms since the epoch. */
  readonly wallMs: number;
  readonly detections: readonly SeenBox[];
  readonly tracks: readonly SeenTrack[];
  readonly foreground?: Foreground | undefined;
}

/**
 * Time that a box stays after its last detection, in ms; the tracker's memory too. A person who walks behind a lamp
 * post, a van or another person mostly reappears within it.
 */
export const HOLD_MS = 2_000;

/** Score from which the tracker starts a track (track/settings.ts). */
const SURE_SCORE = 0.5;

/** Maximum age of a requested still, in ms: the retention of the camera's stills. */
const STILL_AGE_MS_MAX = 15_000;
const HISTORY_MS = STILL_AGE_MS_MAX + HOLD_MS;

/** Frame limit: 17 s at 30 analysed frames a second, the configuration's maximum, plus a reserve. */
const HISTORY_FRAMES_MAX = 600;

/**
 * Tolerance for matching a still and its frame, in ms. They share their PTS, hence their media time; this allows for
 * rounding.
 */
const SAME_FRAME_MS = 0.5;

export class DetectionHistory {
  #frames: SeenFrame[] = [];
  #forgotten = 0;

  get forgotten(): number {
    return this.#forgotten;
  }

  get length(): number {
    return this.#frames.length;
  }

  /** Media time of the newest frame, in ms; undefined before the first. */
  get newestMs(): number | undefined {
    return this.#frames.at(-1)?.atMs;
  }

  add(
    frame: Pick<Frame, 'atMs' | 'wallMs' | 'source'>,
    detections: readonly Detection[],
    tracks: readonly Track[],
    foreground?: Foreground,
  ): SeenFrame {
    const { atMs, wallMs, source } = frame;
    const added: SeenFrame = {
      atMs,
      wallMs,
      detections: seenBoxes(detections, source),
      tracks: seenTracks(tracks, source),
      foreground,
    };
    this.#frames.push(added);
    while ((this.#frames[0]?.atMs ?? atMs) < atMs - HISTORY_MS) this.#frames.shift();
    if (this.#frames.length > HISTORY_FRAMES_MAX) {
      this.#frames.shift();
      this.#forgotten += 1;
    }
    return added;
  }

  /** Returns the frames of a span of media time, both ends included, oldest first. */
  between(fromMs: number, toMs: number): SeenFrame[] {
    const frames: SeenFrame[] = [];
    for (const frame of this.#frames) if (frame.atMs >= fromMs && frame.atMs <= toMs) frames.push(frame);
    return frames;
  }

  /**
   * Returns the frame at a media time, with those up to HOLD_MS before it (oldest first) and after it (newest first).
   */
  framesAround(atMs: number): { own: SeenFrame; before: SeenFrame[]; after: SeenFrame[] } | undefined {
    const frames = this.#frames;
    let index = frames.length - 1;
    while (index >= 0 && Math.abs((frames[index] as SeenFrame).atMs - atMs) > SAME_FRAME_MS) index -= 1;
    const own = frames[index];
    if (own === undefined) return undefined;
    const before: SeenFrame[] = [];
    for (let i = 0; i < index; i += 1) {
      const frame = frames[i] as SeenFrame;
      if (frame.atMs >= own.atMs - HOLD_MS) before.push(frame);
    }
    const after: SeenFrame[] = [];
    for (let i = frames.length - 1; i > index; i -= 1) {
      const frame = frames[i] as SeenFrame;
      if (frame.atMs <= own.atMs + HOLD_MS) after.push(frame);
    }
    return { own, before, after };
  }
}

interface Box {
  readonly group: Group;
  readonly label: Label;
  readonly score: number;
  readonly xyxyPx: XyxyPx;
}

/**
 * Converts boxes, with plain loops: about fifty boxes a frame are stored for 17 s, and V8 must collect every temporary
 * object.
 */
function seenBoxes(boxes: readonly Box[], source: SizePx): SeenBox[] {
  const out: SeenBox[] = [];
  for (const { group, label, score, xyxyPx } of boxes) {
    const treatment = treatmentOf(group, label);
    if (treatment === undefined) continue;
    out.push({ treatment, xyxyNorm: normalised(xyxyPx, source), sure: score >= SURE_SCORE });
  }
  return out;
}

function seenTracks(tracks: readonly Track[], source: SizePx): SeenTrack[] {
  const out: SeenTrack[] = [];
  for (const { id, group, label, xyxyPx, velocityPxPerS } of tracks) {
    const treatment = treatmentOf(group, label);
    if (treatment === undefined) continue;
    const speed = Math.hypot(velocityPxPerS[0], velocityPxPerS[1]) / Math.max(1, xyxyPx[3] - xyxyPx[1]);
    out.push({ treatment, xyxyNorm: normalised(xyxyPx, source), sure: true, id, speed });
  }
  return out;
}

function normalised(box: XyxyPx, { widthPx, heightPx }: SizePx): XyxyNorm {
  return [box[0] / widthPx, box[1] / heightPx, box[2] / widthPx, box[3] / heightPx];
}

/** Returns the redaction of an object. Animals and bags are shown unchanged: they identify no one. */
export function treatmentOf(group: Group, label: Label): Treatment | undefined {
  if (group === 'person') return 'person';
  if (group === 'cycle' || label === 'motorcycle') return 'rider';
  if (group === 'vehicle') return 'vehicle';
  return undefined;
}
