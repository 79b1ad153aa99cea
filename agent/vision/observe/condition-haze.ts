/**
 * Detects haze in front of the street: fog, snow, spray, dirt, a spider's web, or light that shines into the lens.
 *
 * Haze adds light and removes contrast. The visible level is t·J + (1 − t)·A, with the street J, the scattered light A
 * and the transmission t (Koschmieder, "Theorie der horizontalen Sichtweite", 1924). In each block, t is the slope of
 * the present levels over those seen in clear conditions. It is divided by the brightness itself: a closing lens, or
 * dusk, reduces both alike and is not haze. Noise on top does not correlate, and neither does the smooth glow of a
 * lamp.
 *
 * INVARIANTS: hazy blocks are not learnt from.
 * LIMITS: blocks without structure, and dark ones, give no result. A picture that was hazy from the start is evaluated
 * by its own contrast alone.
 */
import { BLOCKS, type ConditionPicture } from './condition-picture.ts';

/** Time constant of the reference, in ms: a fog bank comes in minutes, the sun's shadows pass in an hour. */
const CLEAR_MS = 1_200_000;
/** Windows required for a reference: 10 s. */
const CLEAR_WINDOWS = 4;
/**
 * Transmission below which a block is hazy: a quarter of the contrast. People differ from the ground by 40 levels in
 * the median, and a detector needs about 10.
 */
const HAZE_TRANSMISSION = 0.25;
/**
 * Ratio of edge energy below which a block is hazy. Another view has edges of its own; haze leaves less than a third of
 * them, at any brightness.
 */
const HAZE_EDGES = 0.35;
/** Spread from which a block is usable, as a ratio of its mean level: twice the 2 % of an even grey ground. */
const TELLING_CONTRAST = 0.04;
/** Level below which a block is dark, which is a matter of light (`too-dark`), not of haze. */
const DARK_LEVEL = 24;
/** Level at which sensors clip; brighter parts show nothing. Codecs take a few levels off white. */
const BLEACHED_LEVEL = 250;
/**
 * Spreads above its reference mean at which light was added to a block, because nothing in it was as bright. Two
 * surfaces of equal area have their levels at one spread; a surface of a fifth of the block has its level at two.
 */
const ADDED_SPREADS = 2;
/**
 * Limit of visibility: a contrast of 0.05 (WMO No. 8, meteorological optical range), which nine of ten blocks are
 * below. Copies at 0.15 of their contrast have 0.03 to 0.05 (one 0.09), an empty road from above 0.051 and more.
 */
const FLAT_CONTRAST = 0.05;
const FLAT_QUANTILE = 0.9;

export interface Haze {
  /**
   * State of each block: 1 if added light makes it hazy or bleached, −1 if not, 0 if unknown. A dark car that drives
   * off adds no light.
   */
  readonly bright: Int8Array;
  /** Ratio of hazy blocks among the usable ones, and the number of usable blocks. */
  readonly hazyRatio: number;
  readonly telling: number;
  /** True if hardly any block has a visible contrast, whatever was there before. */
  readonly flat: boolean;
}

/** Sums of each block of a window. */
type Sums = Record<'level' | 'square' | 'edges' | 'clear' | 'clearSquare' | 'both', Float64Array>;

export class ClearView {
  readonly #level: Float32Array;
  readonly #edges = new Float64Array(BLOCKS);
  readonly #windows = new Uint16Array(BLOCKS);

  constructor(cells: number) {
    this.#level = new Float32Array(cells);
  }

  /** Compares a window with the reference; `learn` states that the picture may count as a good one. */
  compareWindow(picture: ConditionPicture, windowMs: number, learn: boolean): Haze {
    const sums = this.#sums(picture);
    const blocks = new Int8Array(BLOCKS);
    const bright = new Int8Array(BLOCKS);
    const contrasts = new Float64Array(BLOCKS);
    let compared = 0;
    let telling = 0;
    let hazyBlocks = 0;
    for (let b = 0; b < BLOCKS; b += 1) {
      const cells = picture.cellsOf[b] as number;
      if (cells === 0) continue;
      const mean = (sums.level[b] as number) / cells;
      contrasts[compared] = spreadOf(sums.level, sums.square, b, cells) / (mean + 1);
      compared += 1;
      const verdict = this.#verdictOf(sums, b, cells);
      blocks[b] = verdict;
      bright[b] = verdict > 0 && !isBrighter(sums, b, cells) ? -1 : verdict;
      if (verdict !== 0) telling += 1;
      if (verdict > 0) hazyBlocks += 1;
    }
    if (learn) this.#learn(picture, sums, blocks, windowMs);
    const sorted = contrasts.subarray(0, compared).sort();
    const contrast = sorted[Math.floor(FLAT_QUANTILE * compared)] ?? 1;
    const flat = meanOf(picture) >= DARK_LEVEL && contrast < FLAT_CONTRAST;
    return { bright, telling, hazyRatio: hazyBlocks / Math.max(1, telling), flat };
  }

