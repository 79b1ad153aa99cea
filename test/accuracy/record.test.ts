/** Tests measured accuracy without a broker: the interval, verdict checks, the record, and the proposals made from it. */

import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Value } from '@sinclair/typebox/value';
import Database from 'better-sqlite3';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { proposalsOf, type ReviewedAlert } from '../../agent/accuracy/proposals.ts';
import { AccuracyRecord } from '../../agent/accuracy/record.ts';
import { oftenFalse } from '../../agent/accuracy/reminder.ts';
import { RECORD_FILE, RecordStore, type Watching } from '../../agent/accuracy/store.ts';
import { parseVerdict } from '../../agent/accuracy/verdict-message.ts';
import type { AgentError } from '../../agent/base/errors.ts';
import type { Logger } from '../../agent/base/log.ts';
import { wilson } from '../../agent/base/wilson.ts';
import { bar } from '../../agent/cli/accuracy.ts';
import { AccuracyReport, type RuleAccuracy } from '../../agent/contract/accuracy.ts';
import type { XyxyNorm } from '../../agent/contract/geometry.ts';
import { EVENT_KINDS } from '../../agent/contract/kinds.ts';
import type { RuleConfig } from '../../agent/contract/rule-config.ts';
import type { Verdict } from '../../agent/contract/verdict.ts';
import { alert, KERB, LONG_STAY, verdictOf, WATCHING } from '../lib/accuracy.ts';
import { HandClock, SILENT } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';
import { VIGIE } from '../lib/program.ts';
import { rectangle } from '../lib/street.ts';

const DAY_MS = 86_400_000;
const hitsOfTries = fc
  .integer({ min: 1, max: 2000 })
  .chain((tries) => fc.tuple(fc.integer({ min: 0, max: tries }), fc.constant(tries)));

void t.test('Wilson’s interval has the known values', async (t) => {
  // The roots of the defining equation, computed by bisection instead of the closed form.
  const knownIntervals: [number, number, number, number][] = [
    [10, 10, 0.7224672, 1],
    [0, 10, 0, 0.2775328],
    [8, 10, 0.4901625, 0.9433178],
    [1, 2, 0.0945312, 0.9054688],
    [95, 100, 0.8882505, 0.9784558],
  ];
  for (const [hits, tries, low, high] of knownIntervals) {
    const interval = wilson(hits, tries);
    t.ok(Math.abs(interval.low - low) < 1e-6 && Math.abs(interval.high - high) < 1e-6, `${hits} of ${tries}`);
  }
  for (const [hits, tries] of [
    [1, 0],
    [-1, 5],
    [6, 5],
    [0.5, 5],
    [Number.NaN, 5],
  ] as const) {
    t.throws(() => wilson(hits, tries), { message: /^not a ratio: / });
  }
});

void t.test(
  'a verdict is accepted in its form and otherwise refused without quoting the message',
  async (t) => {
    const good = { episode: 'a1b2c3d4-e7', verdict: 'confirmed', time: '2026-11-24T14:00:00.000Z' };
    const parse = (value: unknown): Verdict => parseVerdict(Buffer.from(JSON.stringify(value)));
    t.same(parse(good), good);
    t.same(parse({ ...good, episode: undefined, event: 'a1b2c3d4-9' }), {
      event: 'a1b2c3d4-9',
      verdict: 'confirmed',
      time: good.time,
    });
    const bad: [string, unknown][] = [
      ['a remark', { ...good, note: 'Mr Smith’s car' }],
      ['who judged', { ...good, operator: 'Smith' }],
      ['both ids', { ...good, event: 'a1b2c3d4-9' }],
      ['no id', { verdict: 'confirmed', time: good.time }],
      ['a boolean', { ...good, verdict: true }],
      ['another verdict', { ...good, verdict: 'maybe' }],
      ['an id with a slash', { ...good, episode: '../x' }],
      ['a long id', { ...good, episode: 'x'.repeat(65) }],
      ['no time', { ...good, time: undefined }],
      ['the 25th hour', { ...good, time: '2026-11-24T25:00:00.000Z' }],
      ['a list', [good]],
      ['null', null],
      ['too long', { ...good, episode: 'x'.repeat(600) }],
    ];
    for (const [name, value] of bad) t.throws(() => parse(value), { message: /^verdict refused: / }, name);
    for (const text of ['', '{', '\u0000', '{"episode":"Smith"', 'Smith saw it']) {
      try {
        parseVerdict(Buffer.from(text));
        t.fail(`taken: ${text}`);
      } catch (error) {
        t.match(error, { kind: 'corrupt', message: /^verdict refused: / });
        t.notMatch(String(error), 'Smith', 'the message is not quoted');
        t.equal((error as AgentError).cause, undefined);
      }
    }
  },
);

