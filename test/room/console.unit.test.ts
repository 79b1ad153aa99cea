/**
 * Unit tests of the console's figures and formats: cameras, a week's quantiles, ratios, and tables and links of tracks.
 */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { CONDITION_KINDS, isBlinding } from '../../agent/contract/condition.ts';
import { dayAfter, weekNumber } from '../../scripts/products/room/app/views/week-days.ts';
import { wallMs, wallTime } from '../../scripts/products/room/app/views/zone.ts';
import {
  type CameraRow,
  changedConditions,
  conditionOf,
  coveredS,
  type Interval,
} from '../../scripts/products/room/console/cameras.ts';
import { DurationCounts } from '../../scripts/products/room/console/durations.ts';
import { readSettings } from '../../scripts/products/room/console/settings.ts';
import { NO_VIDEO, videoLink, videoOf } from '../../scripts/products/room/console/video.ts';
import type { Camera } from '../../scripts/products/room/contract/camera.ts';
import { roundedRatio } from '../../scripts/products/room/contract/rounded-ratio.ts';
import { type Condition, SILENT_S } from '../../scripts/products/room/contract/terms.ts';
import { dayHourOf } from '../../scripts/products/room/database/day-hour.ts';
import type { TrackAnswerParts } from '../../scripts/products/room/questions/tracks/export.ts';
import { csvOf } from '../../scripts/products/room/questions/tracks/export-csv.ts';
import { mfJsonOf } from '../../scripts/products/room/questions/tracks/export-mf-json.ts';
import { scratch } from '../lib/paths.ts';
import { track } from '../lib/track-box.ts';

const NOW = Date.parse('2026-11-27T12:00:00.000Z');
const DAY_MS = 86_400_000;
const iso = (ms: number): string => new Date(ms).toISOString();

const WELL: CameraRow = {
  site: 'lyon',
  box: 'b-1',
  rev: 1,
  state: 'online',
  mode: 'active',
  conditions: '[]',
  version: null,
  certificate_ends: null,
  order_ends: null,
  last_alert: null,
  last_report: iso(NOW - 10_000),
  share_until: null,
};
const conditionWith = (change: Partial<CameraRow>, nowMs = NOW) => conditionOf({ ...WELL, ...change }, nowMs);

void t.test('conditions are derived from reports and ordered with the worst first', async (t) => {
  const cases: readonly (readonly [string, Partial<CameraRow>, Condition, string[]])[] = [
    ['nothing', {}, 'well', []],
    ['a status that has not come yet', { state: null, mode: null }, 'well', []],
    ['its will', { state: 'offline' }, 'offline', ['offline']],
    ['stopped by a person', { state: 'stopped' }, 'offline', ['stopped']],
    ['suspended', { mode: 'suspended', conditions: '["suspended"]' }, 'suspended', ['suspended']],
    ['without an order', { mode: 'unauthorised' }, 'suspended', ['unauthorised']],
    ['badly sharp', { conditions: '["defocused"]' }, 'impaired', ['defocused']],
    ['a kind of a newer agent', { conditions: '["lens-iced"]' }, 'impaired', ['lens-iced']],
    [
      'what a person should know',
      { conditions: '["config-changed","preview"]' },
      'well',
      ['config-changed', 'preview'],
    ],
    ['its certificate', { certificate_ends: iso(NOW + 29 * DAY_MS) }, 'ending', ['certificate-expiring']],
    ['which has ended', { certificate_ends: iso(NOW - DAY_MS) }, 'ending', ['certificate-expiring']],
    ['its order, later', { order_ends: iso(NOW + 31 * DAY_MS) }, 'well', []],
    [
      'as the box says itself',
      { conditions: '["authorisation-expiring"]' },
      'ending',
      ['authorisation-expiring'],
    ],
    [
      'all at once',
      { state: 'offline', conditions: '["covered","load-shed"]', order_ends: iso(NOW) },
      'offline',
      ['offline', 'covered', 'load-shed', 'authorisation-expiring'],
    ],
    [
      'blind and suspended',
      { mode: 'suspended', conditions: '["covered"]' },
      'blind',
      ['suspended', 'covered'],
    ],
    ['text that is not a condition', { conditions: '{"a":[1]}' }, 'well', []],
  ];
  for (const [name, change, condition, reasons] of cases) {
    t.same(conditionWith(change), { condition, reasons }, name);
  }
  for (const kind of CONDITION_KINDS.filter(isBlinding))
    t.equal(conditionWith({ conditions: JSON.stringify([kind]) }).condition, 'blind', kind);
  const { reasons } = conditionWith({
    conditions: JSON.stringify([...Array(99).keys()].map((n) => `${n}`.repeat(99))),
  });
  t.equal(reasons.length, 64);
  t.ok(
    reasons.every((reason) => reason.length <= 40),
    'whatever a box says, it is within the contract',
  );
});

