/** Types passed between the stages of the vision process. None of them crosses the link. */
import type { SizePx, XyxyPx } from './geometry.ts';
import type { Group, Label } from './label.ts';

/**
 * Maximum side of a larger picture, as a multiple of that of the model's input. Four times the pixels cost four times the
 * work (docs/design/005-benchmark.md).
 */
export const LARGER_SIDE_TIMES_MAX = 2;

/** Camera frame before any processing. On a quiet street most are never analysed. */
export interface Glimpse {
  /** 1 for the first frame since the source was opened; never reused within a process. */
  readonly index: number;
  /** Presentation time stamp of the source's buffer in ns; key of the still that shows the same frame. */
  readonly ptsNs: bigint;
  /** Media time in ms. It grows by PTS differences and is monotonic, also across reconnections. */
  readonly atMs: number;
  /** Wall time of capture, ms since the epoch; in replay, the clip's PTS counted from the epoch. */
  readonly wallMs: number;
  /** Size of the source frame. */
  readonly source: SizePx;
  /** A still or planes will be made of it. It will be analysed unless the board is too slow or too hot. */
  readonly pictured: boolean;
  /** True if a frame can be made of it. The camera passes over those that its caller's terms do not want. */
  readonly isHeld: boolean;
  /** Present if it was requested from the camera. */
  readonly motion?: GlimpseMotion | undefined;
}

/** Motion since the picture before, in a grey picture at half the size of the detector's input. */
export interface GlimpseMotion {
  readonly any: boolean;
  /** Motion in a cell at or near a watched place that was still for a second, outside of all known boxes. */
  readonly unknown: boolean;
  /** Size of the grey picture. */
  readonly size: SizePx;
}

/** Glimpses that a caller wants to see in time. The others come with the next one of these. */
export interface LookTerms {
  /** Media time from which each is wanted. */
  readonly fromMs: number;
  /** True if any motion is a reason. Unknown motion is always one. */
  readonly onMotion: boolean;
  /** True if it is a reason that a still or planes will be made of it. */
  readonly onPictured: boolean;
  /** Boxes of known objects, normalised: left, top, right, bottom. */
  readonly knownBoxes: Float64Array;
}

/** Terms of a caller that wants every frame. */
export const EVERY_FRAME: LookTerms = {
  fromMs: Number.NEGATIVE_INFINITY,
  onMotion: true,
  onPictured: true,
  knownBoxes: new Float64Array(),
};

/** Analysed frame. Its pixels exist only in vision's memory, until the next frame. */
export interface Frame extends Omit<Glimpse, 'pictured' | 'isHeld' | 'motion'> {
  /** Size of `rgb`: the detector's input. */
  readonly input: SizePx;
  /**
   * RGB, 8 bits, row-major, input.widthPx × input.heightPx × 3. The picture is centred; the rest and the privacy masks
   * are black. The camera's next frame overwrites it, so data needed later must be copied.
   */
  readonly rgb: Uint8Array;
  /**
   * 1 for each pixel of `rgb` blackened by a privacy mask. Such pixels carry no information about the street, so
   * statistics ignore them. Absent without masks; never changed.
   */
  readonly masked?: Uint8Array | undefined;
  /**
   * The same moment in the size of a snapshot, about once a second. It never leaves the vision process. The camera's
   * next frame may overwrite it, as with `rgb`.
   */
  readonly planes?: YuvPlanes | undefined;
  /** A still of it is stored. */
  readonly still?: boolean | undefined;
  /**
   * The same moment in higher resolution, for the detector alone, if the picture is grey and the street is quiet. RGB
   * like `rgb`, letterboxed to its own size, black under the privacy masks.
   */
  readonly fine?: { readonly size: SizePx; readonly rgb: Uint8Array } | undefined;
}

/**
 * Picture in three planes of 8 bits with colour at half the resolution (4:2:0). Levels are those of a JPEG of the same
 * frame (full range). Black under the privacy masks.
 */
export interface YuvPlanes {
  readonly size: SizePx;
  /** Rows of `strideY` bytes. */
  readonly y: Uint8Array;
  /** Blue and red difference, 128 for none, in rows of `strideUv` bytes. */
  readonly u: Uint8Array;
  readonly v: Uint8Array;
  readonly strideY: number;
  readonly strideUv: number;
}

