/** Tests the rules on made tracks: wrong way, pedestrian zone, loitering, crowd, schedules, and least scores. */
import t from 'tap';
import type { GroundPlaneConfig } from '../../agent/contract/config.ts';
import type { Dwell } from '../../agent/contract/dwell.ts';
import type { ObservedTrack, StationaryVehicle } from '../../agent/contract/observation.ts';
import type { RuleConfig } from '../../agent/contract/rule-config.ts';
import { Schedule } from '../../agent/contract/schedule.ts';
import type { Situation } from '../../agent/contract/situation.ts';
import { makeRule as makeRuleAt } from '../../agent/rules/registry.ts';
import type { Rule } from '../../agent/rules/rule.ts';
import { rectangle } from '../lib/shapes.ts';
import { observation, track } from '../lib/street.ts';

const SITE = { timeZone: 'Europe/Paris', holidays: ['2026-07-14'] };
const makeRule = (config: RuleConfig) => makeRuleAt(config, SITE);

const VEHICLE_CLASSES: ('car' | 'truck' | 'bus' | 'motorcycle')[] = ['car', 'truck', 'bus', 'motorcycle'];

/** Runs a rule over moving tracks at 5 frames a second, in a picture of 768×576. */
function run(
  rule: Rule,
  seconds: number,
  at: (s: number) => ObservedTrack[],
): { s: number; situations: Situation[] }[] {
  return Array.from({ length: seconds * 5 }, (_, i) => ({
    s: i / 5,
    situations: rule.observe(observation(i * 200, at(i / 5))),
  }));
}

function placed(id: number, x: number, y: number, over: Partial<ObservedTrack> = {}): ObservedTrack {
  return track(id, {
    xyxyNorm: [x - 0.02, y - 0.15, x + 0.02, y],
    ground: [x, y],
    zones: [{ zone: 'z', sinceMs: 0 }],
    ...over,
  });
}

t.test('wrong way fires against the direction, and not along it, across it or by a jump', async (t) => {
  const make = (directionDeg: number): Rule =>
    makeRule({
      id: 'w',
      kind: 'wrong-way',
      purpose: 'p',
      zone: 'z',
      classes: VEHICLE_CLASSES,
      directionDeg,
      toleranceDeg: 60,
      minTravel: 0.1,
    });
  const car = { group: 'vehicle', label: 'car' } as const;
  const drive = (s: number) => [placed(1, 0.5 + 0.05 * s, 0.8 - 0.05 * s, car)];
  const raised = (rule: Rule, at: (s: number) => ObservedTrack[]) =>
    run(rule, 6, at).filter(({ situations }) => situations.length > 0);
  const wrong = raised(make(225), drive);
  t.ok(wrong[0] && wrong[0].s < 2.5, `raised after ${wrong[0]?.s} s`);
  t.match(wrong[0]?.situations[0], { key: 'track-1', cause: { headingDeg: Number, travel: Number } });
  t.equal(raised(make(45), drive).length, 0, 'along');
  t.equal(raised(make(135), drive).length, 0, 'across');
  t.equal(
    raised(make(225), (s) => [placed(1, s < 3 ? 0.2 : 0.7, s < 3 ? 0.8 : 0.3, car)]).length,
    0,
    'a jump',
  );
  t.equal(raised(make(225), (s) => [placed(1, 0.5 + 0.001 * s, 0.5, car)]).length, 0, 'hardly moved');
});

