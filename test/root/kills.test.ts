/**
 * Tests root's program killed at each writing call in turn, for a release, a configuration and a release of itself.
 *
 * The old or the new version is installed completely, and the box continues to the new one.
 */
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { messageOf } from '../../agent/base/errors.ts';
import type { ConfigReply } from '../../agent/contract/config-trial.ts';
import { parseManifest, verifyTree } from '../../scripts/lib/manifest.ts';
import type { Change } from '../../scripts/programs/root/change/record.ts';
import { askConfiguration, maskProposal, orderConfiguration } from '../lib/configuration-changes.ts';
import { FULL } from '../lib/run.ts';
import { preloaded } from '../lib/preloaded.ts';
import { RootReleases, rootVersionOf } from '../lib/root-releases.ts';
import { UpdatingBox } from '../lib/updating-box.ts';
import { WRITE_CALLS } from '../lib/write-calls.ts';

/** Number of kills for each payload, spread over all calls of a change. */
const KILLS = FULL ? 300 : 3;
/** Number of changes prepared for a box; one more where a program ended before it was killed. */
const KILLS_A_BOX = Math.min(20, KILLS + 2);
/** Commands to kill: `run` makes most of the calls, `judge` follows a change that was cut. */
const COMMANDS = ['run', 'run', 'run', 'judge'] as const;

interface Payload {
  /** Prepares what a box has beside its releases. */
  furnish(box: UpdatingBox): Promise<void>;
  /** Orders change number n of the box. */
  order(box: UpdatingBox, n: number, rollout?: string): void;
  /** Faults of the installed version, which must be change n, or with `orBefore` the previous one. */
  problems(box: UpdatingBox, n: number, allowsPrevious: boolean): Promise<string[]>;
  /** The phase of change number n. */
  phase(box: UpdatingBox, n: number): string;
}

function phaseOf({ phase, target, reason }: Change, number: number): string {
  if (target?.number !== number) return 'none of it';
  return ['confirmed', 'rolled-back'].includes(phase) ? phase : `${phase}: ${reason}`;
}

const noop = (): Promise<void> => Promise.resolve();

/** Lists files of the releases in a folder that differ from what was made. */
async function damagedFiles(lib: string, treeOf: (seq: number) => string): Promise<string[]> {
  const problems: string[] = [];
  for (const name of readdirSync(join(lib, 'releases')).filter((one) => !one.startsWith('.'))) {
    const manifest = readFileSync(join(treeOf(Number(name.split('-')[0])), 'MANIFEST'), 'utf8');
    try {
      await verifyTree(join(lib, 'releases', name), parseManifest(manifest));
    } catch (error) {
      problems.push(`${name}: ${messageOf(error)}`);
    }
  }
  return problems;
}

const release: Payload = {
  furnish: noop,
  order: (box, n) => void box.order({ seq: n + 1 }),
  phase: (box, n) => phaseOf(box.rawRecord.release, n + 1),
  problems: async (box, n, allowsPrevious) => {
    const seq = Number(box.current.split('-')[0]);
    const problems = seq === n + 1 || (allowsPrevious && seq === n) ? [] : [`current is ${box.current}`];
    return [...problems, ...(await damagedFiles(box.lib, (one) => box.treeOf(one)))];
  },
};

/** First number of root's releases. */
const ROOT = 100;
const root: Payload = {
  furnish: (box) => new RootReleases(box).writeRequest(ROOT, KILLS_A_BOX + 3),
  order: (box, n, rollout = `root-${n}`) => {
    const seq = ROOT + n;
    box.order({ what: 'root', seq, version: rootVersionOf(seq), rollout });
  },
  phase: (box, n) => phaseOf(box.rawRecord.root, ROOT + n),
  problems: async (box, n, allowsPrevious) => {
    const releases = new RootReleases(box);
    const current = releases.link('current');
    const isRight = current === ROOT + n || (allowsPrevious && current === ROOT + n - 1);
    const judgeLink = releases.link('judge');
    const isJudgeRight = judgeLink === current || (allowsPrevious && judgeLink === ROOT + n - 1);
    return [
      ...(isRight ? [] : [`current is ${current}`]),
      ...(isJudgeRight ? [] : [`judge is ${judgeLink}`]),
      ...(await damagedFiles(box.rootLib, (seq) => releases.treeOf(seq))),
    ];
  },
};

