/**
 * Tests changes that are cut by a kill of root's program, or by the power of a real file system.
 * The changes are releases, configurations, releases of root's own program, and a technician's trials.
 *
 * The old or the new version is installed completely, and the box goes on to the new one. A control without fsync shows
 * mixed or lost files. The default run cuts the power once in each phase; the others spread cuts over all writing calls.
 */
import { execFileSync } from 'node:child_process';
import { chownSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Value } from '@sinclair/typebox/value';
import t, { type Test } from 'tap';
import { messageOf } from '../../agent/base/errors.ts';
import { editedText } from '../../agent/config/edit.ts';
import { parseManifest, verifyTree } from '../../scripts/lib/manifest.ts';
import { AT_REST, State } from '../../scripts/products/root/change/record.ts';
import { askConfiguration, maskProposal, orderConfiguration, sha256 } from '../lib/configuration-changes.ts';
import { type CutPoint, CuttableBox } from '../lib/power-cuts.ts';
import { randomOf, SEED } from '../lib/random.ts';
import { RootReleases, rootVersionOf } from '../lib/root-releases.ts';
import { ALL, FULL, unlessAll, unlessFull } from '../lib/run.ts';
import { SmallDisk } from '../lib/small-disk.ts';
import type { UpdatingBox } from '../lib/updating-box.ts';

/** Number of cuts spread over the calls of each payload. */
const CUTS = FULL ? 300 : ALL ? 4 : 0;
const CUTS_A_BOX = 20;
/** More calls than any program makes. */
const AT_ITS_END = 1_000_000;
/** First number of root's releases. */
const ROOT = 100;
/** A group other than root's, which reads the configuration. */
const GROUP = process.getuid?.() === 0 ? 65_534 : (process.getgid?.() ?? 0);
/** Makes the configuration longer than one block. */
const FILLER = `# ${'a configuration of a box in a street '.repeat(3)}\n`.repeat(150);
const REVISION = /^# revision (\d+)\n/;
const inTenMinutes = (): string => new Date(Date.now() + 600_000).toISOString();

/** Files of the releases in a folder that differ from what was made. */
async function damagedFiles(lib: string, treeOf: (seq: number) => string): Promise<string[]> {
  const problems: string[] = [];
  for (const name of readdirSync(join(lib, 'releases')).filter((one) => !one.startsWith('.'))) {
    const manifest = readFileSync(join(treeOf(Number(name.split('-')[0])), 'MANIFEST'), 'utf8');
    const dir = join(lib, 'releases', name);
    try {
      await verifyTree(dir, parseManifest(manifest));
      if (readFileSync(join(dir, 'MANIFEST'), 'utf8') !== manifest) problems.push(`${name}: MANIFEST`);
    } catch (error) {
      problems.push(`${name}: ${messageOf(error)}`);
    }
  }
  return problems;
}

interface Installed {
  /** Number of the installed change; 0 for what was there at first. */
  readonly n: number;
  readonly problems: readonly string[];
}

interface Payload {
  readonly kind: 'release' | 'configuration' | 'root';
  /** Ways to cut, with the approximate number of the program's calls in each. */
  readonly ways: Readonly<Record<string, number>>;
  furnish(box: UpdatingBox): Promise<void>;
  order(box: UpdatingBox, n: number, rollout: string, change?: { readonly notBefore: string }): void;
  installed(box: UpdatingBox): Promise<Installed>;
}

const release: Payload = {
  kind: 'release',
  ways: { run: 200, judge: 20, 'judge of a bad one': 30, boot: 30 },
  furnish: () => Promise.resolve(),
  order: (box, n, rollout, change) => void box.order({ seq: n + 1, rollout, ...change }),
  installed: async (box) => ({
    n: Number(box.current.split('-')[0]) - 1,
    problems: await damagedFiles(box.lib, (seq) => box.treeOf(seq)),
  }),
};