t.test('wrong way ignores less than half of the object’s own length', async (t) => {
  const rule = makeRule({
    id: 'w',
    kind: 'wrong-way',
    purpose: 'p',
    zone: 'z',
    classes: VEHICLE_CLASSES,
    directionDeg: 0,
    toleranceDeg: 60,
    minTravel: 0.1,
  });
  const long = (s: number, toX: number): ObservedTrack[] => {
    const x = 0.6 - (0.6 - toX) * Math.min(1, s / 3);
    return [placed(1, x, 0.6, { group: 'vehicle', label: 'car', xyxyNorm: [x - 0.15, 0.45, x + 0.15, 0.6] })];
  };
  const raised = run(rule, 5, (s) => long(s, 0.5)).filter(({ situations }) => situations.length > 0);
  t.equal(raised.length, 0, 'rolls back by a third');
  t.ok(
    run(rule, 5, (s) => long(s, 0.3)).some(({ situations }) => situations.length > 0),
    'drives back by its length',
  );
});

t.test('a vehicle in a pedestrian zone has come when it has driven, not when its box changed', async (t) => {
  const make = (): Rule =>
    makeRule({
      id: 'v',
      kind: 'vehicle-in-pedestrian-zone',
      purpose: 'p',
      zone: 'z',
      classes: VEHICLE_CLASSES,
      afterS: 1,
    });
  const boxed = (x: number, foot: number): ObservedTrack[] => [
    placed(1, x, foot, { group: 'vehicle', label: 'car', xyxyNorm: [x - 0.1, 0.4, x + 0.1, foot] }),
  ];
  const raised = (at: (s: number) => ObservedTrack[]) =>
    run(make(), 8, at).filter(({ situations }) => situations.length > 0).length;
  t.ok(raised((s) => boxed(0.3 + 0.1 * Math.min(s, 4), 0.6)) > 0, 'drives in');
  t.equal(
    raised((s) => boxed(0.5, 0.6 - 0.11 * Math.min(1, Math.max(0, s - 3)))),
    0,
    'a part of it is boxed',
  );
  t.equal(
    raised((s) => boxed(s < 4 ? 0.4 : 0.6, 0.6)),
    0,
    'from one false box to another',
  );
});

t.test('a person taken for a lost one becomes a person of its own when that one is back', async (t) => {
  const rule = makeRule({
    id: 'l',
    kind: 'loitering',
    purpose: 'p',
    zone: 'z',
    classes: ['person'],
    afterS: 10,
  });
  const results = run(rule, 30, (s) => [
    placed(1, 0.5, 0.6, s > 3 && s < 5 ? { seen: false } : {}),
    ...(s > 4 ? [placed(2, 0.54, 0.6)] : []),
  ]);
  const keys = new Set(results.flatMap((one) => one.situations.map(({ key }) => key)));
  t.same([...keys].sort(), ['track-1', 'track-2']);
});

t.test(
  'a crowd counts people who stay, not a stream, and starts and ends once though the count wavers',
  async (t) => {
    const make = (): Rule =>
      makeRule({ id: 'c', kind: 'crowd-gathering', purpose: 'p', zone: 'z', minCount: 8, afterS: 10 });
    const keys = (all: { situations: Situation[] }[]) =>
      new Set(all.flatMap(({ situations }) => situations.map(({ key }) => key)));
    const people = (count: number) =>
      Array.from({ length: count }, (_, i) => placed(i + 1, 0.1 + 0.08 * i, 0.6));

    const gathered = run(make(), 90, (s) =>
      people(s < 5 ? 2 : s < 60 ? (Math.floor(s) % 3 === 0 ? 9 : 10) : 2),
    );
    t.same([...keys(gathered)], ['gathering-1']);
    const [first, last] = [
      gathered.find(({ situations }) => situations.length > 0),
      gathered.findLast(({ situations }) => situations.length > 0),
    ];
    t.ok(first && first.s >= 15 && first.s < 25, `raised at ${first?.s} s`);
    t.ok(last && last.s >= 60 && last.s < 66, `over at ${last?.s} s`);
    t.match(first?.situations[0]?.cause, { count: Number, dwellS: Number });
    t.notOk(first?.situations[0]?.cause['peoplePerM2'], 'no density without a ground');
    const marked: GroundPlaneConfig['people'] = [
      { feet: [0.5, 0.9], head: [0.5, 0.5] },
      { feet: [0.5, 0.5], head: [0.5, 0.3] },
    ];
    const dense = run(
      makeRuleAt(make().config, {
        ...SITE,
        zones: [{ id: 'z', polygon: rectangle(0, 0.5, 1, 1) }],
        groundPlane: { people: marked, hfovDeg: 70 },
      }),
      30,
      () => people(10),
    ).findLast(({ situations }) => situations.length > 0);
    const density = Number(dense?.situations[0]?.cause['peoplePerM2']);
    t.ok(density > 0.1 && density < 2, `${density} people per m² with a ground`);

    const stream = run(make(), 60, (s) =>
      Array.from({ length: 12 }, (_, i) => {
        const x = (0.05 + i * 0.08 + s * 0.09) % 1;
        return placed(100 * Math.floor(0.05 + i * 0.08 + s * 0.09) + i + 1, x, 0.6, { firstMs: 0 });
      }),
    );
    t.equal(keys(stream).size, 0, 'twelve people who walk by are not a crowd');
    t.equal(keys(run(make(), 60, () => people(7))).size, 0, 'seven are too few');
    const outsideZone = run(make(), 60, () => people(12).map((p) => ({ ...p, zones: [] })));
    t.equal(keys(outsideZone).size, 0, 'outside the zone');
  },
);

