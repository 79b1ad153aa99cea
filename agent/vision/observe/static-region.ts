/**
 * Changed cells that belong together, followed from look to look.
 *
 * LIMITS: regions are found among at most `REGIONS_MAX`; more are counted and left in the background.
 */
import type { Background } from './background.ts';
import { CHANGED } from './background-state.ts';
import { colourStep, isLit, judge, type Kind } from './static-region-kind.ts';

/** A scribble's strokes and a thing's parts belong together across a gap of so many cells. */
const GAP_CELLS = 2;
/** Fewer cells have no inside; a thing of the smallest size that a rule takes by default has six. */
const CELLS_MIN = 4;
const REGIONS_MAX = 32;
/** A region with so many of the cells that hang together keeps them. */
const FAIR_SHARE = 0.25;
/** Of its cells at its largest, so many must still look changed for a region to stand. */
const REMAINING_SHARE = 0.35;

/** For so many looks (1.5 s) a cell must look lit. */
const LIT_LOOKS = 3;
/** Of the cells of a thing that is said to be there now, so many must be in sight. */
const SEEN_SHARE = 0.5;
/** A thing that has been of one kind for so many looks (3 s) is of that kind. */
const DECIDED_LOOKS = 6;

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
  /** For how many looks in a row it has been of this kind. */
  looks: number;
  /** The cells by which its kind was decided for good; later ones join but change nothing of it. */
  core: readonly number[] | undefined;
  /** Mean difference of colour to the ground, 0..255. */
  difference: number;
  /** Cells weighted by how much of them the thing covers. */
  covers: number;
  /** Most of its cells can be seen at this moment, and look as they have come to look. */
  seen: boolean;
  /** Strength of the outline now, and when the region was at its largest, levels. */
  outlineNow: number;
  outline: number;
}

export class StaticRegions {
  readonly #background: Background;
  /** Id of the region that a cell belongs to, 0 for none. */
  readonly #owner: Int32Array;
  readonly #queue: Int32Array;
  readonly #mark: Int32Array;
  /** For how many looks in a row a changed cell has looked like its ground in another light. */
  readonly #lit: Uint8Array;
  readonly #regions = new Map<number, Region>();
  #nextId = 1;
  #look = 0;
  #dropped = 0;

  constructor(background: Background) {
    const cells = background.state.length;
    this.#background = background;
    this.#owner = new Int32Array(cells);
    this.#queue = new Int32Array(cells);
    this.#mark = new Int32Array(cells);
    this.#lit = new Uint8Array(cells);
  }

  /** Those that are followed, by id. */
  get followed(): ReadonlyMap<number, Region> {
    return this.#regions;
  }

