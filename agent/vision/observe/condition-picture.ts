/**
 * Accumulates the data of frames that the camera's condition is evaluated from, as means over a window of a few
 * seconds. It holds, at every fourth pixel, the level and the level steps to neighbours two pixels away.
 *
 * Steps keep their sign, so noise and passers-by cancel out in the mean and the street's edges remain. The remaining
 * noise is known from the spread within the window. Green is most of the luma; red and blue only show whether the
 * picture has colours.
 */
import { placementOf } from '../../contract/letterbox.ts';
import { isMasked } from '../../contract/masked.ts';
import type { Frame } from '../../contract/picture.ts';

/** Cell size in px: fine enough for edges, few enough cells for 0.1 ms. */
const CELL_PX = 4;
/** Distance of a step in px: defocus blurs such steps first, and a shift of 1 % of the width displaces them. */
const STEP_PX = 2;
/** Ignored edge of the picture in px, which scaling smears. */
const EDGE_PX = 2;
/** Maximum number of cells, whatever the input's size. */
const CELLS_MAX = 8000;
/** Blocks of the picture, 8 × 6, so that one strong edge does not dominate the result. */
export const BLOCK_COLUMNS = 8;
export const BLOCK_ROWS = 6;
export const BLOCKS = BLOCK_COLUMNS * BLOCK_ROWS;
/**
 * Largest difference of an identical pixel, in levels: a frozen picture that is encoded again is rounded at a key
 * frame.
 */
const SAME_LEVELS = 1;
/** Largest ratio of changed samples of a frozen picture, which a clock drawn into it stays below. */
const SAME_RATIO = 0.001;

export class ConditionPicture {
  /** Block of each cell. */
  readonly block: Uint8Array;
  /** Sums over the window. */
  readonly stepX: Float32Array;
  readonly stepY: Float32Array;
  readonly level: Float32Array;
  /** Sums of red and of blue minus green, at the cell's own pixel. */
  readonly red: Float32Array;
  readonly blue: Float32Array;
  /** Sums of the squared steps of each block over the window. */
  readonly squares = new Float64Array(BLOCKS);
  readonly cellsOf = new Uint16Array(BLOCKS);
  /** Frames in the window. */
  frames = 0;
  readonly #offsets: Int32Array;
  readonly #stride: number;
  /** Samples of the frame that later ones are compared with. */
  readonly #anchor: Uint8Array;
  #anchorMs: number | undefined;

  constructor(frame: Frame) {
    const { source, input } = frame;
    const { widthPx, heightPx, leftPx, topPx } = placementOf(source, input);
    const cellPx = Math.max(CELL_PX, Math.ceil(Math.sqrt((widthPx * heightPx) / CELLS_MAX)));
    const offsets: number[] = [];
    const blocks: number[] = [];
    this.#stride = input.widthPx * 3;
    for (let y = EDGE_PX; y + STEP_PX + EDGE_PX < heightPx; y += cellPx) {
      for (let x = EDGE_PX; x + STEP_PX + EDGE_PX < widthPx; x += cellPx) {
        if (isMasked(frame, leftPx + x, topPx + y, STEP_PX + 1, STEP_PX + 1)) continue;
        offsets.push((topPx + y) * this.#stride + (leftPx + x) * 3 + 1);
        const column = Math.floor((x * BLOCK_COLUMNS) / widthPx);
        blocks.push(Math.floor((y * BLOCK_ROWS) / heightPx) * BLOCK_COLUMNS + column);
      }
    }
    this.#offsets = Int32Array.from(offsets);
    this.block = Uint8Array.from(blocks);
    for (const block of blocks) this.cellsOf[block] = (this.cellsOf[block] as number) + 1;
    this.stepX = new Float32Array(offsets.length);
    this.stepY = new Float32Array(offsets.length);
    this.level = new Float32Array(offsets.length);
    this.red = new Float32Array(offsets.length);
    this.blue = new Float32Array(offsets.length);
    this.#anchor = new Uint8Array(offsets.length * 4);
  }

  get cells(): number {
    return this.#offsets.length;
  }

  /** Adds a frame to the window; returns how long the picture has been identical, in ms. */
  add({ rgb, atMs }: Frame): number {
    const offsets = this.#offsets;
    const { block, stepX, stepY, level, red, blue, squares } = this;
    const anchor = this.#anchor;
    const right = STEP_PX * 3;
    const belowOffset = STEP_PX * this.#stride;
    let other = 0;
    for (let k = 0; k < offsets.length; k += 1) {
      const at = offsets[k] as number;
      const a = rgb[at] as number;
      const b = rgb[at + right] as number;
      const c = rgb[at + belowOffset] as number;
      const d = rgb[at + belowOffset + right] as number;
      const x = 0.5 * (b + d - a - c);
      const y = 0.5 * (c + d - a - b);
      stepX[k] = (stepX[k] as number) + x;
      stepY[k] = (stepY[k] as number) + y;
      level[k] = (level[k] as number) + 0.25 * (a + b + c + d);
      red[k] = (red[k] as number) + (rgb[at - 1] as number) - a;
      blue[k] = (blue[k] as number) + (rgb[at + 1] as number) - a;
      const own = block[k] as number;
      squares[own] = (squares[own] as number) + x * x + y * y;
      const k4 = k * 4;
      if (differs(a, anchor[k4] as number)) other += 1;
      if (differs(b, anchor[k4 + 1] as number)) other += 1;
      if (differs(c, anchor[k4 + 2] as number)) other += 1;
      if (differs(d, anchor[k4 + 3] as number)) other += 1;
    }
    this.frames += 1;
    if (this.#anchorMs === undefined || other > SAME_RATIO * anchor.length) {
      this.#setAnchor(rgb);
      this.#anchorMs = atMs;
    }
    return atMs - this.#anchorMs;
  }

  /** Starts a new window. */
  clear(): void {
    this.frames = 0;
    this.stepX.fill(0);
    this.stepY.fill(0);
    this.level.fill(0);
    this.red.fill(0);
    this.blue.fill(0);
    this.squares.fill(0);
  }

  #setAnchor(rgb: Uint8Array): void {
    const right = STEP_PX * 3;
    const belowOffset = STEP_PX * this.#stride;
    for (let k = 0; k < this.#offsets.length; k += 1) {
      const at = this.#offsets[k] as number;
      this.#anchor[k * 4] = rgb[at] as number;
      this.#anchor[k * 4 + 1] = rgb[at + right] as number;
      this.#anchor[k * 4 + 2] = rgb[at + belowOffset] as number;
      this.#anchor[k * 4 + 3] = rgb[at + belowOffset + right] as number;
    }
  }
}

function differs(a: number, b: number): boolean {
  return a - b > SAME_LEVELS || b - a > SAME_LEVELS;
}
