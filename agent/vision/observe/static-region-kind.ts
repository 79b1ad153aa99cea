/**
 * Classifies the kind of change of a region.
 *
 * - Light (a permanent shadow, a lamp, the sun on part of the street) multiplies. The ground's own pattern remains,
 *   stronger or weaker, and colours keep their hue. Paint and objects hide the pattern.
 * - An object that appeared has an outline in the present picture that the ground does not have, and a texture unlike
 *   its surroundings. A removed object is the opposite (after Spagnolo et al., "An abandoned/removed objects detection
 *   algorithm", 2006).
 */
import type { Background } from './background.ts';
import { CHANGED, type Planes, UNKNOWN } from './background-state.ts';

/** Correlation of the pattern before and after from which it is the same pattern in other light. */
const PATTERN_MIN = 0.7;
/**
 * Distance in cells of the second gradient comparison. Wider gradients survive the codec and the small picture's means.
 * It requires this number of pairs of cells, and this strong a pattern (4 levels a step).
 */
const WIDE_CELLS = 3;
const WIDE_PAIRS_MIN = 16;
const WIDE_LEVELS2 = 15;
/** The same for one cell and its neighbours, with fewer comparable pairs. */
const LIT_PATTERN_MIN = 0.85;
const PAIRS_MIN = 6;
/** Mean squared step of a faint pattern (2.4 levels), which the codec may remove, so its absence proves nothing. */
const FAINT_LEVELS2 = 6;
/** Largest smooth step, levels², and minimum ratio of smooth steps; the others are penumbra. */
const SMOOTH_LEVELS2 = 9;
const SMOOTH_RATIO = 0.5;
/** Mean squared step between neighbouring cells from which the ground has a comparable pattern, levels². */
const PATTERN_LEVELS2 = 1.5;
/**
 * Range of factors by which light can change a surface. A cast shadow leaves 0.45 to 0.95 of the (gamma-coded) level;
 * sun on previously shaded ground gives the inverse.
 */
const LIGHT_MIN = 0.5;
const LIGHT_MAX = 2;
/**
 * Maximum factor without a pattern, when lit ground resembles a bright object. White is 2 to 3 times as bright as
 * asphalt.
 */
const SMOOTH_LIGHT_MAX = 1.6;
/** Largest mean difference of hue that light may cause, in levels; sky light is bluer than sunlight. */
const HUE_LEVELS = 10;
/** The same where the ground's pattern remains, for lamps of another colour. */
const PATTERN_HUE_LEVELS = 30;
/**
 * Weight of the texture relative to the outline, whose lean is -1 to 1. A texture twice as strong as the surroundings'
 * leans by 0.1.
 */
const TEXTURE_WEIGHT = 0.15;
/** Mean squared step below which texture is noise and codec, levels². */
const TEXTURE_LEVELS2 = 4;
/**
 * Lean from which an object appeared or was removed. Removed objects lean by -0.3 to -1, appeared ones by 0.05 to 1;
 * moved shadows and blurred edges lie at 0.
 */
const LEAN_MIN = 0.08;

export type Kind = 'appeared' | 'removed' | 'changed' | 'light';

export interface Classification {
  readonly kind: Kind;
  /** Mean difference of colour to the ground, 0..255. */
  readonly difference: number;
  /** Strength of the outline in the present picture, levels. */
  readonly outline: number;
  /**
   * Correlation of the ground's gradients with the present ones in its place, -1 to 1, independent of gain and offset.
   * Undefined if the ground has too few gradients.
   */
  readonly gradients: number | undefined;
}

/** Classifies the changed cells of a region. `own` selects its cells; `mayBeLight` states whether light is possible. */
export function classify(
  background: Background,
  cells: readonly number[],
  own: (cell: number) => boolean,
  mayBeLight = true,
): Classification {
  const { pattern, outline } = compare(background, cells, own);
  const difference = pattern.difference(cells.length);
  const now = outline.now();
  const before = outline.before();
  const gradients = wideGradients(background, cells, own);
  if (mayBeLight && pattern.isLight(cells.length))
    return { kind: 'light', difference, outline: now, gradients };
  const edges = (now - before) / Math.max(1e-6, now + before);
  const lean = edges + TEXTURE_WEIGHT * outline.textureLean(pattern);
  const kind = lean > LEAN_MIN ? 'appeared' : lean < -LEAN_MIN ? 'removed' : 'changed';
  return { kind, difference, outline: now, gradients };
}

