/**
 * Tests what the demo prints: an alert's line, when the first one comes, why none can, and what to try. Tests also the
 * hour of tracks that it makes from its clip. A box that starts with the hour keeps it and answers from it.
 */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { VigieEvent } from '../../agent/contract/event.ts';
import type { Observation } from '../../agent/contract/observation.ts';
import type { TrackLogGrant } from '../../agent/contract/track-log.ts';
import { alertLine, isMomentaryEnd, snapshotName } from '../../scripts/products/room/archive/alert-line.ts';
import { expectationLine, Hindrances } from '../../scripts/workshop/demo/expectation.ts';
import { type MadeHour, writeHour } from '../../scripts/workshop/demo/made-hour.ts';
import { tryLines } from '../../scripts/workshop/demo/try-lines.ts';
import { configOf } from '../lib/agent.ts';
import { makeSigner } from '../lib/commands.ts';
import { scratch } from '../lib/paths.ts';
import { GRANT, movingObject, TrackedBox, trackOf } from '../lib/tracked-box.ts';

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

const HOUR_MS = 3_600_000;
const FPS = 5;
const CLIP_S = 20;
const CAMERA = 'rtsp://10.0.0.9/main';

/** Two cars that pass within a clip of CLIP_S; vision numbers tracks from an arbitrary first number. */
function clip(): Observation[] {
  const cars = [
    movingObject(4711, [0.1, 0.5], [0.9, 0.5], [2, 8]),
    movingObject(9000, [0.9, 0.7], [0.1, 0.7], [5, 15]),
  ];
  return Array.from({ length: CLIP_S * FPS }, (_, i): Observation => {
    const atMs = 40 + (i * 1000) / FPS;
    const tracks = cars.flatMap((car) => {
      const place = car.at(i / FPS);
      return place === undefined ? [] : [trackOf(car, place, atMs)];
    });
    return {
      frame: i + 1,
      atMs,
      wallMs: atMs,
      source: { widthPx: 1600, heightPx: 900 },
      tracks,
      crossings: [],
      standing: [],
      camera: [],
    };
  });
}

function makeHour(t: Test, grant: TrackLogGrant, change: Partial<MadeHour> = {}) {
  const asker = makeSigner('judge-desk', ['tracks']);
  const box = new TrackedBox(scratch(t), { grant, keys: [asker.config], source: CAMERA });
  const endsMs = box.clock.wallMs();
  const tracks = writeHour(clip(), {
    stateDir: box.stateDir,
    limitMiB: 16,
    grant: GRANT,
    order: 'made',
    camera: CAMERA,
    endsMs,
    gapReason: 'clock-not-set',
    ...change,
  });
  return { box, tracks, endsMs };
}

void t.test(
  'a box whose clock is not set answers from the hour, and says what it does not know',
  async (t) => {
    const { box, tracks, endsMs } = makeHour(t, GRANT);
    t.equal(tracks, 2 * (HOUR_MS / 1000 / CLIP_S), 'two in each round');
    box.synced = false;
    box.trusted = false;
    box.start();
    box.sleep(60);
    const iso = (ms: number): string => new Date(ms).toISOString();
    const answer = await box.ask({ from: iso(endsMs - 2 * HOUR_MS), to: iso(endsMs + 60_000) });
    t.equal(answer.matches, tracks);
    t.equal(
      new Set(answer.tracks.map(({ track }) => track)).size,
      answer.tracks.length,
      'each has its number',
    );
    t.match(answer.coverage.gaps, [
      { to: iso(endsMs - HOUR_MS), why: 'not-authorised' },
      { to: iso(endsMs + 60_000), why: 'clock-not-set' },
    ]);
    t.equal(answer.coverage.gaps.length, 2, 'the hour has no gap');
    t.match(answer.views, [{ view: iso(endsMs - HOUR_MS), to: null }]);
    const view = answer.views[0]?.view ?? '';
    const middle: [[number, number], [number, number]] = [
      [0.5, 0],
      [0.5, 1],
    ];
    const place = { line: middle, direction: 'both' } as const;
    const crossed = await box.ask({ view, where: place, answer: 'count' });
    t.equal(crossed.matches, tracks, 'both cross the middle, in every round');

    // Once the clock is set, the box continues with the same view and other numbers.
    box.synced = true;
    box.live(10, [movingObject(1_000_000, [0.2, 0.6], [0.8, 0.6], [0, 10])]);
    const later = await box.ask({});
    t.equal(later.matches, Number(tracks) + 1);
    t.equal(later.views.length, 1);
  },
);

void t.test('the made hour is removed where the order is another than its own', async (t) => {
  const { box } = makeHour(t, { ...GRANT, grade: 'counts' });
  box.start();
  t.match(box.records, [{ record: 'purge', what: 'tracks', why: 'authorisation' }]);
  const { box: unauthorisedBox } = makeHour(t, GRANT);
  unauthorisedBox.grant = undefined;
  unauthorisedBox.start();
  t.notOk(existsSync(join(unauthorisedBox.stateDir, 'tracks.db')));
});

void t.test('no hour is made of a clip without a frame', (t) => {
  const stateDir = join(scratch(t), 'state');
  const hour = { stateDir, limitMiB: 16, grant: GRANT, order: 'made', camera: CAMERA } as const;
  t.equal(writeHour([], { ...hour, endsMs: Date.now(), gapReason: 'not-running' }), 0);
  t.notOk(existsSync(stateDir));
  t.end();
});