function openRecord(
  t: Test,
  file: string,
  options: { clock?: HandClock; log?: Logger; episodes?: number; watching?: Watching } = {},
): { record: AccuracyRecord; clock: HandClock; rule(id?: string): RuleAccuracy } {
  const { clock = new HandClock(), log = SILENT, episodes, watching = WATCHING } = options;
  const limits = episodes === undefined ? {} : { limits: { episodes } };
  const record = new AccuracyRecord({ file, watching, clock, log, ...limits });
  record.start();
  t.teardown(() => record.stop());
  const rule = (id = 'long-stay'): RuleAccuracy => {
    const ruleReport = record.report()?.rules.find((line) => line.rule === id);
    if (ruleReport === undefined) throw new Error(`no rule ${id} in the report`);
    return ruleReport;
  };
  return { record, clock, rule };
}

void t.test('alerts and verdicts make precision, over a restart', async (t) => {
  const file = join(scratch(t), RECORD_FILE);
  const { record, clock, rule } = openRecord(t, file);
  t.match(rule(), { alerts: 0, precision: null, low: null, high: null, walk: null });
  for (let i = 1; i <= 10; i += 1) record.note(alert(`b-e${i}`, 'start', { id: `b-${i}` }));
  record.note(alert('b-e1', 'update', { id: 'b-11' }));
  record.note(alert('b-e1', 'end', { id: 'b-12' }));
  record.note(alert('b-e99', 'start', { id: 'b-99', severity: 'system', rule: 'built-in' }));
  record.note(alert('b-e98', 'start', { id: 'b-98', rule: 'kerb' }));
  for (let i = 1; i <= 7; i += 1) record.verdict(verdictOf({ episode: `b-e${i}` }, 'confirmed', clock));
  record.verdict(verdictOf({ event: 'b-8' }, 'false-alarm', clock));
  record.verdict(verdictOf({ episode: 'b-e9' }, 'unclear', clock));
  record.verdict(verdictOf({ episode: 'c-e1' }, 'confirmed', clock));
  record.verdict(verdictOf({ event: 'b-99' }, 'confirmed', clock));
  record.verdict(verdictOf({ event: 'b-12' }, 'confirmed', clock));
  const { low, high } = wilson(7, 8);
  const expected = { alerts: 10, confirmed: 7, falseAlarms: 1, unclear: 1, precision: 0.875 };
  t.match(rule(), expected);
  t.ok(Math.abs((rule().low ?? 0) - low) <= 0.0005 && Math.abs((rule().high ?? 0) - high) <= 0.0005);
  t.match(rule('kerb'), { alerts: 1, confirmed: 0, precision: null });
  const report = record.report();
  t.same([...Value.Errors(AccuracyReport, report)], [], 'fits its schema');
  t.same(report?.verdicts, { taken: 9, repeated: 0, unknown: 3, malformed: 0 });

  record.stop();
  record.stop();
  t.equal(record.report(), null, 'nothing after the stop');
  const restarted = openRecord(t, file, { clock });
  t.match(restarted.rule(), expected, 'the same after a restart');
  restarted.record.verdict(verdictOf({ episode: 'b-e10' }, 'confirmed', clock));
  t.equal(restarted.rule().confirmed, 8, 'and alerts of an earlier life can be judged');
});

void t.test('the later verdict counts, in any order of arrival', async (t) => {
  const { record, clock, rule } = openRecord(t, join(scratch(t), RECORD_FILE));
  record.note(alert('b-e1', 'start', { id: 'b-1' }));
  const at = (minute: number): string => new Date(clock.epochMs - 3_600_000 + minute * 60_000).toISOString();
  const say = (verdict: string, minute: number): void => {
    record.verdict(Buffer.from(JSON.stringify({ episode: 'b-e1', verdict, time: at(minute) })));
  };
  say('confirmed', 10);
  say('confirmed', 10);
  say('false-alarm', 12);
  say('confirmed', 10);
  say('unclear', 11);
  t.match(rule(), { confirmed: 0, falseAlarms: 1, unclear: 0 });
  t.match(record.report()?.verdicts, { taken: 2, repeated: 3 });
  say('unclear', 12);
  t.match(rule(), { falseAlarms: 0, unclear: 1, precision: null }, 'at the same time: the last to arrive');
  clock.advance(60_000);
  record.verdict(
    Buffer.from(JSON.stringify({ event: 'b-1', verdict: 'confirmed', time: '2999-01-01T00:00:00.000Z' })),
  );
  t.match(rule(), { confirmed: 1 }, 'from a clock that is ahead');
  clock.advance(60_000);
  record.verdict(verdictOf({ event: 'b-1' }, 'false-alarm', clock));
  t.match(rule(), { confirmed: 0, falseAlarms: 1 }, 'a later verdict still replaces it');
});

