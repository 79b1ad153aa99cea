/** How far two detectors that looked at the same frames agree: boxes, scores, and what only one of them saw. */
import { iou, type XyxyPx } from '../../contract/geometry.ts';

/** A box of either; coordinates of one kind, pixels or normalised. */
export interface Seen {
  readonly xyxyNorm: XyxyPx;
  readonly score: number;
  readonly group: string;
}

export interface Agreement {
  readonly frames: number;
  readonly matched: number;
  /** Of the matched; null where there are none. */
  readonly iouMean: number | null;
  readonly scoreDifferenceMean: number | null;
  /** Seen by one alone. */
  readonly onlyFirst: number;
  readonly onlySecond: number;
}

/** As in the evaluation of detectors (docs/design/005-benchmark.md): less is another object. */
const IOU_MIN = 0.5;
/** Weaker boxes come and go from frame to frame with one detector too. */
const SCORE_MIN = 0.3;

/**
 * Per frame, boxes of one group are matched by IoU, best first. What one detector is sure of (score ≥ 0.3) may match a weaker box
 * of the other: else 0.31 and 0.29 would count as two things that one alone saw.
 */
export function agreementOf(frames: Iterable<readonly [readonly Seen[], readonly Seen[]]>): Agreement {
  let [looked, matched, ious, differences, onlyFirst, onlySecond] = [0, 0, 0, 0, 0, 0];
  for (const [first, second] of frames) {
    looked += 1;
    const pairs = matchesOf(first, second);
    for (const { a, b, overlap } of pairs) {
      matched += 1;
      ious += overlap;
      differences += Math.abs(a.score - b.score);
    }
    onlyFirst += unmatched(
      first,
      pairs.map(({ a }) => a),
    );
    onlySecond += unmatched(
      second,
      pairs.map(({ b }) => b),
    );
  }
  const mean = (sum: number): number | null => (matched === 0 ? null : sum / matched);
  const [iouMean, scoreDifferenceMean] = [mean(ious), mean(differences)];
  return { frames: looked, matched, iouMean, scoreDifferenceMean, onlyFirst, onlySecond };
}

interface Match {
  readonly a: Seen;
  readonly b: Seen;
  readonly overlap: number;
}

function matchesOf(first: readonly Seen[], second: readonly Seen[]): Match[] {
  const candidates = first.flatMap((a) =>
    second.flatMap((b) => {
      if (a.group !== b.group || Math.max(a.score, b.score) < SCORE_MIN) return [];
      const overlap = iou(a.xyxyNorm, b.xyxyNorm);
      return overlap >= IOU_MIN ? [{ a, b, overlap }] : [];
    }),
  );
  const taken = new Set<Seen>();
  return candidates
    .sort((one, other) => other.overlap - one.overlap)
    .filter(({ a, b }) => {
      if (taken.has(a) || taken.has(b)) return false;
      taken.add(a).add(b);
      return true;
    });
}

function unmatched(seen: readonly Seen[], matched: readonly Seen[]): number {
  return seen.filter((one) => one.score >= SCORE_MIN && !matched.includes(one)).length;
}
