/**
 * Tests the scores of films against labels, and of detections on detections written by hand. Tracks (HOTA, CLEAR MOT,
 * IDF1) are scored against figures of TrackEval. Tests also a soak's slope, verdict and chart, and V8's work in a benchmark.
 */

import t, { type Test } from 'tap';
import type { UnnumberedEvent } from '../../agent/contract/event-sink.ts';
import type { XyxyPx } from '../../agent/contract/geometry.ts';
import type { LocalStatus } from '../../agent/contract/local-status.ts';
import { workOf } from '../../scripts/workshop/bench/v8-work.ts';
import { accuracyOf, type EvaluatedFrame } from '../../scripts/workshop/evaluate/ap.ts';
import { clearMot } from '../../scripts/workshop/evaluate/clearmot.ts';
import { hota } from '../../scripts/workshop/evaluate/hota.ts';
import { idf1 } from '../../scripts/workshop/evaluate/identity.ts';
import {
  blindnessTold,
  forgive,
  type Label,
  type RuleScore,
  type Start,
  scoreConditions,
  scoreStarts,
  startsOf,
} from '../../scripts/workshop/evaluate/labels.ts';
import { type MotRow, pairUp } from '../../scripts/workshop/evaluate/mot.ts';
import { memoryPicture } from '../../scripts/workshop/soak/picture.ts';
import { type Sample, slopeOf } from '../../scripts/workshop/soak/regression.ts';
import { findingsOf, tableOf } from '../../scripts/workshop/soak/report.ts';
import type { Soaked } from '../../scripts/workshop/soak/soak.ts';

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

const THRESHOLDS = { iouMin: 0.5, precisionMin: 0.9 };

/** A box of 10 × 10 at x; two of them `by` apart overlap with an IoU of (10 - by) / (10 + by). */
const boxAt = (x: number): XyxyPx => [x, 0, x + 10, 10];
const detection = (x: number, score: number) => ({ xyxyPx: boxAt(x), score });
const evaluate = (...frames: EvaluatedFrame[]) => accuracyOf(frames, THRESHOLDS);

t.test('precision is interpolated from the right', async (t) => {
  // Ranked as right, wrong, right; 3 truths. Precision 1, 1/2, 2/3 at recall 1/3, 1/3, 2/3.
  const mixed = evaluate({
    truth: [boxAt(0), boxAt(100), boxAt(200)],
    detections: [detection(0, 0.9), detection(50, 0.8), detection(100, 0.7)],
  });
  t.equal(mixed.averagePrecision.toFixed(6), ((1 / 3) * 1 + (1 / 3) * (2 / 3)).toFixed(6));
  t.equal(mixed.recallAtPrecision, 1 / 3);
  t.equal(mixed.scoreAtPrecision, 0.9);
});

t.test('precision may return to its minimum further down', async (t) => {
  // One wrong at the top, then 9 right: precision is 0.9 again at the tenth.
  const truth = Array.from({ length: 10 }, (_, i) => boxAt(i * 100));
  const rest = truth.slice(1).map((xyxyPx, i) => ({ xyxyPx, score: 0.8 - i / 100 }));
  const late = evaluate({ truth, detections: [detection(50, 0.9), ...rest] });
  t.equal(late.recallAtPrecision, 0.9);
  t.equal(late.averagePrecision.toFixed(6), (0.9 * 0.9).toFixed(6));
});

t.test('a truth is taken once, by the better score, in any order', async (t) => {
  const double = evaluate({ truth: [boxAt(0)], detections: [detection(0, 0.5), detection(1, 0.9)] });
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
    { truth: [boxAt(0)], detections: [] },
    { truth: [], detections: [detection(0, 0.9)] },
  );
  t.same(separate, { truths: 1, averagePrecision: 0, recallAtPrecision: 0, scoreAtPrecision: null });
  const ranked = evaluate(
    { truth: [boxAt(0)], detections: [detection(0, 0.3)] },
    { truth: [], detections: [detection(0, 0.9)] },
  );
  t.equal(ranked.averagePrecision, 0.5, 'the false alarm of the other frame ranks higher');
});

t.test('an ignored object excuses one detection, and only one that finds no truth', async (t) => {
  const excused = evaluate({
    truth: [boxAt(0)],
    ignored: [boxAt(50)],
    detections: [detection(50, 0.9), detection(0, 0.8)],
  });
  t.equal(excused.averagePrecision, 1, 'the detection above is out of the ranking');
  const both = evaluate({ truth: [boxAt(0)], ignored: [boxAt(1)], detections: [detection(1, 0.9)] });
  t.equal(both.averagePrecision, 1, 'a truth is taken first, though the ignored one is nearer');
  t.equal(
    evaluate({ truth: [boxAt(0)], ignored: [boxAt(0)], detections: [] }).truths,
    1,
    'ignored ones are not missed',
  );
});