const TEXT = /^# revision \d+\n/;
const configuration: Payload = {
  furnish: noop,
  order: (box, n, rollout = `r${n}`) => {
    const yaml = `# revision ${n}\n${readFileSync(box.config, 'utf8').replace(TEXT, '')}`;
    orderConfiguration(box, yaml, { rollout, revision: n });
  },
  phase: (box, n) => phaseOf(box.rawRecord.configuration, n),
  problems: (box, n, allowsPrevious) => {
    const text = readFileSync(box.config, 'utf8');
    const revision = Number(/^# revision (\d+)\n/.exec(text)?.[1] ?? 0);
    const rest = text.replace(TEXT, '');
    const problems =
      revision === n || (allowsPrevious && revision === n - 1) ? [] : [`revision ${revision} of ${n}`];
    if (!/^site: .*\n.*\n.*\ncommands: .*\nmqtt: .*\n$/.test(rest)) problems.push(`not whole: ${text}`);
    const leftovers = readdirSync(box.dir).filter(
      (name) => /^vigie\.yaml\./.test(name) && !name.endsWith('.new'),
    );
    if (!allowsPrevious && leftovers.length > 0) problems.push(`left: ${leftovers.join(' ')}`);
    return Promise.resolve(problems);
  },
};

async function settle(box: UpdatingBox, { phase }: Payload, n: number): Promise<string> {
  for (let attempt = 0; attempt < 3 && phase(box, n) !== 'confirmed'; attempt += 1) {
    for (const command of ['run', 'judge']) {
      const program = await box.run(command);
      if (program.code !== 0) return `${command}: ${program.err}`;
    }
  }
  return phase(box, n);
}

async function checkKills(t: Test, name: string, payload: Payload): Promise<void> {
  const killer = preloaded(t, WRITE_CALLS);
  const makeBox = async (): Promise<UpdatingBox> => {
    const box = await UpdatingBox.make(t, { releases: KILLS_A_BOX + 3, withinS: 30 });
    await payload.furnish(box);
    return box;
  };
  let box = await makeBox();
  const counted = async (command: string): Promise<number> => {
    const file = join(box.dir, 'count');
    await box.run(command, { LD_PRELOAD: killer, KILL_COUNT: file });
    return Number(readFileSync(file, 'utf8'));
  };
  let n = 1;
  payload.order(box, n);
  const calls = { run: await counted('run'), judge: await counted('judge') };
  t.equal(payload.phase(box, n), 'confirmed', `${name}: uncut, it is confirmed`);
  t.ok(calls.run > 40, `${calls.run} calls that write in run, ${calls.judge} in judge`);
  let [kill, missed] = [0, 0];
  while (kill < KILLS) {
    n += 1;
    if (n > KILLS_A_BOX + 1) {
      box = await makeBox();
      n = 1;
    }
    const command = COMMANDS[kill % COMMANDS.length] ?? 'run';
    // Otherwise a run of the previous change carries out this order, and the killed one has nothing to do.
    await box.begunEnd();
    payload.order(box, n);
    if (command === 'judge') await box.run('run');
    const at = Math.floor((kill * calls[command]) / KILLS);
    const program = await box.run(command, { LD_PRELOAD: killer, KILL_AT: String(at) });
    const context = `${name}: kill ${kill} at call ${at} of ${command}`;
    const isKilled = program.code !== 0;
    t.strictSame(await payload.problems(box, n, true), [], `${context}: old or new, whole`);
    // Every other time the power went, too; otherwise systemd restarts the program.
    if (kill % 2 === 0) {
      box.reboot();
      writeFileSync(join(box.dir, 'bin/up-vigie.service'), '');
      const boot = await box.run('boot');
      t.equal(boot.code, 0, boot.err);
      t.strictSame(await payload.problems(box, n, true), [], `${context}: after the boot`);
    } else await box.run(command);
    const end = await settle(box, payload, n);
    if (name === 'configuration' && end === 'rolled-back') {
      // A configuration on trial does not survive a boot; another rollout tries it again.
      payload.order(box, n, `again-${n}`);
      t.equal(await settle(box, payload, n), 'confirmed', context);
    } else t.equal(end, 'confirmed', context);
    t.strictSame(await payload.problems(box, n, false), [], `${context}: in the end`);
    t.ok(existsSync(join(box.dir, 'bin/up-vigie.service')), `${context}: and the agent runs`);
    if (isKilled) kill += 1;
    else {
      // Not every change makes as many calls as the counted one, so the next one is killed earlier.
      missed += 1;
      calls[command] = Math.min(calls[command], at);
    }
    if (missed > KILLS) throw new Error(`${name}: ${missed} programs ended before they were killed`);
  }
  t.pass(`${kill} were killed, and ${missed} ended before that; 0 mixed`);
  rmSync(box.lib, { recursive: true });
}

void t.test('only the technician’s confirmation keeps a technician’s trial', async (t) => {
  const killer = preloaded(t, WRITE_CALLS);
  const box = await UpdatingBox.make(t, { releases: 1 });
  const file = box.config;
  const proposal = (n: number): object => maskProposal(`m${n}`);
  const count = join(box.dir, 'count');
  const counted = async (request: object): Promise<[ConfigReply | undefined, number]> => {
    const reply = await askConfiguration(box, request, { LD_PRELOAD: killer, KILL_COUNT: count });
    return [reply, Number(readFileSync(count, 'utf8'))];
  };
  const [tryReply, calls] = await counted({ op: 'try', proposal: proposal(0) });
  t.match(tryReply, { refused: null, problems: [], trial: { id: String } });
  const [keepReply, callsOfKeep] = await counted({ op: 'keep', trial: tryReply?.trial?.id });
  t.match(keepReply, { refused: null, trial: null });
  t.match(readFileSync(file, 'utf8'), /m0/);
  const kills = FULL ? calls : 4;
  let hits = 0;
  for (let kill = 0; kill < kills; kill += 1) {
    const previous = readFileSync(file, 'utf8');
    const at = String(Math.floor((kill * calls) / kills));
    const reply = await askConfiguration(
      box,
      { op: 'try', proposal: proposal(kill + 1) },
      { LD_PRELOAD: killer, KILL_AT: at },
    );
    if (reply === undefined) hits += 1;
    // The room's worker does not carry on what is left as if the room had ordered it.
    await box.run('run');
    const isKept =
      box.rawRecord.configuration.phase === 'confirmed' && readFileSync(file, 'utf8') !== previous;
    t.notOk(isKept, `try, call ${at}: it was not confirmed`);
    box.reboot();
    t.equal((await box.run('boot')).code, 0);
    t.equal(readFileSync(file, 'utf8'), previous, `try, call ${at}: the former one after a boot`);
    t.notOk(existsSync(`${file}.before-trial`));
  }
  t.ok(hits > kills / 2, `${hits} of ${kills} were killed`);
  for (let at = 0; at < callsOfKeep; at += FULL ? 1 : 5) {
    const previous = readFileSync(file, 'utf8');
    const { trial } = (await askConfiguration(box, { op: 'try', proposal: proposal(100 + at) })) ?? {};
    const text = readFileSync(file, 'utf8');
    t.not(text, previous);
    await askConfiguration(
      box,
      { op: 'keep', trial: trial?.id },
      { LD_PRELOAD: killer, KILL_AT: String(at) },
    );
    const isKept = box.rawRecord.configuration.phase === 'confirmed';
    box.reboot();
    t.equal((await box.run('boot')).code, 0);
    t.equal(readFileSync(file, 'utf8'), isKept ? text : previous, `keep, call ${at}: as the record says`);
    t.notOk(existsSync(`${file}.before-trial`));
  }
});

void t.test('a killed release change ends complete', async (t) => checkKills(t, 'release', release));
void t.test('a killed configuration change ends complete', async (t) =>
  checkKills(t, 'configuration', configuration),
);
void t.test('a killed change of root’s program ends complete', async (t) => checkKills(t, 'root', root));
