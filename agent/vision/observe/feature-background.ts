/**
 * Models the background with features that light hardly affects: the detector backbone's output after its first stage
 * (`Look.features`, about twice a second). An object changes the direction of a place's feature vector. Shadows, sun
 * and camera gain leave the direction unchanged. So the measure is the cosine between before and now (measured in
 * docs/design/006-static-regions.md).
 *
 * INVARIANTS:
 * - It does not learn in or beside the box of a person or vehicle.
 * - It does not learn where something moves, or has changed and is not ground yet.
 * - It holds a mean of each place, only in this process's memory. It is dropped when the size of the source or of the
 *   detector's input changes.
 * LIMITS: two means of `VALUES_MAX` values (8 MiB each). Features on a finer grid are not used (counted).
 */

import { type SizePx, sameSize } from '../../contract/geometry.ts';
import { placementOf } from '../../contract/letterbox.ts';
import type { Features } from '../../contract/picture.ts';
import type { Background } from './background.ts';
import { GROUND } from './background-state.ts';
import type { Grid } from './small-picture.ts';

/** 128 channels of a 960×960 input. */
const VALUES_MAX = 128 * 120 * 120;
/** Time constant of the ground in ms, as for its brightness: long for a passer-by and short for a season. */
const GROUND_MS = 60_000;
/** Time constant of the present in ms, which averages the noise of three detector runs. */
const NOW_MS = 1500;
/** Detector runs required before a place is compared. */
const SEEN_MIN = 2;
/**
 * One of this many cells is learnt in a run, because neighbouring runs are alike; all cells while everything is new.
 */
const PHASES = 8;
const FIRST_MS = 10_000;
/** Ratio of a feature cell that a region must cover to contain it. */
const INSIDE_RATIO = 0.5;
/** Cells that must remain for the rim of a region to be ignored. */
const CORE_CELLS = 4;
const NEIGHBOURS = [
  [1, 0],
  [-1, 0],
  [0, 1],
  [0, -1],
] as const;
/** Maximum and minimum number of places that measure the turn of the complete picture. */
const SAMPLES = 32;
const SAMPLES_MIN = 12;
/** An object is in front of the cell or beside it. */
const OBJECT_NEAR = 2;

/** Turn of a region's place from its ground. */
export interface Turn {
  /** Mean cosine distance inside the region: 0 means as before, about 1 nothing in common. */
  readonly distance: number;
  /** Feature cells inside; their sides are 8 pixels of the detector's input. */
  readonly cells: number;
}

export class FeatureBackground {
  #droppedRuns = 0;
  #source: SizePx | undefined;
  #input: SizePx | undefined;
  #channels = 0;
  #columns = 0;
  #rows = 0;
  #ground = new Float32Array(0);
  #now = new Float32Array(0);
  /** Runs averaged in a cell's ground, and the time of the last one. */
  #runs = new Uint16Array(0);
  #learntMs = new Float64Array(0);
  /** Time when a cell's present was last updated. */
  #nowMs = new Float64Array(0);
  /** Feature cell that contains the centre of each cell of the small picture. */
  #at = new Int32Array(0);
  /** Cells of the small picture per complete feature cell. */
  #perCell = 1;
  /** 1 where learning is blocked now. */
  #blocked = new Uint8Array(0);
  #marks = new Uint8Array(0);
  /** Cells to blend into a mean, and at which ratio. */
  #due = new Int32Array(0);
  #ratios = new Float32Array(0);
  readonly #cellCounts = new Map<number, number>();
  readonly #samples: number[] = [];
  #firstMs = 0;
  #usedRuns = 0;
  #unrest: number | undefined;

  /** Runs with too many features. */
  get droppedRuns(): number {
    return this.#droppedRuns;
  }

  /** Runs that were used. */
  get usedRuns(): number {
    return this.#usedRuns;
  }

  /**
   * Median cosine distance of the last run from the ground, over places without an object in front. It measures the
   * turn of the complete picture. Undefined if too few places are known.
   */
  get unrest(): number | undefined {
    return this.#unrest;
  }

  /**
   * Takes the features of a run at `atMs`, after the background has taken its frame; `regions` holds the cells of each.
   */
  learn(
    features: Features,
    background: Background,
    source: SizePx,
    regions: Iterable<readonly number[]>,
    atMs: number,
  ): void {
    if (features.values.length > VALUES_MAX) {
      this.#droppedRuns += 1;
      return;
    }
    this.#fit(features, background.picture.grid, source, atMs);
    this.#usedRuns += 1;
    this.#block(background);
    this.#sample(features);
    this.#learnDue(features, atMs);
    this.#see(features, background, regions, atMs);
  }

