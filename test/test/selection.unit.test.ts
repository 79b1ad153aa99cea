/** Tests which test files a run, a name or a change selects, and what is counted of a file. */
import { existsSync } from 'node:fs';
import t from 'tap';
import { projectTexts, reachedBy, reachingTests } from '../../scripts/programs/test/changes.ts';
import { filesNamed, isOfRun, nameOf, type Run } from '../../scripts/programs/test/selection.ts';
import { type FileResult, Tally } from '../../scripts/programs/test/tally.ts';
import { ROOT } from '../lib/paths.ts';

const FILES = [
  'test/room/failover.all.test.ts',
  'test/room/views.test.ts',
  'test/rules/rules.unit.test.ts',
  'test/test/schedule.unit.test.ts',
];

t.test('a file belongs to a run by its name', (t) => {
  const of = (run: Run): string[] => FILES.filter((file) => isOfRun(file, run)).map(nameOf);
  t.strictSame(of('quick'), ['rules/rules', 'test/schedule']);
  t.strictSame(of('default'), ['room/views', 'rules/rules', 'test/schedule']);
  t.strictSame(of('all'), ['room/failover', 'room/views', 'rules/rules', 'test/schedule']);
  t.strictSame(of('full'), of('all'));
  t.end();
});

t.test('a file is found by its name, its path or its folder', (t) => {
  for (const [name, indices] of [
    ['room/failover', [0]],
    ['test/room/failover.all.test.ts', [0]],
    ['./test/room/views.test.ts', [1]],
    ['room', [0, 1]],
    ['test/room/', [0, 1]],
    ['test/schedule', [3]],
    ['room/fail', []],
    ['failover', []],
  ] as const) {
    const expected = indices.map((index) => FILES[index]);
    t.strictSame(filesNamed(name, FILES), expected, name);
  }
  t.end();
});

t.test('a file reaches what it imports, starts or reads', (t) => {
  const files = new Set([
    'agent/cli/main.ts',
    'agent/base/clock.ts',
    'scripts/programs/fleet/main.ts',
    'scripts/programs/room/archive/main.ts',
    'scripts/programs/room/console/main.ts',
    'systemd/vigie.service',
    'scripts/lib/steps.sh',
  ]);
  for (const [text, reached] of [
    [`import { Clock } from '../../agent/base/clock.ts';`, ['agent/base/clock.ts']],
    [`new URL('../../agent/cli/main.js', import.meta.url)`, ['agent/cli/main.ts']],
    [`join(ROOT, 'dist/agent/cli/main.js')`, ['agent/cli/main.ts']],
    [`bundled('scripts/programs/fleet')`, ['scripts/programs/fleet/main.ts']],
    [`join(ROOT, 'systemd', name)`, ['systemd/vigie.service']],
    [
      '// @starts scripts/programs/room/',
      ['scripts/programs/room/archive/main.ts', 'scripts/programs/room/console/main.ts'],
    ],
    [`t.test('the agent runs')`, []],
  ] as const)
    t.strictSame(reachedBy('test/lib/program.ts', text, files), reached, text);
  t.strictSame(reachedBy('scripts/demo', 'source "$root/scripts/lib/steps.sh"', files), [
    'scripts/lib/steps.sh',
  ]);
  t.end();
});

t.test('a change in this project reaches the tests that run the changed file', (t) => {
  const texts = projectTexts(ROOT);
  const tests = (...changed: string[]): string[] => [...reachingTests(changed, texts)].map(nameOf);
  for (const [source, test] of [
    ['agent/rules/loitering.ts', 'rules/rules'],
    ['agent/vision/track/tracker.ts', 'agent/agent'],
    ['scripts/programs/room/archive/main.ts', 'room/archive'],
    ['scripts/programs/root/main.ts', 'root/provision'],
    ['systemd/vigie-vision.service', 'systemd/units'],
    ['docs/guide/legal.md', 'docs/documents'],
    ['scripts/fleet', 'scripts/wrappers'],
    ['agent/base/clock.ts', 'package/package'],
  ] as const) {
    t.ok(existsSync(source), `${source} exists (control)`);
    t.ok(tests(source).includes(test), `${source} reaches ${test}`);
  }
  const all = [...texts.keys()].filter((file) => file.endsWith('.test.ts')).length;
  t.equal(tests('package-lock.json').length, all, 'installed packages reach all');
  t.ok(tests('agent/base/errors.ts').length > all / 2, 'what all use reaches most');
  t.notOk(tests('scripts/programs/room/app/words/fr.ts').includes('rules/rules'), 'words of a screen do not');
  t.strictSame(tests('LICENSE'), []);
  t.end();
});

t.test('the CPU time that a file tells at its end is its own', (t) => {
  const files: FileResult[] = [];
  const tally = new Tally({ onFile: (file) => files.push(file) });
  tally.write('TAP version 14\n1..2\n');
  for (const [index, name, end] of [
    [1, 'a', '    # cpu 1.25 s\n'],
    [2, 'b', ''],
  ] as const)
    tally.write(
      `# Subtest: ${name}\n    ok 1 - it\n    1..1\n${end}ok ${index} - ${name} # time=5.000ms\n\n`,
    );
  tally.end();
  t.match(files, [
    { name: 'a', passed: 1, cpuS: 1.25 },
    { name: 'b', passed: 1, cpuS: undefined },
  ]);
  t.end();
});
