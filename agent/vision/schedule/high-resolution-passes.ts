/**
 * Decides when the detector makes a high-resolution pass on the larger picture of the camera. It does so while the
 * picture is dark or grey (a camera in infra-red mode sends no colours). People score less there, and size compensates
 * for it. By day the frame's own size works as well or better, at a fifth of the cost (docs/design/005-benchmark.md).
 *
 * The picture is read in cells, whose colour is averaged over seconds. Noise cancels out, a street's colours do not.
 *
 * INVARIANTS: time is media time; the same frames give the same decisions.
 * LIMITS: no high-resolution pass while frames are skipped for heat or load, and for six hours after that.
 */
import { placementOf } from '../../contract/letterbox.ts';
import { COLOUR_LEVELS_MIN, COLOURED_RATIO_MAX, DARK_LEVEL_MAX } from '../../contract/light.ts';
import { isMasked } from '../../contract/masked.ts';
import type { Frame } from '../../contract/picture.ts';

/** Side of a cell in pixels of the detector's input. 64 of its pixels are read, which makes their noise an eighth. */
const CELL_PX = 16;
const CELL_STEP_PX = 2;
/** Length of the evaluation window, in ms. */
const WINDOW_MS = 2000;
/** Minimum number of frames in it, and shortest interval between them in ms (five a second). */
const WINDOW_FRAMES_MIN = 5;
const READ_EVERY_MS = 190;
/** Time for which colour must be back, in ms; headlights and lamps colour a picture for a moment. */
const ENDS_MS = 30_000;
/**
 * Pause after the board was too slow or too hot, in ms. Skipped frames are reported as an incident, at most twice a
 * night.
 */
const REST_MS = 21_600_000;
/**
 * Interval of the high-resolution passes on a quiet street, in ms. It is slightly shorter than the motion gate's own
 * interval (two seconds, motion-gate.ts), so that the run falls on a frame with a larger picture.
 */
const CHECK_MS = 1600;

export class HighResolutionPasses {
  #size = '';
  /** Index in `rgb` of each cell's first byte; without the letterbox's borders and masked cells. */
  #offsets = new Int32Array();
  #stride = 0;
  /** Sums over the window: red − green, blue − green, green. */
  #sums = new Float64Array();
  #frames = 0;
  #windowMs = 0;
  #readMs = Number.NEGATIVE_INFINITY;
  #poor = false;
  #dark = false;
  /** Time when the picture was last grey or dark. */
  #poorMs = 0;
  #restUntilMs = Number.NEGATIVE_INFINITY;
  #lastRunMs = Number.NEGATIVE_INFINITY;
  #count = 0;

  /** Number of high-resolution passes. */
  get count(): number {
    return this.#count;
  }

  /** True if the picture is dark. */
  get dark(): boolean {
    return this.#dark;
  }

  /**
   * Takes the next frame; returns true while larger pictures are needed. `slowed` states that frames are skipped for
   * heat or load.
   */
  wants(frame: Frame, slowed: boolean): boolean {
    const { atMs } = frame;
    if (atMs - this.#readMs >= READ_EVERY_MS) this.#read(frame);
    if (slowed && this.#poor) this.#restUntilMs = atMs + REST_MS;
    return this.#poor && atMs >= this.#restUntilMs;
  }

  /** Reports whether the detector must run on the frame even without motion. */
  isDue({ fine, atMs }: Frame): boolean {
    return fine !== undefined && atMs - this.#lastRunMs >= CHECK_MS;
  }

  /** Records that the detector has run on the frame. */
  noteDetectorRun({ fine, atMs }: Frame): void {
    if (fine === undefined) return;
    this.#lastRunMs = atMs;
    this.#count += 1;
  }

  #read(frame: Frame): void {
    const { source, rgb, atMs } = frame;
    const size = `${source.widthPx}x${source.heightPx}`;
    if (size !== this.#size) this.#begin(frame, size);
    if (this.#frames === 0) this.#windowMs = atMs;
    this.#readMs = atMs;
    const sums = this.#sums;
    for (let k = 0; k < this.#offsets.length; k += 1) {
      let [red, green, blue] = [0, 0, 0];
      let row = this.#offsets[k] as number;
      for (let y = 0; y < CELL_PX; y += CELL_STEP_PX, row += this.#stride * CELL_STEP_PX) {
        for (let at = row; at < row + CELL_PX * 3; at += CELL_STEP_PX * 3) {
          red += rgb[at] as number;
          green += rgb[at + 1] as number;
          blue += rgb[at + 2] as number;
        }
      }
      sums[k * 3] = (sums[k * 3] as number) + red - green;
      sums[k * 3 + 1] = (sums[k * 3 + 1] as number) + blue - green;
      sums[k * 3 + 2] = (sums[k * 3 + 2] as number) + green;
    }
    this.#frames += 1;
    if (this.#frames >= WINDOW_FRAMES_MIN && atMs - this.#windowMs >= WINDOW_MS) this.#evaluate(atMs);
  }

  #evaluate(atMs: number): void {
    const sums = this.#sums;
    const cells = this.#offsets.length;
    const pixels = this.#frames * (CELL_PX / CELL_STEP_PX) ** 2;
    let coloured = 0;
    let level = 0;
    for (let at = 0; at < sums.length; at += 3) {
      const colour = Math.max(Math.abs(sums[at] as number), Math.abs(sums[at + 1] as number));
      if (colour >= COLOUR_LEVELS_MIN * pixels) coloured += 1;
      level += sums[at + 2] as number;
    }
    sums.fill(0);
    this.#frames = 0;
    // A completely masked picture gives no information.
    if (cells === 0) return;
    this.#dark = level < DARK_LEVEL_MAX * pixels * cells;
    if (coloured <= COLOURED_RATIO_MAX * cells || this.#dark) {
      this.#poor = true;
      this.#poorMs = atMs;
    } else if (atMs - this.#poorMs >= ENDS_MS) this.#poor = false;
  }

  #begin(frame: Frame, size: string): void {
    const { source, input } = frame;
    const { leftPx, topPx, widthPx, heightPx } = placementOf(source, input);
    this.#size = size;
    this.#stride = input.widthPx * 3;
    this.#frames = 0;
    const offsets: number[] = [];
    for (let y = topPx; y + CELL_PX <= topPx + heightPx; y += CELL_PX) {
      for (let x = leftPx; x + CELL_PX <= leftPx + widthPx; x += CELL_PX) {
        if (!isMasked(frame, x, y, CELL_PX, CELL_PX)) offsets.push(y * this.#stride + x * 3);
      }
    }
    this.#offsets = Int32Array.from(offsets);
    this.#sums = new Float64Array(offsets.length * 3);
  }
}