t.test('schedules follow site time, summer time, overnight spans and public holidays', async (t) => {
  const schedule = new Schedule(
    [
      { days: ['mon', 'tue', 'wed', 'thu', 'fri', 'sat'], from: '11:00', to: '24:00' },
      { days: ['fri'], from: '22:00', to: '06:00' },
      { days: ['holiday'], from: '08:00', to: '09:00' },
    ],
    SITE,
  );
  const on = (iso: string): boolean => schedule.isOn(Date.parse(iso));
  t.equal(on('2026-01-12T09:59:00Z'), false, 'a Monday in winter, 10:59');
  t.equal(on('2026-01-12T10:00:00Z'), true, '11:00');
  t.equal(on('2026-07-13T09:00:00Z'), true, 'in summer 11:00 is an hour earlier');
  t.equal(on('2026-07-13T08:59:59Z'), false);
  t.equal(on('2026-01-12T22:59:00Z'), true, '23:59');
  t.equal(on('2026-01-12T23:00:00Z'), false, 'midnight: the span of Monday is over');
  t.equal(on('2026-01-17T04:00:00Z'), true, 'Saturday 05:00 belongs to Friday night');
  t.equal(on('2026-01-16T04:00:00Z'), false, 'Friday 05:00 does not');
  t.equal(on('2026-01-18T12:00:00Z'), false, 'Sunday');
  t.equal(on('2026-07-14T12:00:00Z'), false, 'a holiday does not count as a Tuesday');
  t.equal(on('2026-07-14T06:30:00Z'), true, 'and has hours of its own');
  t.equal(on('2026-03-28T23:30:00Z'), false, 'the night in which summer time begins: Sunday 00:30');
});

t.test('a rule that is off continues to count without reports', async (t) => {
  const rule = makeRule({
    id: 'cars',
    kind: 'vehicle-in-pedestrian-zone',
    purpose: 'p',
    zone: 'z',
    classes: VEHICLE_CLASSES,
    afterS: 2,
    schedule: [{ days: ['mon'], from: '11:00', to: '12:00' }],
  });
  const car = (x: number) => [placed(1, x, 0.5, { group: 'vehicle', label: 'car' })];
  for (let step = 0; step <= 10; step += 1)
    rule.observe(observation(50_000 + 200 * step, car(0.3 + 0.02 * step)));
  const at = (iso: string) => rule.observe(observation(60_000, car(0.5), { wallMs: Date.parse(iso) })).length;
  t.equal(at('2026-01-12T09:59:59Z'), 0);
  t.equal(at('2026-01-12T10:00:00Z'), 1);
});

