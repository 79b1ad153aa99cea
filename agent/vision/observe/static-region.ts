/**
 * Groups changed cells into regions and follows them from one evaluation to the next.
 *
 * LIMITS: at most `REGIONS_MAX` regions; further ones are counted and absorbed into the background.
 */
import type { Background } from './background.ts';
import { CHANGED } from './background-state.ts';
import { classify, colourStep, isLit, type Kind } from './static-region-kind.ts';

/** Largest gap in cells between the strokes of a scribble or the parts of an object. */
const GAP_CELLS = 2;
/** Minimum number of cells for an inside. An object of the smallest size that a rule takes by default has six. */
const CELLS_MIN = 4;
const REGIONS_MAX = 32;
/** Ratio of its largest number of cells that must still look changed for a region to remain. */
const REMAINING_RATIO = 0.35;

/** Number of evaluations (1.5 s) for which a cell must look lit. */
const LIT_STREAK = 3;
/** Ratio of cells that must be visible for an object to count as seen. */
const SEEN_RATIO = 0.5;
/** Number of evaluations (3 s) after which the kind is final. */
export const DECIDED_STREAK = 6;
/**
 * Longest time between the cells of one object coming to rest, in ms: the rest of a cell (1.5 s) and a step aside. A
 * later change next to a region is a separate region: a shadow, a stain or a sleeve.
 */
const BIRTH_MS = 2500;

export interface Region {
  readonly id: number;
  readonly foundMs: number;
  firstMs: number;
  grownMs: number;
  cells: number[];
  cellsMost: number;
  /** Cell coordinates, the last excluded. */
  box: [number, number, number, number];
  kind: Kind;
  /** Number of successive evaluations of this kind. */
  streak: number;
  /** True once its kind is final. */
  decided: boolean;
  /** Mean difference of colour to the ground, 0..255. */
  difference: number;
  /** Correlation of the ground's gradients with the present ones in its place; undefined if there are too few. */
  gradients: number | undefined;
  /** Number of cells, weighted by the ratio of them that the object covers. */
  objectCells: number;
  /** True if most of its cells are visible now, with their changed appearance. */
  isVisible: boolean;
  /** True if the detector's features exclude light, whatever the pixels look like. */
  other: boolean;
  /** Cells that changed next to it later and are not part of it. */
  spread: number;
  /** Strength of the outline now, and at the region's largest, levels. */
  outlineNow: number;
  outline: number;
}

export class StaticRegions {
  readonly #background: Background;
  /** Id of the region that a cell belongs to, 0 for none. */
  readonly #owner: Int32Array;
  readonly #queue: Int32Array;
  readonly #mark: Int32Array;
  /** Number of successive evaluations in which a changed cell looked like its ground in another light. */
  readonly #lit: Uint8Array;
  readonly #regions = new Map<number, Region>();
  #nextId = 1;
  #evaluation = 0;
  #droppedRegions = 0;

  constructor(background: Background) {
    const cells = background.state.length;
    this.#background = background;
    this.#owner = new Int32Array(cells);
    this.#queue = new Int32Array(cells);
    this.#mark = new Int32Array(cells);
    this.#lit = new Uint8Array(cells);
  }

  /** Followed regions by id. */
  get followedById(): ReadonlyMap<number, Region> {
    return this.#regions;
  }

  /** Regions that were not followed because there were too many. */
  get droppedRegions(): number {
    return this.#droppedRegions;
  }

