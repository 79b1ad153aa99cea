/** Unit tests of the console's queue, of what follows a verdict, and of its texts for incidents. */
import fc from 'fast-check';
import t from 'tap';
import { EVENT_KINDS } from '../../agent/contract/kinds.ts';
import { isEscalated, type LinesOptions, linesOf } from '../../scripts/programs/room/app/queue/lines.ts';
import { incidentsOf, nextUnjudged, stormOf } from '../../scripts/programs/room/app/queue/next.ts';
import { LOADED_MAX, Rows } from '../../scripts/programs/room/app/queue/rows.ts';
import { EN } from '../../scripts/programs/room/app/words/en.ts';
import { FR } from '../../scripts/programs/room/app/words/fr.ts';
import {
  age,
  kindText,
  lasting,
  placeText,
  sentence,
} from '../../scripts/programs/room/app/words/sentence.ts';
import type { Incident } from '../../scripts/programs/room/contract/incident.ts';
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
