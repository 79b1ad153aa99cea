/** Random processes with memory, from a seed: a detector's errors vary over time, not from frame to frame. */

/** Makes one standard normal number from two uniform ones (Box and Muller 1958). */
export function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** Standard normal noise whose correlation decays with a time constant (an Ornstein–Uhlenbeck process). */
export class Drift {
  readonly #random: () => number;
  readonly #memoryS: number;
  #value: number;
  #atS: number | undefined;

  constructor(random: () => number, memoryS: number) {
    this.#random = random;
    this.#memoryS = memoryS;
    this.#value = normal(random);
  }

  /** Value at a time; times must not decrease. */
  at(atS: number): number {
    const memory = Math.exp(-(atS - (this.#atS ?? atS)) / this.#memoryS);
    this.#atS = atS;
    this.#value = memory * this.#value + Math.sqrt(1 - memory * memory) * normal(this.#random);
    return this.#value;
  }
}

/** A state that is on for `meanS` on average, and for the ratio `share` of the time (a two-state Markov process). */
export class Spell {
  readonly #random: () => number;
  readonly #meanS: number;
  readonly #ratio: number;
  #on: boolean;
  #changesS = 0;

  constructor(random: () => number, { meanS, ratio }: { meanS: number; ratio: number }) {
    this.#random = random;
    this.#meanS = meanS;
    this.#ratio = ratio;
    this.#on = random() < ratio;
    this.#changesS = this.#lasts();
  }

  at(atS: number): boolean {
    if (this.#ratio === 0) return false;
    for (; this.#changesS <= atS; this.#changesS += this.#lasts()) this.#on = !this.#on;
    return this.#on;
  }

  #lasts(): number {
    const meanS = this.#on ? this.#meanS : (this.#meanS * (1 - this.#ratio)) / Math.max(1e-9, this.#ratio);
    return -meanS * Math.log(1 - this.#random());
  }
}