const root: Payload = {
  kind: 'root',
  ways: { run: 80, judge: 20 },
  furnish: (box) => new RootReleases(box).writeRequest(ROOT, CUTS_A_BOX + 1),
  order: (box, n, rollout, change) => {
    const seq = ROOT + n;
    box.order({ what: 'root', seq, version: rootVersionOf(seq), rollout, ...change });
  },
  installed: async (box) => {
    const releases = new RootReleases(box);
    const [current, judge] = [releases.link('current'), releases.link('judge')];
    const isRight = judge === current || (judge === current - 1 && !AT_REST.has(box.rawRecord.root.phase));
    const problems = await damagedFiles(box.rootLib, (seq) => releases.treeOf(seq));
    return { n: current - ROOT, problems: [...problems, ...(isRight ? [] : [`judge is ${judge}`])] };
  },
};

const configuration: Payload = {
  kind: 'configuration',
  ways: {
    run: 91,
    'run in the place of another order': 91,
    judge: 13,
    'judge of a bad one': 27,
    'judge of a box that does not look': 11,
    'run of a box that looks again': 19,
    boot: 39,
  },
  furnish: (box) => {
    // A box that is resumed must be authorised.
    const { authorisation, authorityKey } = box.authorise();
    const lines = `authorisation: ${authorisation}\nauthorityKey: ${authorityKey}\ncommands:`;
    box.configure(`${readFileSync(box.config, 'utf8').replace(/^commands:/m, lines)}${FILLER}`);
    chownSync(box.config, process.getuid?.() ?? 0, GROUP);
    return Promise.resolve();
  },
  order: (box, n, rollout, change) => {
    const yaml = `# revision ${n}\n${readFileSync(box.config, 'utf8').replace(REVISION, '')}`;
    orderConfiguration(box, yaml, { rollout, revision: n, ...change });
  },
  installed: (box) => {
    const text = readFileSync(box.config, 'utf8');
    const isWhole =
      text.endsWith(FILLER) &&
      /^site: .*\n.*\n.*\nauthorisation: .*\nauthorityKey: .*\ncommands: .*\nmqtt: .*\n# a/m.test(text);
    const problems = [...(isWhole ? [] : [`mixed: ${text.length} characters`]), ...fileProblems(box)];
    return Promise.resolve({ n: Number(REVISION.exec(text)?.[1] ?? 0), problems });
  },
};

/** Problems of the configuration's mode and group. */
function fileProblems({ config }: UpdatingBox): string[] {
  const { mode, gid } = statSync(config);
  return (mode & 0o777) === 0o640 && gid === GROUP ? [] : [`mode ${mode.toString(8)}, group ${gid}`];
}

/** One box whose changes are cut. Problems are collected, so that a cut tells all of them. */
abstract class Bench {
  readonly cuttable: CuttableBox;
  protected n = 0;
  protected readonly problems: string[] = [];

  constructor(cuttable: CuttableBox) {
    this.cuttable = cuttable;
  }

  /** Runs the next change up to the cut program, cuts it, and continues to the end. */
  async cutChange(way: string, point: CutPoint): Promise<{ calls: number | undefined; problems: string[] }> {
    this.n += 1;
    this.problems.length = 0;
    let calls: number | undefined;
    try {
      // Otherwise a run of the previous change carries out this order, and the cut one has nothing to do.
      await this.box.begunEnd();
      calls = await this.go(way, point);
    } catch (error) {
      this.problems.push(messageOf(error));
    }
    return { calls, problems: [...this.problems] };
  }

  protected abstract go(way: string, point: CutPoint): Promise<number | undefined>;

  protected get box(): UpdatingBox {
    return this.cuttable.box;
  }

  protected expect(name: string, actual: unknown, expected: unknown): void {
    const text = (value: unknown): string => (JSON.stringify(value) ?? 'nothing').slice(0, 80);
    if (actual !== expected) this.problems.push(`${name}: ${text(actual)} and not ${text(expected)}`);
  }

  protected async run(command: string): Promise<void> {
    const { code, err } = await this.box.run(command, this.cuttable.env);
    this.expect(`${command}: ${err}`, code, 0);
  }

  protected async boot(): Promise<void> {
    await this.run('boot');
    // The boot starts what is enabled.
    writeFileSync(join(this.box.dir, 'bin/up-vigie.service'), '');
  }

  protected recordText(): string {
    const file = join(this.box.state, 'state.json');
    return existsSync(file) ? readFileSync(file, 'utf8') : '';
  }

