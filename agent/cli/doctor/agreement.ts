/** Agreement of two detectors on the same frames: boxes, scores, and detections made by only one of them. */
import { iou, type XyxyPx } from '../../contract/geometry.ts';

/** Box of either detector, in one kind of coordinates, pixels or normalised. */
export interface DetectedBox {
  readonly xyxyNorm: XyxyPx;
  readonly score: number;
  readonly group: string;
}

export interface Agreement {
  readonly frames: number;
  readonly matched: number;
  /** Mean over the matches; null if there are none. */
  readonly iouMean: number | null;
  readonly scoreDifferenceMean: number | null;
  /** Detected by only one. */
  readonly onlyFirst: number;
  readonly onlySecond: number;
}

/** Minimum overlap of the same object, as in the evaluation of detectors (docs/design/005-benchmark.md). */
const IOU_MIN = 0.5;
/** Minimum reliable score. Weaker boxes come and go from frame to frame, even with one detector. */
const SCORE_MIN = 0.3;

/**
 * Compares the frames. In each, boxes of one group are matched by IoU, best first. A reliable box (score ≥ 0.3) may
 * match a weaker box of the other detector. Otherwise 0.31 and 0.29 would count as two objects that only one detected.
 */
export function agreementOf(
  frames: Iterable<readonly [readonly DetectedBox[], readonly DetectedBox[]]>,
): Agreement {
  let [frameCount, matched, ious, differences, onlyFirst, onlySecond] = [0, 0, 0, 0, 0, 0];
  for (const [first, second] of frames) {
    frameCount += 1;
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
  return { frames: frameCount, matched, iouMean, scoreDifferenceMean, onlyFirst, onlySecond };
}

interface Match {
  readonly a: DetectedBox;
  readonly b: DetectedBox;
  readonly overlap: number;
}

function matchesOf(first: readonly DetectedBox[], second: readonly DetectedBox[]): Match[] {
  const candidates = first.flatMap((a) =>
    second.flatMap((b) => {
      if (a.group !== b.group || Math.max(a.score, b.score) < SCORE_MIN) return [];
      const overlap = iou(a.xyxyNorm, b.xyxyNorm);
      return overlap >= IOU_MIN ? [{ a, b, overlap }] : [];
    }),
  );
  const matchedBoxes = new Set<DetectedBox>();
  return candidates
    .sort((one, other) => other.overlap - one.overlap)
    .filter(({ a, b }) => {
      if (matchedBoxes.has(a) || matchedBoxes.has(b)) return false;
      matchedBoxes.add(a).add(b);
      return true;
    });
}

function unmatched(boxes: readonly DetectedBox[], matched: readonly DetectedBox[]): number {
  return boxes.filter((one) => one.score >= SCORE_MIN && !matched.includes(one)).length;
}
