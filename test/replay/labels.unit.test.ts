/** Tests the scoring of films against their labels, and that sheets of unredacted pictures leave the project alone. */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { UnnumberedEvent } from '../../agent/contract/event-sink.ts';
import { pictureFolder } from '../../scripts/programs/evaluate/contact-sheet.ts';
import { labelsIn } from '../../scripts/programs/evaluate/events.ts';
import {
  blindnessTold,
  forgive,
  type Label,
  type RuleScore,
  type Start,
  scoreConditions,
  scoreStarts,
  startsOf,
} from '../../scripts/programs/evaluate/labels.ts';
import { ROOT, scratch } from '../lib/paths.ts';

t.test('a contact sheet never lies in the project', async (t) => {
  t.throws(() => pictureFolder(join(ROOT, 'sheets')), { kind: 'config', message: /is inside the project/ });
  t.notOk(existsSync(join(ROOT, 'sheets')));
});

t.test('scoring counts windows, misses and false alerts', async (t) => {
  const rules = [
    { id: 'a', kind: 'loitering' },
    { id: 'b', kind: 'wrong-way' },
  ];
  const expected: { rule: string; startS: [number, number] }[] = [
    { rule: 'a', startS: [10, 20] },
    { rule: 'a', startS: [12, 14] },
    { rule: 'a', startS: [40, 50] },
  ];
  const label: Label = {
    name: 'x',
    clip: 'x',
    clipPath: 'x',
    config: { rules },
    expected,
    expectedAtLeast: [{ rule: 'b', count: 2 }],
  };
  const starts = [13, 19, 30].map((atS) => ({ rule: 'a', kind: 'loitering', atS }));
  const [a, b] = scoreStarts(label, [...starts, { rule: 'b', kind: 'wrong-way', atS: 1 }]);
  t.match(a, { truePositives: 2, falseNegatives: 1, falsePositives: 1 });
  t.same(
    a?.mistakes.map(({ line }) => line),
    ['x: a missed between 40 and 50 s', 'x: a false at 30.0 s'],
  );
  t.match(b, { truePositives: 1, falseNegatives: 1, falsePositives: 0 });
});

t.test('scoring forgives presence at the start, allowed conditions and reported blindness', async (t) => {
  const label: Label = {
    name: 'x',
    clip: 'x',
    clipPath: 'x',
    config: { rules: [{ id: 'a', kind: 'illegal-parking' }] },
    expected: [{ rule: 'a', startS: [10, 20] }],
    mayTell: ['too-dark'],
    orCannotSee: true,
  };
  const event = (kind: string, atS: number, id = 'built-in', phase = 'start'): UnnumberedEvent =>
    ({
      time: new Date(atS * 1000).toISOString(),
      data: { phase, rule: { id, kind, params: {} } },
    }) as unknown as UnnumberedEvent;
  const starts = startsOf([
    event('present-at-start', 3, 'a'),
    event('illegal-parking', 30, 'a'),
    event('too-dark', 40),
    event('too-dark', 50, 'built-in', 'end'),
    event('cannot-see', 61, 'built-in'),
  ]);
  const [score] = scoreStarts(label, starts) as [RuleScore];
  t.match(score, { truePositives: 0, falseNegatives: 1, falsePositives: 1 }, 'there before: not counted');
  t.match(
    scoreConditions(label, starts),
    [{ kind: 'cannot-see', falsePositives: 1, mistakes: [{ line: 'x: cannot-see false at 61.0 s' }] }],
    'only what the label does not allow is false',
  );
  const blind = blindnessTold(starts) as Start;
  t.match(blind, { kind: 'too-dark', atS: 40 });
  t.match(forgive(score, blind), {
    falseNegatives: 0,
    falsePositives: 1,
    mistakes: [{ line: 'x: a false at 30.0 s' }],
    forgiven: [{ line: 'x: a missed between 10 and 20 s; forgiven: too-dark reported at 40.0 s' }],
  });
  t.equal(blindnessTold(startsOf([event('cannot-see', 61)])), undefined, 'too late');
  t.equal(blindnessTold(startsOf([event('defocused', 5)])), undefined, 'another condition');
});

t.test('a folder of labels that cannot be read is one clear line', async (t) => {
  const dir = scratch(t);
  writeFileSync(join(dir, 'x.json'), '{');
  t.throws(() => labelsIn(dir), /x\.json: not a readable label/);
  writeFileSync(join(dir, 'x.json'), JSON.stringify({ clip: 'none.mp4', config: { rules: [] } }));
  t.throws(() => labelsIn(dir), /x\.json: clip none\.mp4 is in none of/);
});
