/** Which detection belongs to which track, in one pass: pairs are weighed, the heaviest matching wins. */
import type { XyxyPx } from '../../contract/geometry.ts';
import { heaviestMatching } from './assignment.ts';

/** The box with each side moved outwards by `share` of the box's width or height. */
export function enlarged(xyxyPx: XyxyPx, share: number): XyxyPx {
  const [x1, y1, x2, y2] = xyxyPx;
  const dx = (x2 - x1) * share;
  const dy = (y2 - y1) * share;
  return [x1 - dx, y1 - dy, x2 + dx, y2 + dy];
}

/**
 * Pairs members of two sets so that the sum of their worths is greatest; what is paired leaves both sets.
 * `worth` is finite and ≥ 0; a pair of worth 0 is never made.
 */
export function associate<T, D>(
  tracks: Set<T>,
  detections: Set<D>,
  worth: (track: T, detection: D) => number,
): [T, D][] {
  if (tracks.size === 0 || detections.size === 0) return [];
  const rows = [...tracks];
  const columns = [...detections];
  const weights = new Float64Array(rows.length * columns.length);
  for (const [r, track] of rows.entries()) {
    for (const [c, detection] of columns.entries()) weights[r * columns.length + c] = worth(track, detection);
  }
  const pairs: [T, D][] = [];
  for (const [r, c] of heaviestMatching(weights, rows.length, columns.length).entries()) {
    if (c < 0) continue;
    const track = rows[r] as T;
    const detection = columns[c] as D;
    tracks.delete(track);
    detections.delete(detection);
    pairs.push([track, detection]);
  }
  return pairs;
}
