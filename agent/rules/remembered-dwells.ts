/**
 * What stayed in a rule's place before a break (a restart, a lost stream, a covered camera), until it is found again
 * there: then it goes on, since whenever it began. Places are all that is known of it.
 *
 * LIMITS: 64 dwells; a break of ten minutes; each for a minute of looking after it.
 */
import { DWELLS_MAX, type Dwell } from '../contract/dwell.ts';
import { iou, shareInside } from '../contract/geometry.ts';
import type { ObservedTrack } from '../contract/observation.ts';

/** Two boxes of one standing object overlap by 0.6 and more; neighbours in a crowd by less than this. */
const SAME_PLACE_IOU_MIN = 0.4;
/** A vehicle's parts are boxed as well: half of one box in the other is the same vehicle. */
const PART_INSIDE_MIN = 0.5;
/** A small detector finds a parked vehicle again within seconds, a dark one in some tens of them. */
const FOUND_WITHIN_MS = 60_000;
/** A reboot or an update takes less; after longer, what stands there may be another (as long as a bus may hide it). */
const OUTLIVES_MS = 600_000;

export class RememberedDwells {
  #dwells: readonly Dwell[] = [];
  #untilMs: number | undefined;

  /** In place of all that was remembered. */
  remember(dwells: readonly Dwell[]): void {
    this.#dwells = dwells.slice(0, DWELLS_MAX);
    this.#untilMs = undefined;
  }

  /** Media time of the next observation. */
  advance(atMs: number): void {
    if (this.#untilMs === undefined) {
      this.#untilMs = atMs + FOUND_WITHIN_MS;
      this.#dwells = this.#dwells.filter(({ seenMs }) => atMs - seenMs < OUTLIVES_MS);
    }
    if (atMs > this.#untilMs) this.#dwells = [];
  }

  /** It was never lost. */
  forget(dwell: Dwell): void {
    if (this.#dwells.includes(dwell)) this.#dwells = this.#dwells.filter((other) => other !== dwell);
  }

  /** What has not been found again yet. */
  get missing(): readonly Dwell[] {
    return this.#dwells;
  }

  /** The dwell of what is found here now; each is taken once. */
  take(track: ObservedTrack): Dwell | undefined {
    const near = this.#dwells.filter((dwell) => isSamePlace(dwell, track));
    const [found] = near.sort((a, b) => iou(b.xyxyNorm, track.xyxyNorm) - iou(a.xyxyNorm, track.xyxyNorm));
    this.#dwells = this.#dwells.filter((dwell) => dwell !== found);
    return found;
  }
}

export function dwellOf(
  { group, xyxyNorm }: ObservedTrack,
  { sinceMs, seenMs, score }: Pick<Dwell, 'sinceMs' | 'seenMs' | 'score'>,
): Dwell {
  return { group, xyxyNorm, score, sinceMs, seenMs };
}

function isSamePlace(dwell: Dwell, { group, xyxyNorm }: ObservedTrack): boolean {
  if (dwell.group !== group) return false;
  if (iou(dwell.xyxyNorm, xyxyNorm) >= SAME_PLACE_IOU_MIN) return true;
  const inside = Math.max(shareInside(dwell.xyxyNorm, xyxyNorm), shareInside(xyxyNorm, dwell.xyxyNorm));
  return group === 'vehicle' && inside >= PART_INSIDE_MIN;
}