void t.test('a camera changes to silent and back by time alone', async (t) => {
  const heardMs = Date.parse(WELL.last_report);
  t.equal(conditionWith({}, heardMs + SILENT_S * 1000 - 1).condition, 'well');
  t.same(conditionWith({}, heardMs + SILENT_S * 1000), { condition: 'offline', reasons: ['silent'] });
  const conditions = new Map<string, Condition>();
  const at = (nowMs: number, change: Partial<CameraRow> = {}): string[] => {
    const { site, box } = WELL;
    const camera = { site, box, ...conditionWith(change, nowMs) } as Camera;
    return changedConditions(conditions, [camera]).map(({ condition }) => condition);
  };
  t.same(at(NOW), [], 'a client that has just loaded all has the first state');
  t.same(at(NOW + 1000), []);
  t.same(at(NOW + 120_000), ['offline'], 'reported once');
  t.same(at(NOW + 130_000), []);
  t.same(at(NOW + 140_000, { last_report: iso(NOW + 139_000) }), ['well'], 'and when it reports again');
});

void t.test('overlapping blind intervals are counted once', async (t) => {
  const [from, to] = [NOW - DAY_MS, NOW];
  t.equal(coveredS([], from, to), 0);
  t.equal(coveredS([[NOW - 20_000, NOW - 10_000]], from, to), 10);
  t.equal(coveredS([[NOW - 9 * DAY_MS, NOW + DAY_MS]], from, to), 86_400, 'at most the interval’s length');
  t.equal(coveredS([[NOW - 5000, NOW - 9000]], from, to), 0, 'ended before it began, by the clock of a box');
  t.equal(
    coveredS(
      [
        [Number.NaN, NOW],
        [NOW - 1000, NOW],
      ],
      from,
      to,
    ),
    1,
    'a time that is none',
  );
  const second = fc.integer({ min: -10, max: 110 });
  fc.assert(
    fc.property(fc.array(fc.tuple(second, second), { maxLength: 12 }), (pairs) => {
      const intervals = pairs.map(([a, b]): Interval => [a * 1000, b * 1000]);
      let sum = 0;
      for (let s = 0; s < 100; s += 1) if (pairs.some(([a, b]) => a <= s && s < b)) sum += 1;
      return coveredS(intervals, 0, 100_000) === sum;
    }),
  );
});

void t.test('days and hours follow the room’s time zone, with summer time', async (t) => {
  const at = (text: string) => dayHourOf(Date.parse(text), 'Europe/Paris');
  t.same(at('2026-11-27T23:30:00.000Z'), { day: '2026-11-28', hour: 0 });
  t.same(at('2026-10-25T00:30:00.000Z'), { day: '2026-10-25', hour: 2 });
  t.same(at('2026-10-25T01:30:00.000Z'), { day: '2026-10-25', hour: 2 }, 'the hour that comes twice');
  t.same(at('2026-03-29T01:00:00.000Z'), { day: '2026-03-29', hour: 3 });
  t.throws(() => dayHourOf(0, 'Europe/Atlantis'), RangeError);
});

const resultOf = (durations: readonly number[]) => {
  const counts = new DurationCounts();
  for (const s of durations) counts.add(s);
  return counts.result();
};

t.test('quantiles are those of the sorted durations', (t) => {
  t.strictSame(resultOf([]), { count: 0, medianS: null, p90S: null });
  t.strictSame(resultOf([-4]), { count: 1, medianS: 0, p90S: 0 });
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 3599 }), { minLength: 1 }), (durations) => {
      const sorted = [...durations].sort((a, b) => a - b);
      const at = (ratio: number) => sorted[Math.ceil(ratio * sorted.length) - 1];
      t.strictSame(resultOf(durations), { count: durations.length, medianS: at(0.5), p90S: at(0.9) });
    }),
  );
  t.strictSame(
    resultOf([7229, 1e12]),
    { count: 2, medianS: 7200, p90S: 30 * 86_400 },
    'long ones by the minute',
  );
  t.end();
});

