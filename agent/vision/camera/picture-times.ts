/**
 * Selects the frames that get a still, planes or a larger picture: those nearest to the marks of an even time grid.
 *
 * INVARIANTS:
 * - The selection depends only on the frames' time stamps, so two replays select the same frames.
 * - A mark for which no frame was analysed applies to the next frame.
 */

/** Even grid of time marks. Each mark belongs to the frame nearest to it. */
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

  /** Time stamp of the next mark; undefined before the first frame. */
  get nextNs(): bigint | undefined {
    return this.#firstNs === undefined ? undefined : this.#firstNs + this.#nextNs;
  }

  /** Reports whether the frame at `ptsNs` has a mark. The next frame is expected `gapNs` later. */
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

/** Interval of stills, in ns. A still is never more than 250 ms from a moment, at a tenth of the cost of all frames. */
const STILL_EVERY_NS = 500_000_000n;
/** Interval of stills while the street is still, in ns; as far back as a preview searches (redact/evidence.ts). */
const STILL_STREET_EVERY_NS = 2_000_000_000n;
/** Shortest time between two of these: the next mark is early enough for another. */
const STILL_REST_NS = STILL_STREET_EVERY_NS - STILL_EVERY_NS / 2n;
/** Interval of planes, in ns. An empty scene changes no faster than daylight. */
const PLANES_EVERY_NS = 1_000_000_000n;
/**
 * Interval of larger pictures, in ns. An unconfirmed track lasts half a second (track/settings.ts). An object that only
 * the larger picture shows must appear again within that time: at five frames a second, in every second frame.
 */
const FINE_EVERY_NS = 400_000_000n;

/** Pictures to make from a frame beside the frame itself. */
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
  /** Time between the last two frames. */
  #gapNs = 0n;
  #stillNs: bigint | undefined;

  /** Starts a new opening, whose time stamps are unrelated to the previous ones. */
  reopen(): void {
    for (const marks of [this.#stills, this.#planes, this.#fine]) marks.restart();
    this.#lastNs = undefined;
    this.#stillNs = undefined;
  }

  /**
   * Returns the pictures to make from the frame at `ptsNs`. Called for each frame in sequence.
   *
   * A still street has a still every two seconds, so that previews and later evidence requests find one. An object that
   * begins to move is in the stills from the next mark on, at most half a second later.
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

  /** Returns the mark of the next still or planes; null before the first frame. */
  nextNs(isStreetStill: boolean): bigint | null {
    const planes = this.#planes.nextNs;
    if (planes === undefined) return null;
    const earliestNs = this.#stillNs === undefined || !isStreetStill ? 0n : this.#stillNs + STILL_REST_NS;
    const stills = this.#stills.nextNs ?? 0n;
    const dueNs = stills > earliestNs ? stills : earliestNs;
    return dueNs < planes ? dueNs : planes;
  }

  /** Marks the pictures as made from the frame of the last `due` call. */
  noteMade({ still }: PictureKinds, ptsNs: bigint): void {
    if (still) this.#stillNs = ptsNs;
    for (const marks of [this.#stills, this.#planes, this.#fine]) marks.pass(ptsNs, this.#gapNs);
  }

  /** True if the last still is recent enough that the next mark is early enough for another. */
  #hasRecentStill(ptsNs: bigint): boolean {
    return this.#stillNs !== undefined && ptsNs - this.#stillNs < STILL_REST_NS;
  }
}
