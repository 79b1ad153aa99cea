/** Tests the runner of tests: which files a run selects, which run in parallel, and what is counted. */
import { existsSync } from 'node:fs';
import t from 'tap';
import { projectTexts, reachedBy, reachingTests } from '../../scripts/workshop/test/changes.ts';
import { kindOf, Schedule, type TestFile } from '../../scripts/workshop/test/schedule.ts';
import { filesNamed, isOfRun, nameOf, type Run } from '../../scripts/workshop/test/selection.ts';
import { type FileResult, Tally } from '../../scripts/workshop/test/tally.ts';
import { ROOT } from '../lib/paths.ts';

const FILES = [
  'test/room/failover.all.test.ts',
  'test/room/views.test.ts',
  'test/rules/rules.unit.test.ts',
  'test/test/runner.unit.test.ts',
];

t.test('a file belongs to a run by its name', (t) => {
  const of = (run: Run): string[] => FILES.filter((file) => isOfRun(file, run)).map(nameOf);
  t.strictSame(of('quick'), ['rules/rules', 'test/runner']);
  t.strictSame(of('default'), ['room/views', 'rules/rules', 'test/runner']);
  t.strictSame(of('all'), ['room/failover', 'room/views', 'rules/rules', 'test/runner']);
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
    ['test/runner', [3]],
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
    'scripts/products/fleet/main.ts',
    'scripts/products/room/archive/main.ts',
    'scripts/products/room/console/main.ts',
    'systemd/vigie.service',
    'scripts/lib/steps.sh',
  ]);
  for (const [text, reached] of [
    [`import { Clock } from '../../agent/base/clock.ts';`, ['agent/base/clock.ts']],
    [`new URL('../../agent/cli/main.js', import.meta.url)`, ['agent/cli/main.ts']],
    [`join(ROOT, 'dist/agent/cli/main.js')`, ['agent/cli/main.ts']],
    [`bundled('scripts/products/fleet')`, ['scripts/products/fleet/main.ts']],
    [`join(ROOT, 'systemd', name)`, ['systemd/vigie.service']],
    [
      '// @starts scripts/products/room/',
      ['scripts/products/room/archive/main.ts', 'scripts/products/room/console/main.ts'],
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
    ['scripts/products/room/archive/main.ts', 'room/archive'],
    ['scripts/products/root/main.ts', 'root/provision'],
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
  t.notOk(tests('scripts/products/room/app/words/fr.ts').includes('rules/rules'), 'words of a screen do not');
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

const plain = (name: string): TestFile => ({ name, boots: false, timed: false });
const boots = (name: string): TestFile => ({ name, boots: true, timed: false });
const timed = (name: string): TestFile => ({ name, boots: false, timed: true });

/** Names of all files that may start now. */
function startedNames(schedule: Schedule, running: TestFile[] = []): string[] {
  const names: string[] = [];
  for (let file = schedule.next(); file !== undefined; file = schedule.next()) {
    running.push(file);
    names.push(file.name);
  }
  return names;
}

t.test('files start in order, as many as there are places', async (t) => {
  const schedule = new Schedule(['a', 'b', 'c', 'd'].map(plain), 3);
  const running: TestFile[] = [];
  t.strictSame(startedNames(schedule, running), ['a', 'b', 'c']);
  schedule.finish(running[1] as TestFile);
  t.strictSame(startedNames(schedule), ['d']);
});

t.test('two files that boot machines run at once, and others beside them', async (t) => {
  const schedule = new Schedule([boots('a'), boots('b'), boots('c'), plain('d'), plain('e')], 4);
  const running: TestFile[] = [];
  t.strictSame(startedNames(schedule, running), ['a', 'b', 'd', 'e']);
  schedule.finish(running[2] as TestFile);
  t.strictSame(startedNames(schedule), []);
  schedule.finish(running[0] as TestFile);
  t.strictSame(startedNames(schedule), ['c']);
});

t.test('only one timed file runs at a time, with a place left free', async (t) => {
  const schedule = new Schedule([timed('a'), timed('b'), plain('c'), plain('d'), plain('e')], 4);
  const running: TestFile[] = [];
  t.strictSame(startedNames(schedule, running), ['a', 'c', 'd']);
  schedule.finish(running[1] as TestFile);
  t.strictSame(startedNames(schedule, running), ['e']);
  schedule.finish(running[0] as TestFile);
  t.strictSame(startedNames(schedule), ['b']);
});

t.test('a waiting timed file keeps its places', async (t) => {
  const schedule = new Schedule([plain('a'), plain('b'), timed('c'), plain('d')], 2);
  const running: TestFile[] = [];
  t.strictSame(startedNames(schedule, running), ['a', 'b']);
  schedule.finish(running[0] as TestFile);
  t.strictSame(startedNames(schedule), []);
  schedule.finish(running[1] as TestFile);
  t.strictSame(startedNames(schedule), ['c']);
});

t.test('the kind of a file is read from its imports', async (t) => {
  t.match(kindOf('a', "import { Container } from '../lib/nspawn.js';"), { boots: true, timed: false });
  t.match(kindOf('a', "import { slowness } from '../lib/slowness.js';"), { boots: false, timed: true });
  t.match(kindOf('dist/test/fault/delivery.all.test.js', ''), { timed: true });
  t.match(kindOf('a', "import t from 'tap';"), { boots: false, timed: false });
});

function tallyOf(tap: string): { counts: string; failures: string[]; skips: string[] } {
  const tally = new Tally();
  // In small pieces, as a pipe may deliver it.
  for (const piece of tap.match(/.{1,61}/gs) ?? []) tally.write(piece);
  tally.end();
  const { passed, failed, skipped, failures, skips } = tally;
  return { counts: `${passed}/${failed}/${skipped}`, failures: failures.map(({ name }) => name), skips };
}

const file = (name: string, inside: string, closing: string): string =>
  `# Subtest: ${name}\n${inside.replace(/^(?=.)/gm, '    ')}${closing}\n`;

t.test('assertions are counted once, at any depth', async (t) => {
  const deep = file('deep', 'ok 1 - x\n1..1\n', 'ok 2 - deep # time=1ms');
  const a = file('a', `ok 1 - one\n${deep}1..2\n`, 'ok 1 - a # time=2ms');
  const tapText = `TAP version 14\n1..1\n${file('f.js', `${a}1..1\n`, 'ok 1 - f.js # time=3ms')}`;
  t.strictSame(tallyOf(tapText), { counts: '2/0/0', failures: [], skips: [] });
});

t.test('a file that failed, crashed, hung or ran no test is a failure', async (t) => {
  const failing = file('f.js', 'ok 1 - fine\nnot ok 2 - wrong\n1..2\n', 'not ok 1 - f.js # time=3ms');
  const crashed = file(
    'c.js',
    'ok 1 - before\n',
    'not ok 2 - c.js # time=3ms\n  ---\n  signal: SIGSEGV\n  ...',
  );
  const empty = file('e.js', '1..0 # no tests found\n', 'ok 3 - e.js # SKIP no tests found');
  const exited = file(
    'x.js',
    '1..0 # no tests found\n',
    'not ok 4 - x.js # time=3ms\n  ---\n  exitCode: 3\n  ...',
  );
  const hung = file('h.js', 'not ok 1 - timeout!\n1..1\n', 'not ok 5 - h.js # time=5000ms');
  const timeout = 'not ok 6 - timeout!\n  ---\n  expired: h.js\n  ...\n';
  const result = tallyOf(`TAP version 14\n1..6\n${failing}${crashed}${empty}${exited}${hung}${timeout}`);
  t.strictSame(result, {
    counts: '2/5/0',
    failures: ['f.js > wrong', 'c.js', 'e.js: ran no test', 'x.js', 'h.js > timeout!'],
    skips: [],
  });
});

t.test('skips are counted and named', async (t) => {
  const skipLines = 'ok 1 - camera # SKIP no camera\nok 2 - fine\nok 3 - later # TODO\n1..3\n';
  const inFile = file('s.js', skipLines, 'ok 1 - s.js # time=1ms');
  const skippedFile = file('w.js', '1..0 # no data\n', 'ok 2 - w.js # SKIP no data');
  t.strictSame(tallyOf(`TAP version 14\n1..2\n${inFile}${skippedFile}`), {
    counts: '1/0/3',
    failures: [],
    skips: ['s.js > camera: no camera', 's.js > later', 'w.js: no data'],
  });
});

t.test('a stream that is cut off does not pass', async (t) => {
  t.match(tallyOf('TAP version 14\n1..3\nok 1 - one\n').counts, /^1\/1\//, 'plan not met');
  t.match(tallyOf('TAP version 14\nok 1 - one\nBail out! no more\n').counts, /^1\/1\//, 'bail out');
});
