/** What passes between the stages of the vision process. None of it crosses the link. */
import type { SizePx, XyxyPx } from './geometry.ts';
import type { Group, Label } from './label.ts';

/** A frame of the camera before anything is made of it: on a still street most are never analysed. */
export interface Glimpse {
  /** 1 for the first one since the source was opened; never reused within a process. */
  readonly index: number;
  /** Presentation time stamp of the source's buffer, in ns; the key of the still that shows the same frame. */
  readonly ptsNs: bigint;
  /** Media time in ms: grows by PTS differences and never goes back, reconnections included. */
  readonly atMs: number;
  /** Wall time of capture, ms since the epoch; in replay the clip's PTS counted from the epoch. */
  readonly wallMs: number;
  /** Size of the source frame. */
  readonly source: SizePx;
  /** A still or planes are to be made of it: it is to be analysed, unless the board is too slow or too hot. */
  readonly pictured: boolean;
  /** Where the camera was asked for it. */
  readonly small?: SmallPicture | undefined;
}

/**
 * The whole source in grey, half as large as in the detector's input; black under the privacy masks. The camera's next
 * frame takes its place.
 */
export interface SmallPicture {
  readonly size: SizePx;
  /** Brightness, 8 bits, row by row. */
  readonly luma: Uint8Array;
  /** As `Frame.masked`, of these pixels. */
  readonly masked?: Uint8Array | undefined;
}

/** One analysed frame. The pixels live in vision's memory only, until the next frame. */
export interface Frame extends Omit<Glimpse, 'pictured' | 'small'> {
  /** Size of `rgb`: the detector's input. */
  readonly input: SizePx;
  /**
   * RGB, 8 bits, row-major, input.widthPx × input.heightPx × 3; the picture is centred, the rest black, and so are the
   * privacy masks. The camera's next frame takes its place: what is wanted later is copied.
   */
  readonly rgb: Uint8Array;
  /**
   * 1 for each pixel of `rgb` that a privacy mask has made black: it says nothing of the street, and statistics leave
   * it out. Absent where there are no masks; never changed.
   */
  readonly masked?: Uint8Array | undefined;
  /**
   * The same moment as large as a snapshot, about once a second; it never leaves the vision process. The camera's next
   * frame may take its place, as with `rgb`.
   */
  readonly planes?: YuvPlanes | undefined;
  /** A still of it is held. */
  readonly still?: boolean | undefined;
  /**
   * The same moment, larger, for the detector alone: where the picture is grey and the street is quiet. RGB as `rgb`,
   * letterboxed to its own size, black under the privacy masks.
   */
  readonly fine?: { readonly size: SizePx; readonly rgb: Uint8Array } | undefined;
}

/**
 * A picture in three planes of 8 bits, colour at half the resolution (4:2:0), levels as in a JPEG of the same frame
 * (full range); black under the privacy masks.
 */
export interface YuvPlanes {
  readonly size: SizePx;
  /** Rows of `strideY` bytes. */
  readonly y: Uint8Array;
  /** Blue and red difference, 128 where there is none: rows of `strideUv` bytes. */
  readonly u: Uint8Array;
  readonly v: Uint8Array;
  readonly strideY: number;
  readonly strideUv: number;
}

/** One box of the detector. */
export interface Detection {
  /** In source pixels, clipped to the frame. */
  readonly xyxyPx: XyxyPx;
  /** 0..1. */
  readonly score: number;
  readonly label: Label;
  readonly group: Group;
}

/** One followed object, as known after a frame. */
export interface Track {
  /** Unique while the process lives; says nothing of who it is. */
  readonly id: number;
  readonly group: Group;
  /** The label seen most often so far. */
  readonly label: Label;
  /** Score of the last matched detection. */
  readonly score: number;
  /** The highest score of all its matched detections so far. */
  readonly bestScore: number;
  /** Filtered box in source pixels; predicted where `seen` is false. */
  readonly xyxyPx: XyxyPx;
  /** Velocity of the box's centre in source pixels per second. */
  readonly velocityPxPerS: readonly [number, number];
  /** Media time of the track's first detection, ms. */
  readonly firstMs: number;
  /** Where it was found before it was confirmed, oldest first; only in the frame that confirms it, at most eight. */
  readonly before?: readonly { readonly atMs: number; readonly xyxyPx: XyxyPx }[] | undefined;
  /** Media time of the last matched detection, ms. */
  readonly lastMs: number;
  /** True when a detection of this frame was matched, or of the last one looked at where nothing has moved since. */
  readonly seen: boolean;
}

/**
 * What the detector's backbone makes of a place, after its first stage: it says what is there and hardly how it is lit.
 * It lives in vision's memory only, for places and never for people.
 */
export interface Features {
  readonly columns: number;
  readonly rows: number;
  readonly channels: number;
  /** Side of a cell, in pixels of `input`. */
  readonly cellPx: number;
  /** The picture that the detector looked at, letterboxed as `Frame.rgb`. */
  readonly input: SizePx;
  /** rows × columns × channels, as the graph gives them: a level says (level − zeroPoint) of an unknown unit. */
  readonly values: Uint8Array;
  readonly zeroPoint: number;
}

/** What is known to be in a frame: by a look of the detector, or as it was found last where nothing has moved since. */
export interface Look {
  readonly looked: boolean;
  readonly found: readonly Detection[];
  readonly tracks: readonly Track[];
  /** About twice a second, where the model gives them and somebody needs them. */
  readonly features?: Features | undefined;
}

/** Values of a cell of the foreground. */
export const SETTLED = 1;
export const MOVING = 2;

/** What does not look like the learnt background, on a grid over the whole frame; no pixel is in it. */
export interface Foreground {
  readonly columns: number;
  readonly rows: number;
  /** Width and height of a cell as shares of the frame's. */
  readonly cellNorm: readonly [number, number];
  /** Row by row: MOVING, SETTLED (it has come to rest), or 0 where there is nothing. Never changed later. */
  readonly cells: Uint8Array;
}

/** Stages in which a frame spends time, in the order of the trip; `plate`: what the redactor learns of the empty place. */
export type Stage = 'capture' | 'detect' | 'track' | 'observe' | 'redact' | 'plate' | 'link';

/** Half-open byte ranges [from, to) of an RGB picture, row by row; they may overlap. */
export type ByteRanges = readonly (readonly [number, number])[];

/** A picture of the whole source, at least as large as a snapshot; it never leaves the vision process. */
export interface Still {
  readonly ptsNs: bigint;
  /** Media time of the analysed frame with the same PTS, ms. */
  readonly atMs: number;
  readonly source: SizePx;
  /**
   * Its pixels, scaled to `size`, not redacted, but black under the privacy masks.
   * @throws AgentError `corrupt` where its JPEG is not a whole one of the size that it was made in
   */
  pixels(size: SizePx): Promise<StillPixels>;
}

export interface StillPixels {
  /** 8 bits, row-major, no padding; the caller's own. */
  readonly rgb: Uint8Array;
  /** How far scaling has spread the source's pixels, in pixels of this picture. */
  readonly reachPx: number;
  /** What is black, by privacy mask. */
  readonly black: readonly ByteRanges[];
}
