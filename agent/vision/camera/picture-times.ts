/**
 * Which frames have a still, planes, or a larger picture: those next to the marks of an even grid of time.
 *
 * INVARIANTS: which do depends on the time stamps of the frames alone; two replays say the same. A mark that no frame was
 * analysed for is there for the next one.
 */

/** So many a second, each with the frame that is nearest to its mark. */
class Marks {
  readonly #everyNs: bigint;
  #firstNs: bigint | undefined;
  #nextNs = 0n;

  constructor(everyNs: bigint) {
    this.#everyNs = everyNs;
  }

  restart(): void {
    this.#firstNs = undefined;
    this.#nextNs = 0n;
  }

  /** Whether the frame at `ptsNs` is; the frame after it is expected `gapNs` later. */
  has(ptsNs: bigint, gapNs: bigint): boolean {
    this.#firstNs ??= ptsNs;
    return ptsNs + gapNs / 2n >= this.#nextNs + this.#firstNs;
  }

  pass(ptsNs: bigint, gapNs: bigint): void {
    if (!this.has(ptsNs, gapNs)) return;
    const sinceNs = ptsNs + gapNs / 2n - (this.#firstNs ?? ptsNs);
    this.#nextNs = (sinceNs / this.#everyNs + 1n) * this.#everyNs;
  }
}

/** Stills: one is never further than 250 ms from a moment, at a tenth of the cost of all. */
const STILL_EVERY_NS = 500_000_000n;
/** While the street is still: as far back as a preview looks (redact/evidence.ts). */
const STILL_STREET_EVERY_NS = 2_000_000_000n;
/** What a place looks like when nobody is there changes no faster than daylight. */
const PLANES_EVERY_NS = 1_000_000_000n;
/**
 * A track that nobody is sure of is remembered for half a second (track/settings.ts): what only the larger picture shows
 * must be shown again by then, at five frames a second by every second one.
 */
const FINE_EVERY_NS = 400_000_000n;

/** What is made of a frame beside the frame itself. */
export interface PictureKinds {
  readonly still: boolean;
  readonly planes: boolean;
  readonly fine: boolean;
}

export class PictureTimes {
  readonly #stills = new Marks(STILL_EVERY_NS);
  readonly #planes = new Marks(PLANES_EVERY_NS);
  readonly #fine = new Marks(FINE_EVERY_NS);
  #lastNs: bigint | undefined;
  /** Between the last two frames. */
  #gapNs = 0n;
  #stillNs: bigint | undefined;

  /** A new opening: its time stamps have nothing to do with those before. */
  reopen(): void {
    for (const marks of [this.#stills, this.#planes, this.#fine]) marks.restart();
    this.#lastNs = undefined;
    this.#stillNs = undefined;
  }

  /**
   * What is to be made of the frame at `ptsNs`; called for each, in order. On a still street there is a still once in two
   * seconds, so that a preview, and evidence asked for later, find one: what begins to move is in the stills from the
   * next mark on, half a second later at most.
   */
  due(ptsNs: bigint, isStreetStill: boolean): PictureKinds {
    this.#gapNs = this.#lastNs === undefined ? 0n : ptsNs - this.#lastNs;
    this.#lastNs = ptsNs;
    return {
      still: this.#stills.has(ptsNs, this.#gapNs) && !(isStreetStill && this.#hasRecentStill(ptsNs)),
      planes: this.#planes.has(ptsNs, this.#gapNs),
      fine: this.#fine.has(ptsNs, this.#gapNs),
    };
  }

  /** They were made of the frame that `due` was called for last. */
  made({ still }: PictureKinds, ptsNs: bigint): void {
    if (still) this.#stillNs = ptsNs;
    for (const marks of [this.#stills, this.#planes, this.#fine]) marks.pass(ptsNs, this.#gapNs);
  }

  /** So recent that the next mark is early enough for another. */
  #hasRecentStill(ptsNs: bigint): boolean {
    return this.#stillNs !== undefined && ptsNs - this.#stillNs < STILL_STREET_EVERY_NS - STILL_EVERY_NS / 2n;
  }
}