  /** Checks the record, its history and the reports. */
  protected checkRecord(moment: string): void {
    const { box } = this;
    for (const name of readdirSync(box.state)) this.expect(`${moment}: ${name}`, /damaged/.test(name), false);
    if (this.recordText() === '') return;
    const record = box.rawRecord;
    this.expect(`${moment}: the record's form`, Value.Check(State, record), true);
    const numbers = box.history.map(({ n }) => n);
    this.expect(`${moment}: the history`, numbers.join(), numbers.map((_, index) => index + 1).join());
    // After a cut the next program adds to the history what is missing, and removes what is left.
    if (moment === 'after the cut') return;
    this.expect(`${moment}: its end`, numbers.at(-1), record.last?.n);
    const { phase } = record.configuration;
    for (const name of readdirSync(dirname(box.config)))
      if (AT_REST.has(phase) && /\.(next|before-trial)$/.test(name))
        this.expect(moment, `${name} is left`, phase);
    if (existsSync(join(box.state, 'status.json'))) void box.status;
  }
}

class OrderBench extends Bench {
  readonly #payload: Payload;

  constructor(cuttable: CuttableBox, payload: Payload) {
    super(cuttable);
    this.#payload = payload;
  }

  protected async go(way: string, point: CutPoint): Promise<number | undefined> {
    const { box, cuttable, n } = this;
    const payload = this.#payload;
    if (way === 'run in the place of another order') {
      payload.order(box, 1000 + n, `other-${n}`, { notBefore: inTenMinutes() });
      await this.run('run');
    }
    payload.order(box, n, `r-${n}`);
    const isBlind = way.includes('look');
    if (isBlind) box.report.mode = 'suspended';
    if (!way.startsWith('run') || isBlind) await this.run('run');
    if (way === 'run of a box that looks again') {
      await this.run('judge');
      this.expect('before it looks again', this.#phase(), 'awaits-resume');
      box.report.mode = 'active';
    }
    if (way === 'boot') cuttable.cutNow();
    if (way === 'judge of a bad one') box.breakAgent();
    const [command = ''] = way.split(' ');
    let written: string | undefined;
    const calls = await cuttable.cutIn(
      point,
      (env) => box.run(command, env),
      ({ code, err }) => {
        this.expect(`${command}: ${err}`, code, 0);
        written = this.recordText();
      },
    );
    rmSync(join(box.dir, 'bin/broken'), { force: true });
    await this.#check('after the cut', [n - 1, n]);
    if (written !== undefined) this.expect('the record that was written', this.recordText(), written);
    // systemd starts a killed program again.
    if (point.by === 'power') await this.boot();
    else await this.run(command);
    await this.#check('then', [n - 1, n]);
    box.report.mode = 'active';
    await this.#settle();
    const isTriedOnce = payload.kind === 'configuration' || way === 'judge of a bad one';
    if (isTriedOnce && this.#phase() === 'rolled-back') {
      // A configuration on trial does not survive a boot; another rollout tries it again.
      await this.#check('rolled back', [n - 1]);
      payload.order(box, n, `again-${n}`);
      await this.#settle();
    }
    this.expect('the end', this.#phase(), 'confirmed');
    await this.#check('in the end', [n]);
    this.expect('the agent runs', existsSync(join(box.dir, 'bin/up-vigie.service')), true);
    return calls;
  }

  /** Carries out one change whose power is cut when its record has just named each of the phases. Returns problems. */
  async cutIn(phases: readonly string[]): Promise<readonly string[]> {
    const { box, cuttable } = this;
    const { kind, order } = this.#payload;
    this.n += 1;
    order(box, this.n, `r-${this.n}`);
    for (const phase of phases) {
      const at = `"${kind}":{"phase":"${phase}"`;
      const command = phase === 'confirmed' ? 'judge' : 'run';
      const calls = await cuttable.cutIn({ at, by: 'power', logged: true }, (env) => box.run(command, env));
      this.expect(`${phase}: it was cut`, calls, undefined);
      await this.#check('after the cut', [this.n - 1, this.n]);
      await this.boot();
      await this.#check(`after ${phase}`, [this.n - 1, this.n]);
    }
    await this.#settle();
    this.expect('the end', this.#phase(), 'confirmed');
    await this.#check('in the end', [this.n]);
    return this.problems;
  }

  async #check(moment: string, allowed: readonly number[]): Promise<void> {
    this.checkRecord(moment);
    const { n, problems } = await this.#payload.installed(this.box);
    this.expect(`${moment}: number ${n} of ${allowed.join()}`, allowed.includes(n), true);
    this.expect(moment, problems.join(), '');
  }

  #phase(): string {
    if (this.recordText() === '') return 'no record';
    const { kind } = this.#payload;
    const { phase, target, reason } = this.box.rawRecord[kind];
    const first = { release: 1, configuration: 0, root: ROOT }[kind];
    if (target?.number !== first + this.n) return `of ${target?.number}`;
    return ['confirmed', 'rolled-back', 'awaits-resume'].includes(phase) ? phase : `${phase}: ${reason}`;
  }

  async #settle(): Promise<void> {
    for (let attempt = 0; attempt < 3 && this.#phase() !== 'confirmed'; attempt += 1) {
      await this.run('run');
      await this.run('judge');
    }
  }
}

