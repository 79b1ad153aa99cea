/**
 * Is the step of a box from one look to the next one that a vehicle makes? In a queue a weak box goes from car to car,
 * against the traffic as well as with it, and while the queue creeps the pixels under it move. What cannot be feigned:
 * the vehicles whose places it takes are followed too, and do not come along.
 *
 * LIMITS: one box for each track that is present, forgotten with it.
 */
import { iou, type XyxyNorm } from '../contract/geometry.ts';
import type { ObservedTrack } from '../contract/observation.ts';

/**
 * A box that shares so much (IoU) with that of a surer vehicle at one look, and hardly anything at the next, has hopped
 * off it or upon it. Two boxes of one vehicle go on together, and of two vehicles that pass each other one hides the
 * other by degrees: two in a hundred real drives on a dense road (of 137) have a single such step.
 */
const UPON_IOU = 0.3;
const OFF_IOU = 0.1;
/**
 * From one look to the next the root of a vehicle's area changes by a quarter at most (98 in 100 drives, on a dense road
 * at 5 frames a second and on a fast one at 3 to 8); a box that goes from a group of cars to a single one halves.
 */
const SIZE_RATIO_MAX = 1.4;

export class Witness {
  /** As seen last, before this frame. */
  #last = new Map<number, XyxyNorm>();

  /** Takes the tracks of a frame; returns those whose step to here is a vehicle's. The first step of a track is to none. */
  update(tracks: readonly ObservedTrack[]): ReadonlySet<number> {
    const seen = tracks.filter((track) => track.seen);
    const vehicles = seen.filter(({ group }) => group !== 'person');
    const witnessed = seen.filter((track) => track.pixelsMove && this.#isVehiclesStep(track, vehicles));
    const present = new Map<number, XyxyNorm>();
    for (const { id, seen, xyxyNorm } of tracks) {
      const box = seen ? xyxyNorm : this.#last.get(id);
      if (box !== undefined) present.set(id, box);
    }
    this.#last = present;
    return new Set(witnessed.map(({ id }) => id));
  }

  #isVehiclesStep(
    { id, bestScore, xyxyNorm: now }: ObservedTrack,
    vehicles: readonly ObservedTrack[],
  ): boolean {
    const then = this.#last.get(id);
    if (then === undefined) return true;
    const ratio = Math.sqrt(area(now) / area(then));
    if (Math.max(ratio, 1 / ratio) > SIZE_RATIO_MAX) return false;
    return !vehicles.some((other) => {
      const otherThen = this.#last.get(other.id);
      if (other.id === id || other.bestScore <= bestScore || otherThen === undefined) return false;
      const [before, after] = [iou(then, otherThen), iou(now, other.xyxyNorm)];
      return Math.max(before, after) >= UPON_IOU && Math.min(before, after) <= OFF_IOU;
    });
  }
}

function area([x1, y1, x2, y2]: XyxyNorm): number {
  return (x2 - x1) * (y2 - y1);
}