  /** Evaluates the background; returns the newly found regions. */
  evaluate(atMs: number): Region[] {
    const newRegions: Region[] = [];
    if (this.#background.changedCells === 0 && this.#regions.size === 0) return newRegions;
    this.#evaluation += 1;
    const { state, picture } = this.#background;
    for (const cell of picture.grid.usedCells) {
      if (state[cell] !== CHANGED) this.#owner[cell] = 0;
      else this.#weighLight(cell);
    }
    for (const region of this.#regions.values()) {
      region.cells = region.cells.filter((cell) => this.#owner[cell] === region.id);
    }
    for (const cell of picture.grid.usedCells) {
      if (!this.#isLoose(cell) || this.#mark[cell] === this.#evaluation) continue;
      const region = this.#assign(this.#gather(cell), atMs);
      if (region !== undefined) newRegions.push(region);
    }
    for (const region of this.#regions.values()) this.#refresh(region);
    return newRegions;
  }

  /** Makes the region part of the ground. */
  absorb(region: Region): void {
    for (const cell of region.cells) this.#background.absorb(cell);
    this.#drop(region);
  }

  /** Makes the kind of a lasting object final, whatever happens around it. */
  decide(region: Region): void {
    if (region.kind === 'appeared' && region.streak >= DECIDED_STREAK) region.decided = true;
  }

  /** Returns the regions within `GAP_CELLS` of this one. */
  regionsBeside(region: Region): Region[] {
    const ids = new Set<number>();
    for (const cell of region.cells) this.#eachNear(cell, (next) => ids.add(this.#owner[next] as number));
    ids.delete(region.id);
    return [...ids].flatMap((id) => this.#regions.get(id) ?? []);
  }

  /** Merges the second region into the first, of which it has proved to be a part. */
  merge(region: Region, part: Region): void {
    for (const cell of part.cells) {
      this.#owner[cell] = region.id;
      region.cells.push(cell);
    }
    region.spread = Math.max(0, region.spread - part.cells.length);
    this.#regions.delete(part.id);
    this.#refresh(region);
  }

  /** Makes all changes ground after a change of the complete picture, except regions from before `sinceMs`. */
  relearn(sinceMs: number): void {
    for (const region of [...this.#regions.values()]) if (region.foundMs >= sinceMs) this.absorb(region);
    for (const cell of this.#background.picture.grid.usedCells) {
      if (this.#owner[cell] === 0) this.#background.absorb(cell);
    }
  }

  #drop(region: Region): void {
    for (const cell of region.cells) this.#owner[cell] = 0;
    this.#regions.delete(region.id);
  }

  /** Reports whether the cell has changed, is visible, and belongs to no region yet. */
  #isLoose(cell: number): boolean {
    const { state, occlusion, resting } = this.#background;
    // A change beside a person may be a shadow or a sleeve. It waits until the person has left and the cell is visible
    // again, because the ground there may look as before.
    return (
      state[cell] === CHANGED &&
      this.#owner[cell] === 0 &&
      this.#lit[cell] === 0 &&
      occlusion[cell] === 0 &&
      resting[cell] === 1
    );
  }

  /**
   * Counts evaluations in which the ground's pattern shows through a changed cell. It is lit differently, and becomes
   * ground after some of them.
   */
  #weighLight(cell: number): void {
    const lit = isLit(this.#background, cell) ? Math.min(LIT_STREAK, (this.#lit[cell] as number) + 1) : 0;
    this.#lit[cell] = lit;
    if (lit === 0) return;
    this.#owner[cell] = 0;
    if (lit < LIT_STREAK || this.#background.occlusion[cell] !== 0) return;
    this.#lit[cell] = 0;
    this.#background.absorb(cell);
  }

  /** Returns all loose cells connected to one, across gaps of `GAP_CELLS`. */
  #gather(start: number): Int32Array {
    const queue = this.#queue;
    let length = 1;
    queue[0] = start;
    this.#mark[start] = this.#evaluation;
    for (let head = 0; head < length; head += 1) {
      this.#eachNear(queue[head] as number, (next) => {
        if (!this.#isLoose(next) || this.#mark[next] === this.#evaluation) return;
        this.#mark[next] = this.#evaluation;
        queue[length++] = next;
      });
    }
    return queue.subarray(0, length);
  }

  #eachNear(cell: number, visit: (next: number) => void): void {
    const { columns, rows } = this.#background.picture.grid;
    const x = cell % columns;
    const y = (cell - x) / columns;
    const right = Math.min(columns - 1, x + GAP_CELLS);
    for (let ny = Math.max(0, y - GAP_CELLS); ny <= Math.min(rows - 1, y + GAP_CELLS); ny += 1) {
      for (let nx = Math.max(0, x - GAP_CELLS); nx <= right; nx += 1) visit(ny * columns + nx);
    }
  }

  /** Assigns connected cells to the oldest adjacent region that changed at the same time, or to a new one. */
  #assign(cells: Int32Array, atMs: number): Region | undefined {
    const ids = new Set<number>();
    for (const cell of cells) this.#eachNear(cell, (next) => ids.add(this.#owner[next] as number));
    ids.delete(0);
    const neighbours = [...ids].flatMap((id) => this.#regions.get(id) ?? []).sort((a, b) => a.id - b.id);
    const changedMs = this.#timeAt(cells, 0.5);
    const born = neighbours.find(({ firstMs }) => Math.abs(changedMs - firstMs) <= BIRTH_MS);
    if (born !== undefined) {
      for (const cell of cells) {
        born.cells.push(cell);
        this.#owner[cell] = born.id;
      }
      return undefined;
    }
    if (cells.length < CELLS_MIN) return undefined;
    if (this.#regions.size >= REGIONS_MAX) {
      this.#droppedRegions += 1;
      for (const cell of cells) this.#background.absorb(cell);
      return undefined;
    }
    for (const region of neighbours) region.spread += cells.length;
    return this.#addRegion(Array.from(cells), atMs);
  }

  #addRegion(cells: number[], atMs: number): Region {
    const id = this.#nextId++;
    for (const cell of cells) this.#owner[cell] = id;
    const region: Region = {
      id,
      foundMs: atMs,
      firstMs: this.#timeAt(cells, 0.5),
      grownMs: atMs,
      cells,
      cellsMost: cells.length,
      box: [0, 0, 0, 0],
      kind: 'changed',
      streak: 0,
      decided: false,
      difference: 0,
      gradients: undefined,
      objectCells: 0,
      isVisible: false,
      other: false,
      spread: 0,
      outlineNow: 0,
      outline: 0,
    };
    this.#regions.set(id, region);
    return region;
  }

  #refresh(region: Region): void {
    if (region.cells.length < Math.max(CELLS_MIN, REMAINING_RATIO * region.cellsMost)) {
      // A removed object leaves an outline where the ground's model is inexact. The remainder of a region of undecided
      // kind may be a separate object and is evaluated again.
      if (region.decided) for (const cell of region.cells) this.#background.absorb(cell);
      this.#drop(region);
      return;
    }
    region.box = this.#boxOf(region.cells);
    region.objectCells = this.#objectCellsOf(region.cells);
    region.isVisible = this.#seenOf(region.cells);
    region.grownMs = this.#timeAt(region.cells, 0.8);
    const { kind, difference, outline, gradients } = classify(
      this.#background,
      region.cells,
      (cell) => this.#owner[cell] === region.id,
      !region.other,
    );
    region.difference = difference;
    region.gradients = gradients;
    region.outlineNow = outline;
    region.cellsMost = Math.max(region.cells.length, region.cellsMost);
    if (region.decided) return;
    region.streak = kind === region.kind ? region.streak + 1 : 1;
    region.kind = kind;
    region.outline = outline;
  }

  /**
   * Returns the number of covered cells. A cell on the edge of an object is partly covered, and differs from its ground
   * by that part. So cells count by their difference, relative to that of the upper fifth.
   */
  #objectCellsOf(cells: readonly number[]): number {
    const { ground, changedPlanes } = this.#background;
    const differences = cells
      .map((cell) => colourStep(ground, cell, changedPlanes, cell))
      .sort((a, b) => a - b);
    const full = differences[Math.floor(0.8 * differences.length)] as number;
    return differences.reduce((sum, difference) => sum + Math.min(1, difference / full), 0);
  }

  #seenOf(cells: readonly number[]): boolean {
    const { resting } = this.#background;
    let count = 0;
    for (const cell of cells) count += resting[cell] as number;
    return count >= SEEN_RATIO * cells.length;
  }

  /** Returns the media time by which a ratio of the cells had changed. */
  #timeAt(cells: ArrayLike<number>, ratio: number): number {
    const { changedMs } = this.#background;
    const times = Array.from(cells, (cell) => changedMs[cell] as number).sort((a, b) => a - b);
    return times[Math.min(times.length - 1, Math.floor(ratio * times.length))] as number;
  }

  #boxOf(cells: readonly number[]): [number, number, number, number] {
    const { columns } = this.#background.picture.grid;
    const box: [number, number, number, number] = [columns, Number.MAX_SAFE_INTEGER, 0, 0];
    for (const cell of cells) {
      const x = cell % columns;
      const y = (cell - x) / columns;
      box[0] = Math.min(box[0], x);
      box[1] = Math.min(box[1], y);
      box[2] = Math.max(box[2], x + 1);
      box[3] = Math.max(box[3], y + 1);
    }
    return box;
  }
}