t.test(
  'loitering counts from the first stop, continues through pacing and a new number, and ends by leaving',
  async (t) => {
    const make = (): Rule =>
      makeRule({ id: 'l', kind: 'loitering', purpose: 'p', zone: 'z', classes: ['person'], afterS: 10 });
    const firstAt = (all: { s: number; situations: Situation[] }[]) =>
      all.find(({ situations }) => situations.length > 0)?.s;
    const walk = (s: number) => [placed(1, 0.05 + 0.06 * s, 0.6)];
    t.equal(firstAt(run(make(), 15, walk)), undefined, 'a person who walks through does not loiter');
    const stop = (s: number) => [placed(1, 0.1 + 0.06 * Math.min(s, 3), 0.6)];
    const at = firstAt(run(make(), 30, stop)) ?? 0;
    t.ok(at >= 13 && at <= 14.4, `stopped at 3 s, raised at ${at} s`);
    const pacing = (s: number) => [placed(s < 8 ? 1 : 2, 0.4 + (s < 2 ? 0 : 0.05 * Math.sin(s)), 0.6)];
    t.ok((firstAt(run(make(), 30, pacing)) ?? 99) <= 12, 'pacing, and another number at the same place');
    const leavesZone = (s: number) =>
      s < 9 || s > 10.5
        ? [placed(1, 0.4, 0.6, s < 9 ? {} : { zones: [{ zone: 'z', sinceMs: 0 }] })]
        : [placed(1, 0.4, 0.6, { zones: [] })];
    const after = firstAt(run(make(), 40, leavesZone)) ?? 0;
    t.ok(after >= 20, `left at 9 s, back at 10.5 s: raised at ${after} s`);
  },
);

t.test('a person must stand again to continue a dwell over a break, for 30 s at most', async (t) => {
  const make = (afterS: number): Rule =>
    makeRule({ id: 'l', kind: 'loitering', purpose: 'p', zone: 'z', classes: ['person'], afterS });
  /** Lets a person wait, then another be seen after six minutes; returns what is raised then. */
  const afterBreak = (afterS: number, waitedS: number, then: (s: number) => ObservedTrack[]) => {
    const before = make(afterS);
    run(before, waitedS, () => [placed(1, 0.4, 0.6)]);
    const rule = make(afterS);
    const shifted = (dwell: Dwell): Dwell => {
      const shiftMs = -360_000 - dwell.seenMs;
      return { ...dwell, sinceMs: dwell.sinceMs + shiftMs, seenMs: -360_000 };
    };
    rule.resume?.((before.dwells ?? []).map(shifted));
    const raised = run(rule, 60, then).find(({ situations }) => situations.length > 0);
    return raised && { s: Math.floor(raised.s), cause: raised.situations[0]?.cause };
  };
  const walks = (s: number) => [placed(2, 0.38 + 0.06 * s, 0.6)];
  t.equal(afterBreak(70, 78, walks), undefined, 'a passer-by inherits nothing');
  const stands = () => [placed(2, 0.4, 0.6)];
  t.match(afterBreak(70, 78, stands), { s: 41, cause: { dwellS: 70, unobservedS: 361 } }, '30 s of it');
  t.match(afterBreak(20, 11, stands), { s: 11, cause: { dwellS: 20 } }, 'the break itself does not count');
});

/** Seconds at which a loitering person is reported, given the best score by then. */
function toldAt(scoreMin: number | undefined, bestScoreAt: (s: number) => number): number | undefined {
  const rule = makeRule({
    id: 'stays',
    kind: 'loitering',
    zone: 'z',
    purpose: 'p',
    classes: ['person'],
    afterS: 3,
    ...(scoreMin !== undefined && { scoreMin }),
  });
  for (let i = 0; i < 60; i += 1) {
    const s = i / 5;
    const still: Partial<ObservedTrack> = { zones: [{ zone: 'z', sinceMs: 0 }], bestScore: bestScoreAt(s) };
    if (rule.observe(observation(i * 200, [track(1, still)])).length > 0) return s;
  }
  return undefined;
}