t.test('wall clock times convert both ways in a time zone', (t) => {
  const paris = (iso: string) => wallTime(Date.parse(iso), 'Europe/Paris');
  t.equal(paris('2026-11-27T14:00:00.000Z'), '2026-11-27T15:00');
  t.equal(paris('2026-07-01T22:30:00.000Z'), '2026-07-02T00:30');
  const isoOf = (wall: string) => {
    const ms = wallMs(wall, 'Europe/Paris');
    return ms === undefined ? undefined : new Date(ms).toISOString();
  };
  t.equal(isoOf('2026-11-27T15:00'), '2026-11-27T14:00:00.000Z');
  t.equal(isoOf('2026-10-25T02:30'), '2026-10-25T00:30:00.000Z', 'of an hour that comes twice the first');
  t.equal(
    isoOf('2026-03-29T02:30'),
    '2026-03-29T01:30:00.000Z',
    'of an hour that does not come, as much later',
  );
  for (const none of ['', '2026-13-40T99:99', 'yesterday', '2026-11-27'])
    t.equal(isoOf(none), undefined, none);
  const minutes = fc.integer({ min: 0, max: 40_000_000 });
  const zones = fc.constantFrom(
    'UTC',
    'Europe/Paris',
    'America/St_Johns',
    'Pacific/Kiritimati',
    'Pacific/Pago_Pago',
  );
  fc.assert(
    fc.property(minutes, zones, (minute, zone) => {
      const wall = wallTime(minute * 60_000, zone);
      const ms = wallMs(wall, zone);
      // The same wall clock time; a repeated hour may resolve to the earlier instant.
      return ms !== undefined && wallTime(ms, zone) === wall && minute * 60_000 - ms <= 24 * 3600_000;
    }),
  );
  t.end();
});

t.test('weeks are numbered as in ISO 8601', (t) => {
  const numbers = ['2024-12-30', '2025-12-29', '2026-12-28', '2027-01-04', '2026-11-23'].map(weekNumber);
  t.strictSame(numbers, [1, 1, 53, 1, 48]);
  t.equal(dayAfter('2026-12-28', 7), '2027-01-04');
  t.equal(dayAfter('2028-03-01', -1), '2028-02-29');
  t.end();
});

t.test('a ratio is rounded down, and its gap up', async (t) => {
  // A gap of one second in an hour, a day, and a year.
  for (const lengthS of [3600, 86_400, 31_536_000]) {
    const gap = 1 / lengthS;
    t.equal(roundedRatio(1 - gap, 'down'), 0.999, `${lengthS} s: never the whole`);
    t.equal(roundedRatio(gap, 'up'), 0.001, `${lengthS} s: never nothing`);
  }
  t.equal(roundedRatio(1, 'down'), 1);
  t.equal(roundedRatio(0, 'up'), 0);
});

t.test('a rounding error of the sum does not change the ratio', async (t) => {
  t.equal(roundedRatio(0.7 + 0.2 + 0.1, 'down'), 1);
  t.equal(roundedRatio(1 - 0.9 - 0.1, 'up'), 0);
});

const [FROM, TO] = ['2026-11-24T01:00:00.000Z', '2026-11-24T04:00:00.000Z'];
const PARTS: TrackAnswerParts = {
  box: 'alpha',
  case: '17',
  question: { from: FROM, to: TO, answer: 'tracks' },
  order: 'o-1',
  grade: 'vehicles',
  matches: 3,
  more: 1,
  coverage: {
    seen: 0.9,
    watched: 0.05,
    more: 0,
    gaps: [{ from: '2026-11-24T02:00:00.000Z', to: '2026-11-24T02:10:00.000Z', why: 'suspended' }],
  },
  tracks: [
    track(7, '2026-11-24T03:00:00.000Z', { colours: [], class: 'truck', path: [] }),
    track(4, '2026-11-24T01:14:07.000Z', { stoppedS: 3, durationS: 2.5 }),
  ],
};

t.test('a table has one row for each track and gap, in order of time', async (t) => {
  t.equal(
    csvOf(PARTS),
    [
      '\ufeffrow,box,at,from,to,track,class,colour,colour2,durationS,stoppedS,seen,cut,score,firstX,firstY,lastX,lastY,why',
      'track,alpha,2026-11-24T01:14:07.000Z,2026-11-24T01:14:07.000Z,2026-11-24T01:14:27.000Z,4,car,white,grey,2.5,3,true,false,0.83,0.1,0.7,0.9,0.75,',
      'gap,alpha,2026-11-24T02:00:00.000Z,2026-11-24T02:00:00.000Z,2026-11-24T02:10:00.000Z,,,,,,,,,,,,,,suspended',
      'track,alpha,2026-11-24T03:00:00.000Z,2026-11-24T03:00:00.000Z,2026-11-24T03:00:20.000Z,7,truck,,,0,0,true,false,0.83,,,,,',
      '',
    ].join('\r\n'),
  );
});

