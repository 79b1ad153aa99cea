/**
 * The most recent full-size stills, by media time.
 *
 * INVARIANTS: media times grow; a still is never changed.
 * LIMITS: 15 s, 64 stills, 24 MiB; the oldest goes first. One that goes before its 15 s are over (very
 * large pictures) is counted in `cut`.
 */
import type { HeldStill } from './still.ts';

/** Evidence is asked for moments up to 12 s ago (an incident's start, seen late); a margin on top. */
const KEEP_MS = 15_000;
const STILLS_MAX = 64;
/** 15 s at two a second of 1080p stills of 0.8 MB; part of the process's memory budget. */
const BYTES_MAX = 25_165_824;
/** A still further away than this shows another moment; the slowest analysed rate is one frame in 5 s. */
const DISTANCE_MAX_MS = 5000;

export class StillRing {
  readonly #stills: HeldStill[] = [];
  #bytes = 0;
  #cut = 0;

  /** Stills that had to go before their time. */
  get cut(): number {
    return this.#cut;
  }

  add(still: HeldStill): void {
    this.#stills.push(still);
    this.#bytes += still.jpeg.length;
    for (let oldest = this.#stills[0]; oldest !== undefined; oldest = this.#stills[0]) {
      const old = still.atMs - oldest.atMs > KEEP_MS;
      if (!old && this.#stills.length <= STILLS_MAX && this.#bytes <= BYTES_MAX) break;
      if (!old) this.#cut += 1;
      this.#stills.shift();
      this.#bytes -= oldest.jpeg.length;
    }
  }

  /** The still nearest in media time, the earlier of two; undefined where none is within 5 s. */
  near(atMs: number): HeldStill | undefined {
    let best: HeldStill | undefined;
    let bestMs = DISTANCE_MAX_MS;
    for (const still of this.#stills) {
      const distanceMs = Math.abs(still.atMs - atMs);
      if (distanceMs < bestMs || (best === undefined && distanceMs === bestMs)) {
        best = still;
        bestMs = distanceMs;
      }
    }
    return best;
  }

  all(): readonly HeldStill[] {
    return [...this.#stills];
  }
}