  #verdictOf(sums: Sums, b: number, cells: number): -1 | 0 | 1 {
    const mean = (sums.level[b] as number) / cells;
    if (mean >= BLEACHED_LEVEL) return 1;
    if (mean < DARK_LEVEL || (this.#windows[b] as number) < CLEAR_WINDOWS) return 0;
    const clearMean = (sums.clear[b] as number) / cells;
    const clearSpread = spreadOf(sums.clear, sums.clearSquare, b, cells);
    if (clearSpread < TELLING_CONTRAST * clearMean) return 0;
    const common = (sums.both[b] as number) / cells - mean * clearMean;
    const transmission = ((common / clearSpread ** 2) * clearMean) / mean;
    const edges = ((sums.edges[b] as number) / (this.#edges[b] as number)) * (clearMean / mean) ** 2;
    return transmission < HAZE_TRANSMISSION && edges < HAZE_EDGES ** 2 ? 1 : -1;
  }

  #learn(picture: ConditionPicture, sums: Sums, blocks: Int8Array, windowMs: number): void {
    const weights = new Float64Array(BLOCKS);
    for (let b = 0; b < BLOCKS; b += 1) {
      if (blocks[b] === 1) continue;
      weights[b] = Math.max(windowMs / CLEAR_MS, 1 / ((this.#windows[b] as number) + 1));
      this.#windows[b] = Math.min(65_535, (this.#windows[b] as number) + 1);
      const edges = this.#edges[b] as number;
      this.#edges[b] = edges + (weights[b] as number) * ((sums.edges[b] as number) - edges);
    }
    const { block, level, frames } = picture;
    for (let k = 0; k < block.length; k += 1) {
      const clear = this.#level[k] as number;
      this.#level[k] =
        clear + (weights[block[k] as number] as number) * ((level[k] as number) / frames - clear);
    }
  }

  #sums({ block, level, stepX, stepY, squares, frames }: ConditionPicture): Sums {
    const sums: Sums = {
      level: new Float64Array(BLOCKS),
      square: new Float64Array(BLOCKS),
      edges: new Float64Array(BLOCKS),
      clear: new Float64Array(BLOCKS),
      clearSquare: new Float64Array(BLOCKS),
      both: new Float64Array(BLOCKS),
    };
    for (let k = 0; k < block.length; k += 1) {
      const b = block[k] as number;
      const now = (level[k] as number) / frames;
      const clear = this.#level[k] as number;
      add(sums.level, b, now);
      add(sums.square, b, now * now);
      add(sums.clear, b, clear);
      add(sums.clearSquare, b, clear * clear);
      add(sums.both, b, now * clear);
      add(sums.edges, b, ((stepX[k] as number) / frames) ** 2 + ((stepY[k] as number) / frames) ** 2);
    }
    // The remaining noise in the means of steps is known from their spread; an eighth of it is in the levels.
    for (let b = 0; b < BLOCKS; b += 1) {
      const noise = Math.max(
        0,
        ((squares[b] as number) / frames - (sums.edges[b] as number)) / Math.max(1, frames - 1),
      );
      sums.edges[b] = Math.max(0, (sums.edges[b] as number) - noise);
      add(sums.square, b, -noise / 8);
    }
    return sums;
  }
}

/** Reports whether a block is brighter than anything in it was. */
function isBrighter({ level, clear, clearSquare }: Sums, b: number, cells: number): boolean {
  const mean = (level[b] as number) / cells;
  const spread = spreadOf(clear, clearSquare, b, cells);
  return mean >= BLEACHED_LEVEL || mean >= (clear[b] as number) / cells + ADDED_SPREADS * spread;
}

function add(sums: Float64Array, b: number, value: number): void {
  sums[b] = (sums[b] as number) + value;
}

function spreadOf(sum: Float64Array, square: Float64Array, b: number, cells: number): number {
  return Math.sqrt(Math.max(0, (square[b] as number) / cells - ((sum[b] as number) / cells) ** 2));
}

function meanOf({ level, frames }: ConditionPicture): number {
  let sum = 0;
  for (let k = 0; k < level.length; k += 1) sum += level[k] as number;
  return sum / (frames * Math.max(1, level.length));
}