void t.test('malformed verdicts are counted, and logged once without their content', async (t) => {
  const lines: string[] = [];
  const keep = (fields: object, message: string): void => {
    lines.push(`${message} ${JSON.stringify(fields)}`);
  };
  const log: Logger = { error: keep, warn: keep, info: keep, debug: keep };
  const { record } = openRecord(t, join(scratch(t), RECORD_FILE), { log });
  for (const text of ['', 'Smith', '{"operator":"Smith"}', '[]']) record.verdict(Buffer.from(text));
  t.equal(record.report()?.verdicts.malformed, 4);
  t.equal(lines.length, 1);
  t.notMatch(lines[0], 'Smith');
});

void t.test(
  'the record keeps alerts for 30 days and within its limits, and counts the removed ones',
  async (t) => {
    const file = join(scratch(t), RECORD_FILE);
    const { record, clock, rule } = openRecord(t, file, { episodes: 100 });
    const raise = (name: string, rule: string): void => {
      const time = new Date(clock.epochMs).toISOString();
      record.note(alert(name, 'start', { id: `id-${name}`, rule, time }));
    };
    for (let i = 0; i < 10; i += 1) raise(`rare-e${i}`, 'kerb');
    for (let i = 0; i < 300; i += 1) raise(`often-e${i}`, 'long-stay');
    t.equal(rule('kerb').alerts, 10, 'a busy rule does not displace another');
    const storedAlerts = rule('long-stay').alerts;
    t.ok(storedAlerts > 0 && storedAlerts <= 90, `${storedAlerts} kept`);
    t.equal(record.report()?.dropped, 300 - storedAlerts, 'and what went is counted');
    record.verdict(verdictOf({ episode: 'often-e299' }, 'confirmed', clock));
    record.verdict(verdictOf({ episode: 'often-e0' }, 'confirmed', clock));
    t.match(record.report()?.verdicts, { taken: 1, unknown: 1 });

    clock.advance(29 * DAY_MS);
    raise('late-e1', 'kerb');
    t.equal(rule('kerb').alerts, 11);
    clock.advance(2 * DAY_MS);
    t.equal(rule('kerb').alerts, 1, 'the others’ 30 days are over');
    t.match(record.report(), { expired: 10 + storedAlerts, dropped: 300 - storedAlerts });
    record.stop();
    t.match(
      openRecord(t, file, { clock }).record.report(),
      { expired: 10 + storedAlerts },
      'counted over a restart',
    );
  },
);

void t.test('a record that cannot be written costs no alert', async (t) => {
  const dir = scratch(t);
  const blocked = join(dir, 'blocked');
  writeFileSync(blocked, 'a file where a folder should be');
  const { record, clock } = openRecord(t, join(blocked, RECORD_FILE));
  record.note(alert('b-e1', 'start', { id: 'b-1' }));
  record.sees(true);
  record.verdict(verdictOf({ episode: 'b-e1' }, 'confirmed', clock));
  t.equal(record.report(), null);
  record.stop();

  const file = join(dir, RECORD_FILE);
  const busy = openRecord(t, file);
  const other = new Database(file);
  other.exec('BEGIN IMMEDIATE');
  busy.record.note(alert('b-e1', 'start', { id: 'b-1' }));
  other.exec('ROLLBACK');
  other.close();
  busy.record.note(alert('b-e2', 'start', { id: 'b-2' }));
  t.equal(busy.record.report()?.unrecorded, 1);
  t.equal(busy.rule().alerts, 1);
});

