/** Tests the incident lifecycle: start, update, end, hold and cool-down times, the hourly alert limit, and restarts. */
import fc from 'fast-check';
import t from 'tap';
import type { RuleConfig } from '../../agent/contract/rule-config.ts';
import type { Situation } from '../../agent/contract/situation.ts';
import { subjectOfRule } from '../../agent/incident/event.ts';
import { Incidents } from '../../agent/incident/lifecycle.ts';
import { incidentNote, incidentsOf } from '../../agent/incident/notes.ts';
import { makeRule as makeRuleAt } from '../../agent/rules/registry.ts';
import { SILENT } from '../lib/outbox.ts';
import { observation, track } from '../lib/street.ts';

const makeRule = (config: RuleConfig) =>
  makeRuleAt(config, { timeZone: 'Europe/Paris', holidays: ['2026-07-14'] });

function incidents(): Incidents {
  let n = 0;
  return new Incidents(() => `e${++n}`);
}

function standingSituation(id: number, over = {}): Situation {
  return { key: `track-${id}`, objects: [track(id, over)], cause: {}, momentary: false };
}

const phases = (all: { episode: string; phase: string }[]): string[] =>
  all.map((x) => `${x.episode} ${x.phase}`);

t.test('an incident starts once, is updated once a minute and ends once', async (t) => {
  const lifecycle = incidents();
  const phasesSeen: string[] = [];
  for (let atMs = 0; atMs <= 140_000; atMs += 200) {
    const present = atMs >= 1000 && atMs <= 130_000;
    phasesSeen.push(...phases(lifecycle.step(present ? [standingSituation(1)] : [], atMs)));
  }
  t.same(phasesSeen, ['e1 start', 'e1 update', 'e1 update', 'e1 end']);
  t.equal(lifecycle.activeCount, 0);
});

t.test('a gap shorter than the hold time does not end an incident, a longer one does', async (t) => {
  const lifecycle = incidents();
  const at = (ms: number, s: Situation[]) => phases(lifecycle.step(s, ms));
  t.same(at(0, [standingSituation(1)]), ['e1 start']);
  t.same(at(2900, []), []);
  t.same(at(2950, [standingSituation(1)]), []);
  const endEvents = lifecycle.step([], 5950);
  t.same(phases(endEvents), ['e1 end']);
  t.equal(endEvents[0]?.atMs, 2950, 'it ended when it was last seen, not when that was noticed');
  t.same(at(6000, [standingSituation(1)]), [], 'it is there again: the place cools down');
  t.same(at(12_900, [standingSituation(1)]), []);
  t.equal(lifecycle.cooled, 1, 'counted once');
  t.same(at(12_950, [standingSituation(1)]), ['e2 start'], 'and raised when it stays');
});

t.test('only an incident in the same place waits for the cool-down', async (t) => {
  const lifecycle = incidents();
  const at = (ms: number, s: Situation[]) => phases(lifecycle.step(s, ms));
  const box = (x: number): Situation =>
    standingSituation(x, { xyxyNorm: [x / 100, 0.4, x / 100 + 0.1, 0.6] });
  at(0, [box(20)]);
  t.same(at(3000, []), ['e1 end']);
  t.same(at(3200, [box(22), box(26)]), ['e2 start'], 'IoU .67 is the same place, .25 another');
  t.same(at(10_000, [box(22), box(26)]), ['e3 start']);
  at(13_200, []);
  const driving = standingSituation(30, { xyxyNorm: [0.22, 0.4, 0.32, 0.6], velocityNormPerS: [0.1, 0] });
  t.same(at(14_000, [driving]), ['e4 start'], 'the next one, which drives through the same place');
  at(17_000, []);
  const passing: Situation = { ...standingSituation(1), momentary: true };
  t.same(at(17_200, [box(22), passing]), ['e5 start', 'e5 end'], 'a momentary situation is new');
});

