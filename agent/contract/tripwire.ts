/**
 * Detects that a track crosses a line. A crossing is complete when the track, after being on one side, is clearly on
 * the other. Its way must also meet the line between its ends. Nothing is decided within a band beside the line, so
 * jitter on the line has no effect and one crossing is reported once.
 */
import type { LineConfig } from './config.ts';
import { type SizePx, sameSize } from './geometry.ts';
import type { Crossing } from './observation.ts';
import { distanceRightOf, meetingPoint, type Point } from './plane.ts';
import { CLEAR_HEIGHTS } from './zone-visit.ts';

/** State of one track at one line. */
export interface Approach {
  side: Crossing['direction'] | undefined;
  /** Last observed ground point, in px. */
  lastPx: Point | undefined;
  /** Position of the last crossing of the infinite line: 0 at `from`, 1 at `to`. */
  passedAt: number | undefined;
}

export function newApproach(): Approach {
  return { side: undefined, lastPx: undefined, passedAt: undefined };
}

export class Tripwire {
  readonly id: string;
  readonly #fromNorm: Point;
  readonly #toNorm: Point;
  #fromPx: Point = [0, 0];
  #toPx: Point = [0, 0];
  #source: SizePx | undefined;

  constructor(config: LineConfig) {
    this.id = config.id;
    this.#fromNorm = config.from;
    this.#toNorm = config.to;
  }

  /** Processes one observed ground point; returns the direction if it completes a crossing. */
  approach(
    approach: Approach,
    source: SizePx,
    groundPx: Point,
    heightPx: number,
  ): Crossing['direction'] | undefined {
    this.#scale(source);
    const from = this.#fromPx;
    const to = this.#toPx;
    if (approach.lastPx !== undefined) {
      approach.passedAt = meetingPoint(from, to, approach.lastPx, groundPx) ?? approach.passedAt;
    }
    approach.lastPx = groundPx;
    const right = distanceRightOf(from, to, groundPx);
    if (!(Math.abs(right) > CLEAR_HEIGHTS * heightPx)) return undefined;
    const side = right > 0 ? 'right' : 'left';
    const before = approach.side;
    approach.side = side;
    if (before === undefined || before === side || approach.passedAt === undefined) return undefined;
    return approach.passedAt >= 0 && approach.passedAt <= 1 ? side : undefined;
  }
  #scale(source: SizePx): void {
    if (sameSize(this.#source, source)) return;
    this.#source = source;
    this.#fromPx = [this.#fromNorm[0] * source.widthPx, this.#fromNorm[1] * source.heightPx];
    this.#toPx = [this.#toNorm[0] * source.widthPx, this.#toNorm[1] * source.heightPx];
  }
}
