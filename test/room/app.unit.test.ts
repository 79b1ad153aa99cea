/**
 * Unit tests of the console's queue, of what follows a verdict, of its texts, of the alarm, and of a picture's zoom.
 */

import fc from 'fast-check';
import t from 'tap';
import { EVENT_KINDS } from '../../agent/contract/kinds.ts';
import { type AlarmMemory, alarmOf } from '../../scripts/products/room/app/alarm/alarm-memory.ts';
import {
  type Frame,
  movedBy,
  natural,
  scaled,
  wholeScale,
} from '../../scripts/products/room/app/parts/picture-zoom.ts';
import { isEscalated, type LinesOptions, linesOf } from '../../scripts/products/room/app/queue/lines.ts';
import { incidentsOf, nextUnjudged, stormOf } from '../../scripts/products/room/app/queue/next.ts';
import { LOADED_MAX, Rows } from '../../scripts/products/room/app/queue/rows.ts';
import { EN } from '../../scripts/products/room/app/words/en.ts';
import { FR } from '../../scripts/products/room/app/words/fr.ts';
import {
  age,
  kindText,
  lasting,
  placeText,
  sentence,
} from '../../scripts/products/room/app/words/sentence.ts';
import type { Incident } from '../../scripts/products/room/contract/incident.ts';
import { incidentOf, NOW_MS, secondsAgo } from '../lib/app-incident.ts';

const OPTIONS: LinesOptions = { nowMs: NOW_MS, me: 'Nadia', isOpen: () => false, fits: () => true };
const order = (incidents: Incident[], more: Partial<LinesOptions> = {}): (number | string)[] =>
  linesOf(incidents, { ...OPTIONS, ...more }).map((line) =>
    line.type === 'storm' ? `${line.storm.of} × ${line.storm.members.length}` : line.incident.no,
  );

t.test('the queue puts overdue before waiting, own and others’, then by priority and age', async (t) => {
  const incidents = [
    incidentOf(1, { received: secondsAgo(10), box: 'a' }),
    incidentOf(2, { received: secondsAgo(61), box: 'b' }),
    incidentOf(3, { received: secondsAgo(5), box: 'c', priority: 1 }),
    incidentOf(4, { received: secondsAgo(900), box: 'd', state: 'claimed', claimedBy: 'Omar' }),
    incidentOf(5, { received: secondsAgo(20), box: 'e', state: 'claimed', claimedBy: 'Nadia' }),
    incidentOf(6, { received: secondsAgo(4000), box: 'f', severity: 'notice', priority: 3 }),
    incidentOf(7, { received: secondsAgo(300), box: 'g' }),
    incidentOf(8, { received: secondsAgo(100), box: 'h', state: 'dispatched', claimedBy: 'Omar' }),
  ];
  t.strictSame(order(incidents), [7, 2, 3, 1, 6, 5, 4, 8]);
  t.strictSame(order(incidents, { fits: ({ no }) => no < 3 }), [2, 1]);
  t.strictSame(
    incidents.map((incident) => isEscalated(incident, NOW_MS)),
    [false, true, false, false, false, false, true, false],
  );
});

t.test('alerts of one box and rule, or of one kind at many boxes, form a storm', async (t) => {
  const ofBox = Array.from({ length: 5 }, (_, i) =>
    incidentOf(10 + i, { received: secondsAgo(50 - 10 * i), box: 'a' }),
  );
  const three = [30, 31, 32].map((no) => incidentOf(no, { received: secondsAgo(5), box: 'b', rule: 'r' }));
  t.strictSame(order([...ofBox, ...three]), ['box × 5', 30, 31, 32]);
  t.strictSame(order([...ofBox, ...three], { isOpen: () => true }), [
    'box × 5',
    10,
    11,
    12,
    13,
    14,
    30,
    31,
    32,
  ]);
  const spread = ofBox.map((incident, i) => ({ ...incident, received: secondsAgo(50 + 61 * i) }));
  t.strictSame(order(spread).length, 5, 'more than a minute between them');
  const ofKind = Array.from({ length: 12 }, (_, i) =>
    incidentOf(50 + i, { received: secondsAgo(i), box: `k-${i}`, kind: 'graffiti' }),
  );
  t.strictSame(order(ofKind), ['kind × 12']);
  t.strictSame(
    order([...ofKind.slice(1), { ...incidentOf(49), ...ofKind[0], state: 'claimed', claimedBy: 'Omar' }])
      .length,
    12,
  );
  const [storm] = linesOf(ofBox, OPTIONS);
  const [grown] = linesOf(
    [...ofBox.slice(1), incidentOf(99, { received: secondsAgo(1), box: 'a' })],
    OPTIONS,
  );
  t.equal(storm?.type === 'storm' && storm.storm.id, grown?.type === 'storm' && grown.storm.id);
});

