/** Unit tests of a camera's condition, as a function of its box's last report and of time. */
import fc from 'fast-check';
import t from 'tap';
import { CONDITION_KINDS, isBlinding } from '../../agent/contract/condition.ts';
import {
  type CameraRow,
  changedConditions,
  conditionOf,
  coveredS,
  type Interval,
} from '../../scripts/programs/room/console/cameras.ts';
import type { Camera } from '../../scripts/programs/room/contract/camera.ts';
import { type Condition, SILENT_S } from '../../scripts/programs/room/contract/terms.ts';
import { dayHourOf } from '../../scripts/programs/room/database/day-hour.ts';

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