void t.test('a damaged record is moved aside', async (t) => {
  const dir = scratch(t);
  const file = join(dir, RECORD_FILE);
  const first = openRecord(t, file);
  for (let i = 0; i < 500; i += 1) first.record.note(alert(`b-e${i}`, 'start', { id: `b-${i}` }));
  first.record.stop();
  const bytes = readFileSync(file);
  bytes.fill(0x55, 4096, 16_384);
  writeFileSync(file, bytes);
  const { record, rule, clock } = openRecord(t, file);
  record.note(alert('c-e1', 'start', { id: 'c-1' }));
  t.equal(rule().alerts, 1, 'a new one has begun');
  t.same(readFileSync(`${file}.damaged`), bytes);
  clock.epochMs = Date.now() + 29 * DAY_MS;
  clock.monoMs += DAY_MS;
  record.report();
  t.ok(existsSync(`${file}.damaged`));
  clock.advance(2 * DAY_MS);
  record.report();
  t.notOk(existsSync(`${file}.damaged`), 'gone with its retention');
});

void t.test('a record of a newer program is left alone', async (t) => {
  const file = join(scratch(t), RECORD_FILE);
  RecordStore.make(file).close();
  const db = new Database(file);
  db.pragma('user_version = 9');
  db.close();
  t.throws(() => RecordStore.open(file), { message: /version 9, this program knows 4/ });
  t.equal(openRecord(t, file).record.report(), null);
});

void t.test('the bar of an interval shows its ratio and both ends', async (t) => {
  t.equal(bar(undefined), '·'.repeat(31));
  t.equal(bar({ ratio: 0.5, low: 0, high: 1 }), `├${'─'.repeat(14)}●${'─'.repeat(14)}┤`);
  t.equal(bar({ ratio: 1, low: 0.9, high: 1 }), `${'·'.repeat(27)}├──●`);
  fc.assert(
    fc.property(hitsOfTries, ([hits, tries]) => {
      const picture = bar({ ratio: hits / tries, ...wilson(hits, tries) });
      return picture.length === 31 && /^·*├?─*●─*┤?·*$/.test(picture);
    }),
  );
});

const SPOT: XyxyNorm = [0.4, 0.5, 0.5, 0.6];
const DUMPING: RuleConfig = {
  id: 'dump',
  kind: 'illegal-dumping',
  zone: 'forecourt',
  purpose: 'cleanliness',
  afterS: 30,
  minAreaNorm: 0.0005,
};

function reviewedAlert(
  right: boolean,
  measure?: number,
  xyxyNorm: XyxyNorm | undefined = SPOT,
): ReviewedAlert {
  return { right, xyxyNorm, measure };
}

/** The spot, moved by a number of its widths, as a later inference reports it. */
function shiftedSpot(widths: number): XyxyNorm {
  return [SPOT[0] + 0.1 * widths, SPOT[1], SPOT[2] + 0.1 * widths, SPOT[3]];
}

t.test('a proposal needs three false alarms in one spot, not two and not three spots', async (t) => {
  const wrong = [reviewedAlert(false, 0.4), reviewedAlert(false, 0.4, shiftedSpot(0.2))];
  t.same(proposalsOf(KERB, wrong), []);
  t.same(proposalsOf(KERB, [...wrong, reviewedAlert(false, 0.4, shiftedSpot(2))]), [], 'elsewhere');
  t.same(proposalsOf(KERB, [...wrong, { ...reviewedAlert(false), xyxyNorm: undefined }]), [], 'nowhere');
  const [proposal, ...rest] = proposalsOf(KERB, [...wrong, reviewedAlert(false, 0.4, shiftedSpot(-0.2))]);
  t.same(rest, []);
  t.match(proposal, { rule: 'kerb', falseAlarms: 3, confirmed: 0, remedy: { kind: 'mask' } });
  const box = proposal?.xyxyNorm ?? [];
  for (const [i, side] of [0.38, 0.5, 0.52, 0.6].entries()) {
    t.ok(Math.abs((box[i] ?? 0) - side) < 1e-9, 'the spot holds all three');
  }
});