t.test('scoring counts windows, misses and false alerts', async (t) => {
  const rules = [
    { id: 'a', kind: 'loitering' },
    { id: 'b', kind: 'wrong-way' },
  ];
  const expected: { rule: string; startS: [number, number] }[] = [
    { rule: 'a', startS: [10, 20] },
    { rule: 'a', startS: [12, 14] },
    { rule: 'a', startS: [40, 50] },
  ];
  const label: Label = {
    name: 'x',
    clip: 'x',
    clipPath: 'x',
    config: { rules },
    expected,
    expectedAtLeast: [{ rule: 'b', count: 2 }],
  };
  const starts = [13, 19, 30].map((atS) => ({ rule: 'a', kind: 'loitering', atS }));
  const [a, b] = scoreStarts(label, [...starts, { rule: 'b', kind: 'wrong-way', atS: 1 }]);
  t.match(a, { truePositives: 2, falseNegatives: 1, falsePositives: 1 });
  t.same(
    a?.mistakes.map(({ line }) => line),
    ['x: a missed between 40 and 50 s', 'x: a false at 30.0 s'],
  );
  t.match(b, { truePositives: 1, falseNegatives: 1, falsePositives: 0 });
});

t.test('scoring forgives presence at the start, allowed conditions and reported blindness', async (t) => {
  const label: Label = {
    name: 'x',
    clip: 'x',
    clipPath: 'x',
    config: { rules: [{ id: 'a', kind: 'illegal-parking' }] },
    expected: [{ rule: 'a', startS: [10, 20] }],
    mayTell: ['too-dark'],
    orCannotSee: true,
  };
  const event = (kind: string, atS: number, id = 'built-in', phase = 'start'): UnnumberedEvent =>
    ({
      time: new Date(atS * 1000).toISOString(),
      data: { phase, rule: { id, kind, params: {} } },
    }) as unknown as UnnumberedEvent;
  const starts = startsOf([
    event('present-at-start', 3, 'a'),
    event('illegal-parking', 30, 'a'),
    event('too-dark', 40),
    event('too-dark', 50, 'built-in', 'end'),
    event('cannot-see', 61, 'built-in'),
  ]);
  const [score] = scoreStarts(label, starts) as [RuleScore];
  t.match(score, { truePositives: 0, falseNegatives: 1, falsePositives: 1 }, 'there before: not counted');
  t.match(
    scoreConditions(label, starts),
    [{ kind: 'cannot-see', falsePositives: 1, mistakes: [{ line: 'x: cannot-see false at 61.0 s' }] }],
    'only what the label does not allow is false',
  );
  const blind = blindnessTold(starts) as Start;
  t.match(blind, { kind: 'too-dark', atS: 40 });
  t.match(forgive(score, blind), {
    falseNegatives: 0,
    falsePositives: 1,
    mistakes: [{ line: 'x: a false at 30.0 s' }],
    forgiven: [{ line: 'x: a missed between 10 and 20 s; forgiven: too-dark reported at 40.0 s' }],
  });
  t.equal(blindnessTold(startsOf([event('cannot-see', 61)])), undefined, 'too late');
  t.equal(blindnessTold(startsOf([event('defocused', 5)])), undefined, 'another condition');
});

/** An hour of samples, one every 5 s. */
function hourOf(value: (hours: number) => number): Sample[] {
  return Array.from({ length: 720 }, (_, i) => ({ hours: i / 720, value: value(i / 720) }));
}

void t.test('a slope comes with its uncertainty', async (t) => {
  const exact = slopeOf(hourOf((hours) => 200 + 3 * hours));
  t.ok(Math.abs((exact?.perHour ?? 0) - 3) < 1e-9 && (exact?.plusMinus ?? 1) < 1e-6);
  t.ok(Math.abs((exact?.from ?? 0) - 200) < 1e-9);
  t.equal(slopeOf(hourOf(() => 200).slice(0, 19)), undefined, 'too few samples say nothing');
});

