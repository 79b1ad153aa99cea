/** Learns the long-term appearance of a view, and compares windows of frames with it. */
import { BLOCKS, type ConditionPicture } from './condition-picture.ts';
import { signatureOf } from './condition-signature.ts';

/** Mean square of the steps from which a block is usable: 2 levels. Codecs blur weaker steps arbitrarily. */
const TELLING_SQUARE = 4;
/** The same limit as a ratio of the noise that a window leaves. */
const TELLING_NOISE = 0.5;
/** Correlation from which edges are the same: 0.5, half-way between the same (0.9 on all clips) and others (0). */
const SAME_CORRELATION = 0.5;
/** Minimum of the common energy: a hundredth of the view's, and three standard deviations of the noise. */
const SAME_LEAST = 0.01;
const DEVIATIONS = 3;
/**
 * Ratio of edge energy below which a block is blurred. A blur of 2 pixels leaves 0.45: two thirds of the edges' height.
 */
const BLURRED_ENERGY = 0.45;
/** Variance added to each side, one level, because a picture without contrast correlates with nothing. */
const SPREAD_MIN = 1;

export interface Comparison {
  /** Blocks of the view that have usable edges. */
  readonly telling: number;
  /** Ratios of those blocks: with the same edges, and with edges far weaker than the brightness explains. */
  readonly keptRatio: number;
  readonly blurred: number;
  /** Present edge energy, as a ratio of the view's. */
  readonly energy: number;
  /** Present edge energy of the complete picture, levels² per cell. */
  readonly edges: number;
  /** Coarse correlation of the levels, and the contrast relative to the view (1 = equal). */
  readonly coarse: number;
  readonly gain: number;
}

export class View {
  readonly #x: Float32Array;
  readonly #y: Float32Array;
  readonly #level: Float32Array;
  /** Variance that noise leaves in the means of a window, summed over each block. */
  readonly #noise = new Float64Array(BLOCKS);
  #windows = 0;

  constructor(cells: number) {
    this.#x = new Float32Array(cells);
    this.#y = new Float32Array(cells);
    this.#level = new Float32Array(cells);
  }

  /** Number of windows that it was learnt from. */
  get windows(): number {
    return this.#windows;
  }

  forget(): void {
    this.#windows = 0;
  }

  /** Returns the only data of it that may be stored outside of vision (condition-signature.ts). */
  signature(picture: ConditionPicture): string {
    return signatureOf(picture, this.#x, this.#y);
  }

  /** Learns a window, at first with the weight of an even mean, later with at least `weightMin`. */
  learn(picture: ConditionPicture, weightMin: number): void {
    const weight = Math.max(weightMin, 1 / (this.#windows + 1));
    this.#windows += 1;
    const scale = 1 / picture.frames;
    blend(this.#x, picture.stepX, scale, weight);
    blend(this.#y, picture.stepY, scale, weight);
    blend(this.#level, picture.level, scale, weight);
    const noise = this.#sums(picture).noise;
    for (let b = 0; b < BLOCKS; b += 1) {
      this.#noise[b] =
        (this.#noise[b] as number) + weight * ((noise[b] as number) - (this.#noise[b] as number));
    }
  }

  compare(picture: ConditionPicture): Comparison {
    const { coarse, gain } = this.#brightness(picture);
    const { now, both, view, noise } = this.#sums(picture);
    let [telling, keptBlocks, blurred, energyNow, energyView, edges] = [0, 0, 0, 0, 0, 0];
    for (let b = 0; b < BLOCKS; b += 1) {
      const cells = picture.cellsOf[b] as number;
      const own = view[b] as number;
      const signal = Math.max(0, (now[b] as number) - (noise[b] as number));
      edges += signal / picture.cells;
      if (cells === 0 || own < TELLING_SQUARE * cells || own < TELLING_NOISE * (this.#noise[b] as number))
        continue;
      telling += 1;
      energyNow += signal;
      energyView += own;
      const deviation = Math.sqrt((own * (noise[b] as number)) / (2 * cells));
      const least = Math.max(
        SAME_CORRELATION * Math.sqrt(signal * own),
        SAME_LEAST * own,
        DEVIATIONS * deviation,
      );
      if ((both[b] as number) >= least) keptBlocks += 1;
      if (signal < BLURRED_ENERGY * gain * gain * own) blurred += 1;
    }
    const of = Math.max(1, telling);
    const energy = energyView === 0 ? 1 : energyNow / energyView;
    return { telling, keptRatio: keptBlocks / of, blurred: blurred / of, energy, edges, coarse, gain };
  }

  /** Returns, by block, the squared means of now and of the view, their product, and the noise variance of now. */
  #sums({
    block,
    stepX,
    stepY,
    squares,
    frames,
  }: ConditionPicture): Record<'now' | 'both' | 'view' | 'noise', Float64Array> {
    const now = new Float64Array(BLOCKS);
    const both = new Float64Array(BLOCKS);
    const view = new Float64Array(BLOCKS);
    const scale = 1 / frames;
    for (let k = 0; k < block.length; k += 1) {
      const b = block[k] as number;
      const x = (stepX[k] as number) * scale;
      const y = (stepY[k] as number) * scale;
      const vx = this.#x[k] as number;
      const vy = this.#y[k] as number;
      now[b] = (now[b] as number) + x * x + y * y;
      both[b] = (both[b] as number) + x * vx + y * vy;
      view[b] = (view[b] as number) + vx * vx + vy * vy;
    }
    const noise = new Float64Array(BLOCKS);
    for (let b = 0; b < BLOCKS; b += 1) {
      const variance = ((squares[b] as number) * scale - (now[b] as number)) / Math.max(1, frames - 1);
      noise[b] = Math.max(0, variance);
    }
    return { now, both, view, noise };
  }

  #brightness({ level, frames }: ConditionPicture): { coarse: number; gain: number } {
    const cells = level.length;
    let [sumNow, sumView, nowNow, viewView, nowView] = [0, 0, 0, 0, 0];
    for (let k = 0; k < cells; k += 1) {
      const now = (level[k] as number) / frames;
      const view = this.#level[k] as number;
      sumNow += now;
      sumView += view;
      nowNow += now * now;
      viewView += view * view;
      nowView += now * view;
    }
    const spreadNow = nowNow / cells - (sumNow / cells) ** 2 + SPREAD_MIN;
    const spreadView = viewView / cells - (sumView / cells) ** 2 + SPREAD_MIN;
    const common = nowView / cells - (sumNow / cells) * (sumView / cells);
    return { coarse: common / Math.sqrt(spreadNow * spreadView), gain: Math.max(0, common / spreadView) };
  }
}

function blend(view: Float32Array, sums: Float32Array, scale: number, weight: number): void {
  for (let k = 0; k < view.length; k += 1) {
    const before = view[k] as number;
    view[k] = before + weight * ((sums[k] as number) * scale - before);
  }
}
