/**
 * When the detector is to look closely, at the larger picture that the camera can give: while the picture is grey (a
 * camera in infra-red mode sends no colours) or dark. People score less there, and size makes up for it; by day the
 * frame's own size does as well or better, at a fifth of the cost (docs/design/005-benchmark.md).
 *
 * The picture is read in cells, whose colour is averaged over seconds: noise cancels out, the colours of a street do not.
 *
 * INVARIANTS: time is media time; the same frames give the same answers.
 * LIMITS: no closer look while frames are left out for heat or load, and for six hours after that.
 */
import { placementOf } from '../../contract/letterbox.ts';
import { COLOUR_LEVELS_MIN, COLOURED_SHARE_MAX, DARK_LEVEL_MAX } from '../../contract/light.ts';
import { isMasked } from '../../contract/masked.ts';
import type { Frame } from '../../contract/picture.ts';

/** Side of a cell, pixels of the detector's input: 64 of its pixels are read, which makes their noise an eighth. */
const CELL_PX = 16;
const CELL_STEP_PX = 2;
/** The picture is judged over so long … */
const WINDOW_MS = 2000;
/** … and so many frames, five a second at most. */
const WINDOW_FRAMES_MIN = 5;
const READ_EVERY_MS = 190;
/** Colour must be back for so long: headlights and lamps that come on colour a picture for a moment. */
const ENDS_MS = 30_000;
/** A board that was too slow or too hot has had its trial: leaving frames out is told as an incident, twice a night at most. */
const REST_MS = 21_600_000;
/**
 * A quiet street is looked at closely at least so often: a little before the motion gate's own look is due (two seconds,
 * motion-gate.ts), so that this one falls on a frame that has a larger picture.
 */
const CHECK_MS = 1600;

export class FineLooks {
  #size = '';
  /** Index in `rgb` of each cell's first byte; the letterbox's borders and masked cells are left out. */
  #offsets = new Int32Array();
  #stride = 0;
  /** Sums over the window: red − green, blue − green, green. */
  #sums = new Float64Array();
  #frames = 0;
  #windowMs = 0;
  #readMs = Number.NEGATIVE_INFINITY;
  #poor = false;
  #dark = false;
  /** When the picture was last judged grey or dark. */
  #poorMs = 0;
  #restUntilMs = Number.NEGATIVE_INFINITY;
  #lookedMs = Number.NEGATIVE_INFINITY;
  #count = 0;

  /** Closer looks so far. */
  get count(): number {
    return this.#count;
  }

  /** The camera has no light left to take. */
  get dark(): boolean {
    return this.#dark;
  }

  /** Takes the next frame; true while larger pictures are wanted. `slowed`: frames are left out for heat or load. */
  wants(frame: Frame, slowed: boolean): boolean {
    const { atMs } = frame;
    if (atMs - this.#readMs >= READ_EVERY_MS) this.#read(frame);
    if (slowed && this.#poor) this.#restUntilMs = atMs + REST_MS;
    return this.#poor && atMs >= this.#restUntilMs;
  }

  /** Whether the frame is to be looked at even where nothing moves. */
  isDue({ fine, atMs }: Frame): boolean {
    return fine !== undefined && atMs - this.#lookedMs >= CHECK_MS;
  }

  /** The detector has looked at the frame. */
  looked({ fine, atMs }: Frame): void {
    if (fine === undefined) return;
    this.#lookedMs = atMs;
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
    if (this.#frames >= WINDOW_FRAMES_MIN && atMs - this.#windowMs >= WINDOW_MS) this.#judge(atMs);
  }

  #judge(atMs: number): void {
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
    // A picture that is masked all over says nothing.
    if (cells === 0) return;
    this.#dark = level < DARK_LEVEL_MAX * pixels * cells;
    if (coloured <= COLOURED_SHARE_MAX * cells || this.#dark) {
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
