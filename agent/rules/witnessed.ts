/**
 * Decides whether the step of a box between two detector runs is one that a vehicle makes. In a queue a weak box moves
 * from car to car, against the traffic as well as with it. The pixels under it also move while the queue creeps. The
 * reliable sign is that the vehicles whose places it takes are tracked too and do not move with it.
 *
 * LIMITS: one box for each present track, removed with it.
 */
import { iou, type XyxyNorm } from '../contract/geometry.ts';
import type { ObservedTrack } from '../contract/observation.ts';

/**
 * Overlap (IoU) with a surer vehicle in one detector run, and in the next, that marks a jump off it or onto it. Two
 * boxes of one vehicle continue together, and of two passing vehicles one hides the other gradually. Of 137 real drives
 * on a dense road, two in a hundred have a single such step.
 */
const UPON_IOU = 0.3;
const OFF_IOU = 0.1;
/**
 * Largest ratio of the box sizes (root of the area) between two detector runs. A vehicle's changes by at most a quarter
 * in 98 of 100 drives, on a dense road at 5 frames a second and on a fast one at 3 to 8. A box that moves from a group
 * of cars to a single one halves.
 */
const SIZE_RATIO_MAX = 1.4;

export class Witness {
  /** Boxes as last seen before this frame. */
  #last = new Map<number, XyxyNorm>();

  /**
   * Takes the tracks of a frame and returns those whose step is a vehicle's. The first step of a track never counts.
   */
  update(tracks: readonly ObservedTrack[]): ReadonlySet<number> {
    const seenTracks = tracks.filter((track) => track.seen);
    const vehicles = seenTracks.filter(({ group }) => group !== 'person');
    const witnessed = seenTracks.filter((track) => track.pixelsMove && this.#isVehiclesStep(track, vehicles));
    const present = new Map<number, XyxyNorm>();
    for (const { id, seen: isSeen, xyxyNorm } of tracks) {
      const box = isSeen ? xyxyNorm : this.#last.get(id);
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