t.test('every incident is on exactly one line, or in one storm', async (t) => {
  const one = fc.record({ s: fc.nat(200), box: fc.nat(2), kind: fc.nat(1), isNew: fc.boolean() });
  fc.assert(
    fc.property(fc.array(one, { maxLength: 60 }), (samples) => {
      const incidents = samples.map(({ s, box, kind, isNew }, i) =>
        incidentOf(i + 1, {
          received: secondsAgo(s),
          box: `b-${box}`,
          kind: `k-${kind}`,
          rule: `k-${kind}`,
          ...(!isNew && { state: 'claimed', claimedBy: 'Omar' }),
        }),
      );
      const nos = linesOf(incidents, OPTIONS).flatMap((line) =>
        line.type === 'storm' ? line.storm.members.map(({ no }) => no) : [line.incident.no],
      );
      return nos.length === incidents.length && new Set(nos).size === nos.length;
    }),
  );
  t.pass('so it is');
});

t.test('the queue’s rows are bounded, current and unique', async (t) => {
  const rows = new Rows();
  rows.reset({
    rev: 10,
    incidents: [incidentOf(1, { rev: 3 }), incidentOf(2, { rev: 9 })],
    more: 0,
    suppressions: [],
  });
  t.strictSame(rows.apply([incidentOf(3, { rev: 8 })]), [], 'from before the queue was loaded');
  t.equal(rows.apply([incidentOf(3, { rev: 11 }), incidentOf(3, { rev: 11 })]).length, 1);
  rows.settle(incidentOf(1, { rev: 14, state: 'closed' }));
  rows.apply([incidentOf(1, { rev: 14, state: 'closed' }), incidentOf(2, { rev: 15, state: 'claimed' })]);
  t.strictSame(
    rows.incidents.map(({ no, state }) => [no, state]),
    [
      [2, 'claimed'],
      [3, 'new'],
    ],
  );
  const manyIncidents = Array.from({ length: 5000 }, (_, i) =>
    incidentOf(100 + i, { rev: 100 + i, priority: i === 4999 ? 1 : 2, received: secondsAgo(-i) }),
  );
  t.equal(rows.apply(manyIncidents).length, 5000, 'all are new');
  rows.takeOpenCount({ rev: 5099, count: 5002 });
  t.equal(rows.incidents.length, LOADED_MAX);
  t.equal(rows.more, 3002);
  rows.takeOpenCount({ rev: 5098, count: 7 });
  t.equal(rows.more, 3002, 'an older count is ignored');
  t.ok(rows.of(2) !== undefined && rows.of(5099) !== undefined, 'claimed and urgent incidents stay');
  t.equal(rows.of(5098), undefined);
  rows.apply(
    manyIncidents
      .slice(0, 1990)
      .map((incident) => ({ ...incident, rev: incident.rev + 9000, state: 'closed' as const })),
  );
  t.ok(rows.isShort);
});

t.test('every kind has texts in both languages, and an unknown one shows its own name', async (t) => {
  for (const words of [EN, FR]) {
    const missing = EVENT_KINDS.filter(({ kind }) => !Object.hasOwn(words.kinds, kind)).map(
      ({ kind }) => kind,
    );
    t.strictSame(missing, []);
    const ofRules = EVENT_KINDS.filter(({ severities }) => severities.includes('alert'));
    t.strictSame(
      ofRules.filter(({ kind }) => !Object.hasOwn(words.causes, kind)),
      [],
    );
    for (const kind of ['drone', '__proto__', 'constructor']) t.equal(kindText(kind, words), kind);
  }
  const crowd = incidentOf(1, { kind: 'crowd-gathering', cause: { count: 12, dwellS: 300 } });
  t.equal(sentence(crowd, EN), '12 people stay together in zone tram-stop, for 5 min so far.');
  t.equal(sentence(crowd, FR), '12 personnes restent ensemble dans la zone tram-stop, depuis 5 min.');
  t.equal(sentence(incidentOf(1), EN), 'A car #4371 is parked in zone tram-stop, for 62 s so far.');
  const broken = { ...incidentOf(1), cause: { stationaryS: 500, unobservedS: 360 } };
  t.match(sentence(broken, EN), /, for 8 min .*; not observed for 6 min in between\.$/);
  t.match(sentence(broken, FR), / ; pas d’observation pendant 6 min entre-temps\.$/);
  t.equal(
    sentence(incidentOf(1, { kind: 'drone', objects: [], place: 'camera', cause: { reason: 'x' } }), EN),
    'Something in the camera’s view: x.',
  );
  t.equal(placeText('roof/a/b', EN), 'roof a/b');
  t.strictSame([lasting(45, EN), lasting(3700, EN), lasting(200_000, FR)], ['45 s', '1 h 2 min', '2 j']);
  t.strictSame([age(65_000, EN), age(7_500_000, EN), age(-5, EN)], ['1:05', '2 h 05', '0:00']);
});

