/**
 * Remembers the dwells of a rule across a break (a restart, a lost stream, a covered camera). An object found again at
 * its place continues its dwell with the original start, and the break counts as unobserved. Only places are stored.
 *
 * LIMITS: 64 dwells, a break of ten minutes, and a minute of observation after it.
 */
import { DWELLS_MAX, type Dwell } from '../contract/dwell.ts';
import { iou, ratioInside } from '../contract/geometry.ts';
import type { ObservedTrack } from '../contract/observation.ts';

/** Two boxes of one standing object overlap by at least 0.6; neighbours in a crowd by less than this. */
const SAME_PLACE_IOU_MIN = 0.4;
/** A vehicle's parts are detected too: half of one box inside the other is the same vehicle. */
const PART_INSIDE_MIN = 0.5;
/** A small detector finds a parked vehicle again within seconds, and a dark one within tens of seconds. */
const FOUND_WITHIN_MS = 60_000;
/**
 * Longest break after which a dwell continues. A reboot or an update takes less; after longer, another vehicle may
 * stand there. Equals the time for which a bus may hide it.
 */
const OUTLIVES_MS = 600_000;

/** Longest interval between two observations of a followed object; the tracker forgets it after two seconds. */
const FOLLOWED_MS = 3000;

export class RememberedDwells {
  #dwells: readonly Dwell[] = [];
  #untilMs: number | undefined;

  /** Replaces all remembered dwells. */
  remember(dwells: readonly Dwell[]): void {
    this.#dwells = dwells.slice(0, DWELLS_MAX);
    this.#untilMs = undefined;
  }

  /** Advances to the media time of the next observation. */
  advance(atMs: number): void {
    if (this.#untilMs === undefined) {
      this.#untilMs = atMs + FOUND_WITHIN_MS;
      this.#dwells = this.#dwells.filter(({ seenMs }) => atMs - seenMs < OUTLIVES_MS);
    }
    if (atMs > this.#untilMs) this.#dwells = [];
  }

  /** Removes a dwell whose object was never lost. */
  forget(dwell: Dwell): void {
    if (this.#dwells.includes(dwell)) this.#dwells = this.#dwells.filter((other) => other !== dwell);
  }

  /** Dwells not found again yet. */
  get missing(): readonly Dwell[] {
    return this.#dwells;
  }

  /** Returns the dwell of the track found here, with the break until now as unobserved; each is taken once. */
  take(track: ObservedTrack, atMs: number): Dwell | undefined {
    const near = this.#dwells.filter((dwell) => isSamePlace(dwell, track));
    const [match] = near.sort((a, b) => iou(b.xyxyNorm, track.xyxyNorm) - iou(a.xyxyNorm, track.xyxyNorm));
    this.#dwells = this.#dwells.filter((dwell) => dwell !== match);
    return (
      match && { ...match, seenMs: atMs, unobservedMs: match.unobservedMs + Math.max(0, atMs - match.seenMs) }
    );
  }
}

/** Returns the dwell of a track that begins now. */
export function newDwell({ group, xyxyNorm, score }: ObservedTrack, sinceMs: number, atMs: number): Dwell {
  return { group, xyxyNorm, score, sinceMs, seenMs: atMs, unobservedMs: 0 };
}

/** Returns the dwell continued by a track that is observed now. A longer interval than of a followed object is a break. */
export function continued(dwell: Dwell, { xyxyNorm, score }: ObservedTrack, atMs: number): Dwell {
  const sinceLastMs = atMs - dwell.seenMs;
  const breakMs = sinceLastMs > FOLLOWED_MS ? sinceLastMs : 0;
  const unobservedMs = dwell.unobservedMs + breakMs;
  return { ...dwell, xyxyNorm, score: Math.max(dwell.score, score), seenMs: atMs, unobservedMs };
}

/** Returns the time for which the dwell was observed, ms. */
export function observedMs({ sinceMs, seenMs, unobservedMs }: Dwell): number {
  return seenMs - sinceMs - unobservedMs;
}

/** Returns the interruptions of a dwell for the cause of an incident; nothing if there were none. */
export function interruptionsOf({ unobservedMs }: Dwell): { readonly unobservedS?: number } {
  return unobservedMs > 0 ? { unobservedS: secondsOf(unobservedMs) } : {};
}

/** Formats a time for the cause of an incident, to a tenth of a second. */
export const secondsOf = (ms: number): number => Math.round(ms / 100) / 10;

function isSamePlace(dwell: Dwell, { group, xyxyNorm }: ObservedTrack): boolean {
  if (dwell.group !== group) return false;
  if (iou(dwell.xyxyNorm, xyxyNorm) >= SAME_PLACE_IOU_MIN) return true;
  const inside = Math.max(ratioInside(dwell.xyxyNorm, xyxyNorm), ratioInside(xyxyNorm, dwell.xyxyNorm));
  return group === 'vehicle' && inside >= PART_INSIDE_MIN;
}
