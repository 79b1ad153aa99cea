/**
 * Tests releases of root's own program with the real programs, each one file started by the links `current` and
 * `judge`.
 *
 * Good ones are confirmed. Bad ones of every kind are rolled back by the previous one.
 */
import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import type { UpdateOrder } from '../../agent/contract/update.ts';
import { type Program, start } from '../lib/program.ts';
import { sampleRelease } from '../lib/release-server.ts';
import { RootReleases, rootVersionOf } from '../lib/root-releases.ts';
import { unlessFull } from '../lib/run.ts';
import { UPDATER, UpdatingBox } from '../lib/updating-box.ts';

const OF_ROOT = { what: 'root' } as const;
const FIRST = 11;

/** The program as the package has it. */
const program = readFileSync(UPDATER, 'utf8');

/** Inserts code at the start of the program; the bundle's banner imports the modules that it needs. */
const withFirst = (code: string): string => program.replace(/^(#!.*\n)/, `$1${code}\n`);

/** A box whose root program is a release, with releases 11 (running) and 12 (with `code`). */
class RootBox {
  readonly box: UpdatingBox;
  readonly releases: RootReleases;
  readonly #t: Test;

  static async make(t: Test, code = program, withinS = 20): Promise<RootBox> {
    const root = new RootBox(t, await UpdatingBox.make(t, { withinS }));
    await root.releases.writeRequest(FIRST, 0, () => program);
    await root.publish(FIRST + 1, code, { [FIRST]: root.releases.treeOf(FIRST) });
    return root;
  }

  private constructor(t: Test, box: UpdatingBox) {
    this.#t = t;
    this.box = box;
    this.releases = new RootReleases(box);
  }

  folder(seq: number): string {
    return this.releases.folder(seq);
  }

  async publish(seq: number, code: string, from: Record<number, string> = {}): Promise<void> {
    const tree = await this.releases.tree(seq, code);
    await this.box.repository.addRelease(tree, { ...OF_ROOT, seq, version: rootVersionOf(seq) }, from);
    this.box.repository.publish();
  }

  order(change: Partial<UpdateOrder> = {}): void {
    const seq = change.seq ?? FIRST + 1;
    this.box.order({ ...OF_ROOT, version: rootVersionOf(seq), ...change, seq });
  }

  /** Runs a command to its end, by the link that its unit uses. */
  async run(command: 'run' | 'judge' | 'boot'): Promise<Program> {
    const link = command === 'run' ? 'current' : 'judge';
    const file = join(this.box.rootLib, link, 'vigie-root.js');
    const ran = start(this.#t, process.execPath, [file, command, ...this.box.places()]);
    await ran.exit;
    return ran;
  }

  /** Cuts the power; the next start is another boot, which begins with `boot`. */
  async reboot(): Promise<void> {
    this.box.reboot();
    await this.run('boot');
  }

  link(name: 'current' | 'judge'): number {
    return this.releases.link(name);
  }

  get root() {
    return this.box.rawRecord.root;
  }
}

void t.test('a good release is tried, judged by the previous one, and judges the next', async (t) => {
  const root = await RootBox.make(t, withFirst('// another'));
  const { box } = root;
  root.order();
  const ran = await root.run('run');
  t.equal(ran.code, 0, ran.err);
  t.match(root.root, { phase: 'probation', target: { number: 12 }, trial: { from: { number: 11 } } });
  t.equal(root.link('current'), 12, 'the new one runs');
  t.equal(root.link('judge'), 11, 'and is judged by the former one');
  t.match(
    box.calls(),
    [/^stop .*vigie.service/, /reset-failed/, /start .*vigie.service/],
    'the agent is restarted',
  );
  const judgeRun = await root.run('judge');
  t.equal(judgeRun.code, 0, judgeRun.err);
  t.match(root.root, { phase: 'confirmed', reason: null });
  t.equal(root.link('judge'), 12, 'from now on it judges');
  t.match(box.status.root, { release: { seq: 12 }, phase: 'confirmed', rollout: 'spring-12' });
  t.match(box.status, { phase: 'idle', release: { seq: 1 } }, 'of the release nothing has changed');
  t.notOk(existsSync(join(box.state, 'rehearsal')), 'its rehearsal is removed');
  t.ok(existsSync(root.folder(11)), 'the previous one is kept');
  t.same(
    box.history.map(({ what, phase }) => `${what} ${phase}`),
    ['root staged', 'root switching', 'root probation', 'root confirmed'],
  );
  // A release of the agent, by the new program.
  box.order();
  await root.run('run');
  await root.run('judge');
  t.match(box.record, { phase: 'confirmed', target: { seq: 2 } });
  // The next release of root's program.
  await root.publish(13, withFirst('// a third'));
  root.order({ seq: 13 });
  await root.run('run');
  await root.run('judge');
  t.match(root.root, { phase: 'confirmed', target: { number: 13 } });
  t.notOk(existsSync(root.folder(11)), 'two are kept');
});

/** Kinds of bad releases, and the box's report about each. */
const BAD: readonly (readonly [string, string, RegExp])[] = [
  ['whose boot fails', "if (process.argv[2] === 'boot') process.exit(1);", /vigie-root boot: it ends with 1/],
  [
    'whose judge keeps everything',
    "if (process.argv[2] === 'judge') process.exit(0);",
    /vigie-root judge: a release that does not start is not rolled back/,
  ],
];

/** Further bad releases with the same ends; each takes a minute of patience. */
const BAD_TOO: typeof BAD = [
  [
    'that claims to have been replaced',
    `import * as fs1 from 'node:fs'; if (process.argv[2] === 'run') { const s = process.argv[process.argv.indexOf('--state') + 1] + '/rehearsal/lib'; fs1.mkdirSync(s + '/releases/12-0.12.0', { recursive: true }); fs1.rmSync(s + '/current', { force: true }); fs1.symlinkSync('releases/12-0.12.0', s + '/current'); process.exit(0); }`,
    /did not carry out its own order again/,
  ],
  ['that does not start', 'throw new Error("no start");', /vigie-root status: it ends with 1: ./],
];

async function checkRolledBack(t: Test, code: string, reason: RegExp): Promise<void> {
  const root = await RootBox.make(t, withFirst(code), 8);
  root.order();
  await root.run('run');
  t.equal(root.link('current'), 12);
  const judgeRun = await root.run('judge');
  t.equal(judgeRun.code, 0, judgeRun.err);
  t.match(root.root, { phase: 'rolled-back', reason });
  t.equal(root.link('current'), 11, 'the former one runs');
  t.equal(root.link('judge'), 11);
  // Accepts the order for a better release.
  root.box.setHealthTimes({ healthyS: 1, withinS: 20 });
  await root.publish(13, withFirst('// patched'));
  root.order({ seq: 13 });
  await root.run('run');
  await root.run('judge');
  t.match(root.root, { phase: 'confirmed', target: { number: 13 } });
  t.equal(root.link('judge'), 13);
}

void t.test('a bad release is rolled back by the previous one', async (t) => {
  // Most of the time is patience with a program that does nothing.
  t.jobs = BAD.length;
  const testAll = (bad: typeof BAD, options: { readonly skip?: string | false }) =>
    bad.map(([name, code, reason]) =>
      t.test(`a release ${name} rolls back`, { buffered: true, ...options }, (t) =>
        checkRolledBack(t, code, reason),
      ),
    );
  await Promise.all([...testAll(BAD, {}), ...testAll(BAD_TOO, { skip: unlessFull })]);
});

void t.test('a trial survives a power cut, and a lost link leads to a proven program', async (t) => {
  const root = await RootBox.make(t, withFirst('// another'));
  const { box } = root;
  root.order();
  await root.run('run');
  await root.reboot();
  t.match(root.root, { phase: 'probation', trial: { boots: 1 } }, 'the trial goes on');
  t.equal(root.link('judge'), 11);
  for (const link of ['current', 'judge'] as const) {
    rmSync(join(box.rootLib, link));
    // By the other link, as the unit does.
    if (link === 'current') await root.reboot();
    else await root.run('run');
    t.equal(root.link('judge'), 11, `without ${link}: judge leads to the former one`);
  }
  t.equal(root.link('current'), 11, 'a link lost in a trial leads to the proven release');
  await root.run('judge');
  t.match(root.root, { phase: 'rolled-back' });
  root.order({ rollout: 'summer' });
  await root.run('run');
  for (let n = 0; n < 4; n += 1) await root.reboot();
  t.match(root.root, { phase: 'rolled-back', reason: /started 4 times/ }, 'not indefinitely');
  t.equal(root.link('current'), 11);
  // An order for the agent's release cancels a waiting one for root's program.
  const later = new Date(Date.now() + 1_800_000).toISOString();
  root.order({ rollout: 'autumn', notBefore: later });
  await root.run('run');
  t.match(root.root, { phase: 'waiting', target: { number: 12 } });
  box.order();
  await root.run('run');
  t.match(root.root, { phase: 'idle', target: null });
  await root.run('judge');
  t.match(box.record, { phase: 'confirmed', target: { seq: 2 } });
  root.order({ seq: 10, rollout: 'old' });
  await root.run('run');
  t.match(root.root, { phase: 'failed', reason: /not newer than 11/ });
});

/** Ways to lose what is known of a trial, and the state of the history then. */
const LOSSES: readonly (readonly [string, (state: string) => void])[] = [
  ['empty', (state) => writeFileSync(join(state, 'state.json'), '')],
  [
    'of a later version',
    (state) => {
      const file = join(state, 'state.json');
      writeFileSync(file, readFileSync(file, 'utf8').replace('"version":1', '"version":2'));
    },
  ],
  [
    'lost with the history',
    (state) => {
      for (const name of ['state.json', 'history.jsonl']) rmSync(join(state, name));
    },
  ],
];

void t.test('a trial whose record is lost is rolled back, and the next order is carried out', async (t) => {
  // It cannot carry out orders, so nothing could replace it if it stayed.
  const root = await RootBox.make(t, withFirst("if (process.argv[2] === 'run') process.exit(0);"));
  const { box } = root;
  // Once a record is lost, only orders count that are valid from a later time.
  const order = async (change: Partial<UpdateOrder>): Promise<void> => {
    root.order({ ...change, notBefore: new Date(Date.now() + 10).toISOString() });
    await sleep(20);
  };
  for (const [name, lose] of LOSSES) {
    await order({ rollout: name.replaceAll(' ', '-') });
    await root.run('run');
    t.equal(root.link('current'), 12, `${name}: on trial`);
    lose(box.state);
    await root.reboot();
    await root.run('judge');
    t.match(root.root, { phase: 'rolled-back', reason: /what root knew of it was lost/ }, name);
    t.equal(root.link('current'), FIRST, `${name}: the former one runs`);
    t.equal(root.link('judge'), root.link('current'));
  }
  await root.publish(13, withFirst('// patched'));
  await order({ seq: 13 });
  await root.run('run');
  await root.run('judge');
  t.match(root.root, { phase: 'confirmed', target: { number: 13 } });
});

void t.test('a release whose record the running one cannot read is refused before the trial', async (t) => {
  const root = await RootBox.make(t);
  const forms = { stateWrites: 2, stateReads: [1, 2] as [number, number] };
  const release = { ...OF_ROOT, ...forms, seq: 13, version: rootVersionOf(13) };
  const tree = await sampleRelease(join(root.box.dir, 'later'), release);
  await root.box.repository.addRelease(tree, release);
  root.box.repository.publish();
  root.order({ seq: 13 });
  await root.run('run');
  t.match(root.root, {
    phase: 'failed',
    reason: /writes a record of form 2, the one that runs reads 1 to 1/,
  });
  t.equal(root.link('current'), FIRST);
});

void t.test('a command by hand switches to the program of the package', async (t) => {
  const root = await RootBox.make(t);
  const { box } = root;
  const file = join(box.rootLib, 'current/vigie-root.js');
  const byHand = async (): Promise<Program> => {
    const ran = start(t, process.execPath, [file, 'from-package', 'root', ...box.places()]);
    await ran.exit;
    return ran;
  };
  t.match((await byHand()).err, /no package has brought a release/);
  cpSync(await root.releases.tree(14, withFirst('// of the package')), join(box.dir, 'first-root'), {
    recursive: true,
  });
  const ran = await byHand();
  t.equal(ran.code, 0, ran.err);
  t.equal(root.link('current'), 14);
  await root.run('judge');
  t.match(root.root, { phase: 'confirmed', target: { number: 14 }, order: null });
  t.equal(root.link('judge'), 14);
  t.match((await byHand()).err, /runs already/);
});
