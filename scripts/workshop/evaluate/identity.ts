/**
 * Computes IDF1: E. Ristani et al., "Performance measures and a data set for multi-target, multi-camera tracking",
 * 2016. Each object gets one track over the whole sequence, chosen so that most frames agree (overlap 0.5).
 */
import { heaviestMatching } from '../../../agent/vision/track/assignment.ts';
import type { Sequence } from './mot.ts';

const OVERLAP_MIN = 0.5;

export function idf1(sequence: Sequence): number {
  const { truthIds, foundIds } = sequence;
  const agreeing = new Float64Array(truthIds * foundIds);
  let truths = 0;
  let founds = 0;
  for (const { truth, tracks, overlaps } of sequence.frames) {
    truths += truth.length;
    founds += tracks.length;
    for (const [i, overlap] of overlaps.entries()) {
      if (overlap < OVERLAP_MIN) continue;
      const cell =
        (truth[Math.floor(i / tracks.length)] as number) * foundIds + (tracks[i % tracks.length] as number);
      agreeing[cell] = (agreeing[cell] as number) + 1;
    }
  }
  let hits = 0;
  for (const [t, f] of heaviestMatching(agreeing, truthIds, foundIds).entries()) {
    if (f >= 0) hits += agreeing[t * foundIds + f] as number;
  }
  return (2 * hits) / Math.max(1, truths + founds);
}
