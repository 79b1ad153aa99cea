/** Unit tests of the alarm: which incidents sound, and which this browser already knows. */
import fc from 'fast-check';
import t from 'tap';
import { demoPlan } from '../../scripts/programs/demo/plan.ts';
import { type AlarmMemory, alarmOf } from '../../scripts/programs/room/app/alarm/alarm-memory.ts';
import { cityMap } from '../../scripts/programs/room/app/views/geo.ts';
import type { Incident } from '../../scripts/programs/room/contract/incident.ts';
import { incidentOf, secondsAgo } from '../lib/app-incident.ts';

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
  let memory: AlarmMemory | undefined = alarmOf([], undefined, isSeen).memory;
  let sounds = 0;
  const notices: number[] = [];
  for (const incidents of steps) {
    const alarm = alarmOf(incidents, memory, isSeen);
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
  const claimed = alertOf(1, 0, { state: 'claimed' });
  t.strictSame(played([[claimed], [alertOf(1, 0)]]), { sounds: 0, notices: [] }, 'a claim that expires');
});

t.test('alerts that wait when the alarm is switched on are known', async (t) => {
  const { sounds, memory } = alarmOf([alertOf(7, 0)], undefined, () => false);
  t.notOk(sounds);
  t.notOk(alarmOf([alertOf(7, 0)], memory, () => false).sounds);
  t.ok(alarmOf([alertOf(7, 0), alertOf(8, 9)], memory, () => false).sounds);
});

t.test('a storm of one rule sounds once, and again after a minute of silence', async (t) => {
  const storm = Array.from({ length: 68 }, (_, at) => alertOf(at + 1, at * 20, { box: 'cam-1' }));
  const steps = storm.map((_, at) => storm.slice(0, at + 1));
  t.strictSame(played(steps), { sounds: 1, notices: [1] });
  t.strictSame(played([storm]), { sounds: 1, notices: [1] }, 'all at once, after a lost connection');
  const later = alertOf(99, 67 * 20 + 61, { box: 'cam-1' });
  t.strictSame(played([...steps, [later]]), { sounds: 2, notices: [1, 99] });
});

t.test('one kind at many cameras sounds three times at most', async (t) => {
  const storm = Array.from({ length: 30 }, (_, at) => alertOf(at + 1, at * 20));
  t.strictSame(played(storm.map((one) => [one])), { sounds: 3, notices: [1, 2, 3] });
  const other = alertOf(50, 300, { kind: 'crowd-gathering' });
  t.strictSame(played([...storm.map((one) => [one]), [other]]).notices, [1, 2, 3, 50], 'another kind sounds');
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

t.test('the map of the demo can be drawn, with its camera', async (t) => {
  const map = cityMap(demoPlan('demo', 'square-1'));
  if (typeof map === 'string') {
    t.fail(map);
    return;
  }
  t.same(
    map.cameras.map(({ key }) => key),
    ['demo/square-1'],
  );
  t.equal(map.skipped, 0);
  t.same(
    map.names.map(({ name }) => name),
    ['Square', 'Lawn', 'River'],
  );
});
