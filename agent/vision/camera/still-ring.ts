/**
 * Ring buffer of the most recent full-size stills, by media time.
 *
 * INVARIANTS: media times increase; a still is never changed.
 * LIMITS: 15 s, 64 stills, 24 MiB; the oldest is removed first. Stills removed before their 15 s are over (very large
 * pictures) are counted in `cut`.
 */
import type { StoredStill } from './still.ts';

/**
 * Retention in ms. Evidence is requested for moments up to 12 s ago (an incident's start, detected late), plus a
 * margin.
 */
const KEEP_MS = 15_000;
const STILLS_MAX = 64;
/** Byte limit, part of the process's memory budget: 15 s of two 1080p stills a second, 0.8 MB each. */
const BYTES_MAX = 25_165_824;
/**
 * Largest distance of a still, in ms. Further away it shows another moment; the slowest analysed rate is one frame in 5
 * s.
 */
const DISTANCE_MAX_MS = 5000;

export class StillRing {
  readonly #stills: StoredStill[] = [];
  #bytes = 0;
  #earlyRemovals = 0;

  /** Stills removed before their time. */
  get earlyRemovals(): number {
    return this.#earlyRemovals;
  }

  add(still: StoredStill): void {
    this.#stills.push(still);
    this.#bytes += still.jpeg.length;
    for (let oldest = this.#stills[0]; oldest !== undefined; oldest = this.#stills[0]) {
      const old = still.atMs - oldest.atMs > KEEP_MS;
      if (!old && this.#stills.length <= STILLS_MAX && this.#bytes <= BYTES_MAX) break;
      if (!old) this.#earlyRemovals += 1;
      this.#stills.shift();
      this.#bytes -= oldest.jpeg.length;
    }
  }

  /** Returns the still nearest in media time, the earlier of two; undefined if none lies within 5 s. */
  near(atMs: number): StoredStill | undefined {
    let best: StoredStill | undefined;
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

  all(): readonly StoredStill[] {
    return [...this.#stills];
  }
}
