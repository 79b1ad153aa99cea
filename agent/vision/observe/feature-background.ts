/**
 * A background that light hardly touches: what the detector's backbone makes of each place after its first stage
 * (`Look.features`, about twice a second). A thing in a place turns its features, a shadow, the sun and the camera's
 * gain leave their direction as it was, so the measure is the cosine between before and now
 * (docs/design/006-static-regions.md has the figures).
 *
 * INVARIANTS: nothing is learnt in or beside the box of a person or vehicle, nor where anything moves or has changed
 * and is not ground yet; what is known is a mean of each place, in this process's memory, and goes when the size of the
 * source or of the detector's input changes.
 * LIMITS: two means of `VALUES_MAX` values (8 MiB each); features on a finer grid than that are not used (counted).
 */

import { type SizePx, sameSize } from '../../contract/geometry.ts';
import { placementOf } from '../../contract/letterbox.ts';
import type { Features } from '../../contract/picture.ts';
import type { Background } from './background.ts';
import { GROUND } from './background-state.ts';
import type { Grid } from './small-picture.ts';

/** 128 channels of an input of 960×960. */
const VALUES_MAX = 128 * 120 * 120;
/** Time constant of the ground: as that of its brightness, long against a passer-by and short against a season. */
const GROUND_MS = 60_000;
/** … and of the present: averages out the noise of three looks. */
const NOW_MS = 1500;
/** A place is compared when its ground has been seen so often. */
const SEEN_MIN = 2;
/** An eighth of the cells is learnt at a look, since neighbouring looks say the same; all of them while all is new. */
const PHASES = 8;
const FIRST_MS = 10_000;
/** A cell of the features is inside a region that covers so much of it. */
const INSIDE_SHARE = 0.5;
/** The rim of a region is left out where so many cells remain. */
const CORE_CELLS = 4;
const NEIGHBOURS = [
  [1, 0],
  [-1, 0],
  [0, 1],
  [0, -1],
] as const;
/** Places that say how the whole picture has turned, and so many at least. */
const SAMPLES = 32;
const SAMPLES_MIN = 12;
/** Somebody stands before the cell or beside it. */
const STANDS_BEFORE = 2;

/** How far a region's place has turned from its ground. */
export interface Turn {
  /** Cosine distance, mean over the region's inside; 0 as before, about 1 nothing in common. */
  readonly distance: number;
  /** Cells of the features inside; their sides are 8 pixels of the detector's input. */
  readonly cells: number;
}

export class FeatureBackground {
  #dropped = 0;
  #source: SizePx | undefined;
  #input: SizePx | undefined;
  #channels = 0;
  #columns = 0;
  #rows = 0;
  #ground = new Float32Array(0);
  #now = new Float32Array(0);
  /** Looks of which the ground of a cell is the mean, and when the last was. */
  #seen = new Uint16Array(0);
  #learntMs = new Float64Array(0);
  /** When the present of a cell was last brought up to date. */
  #nowMs = new Float64Array(0);
  /** For each cell of the small picture, the cell of the features in which its middle lies. */
  #at = new Int32Array(0);
  /** Cells of the small picture to a whole cell of the features. */
  #perCell = 1;
  /** 1 where nothing may be learnt now. */
  #blocked = new Uint8Array(0);
  #wanted = new Uint8Array(0);
  /** Cells that a mean takes in, and by what share. */
  #due = new Int32Array(0);
  #shares = new Float32Array(0);
  readonly #covers = new Map<number, number>();
  readonly #samples: number[] = [];
  #firstMs = 0;
  #looks = 0;
  #unrest: number | undefined;

  /** Looks whose features were too many. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Looks that were taken. */
  get looks(): number {
    return this.#looks;
  }

  /**
   * Cosine distance of the last look from the ground, median over places before which nobody stands: what the whole
   * picture has turned by. Undefined where too little is known.
   */
  get unrest(): number | undefined {
    return this.#unrest;
  }

  /** Takes the features of a look at `atMs`, when the background has taken its frame; `regions`: the cells of each. */
  learn(
    features: Features,
    background: Background,
    source: SizePx,
    regions: Iterable<readonly number[]>,
    atMs: number,
  ): void {
    if (features.values.length > VALUES_MAX) {
      this.#dropped += 1;
      return;
    }
    this.#fit(features, background.picture.grid, source, atMs);
    this.#looks += 1;
    this.#block(background);
    this.#sample(features);
    this.#learnDue(features, atMs);
    this.#see(features, background, regions, atMs);
  }

