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
/** Of its cells at its largest, so many must still look changed for a region to stand. */
const REMAINING_SHARE = 0.35;

/** For so many looks (1.5 s) a cell must look lit. */
const LIT_LOOKS = 3;
/** Of the cells of a thing that is said to be there now, so many must be in sight. */
const SEEN_SHARE = 0.5;
/** A thing that has been of one kind for so many looks (3 s) is of that kind. */
export const DECIDED_LOOKS = 6;
/**
 * The cells of one thing come to rest within so long of each other: the rest of a cell (1.5 s) and a step aside. What
 * changes next to a region later is a region of its own: a shadow, a stain, or somebody's sleeve.
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
  /** For how many looks in a row it has been of this kind. */
  looks: number;
  /** Its kind has been decided for good. */
  decided: boolean;
  /** Mean difference of colour to the ground, 0..255. */
  difference: number;
  /** Correlation of the ground's gradients with those in its place now; undefined where there are too few. */
  gradients: number | undefined;
  /** Cells weighted by how much of them the thing covers. */
  covers: number;
  /** Most of its cells can be seen at this moment, and look as they have come to look. */
  seen: boolean;
  /** The detector's features say that it is no light, whatever the pixels look like. */
  other: boolean;
  /** Cells that changed next to it later, and are no part of it. */
  spread: number;
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
    const { state, picture } = this.#background;
    for (const cell of picture.grid.used) {
      if (state[cell] !== CHANGED) this.#owner[cell] = 0;
      else this.#weighLight(cell);
    }
    for (const region of this.#regions.values()) {
      region.cells = region.cells.filter((cell) => this.#owner[cell] === region.id);
    }
    for (const cell of picture.grid.used) {
      if (!this.#isLoose(cell) || this.#mark[cell] === this.#look) continue;
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
    if (region.kind === 'appeared' && region.looks >= DECIDED_LOOKS) region.decided = true;
  }

  /** Regions within `GAP_CELLS` of this one. */
  besides(region: Region): Region[] {
    const ids = new Set<number>();
    for (const cell of region.cells) this.#eachNear(cell, (next) => ids.add(this.#owner[next] as number));
    ids.delete(region.id);
    return [...ids].flatMap((id) => this.#regions.get(id) ?? []);
  }

  /** Two regions have turned out to be parts of one: the second goes into the first. */
  merge(region: Region, part: Region): void {
    for (const cell of part.cells) {
      this.#owner[cell] = region.id;
      region.cells.push(cell);
    }
    region.spread = Math.max(0, region.spread - part.cells.length);
    this.#regions.delete(part.id);
    this.#refresh(region);
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

  /** The cell has changed, is in sight, and belongs to no region yet. */
  #isLoose(cell: number): boolean {
    const { state, covered, resting } = this.#background;
    // What changes beside somebody may be his shadow or his sleeve; it waits until he has gone, and until
    // it can be seen again: where he stood, the ground may look as before.
    return (
      state[cell] === CHANGED &&
      this.#owner[cell] === 0 &&
      this.#lit[cell] === 0 &&
      covered[cell] === 0 &&
      resting[cell] === 1
    );
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

  /** All loose cells that hang together with one, across gaps of `GAP_CELLS`. */
  #gather(start: number): Int32Array {
    const queue = this.#queue;
    let length = 1;
    queue[0] = start;
    this.#mark[start] = this.#look;
    for (let head = 0; head < length; head += 1) {
      this.#eachNear(queue[head] as number, (next) => {
        if (!this.#isLoose(next) || this.#mark[next] === this.#look) return;
        this.#mark[next] = this.#look;
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

  /** Gives cells that hang together to the oldest region beside them that was born with them, or to a new one. */
  #assign(cells: Int32Array, atMs: number): Region | undefined {
    const ids = new Set<number>();
    for (const cell of cells) this.#eachNear(cell, (next) => ids.add(this.#owner[next] as number));
    ids.delete(0);
    const beside = [...ids].flatMap((id) => this.#regions.get(id) ?? []).sort((a, b) => a.id - b.id);
    const changedMs = this.#timeAt(cells, 0.5);
    const born = beside.find(({ firstMs }) => Math.abs(changedMs - firstMs) <= BIRTH_MS);
    if (born !== undefined) {
      for (const cell of cells) {
        born.cells.push(cell);
        this.#owner[cell] = born.id;
      }
      return undefined;
    }
    if (cells.length < CELLS_MIN) return undefined;
    if (this.#regions.size >= REGIONS_MAX) {
      this.#dropped += 1;
      for (const cell of cells) this.#background.absorb(cell);
      return undefined;
    }
    for (const region of beside) region.spread += cells.length;
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
      decided: false,
      difference: 0,
      gradients: undefined,
      covers: 0,
      seen: false,
      other: false,
      spread: 0,
      outlineNow: 0,
      outline: 0,
    };
    this.#regions.set(id, region);
    return region;
  }

  #refresh(region: Region): void {
    if (region.cells.length < Math.max(CELLS_MIN, REMAINING_SHARE * region.cellsMost)) {
      // Of a thing taken away an outline remains where the ground's model is not quite right; what remains
      // of a region whose kind was still open may be a thing of its own and is looked at anew.
      if (region.decided) for (const cell of region.cells) this.#background.absorb(cell);
      this.#drop(region);
      return;
    }
    region.box = this.#boxOf(region.cells);
    region.covers = this.#coversOf(region.cells);
    region.seen = this.#seenOf(region.cells);
    region.grownMs = this.#timeAt(region.cells, 0.8);
    const { kind, difference, outline, gradients } = judge(
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
    region.looks = kind === region.kind ? region.looks + 1 : 1;
    region.kind = kind;
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

  /** Media time by which a share of the cells had changed. */
  #timeAt(cells: ArrayLike<number>, share: number): number {
    const { changedMs } = this.#background;
    const times = Array.from(cells, (cell) => changedMs[cell] as number).sort((a, b) => a - b);
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
