/**
 * Computes average precision exactly:
 *
 * - Detections of all frames are ranked by score, best first. Equal scores keep the order of the frames and of the
 *   detections in them.
 * - Each detection in turn takes a truth of its frame that no better detection has taken: the one with the largest
 *   overlap, if that IoU is at least `iouMin`. Then it is right (greedy matching, as in COCO's cocoapi).
 * - A detection without a truth may take an ignored box in the same way, an object that the annotators chose not to
 *   evaluate. Then it is neither right nor wrong and leaves the ranking. Otherwise it is wrong.
 * - After the k-th detection, precision is right ÷ k and recall is right ÷ number of truths.
 * - Average precision is the area under precision over recall. The precision at a recall is the best one at that recall
 *   or a higher one (all-point interpolation, PASCAL VOC since 2010).
 * - Recall at a precision is the highest recall of any k whose precision is at least that.
 */
import { iou, type XyxyPx } from '../../../agent/contract/geometry.ts';

export interface ScoredBox {
  readonly xyxyPx: XyxyPx;
  readonly score: number;
}

export interface EvaluatedFrame {
  readonly detections: readonly ScoredBox[];
  readonly truth: readonly XyxyPx[];
  /** Objects that exist but are not evaluated; none if absent. */
  readonly ignored?: readonly XyxyPx[];
}

export interface Accuracy {
  readonly truths: number;
  readonly averagePrecision: number;
  readonly recallAtPrecision: number;
  /** Lowest score to accept for that recall; null if no k reaches the precision. */
  readonly scoreAtPrecision: number | null;
}

export interface EvaluationCriteria {
  readonly iouMin: number;
  readonly precisionMin: number;
}

export function accuracyOf(
  frames: readonly EvaluatedFrame[],
  { iouMin, precisionMin }: EvaluationCriteria,
): Accuracy {
  const truths = frames.reduce((sum, { truth }) => sum + truth.length, 0);
  const ranked = rank(frames, iouMin);
  let right = 0;
  const curve = ranked.map((one, index) => {
    if (one.right) right += 1;
    return { score: one.score, precision: right / (index + 1), recall: truths === 0 ? 0 : right / truths };
  });
  const best = curve.findLast(({ precision }) => precision >= precisionMin);
  return {
    truths,
    averagePrecision: areaUnder(curve),
    recallAtPrecision: best?.recall ?? 0,
    scoreAtPrecision: best?.score ?? null,
  };
}

function rank(frames: readonly EvaluatedFrame[], iouMin: number): { score: number; right: boolean }[] {
  const places = frames.map(({ truth, ignored = [] }) => ({
    truth: new Set(truth),
    ignored: new Set(ignored),
  }));
  const ranked: { score: number; right: boolean }[] = [];
  const all = frames.flatMap(({ detections }, index) =>
    detections.map((box) => ({ ...box, place: places[index] })),
  );
  for (const { xyxyPx, score, place } of all.sort((a, b) => b.score - a.score)) {
    const right = takeBest(place?.truth, xyxyPx, iouMin);
    if (right || !takeBest(place?.ignored, xyxyPx, iouMin)) ranked.push({ score, right });
  }
  return ranked;
}

/** Takes from `free` the box with the largest overlap with `xyxyPx`; false if none overlaps enough. */
function takeBest(free: Set<XyxyPx> | undefined, xyxyPx: XyxyPx, iouMin: number): boolean {
  let best: XyxyPx | undefined;
  let bestIou = 0;
  for (const box of free ?? []) {
    const overlap = iou(xyxyPx, box);
    if (overlap < iouMin || overlap <= bestIou) continue;
    best = box;
    bestIou = overlap;
  }
  return best !== undefined && free?.delete(best) === true;
}

function areaUnder(curve: readonly { precision: number; recall: number }[]): number {
  let area = 0;
  let precisionFromHere = 0;
  for (let k = curve.length - 1; k >= 0; k -= 1) {
    const { precision = 0, recall = 0 } = curve[k] ?? {};
    precisionFromHere = Math.max(precisionFromHere, precision);
    area += (recall - (curve[k - 1]?.recall ?? 0)) * precisionFromHere;
  }
  return area;
}
