/** Tests the rules that evaluate movement: the definition of a drive, and one crossing of a line for each object. */
import t from 'tap';
import type { Crossing, ObservedTrack } from '../../agent/contract/observation.ts';
import { makeRule } from '../../agent/rules/registry.ts';
import type { Rule } from '../../agent/rules/rule.ts';
import { observation, track } from '../lib/street.ts';

const SITE = { timeZone: 'UTC', holidays: [] };
const CARS: ('car' | 'truck')[] = ['car', 'truck'];

const wrongWay = (): Rule =>
  makeRule(
    {
      id: 'w',
      kind: 'wrong-way',
      purpose: 'p',
      zone: 'z',
      classes: CARS,
      directionDeg: 180,
      toleranceDeg: 60,
      minTravel: 0.1,
    },
    SITE,
  );
const line = (): Rule =>
  makeRule(
    {
      id: 'l',
      kind: 'line-crossing',
      purpose: 'p',
      line: 'kerb',
      classes: [...CARS, 'person'],
      direction: 'both',
    },
    SITE,
  );

function car(id: number, x: number, over: Partial<ObservedTrack> = {}): ObservedTrack {
  return track(id, {
    group: 'vehicle',
    label: 'car',
    xyxyNorm: [x - 0.05, 0.5, x + 0.05, 0.6],
    ground: [x, 0.6],
    zones: [{ zone: 'z', sinceMs: 0 }],
    ...over,
  });
}

/** Frame numbers at which the rule reports a situation, at 5 frames a second. */
function reportedFrames(rule: Rule, seconds: number, at: (s: number) => ObservedTrack[]): number[] {
  return Array.from({ length: seconds * 5 }, (_, k) => k).filter(
    (k) => rule.observe(observation(k * 200, at(k / 5))).length > 0,
  );
}

t.test('wrong way needs a steady drive, seen in the pixels, of an object that was sure once', async (t) => {
  const drive = (s: number, over: Partial<ObservedTrack> = {}) => [car(1, 0.2 + 0.1 * s, over)];
  t.ok(reportedFrames(wrongWay(), 4, drive).length > 0, 'drives');
  t.equal(
    reportedFrames(wrongWay(), 4, (s) => drive(s, { pixelsMove: false })).length,
    0,
    'the picture does not change',
  );
  t.ok(
    reportedFrames(wrongWay(), 4, (s) => drive(s, { pixelsMove: Math.round(s * 5) % 3 > 0 })).length > 0,
    'two frames of three',
  );
  t.equal(reportedFrames(wrongWay(), 4, (s) => drive(s, { bestScore: 0.3 })).length, 0, 'never sure');
  t.equal(reportedFrames(wrongWay(), 4, (s) => drive(s, { furniture: true })).length, 0, 'furniture');
  const queue = [0.2, 0.32, 0.25, 0.4, 0.33, 0.5, 0.42, 0.55];
  const jumps = (s: number) => [car(1, queue[Math.round(s * 5) % queue.length] as number)];
  t.equal(reportedFrames(wrongWay(), 1.6, jumps).length, 0, 'numbers that are swapped in a queue');
  const grows = (s: number) => {
    const right = 0.3 + 0.1 * s;
    return [car(1, (0.2 + right) / 2, { xyxyNorm: [0.2, 0.5, right, 0.6] })];
  };
  t.equal(reportedFrames(wrongWay(), 4, grows).length, 0, 'a box that grows at one end');
});

t.test('a weak box that hops through a queue is not driving the wrong way', async (t) => {
  const half = 0.05;
  const at = (id: number, x: number, y: number, over: Partial<ObservedTrack> = {}) =>
    car(id, x, { xyxyNorm: [x - half, y, x + half, y + 0.1], ground: [x, y + 0.1], ...over });
  // The queue creeps forward (to the left), so that pixels move everywhere.
  const queue = (s: number) => [0, 1, 2, 3, 4, 5].map((i) => at(10 + i, 0.2 + 0.12 * i - 0.01 * s, 0.5));
  const weak = { bestScore: 0.37 };
  const hops = (s: number) => [...queue(s), at(1, 0.2 + 0.12 * Math.min(5, Math.round(s * 5)), 0.52, weak)];
  t.equal(reportedFrames(wrongWay(), 2, hops).length, 0, 'from car to car');
  const alone = (s: number) => hops(s).slice(-1);
  t.ok(reportedFrames(wrongWay(), 2, alone).length > 0, 'without the queue the same box drives');
  const passes = (s: number) => [...queue(s), at(1, 0.2 + 0.1 * s, 0.54, weak)];
  t.ok(reportedFrames(wrongWay(), 5, passes).length > 0, 'a vehicle that passes the queue half hidden');
  const doubled = (s: number) => [at(2, 0.205 + 0.1 * s, 0.51), at(1, 0.2 + 0.1 * s, 0.5, weak)];
  t.ok(reportedFrames(wrongWay(), 4, doubled).length > 0, 'found twice');
  const sizes = [0.09, 0.05];
  const breathes = (s: number) => {
    const [k, x] = [Math.round(s * 5), 0.2 + 0.1 * s];
    const size = sizes[k % 2] as number;
    return [car(1, x, { xyxyNorm: [x - size, 0.6 - size, x + size, 0.6], ground: [x, 0.6] })];
  };
  t.equal(reportedFrames(wrongWay(), 4, breathes).length, 0, 'now two cars, now one');
  const slides = [0, 0.02, 0.04, 0.06, 0.08, 0.17, 0.19];
  const last = (s: number) => {
    const k = Math.round(s * 5);
    return [car(1, 0.2 + (slides[k] as number), { pixelsMove: k > 4 })];
  };
  t.equal(reportedFrames(wrongWay(), 1.4, last).length, 0, 'pixels move in the two longest of six steps');
});