t.test('a person is reported once the rule’s minimum score was reached, and not before', async (t) => {
  const usual = toldAt(undefined, () => 0.4);
  t.ok(usual !== undefined && usual >= 3, `without it at ${usual} s`);
  t.equal(
    toldAt(0.3, () => 0.4),
    usual,
    'sure enough: no later',
  );
  t.equal(
    toldAt(0.5, () => 0.4),
    undefined,
  );
  t.equal(
    toldAt(0.5, (s) => (s < 6 ? 0.4 : 0.6)),
    6,
  );
});

const ZONES = [{ zone: 'square', sinceMs: 400 }];

interface StoppedVehicle {
  /** Time at which it stopped. */
  readonly sinceMs?: number;
  readonly arrival?: StationaryVehicle['arrival'];
  readonly score?: number;
  readonly presence?: StationaryVehicle['presence'];
  /** Number of its track at a time. */
  trackAt?(atMs: number): number | undefined;
}

/** Observes a stopped vehicle; returns the first time and the form of each situation. */
function situationsOf({
  sinceMs = 400,
  arrival = 'unseen',
  score = 0.565,
  presence = 'seen',
  trackAt = () => 4,
}: StoppedVehicle): string[] {
  const rule = makeRule({
    id: 'cars',
    kind: 'vehicle-in-pedestrian-zone',
    zone: 'square',
    purpose: 'p',
    afterS: 1,
    classes: ['car'],
  });
  const lines = new Map<string, string>();
  let born: { id: number; firstMs: number } | undefined;
  for (let atMs = 0; atMs <= 20_000; atMs += 200) {
    const id = trackAt(atMs);
    if (id !== born?.id) born = id === undefined ? undefined : { id, firstMs: atMs };
    const car = {
      group: 'vehicle' as const,
      label: 'car' as const,
      score,
      bestScore: score,
      pixelsMove: false,
    };
    const tracks =
      born === undefined ? [] : [track(born.id, { ...car, firstMs: born.firstMs, zones: ZONES })];
    const vehicle = track(born?.id ?? 1, { ...car, firstMs: sinceMs, zones: ZONES });
    const standing = atMs < 3400 ? [] : [{ place: 7, arrival, moveTolerance: 0.25, presence, vehicle }];
    for (const { key, presentAtStart } of rule.observe(observation(atMs, tracks, { standing }))) {
      const line = `${presentAtStart === true ? 'present' : 'alert'} at ${atMs / 1000} s`;
      if (!lines.has(key)) lines.set(key, line);
    }
  }
  return [...lines.values()];
}

t.test('a vehicle present at the start is reported after ten seconds, whatever its tracks do', async (t) => {
  t.same(situationsOf({}), ['present at 10.4 s'], 'one track');
  t.same(situationsOf({ trackAt: (ms) => (ms < 8000 ? undefined : 9) }), ['present at 10.4 s'], 'a late one');
  t.same(
    situationsOf({ trackAt: (ms) => 1 + Math.floor(ms / 3000) }),
    ['present at 10.4 s'],
    'one after another',
  );
  t.same(situationsOf({ trackAt: () => undefined }), ['present at 10.4 s'], 'none at the time');
});

t.test('a vehicle that came, is not sure or is out of sight is not reported as present', async (t) => {
  t.same(situationsOf({ arrival: 'followed' }), []);
  t.same(situationsOf({ arrival: 'appeared' }), []);
  t.same(situationsOf({ score: 0.45 }), []);
  t.same(situationsOf({ presence: 'hidden' }), []);
});

t.test('a rule that begins during analysis reports vehicles present by then', async (t) => {
  t.same(situationsOf({ arrival: 'followed', sinceMs: -60_000 }), ['present at 3.4 s']);
});
