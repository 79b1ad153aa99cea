/**
 * Detects motion since the last detector run. It compares the picture of that run with the present one, in cells of 4 ×
 * 4 pixels of the detector's input. A person 10 pixels tall covers five of them.
 *
 * The comparison with the last run, instead of the last frame, lets slow motion add up. A cell has moved if it differs
 * by more than its own noise explains. Low-bitrate codecs and trees in the wind raise that noise; occasional passers-by
 * do not. A brightness shift of the complete picture is subtracted.
 *
 * LIMITS: motion that differs from its ground by fewer levels than `changeFrom` is missed; the detector runs every two
 * seconds anyway.
 */
import { placementOf } from '../../contract/letterbox.ts';
import { isMasked } from '../../contract/masked.ts';
import type { Frame } from '../../contract/picture.ts';
import { changeFrom, noiseAfter, shiftOf } from './cell-change.ts';

const CELL_PX = 4;
/** Maximum number of cells, whatever the input's size. */
const CELLS_MAX = 8000;
/** Minimum number of touching moved cells; a single one is a flicker. */
const TOUCHING_MIN = 2;

export class Motion {
  #size = '';
  #columns = 0;
  #offsets = new Int32Array();
  #stride = 0;
  #cellPx = CELL_PX;
  #now = new Float32Array();
  #reference = new Float32Array();
  #noise = new Float32Array();
  #movedCells = new Uint8Array();
  #shifts = new Float32Array();
  #isNew = true;

  /** Takes the next frame; returns true if something has moved since `looked()`, or before the first one. */
  update(frame: Frame): boolean {
    const { widthPx, heightPx } = frame.source;
    const size = `${widthPx}x${heightPx}`;
    if (size !== this.#size) this.#begin(frame, size);
    this.#read(frame.rgb);
    if (this.#isNew) return true;
    return this.#differs();
  }

  /** Records that the detector has run on the last frame. */
  noteDetectorRun(): void {
    this.#reference.set(this.#now);
    this.#isNew = false;
  }

  #begin(frame: Frame, size: string): void {
    const { source, input } = frame;
    const { widthPx, heightPx, leftPx, topPx } = placementOf(source, input);
    this.#size = size;
    this.#isNew = true;
    this.#cellPx = Math.max(CELL_PX, Math.ceil(Math.sqrt((widthPx * heightPx) / CELLS_MAX)));
    this.#columns = Math.floor(widthPx / this.#cellPx);
    const rows = Math.floor(heightPx / this.#cellPx);
    this.#stride = input.widthPx * 3;
    const offsets = new Int32Array(this.#columns * rows);
    for (let k = 0; k < offsets.length; k += 1) {
      const x = (k % this.#columns) * this.#cellPx;
      const y = Math.floor(k / this.#columns) * this.#cellPx;
      const masked = isMasked(frame, leftPx + x, topPx + y, this.#cellPx, this.#cellPx);
      // Only green is read, which is most of the luma.
      offsets[k] = masked ? -1 : (topPx + y) * this.#stride + (leftPx + x) * 3 + 1;
    }
    this.#offsets = offsets;
    this.#now = new Float32Array(offsets.length);
    this.#reference = new Float32Array(offsets.length);
    this.#noise = new Float32Array(offsets.length).fill(1);
    this.#movedCells = new Uint8Array(offsets.length);
    this.#shifts = new Float32Array(Math.ceil(offsets.length / 8));
  }

  #read(rgb: Uint8Array): void {
    const cellPx = this.#cellPx;
    const scale = 1 / Math.ceil((cellPx * cellPx) / 2);
    for (let k = 0; k < this.#offsets.length; k += 1) {
      let row = this.#offsets[k] as number;
      if (row < 0) continue;
      let sum = 0;
      // Every second pixel, as on a chessboard; neighbours in a scaled picture are nearly equal.
      for (let y = 0; y < cellPx; y += 1, row += this.#stride) {
        for (let x = y & 1; x < cellPx; x += 2) sum += rgb[row + x * 3] as number;
      }
      this.#now[k] = sum * scale;
    }
  }

  #differs(): boolean {
    const shift = shiftOf(this.#now, this.#reference, this.#offsets, this.#shifts);
    const columns = this.#columns;
    const movedCells = this.#movedCells;
    let touching = false;
    for (let k = 0; k < movedCells.length; k += 1) {
      movedCells[k] = 0;
      if ((this.#offsets[k] as number) < 0) continue;
      const by = Math.abs((this.#now[k] as number) - (this.#reference[k] as number) - shift);
      const noise = this.#noise[k] as number;
      this.#noise[k] = noiseAfter(noise, by);
      if (by < changeFrom(this.#reference[k] as number, noise)) continue;
      movedCells[k] = 1;
      const left = k % columns === 0 ? 0 : (movedCells[k - 1] as number);
      const above = k < columns ? 0 : (movedCells[k - columns] as number);
      touching ||= 1 + left + above >= TOUCHING_MIN;
    }
    return touching;
  }
}