  /** Regions that were not followed because there were too many. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Looks at the background anew; returns the regions found by this look. */
  look(atMs: number): Region[] {
    const found: Region[] = [];
    if (this.#background.changedCells === 0 && this.#regions.size === 0) return found;
    this.#look += 1;
    for (const region of this.#regions.values()) region.cells = [];
    const { state, picture } = this.#background;
    for (const cell of picture.grid.used) {
      if (state[cell] !== CHANGED) this.#owner[cell] = 0;
      else this.#weighLight(cell);
    }
    for (const cell of picture.grid.used) {
      if (!this.#isThing(cell) || this.#mark[cell] === this.#look) continue;
      const region = this.#assign(this.#gather(cell), atMs);
      if (region !== undefined) found.push(region);
    }
    for (const region of this.#regions.values()) this.#refresh(region);
    return found;
  }

  /** The region is part of the ground from now on. */
  absorb(region: Region): void {
    for (const cell of region.cells) this.#background.absorb(cell);
    this.#drop(region);
  }

  /** The region has been a thing for long enough: it stays one, whatever happens around it. */
  decide(region: Region): void {
    if (region.kind === 'appeared' && region.looks >= DECIDED_LOOKS) region.core ??= [...region.cells];
  }

  /** The picture as a whole has changed: all that changed with it is ground, but what stood before `sinceMs`. */
  relearn(sinceMs: number): void {
    for (const region of [...this.#regions.values()]) if (region.foundMs >= sinceMs) this.absorb(region);
    for (const cell of this.#background.picture.grid.used) {
      if (this.#owner[cell] === 0) this.#background.absorb(cell);
    }
  }

  #drop(region: Region): void {
    for (const cell of region.cells) this.#owner[cell] = 0;
    this.#regions.delete(region.id);
  }

  #isThing(cell: number): boolean {
    const { state, covered, resting } = this.#background;
    if (state[cell] !== CHANGED || this.#lit[cell] !== 0) return false;
    // What changes beside somebody may be his shadow or his sleeve; it waits until he has gone, and until
    // it can be seen again: where he stood, the ground may look as before.
    return this.#owner[cell] !== 0 || (covered[cell] === 0 && resting[cell] === 1);
  }

  /** A changed cell through which the ground's pattern shows is lit differently; after some looks it is ground. */
  #weighLight(cell: number): void {
    const lit = isLit(this.#background, cell) ? Math.min(LIT_LOOKS, (this.#lit[cell] as number) + 1) : 0;
    this.#lit[cell] = lit;
    if (lit === 0) return;
    this.#owner[cell] = 0;
    if (lit < LIT_LOOKS || this.#background.covered[cell] !== 0) return;
    this.#lit[cell] = 0;
    this.#background.absorb(cell);
  }

  /** All changed cells that hang together with one, across gaps of `GAP_CELLS`. */
  #gather(start: number): Int32Array {
    const { columns, rows } = this.#background.picture.grid;
    const queue = this.#queue;
    let length = 1;
    queue[0] = start;
    this.#mark[start] = this.#look;
    for (let head = 0; head < length; head += 1) {
      const cell = queue[head] as number;
      const x = cell % columns;
      const y = (cell - x) / columns;
      for (let ny = Math.max(0, y - GAP_CELLS); ny <= Math.min(rows - 1, y + GAP_CELLS); ny += 1) {
        for (let nx = Math.max(0, x - GAP_CELLS); nx <= Math.min(columns - 1, x + GAP_CELLS); nx += 1) {
          const next = ny * columns + nx;
          if (!this.#isThing(next) || this.#mark[next] === this.#look) continue;
          this.#mark[next] = this.#look;
          queue[length++] = next;
        }
      }
    }
    return queue.subarray(0, length);
  }

  /** Gives cells that hang together to one region: a followed one that has a fair part of them, or a new one. */
  #assign(cells: Int32Array, atMs: number): Region | undefined {
    const shares = new Map<number, number>();
    for (const cell of cells) {
      const id = this.#owner[cell] as number;
      if (id !== 0) shares.set(id, (shares.get(id) ?? 0) + 1);
    }
    const ranked = [...shares].sort((a, b) => b[1] - a[1]);
    // The oldest, so that an incident goes on when a thing grows into another; else the largest.
    const old = ranked.filter(([, count]) => count >= FAIR_SHARE * cells.length).map(([id]) => id);
    const owner = old.length > 0 ? Math.min(...old) : ranked[0]?.[0];
    const region = owner === undefined ? undefined : this.#regions.get(owner);
    if (region !== undefined) {
      for (const cell of cells) {
        region.cells.push(cell);
        this.#owner[cell] = region.id;
      }
      return undefined;
    }
    if (cells.length < CELLS_MIN) return undefined;
    if (this.#regions.size >= REGIONS_MAX) {
      this.#dropped += 1;
      for (const cell of cells) this.#background.absorb(cell);
      return undefined;
    }
    return this.#found(Array.from(cells), atMs);
  }

  #found(cells: number[], atMs: number): Region {
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
      looks: 0,
      core: undefined,
      difference: 0,
      covers: 0,
      seen: false,
      outlineNow: 0,
      outline: 0,
    };
    this.#regions.set(id, region);
    return region;
  }

  #refresh(region: Region): void {
    const remaining = (region.core ?? region.cells).filter((cell) => this.#owner[cell] === region.id).length;
    if (remaining < Math.max(CELLS_MIN, REMAINING_SHARE * region.cellsMost)) {
      // Of a thing taken away an outline remains where the ground's model is not quite right; what remains
      // of a region whose kind was still open may be a thing of its own and is looked at anew.
      if (region.core !== undefined) for (const cell of region.cells) this.#background.absorb(cell);
      this.#drop(region);
      return;
    }
    region.box = this.#boxOf(region.cells);
    region.covers = this.#coversOf(region.cells);
    region.seen = this.#seenOf(region.cells);
    region.grownMs = this.#timeAt(region.cells, 0.8);
    const own = (region.core ?? region.cells).filter((cell) => this.#owner[cell] === region.id);
    const { kind, difference, outline } = judge(
      this.#background,
      own,
      (cell) => this.#owner[cell] === region.id,
    );
    region.difference = difference;
    region.outlineNow = outline;
    if (region.core !== undefined) return;
    region.looks = kind === region.kind ? region.looks + 1 : 1;
    region.kind = kind;
    region.cellsMost = Math.max(region.cells.length, region.cellsMost);
    region.outline = outline;
  }

  /**
   * A cell on the edge of a thing is covered in part, and differs by that part from its ground: cells count
   * by their difference, measured by that of the upper fifth.
   */
  #coversOf(cells: readonly number[]): number {
    const { ground, changed } = this.#background;
    const differences = cells.map((cell) => colourStep(ground, cell, changed, cell)).sort((a, b) => a - b);
    const full = differences[Math.floor(0.8 * differences.length)] as number;
    return differences.reduce((sum, difference) => sum + Math.min(1, difference / full), 0);
  }

  #seenOf(cells: readonly number[]): boolean {
    const { resting } = this.#background;
    let count = 0;
    for (const cell of cells) count += resting[cell] as number;
    return count >= SEEN_SHARE * cells.length;
  }

  #timeAt(cells: readonly number[], share: number): number {
    const times = cells.map((cell) => this.#background.changedMs[cell] as number).sort((a, b) => a - b);
    return times[Math.min(times.length - 1, Math.floor(share * times.length))] as number;
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