t.test('a box that floods the room does not displace alerts of others', async (t) => {
  const rows = new Rows();
  rows.reset({
    rev: 1,
    incidents: [incidentOf(1, { box: 'quiet', priority: 2, rev: 1 })],
    more: 0,
    suppressions: [],
  });
  const flood = Array.from({ length: LOADED_MAX + 500 }, (_, at) =>
    incidentOf(10 + at, { box: 'mad', priority: 1, rev: 2 + at }),
  );
  rows.apply(flood);
  rows.takeOpenCount({ rev: LOADED_MAX + 501, count: LOADED_MAX + 501 });
  t.equal(rows.more, 501);
  // Two events before the browser sees it, as with an older incident.
  rows.apply([incidentOf(9000, { events: 2, box: 'late', priority: 3, rev: 9000, received: secondsAgo(0) })]);
  t.ok(rows.of(1), 'the existing rows stay');
  t.ok(rows.of(9000), 'and a new one is added');
  t.equal(rows.incidents.length, LOADED_MAX);
  rows.takeOpenCount({ rev: 9000, count: LOADED_MAX + 502 });
  t.equal(rows.more, 502, 'the server’s count is shown');
  rows.settle(incidentOf(1, { rev: 9001, state: 'closed' }));
  t.equal(rows.more, 502, 'closing an incident here changes the count of the others by nothing');
});

/** A person who stays in a hall; each has a box of its own. */
const stays = (no: number, overrides: Partial<Incident> = {}): Incident =>
  incidentOf(no, {
    box: `cam-${no}`,
    kind: 'loitering',
    rule: 'stays',
    place: 'zone/hall',
    received: secondsAgo(50 - no),
    objects: [{ label: 'person', track: 7 }],
    cause: { dwellS: 5 },
    ...overrides,
  });

const linesFrom = (incidents: readonly Incident[], isOpen = true) =>
  linesOf(incidents, { ...OPTIONS, isOpen: () => isOpen });

const closed = (incident: Incident): Incident => ({ ...incident, state: 'closed', verdict: 'confirmed' });

const storm = [11, 12, 13, 14].map((no) => stays(no, { box: 'cam-gare' }));
const stormNos = storm.map(({ no }) => no);
const [early, late] = [stays(2), stays(30)];

t.test('a verdict opens the next of the storm, then the next of the queue', async (t) => {
  const lines = linesFrom([early, ...storm, late]);
  t.same(
    stormOf(lines, 12)?.members.map(({ no }) => no),
    stormNos,
  );
  t.equal(stormOf(lines, 2), undefined);
  t.same(
    incidentsOf(lines).map(({ no }) => no),
    [2, ...stormNos, 30],
    'each incident once, although its storm is expanded',
  );
  const next = (no: number, incidents: readonly Incident[]) =>
    nextUnjudged(linesFrom(incidents), { no, storm: stormNos, isOwn: false }, 'Nadia');
  t.equal(next(12, [early, ...storm, late]), 13);
  const [first, second, third, fourth] = storm as [Incident, Incident, Incident, Incident];
  t.equal(next(14, [early, first, closed(second), closed(third), closed(fourth), late]), 11);
  t.equal(next(11, [early, closed(first), late]), 30, 'the storm is over; the row below follows');
  t.equal(next(30, [early, closed(late)]), 2, 'after the last row, the first');
  t.equal(next(30, [closed(late)]), undefined);
});

t.test('incidents of other people are skipped, and the most urgent one follows one’s own', async (t) => {
  const omars = stays(3, { state: 'claimed', claimedBy: 'Omar' });
  const own = stays(4, { state: 'claimed', claimedBy: 'Nadia' });
  const urgent = stays(40, { priority: 1 });
  const lines = linesFrom([urgent, early, own, omars]);
  const judgedIncident = { no: 2, storm: [], isOwn: false };
  t.equal(nextUnjudged(lines, judgedIncident, 'Nadia'), 4);
  t.equal(nextUnjudged(lines, { no: 4, storm: [], isOwn: true }, 'Nadia'), 40);
  t.equal(nextUnjudged(linesFrom([early, omars]), judgedIncident, 'Nadia'), undefined);
});

