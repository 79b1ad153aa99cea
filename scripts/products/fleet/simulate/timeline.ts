/** Queue of events in simulated time; those of one time keep their order. */
export interface Happening {
  readonly ms: number;
  readonly action: () => Promise<void>;
}

export class Timeline {
  readonly #pending: Happening[] = [];

  /** Time of the next event; undefined if there is none. */
  get nextMs(): number | undefined {
    return this.#pending[0]?.ms;
  }

  add(happening: Happening): void {
    this.#pending.splice(this.#after(happening.ms), 0, happening);
  }

  /** Removes and returns all events up to this time, the earliest first. */
  take(untilMs: number): Happening[] {
    return this.#pending.splice(0, this.#after(untilMs));
  }

  /** Returns the index of the first event after this time. */
  #after(ms: number): number {
    let [low, high] = [0, this.#pending.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#pending[middle]?.ms ?? 0) > ms) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
