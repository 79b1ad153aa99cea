/** Tests the track scorer (HOTA, CLEAR MOT, IDF1) on tracks written by hand and against figures of TrackEval. */
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { AgentError } from '../../agent/base/errors.ts';
import { clearMot } from '../../scripts/programs/evaluate/clearmot.ts';
import { hota } from '../../scripts/programs/evaluate/hota.ts';
import { idf1 } from '../../scripts/programs/evaluate/identity.ts';
import { formatMot, type MotRow, pairUp, parseMot } from '../../scripts/programs/evaluate/mot.ts';

function row(
  frame: number,
  id: number,
  left: number,
  top: number,
  width = 20,
  height = 40,
  conf = 1,
): MotRow {
  return { frame, id, xyxyPx: [left, top, left + width, top + height], conf };
}

function checkNear(t: Test, actual: number, expected: number, label: string): void {
  t.ok(Math.abs(actual - expected) < 1e-9, `${label}: ${actual}, expected ${expected}`);
}

function score(truth: readonly MotRow[], detected: readonly MotRow[], frames: number) {
  const paired = pairUp(truth, detected, frames);
  return { ...hota(paired), ...clearMot(paired), idf1: idf1(paired) };
}

/** One object that stays in place for `frames` frames. */
const stationary = (frames: number, id = 1): MotRow[] =>
  Array.from({ length: frames }, (_, i) => row(i + 1, id, 0, 0));

t.test('an invalid line of MOTChallenge text is named', async (t) => {
  const error = { kind: 'corrupt', message: /^gt\.txt:2: expected frame,id,/ };
  for (const line of ['1,2,3', 'one,2,3,4,5,6,7', '0,1,3,4,5,6,7']) {
    t.throws(() => parseMot(`1,1,0,0,2,2,1\n${line}\n`, 'gt.txt'), error, line);
  }
  t.throws(() => parseMot('x', 'gt.txt'), AgentError);
  t.same(parseMot('\n\n', 'gt.txt'), []);
  const rows = [row(1, 7, -2.5, 3), row(2, 8, 4, 5.25)];
  t.same(parseMot(formatMot(rows), 'memory'), rows, 'valid text reads back as written');
});

t.test('empty results or truths score 0', async (t) => {
  const none = score(stationary(4), [], 4);
  t.match(none, { hota: 0, mota: 0, idf1: 0, recall: 0, misses: 4, falseAlarms: 0 });
  const ghosts = score([], stationary(4), 4);
  t.match(ghosts, { hota: 0, idf1: 0, precision: 0, misses: 0, falseAlarms: 4 });
  t.match(score([], [], 4), { hota: 0, mota: 0, idf1: 0 });
});

t.test('a pair that is kept goes before a better overlap', async (t) => {
  const truth = [row(1, 1, 0, 0), row(2, 1, 0, 0)];
  const detected = [row(1, 7, 0, 0), row(2, 7, 5, 0), row(2, 8, 0, 0)];
  t.match(score(truth, detected, 2), { switches: 0, hits: 2, falseAlarms: 1 });
});

t.test('ground truth of confidence 0 is not counted', async (t) => {
  const truth = [...stationary(3), ...stationary(3, 2).map((one) => ({ ...one, conf: 0 }))];
  t.match(score(truth, stationary(3), 3), { mota: 1, recall: 1, precision: 1 });
});

t.test('three people, a swap, gaps, jitter and a ghost give the figures of TrackEval', async (t) => {
  const frames = Array.from({ length: 14 }, (_, i) => i + 1);
  const truth = [
    ...frames.map((f) => row(f, 1, 56 + 4 * f, 37 + f)),
    ...frames.filter((f) => f !== 6 && f !== 7).map((f) => row(f, 2, 69 - 4 * f, f)),
    ...frames.filter((f) => f >= 4).map((f) => row(f, 3, 29 + 4 * f, 52 + f)),
  ];
  const detected = `
    1,12,67,-3,20,37 2,10,68,36,15,38 3,12,62,7,22,42 3,20,150,150,20,40 4,10,72,45,16,43 4,12,53,0,17,40
    4,13,45,52,24,44 5,10,79,40,18,38 5,12,50,9,22,38 5,20,150,150,20,40 6,10,85,42,20,40 7,10,84,49,23,43
    7,13,55,55,21,37 8,11,86,50,20,37 8,12,33,3,22,39 9,11,96,47,16,35 9,12,30,5,19,43 9,13,60,57,19,44
    9,20,150,150,20,40 10,10,30,15,19,41 10,11,92,47,25,40 10,13,70,63,15,39 11,10,24,13,21,42
    11,13,70,60,22,35 12,10,22,11,18,37 12,11,103,49,17,40 13,10,21,9,19,45 13,11,113,45,16,37
    13,13,84,66,20,38 14,10,8,16,15,38 14,11,116,48,22,39 14,13,80,61,22,39`
    .trim()
    .split(/\s+/)
    .map((one) => row(...(one.split(',').map(Number) as [number, number, number, number, number, number])));
  const metrics = score(truth, detected, 14);
  checkNear(t, metrics.hota, 0.3602611783713932, 'HOTA');
  checkNear(t, metrics.detection, 0.4523293851577533, 'DetA');
  checkNear(t, metrics.association, 0.2880101952623365, 'AssA');
  checkNear(t, metrics.mota, 0.5405405405405406, 'MOTA');
  checkNear(t, metrics.idf1, 0.5217391304347826, 'IDF1');
  checkNear(t, metrics.precision, 0.84375, 'precision');
  checkNear(t, metrics.recall, 0.7297297297297297, 'recall');
  t.equal(metrics.switches, 2);
});

const scene = fc.array(
  fc.record({
    frame: fc.integer({ min: 1, max: 6 }),
    id: fc.integer({ min: 1, max: 4 }),
    x: fc.integer({ min: 0, max: 60 }),
    y: fc.integer({ min: 0, max: 60 }),
  }),
  { maxLength: 24 },
);
/** Builds rows with at most one box per id and frame. */
const rowsOf = (boxes: { frame: number; id: number; x: number; y: number }[]): MotRow[] =>
  [...new Map(boxes.map((one) => [`${one.frame}/${one.id}`, one])).values()].map(({ frame, id, x, y }) =>
    row(frame, id, x, y),
  );

t.test('figures of any tracks stay in their range and do not depend on numbers', async (t) => {
  fc.assert(
    fc.property(scene, scene, (a, b) => {
      const truth = rowsOf(a);
      const detected = rowsOf(b);
      const metrics = score(truth, detected, 6);
      const renamed = score(
        truth,
        detected.map((one) => ({ ...one, id: 1000 - 7 * one.id })),
        6,
      );
      const { hota: all, detection, association, localisation, precision, recall } = metrics;
      return (
        [all, detection, association, localisation, precision, recall, metrics.idf1].every(
          (x) => x >= 0 && x <= 1 + 1e-12,
        ) &&
        metrics.mota <= 1 &&
        metrics.hits + metrics.misses === truth.length &&
        metrics.hits + metrics.falseAlarms === detected.length &&
        Math.abs(renamed.hota - all) < 1e-9 &&
        renamed.idf1 === metrics.idf1 &&
        renamed.hits === metrics.hits
      );
    }),
  );
  t.pass('for all');
});