t.test('a sentence about an ended incident does not say that it goes on', async (t) => {
  const over = { endedAt: secondsAgo(3) };
  t.match(sentence(stays(1), EN), /^A person #7 stays in zone hall, for 5 s/);
  t.equal(sentence(stays(1, over), EN), 'A person #7 stayed in zone hall for at least 5 s.');
  t.equal(sentence(stays(1), FR), 'Une personne #7 reste dans la zone hall, depuis 5 s.');
  t.equal(sentence(stays(1, over), FR), 'Une personne #7 se tenait dans la zone hall pendant au moins 5 s.');
  const parked = {
    ...over,
    kind: 'illegal-parking',
    objects: [{ label: 'car', track: 7 }] as Incident['objects'],
    cause: { stationaryS: 60, presence: 'hidden' },
  };
  t.equal(sentence(stays(1, parked), EN), 'A car #7 was parked in zone hall for at least 60 s.');
  for (const kind of Object.keys(EN.causes)) {
    const cause = { dwellS: 5, stationaryS: 5, unattendedS: 5, nearbyS: 5, direction: 'left', count: 3 };
    t.notMatch(sentence(stays(1, { ...over, kind, cause }), EN), /so far|now/, kind);
    t.notMatch(sentence(stays(1, { ...over, kind, cause }), FR), /depuis|pour l’instant/, kind);
  }
});

/** An alert of priority 1, `atS` after the start of the test, of another box each. */
const alertOf = (no: number, atS: number, overrides: Partial<Incident> = {}): Incident =>
  incidentOf(no, {
    box: `cam-${no}`,
    rule: 'one-way',
    kind: 'wrong-way',
    priority: 1,
    received: secondsAgo(-atS),
    ...overrides,
  });

/** Considers the steps in sequence, as the stream brings them. Returns what sounded and what was shown. */
function played(steps: readonly (readonly Incident[])[], isSeen: (no: number) => boolean = () => false) {
  let memory: AlarmMemory | undefined = alarmOf([], undefined, isSeen, NOW_MS).memory;
  let sounds = 0;
  const notices: number[] = [];
  for (const incidents of steps) {
    const alarm = alarmOf(incidents, memory, isSeen, NOW_MS);
    // It passes through localStorage.
    memory = JSON.parse(JSON.stringify(alarm.memory)) as AlarmMemory;
    sounds += Number(alarm.sounds);
    notices.push(...alarm.notices.map(({ no }) => no));
  }
  return { sounds, notices };
}

t.test('a new alert of priority 1 sounds once, however often it is considered', async (t) => {
  const [first, second] = [alertOf(1, 0), alertOf(2, 100)];
  t.strictSame(played([[first], [first], [], [first]]), { sounds: 1, notices: [1] });
  t.strictSame(played([[first], [first, second], [second, first]]), { sounds: 2, notices: [1, 2] });
});

t.test('only waiting alerts of priority 1 sound', async (t) => {
  for (const [label, change] of [
    ['a lower priority', { priority: 2 }],
    ['a notice', { severity: 'notice' }],
    ['one that someone has claimed', { state: 'claimed', claimedBy: 'Nadia' }],
    ['one that is closed', { state: 'closed' }],
  ] as const)
    t.strictSame(played([[alertOf(1, 0, change)]]), { sounds: 0, notices: [] }, label);
  t.strictSame(
    played([[alertOf(1, 0)]], () => true),
    { sounds: 0, notices: [] },
    'one that is open here',
  );
  const claimed = (leftS: number) =>
    alertOf(1, 0, { state: 'claimed', claimedBy: 'Nadia', claimedUntil: secondsAgo(-leftS) });
  t.strictSame(played([[claimed(60)], [alertOf(1, 0)]]), { sounds: 0, notices: [] }, 'one that is given up');
  t.strictSame(
    played([[claimed(0)], [alertOf(1, 0)], [alertOf(1, 0)]], () => true),
    { sounds: 1, notices: [1] },
    'a claim that expires, once, although it was opened',
  );
});

t.test('alerts that wait when the alarm is switched on are known', async (t) => {
  const { sounds, memory } = alarmOf([alertOf(7, 0)], undefined, () => false, NOW_MS);
  t.notOk(sounds);
  t.notOk(alarmOf([alertOf(7, 0)], memory, () => false, NOW_MS).sounds);
  t.ok(alarmOf([alertOf(7, 0), alertOf(8, 9)], memory, () => false, NOW_MS).sounds);
});

t.test('a alerts of one rule sounds once, and again after a minute of silence', async (t) => {
  const alerts = Array.from({ length: 68 }, (_, at) => alertOf(at + 1, at * 20, { box: 'cam-1' }));
  const steps = alerts.map((_, at) => alerts.slice(0, at + 1));
  t.strictSame(played(steps), { sounds: 1, notices: [1] });
  t.strictSame(played([alerts]), { sounds: 1, notices: [1] }, 'all at once, after a lost connection');
  const later = alertOf(99, 67 * 20 + 61, { box: 'cam-1' });
  t.strictSame(played([...steps, [later]]), { sounds: 2, notices: [1, 99] });
});

t.test('one kind at many cameras sounds three times at most', async (t) => {
  const alerts = Array.from({ length: 30 }, (_, at) => alertOf(at + 1, at * 20));
  t.strictSame(played(alerts.map((one) => [one])), { sounds: 3, notices: [1, 2, 3] });
  const other = alertOf(50, 300, { kind: 'crowd-gathering' });
  t.strictSame(
    played([...alerts.map((one) => [one]), [other]]).notices,
    [1, 2, 3, 50],
    'another kind sounds',
  );
});

t.test('two alerts within five seconds make one sound and two notifications', async (t) => {
  const pair = [alertOf(1, 0), alertOf(2, 3, { kind: 'crowd-gathering' })];
  t.strictSame(played([pair.slice(0, 1), pair]), { sounds: 1, notices: [1, 2] });
});

t.test('numbers that begin again, as in a restored database, still sound', async (t) => {
  t.strictSame(played([[alertOf(5000, 0)], [alertOf(3, 100)], [alertOf(3, 100)]]).notices, [5000, 3]);
});

t.test('no incident is shown twice, in whatever order and batches it arrives', async (t) => {
  const incident = fc
    .tuple(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 0, max: 3 }), fc.constantFrom('new', 'claimed'))
    .map(([no, box, state]) => alertOf(no, (no * 37) % 500, { box: `cam-${box}`, state: state as 'new' }));
  const batch = fc.uniqueArray(incident, { maxLength: 6, selector: ({ no }) => no });
  fc.assert(
    fc.property(fc.array(batch, { maxLength: 20 }), (steps) => {
      const { notices, sounds } = played(steps);
      return new Set(notices).size === notices.length && sounds <= notices.length;
    }),
  );
  t.pass('fast-check throws for a counter-example');
});