t.test(
  'a threshold is proposed between false and true scores where it would spare all true alerts',
  async (t) => {
    const wrong = [0.36, 0.41, 0.39].map((score) => reviewedAlert(false, score));
    const right = [0.7, 0.8, 0.65].map((score) => reviewedAlert(true, score, shiftedSpot(3)));
    t.match(proposalsOf(KERB, [...wrong, ...right]), [
      { remedy: { kind: 'threshold', parameter: 'scoreMin', value: 0.52 } },
    ]);
    t.match(
      proposalsOf(KERB, [...wrong, ...right.slice(1)]),
      [{ remedy: { kind: 'mask' } }],
      'two tell too little',
    );
    const weak = reviewedAlert(true, 0.4, shiftedSpot(3));
    t.match(
      proposalsOf(KERB, [...wrong, ...right, weak]),
      [{ remedy: { kind: 'mask' } }],
      'it would cost a true one',
    );
    const areas = [
      ...[0.001, 0.0012, 0.0009].map((area) => reviewedAlert(false, area)),
      ...[0.004, 0.006, 0.005].map((area) => reviewedAlert(true, area)),
    ];
    t.match(proposalsOf(DUMPING, areas), [
      { confirmed: 3, remedy: { kind: 'threshold', parameter: 'minAreaNorm', value: 0.0022 } },
    ]);
  },
);

t.test('no mask is proposed where a true alert was, nor over half of the street', async (t) => {
  const wrong = [1, 2, 3].map(() => reviewedAlert(false));
  t.match(proposalsOf(LONG_STAY, [...wrong, reviewedAlert(true)]), [
    { confirmed: 1, remedy: { kind: 'redraw' } },
  ]);
  const wide: XyxyNorm = [0.1, 0.1, 0.9, 0.9];
  t.match(
    proposalsOf(
      LONG_STAY,
      [1, 2, 3].map(() => reviewedAlert(false, undefined, wide)),
    ),
    [{ remedy: { kind: 'redraw' } }],
  );
  const edge: XyxyNorm = [0, 0.9, 0.1, 1];
  const [proposal] = proposalsOf(
    LONG_STAY,
    [1, 2, 3].map(() => reviewedAlert(false, undefined, edge)),
  );
  t.same(proposal?.remedy, {
    kind: 'mask',
    polygon: rectangle(0, 0.89, 0.11, 1),
  });
});

t.test(
  'the accuracy command and the reminder propose a remedy for a running box, also after a restart',
  async (t) => {
    const dir = scratch(t);
    const file = join(dir, RECORD_FILE);
    const clock = new HandClock();
    let record = new AccuracyRecord({ file, watching: WATCHING, clock, log: SILENT });
    record.start();
    const reminder = () =>
      oftenFalse(WATCHING.rules, record.proposals()).find(({ id }) => id === 'long-stay');
    for (const n of [1, 2, 3]) {
      t.match(reminder(), { active: false }, `${n - 1} false`);
      const event = alert(`b-e${n}`, 'start', { id: `b-${n}` });
      const object = { track: n, label: 'person' as const, score: 0.4, xyxyNorm: SPOT, since: event.time };
      record.note({ ...event, data: { ...event.data, objects: [object] } });
      record.verdict(verdictOf({ episode: `b-e${n}` }, 'false-alarm', clock));
    }
    const reminderEvent = reminder();
    t.match(reminderEvent, {
      active: true,
      params: { remedy: { kind: 'mask' } },
      cause: { falseAlarms: 3, confirmed: 0, xyxyNorm: SPOT },
    });
    const kind = EVENT_KINDS.find((one) => one.kind === 'high-false-alarm-rate');
    t.ok(
      kind !== undefined &&
        Value.Check(kind.params, reminderEvent?.params) &&
        Value.Check(kind.cause, { ...reminderEvent?.cause, durationS: 0 }),
    );
    record.stop();

    record = new AccuracyRecord({ file, watching: WATCHING, clock, log: SILENT });
    record.start();
    t.match(reminder(), { active: true }, 'a restart forgets nothing');
    record.note(alert('b-e4', 'start', { id: 'b-4' }));
    record.verdict(verdictOf({ episode: 'b-e4' }, 'false-alarm', clock));
    t.match(reminder(), { active: true, cause: { falseAlarms: 3 } }, 'an alert of no place teaches nothing');
    const { status, stdout, stderr } = spawnSync(process.execPath, [VIGIE, 'accuracy', '--state', dir], {
      encoding: 'utf8',
    });
    t.equal(status, 0, stderr);
    t.match(
      stdout,
      /long-stay had 3 false alarms at \[0\.40 0\.50 0\.50 0\.60\], and 0 confirmed alerts there\./,
    );
    t.match(stdout, /masks: \[\{id: long-stay-false, polygon: \[\[0\.39,0\.49\],/);

    clock.advance(1000);
    record.verdict(verdictOf({ episode: 'b-e2' }, 'confirmed', clock));
    t.match(reminder(), { active: false }, 'a revoked verdict removes the proposal');
    record.stop();
  },
);
