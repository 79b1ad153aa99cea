/**
 * Is there a veil before the street: fog, snow, spray, dirt, a spider's web, or a light that shines into the lens?
 *
 * A veil adds light and takes contrast: what is seen is t·J + (1 − t)·A, with the street J, the light A that was
 * scattered in and the transmission t (Koschmieder, "Theorie der horizontalen Sichtweite", 1924). In each of the blocks
 * of the picture t is the slope by which brightness now follows brightness as it was when the street was seen well. It is
 * divided by the brightness itself: a lens that closes, or dusk, takes from both alike and is no veil. A noise that lies
 * on top follows nothing, and neither does the smooth glow of a lamp.
 *
 * INVARIANTS: nothing is learnt from a veiled block. LIMITS: blocks with nothing in them to go by, and dark ones, say
 * nothing; a picture that was veiled from the start is judged by its own contrast alone.
 */
import { BLOCKS, type ConditionPicture } from './condition-picture.ts';

/** The reference follows with this time constant: a fog bank comes in minutes, the sun's shadows pass in an hour. */
const CLEAR_MS = 1_200_000;
/** So many windows make a reference: 10 s. */
const CLEAR_LOOKS = 4;
/** A quarter of the contrast: people differ from the ground by 40 levels as a median, and a detector needs about 10. */
const VEILED_TRANSMISSION = 0.25;
/** A view that is another has edges of its own; a veil leaves less than a third of them, at any brightness. */
const VEILED_EDGES = 0.35;
/** A block tells something when its brightness has this spread of its mean: twice the 2 % of an even grey ground. */
const TELLING_CONTRAST = 0.04;
/** Darker blocks are a matter of light and not of a veil (`too-dark`). */
const DARK_LEVEL = 24;
/** Sensors clip here: what is brighter shows nothing. Codecs take a few levels off white. */
const BLEACHED_LEVEL = 250;
/**
 * So many spreads above its mean a block has nothing that was as bright: light has been added. Two surfaces in even parts
 * have theirs at one, and a fifth of the block at two.
 */
const ADDED_SPREADS = 2;
/**
 * The limit of visibility is a contrast of 0.05 (WMO No. 8, meteorological optical range): nine of ten blocks are below.
 * Copies at 0.15 of their contrast have 0.03 to 0.05 (one 0.09), an empty road seen from above 0.051 and more.
 */
const FLAT_CONTRAST = 0.05;
const FLAT_QUANTILE = 0.9;

export interface Veil {
  /**
   * Of each block: 1 light has been added to it that veils or bleaches it, −1 not so, 0 nobody can tell. A dark car that
   * drives off adds none.
   */
  readonly bright: Int8Array;
  /** Share of the blocks that tell something, and how many do. */
  readonly share: number;
  readonly telling: number;
  /** Hardly any block has a contrast that could be seen, whatever was there before. */
  readonly flat: boolean;
}

/** What is summed up of each block of a window. */
type Sums = Record<'level' | 'square' | 'edges' | 'clear' | 'clearSquare' | 'both', Float64Array>;

export class ClearView {
  readonly #level: Float32Array;
  readonly #edges = new Float64Array(BLOCKS);
  readonly #looks = new Uint16Array(BLOCKS);

  constructor(cells: number) {
    this.#level = new Float32Array(cells);
  }

  /** Compares a window with the reference; `learn`: the picture may be taken for one where all is well. */
  look(picture: ConditionPicture, windowMs: number, learn: boolean): Veil {
    const sums = this.#sums(picture);
    const blocks = new Int8Array(BLOCKS);
    const bright = new Int8Array(BLOCKS);
    const contrasts = new Float64Array(BLOCKS);
    let compared = 0;
    let telling = 0;
    let veiled = 0;
    for (let b = 0; b < BLOCKS; b += 1) {
      const cells = picture.cellsOf[b] as number;
      if (cells === 0) continue;
      const mean = (sums.level[b] as number) / cells;
      contrasts[compared] = spreadOf(sums.level, sums.square, b, cells) / (mean + 1);
      compared += 1;
      const told = this.#told(sums, b, cells);
      blocks[b] = told;
      bright[b] = told > 0 && !isBrighter(sums, b, cells) ? -1 : told;
      if (told !== 0) telling += 1;
      if (told > 0) veiled += 1;
    }
    if (learn) this.#learn(picture, sums, blocks, windowMs);
    const sorted = contrasts.subarray(0, compared).sort();
    const contrast = sorted[Math.floor(FLAT_QUANTILE * compared)] ?? 1;
    const flat = meanOf(picture) >= DARK_LEVEL && contrast < FLAT_CONTRAST;
    return { bright, telling, share: veiled / Math.max(1, telling), flat };
  }

  #told(sums: Sums, b: number, cells: number): -1 | 0 | 1 {
    const mean = (sums.level[b] as number) / cells;
    if (mean >= BLEACHED_LEVEL) return 1;
    if (mean < DARK_LEVEL || (this.#looks[b] as number) < CLEAR_LOOKS) return 0;
    const clearMean = (sums.clear[b] as number) / cells;
    const clearSpread = spreadOf(sums.clear, sums.clearSquare, b, cells);
    if (clearSpread < TELLING_CONTRAST * clearMean) return 0;
    const common = (sums.both[b] as number) / cells - mean * clearMean;
    const transmission = ((common / clearSpread ** 2) * clearMean) / mean;
    const edges = ((sums.edges[b] as number) / (this.#edges[b] as number)) * (clearMean / mean) ** 2;
    return transmission < VEILED_TRANSMISSION && edges < VEILED_EDGES ** 2 ? 1 : -1;
  }

  #learn(picture: ConditionPicture, sums: Sums, blocks: Int8Array, windowMs: number): void {
    const share = new Float64Array(BLOCKS);
    for (let b = 0; b < BLOCKS; b += 1) {
      if (blocks[b] === 1) continue;
      share[b] = Math.max(windowMs / CLEAR_MS, 1 / ((this.#looks[b] as number) + 1));
      this.#looks[b] = Math.min(65_535, (this.#looks[b] as number) + 1);
      const edges = this.#edges[b] as number;
      this.#edges[b] = edges + (share[b] as number) * ((sums.edges[b] as number) - edges);
    }
    const { block, level, frames } = picture;
    for (let k = 0; k < block.length; k += 1) {
      const clear = this.#level[k] as number;
      this.#level[k] =
        clear + (share[block[k] as number] as number) * ((level[k] as number) / frames - clear);
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
    // What noise leaves in the means of steps, known from their spread, and an eighth of it in those of levels.
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

/** Brighter than anything was in the block. */
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
