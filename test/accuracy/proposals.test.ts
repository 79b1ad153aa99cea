/**
 * Tests the proposals made from verdicts: places of repeated false alarms, the remedy for each, and the reminder to the
 * room.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { Value } from '@sinclair/typebox/value';
import t from 'tap';
import { proposalsOf, type ReviewedAlert } from '../../agent/accuracy/proposals.ts';
import { AccuracyRecord } from '../../agent/accuracy/record.ts';
import { oftenFalse } from '../../agent/accuracy/reminder.ts';
import { RECORD_FILE } from '../../agent/accuracy/store.ts';
import type { XyxyNorm } from '../../agent/contract/geometry.ts';
import { EVENT_KINDS } from '../../agent/contract/kinds.ts';
import type { RuleConfig } from '../../agent/contract/rule-config.ts';
import { alert, KERB, LONG_STAY, verdictOf, WATCHING } from '../lib/accuracy.ts';
import { HandClock, SILENT } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';
import { VIGIE } from '../lib/program.ts';
import { rectangle } from '../lib/street.ts';

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