function wideGradients(
  { ground, changedPlanes, picture }: Background,
  cells: readonly number[],
  own: (cell: number) => boolean,
): number | undefined {
  const { columns } = picture.grid;
  let before2 = 0;
  let after2 = 0;
  let both = 0;
  let pairs = 0;
  for (const cell of cells) {
    for (const step of [WIDE_CELLS, WIDE_CELLS * columns]) {
      const other = cell + step;
      if (!own(other) || (step === WIDE_CELLS && (cell % columns) + step >= columns)) continue;
      const before = luma(ground, cell) - luma(ground, other);
      const after = luma(changedPlanes, cell) - luma(changedPlanes, other);
      before2 += before * before;
      after2 += after * after;
      both += before * after;
      pairs += 1;
    }
  }
  if (pairs < WIDE_PAIRS_MIN || before2 < WIDE_LEVELS2 * pairs) return undefined;
  return both / Math.sqrt(Math.max(1e-6, before2 * after2));
}

/** Reports whether a cell looks like its ground in another light, according to it and its changed neighbours. */
export function isLit(background: Background, cell: number, reach = 1): boolean {
  const { ground, changedPlanes, picture, state } = background;
  const { columns, rows } = picture.grid;
  const pattern = new Pattern();
  pattern.cell(ground, changedPlanes, cell);
  if (!pattern.isPlausible(1, PATTERN_HUE_LEVELS, LIGHT_MAX)) return false;
  const x = cell % columns;
  const y = (cell - x) / columns;
  const right = Math.min(columns - 1, x + reach);
  const bottom = Math.min(rows - 1, y + reach);
  for (let ny = Math.max(0, y - reach); ny <= bottom; ny += 1) {
    for (let nx = Math.max(0, x - reach); nx <= right; nx += 1) {
      const near = ny * columns + nx;
      if (state[near] !== CHANGED) continue;
      if (nx < right && state[near + 1] === CHANGED) pattern.pair(ground, changedPlanes, near, near + 1);
      if (ny < bottom && state[near + columns] === CHANGED)
        pattern.pair(ground, changedPlanes, near, near + columns);
    }
  }
  if (pattern.pairs < PAIRS_MIN && reach === 1) return isLit(background, cell, 2);
  return pattern.pairs >= PAIRS_MIN && pattern.showsThrough(LIT_PATTERN_MIN);
}

/** Visits the cells and their neighbours to the right and below, left and above. */
function compare(background: Background, cells: readonly number[], own: (cell: number) => boolean) {
  const { ground, changedPlanes, now, picture, resting, state } = background;
  const { columns, rows } = picture.grid;
  const pattern = new Pattern();
  const outline = new Outline();
  for (const cell of cells) {
    pattern.cell(ground, changedPlanes, cell);
    const x = cell % columns;
    const y = (cell - x) / columns;
    for (const [dx, dy] of NEIGHBOURS) {
      if (x + dx < 0 || x + dx >= columns || y + dy < 0 || y + dy >= rows) continue;
      const next = cell + dy * columns + dx;
      if (own(next)) {
        if (dx + dy > 0) pattern.pair(ground, changedPlanes, cell, next);
        continue;
      }
      if (state[next] === UNKNOWN) continue;
      const outerPlanes = resting[next] === 1 ? now : ground;
      outline.pair(ground, changedPlanes, outerPlanes, cell, next);
      if (x + 2 * dx < 0 || x + 2 * dx >= columns || y + 2 * dy < 0 || y + 2 * dy >= rows) continue;
      const further = next + dy * columns + dx;
      if (!own(further) && state[further] !== UNKNOWN) outline.surroundings(ground, next, further);
    }
  }
  return { pattern, outline };
}

const NEIGHBOURS = [
  [1, 0],
  [0, 1],
  [-1, 0],
  [0, -1],
] as const;

function luma(planes: Planes, i: number): number {
  return 0.25 * ((planes.red[i] as number) + 2 * (planes.green[i] as number) + (planes.blue[i] as number));
}

/** Returns the sum of the differences of the three channels. */
export function colourStep(a: Planes, i: number, b: Planes, j: number): number {
  return (
    Math.abs((a.red[i] as number) - (b.red[j] as number)) +
    Math.abs((a.green[i] as number) - (b.green[j] as number)) +
    Math.abs((a.blue[i] as number) - (b.blue[j] as number))
  );
}

/** Outline of a region now and before: the edge itself, and the mean colours on its two sides. */
class Outline {
  /** Colours, three each: inside now, outside now, inside before, outside before. */
  readonly #sums = new Float64Array(12);
  #edgeNow = 0;
  #edgeBefore = 0;
  #pairs = 0;
  #around2 = 0;
  #aroundPairs = 0;

  pair(ground: Planes, changedPlanes: Planes, outerPlanes: Planes, inner: number, outer: number): void {
    this.#edgeNow += colourStep(changedPlanes, inner, outerPlanes, outer);
    this.#edgeBefore += colourStep(ground, inner, ground, outer);
    this.#add(0, changedPlanes, inner);
    this.#add(3, outerPlanes, outer);
    this.#add(6, ground, inner);
    this.#add(9, ground, outer);
    this.#pairs += 1;
  }

  /** Adds a pair of neighbours outside. */
  surroundings(ground: Planes, near: number, further: number): void {
    this.#around2 += (luma(ground, near) - luma(ground, further)) ** 2;
    this.#aroundPairs += 1;
  }

