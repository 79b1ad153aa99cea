/** Queue of events in simulated time: a binary heap, since a fleet has tens of thousands of pending events. */
export interface Happening {
  readonly ms: number;
  readonly action: () => Promise<void>;
}

export class Timeline {
  readonly #heap: Happening[] = [];

  /** Time of the next event; undefined if there is none. */
  get nextMs(): number | undefined {
    return this.#heap[0]?.ms;
  }

  add(happening: Happening): void {
    const heap = this.#heap;
    let at = heap.push(happening) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (this.#ms(parent) <= happening.ms) break;
      this.#swap(at, parent);
      at = parent;
    }
  }

  /** Removes and returns all events up to this time, the earliest first. */
  take(untilMs: number): Happening[] {
    const happenings: Happening[] = [];
    while ((this.nextMs ?? Number.POSITIVE_INFINITY) <= untilMs) {
      const first = this.#pop();
      if (first !== undefined) happenings.push(first);
    }
    return happenings;
  }

  #pop(): Happening | undefined {
    const heap = this.#heap;
    this.#swap(0, heap.length - 1);
    const first = heap.pop();
    for (let at = 0; ; ) {
      const [left, right] = [2 * at + 1, 2 * at + 2];
      const child = this.#ms(right) < this.#ms(left) ? right : left;
      if (this.#ms(child) >= this.#ms(at)) return first;
      this.#swap(at, child);
      at = child;
    }
  }

  #ms(at: number): number {
    return this.#heap[at]?.ms ?? Number.POSITIVE_INFINITY;
  }

  #swap(a: number, b: number): void {
    const [x, y] = [this.#heap[a], this.#heap[b]];
    if (x === undefined || y === undefined) return;
    this.#heap[a] = y;
    this.#heap[b] = x;
  }
}