t.test('moving features have a MovingPoint for each track, rising times and the gaps', async (t) => {
  const onePlaceTwice = track(9, '2026-11-24T01:00:00.000Z', {
    path: [
      [0, 0.1, 0.2, 0.3, 1],
      [0.0001, 0.5, 0.5, 0.3, 1],
      [1.5, 0.4, 0.2, 0.3, 0],
      [1e12, 0.9, 0.2, 0.3, 0],
    ],
  });
  const collection = JSON.parse(mfJsonOf({ ...PARTS, tracks: [...PARTS.tracks, onePlaceTwice] })) as {
    features: { id: string; temporalGeometry: object; temporalProperties: object[]; properties: object }[];
  };
  t.match(collection, {
    type: 'FeatureCollection',
    description: /not geographic/,
    gaps: PARTS.coverage.gaps,
    more: 1,
  });
  t.notOk('crs' in collection, 'no reference system names the picture');
  t.equal(collection.features.length, 2, 'a track without a path has no geometry');
  const [, feature] = collection.features;
  t.strictSame(feature?.temporalGeometry, {
    type: 'MovingPoint',
    datetimes: ['2026-11-24T01:00:00.000Z', '2026-11-24T01:00:01.500Z'],
    coordinates: [
      [0.1, 0.2],
      [0.4, 0.2],
    ],
    interpolation: 'Linear',
  });
  t.match(feature, {
    id: 'alpha/2026-11-24T01:00:00.000Z/9',
    temporalProperties: [{ boxHeight: { values: [0.3, 0.3] }, seen: { values: ['yes', 'no'] } }],
    properties: { class: 'car', colours: ['white', 'grey'], track: 9 },
  });
});

t.test('a video link encodes the camera, and covers the track in whole seconds', async (t) => {
  const video = videoOf('x', {
    link: 'rtsps://vms.example:322/{camera}/replay?from={from}&to={to}&again={camera}',
    cameras: { alpha: 'a&b=c/../?#é' },
  });
  const [from, to] = ['2026-11-30T00:15:10.000Z', '2026-11-30T00:16:09.001Z'];
  t.strictSame(videoLink(video, 'alpha', from, to), {
    url: 'rtsps://vms.example:322/a%26b%3Dc%2F..%2F%3F%23%C3%A9/replay?from=2026-11-30T00%3A15%3A00Z&to=2026-11-30T00%3A16%3A20Z&again=a%26b%3Dc%2F..%2F%3F%23%C3%A9',
    camera: 'a&b=c/../?#é',
    range: 'Range: clock=20261130T001500Z-20261130T001620Z',
  });
  t.match(videoLink(video, 'constructor', from, to), {
    camera: 'constructor',
    url: /com?|\/constructor\/replay/,
  });
  t.match(videoLink(NO_VIDEO, 'alpha', from, to), { url: null, camera: 'alpha' });
  t.match(videoLink(videoOf('x', { cameras: { alpha: 'A' } }), 'alpha', from, to), {
    url: null,
    camera: 'A',
  });
});

t.test('a wrong setting of the video is reported in one line', async (t) => {
  const file = join(scratch(t), 'console.yaml');
  const read = (video: object): string => {
    const content = { database: 'room.db', demo: { accounts: [{ name: 'o', role: 'operator' }] }, video };
    writeFileSync(file, JSON.stringify(content));
    try {
      readSettings(file);
      return '';
    } catch (error) {
      return (error as Error).message;
    }
  };
  t.equal(read({ link: 'https://vms.example/play?camera={camera}', cameras: { alpha: 'A 1' } }), '');
  t.equal(read({}), '');
  const wrong: [object, RegExp][] = [
    [
      { link: 'https://vms.example/{date}' },
      /console\.yaml: video\.link: \{date\} is not known; known: \{camera\}, \{from\}, \{to\}$/,
    ],
    [{ link: 'https://vms.example/{camera' }, /video\.link: \{camera is not known/],
    [{ link: 'https://vms.example/camera}' }, /video\.link: \} is not known/],
    [{ link: 'https://{camera}.example/x' }, /video\.link: must be https:/],
    [{ link: 'https://vms.example' }, /video\.link: must be https:/],
    [{ link: 'https://me:secret@vms.example/' }, /video\.link: must be https:.*without a password/],
    [{ link: 'javascript:alert(1)//{camera}' }, /video\.link: must be https:/],
    [
      { link: `https://vms.example/${'{camera}'.repeat(100)}`, cameras: { alpha: 'é'.repeat(90) } },
      /for the box alpha it has \d+ characters, at most 2000/,
    ],
    [{ link: 17 }, /video\.link/],
    [{ cameras: { 'The Camera': 'x' } }, /video\.cameras/],
    [{ cameras: { alpha: '' } }, /video\.cameras\.alpha/],
    [{ lnik: 'x' }, /video\.lnik is not known here; known: link, cameras/],
  ];
  for (const [video, line] of wrong) {
    const message = read(video);
    t.match(message, line);
    t.notMatch(message, /\n|secret/);
  }
});