/** Result of a soak in which vision grows by this number of MB an hour. */
function soakResult(growth: number): Soaked {
  const samples = hourOf((hours) => 200 + growth * hours).map(({ hours, value }) => ({
    hours,
    processes: {
      vision: { pid: 2, rssMiB: value / 1.048576, fds: 25 },
      agent: { pid: hours < 0.5 ? 3 : 4, rssMiB: 90, fds: 30 },
    },
  }));
  const report = {
    frames: { read: 36_000, analysed: 35_990, dropped: 10 },
    incidents: { standing: 0, episodes: 50, events: 100 },
    outbox: { lanes: { alert: { rows: 1 }, bulk: { rows: 2 } } },
  };
  const bucket = (le: string, count: number): string =>
    `vigie_frame_to_puback_seconds_bucket{le="${le}"} ${count}`;
  const metrics = [bucket('0.1', 50), bucket('0.2', 96), bucket('0.5', 100), bucket('+Inf', 100)].join('\n');
  const arrivalMs = Array.from({ length: 100 }, (_, i) => 100 - i);
  return { samples, status: { report } as unknown as LocalStatus, metrics, arrivalMs };
}

void t.test('a soak reports its figures and whether memory is steady', async (t) => {
  const run = { hours: 1, warmupHours: 0.25, clip: 'street.avi', fps: 5 };
  const steady = findingsOf(soakResult(0.5), run);
  t.match(steady, {
    steady: true,
    events: 100,
    outboxRows: 3,
    processes: { vision: { lives: 1, fds: { last: 25 } }, agent: { lives: 2 } },
    latencyMs: { toPuback: { p50: 100, p95: 200, p99: 500, max: 500 }, toArchive: { p50: 51, max: 100 } },
  });
  t.ok(Math.abs((steady.processes.vision.slope?.perHour ?? 0) - 0.5) < 1e-6, 'in MB, not MiB');
  t.match(tableOf(steady), /vision {3}200\.1 .* 0\.50 ± 0\.00 .* 25 → 25 +1\n/);
  t.match(tableOf(steady), /at most 1 MB\/h: held/);
  const growing = findingsOf(soakResult(3), run);
  t.equal(growing.steady, false);
  t.match(tableOf(growing), /MISSED/);

  const { samples } = soakResult(3);
  const points = samples.map(({ hours, processes }) => ({ hours, value: processes.vision?.rssMiB ?? 0 }));
  const slope = growing.processes.vision.slope ?? undefined;
  const svg = memoryPicture([{ name: 'vision', points, slope }], 0.25);
  t.match(svg, /^<svg [^>]+>/);
  t.match(svg, 'vision: 3.00 ± 0.00 MB/h after warm-up');
  t.notMatch(svg, /NaN|undefined|Infinity/);
});

const span = (name: string, ts: number, dur: number) => ({ name, ph: 'X', ts, dur, args: {} });
const collection = (name: string, ts: number, before: number, after: number) => [
  { name, ph: 'B', ts, dur: 0, args: { usedHeapSizeBefore: before } },
  { name, ph: 'E', ts: ts + 1, dur: 0, args: { usedHeapSizeAfter: after } },
];

t.test('only work after the first part of the time counts', async (t) => {
  const events = [
    // An event without a time must not be taken for the beginning.
    { name: 'process_name', ph: 'M', ts: 0, dur: 0, args: {} },
    span('V8.OptimizeCode', 1000, 10),
    span('V8.OptimizeCode', 1400, 10),
    span('V8.OptimizeCode', 1900, 10),
    span('V8.CompileCode', 1950, 10),
    span('V8.OptimizeCode', 2000, 10),
  ];
  t.match(workOf(events, 0.5), { compilations: 2, deoptimisations: 0 });
  t.match(workOf(events, 0), { compilations: 4 });
});

t.test('a deoptimisation that writes two spans, one in the other, is one', async (t) => {
  const events = [
    span('V8.DeoptimizeCode', 107, 4),
    span('V8.DeoptimizeCode', 100, 20),
    span('V8.DeoptimizeCode', 200, 5),
  ];
  t.match(workOf(events, 0), { deoptimisations: 2 });
});

t.test('memory counts the growth between the end of a collection and the next beginning', async (t) => {
  const events = [
    ...collection('MinorGC', 10, 5_000_000, 1_000_000),
    ...collection('MajorGC', 30, 3_500_000, 900_000),
    ...collection('MinorGC', 50, 1_900_000, 800_000),
  ];
  t.equal(workOf(events, 0).allocatedBytes, 2_500_000 + 1_000_000);
  t.equal(workOf([], 0).allocatedBytes, 0);
});