  /**
   * Returns the strength of the outline. The means of both sides are added, because on a strong pattern the edge alone
   * is unreliable.
   */
  now(): number {
    return (this.#edgeNow + this.#step(0, 3)) / Math.max(1, this.#pairs);
  }

  before(): number {
    return (this.#edgeBefore + this.#step(6, 9)) / Math.max(1, this.#pairs);
  }

  /**
   * Returns how much further the texture now is from that of the surroundings than the texture before, in octaves, -2
   * to 2.
   */
  textureLean(pattern: Pattern): number {
    if (this.#aroundPairs === 0 || pattern.pairs === 0) return 0;
    const surroundTexture = Math.log2(this.#around2 / this.#aroundPairs + TEXTURE_LEVELS2);
    const now = Math.abs(Math.log2(pattern.after2 + TEXTURE_LEVELS2) - surroundTexture);
    const before = Math.abs(Math.log2(pattern.before2 + TEXTURE_LEVELS2) - surroundTexture);
    return Math.max(-2, Math.min(2, (now - before) / 2));
  }

  #add(at: number, planes: Planes, i: number): void {
    const sums = this.#sums;
    sums[at] = (sums[at] as number) + (planes.red[i] as number);
    sums[at + 1] = (sums[at + 1] as number) + (planes.green[i] as number);
    sums[at + 2] = (sums[at + 2] as number) + (planes.blue[i] as number);
  }

  #step(a: number, b: number): number {
    let sum = 0;
    for (let c = 0; c < 3; c += 1)
      sum += Math.abs((this.#sums[a + c] as number) - (this.#sums[b + c] as number));
    return sum;
  }
}

/** Sums that show whether the ground's pattern remains visible. */
class Pattern {
  #before2 = 0;
  #after2 = 0;
  #both = 0;
  #pairs = 0;
  #smoothPairs = 0;
  #lumaBefore = 0;
  #lumaAfter = 0;
  #hue = 0;
  #difference = 0;

  cell(ground: Planes, changedPlanes: Planes, i: number): void {
    const before = Math.max(1, luma(ground, i));
    const after = luma(changedPlanes, i);
    const ratio = after / before;
    this.#lumaBefore += before;
    this.#lumaAfter += after;
    const green = (changedPlanes.green[i] as number) - ratio * (ground.green[i] as number);
    const red = (changedPlanes.red[i] as number) - ratio * (ground.red[i] as number);
    const blue = (changedPlanes.blue[i] as number) - ratio * (ground.blue[i] as number);
    this.#hue += Math.abs(red - green) + Math.abs(blue - green);
    this.#difference += colourStep(ground, i, changedPlanes, i) / 3;
  }

  pair(ground: Planes, changedPlanes: Planes, i: number, j: number): void {
    const before = luma(ground, i) - luma(ground, j);
    const after = luma(changedPlanes, i) - luma(changedPlanes, j);
    this.#before2 += before * before;
    this.#after2 += after * after;
    this.#both += before * after;
    if (after * after <= SMOOTH_LEVELS2) this.#smoothPairs += 1;
    this.#pairs += 1;
  }

  get pairs(): number {
    return this.#pairs;
  }

  /** Mean squared step between neighbours before and after, levels². */
  get before2(): number {
    return this.#before2 / Math.max(1, this.#pairs);
  }

  get after2(): number {
    return this.#after2 / Math.max(1, this.#pairs);
  }

  /** Reports whether light can have caused this difference of level and hue. */
  isPlausible(cells: number, hueMax: number, ratioMax: number): boolean {
    const ratio = this.#lumaAfter / this.#lumaBefore;
    return ratio > LIGHT_MIN && ratio < ratioMax && this.#hue / cells < hueMax;
  }

  /** Reports whether the ground has a pattern that is there before and after. */
  showsThrough(correlationMin: number): boolean {
    const correlation = this.#both / Math.sqrt(Math.max(1e-6, this.#before2 * this.#after2));
    return this.#before2 > PATTERN_LEVELS2 * this.#pairs && correlation > correlationMin;
  }

  /** Reports whether the ground was smooth and is smooth now, except for the rim. */
  isSmooth(): boolean {
    return this.#before2 <= FAINT_LEVELS2 * this.#pairs && this.#smoothPairs >= SMOOTH_RATIO * this.#pairs;
  }

  /** Reports whether the region is the ground in another light. */
  isLight(cells: number): boolean {
    return (
      (this.isPlausible(cells, PATTERN_HUE_LEVELS, LIGHT_MAX) && this.showsThrough(PATTERN_MIN)) ||
      (this.isPlausible(cells, HUE_LEVELS, SMOOTH_LIGHT_MAX) && this.isSmooth())
    );
  }

  /** Returns the mean difference of colour before and after, 0..255. */
  difference(cells: number): number {
    return this.#difference / cells;
  }
}
