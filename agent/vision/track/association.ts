/** Which detection belongs to which track, in one pass: pairs are weighed, the heaviest matching wins. */
import type { XyxyPx } from '../../contract/geometry.ts';
import { heaviestMatching } from './assignment.ts';

/** The box with each side moved outwards by `share` of the box's width or height. */
export function enlarged(xyxyPx: XyxyPx, share: number): XyxyPx {
  // As it is, most of the time: nothing is made anew.
  if (share === 0) return xyxyPx;
  const [x1, y1, x2, y2] = xyxyPx;
  const dx = (x2 - x1) * share;
  const dy = (y2 - y1) * share;
  return [x1 - dx, y1 - dy, x2 + dx, y2 + dy];
}

/**
 * Pairs members of two sets so that the sum of their worths is greatest; what is paired leaves both sets.
 * `worth` is finite and ≥ 0; a pair of worth 0 is never made. `pass` is handed to it as it is: no closure for each pass.
 */
export function associate<T, D, P>(
  tracks: Set<T>,
  detections: Set<D>,
  worth: (track: T, detection: D, pass: P) => number,
  pass: P,
): [T, D][] {
  if (tracks.size === 0 || detections.size === 0) return [];
  const rows = [...tracks];
  const columns = [...detections];
  const weights = new Float64Array(rows.length * columns.length);
  for (let r = 0; r < rows.length; r += 1) {
    for (let c = 0; c < columns.length; c += 1)
      weights[r * columns.length + c] = worth(rows[r] as T, columns[c] as D, pass);
  }
  const pairs: [T, D][] = [];
  const matching = heaviestMatching(weights, rows.length, columns.length);
  for (let r = 0; r < rows.length; r += 1) {
    const c = matching[r] as number;
    if (c < 0) continue;
    const track = rows[r] as T;
    const detection = columns[c] as D;
    tracks.delete(track);
    detections.delete(detection);
    pairs.push([track, detection]);
  }
  return pairs;
}
