/**
 * Tests the roll-back of a box: it needs no settings, history or second writable disk, and never leaves the box without
 * an agent.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { SmallDisk } from '../lib/small-disk.ts';
import { UpdatingBox } from '../lib/updating-box.ts';

const NO_MOUNT = SmallDisk.unavailable();

/** Makes a box on probation with a release that crashes. */
async function makeCrashing(t: Test): Promise<UpdatingBox> {
  const box = await UpdatingBox.make(t, { withinS: 3 });
  box.order();
  await box.run('run');
  t.equal(box.record.phase, 'probation');
  t.equal(box.current, '2-0.2.0');
  box.breakAgent();
  return box;
}

function isUp(box: UpdatingBox): boolean {
  return existsSync(join(box.dir, 'bin/up-vigie.service'));
}

/** Replaces a file by a folder. */
function replaceByFolder(file: string, folder: string): void {
  rmSync(file);
  mkdirSync(folder, { recursive: true });
}

function mount(...words: string[]): void {
  const { status, stderr } = spawnSync('mount', words, { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
}

/** Makes a folder read-only until the test ends that. */
function readOnly(t: Test, dir: string): () => void {
  mount('--bind', dir, dir);
  mount('-o', 'remount,ro,bind', dir);
  let isOver = false;
  const unmount = (): void => {
    if (!isOver) spawnSync('umount', ['-l', dir]);
    isOver = true;
  };
  t.teardown(unmount);
  return unmount;
}

void t.test('a box with unreadable settings rolls back', async (t) => {
  for (const [name, damage] of [
    ['no YAML', (file: string) => writeFileSync(file, 'url: [')],
    ['a folder', (file: string) => replaceByFolder(file, file)],
    ['an unknown key', (file: string) => writeFileSync(file, 'speed: 9\n')],
    ['gone', (file: string) => rmSync(file)],
  ] as const) {
    const box = await makeCrashing(t);
    damage(join(box.dir, 'update.yaml'));
    for (const command of ['boot', 'run', 'judge']) {
      const program = await box.run(command);
      t.equal(program.code, 0, `${name}: ${command}: ${program.err}`);
    }
    t.match(box.record, { phase: 'rolled-back', reason: /it crashed/ }, name);
    t.equal(box.current, '1-0.1.0', name);
    t.ok(isUp(box), name);
  }
});

void t.test('a box with a damaged history rolls back', async (t) => {
  for (const damage of [
    (file: string) => writeFileSync(file, 'what?\n{"n":1}\n'),
    (file: string) => replaceByFolder(file, join(file, 'x')),
  ]) {
    const box = await makeCrashing(t);
    damage(join(box.state, 'history.jsonl'));
    const judgeRun = await box.run('judge');
    t.equal(judgeRun.code, 0, judgeRun.err);
    t.equal(box.current, '1-0.1.0');
    t.ok(isUp(box));
    t.match(readFileSync(join(box.state, 'history.jsonl'), 'utf8'), /"phase":"rolled-back".*\n$/);
  }
});

void t.test('a box with a read-only state folder rolls back', { skip: NO_MOUNT }, async (t) => {
  const box = await makeCrashing(t);
  const over = readOnly(t, box.state);
  const judgeRun = await box.run('judge');
  t.match(judgeRun.err, /read-only file system/);
  t.equal(box.current, '1-0.1.0', 'it still rolls back');
  t.ok(isUp(box), 'and the agent runs');
  over();
  await box.run('boot');
  await box.run('judge');
  t.match(box.record, { phase: 'rolled-back' }, 'and is recorded once possible');
  t.equal(box.current, '1-0.1.0');
});

void t.test('a read-only releases folder keeps the agent running', { skip: NO_MOUNT }, async (t) => {
  const box = await makeCrashing(t);
  const over = readOnly(t, box.lib);
  box.calls();
  const judgeRun = await box.run('judge');
  t.equal(judgeRun.code, 1);
  t.match(judgeRun.err, /current cannot be changed: EROFS/);
  t.notMatch(box.calls().join('\n'), /^stop/m, 'nothing that runs is stopped for it');
  t.ok(isUp(box));
  over();
  t.equal((await box.run('judge')).code, 0);
  t.equal(box.current, '1-0.1.0');
});