const LARGE: Frame = { picture: { width: 1280, height: 960 }, stage: { width: 1280, height: 720 } };
const SMALL: Frame = { picture: { width: 640, height: 360 }, stage: { width: 1280, height: 720 } };
const PHONE: Frame = { picture: { width: 1280, height: 720 }, stage: { width: 390, height: 700 } };

t.test('the whole picture fits into the stage, and a small one is not enlarged', async (t) => {
  t.equal(wholeScale(LARGE), 0.75);
  t.equal(wholeScale(SMALL), 1);
  t.equal(wholeScale(PHONE), 390 / 1280);
});

t.test('the natural size shows the place of the alert, without a margin beside the picture', async (t) => {
  t.strictSame(natural(SMALL), { scale: 1, x: 320, y: 180 });
  t.strictSame(natural(PHONE, { x: 0.5, y: 0.5 }), { scale: 1, x: -445, y: -10 });
  t.strictSame(natural(PHONE, { x: 1, y: 0 }), { scale: 1, x: 390 - 1280, y: 0 });
});

t.test('a zoom keeps the point under the finger', async (t) => {
  const before = natural(LARGE);
  const at = { x: 300, y: 500 };
  const after = scaled(before, LARGE, 2.5, at);
  t.equal((at.x - after.x) / after.scale, (at.x - before.x) / before.scale);
  t.equal((at.y - after.y) / after.scale, (at.y - before.y) / before.scale);
});

t.test('a zoom ends at the whole picture and at eight times its size', async (t) => {
  const middle = { x: 640, y: 360 };
  t.equal(scaled(natural(LARGE), LARGE, 100, middle).scale, 8);
  t.strictSame(scaled(natural(LARGE), LARGE, 0, middle), { scale: 0.75, x: 160, y: 0 });
});

t.test('a picture cannot be moved out of the stage', async (t) => {
  const place = scaled(natural(LARGE), LARGE, 2, { x: 640, y: 360 });
  t.strictSame(movedBy(place, LARGE, 9999, 9999), { scale: 2, x: 0, y: 0 });
  t.strictSame(movedBy(place, LARGE, -9999, -9999), { scale: 2, x: 1280 - 2560, y: 720 - 1920 });
  t.strictSame(movedBy(natural(SMALL), SMALL, 50, -50), natural(SMALL), 'a smaller one stays in the middle');
});
