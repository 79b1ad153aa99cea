/**
 * Presence of a track in a zone, decided by its ground point. Hysteresis in space and time prevents changes by a
 * jittering box at a border.
 *
 * INVARIANTS:
 * - Only observed positions count; a predicted box neither enters nor leaves.
 * - A presence begins at the first of the positions that led to it. Hysteresis delays the report but shortens no dwell.
 */
import type { ZoneConfig } from './config.ts';
import { type SizePx, sameSize } from './geometry.ts';
import { beyondEdges, distanceToBoundary, isInside, type Point, type Polygon } from './plane.ts';

/**
 * Distance from the border beyond which a position is clear, in heights of the object's box. The ground point of a
 * standing person wanders by 0.03 heights (standard deviation after filtering; the detector's own is 0.05). The limit
 * is three times that.
 */
export const CLEAR_HEIGHTS = 0.1;
/**
 * Time inside after which a track near the border enters, in ms. It covers two further frames at 5 frames a second,
 * which one stray box cannot fill, and is shorter than any rule's own delay.
 */
export const ENTER_MS = 300;
/**
 * Time outside after which a track near the border leaves, in ms. It is longer than the sway of a person standing on
 * the border.
 */
export const LEAVE_MS = 1000;
/**
 * Distance from the frame's edge, in frame sizes, within which a side counts as on it: the precision of drawing by
 * hand.
 */
const EDGE_SLACK = 0.01;

/** State of one track in one zone. */
export interface Visit {
  present: boolean;
  /** Time since which the positions contradict `present`, if they do. */
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

  /** Processes one observed ground point, which may be outside the frame. */
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