/** Number of situations that a rule reports for these frames, with a line crossing by the tracks in `passes`. */
function countReports(frames: readonly { tracks: ObservedTrack[]; passes?: number[] }[]): number {
  const rule = line();
  return frames.flatMap(({ tracks, passes = [] }, k) => {
    const crossings = passes.map((one): Crossing => ({ line: 'kerb', track: one, direction: 'right' }));
    const currentTracks = tracks.map((one) => ({ ...one, lastMs: one.seen ? k * 200 : one.lastMs }));
    return rule.observe(observation(k * 200, currentTracks, { crossings }));
  }).length;
}

t.test('one object crosses a line once', async (t) => {
  const lostTrack = { seen: false, lastMs: 200 };
  t.equal(
    countReports([
      { tracks: [car(1, 0.3)] },
      { tracks: [car(1, 0.4)], passes: [1] },
      { tracks: [car(1, 0.5, lostTrack), car(2, 0.51, { firstMs: 400 })], passes: [2] },
    ]),
    1,
    'lost and found again under another number',
  );
  const cab = (x: number) => car(2, x, { xyxyNorm: [x, 0.5, x + 0.04, 0.57], ground: [x + 0.02, 0.57] });
  t.equal(
    countReports([
      { tracks: [car(1, 0.4), cab(0.4)], passes: [1] },
      { tracks: [car(1, 0.5), cab(0.5)], passes: [2] },
    ]),
    1,
    'a part of it',
  );
  t.equal(
    countReports([
      { tracks: [car(1, 0.4), car(2, 0.25)], passes: [1] },
      { tracks: [car(1, 0.55), car(2, 0.4)], passes: [2] },
    ]),
    2,
    'the next in the lane',
  );
  const neighbourInLane = (x: number) => car(2, x, { xyxyNorm: [x + 0.05, 0.5, x + 0.15, 0.6] });
  t.equal(
    countReports([
      { tracks: [car(1, 0.4), cab(0.4)] },
      { tracks: [car(1, 0.5), neighbourInLane(0.5)], passes: [1, 2] },
    ]),
    1,
    'boxes that overlapped a moment before',
  );
  t.equal(
    countReports([{ tracks: [car(1, 0.5), neighbourInLane(0.5)], passes: [1, 2] }]),
    2,
    'that never did',
  );
  const neighbour = (x: number) =>
    car(2, x, { xyxyNorm: [x - 0.05, 0.56, x + 0.05, 0.66], ground: [x, 0.66] });
  t.equal(countReports([{ tracks: [car(1, 0.4), neighbour(0.4)], passes: [1, 2] }]), 2, 'two abreast');
  const person = (id: number, x: number) =>
    track(id, { xyxyNorm: [x, 0.4, x + 0.05, 0.6], ground: [x + 0.025, 0.6] });
  t.equal(
    countReports([{ tracks: [person(1, 0.4), person(2, 0.43)], passes: [1, 2] }]),
    2,
    'two people arm in arm',
  );
});

t.test('a vehicle’s pixels must move at a line, a moment later at the latest', async (t) => {
  const still = { pixelsMove: false };
  const after = (k: number, over: Partial<ObservedTrack>) =>
    countReports([
      { tracks: [car(1, 0.4, still)], passes: [1] },
      ...Array.from({ length: 6 }, (_, i) => ({ tracks: [car(1, 0.5, i + 1 === k ? {} : over)] })),
    ]);
  t.equal(after(2, still), 1, 'proven 0.4 s later');
  t.equal(after(6, still), 0, 'not later than that');
  t.equal(after(0, still), 0, 'a box that jumps over the line');
  t.equal(countReports([{ tracks: [car(1, 0.4, { bestScore: 0.3 })], passes: [1] }]), 0, 'never sure');
  t.equal(countReports([{ tracks: [track(1, still)], passes: [1] }]), 1, 'people go by their boxes');
});