/** Detected box. */
export interface Detection {
  /** Box in source pixels, clipped to the frame. */
  readonly xyxyPx: XyxyPx;
  /** 0..1. */
  readonly score: number;
  readonly label: Label;
  readonly group: Group;
}

/** Tracked object after a frame. */
export interface Track {
  /** Unique during one run of the process; carries no identity. */
  readonly id: number;
  readonly group: Group;
  /** Most frequent label so far. */
  readonly label: Label;
  /** Score of the last matched detection. */
  readonly score: number;
  /** The highest score of all its matched detections so far. */
  readonly bestScore: number;
  /** Filtered box in source pixels; predicted if `seen` is false. */
  readonly xyxyPx: XyxyPx;
  /** Velocity of the box's centre in source pixels per second. */
  readonly velocityPxPerS: readonly [number, number];
  /** Media time of the track's first detection, ms. */
  readonly firstMs: number;
  /**
   * Places where it was detected before its confirmation, oldest first, at most eight. Present only in the frame that
   * confirms it.
   */
  readonly before?: readonly { readonly atMs: number; readonly xyxyPx: XyxyPx }[] | undefined;
  /** Media time of the last matched detection, ms. */
  readonly lastMs: number;
  /** True if a detection of this frame was matched, or one of the last detector run if nothing has moved since. */
  readonly seen: boolean;
}

/**
 * Output of the first stage of the detector's backbone for a place. It describes the content and hardly depends on the
 * light. It exists only in vision's memory, for places and never for people.
 */
export interface Features {
  readonly columns: number;
  readonly rows: number;
  readonly channels: number;
  /** Side of a cell, in pixels of `input`. */
  readonly cellPx: number;
  /** Input picture of the detector, letterboxed like `Frame.rgb`. */
  readonly input: SizePx;
  /** rows × columns × channels, as output by the graph. A level means (level − zeroPoint) of an unknown unit. */
  readonly values: Uint8Array;
  readonly zeroPoint: number;
}

/** Content of a frame: from a detector run, or from the last run if nothing has moved since. */
export interface FrameAnalysis {
  readonly detectorRan: boolean;
  readonly detections: readonly Detection[];
  readonly tracks: readonly Track[];
  /** About twice a second, if the model provides them and a consumer needs them. */
  readonly features?: Features | undefined;
}

/** Values of a foreground cell. */
export const SETTLED = 1;
export const MOVING = 2;

/** Difference from the learnt background, on a grid over the complete frame. It contains no pixel. */
export interface Foreground {
  readonly columns: number;
  readonly rows: number;
  /** Width and height of a cell as ratios of the frame's. */
  readonly cellNorm: readonly [number, number];
  /** Row-major: MOVING, SETTLED (it has come to rest), or 0 for none. Never changed later. */
  readonly cells: Uint8Array;
}

/** Processing stages of a frame, in order. `plate`: the redactor learns the clean plate. */
export type Stage = 'capture' | 'detect' | 'track' | 'observe' | 'redact' | 'plate' | 'link';

/** Half-open byte ranges [from, to) of an RGB picture, row-major; they may overlap. */
export type ByteRanges = readonly (readonly [number, number])[];

/** Picture of the complete source, at least as large as a snapshot. It never leaves the vision process. */
export interface Still {
  readonly ptsNs: bigint;
  /** Media time of the analysed frame with the same PTS, in ms. */
  readonly atMs: number;
  readonly source: SizePx;
  /**
   * Returns its pixels, scaled to `size`: not redacted, but black under the privacy masks.
   *
   * @throws AgentError `corrupt` if its JPEG is not complete or not of the size in which it was made
   */
  pixels(size: SizePx): Promise<StillPixels>;
}

export interface StillPixels {
  /** 8 bits, row-major, no padding; owned by the caller. */
  readonly rgb: Uint8Array;
  /** Distance over which scaling has spread the source's pixels, in pixels of this picture. */
  readonly reachPx: number;
  /** Black areas, one per privacy mask. */
  readonly black: readonly ByteRanges[];
}
