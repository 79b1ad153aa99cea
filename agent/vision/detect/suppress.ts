/** Non-maximum suppression across the labels of one group: a van is not also a car and a truck. */
import { iou } from '../../contract/geometry.ts';
import type { Group } from '../../contract/label.ts';
import type { Detection } from '../../contract/picture.ts';

/**
 * Suppresses boxes by group with greedy NMS (Felzenszwalb et al. 2010). The best-scored box stays, and boxes of the
 * same group that overlap it by more than the group's `iouMaxOf` are removed. In one picture, the model has done this
 * within each label already; `pictures` is the number of pictures with boxes.
 *
 * Returns the remaining detections, best first; equal scores keep their sequence.
 */
export function suppressWithinGroups(
  detections: readonly Detection[],
  iouMaxOf: (group: Group) => number,
  pictures: 1 | 2 = 1,
): Detection[] {
  const remaining: Detection[] = [];
  for (const one of isSorted(detections) ? detections : [...detections].sort(byScore)) {
    if (!hasRival(one, remaining, iouMaxOf(one.group), pictures)) remaining.push(one);
  }
  return remaining;
}

/** Reports whether they are sorted, as the graph gives them; those of a second picture are not. */
function isSorted(detections: readonly Detection[]): boolean {
  for (let i = 1; i < detections.length; i += 1)
    if ((detections[i] as Detection).score > (detections[i - 1] as Detection).score) return false;
  return true;
}

function byScore(a: Detection, b: Detection): number {
  return b.score - a.score;
}

function hasRival(one: Detection, remaining: readonly Detection[], iouMax: number, pictures: 1 | 2): boolean {
  for (const other of remaining) {
    if (other.group !== one.group || (pictures === 1 && other.label === one.label)) continue;
    if (iou(other.xyxyPx, one.xyxyPx) > iouMax) return true;
  }
  return false;
}
