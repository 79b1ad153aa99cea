/**
 * Is a track in a zone? Its ground point answers, with hysteresis in space and time, so that a jittering
 * box at a border does not come and go.
 *
 * INVARIANTS: only seen positions count, a predicted box neither enters nor leaves; a presence begins at
 * the first of the positions that led to it, so hysteresis delays what is said but shortens no dwell.
 */
import type { ZoneConfig } from './config.ts';
import { type SizePx, sameSize } from './geometry.ts';
import { beyondEdges, distanceToBoundary, isInside, type Point, type Polygon } from './plane.ts';

/**
 * A position further than this from the border, in heights of the object's box, is clear. The ground
 * point of a person who stands still wanders by 0.03 heights (standard deviation after filtering, the
 * detector's own being 0.05); three times that.
 */
export const CLEAR_HEIGHTS = 0.1;
/**
 * Near the border, a track enters after so long inside: two further frames at 5 frames a second, which
 * one stray box cannot fill, and short of any rule's own delay.
 */
export const ENTER_MS = 300;
/** Near the border, a track leaves after so long outside; longer than the sway of one who stands on it. */
export const LEAVE_MS = 1000;
/** A side drawn this close to the frame's edge, in frame sizes, is meant to lie on it: a hand's precision. */
const EDGE_SLACK = 0.01;

/** What is remembered of one track in one zone. */
export interface Visit {
  present: boolean;
  /** Since when the positions say the contrary of `present`, if they do. */
  contraryMs: number | undefined;
  /** Valid while present. */
  sinceMs: number;
}

export function newVisit(): Visit {
  return { present: false, contraryMs: undefined, sinceMs: 0 };
}

export class Zone {
  readonly id: string;
  readonly #polygonNorm: Polygon;
  #polygonPx: Polygon = [];
  #source: SizePx | undefined;

  constructor(config: ZoneConfig) {
    this.id = config.id;
    this.#polygonNorm = beyondEdges(config.polygon, EDGE_SLACK);
  }

  /** Takes one seen ground point into account; may lie beyond the frame. */
  visit(visit: Visit, source: SizePx, groundPx: Point, heightPx: number, atMs: number): void {
    const polygon = this.#scaled(source);
    const inside = isInside(polygon, groundPx);
    if (inside === visit.present) {
      visit.contraryMs = undefined;
      return;
    }
    visit.contraryMs ??= atMs;
    const lasted = atMs - visit.contraryMs >= (inside ? ENTER_MS : LEAVE_MS);
    if (!lasted && distanceToBoundary(polygon, groundPx) < CLEAR_HEIGHTS * heightPx) return;
    visit.present = inside;
    visit.sinceMs = visit.contraryMs;
    visit.contraryMs = undefined;
  }

  #scaled(source: SizePx): Polygon {
    if (!sameSize(this.#source, source)) {
      this.#source = source;
      this.#polygonPx = this.#polygonNorm.map(([x, y]) => [x * source.widthPx, y * source.heightPx]);
    }
    return this.#polygonPx;
  }
}
