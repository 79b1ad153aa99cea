/** Unit tests of the order in which the console opens incidents after verdicts, and of sentences about ended ones. */
import t from 'tap';
import { linesOf } from '../../scripts/programs/room/app/queue/lines.ts';
import { incidentsOf, nextUnjudged, stormOf } from '../../scripts/programs/room/app/queue/next.ts';
import { EN } from '../../scripts/programs/room/app/words/en.ts';
import { FR } from '../../scripts/programs/room/app/words/fr.ts';
import { sentence } from '../../scripts/programs/room/app/words/sentence.ts';
import type { Incident } from '../../scripts/programs/room/contract/incident.ts';

const NOW_MS = Date.parse('2026-06-01T12:00:00.000Z');
const secondsAgo = (s: number): string => new Date(NOW_MS - s * 1000).toISOString();

function incidentOf(no: number, overrides: Partial<Incident> = {}): Incident {
  return {
    no,
    rev: no,
    revision: 0,
    site: 'centre',
    box: `cam-${no}`,
    episode: `e-${no}`,
    severity: 'alert',
    priority: 2,
    kind: 'loitering',
    rule: 'stays',
    place: 'zone/hall',
    startedAt: secondsAgo(20),
    endedAt: null,
    received: secondsAgo(50 - no),
    clockDoubt: false,
    objects: [{ label: 'person', track: 7 }],
    cause: { dwellS: 5 },
    events: 1,
    still: 'a.jpg',
    state: 'new',
    claimedBy: null,
    claimedUntil: null,
    dispatchedBy: null,
    dispatchedAt: null,
    patrol: null,
    patrolAnswer: null,
    patrolAnswerAt: null,
    arrivedAt: null,
    suppression: null,
    isSuppressed: false,
    verdict: null,
    verdictAt: null,
    closedAt: null,
    closedReason: null,
    reopens: null,
    ...overrides,
  };
}

const linesFrom = (incidents: readonly Incident[], isOpen = true) =>
  linesOf(incidents, { nowMs: NOW_MS, me: 'Nadia', isOpen: () => isOpen, fits: () => true });

const closed = (incident: Incident): Incident => ({ ...incident, state: 'closed', verdict: 'confirmed' });

const storm = [11, 12, 13, 14].map((no) => incidentOf(no, { box: 'cam-gare' }));
const stormNos = storm.map(({ no }) => no);
const [early, late] = [incidentOf(2), incidentOf(30)];

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
  const omars = incidentOf(3, { state: 'claimed', claimedBy: 'Omar' });
  const own = incidentOf(4, { state: 'claimed', claimedBy: 'Nadia' });
  const urgent = incidentOf(40, { priority: 1 });
  const lines = linesFrom([urgent, early, own, omars]);
  const judgedIncident = { no: 2, storm: [], isOwn: false };
  t.equal(nextUnjudged(lines, judgedIncident, 'Nadia'), 4);
  t.equal(nextUnjudged(lines, { no: 4, storm: [], isOwn: true }, 'Nadia'), 40);
  t.equal(nextUnjudged(linesFrom([early, omars]), judgedIncident, 'Nadia'), undefined);
});

t.test('a sentence about an ended incident does not say that it goes on', async (t) => {
  const over = { endedAt: secondsAgo(3) };
  t.match(sentence(incidentOf(1), EN), /^A person #7 stays in zone hall, for 5 s/);
  t.equal(sentence(incidentOf(1, over), EN), 'A person #7 stayed in zone hall for at least 5 s.');
  t.equal(sentence(incidentOf(1), FR), 'Une personne #7 reste dans la zone hall, depuis 5 s.');
  t.equal(
    sentence(incidentOf(1, over), FR),
    'Une personne #7 se tenait dans la zone hall pendant au moins 5 s.',
  );
  const parked = {
    ...over,
    kind: 'illegal-parking',
    objects: [{ label: 'car', track: 7 }] as Incident['objects'],
    cause: { stationaryS: 60, presence: 'hidden' },
  };
  t.equal(sentence(incidentOf(1, parked), EN), 'A car #7 was parked in zone hall for at least 60 s.');
  for (const kind of Object.keys(EN.causes)) {
    const cause = { dwellS: 5, stationaryS: 5, unattendedS: 5, nearbyS: 5, direction: 'left', count: 3 };
    t.notMatch(sentence(incidentOf(1, { ...over, kind, cause }), EN), /so far|now/, kind);
    t.notMatch(sentence(incidentOf(1, { ...over, kind, cause }), FR), /depuis|pour l’instant/, kind);
  }
});
