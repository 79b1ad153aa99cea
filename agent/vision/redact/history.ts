/**
 * What the detector and the tracker said of recent frames, kept so that a still can be redacted with
 * more than its own frame's boxes.
 *
 * INVARIANTS: frames are in the order of their media time; boxes are normalised, so that a change of the
 * stream's resolution does not move them; no pixel is kept.
 * LIMITS: HISTORY_MS and HISTORY_FRAMES_MAX; the oldest frame goes first, and `forgotten` counts those that
 * went before their time because of the second limit.
 */
import type { SizePx, XyxyNorm, XyxyPx } from '../../contract/geometry.ts';
import type { Group, Label } from '../../contract/label.ts';
import type { Detection, Foreground, Frame, Track } from '../../contract/picture.ts';

/**
 * - `person`: the whole box.
 * - `rider`: a bicycle or motorcycle; whoever sits on it reaches above the box.
 * - `vehicle`: where a licence plate and a windscreen may be.
 */
export type Treatment = 'person' | 'rider' | 'vehicle';

export interface SeenBox {
  readonly treatment: Treatment;
  readonly xyxyNorm: XyxyNorm;
  /** The detector is sure enough for a tracker to start with it; a track always is. */
  readonly sure: boolean;
}

export interface SeenTrack extends SeenBox {
  readonly id: number;
  /** Of its centre, in heights of its box a second. */
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
 * A box stays for 2 s after its last detection. It is the memory of the tracker too: who walks behind a lamp
 * post, a van or another person mostly comes out again within it.
 */
export const HOLD_MS = 2_000;

/** The score from which the tracker starts a track (track/settings.ts). */
const SURE_SCORE = 0.5;

/** How old a still may be when it is asked for: the camera holds stills for so long. */
const STILL_AGE_MS_MAX = 15_000;
const HISTORY_MS = STILL_AGE_MS_MAX + HOLD_MS;

/** 17 s at 30 analysed frames a second, the most that the configuration allows, and some reserve. */
const HISTORY_FRAMES_MAX = 600;

/** Stills and frames share their PTS, hence their media time; half a millisecond allows for rounding. */
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

  /** The media time of the newest frame, ms; undefined where no frame was analysed yet. */
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
      detections: seen(detections, source),
      tracks: followed(tracks, source),
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

  /** Frames of a span of media time, both ends included, oldest first. */
  between(fromMs: number, toMs: number): SeenFrame[] {
    const frames: SeenFrame[] = [];
    for (const frame of this.#frames) if (frame.atMs >= fromMs && frame.atMs <= toMs) frames.push(frame);
    return frames;
  }

  /** The frame at a media time, with those up to HOLD_MS before it (oldest first) and after it (newest first). */
  around(atMs: number): { own: SeenFrame; before: SeenFrame[]; after: SeenFrame[] } | undefined {
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

/** In plain loops: some fifty boxes a frame are kept for 17 s, and what is made beside them V8 has to collect. */
function seen(boxes: readonly Box[], source: SizePx): SeenBox[] {
  const out: SeenBox[] = [];
  for (const { group, label, score, xyxyPx } of boxes) {
    const treatment = treatmentOf(group, label);
    if (treatment === undefined) continue;
    out.push({ treatment, xyxyNorm: normalised(xyxyPx, source), sure: score >= SURE_SCORE });
  }
  return out;
}

function followed(tracks: readonly Track[], source: SizePx): SeenTrack[] {
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

/** Animals and bags are left as they are: they name nobody. */
export function treatmentOf(group: Group, label: Label): Treatment | undefined {
  if (group === 'person') return 'person';
  if (group === 'cycle' || label === 'motorcycle') return 'rider';
  if (group === 'vehicle') return 'vehicle';
  return undefined;
}
