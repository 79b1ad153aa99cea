/** Matches detections with tracks in one pass: pairs are weighted, and the heaviest matching wins. */
import type { XyxyPx } from '../../contract/geometry.ts';
import { heaviestMatching } from './assignment.ts';

/** Returns the box with each side moved outwards by `ratio` of the box's width or height. */
export function enlarged(xyxyPx: XyxyPx, ratio: number): XyxyPx {
  // The usual case, without an allocation.
  if (ratio === 0) return xyxyPx;
  const [x1, y1, x2, y2] = xyxyPx;
  const dx = (x2 - x1) * ratio;
  const dy = (y2 - y1) * ratio;
  return [x1 - dx, y1 - dy, x2 + dx, y2 + dy];
}

/** Grows with the largest pass. */
let weights = new Float64Array(1024);

/**
 * Pairs tracks with detections so that the sum of their worths is greatest. Returns the index of each track's
 * detection, or −1, valid until the next call. `worth` is finite and ≥ 0; a pair of worth 0 is never made. `pass` is
 * handed to it unchanged, which avoids a closure per pass.
 */
export function associate<T, D, P>(
  tracks: readonly T[],
  detections: readonly D[],
  worth: (track: T, detection: D, pass: P) => number,
  pass: P,
): Int32Array {
  const pairs = tracks.length * detections.length;
  if (weights.length < pairs) weights = new Float64Array(2 * pairs);
  for (let r = 0; r < tracks.length; r += 1) {
    for (let c = 0; c < detections.length; c += 1)
      weights[r * detections.length + c] = worth(tracks[r] as T, detections[c] as D, pass);
  }
  return heaviestMatching(weights, tracks.length, detections.length);
}
