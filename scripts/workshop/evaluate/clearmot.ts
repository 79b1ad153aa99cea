/**
 * Computes CLEAR MOT: K. Bernardin and R. Stiefelhagen, "Evaluating multiple object tracking performance: the CLEAR MOT
 * metrics", 2008. It counts like TrackEval (overlap 0.5; the previous frame's pairs go first).
 */
import { heaviestMatching } from '../../../agent/vision/track/assignment.ts';
import type { Sequence } from './mot.ts';

const OVERLAP_MIN = 0.5;
/** Outweighs any sum of overlaps in a frame: keeping a pair has priority. */
const KEPT_WEIGHT = 1000;

export interface ClearMot {
  readonly mota: number;
  readonly precision: number;
  readonly recall: number;
  readonly hits: number;
  readonly misses: number;
  readonly falseAlarms: number;
  readonly switches: number;
}

export function clearMot(sequence: Sequence): ClearMot {
  const lastTrackOf = new Int32Array(sequence.truthIds).fill(-1);
  let previous = new Map<number, number>();
  let hits = 0;
  let misses = 0;
  let falseAlarms = 0;
  let switches = 0;
  for (const { truth, tracks, overlaps } of sequence.frames) {
    if (truth.length === 0 || tracks.length === 0) {
      // TrackEval keeps the previous pairs over an empty frame.
      misses += truth.length;
      falseAlarms += tracks.length;
      continue;
    }
    const weights = overlaps.map((overlap, i) => {
      if (overlap < OVERLAP_MIN - Number.EPSILON) return 0;
      const t = truth[Math.floor(i / tracks.length)] as number;
      return overlap + (previous.get(t) === tracks[i % tracks.length] ? KEPT_WEIGHT : 0);
    });
    const now = new Map<number, number>();
    for (const [r, c] of heaviestMatching(weights, truth.length, tracks.length).entries()) {
      if (c < 0) continue;
      const t = truth[r] as number;
      const f = tracks[c] as number;
      const before = lastTrackOf[t] as number;
      if (before >= 0 && before !== f) switches += 1;
      lastTrackOf[t] = f;
      now.set(t, f);
    }
    previous = now;
    hits += now.size;
    misses += truth.length - now.size;
    falseAlarms += tracks.length - now.size;
  }
  return {
    mota: (hits - falseAlarms - switches) / Math.max(1, hits + misses),
    precision: hits / Math.max(1, hits + falseAlarms),
    recall: hits / Math.max(1, hits + misses),
    hits,
    misses,
    falseAlarms,
    switches,
  };
}
