/** Tests what the demo prints: an alert's line, when the first one comes, why none can, and what to try. */
import t from 'tap';
import type { VigieEvent } from '../../agent/contract/event.ts';
import { expectationLine, Hindrances } from '../../scripts/programs/demo/expectation.ts';
import { tryLines } from '../../scripts/programs/demo/try-lines.ts';
import { alertLine, isMomentaryEnd, snapshotName } from '../../scripts/programs/room/archive/alert-line.ts';
import { configOf } from '../lib/agent.ts';

const config = configOf({
  site: 'paris',
  box: 'b-1',
  camera: { source: 'test:pattern' },
  mqtt: { url: 'mqtt://localhost' },
  zones: [
    {
      id: 'lawn',
      polygon: [
        [0, 0],
        [1, 0],
        [1, 1],
      ],
    },
  ],
  rules: [{ id: 'stay', kind: 'loitering', zone: 'lawn', afterS: 3, purpose: 'demo' }],
});

const event = (kind: string, phase: string, reason?: string, severity = 'system'): VigieEvent =>
  ({
    data: { episode: kind, severity, phase, rule: { kind }, cause: reason === undefined ? {} : { reason } },
  }) as unknown as VigieEvent;

t.test('the demo says when its clip alerts, and for a camera which rules do', async (t) => {
  t.match(expectationLine(config, true), /^First alert in about \d+ s$/);
  t.equal(expectationLine(config, false), 'An alert comes when a rule is broken: loitering in lawn');
});

t.test('whatever keeps alerts away is said once, with its reason, and its end too', async (t) => {
  const lines: string[] = [];
  const hindrances = new Hindrances((line) => lines.push(line));
  hindrances.take(event('loitering', 'start', 'there', 'alert'));
  hindrances.take(event('load-shed', 'start', 'too slow'));
  t.same(lines, [], 'nothing keeps alerts away');
  hindrances.take(event('unauthorised', 'start', 'authorityKey can be changed by others'));
  hindrances.take(event('unauthorised', 'update'));
  hindrances.take(event('stream-lost', 'start', 'does not answer'));
  t.match(lines, [
    /^NO ALERT CAN COME: no valid authorisation.*: authorityKey can be changed by others$/,
    /^NO ALERT CAN COME: the camera’s stream is lost: does not answer$/,
  ]);
  hindrances.take(event('unauthorised', 'end'));
  t.equal(lines.length, 2, 'the stream is still lost');
  hindrances.take(event('stream-lost', 'end'));
  t.equal(lines.at(-1), 'Alerts can come again.');
  for (const kind of ['suspended', 'detector-down', 'vision-failed', 'covered']) {
    hindrances.take(event(kind, 'start'));
    t.match(lines.at(-1), /^NO ALERT CAN COME: /, kind);
  }
});

/** Columns of a terminal that shows each line whole, after an indent of nine. */
const COLUMNS_MAX = 120 - 9;

t.test('at most eight lines say what to try, and promise only what the camera gives', (t) => {
  const own = tryLines({ tracks: 1091, isOwnClip: true });
  const camera = tryLines({ tracks: undefined, isOwnClip: false });
  for (const lines of [own, camera]) {
    t.ok(lines.length <= 8, `${lines.length} lines`);
    for (const line of lines) t.ok(line.length <= COLUMNS_MAX, line);
  }
  t.match(own.join('\n'), /closes 4 as examples.*1091 tracks.*two people/s);
  t.notMatch(camera.join('\n'), /examples|tracks|two people|storm/);
  t.end();
});

const alertEvent = (data: object, subject: string): VigieEvent =>
  ({
    id: 'a1b2-7',
    time: '2026-11-24T14:00:05.250Z',
    subject,
    data: {
      phase: 'start',
      severity: 'alert',
      rule: { id: 'r1', kind: 'loitering' },
      objects: [],
      cause: {},
      clock: { synced: true, timeZone: 'Europe/Paris' },
      ...data,
    },
  }) as unknown as VigieEvent;
const NOW_MS = Date.parse('2026-11-24T15:00:00.000Z');
const person = { label: 'person', track: 630228974371 };

void t.test('an event is one line for a person', async (t) => {
  const start = alertEvent({ objects: [person], cause: { dwellS: 10.2, durationS: 0 } }, 'zone/square');
  t.match(
    alertLine(start, NOW_MS),
    /^15:00:05 CET {2}ALERT {3}loitering: person #4371 in zone square, there for 10.2 s$/,
  );
  const end = alertEvent(
    { phase: 'end', objects: [person], cause: { dwellS: 15, durationS: 4.8 } },
    'zone/square',
  );
  t.match(alertLine(end, NOW_MS), /ended {3}loitering: person #4371 in zone square, lasted 4.8 s$/);
  const rule = { id: 'r2', kind: 'line-crossing' };
  const crossing = alertEvent(
    { rule, objects: [person], cause: { direction: 'left', durationS: 0 } },
    'line/kerb',
  );
  t.match(alertLine(crossing, NOW_MS), /line-crossing: person #4371 over line kerb, to the left$/);
  const lostEvent = alertEvent(
    { severity: 'system', rule: { id: 'built-in', kind: 'stream-lost' } },
    'camera',
  );
  t.match(alertLine(lostEvent, NOW_MS), /SYSTEM {2}stream-lost: the camera$/);
  const unset = alertEvent(
    { cause: { reason: 'x' }, clock: { synced: false, timeZone: 'Europe/Paris' } },
    'zone/square',
  );
  t.match(alertLine(unset, NOW_MS), /zone square, x \(its clock was not synchronised\)$/);
  t.match(alertLine(unset, NOW_MS, true), /zone square, x$/, 'told elsewhere');
  const futureEvent = { ...unset, time: '2199-01-01T00:00:00.000Z' };
  t.match(
    alertLine(futureEvent, NOW_MS),
    /^--:--:-- {2}ALERT .* \(its clock says 2199-01-01T00:00:00.000Z\)$/,
  );
  t.equal(isMomentaryEnd(alertEvent({ phase: 'end', cause: { durationS: 0 } }, 'line/kerb')), true);
  t.equal(isMomentaryEnd(end), false);
  t.equal(snapshotName(start), '2026-11-24-140005-r1-a1b2-7.jpg');
  t.equal(
    snapshotName({ ...start, id: '../../etc/x' }),
    '2026-11-24-140005-r1-______etc_x.jpg',
    'no way out',
  );
});
