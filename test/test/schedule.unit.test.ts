/** Tests the schedule of test files: which run in parallel. */
import t from 'tap';
import { kindOf, Schedule, type TestFile } from '../../scripts/programs/test/schedule.ts';

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