  /** How far the place of some cells has turned; undefined where too little is known of it. `sinceMs`: its change. */
  turnOf(cells: readonly number[], sinceMs: number): Turn | undefined {
    this.#cover(cells);
    let around = 0;
    let shares = 0;
    const whole = { distance: 0, cells: 0 };
    const core = { distance: 0, cells: 0 };
    for (const [i, count] of this.#covers) {
      if ((this.#seen[i] as number) < SEEN_MIN || (this.#nowMs[i] as number) < sinceMs) continue;
      const distance = turn(this.#ground, this.#now, i, this.#channels, 0);
      const share = Math.min(1, count / this.#perCell);
      around += share * distance;
      shares += share;
      if (share < INSIDE_SHARE) continue;
      add(whole, distance);
      if (NEIGHBOURS.every(([x, y]) => this.#covers.has(i + x + y * this.#columns))) add(core, distance);
    }
    // The rim turns with every edge, that of a shadow too.
    const inside = core.cells >= CORE_CELLS ? core : whole;
    if (inside.cells > 0) return { distance: inside.distance / inside.cells, cells: inside.cells };
    return shares > 0 ? { distance: around / shares, cells: 0 } : undefined;
  }

  /** Counts, for each cell of the features, the cells of a region in it. */
  #cover(cells: readonly number[]): void {
    this.#covers.clear();
    for (const cell of cells) {
      const i = this.#at[cell];
      if (i !== undefined) this.#covers.set(i, (this.#covers.get(i) ?? 0) + 1);
    }
  }

  /** What stands in these cells now is ground: it is learnt anew. */
  absorb(cells: readonly number[]): void {
    for (const cell of cells) {
      const i = this.#at[cell];
      if (i !== undefined) this.#seen[i] = 0;
    }
  }

  /** The picture as a whole is another: all of it is learnt anew. */
  forget(): void {
    this.#seen.fill(0);
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
    this.#seen = new Uint16Array(cells);
    this.#learntMs = new Float64Array(cells);
    this.#nowMs = new Float64Array(cells);
    this.#blocked = new Uint8Array(cells);
    this.#wanted = new Uint8Array(cells);
    this.#due = new Int32Array(cells);
    this.#shares = new Float32Array(cells);
    const placement = placementOf(source, input);
    const across = (placement.widthPx * grid.sourcePxPerCell[0]) / source.widthPx;
    const down = (placement.heightPx * grid.sourcePxPerCell[1]) / source.heightPx;
    this.#perCell = (cellPx * cellPx) / (across * down);
    this.#at = Int32Array.from({ length: grid.columns * grid.rows }, (_, cell) => {
      const x = placement.leftPx + ((cell % grid.columns) + 0.5) * across;
      const y = placement.topPx + (Math.floor(cell / grid.columns) + 0.5) * down;
      const [column, row] = [Math.floor(x / cellPx), Math.floor(y / cellPx)];
      return Math.min(rows - 1, row) * columns + Math.min(columns - 1, column);
    });
  }

  /** A cell sees its neighbours too: what is beside something that is no ground is not learnt either. */
  #block({ picture, state, resting, covered }: Background): void {
    const blocked = this.#blocked.fill(1);
    const wanted = this.#wanted.fill(0);
    for (const cell of picture.grid.used) {
      const i = this.#at[cell] as number;
      blocked[i] = 0;
      if (covered[cell] !== 0) wanted[i] = STANDS_BEFORE;
      else if (wanted[i] === 0 && (resting[cell] === 0 || state[cell] !== GROUND)) wanted[i] = 1;
    }
    const columns = this.#columns;
    for (let i = 0; i < wanted.length; i += 1) {
      if (wanted[i] === 0) continue;
      const x = i % columns;
      const y = (i - x) / columns;
      for (let ny = Math.max(0, y - 1); ny <= Math.min(this.#rows - 1, y + 1); ny += 1) {
        const from = ny * columns;
        blocked.fill(1, from + Math.max(0, x - 1), from + Math.min(columns, x + 2));
      }
    }
  }

  /** Needs what `#block` has found out: places before which somebody stands are left out. */
  #sample(features: Features): void {
    const { values, channels, zeroPoint } = features;
    const samples = this.#samples;
    samples.length = 0;
    const cells = this.#seen.length;
    const step = Math.max(1, Math.floor(cells / SAMPLES));
    for (let i = this.#looks % step; i < cells; i += step) {
      if ((this.#seen[i] as number) < SEEN_MIN || this.#wanted[i] === STANDS_BEFORE) continue;
      samples.push(turn(this.#ground, values, i, channels, zeroPoint));
    }
    samples.sort((a, b) => a - b);
    this.#unrest = samples.length < SAMPLES_MIN ? undefined : samples[Math.floor(samples.length / 2)];
  }

  #learnDue(features: Features, atMs: number): void {
    const all = atMs - this.#firstMs < FIRST_MS;
    const phase = this.#looks % PHASES;
    let count = 0;
    for (let i = 0; i < this.#blocked.length; i += 1) {
      if (this.#blocked[i] !== 0) continue;
      const seen = this.#seen[i] as number;
      if (!all && i % PHASES !== phase && seen >= SEEN_MIN) continue;
      const elapsedMs = atMs - (this.#learntMs[i] as number);
      this.#due[count] = i;
      this.#shares[count] = Math.max(1 / (seen + 1), 1 - Math.exp(-elapsedMs / GROUND_MS));
      this.#learntMs[i] = atMs;
      this.#seen[i] = Math.min(65_535, seen + 1);
      count += 1;
    }
    this.#blend(this.#ground, features, count);
  }

  /** The present of the regions' places, where nobody stands before them. */
  #see(
    features: Features,
    { covered }: Background,
    regions: Iterable<readonly number[]>,
    atMs: number,
  ): void {
    const wanted = this.#wanted.fill(0);
    for (const cells of regions) {
      for (const cell of cells) if (covered[cell] === 0) wanted[this.#at[cell] as number] = 1;
    }
    let count = 0;
    for (let i = 0; i < wanted.length; i += 1) {
      if (wanted[i] === 0) continue;
      this.#due[count] = i;
      this.#shares[count] = 1 - Math.exp(-(atMs - (this.#nowMs[i] as number)) / NOW_MS);
      this.#nowMs[i] = atMs;
      count += 1;
    }
    this.#blend(this.#now, features, count);
  }

  /** Takes the first `count` of the due cells into a mean, each by its share. */
  #blend(mean: Float32Array, { values, channels, zeroPoint }: Features, count: number): void {
    for (let k = 0; k < count; k += 1) {
      const from = channels * (this.#due[k] as number);
      const share = this.#shares[k] as number;
      for (let at = from; at < from + channels; at += 1) {
        const was = mean[at] as number;
        mean[at] = was + share * ((values[at] as number) - zeroPoint - was);
      }
    }
  }
}

/** Cosine distance of a cell from its mean; `zero`: the level of `after` that says 0. */
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
