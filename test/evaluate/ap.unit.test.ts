/** Tests average precision and recall at a minimum precision on detections written by hand. */
import t from 'tap';
import type { XyxyPx } from '../../agent/contract/geometry.ts';
import { accuracyOf, type EvaluatedFrame } from '../../scripts/programs/evaluate/ap.ts';

const THRESHOLDS = { iouMin: 0.5, precisionMin: 0.9 };

/** A box of 10 × 10 at x; two of them `by` apart overlap with an IoU of (10 - by) / (10 + by). */
const at = (x: number): XyxyPx => [x, 0, x + 10, 10];
const detection = (x: number, score: number) => ({ xyxyPx: at(x), score });
const evaluate = (...frames: EvaluatedFrame[]) => accuracyOf(frames, THRESHOLDS);

t.test('perfect detections score 1', async (t) => {
  const all = evaluate(
    { truth: [at(0), at(100)], detections: [detection(0, 0.4), detection(101, 0.9)] },
    { truth: [], detections: [] },
  );
  t.same(all, { truths: 2, averagePrecision: 1, recallAtPrecision: 1, scoreAtPrecision: 0.4 });
});

t.test('precision is interpolated from the right', async (t) => {
  // Ranked as right, wrong, right; 3 truths. Precision 1, 1/2, 2/3 at recall 1/3, 1/3, 2/3.
  const mixed = evaluate({
    truth: [at(0), at(100), at(200)],
    detections: [detection(0, 0.9), detection(50, 0.8), detection(100, 0.7)],
  });
  t.equal(mixed.averagePrecision.toFixed(6), ((1 / 3) * 1 + (1 / 3) * (2 / 3)).toFixed(6));
  t.equal(mixed.recallAtPrecision, 1 / 3);
  t.equal(mixed.scoreAtPrecision, 0.9);
});

t.test('precision may return to its minimum further down', async (t) => {
  // One wrong at the top, then 9 right: precision is 0.9 again at the tenth.
  const truth = Array.from({ length: 10 }, (_, i) => at(i * 100));
  const rest = truth.slice(1).map((xyxyPx, i) => ({ xyxyPx, score: 0.8 - i / 100 }));
  const late = evaluate({ truth, detections: [detection(50, 0.9), ...rest] });
  t.equal(late.recallAtPrecision, 0.9);
  t.equal(late.averagePrecision.toFixed(6), (0.9 * 0.9).toFixed(6));
});

t.test('a truth is taken once, by the better score, in any order', async (t) => {
  const double = evaluate({ truth: [at(0)], detections: [detection(0, 0.5), detection(1, 0.9)] });
  t.equal(double.averagePrecision, 1);
  t.equal(double.scoreAtPrecision, 0.9, 'the second one is a false alarm');
});

t.test('an IoU of exactly the minimum counts, a lower one does not', async (t) => {
  const truth: XyxyPx = [0, 0, 10, 10];
  const half = (heightPx: number) =>
    evaluate({ truth: [truth], detections: [{ xyxyPx: [0, 0, 10, heightPx], score: 1 }] }).averagePrecision;
  t.same([half(5), half(4.9)], [1, 0]);
});

t.test('a detection never takes a truth of another frame; all frames make one ranking', async (t) => {
  const separate = evaluate(
    { truth: [at(0)], detections: [] },
    { truth: [], detections: [detection(0, 0.9)] },
  );
  t.same(separate, { truths: 1, averagePrecision: 0, recallAtPrecision: 0, scoreAtPrecision: null });
  const ranked = evaluate(
    { truth: [at(0)], detections: [detection(0, 0.3)] },
    { truth: [], detections: [detection(0, 0.9)] },
  );
  t.equal(ranked.averagePrecision, 0.5, 'the false alarm of the other frame ranks higher');
});

t.test('an ignored object excuses one detection, and only one that finds no truth', async (t) => {
  const excused = evaluate({
    truth: [at(0)],
    ignored: [at(50)],
    detections: [detection(50, 0.9), detection(0, 0.8)],
  });
  t.equal(excused.averagePrecision, 1, 'the detection above is out of the ranking');
  const both = evaluate({ truth: [at(0)], ignored: [at(1)], detections: [detection(1, 0.9)] });
  t.equal(both.averagePrecision, 1, 'a truth is taken first, though the ignored one is nearer');
  t.equal(
    evaluate({ truth: [at(0)], ignored: [at(0)], detections: [] }).truths,
    1,
    'ignored ones are not missed',
  );
});

t.test('figures are 0 without truths', async (t) => {
  t.equal(evaluate({ truth: [], detections: [detection(0, 0.9)] }).averagePrecision, 0);
  t.equal(evaluate().averagePrecision, 0);
});