const TRIAL_WAYS = { try: 53, keep: 13, revert: 27, boot: 39 };

class TrialBench extends Bench {
  protected async go(way: string, point: CutPoint): Promise<number | undefined> {
    const { box, cuttable, n } = this;
    const previous = this.#text;
    // Every other time an order of the room waits for a later day.
    if (n % 2 === 0) {
      const change = { rollout: `r${n}`, revision: n, notBefore: inTenMinutes() };
      orderConfiguration(box, `# other\n${previous}`, change);
      await this.run('run');
    }
    const proposal = maskProposal(`m${n}`);
    const triedText = editedText(previous, proposal);
    const id = way === 'try' ? undefined : await this.#try(n);
    if (way === 'boot') cuttable.cutNow();
    let written: string | undefined;
    const request = way === 'try' ? { op: way, proposal } : { op: way, trial: id };
    const calls = await cuttable.cutIn(
      point,
      async (env) => (way === 'boot' ? await box.run(way, env) : await askConfiguration(box, request, env)),
      (reply) => {
        if (reply !== undefined && 'refused' in reply) this.expect(way, reply.refused, null);
        written = this.#text;
      },
    );
    // Without a loss of power the room's worker does not carry on what is left, as if the room had ordered it.
    if (point.by === 'kill') {
      await this.run('run');
      box.reboot();
    }
    if (written !== undefined) this.expect('the file that was written', this.#text, written);
    this.expect('one of two texts', [previous, triedText].includes(this.#text), true);
    await this.boot();
    this.checkRecord('after the boot');
    this.expect('its files', fileProblems(box).join(), '');
    const { phase, target } = box.rawRecord.configuration;
    const isKept = phase === 'confirmed' && target?.name === sha256(triedText);
    this.expect('as the record says', this.#text, isKept ? triedText : previous);
    if (isKept) this.expect('kept by', way, 'keep');
    if (way === 'keep' && calls !== undefined) this.expect('it was kept', isKept, true);
    if (n % 2 === 0) {
      await this.run('run');
      const { phase, target } = box.rawRecord.configuration;
      this.expect('the order that waits', `${phase} ${target?.number}`, `waiting ${n}`);
    }
    const next = editedText(this.#text, maskProposal(`m${n + 1000}`));
    const reply = await askConfiguration(box, { op: 'keep', trial: await this.#try(n + 1000) }, cuttable.env);
    this.expect('the next one is kept', reply?.refused, null);
    this.expect('its text', this.#text, next);
    return calls;
  }

  get #text(): string {
    return readFileSync(this.box.config, 'utf8');
  }

  /** Tries a mask, and returns the name of the trial. */
  async #try(n: number): Promise<string | undefined> {
    const request = { op: 'try', proposal: maskProposal(`m${n}`) };
    const reply = await askConfiguration(this.box, request, this.cuttable.env);
    this.expect(`trial ${n}: ${JSON.stringify(reply?.problems)}`, reply?.refused, null);
    return reply?.trial?.id;
  }
}

async function orderBench(t: Test, payload: Payload, flushes = true): Promise<OrderBench> {
  const releases = payload.kind === 'release' ? (CUTS > 0 ? CUTS_A_BOX + 3 : 2) : 1;
  const cuttable = await CuttableBox.make(t, { releases }, flushes);
  await payload.furnish(cuttable.box);
  // The test's own files are on the disk.
  execFileSync('sync', ['-f', cuttable.box.config]);
  return new OrderBench(cuttable, payload);
}

async function trialBench(t: Test, flushes = true): Promise<Bench> {
  const cuttable = await CuttableBox.make(t, { releases: 1 }, flushes);
  await configuration.furnish(cuttable.box);
  execFileSync('sync', ['-f', cuttable.box.config]);
  return new TrialBench(cuttable);
}

/** Spreads cuts over the calls of each way: kills and losses of power, half of these with the log written. */
async function cutAll(
  t: Test,
  ways: Readonly<Record<string, number>>,
  make: () => Promise<Bench>,
): Promise<void> {
  t.comment(`seed ${SEED}`);
  const random = randomOf(SEED);
  const counts = new Map(Object.entries(ways).map(([way, calls]) => [way, { calls, cuts: 0 }]));
  const names = [...counts.keys()];
  const first = Math.floor(random() * names.length);
  let [hits, bench] = [0, await make()];
  for (let n = 0; n < CUTS; n += 1) {
    if (n > 0 && n % CUTS_A_BOX === 0) bench = await make();
    const way = String(names[(first + n) % names.length]);
    const count = counts.get(way) ?? { calls: 0, cuts: 0 };
    // One cut of each way after its end, to count its calls.
    const isCounting = FULL && count.cuts === 0;
    const ratio = (count.cuts - (FULL ? 1 : 0) + random()) / Math.max(1, CUTS / names.length);
    const at = isCounting ? AT_ITS_END : Math.floor(ratio * count.calls);
    const by = n % 2 === 0 && way !== 'boot' ? 'kill' : 'power';
    const { calls, problems } = await bench.cutChange(way, { at, by, logged: random() < 0.5 });
    t.strictSame(
      problems,
      [],
      `cut ${n + 1} by ${by}: ${way}, ${calls === undefined ? `before call ${at}` : `after its ${calls} calls`}`,
    );
    count.cuts += 1;
    if (calls === undefined) hits += 1;
    else count.calls = calls;
    // A faulty box proves nothing about the next cut.
    if (problems.length > 0) bench = await make();
  }
  t.ok(hits >= CUTS / 2, `${hits} of ${CUTS} cuts came before the end of the program`);
}

const PHASES = ['waiting', 'downloading', 'verified', 'staged', 'switching', 'probation', 'confirmed'];

void t.test('a power cut in each phase of a release leaves the old or the new one', async (t) => {
  const bench = await orderBench(t, release);
  t.strictSame(await bench.cutIn(PHASES), []);
});
void t.test(
  'a power cut in a technician’s trial leaves the old configuration',
  { skip: unlessAll },
  async (t) => {
    const bench = await trialBench(t);
    const at = '"configuration":{"phase":"probation"';
    t.strictSame(await bench.cutChange('try', { at, by: 'power', logged: true }), {
      calls: undefined,
      problems: [],
    });
  },
);

for (const payload of [release, configuration, root])
  void t.test(`a change of the ${payload.kind} that is cut anywhere goes on`, { skip: unlessAll }, (t) =>
    cutAll(t, payload.ways, () => orderBench(t, payload)),
  );
void t.test(
  'a technician’s trial that is cut anywhere is kept by its confirmation alone',
  { skip: unlessAll },
  (t) => cutAll(t, TRIAL_WAYS, () => trialBench(t)),
);

const CONTROLS: Readonly<Record<string, readonly [string, (t: Test) => Promise<Bench>]>> = {
  release: ['judge', (t) => orderBench(t, release, false)],
  configuration: ['run', (t) => orderBench(t, configuration, false)],
  'technician’s trial': ['keep', (t) => trialBench(t, false)],
};
for (const [name, [way, make]] of Object.entries(CONTROLS))
  void t.test(
    `control: without waiting for the disk a ${name} is mixed or lost`,
    { skip: SmallDisk.unavailable() || unlessFull },
    async (t) => {
      let broken = 0;
      for (let n = 0; n < 10; n += 1) {
        const { problems } = await (await make(t)).cutChange(way, {
          at: AT_ITS_END,
          by: 'power',
          logged: n % 2 === 0,
        });
        if (problems.length > 0) broken += 1;
      }
      t.ok(broken > 0, `${broken} of 10 cuts`);
    },
  );
