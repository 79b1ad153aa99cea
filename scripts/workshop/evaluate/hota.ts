/**
 * Computes HOTA: J. Luiten et al., "HOTA: A higher order metric for evaluating multi-object tracking", IJCV 2021, with
 * the matching of its reference implementation, TrackEval.
 */
import { heaviestMatching } from '../../../agent/vision/track/assignment.ts';
import type { Sequence } from './mot.ts';

/** Localisation thresholds over which the metrics are averaged. */
const ALPHAS = Array.from({ length: 19 }, (_, i) => (i + 1) * 0.05);

/** Means over all alphas, 0..1. */
export interface Hota {
  readonly hota: number;
  readonly detection: number;
  readonly association: number;
  readonly localisation: number;
}

export function hota(sequence: Sequence): Hota {
  const { truthIds, foundIds } = sequence;
  const truthCount = new Float64Array(truthIds);
  const foundCount = new Float64Array(foundIds);
  const alignment = alignmentOf(sequence, truthCount, foundCount);
  const hits = ALPHAS.map(() => new Float64Array(truthIds * foundIds));
  const hitTotal = new Float64Array(ALPHAS.length);
  const overlapTotal = new Float64Array(ALPHAS.length);
  for (const { truth, tracks, overlaps } of sequence.frames) {
    const weights = overlaps.map((overlap, i) => {
      const t = truth[Math.floor(i / tracks.length)] as number;
      const f = tracks[i % tracks.length] as number;
      return overlap * (alignment[t * foundIds + f] as number);
    });
    for (const [r, c] of heaviestMatching(weights, truth.length, tracks.length).entries()) {
      if (c < 0) continue;
      const overlap = overlaps[r * tracks.length + c] as number;
      const cell = (truth[r] as number) * foundIds + (tracks[c] as number);
      for (const [a, alpha] of ALPHAS.entries()) {
        if (overlap < alpha - Number.EPSILON) break;
        const counts = hits[a] as Float64Array;
        counts[cell] = (counts[cell] as number) + 1;
        hitTotal[a] = (hitTotal[a] as number) + 1;
        overlapTotal[a] = (overlapTotal[a] as number) + overlap;
      }
    }
  }
  const truths = truthCount.reduce((a, b) => a + b, 0);
  const founds = foundCount.reduce((a, b) => a + b, 0);
  const perAlpha = ALPHAS.map((_, a) => {
    const tp = hitTotal[a] as number;
    const detection = tp / Math.max(1, truths + founds - tp);
    const association = associationOf(hits[a] as Float64Array, truthCount, foundCount) / Math.max(1, tp);
    return {
      hota: Math.sqrt(detection * association),
      detection,
      association,
      localisation: tp === 0 ? 1 : (overlapTotal[a] as number) / tp,
    };
  });
  const mean = (of: (one: Hota) => number): number =>
    perAlpha.reduce((sum, one) => sum + of(one), 0) / ALPHAS.length;
  return {
    hota: mean((one) => one.hota),
    detection: mean((one) => one.detection),
    association: mean((one) => one.association),
    localisation: mean((one) => one.localisation),
  };
}

/**
 * Computes how well each object and track match over the whole sequence, before any matching; counts both on the way.
 */
function alignmentOf(sequence: Sequence, truthCount: Float64Array, foundCount: Float64Array): Float64Array {
  const { truthIds, foundIds } = sequence;
  const potential = new Float64Array(truthIds * foundIds);
  for (const { truth, tracks, overlaps } of sequence.frames) {
    const rowSum = truth.map((_, r) =>
      tracks.reduce((sum, _f, c) => sum + (overlaps[r * tracks.length + c] as number), 0),
    );
    const columnSum = tracks.map((_, c) =>
      truth.reduce((sum, _t, r) => sum + (overlaps[r * tracks.length + c] as number), 0),
    );
    for (const t of truth) truthCount[t] = (truthCount[t] as number) + 1;
    for (const f of tracks) foundCount[f] = (foundCount[f] as number) + 1;
    for (const [r, t] of truth.entries()) {
      for (const [c, f] of tracks.entries()) {
        const overlap = overlaps[r * tracks.length + c] as number;
        const total = (rowSum[r] as number) + (columnSum[c] as number) - overlap;
        if (total > Number.EPSILON)
          potential[t * foundIds + f] = (potential[t * foundIds + f] as number) + overlap / total;
      }
    }
  }
  return potential.map((p, i) => {
    const total = (truthCount[Math.floor(i / foundIds)] as number) + (foundCount[i % foundIds] as number) - p;
    return total > 0 ? p / total : 0;
  });
}

function associationOf(hits: Float64Array, truthCount: Float64Array, foundCount: Float64Array): number {
  let sum = 0;
  for (const [i, n] of hits.entries()) {
    if (n === 0) continue;
    const t = truthCount[Math.floor(i / foundCount.length)] as number;
    const f = foundCount[i % foundCount.length] as number;
    sum += (n * n) / Math.max(1, t + f - n);
  }
  return sum;
}
