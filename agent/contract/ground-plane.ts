/**
 * Ground plane of a fixed camera over flat ground, derived from two people of known position and height.
 * It predicts how tall a person appears anywhere in the picture. If the lens is known too, it measures ground areas.
 *
 * Method: the height of an upright object in the picture is proportional to the distance of its foot below the horizon.
 * Source: Hoiem, Efros, Hebert, "Putting Objects in Perspective", IJCV 80, 2008, eq. 4. This is exact for a level
 * camera and within a tenth for the tilts of street cameras. The ground follows from the horizon (tilt), the camera's
 * height and the focal length by the pinhole model.
 */
import { assert } from '../base/errors.ts';
import type { GroundPlaneConfig } from './config.ts';
import type { PointNorm, SizePx, XyxyNorm } from './geometry.ts';
import type { Group } from './label.ts';

/** Mean adult height in Europe, both sexes, in m (NCD-RisC, eLife 5:e13410, 2016: 1.65 and 1.79 m). */
const PERSON_M = 1.7;
/**
 * Plausible height of a person's box as a ratio of an upright adult's height. A small child or a seated person is .4 to
 * .6, a person hidden to the waist .5. Two people in one box, or one with arms raised, are 1.3. The margin covers the
 * error of the method and of the two marks.
 */
const PERSON_HEIGHTS = { min: 0.35, max: 1.8 } as const;
/**
 * Plausible square root of a vehicle's box area, in heights of a person: a motorcycle from the front .6, an articulated
 * bus 4.5.
 */
const VEHICLE_HEIGHTS = { min: 0.35, max: 6 } as const;
/** Distance to the frame's edge within which a box counts as cut off. */
const EDGE_NORM = 0.01;
/** Maximum measurable distance, in heights of the camera. Ground further away is too near the horizon. */
const REACH_HEIGHTS = 30;

export class GroundPlane {
  /** Height of a person in the picture: #slope × (y of the feet − #horizon), all as ratios of the picture's height. */
  readonly #slope: number;
  readonly #horizon: number;
  readonly #hfovDeg: number | undefined;

  /** The nearer of the two people must be the taller one; the configuration check ensures it. */
  constructor({ people: [one, other], hfovDeg }: GroundPlaneConfig) {
    assert(one !== undefined && other !== undefined, 'the schema wants two people');
    const heightOf = ({ feet, head }: typeof one): number => feet[1] - head[1];
    this.#slope = (heightOf(one) - heightOf(other)) / (one.feet[1] - other.feet[1]);
    this.#horizon = one.feet[1] - heightOf(one) / this.#slope;
    this.#hfovDeg = hfovDeg;
  }

  /** y of the horizon as a ratio of the picture's height; outside 0..1 if it is not in the picture. */
  get horizonNorm(): number {
    return this.#horizon;
  }

  /**
   * Returns the height of an upright adult whose feet are at `y`, as a ratio of the picture's height; 0 at and above
   * the horizon.
   */
  personHeightNorm(y: number): number {
    return Math.max(0, this.#slope * (y - this.#horizon));
  }

  /** Reports whether an object of this group standing at the box can have the box's size. */
  allows(group: Group, [x1, y1, x2, y2]: XyxyNorm, { widthPx, heightPx }: SizePx): boolean {
    if (group !== 'person' && group !== 'vehicle') return true;
    // Its foot is outside the picture.
    if (y2 >= 1 - EDGE_NORM) return true;
    const person = this.personHeightNorm(y2);
    if (person === 0) return false;
    const aspect = widthPx / heightPx;
    const size = group === 'person' ? y2 - y1 : Math.sqrt((x2 - x1) * aspect * (y2 - y1));
    const { min, max } = group === 'person' ? PERSON_HEIGHTS : VEHICLE_HEIGHTS;
    const cutOff = x1 <= EDGE_NORM || y1 <= EDGE_NORM || x2 >= 1 - EDGE_NORM;
    return size <= max * person && (cutOff || size >= min * person);
  }

  /**
   * Returns the ground area under a polygon in m². Undefined without the lens, or if the polygon comes near the
   * horizon.
   */
  areaM2(polygon: readonly PointNorm[], { widthPx, heightPx }: SizePx): number | undefined {
    if (this.#hfovDeg === undefined) return undefined;
    // All values are in units of the picture's height, from its centre.
    const focal = widthPx / heightPx / 2 / Math.tan((this.#hfovDeg * Math.PI) / 360);
    const tilt = Math.atan((0.5 - this.#horizon) / focal);
    const cameraM = (PERSON_M / this.#slope) * Math.cos(tilt);
    const ground = polygon.map(([x, y]): [number, number] | undefined => {
      const sideTan = ((x - 0.5) * (widthPx / heightPx)) / focal;
      const down = (y - 0.5) / focal;
      const drop = Math.sin(tilt) + down * Math.cos(tilt);
      const depth = (Math.cos(tilt) - down * Math.sin(tilt)) / drop;
      if (drop <= 0 || depth > REACH_HEIGHTS) return undefined;
      return [(cameraM * sideTan) / drop, cameraM * depth];
    });
    const points = ground.filter((point) => point !== undefined);
    return points.length < polygon.length ? undefined : shoelace(points);
  }
}

function shoelace(points: readonly (readonly [number, number])[]): number {
  let doubleArea = 0;
  for (const [i, [x1, y1]] of points.entries()) {
    const [x2, y2] = points[(i + 1) % points.length] ?? [x1, y1];
    doubleArea += x1 * y2 - x2 * y1;
  }
  return Math.abs(doubleArea) / 2;
}