t.test('alerts stop at the hourly limit, and an active incident is raised when there is room', async (t) => {
  let n = 0;
  const lifecycle = new Incidents(() => `e${++n}`, 4);
  const at = (ms: number, s: Situation[]) => phases(lifecycle.step(s, ms));
  const passing = (id: number): Situation => ({ ...standingSituation(id), momentary: true });
  for (let minute = 0; minute < 4; minute += 1) at(minute * 60_000, [passing(minute)]);
  t.equal(n, 4);
  t.equal(lifecycle.limit.limiting, false, 'the share is used up, but nothing was held back');
  const stays = standingSituation(9);
  for (let ms = 240_000; ms < 250_000; ms += 200) t.same(at(ms, [stays]), []);
  t.same(at(250_000, [stays, passing(10), passing(11)]), []);
  t.equal(lifecycle.suppressed, 3, 'each is counted once');
  t.equal(lifecycle.limit.limiting, true);
  t.same(at(3_599_800, [stays]), []);
  t.same(at(3_600_000, [stays]), ['e5 start'], 'an hour after the first');
  t.equal(lifecycle.limit.limiting, true, 'still: four within the hour');
  at(3_600_200, []);
  t.same(at(3_720_000, []), ['e5 end']);
  t.equal(lifecycle.limit.limiting, false, 'half the share is free again');
});

t.test(
  'an incident continues with the same object under a new number, and another place starts one',
  async (t) => {
    const lifecycle = incidents();
    const moving = { velocityNormPerS: [0.1, 0] as [number, number] };
    lifecycle.step([standingSituation(1, moving)], 0);
    const further: [number, number, number, number] = [0.5, 0.4, 0.55, 0.6];
    t.same(
      phases(lifecycle.step([standingSituation(2, { xyxyNorm: further })], 1000)),
      [],
      'at the place its speed predicts',
    );
    const otherPlace: [number, number, number, number] = [0.8, 0.1, 0.85, 0.2];
    t.same(
      phases(
        lifecycle.step(
          [standingSituation(2, { xyxyNorm: further }), standingSituation(3, { xyxyNorm: otherPlace })],
          1200,
        ),
      ),
      ['e2 start'],
    );
    const neighbour = standingSituation(4, { xyxyNorm: [0.52, 0.4, 0.57, 0.6] });
    t.same(
      phases(
        lifecycle.step(
          [
            standingSituation(2, { xyxyNorm: further }),
            standingSituation(3, { xyxyNorm: otherPlace }),
            neighbour,
          ],
          1400,
        ),
      ),
      ['e3 start'],
      'a neighbour of an object that is still there is another incident',
    );
  },
);

t.test('every episode is start, update*, end, in this order, for any situations', async (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.subarray([1, 2, 3, 4]), fc.integer({ min: 1, max: 2500 })), { maxLength: 80 }),
      (steps) => {
        const lifecycle = incidents();
        const open = new Map<string, boolean>();
        let atMs = 0;
        const check = (all: { episode: string; phase: string }[]): void => {
          for (const { episode, phase } of all) {
            const before = open.get(episode);
            if (phase === 'start' ? before !== undefined : before !== true)
              throw new Error(`${episode} ${phase}`);
            open.set(episode, phase !== 'end');
          }
        };
        for (const [ids, dt] of steps) {
          atMs += dt;
          check(
            lifecycle.step(
              ids.map((id) => standingSituation(id, { xyxyNorm: [id / 5, 0.1, id / 5 + 0.05, 0.2] })),
              atMs,
            ),
          );
        }
        check(lifecycle.endAll('over', atMs));
        return [...open.values()].every((stillOpen) => !stillOpen);
      },
    ),
  );
  t.pass('no counter-example');
});

t.test('incidents beyond the limit are counted and not raised', async (t) => {
  const lifecycle = incidents();
  const situations = Array.from({ length: 70 }, (_, i) => standingSituation(i + 1));
  t.equal(lifecycle.step(situations, 0).length, 64);
  t.equal(lifecycle.overflow, 6);
});

t.test('stay rules check classes, zone and time', async (t) => {
  const rule = makeRule({
    id: 'cars',
    kind: 'vehicle-in-pedestrian-zone',
    purpose: 'safety',
    zone: 'z',
    classes: ['car', 'truck'],
    afterS: 2,
  });
  const inZone = (sinceMs: number) => [{ zone: 'z', sinceMs }];
  const car = { group: 'vehicle', label: 'car' } as const;
  const cars = (x: number) => [
    track(1, { ...car, xyxyNorm: [x, 0.4, x + 0.1, 0.6], ground: [x + 0.05, 0.6], zones: inZone(3000) }),
    track(2, { ...car, xyxyNorm: [x, 0.4, x + 0.1, 0.6], ground: [x + 0.05, 0.6], zones: inZone(3001) }),
    track(3, { ...car, xyxyNorm: [x, 0.4, x + 0.1, 0.6], zones: [{ zone: 'other', sinceMs: 0 }] }),
    track(4, { zones: inZone(0) }),
    track(5, { group: 'vehicle', label: 'bus', xyxyNorm: [x, 0.4, x + 0.1, 0.6], zones: inZone(0) }),
  ];
  t.same(rule.observe(observation(4200, cars(0.2))), [], 'not seen to move yet');
  for (const step of [1, 2, 3]) {
    t.same(rule.observe(observation(4200 + 200 * step, cars(0.2 + 0.025 * step))), [], 'moves');
  }
  const at = observation(5000, cars(0.3));
  t.same(
    rule.observe(at).map(({ key, cause }) => [key, cause]),
    [['track-1', { dwellS: 2 }]],
  );
});