  /** Returns the turn of a place; undefined if too little of it is known. `sinceMs` is the time of its change. */
  turnOf(cells: readonly number[], sinceMs: number): Turn | undefined {
    this.#countCells(cells);
    let distanceSum = 0;
    let ratioSum = 0;
    const area = { distance: 0, cells: 0 };
    const core = { distance: 0, cells: 0 };
    for (const [i, count] of this.#cellCounts) {
      if ((this.#runs[i] as number) < SEEN_MIN || (this.#nowMs[i] as number) < sinceMs) continue;
      const distance = turn(this.#ground, this.#now, i, this.#channels, 0);
      const ratio = Math.min(1, count / this.#perCell);
      distanceSum += ratio * distance;
      ratioSum += ratio;
      if (ratio < INSIDE_RATIO) continue;
      add(area, distance);
      if (NEIGHBOURS.every(([x, y]) => this.#cellCounts.has(i + x + y * this.#columns))) add(core, distance);
    }
    // The rim turns with every edge, including a shadow's.
    const inside = core.cells >= CORE_CELLS ? core : area;
    if (inside.cells > 0) return { distance: inside.distance / inside.cells, cells: inside.cells };
    return ratioSum > 0 ? { distance: distanceSum / ratioSum, cells: 0 } : undefined;
  }

  /** Counts the cells of a region in each feature cell. */
  #countCells(cells: readonly number[]): void {
    this.#cellCounts.clear();
    for (const cell of cells) {
      const i = this.#at[cell];
      if (i !== undefined) this.#cellCounts.set(i, (this.#cellCounts.get(i) ?? 0) + 1);
    }
  }

  /** Learns these cells again, because they are ground now. */
  absorb(cells: readonly number[]): void {
    for (const cell of cells) {
      const i = this.#at[cell];
      if (i !== undefined) this.#runs[i] = 0;
    }
  }

  /** Learns everything again, because the complete picture has changed. */
  forget(): void {
    this.#runs.fill(0);
  }

  #fit({ columns, rows, channels, cellPx, input }: Features, grid: Grid, source: SizePx, atMs: number): void {
    const same =
      sameSize(this.#source, source) &&
      sameSize(this.#input, input) &&
      channels === this.#channels &&
      columns === this.#columns &&
      rows === this.#rows;
    if (same) return;
    const cells = columns * rows;
    this.#source = source;
    this.#input = input;
    this.#channels = channels;
    this.#columns = columns;
    this.#rows = rows;
    this.#firstMs = atMs;
    this.#ground = new Float32Array(cells * channels);
    this.#now = new Float32Array(cells * channels);
    this.#runs = new Uint16Array(cells);
    this.#learntMs = new Float64Array(cells);
    this.#nowMs = new Float64Array(cells);
    this.#blocked = new Uint8Array(cells);
    this.#marks = new Uint8Array(cells);
    this.#due = new Int32Array(cells);
    this.#ratios = new Float32Array(cells);
    const placement = placementOf(source, input);
    const cellWidthPx = (placement.widthPx * grid.sourcePxPerCell[0]) / source.widthPx;
    const cellHeightPx = (placement.heightPx * grid.sourcePxPerCell[1]) / source.heightPx;
    this.#perCell = (cellPx * cellPx) / (cellWidthPx * cellHeightPx);
    this.#at = Int32Array.from({ length: grid.columns * grid.rows }, (_, cell) => {
      const x = placement.leftPx + ((cell % grid.columns) + 0.5) * cellWidthPx;
      const y = placement.topPx + (Math.floor(cell / grid.columns) + 0.5) * cellHeightPx;
      const [column, row] = [Math.floor(x / cellPx), Math.floor(y / cellPx)];
      return Math.min(rows - 1, row) * columns + Math.min(columns - 1, column);
    });
  }

  /** Blocks cells that are not ground and their neighbours, because features extend over neighbouring cells. */
  #block({ picture, state, resting, occlusion }: Background): void {
    const blocked = this.#blocked.fill(1);
    const marks = this.#marks.fill(0);
    for (const cell of picture.grid.usedCells) {
      const i = this.#at[cell] as number;
      blocked[i] = 0;
      if (occlusion[cell] !== 0) marks[i] = OBJECT_NEAR;
      else if (marks[i] === 0 && (resting[cell] === 0 || state[cell] !== GROUND)) marks[i] = 1;
    }
    const columns = this.#columns;
    for (let i = 0; i < marks.length; i += 1) {
      if (marks[i] === 0) continue;
      const x = i % columns;
      const y = (i - x) / columns;
      for (let ny = Math.max(0, y - 1); ny <= Math.min(this.#rows - 1, y + 1); ny += 1) {
        const from = ny * columns;
        blocked.fill(1, from + Math.max(0, x - 1), from + Math.min(columns, x + 2));
      }
    }
  }

  /** Measures the unrest. It needs the result of `#block`, because places with an object in front are ignored. */
  #sample(features: Features): void {
    const { values, channels, zeroPoint } = features;
    const samples = this.#samples;
    samples.length = 0;
    const cells = this.#runs.length;
    const step = Math.max(1, Math.floor(cells / SAMPLES));
    for (let i = this.#usedRuns % step; i < cells; i += step) {
      if ((this.#runs[i] as number) < SEEN_MIN || this.#marks[i] === OBJECT_NEAR) continue;
      samples.push(turn(this.#ground, values, i, channels, zeroPoint));
    }
    samples.sort((a, b) => a - b);
    this.#unrest = samples.length < SAMPLES_MIN ? undefined : samples[Math.floor(samples.length / 2)];
  }

  #learnDue(features: Features, atMs: number): void {
    const all = atMs - this.#firstMs < FIRST_MS;
    const phase = this.#usedRuns % PHASES;
    let count = 0;
    for (let i = 0; i < this.#blocked.length; i += 1) {
      if (this.#blocked[i] !== 0) continue;
      const runs = this.#runs[i] as number;
      if (!all && i % PHASES !== phase && runs >= SEEN_MIN) continue;
      const elapsedMs = atMs - (this.#learntMs[i] as number);
      this.#due[count] = i;
      this.#ratios[count] = Math.max(1 / (runs + 1), 1 - Math.exp(-elapsedMs / GROUND_MS));
      this.#learntMs[i] = atMs;
      this.#runs[i] = Math.min(65_535, runs + 1);
      count += 1;
    }
    this.#blend(this.#ground, features, count);
  }

  /** Updates the present of the regions' places that have no object in front. */
  #see(
    features: Features,
    { occlusion }: Background,
    regions: Iterable<readonly number[]>,
    atMs: number,
  ): void {
    const marks = this.#marks.fill(0);
    for (const cells of regions) {
      for (const cell of cells) if (occlusion[cell] === 0) marks[this.#at[cell] as number] = 1;
    }
    let count = 0;
    for (let i = 0; i < marks.length; i += 1) {
      if (marks[i] === 0) continue;
      this.#due[count] = i;
      this.#ratios[count] = 1 - Math.exp(-(atMs - (this.#nowMs[i] as number)) / NOW_MS);
      this.#nowMs[i] = atMs;
      count += 1;
    }
    this.#blend(this.#now, features, count);
  }

  /** Blends the first `count` due cells into a mean, each at its ratio. */
  #blend(mean: Float32Array, { values, channels, zeroPoint }: Features, count: number): void {
    for (let k = 0; k < count; k += 1) {
      const from = channels * (this.#due[k] as number);
      const ratio = this.#ratios[k] as number;
      for (let at = from; at < from + channels; at += 1) {
        const was = mean[at] as number;
        mean[at] = was + ratio * ((values[at] as number) - zeroPoint - was);
      }
    }
  }
}

/** Returns the cosine distance of a cell from its mean; `zero` is the level of `after` for 0. */
function turn(
  before: Float32Array,
  after: Float32Array | Uint8Array,
  cell: number,
  channels: number,
  zero: number,
): number {
  let both = 0;
  let before2 = 0;
  let after2 = 0;
  for (let at = cell * channels; at < (cell + 1) * channels; at += 1) {
    const was = before[at] as number;
    const is = (after[at] as number) - zero;
    both += was * is;
    before2 += was * was;
    after2 += is * is;
  }
  return 1 - both / Math.sqrt(Math.max(1e-12, before2 * after2));
}

function add(sum: { distance: number; cells: number }, distance: number): void {
  sum.distance += distance;
  sum.cells += 1;
}
