/**
 * Motion trigger: detects the start of motion by a cheap comparison of each small picture of the camera with the
 * previous one. Cells have 4 × 4 pixels (8 × 8 of the detector's input). It reports any quick motion, and whether that
 * is near a watched place and belongs to no known track.
 *
 * Slow motion is not detected here; for that, the motion gate compares with the last detector run.
 */
import { isMasked } from '../../contract/masked.ts';
import type { SmallPicture } from '../../contract/picture.ts';
import type { Point } from '../../contract/plane.ts';
import { changeFrom, noiseAfter, shiftOf } from './cell-change.ts';

const CELL_PX = 4;
const CELLS_MAX = 2000;
/** Time without motion after which a moving cell is a start, in ms; shorter is the stride of a person who walks by. */
const STILL_MS = 1000;
/** Minimum number of touching cells; a single one is a flicker. */
const TOUCHING_MIN = 2;

export interface ObservedMotion {
  /** Motion anywhere. */
  readonly any: boolean;
  /** Motion in a watched cell that was still, not explained by a known track. */
  readonly unknown: boolean;
}

export class MotionTrigger {
  readonly #isWatched: (point: Point) => boolean;
  #size = '';
  #columns = 0;
  #offsets = new Int32Array();
  #watched = new Uint8Array();
  #centres: Point[] = [];
  #now = new Float32Array();
  #before = new Float32Array();
  #noise = new Float32Array();
  #movedMs = new Float64Array();
  #shifts = new Float32Array();
  #cellPx = CELL_PX;
  #isNew = true;

  /** `isWatched` reports whether a normalised place is at or near one that a rule watches. */
  constructor(isWatched: (point: Point) => boolean) {
    this.#isWatched = isWatched;
  }

  /** Takes the next picture. `isKnown` reports whether a known track explains motion at a place. */
  update(small: SmallPicture, atMs: number, isKnown: (point: Point) => boolean): ObservedMotion {
    const { widthPx, heightPx } = small.size;
    const size = `${widthPx}x${heightPx}`;
    if (size !== this.#size) this.#begin(small, size);
    this.#read(small);
    const first = this.#isNew;
    this.#isNew = false;
    const motion = first ? { any: true, unknown: false } : this.#compare(atMs, isKnown);
    [this.#now, this.#before] = [this.#before, this.#now];
    return motion;
  }

  #begin({ size: { widthPx, heightPx }, masked }: SmallPicture, size: string): void {
    this.#size = size;
    this.#isNew = true;
    const cellPx = Math.max(CELL_PX, Math.ceil(Math.sqrt((widthPx * heightPx) / CELLS_MAX)));
    this.#cellPx = cellPx;
    this.#columns = Math.floor(widthPx / cellPx);
    const cells = this.#columns * Math.floor(heightPx / cellPx);
    this.#offsets = new Int32Array(cells);
    this.#centres = [];
    for (let k = 0; k < cells; k += 1) {
      const x = (k % this.#columns) * cellPx;
      const y = Math.floor(k / this.#columns) * cellPx;
      const isBlack = isMasked({ masked, input: { widthPx, heightPx } }, x, y, cellPx, cellPx);
      this.#offsets[k] = isBlack ? -1 : y * widthPx + x;
      this.#centres.push([(x + cellPx / 2) / widthPx, (y + cellPx / 2) / heightPx]);
    }
    this.#watched = Uint8Array.from(this.#centres, (centre) => (this.#isWatched(centre) ? 1 : 0));
    this.#now = new Float32Array(cells);
    this.#before = new Float32Array(cells);
    this.#noise = new Float32Array(cells).fill(1);
    this.#movedMs = new Float64Array(cells).fill(Number.NEGATIVE_INFINITY);
    this.#shifts = new Float32Array(Math.ceil(cells / 8));
  }

  #read({ luma, size: { widthPx } }: SmallPicture): void {
    const cellPx = this.#cellPx;
    const scale = 1 / cellPx ** 2;
    for (let k = 0; k < this.#offsets.length; k += 1) {
      let row = this.#offsets[k] as number;
      if (row < 0) continue;
      let sum = 0;
      for (let y = 0; y < cellPx; y += 1, row += widthPx) {
        for (let x = 0; x < cellPx; x += 1) sum += luma[row + x] as number;
      }
      this.#now[k] = sum * scale;
    }
  }

  #compare(atMs: number, isKnown: (point: Point) => boolean): ObservedMotion {
    const shift = shiftOf(this.#now, this.#before, this.#offsets, this.#shifts);
    const columns = this.#columns;
    let [any, unknown] = [false, false];
    for (let k = 0; k < this.#offsets.length; k += 1) {
      if ((this.#offsets[k] as number) < 0) continue;
      const by = Math.abs((this.#now[k] as number) - (this.#before[k] as number) - shift);
      const noise = this.#noise[k] as number;
      this.#noise[k] = noiseAfter(noise, by);
      if (by < changeFrom(this.#before[k] as number, noise)) continue;
      const still = atMs - (this.#movedMs[k] as number) >= STILL_MS;
      this.#movedMs[k] = atMs;
      const left = k % columns !== 0 && this.#movedMs[k - 1] === atMs ? 1 : 0;
      const above = k >= columns && this.#movedMs[k - columns] === atMs ? 1 : 0;
      if (1 + left + above < TOUCHING_MIN) continue;
      any = true;
      unknown ||= still && this.#watched[k] === 1 && !isKnown(this.#centres[k] as Point);
    }
    return { any, unknown };
  }
}