t.test('a line crossing checks direction and classes, and each is an incident of its own', async (t) => {
  const rule = makeRule({
    id: 'k',
    kind: 'line-crossing',
    purpose: 'p',
    line: 'kerb',
    classes: ['person'],
    direction: 'left',
  });
  const crossings = [
    { line: 'kerb', track: 1, direction: 'left' as const },
    { line: 'kerb', track: 2, direction: 'right' as const },
    { line: 'other', track: 1, direction: 'left' as const },
    { line: 'kerb', track: 3, direction: 'left' as const },
  ];
  const at = observation(1000, [track(1), track(2), track(3, { group: 'animal', label: 'dog' })], {
    crossings,
  });
  const crossingsFound = rule.observe(at);
  t.same(
    crossingsFound.map(({ objects }) => objects[0]?.id),
    [1],
  );
  t.same(phases(incidents().step(crossingsFound, 1000)), ['e1 start', 'e1 end']);
});

t.test(
  'an incident continues over a restart where its object still is, and ends where it is not',
  async (t) => {
    const began = incidents().step(
      [
        standingSituation(1, { xyxyNorm: [0.1, 0.1, 0.2, 0.2] }),
        standingSituation(2, { xyxyNorm: [0.7, 0.7, 0.8, 0.8] }),
      ],
      50_000,
    );
    const about = subjectOfRule(
      { id: 'r', kind: 'loitering', zone: 'z', purpose: 'p', classes: ['person'], afterS: 2 },
      undefined,
    );
    const notes = began.flatMap((transition) =>
      Object.entries(incidentNote(about, transition, (atMs) => 1_000_000 + atMs)),
    );
    const storedNotes = notes.map(([key, text]) => ({ key, text: text ?? '' }));
    const records = incidentsOf(storedNotes, SILENT).get('r') ?? [];
    t.same(
      records.map(({ episode, startedWallMs }) => [episode, startedWallMs]),
      [
        ['e1', 1_050_000],
        ['e2', 1_050_000],
      ],
    );

    const after = new Incidents(() => 'new');
    after.restore(records, { atMs: 500, wallMs: 1_080_000 }, 40_000);
    t.same(after.step([], 600), [], 'no incident ends while its object may still be found');
    t.same(
      after.step([standingSituation(9, { xyxyNorm: [0.11, 0.1, 0.21, 0.2] })], 20_000),
      [],
      'the same car, not raised again',
    );
    t.same(
      phases(after.step([standingSituation(9, { xyxyNorm: [0.11, 0.1, 0.21, 0.2] })], 40_500)),
      ['e2 end'],
      'the other has gone',
    );
    const endEvents = after.step([], 43_600);
    t.same(phases(endEvents), ['e1 end']);
    t.equal(endEvents[0]?.activeMs, 30_000 + 40_500 - 500, 'it has been active since before the restart');
  },
);

/** An object left behind. */
function bag(key: string, left = 0.4): Situation {
  return { key, objects: [], cause: {}, momentary: false, focus: [[left, 0.4, left + 0.05, 0.45]] };
}

t.test('an incident about a place without an object continues after a gap and a restart', async (t) => {
  const before = incidents();
  t.same(phases(before.step([bag('region-1')], 0)), ['e1 start']);
  before.hold(8000, 60_000);
  t.same(before.step([bag('region-1')], 8000), [], 'the same bag, not raised again');
  before.hold(20_000, 60_000);
  t.same(before.step([bag('region-2', 0.41)], 20_000), [], 'under another number, a little elsewhere');
  const after = new Incidents(() => 'new');
  const place = bag('').focus?.[0];
  after.restore([{ episode: 'e1', startedWallMs: 0, objects: [], place }], { atMs: 0, wallMs: 9000 }, 40_000);
  t.same(after.step([bag('region-7')], 5000), []);
  t.same(phases(after.step([bag('region-8', 0.7)], 6000)), ['new start'], 'another one is reported');
});
