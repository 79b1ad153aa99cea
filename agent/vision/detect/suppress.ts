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
  found: readonly Detection[],
  iouMaxOf: (group: Group) => number,
  pictures: 1 | 2 = 1,
): Detection[] {
  const kept: Detection[] = [];
  for (const one of isSorted(found) ? found : [...found].sort(byScore)) {
    if (!hasRival(one, kept, iouMaxOf(one.group), pictures)) kept.push(one);
  }
  return kept;
}

/** Reports whether they are sorted, as the graph gives them; those of a second picture are not. */
function isSorted(found: readonly Detection[]): boolean {
  for (let i = 1; i < found.length; i += 1)
    if ((found[i] as Detection).score > (found[i - 1] as Detection).score) return false;
  return true;
}

function byScore(a: Detection, b: Detection): number {
  return b.score - a.score;
}

function hasRival(one: Detection, kept: readonly Detection[], iouMax: number, pictures: 1 | 2): boolean {
  for (const other of kept) {
    if (other.group !== one.group || (pictures === 1 && other.label === one.label)) continue;
    if (iou(other.xyxyPx, one.xyxyPx) > iouMax) return true;
  }
  return false;
}
