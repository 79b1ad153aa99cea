/**
 * Tests power cuts of a real file system while the real program changes the configuration, by a room's order or a
 * technician's trial.
 *
 * The file holds the previous or the new text completely, and the box goes on. A control without fsync shows mixed or
 * lost files.
 */
import { execFileSync } from 'node:child_process';
import { chownSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { Value } from '@sinclair/typebox/value';
import t, { type Test } from 'tap';
import { messageOf } from '../../agent/base/errors.ts';
import { editedText } from '../../agent/config/edit.ts';
import type { ConfigReply } from '../../agent/contract/config-trial.ts';
import { AT_REST, State } from '../../scripts/programs/root/change/record.ts';
import { askConfiguration, maskProposal, orderConfiguration, sha256 } from '../lib/configuration-changes.ts';
import { FULL, unlessFull } from '../lib/run.ts';
import { boxOnDisk, type CutLibraries, type CutPoint, CuttableBox, cutLibraries } from '../lib/power-cuts.ts';
import { randomOf, SEED } from '../lib/random.ts';
import { SmallDisk } from '../lib/small-disk.ts';

/** Number of cuts for each payload, spread over all its calls. */
const CUTS = FULL ? 300 : 5;
const CUTS_A_BOX = 20;
/** A group other than root's, which reads the file. */
const GROUP = 65_534;
/** Makes the text longer than one block. */
const FILLER = `# ${'a configuration of a box in a street '.repeat(3)}\n`.repeat(150);
/** Number of retries, since a busy machine's release may miss the 10 s for its check. */
const TRIES_OF_LATE = 4;
/** More calls than any program makes. */
const AT_ITS_END = 1_000_000;
const REVISION = /^# revision \d+\n/;

/** Content that an ended program had written before the power went. */
interface Promised {
  readonly text: string;
  readonly record: string;
}

/** Result of one cut, and its faults. */
interface Outcome {
  readonly faults: readonly string[];
  /** Number of calls that the program has made; undefined if it was cut before its end. */
  readonly calls: number | undefined;
  readonly isNew: boolean;
}

/** One payload on one box; each cut belongs to one of its ways. */
abstract class Bench {
  /** Ways to cut, with the approximate number of the program's calls in each. */
  abstract readonly ways: Readonly<Record<string, number>>;
  readonly cuttable: CuttableBox;
  protected n = 0;
  readonly #problems: string[] = [];

  static async box(t: Test, libraries: CutLibraries): Promise<CuttableBox> {
    const { box, disk } = await boxOnDisk(t, { releases: 1, mib: 24 });
    box.configure(`${readFileSync(box.config, 'utf8')}${FILLER}`);
    chownSync(box.config, 0, GROUP);
    // The test's own files are on the disk.
    execFileSync('sync', ['-f', box.config]);
    return new CuttableBox(box, disk, libraries);
  }

  constructor(cuttable: CuttableBox) {
    this.cuttable = cuttable;
  }

  /** Runs the n-th change of this box up to the cut program, cuts it, and continues to the end. */
  async runCut(way: string, cutPlan: CutPoint): Promise<Outcome> {
    this.n += 1;
    this.#problems.length = 0;
    try {
      const outcome = await this.go(way, cutPlan);
      return { ...outcome, faults: [...this.#problems] };
    } catch (error) {
      return { calls: undefined, isNew: false, faults: [...this.#problems, messageOf(error)] };
    }
  }

  protected abstract go(way: string, cutPlan: CutPoint): Promise<Omit<Outcome, 'faults'>>;

  protected get box() {
    return this.cuttable.box;
  }

  protected get text(): string {
    return readFileSync(this.box.config, 'utf8');
  }

  protected addProblem(text: string): void {
    this.#problems.push(text);
  }

  protected expect(name: string, actual: unknown, expected: unknown): void {
    if (actual !== expected) this.addProblem(`${name}: ${quoted(actual)} and not ${quoted(expected)}`);
  }

  protected promised(): Promised {
    return { text: this.text, record: readFileSync(join(this.box.state, 'state.json'), 'utf8') };
  }

  /** Runs a root program that must succeed. */
  protected async run(command: string): Promise<void> {
    const { code, err } = await this.box.run(command, this.cuttable.env);
    if (code !== 0) this.addProblem(`${command}: ${code}: ${err}`);
  }

  /** Boots, and checks the files before and afterwards. */
  protected async boot(allowed: readonly string[], promised?: Promised): Promise<void> {
    this.#checkFile('after the cut', allowed);
    if (promised !== undefined) {
      const { text, record } = this.promised();
      this.expect('the file that was written', text, promised.text);
      this.expect('the record that was written', record, promised.record);
    }
    await this.run('boot');
    writeFileSync(join(this.box.dir, 'bin/up-vigie.service'), '');
    this.checkBox('after the boot', allowed);
  }

  /** Checks what holds for a box at all times except during a switch. */
  protected checkBox(moment: string, allowed: readonly string[]): void {
    this.#checkFile(moment, allowed);
    const { box } = this;
    const record = this.#record(moment);
    const phase = record?.configuration.phase ?? 'idle';
    const names = readdirSync(dirname(box.config));
    const isLeft = (suffix: string): boolean => names.includes(`${basename(box.config)}${suffix}`);
    if (phase === 'switching' || phase === 'probation') this.addProblem(`${moment}: ${phase}`);
    this.expect(
      `${moment}: the former file is there, in ${phase}`,
      isLeft('.before-trial'),
      phase === 'awaits-resume',
    );
    if (AT_REST.has(phase) && isLeft('.next'))
      this.addProblem(`${moment}: the next file is left, in ${phase}`);
    for (const name of readdirSync(box.state))
      if (name.endsWith('.damaged')) this.addProblem(`${moment}: ${name} is set aside`);
    try {
      const numbers = box.history.map(({ n }) => n);
      this.expect(`${moment}: the history`, numbers.join(), numbers.map((_, index) => index + 1).join());
      this.expect(`${moment}: the end of the history`, numbers.at(-1), record?.last?.n);
      if (existsSync(join(box.state, 'status.json'))) void box.status;
    } catch (error) {
      this.addProblem(`${moment}: ${messageOf(error)}`);
    }
  }

  #record(moment: string): State | undefined {
    try {
      const record = this.box.rawRecord;
      if (Value.Check(State, record)) return record;
      this.addProblem(`${moment}: the record is none`);
    } catch (error) {
      this.addProblem(`${moment}: ${messageOf(error)}`);
    }
    return undefined;
  }

  #checkFile(moment: string, allowed: readonly string[]): void {
    const stat = statSync(this.box.config, { throwIfNoEntry: false });
    if (stat === undefined) {
      this.addProblem(`${moment}: there is no configuration`);
      return;
    }
    const { text } = this;
    if (!allowed.includes(text))
      this.addProblem(`${moment}: mixed: ${text.length} characters: ${quoted(text)}`);
    this.expect(`${moment}: its mode`, stat.mode & 0o777, 0o640);
    this.expect(`${moment}: its owner`, `${stat.uid} ${stat.gid}`, `0 ${GROUP}`);
  }
}

class OrderBench extends Bench {
  readonly ways = {
    run: 91,
    'run in the place of another order': 91,
    judge: 13,
    'judge of a bad one': 27,
    'judge of a box that does not look': 11,
    'run of a box that looks again': 19,
    boot: 39,
  };

  protected async go(way: string, cutPlan: CutPoint): Promise<Omit<Outcome, 'faults'>> {
    const { box, cuttable, n } = this;
    const previous = this.text;
    const orderedText = `# revision ${n}\n${previous.replace(REVISION, '')}`;
    if (way === 'run in the place of another order') {
      const other = { rollout: `other-${n}`, revision: 1000 + n };
      const notBefore = new Date(Date.now() + 600_000).toISOString();
      orderConfiguration(box, `# other ${n}\n${previous}`, { ...other, notBefore });
      await this.run('run');
    }
    orderConfiguration(box, orderedText, { rollout: `r${n}`, revision: n });
    const isBlind = way === 'judge of a box that does not look' || way === 'run of a box that looks again';
    if (isBlind) box.report.mode = 'suspended';
    if (!way.startsWith('run') || isBlind) await this.run('run');
    if (way === 'run of a box that looks again') {
      await this.run('judge');
      this.expect('before it looks again', this.#phase(), 'awaits-resume');
      box.report.mode = 'active';
    }
    if (way === 'boot') cuttable.cutNow();
    const broken = join(box.dir, 'bin/broken');
    if (way === 'judge of a bad one') box.breakAgent();
    let promised: Promised | undefined;
    const [command = ''] = way.split(' ');
    const { calls } = await cuttable.cutIn(
      cutPlan,
      (env) => box.run(command, env),
      ({ code, err }) => {
        if (code !== 0) this.addProblem(`${command}: ${code}: ${err}`);
        promised = this.promised();
      },
    );
    rmSync(broken, { force: true });
    await this.boot([previous, orderedText], promised);
    const isNew = this.text === orderedText;
    const stays = ['confirmed', 'awaits-resume'].includes(this.#phase());
    this.expect('the record says that the new text stays', stays, isNew);
    box.report.mode = 'active';
    await this.#settle();
    if (this.#phase() !== 'confirmed') {
      // A configuration on trial does not survive a boot; another rollout tries it again.
      this.expect('the end of the first rollout', this.#phase(), 'rolled-back');
      this.expect('the text that is left', this.text, previous);
      orderConfiguration(box, orderedText, { rollout: `again-${n}`, revision: n });
      await this.#settle();
    }
    this.expect('the end', this.#phase(), 'confirmed');
    this.checkBox('in the end', [orderedText]);
    return { calls, isNew };
  }

  /** The phase of the change with this number. */
  #phase(): string {
    if (!existsSync(join(this.box.state, 'state.json'))) return 'no record';
    const { phase, target, reason } = this.box.rawRecord.configuration;
    if (target?.number !== this.n) return `of ${target?.number}`;
    return ['confirmed', 'rolled-back', 'awaits-resume'].includes(phase) ? phase : `${phase}: ${reason}`;
  }

  async #settle(): Promise<void> {
    for (let attempt = 0; attempt < 3 && this.#phase() !== 'confirmed'; attempt += 1) {
      await this.run('run');
      await this.run('judge');
    }
  }
}

class TrialBench extends Bench {
  readonly ways = { try: 53, keep: 13, revert: 27, boot: 39 };

  protected async go(way: string, cutPlan: CutPoint): Promise<Omit<Outcome, 'faults'>> {
    const { box, cuttable, n } = this;
    const previous = this.text;
    // Every other time an order of the room waits for a later day.
    const hasOrder = n % 2 === 0;
    if (hasOrder) {
      const notBefore = new Date(Date.now() + 600_000).toISOString();
      orderConfiguration(box, `# other\n${previous}`, { rollout: `r${n}`, revision: n, notBefore });
      await this.run('run');
      this.#checkOrder();
    }
    const proposal = maskProposal(`m${n}`);
    const triedText = editedText(previous, proposal);
    const id = way === 'try' ? undefined : await this.#try(n);
    if (way === 'boot') cuttable.cutNow();
    let promised: Promised | undefined;
    const action = async (env: Record<string, string>): Promise<ConfigReply | undefined> => {
      if (way !== 'boot')
        return await askConfiguration(
          box,
          way === 'try' ? { op: way, proposal } : { op: way, trial: id },
          env,
        );
      await box.run('boot', env);
      return undefined;
    };
    const { calls } = await cuttable.cutIn(cutPlan, action, (reply) => {
      if (way !== 'boot' && reply?.refused !== null) this.addProblem(`${way}: ${reply?.refused}`);
      promised = this.promised();
    });
    await this.boot([previous, triedText], promised);
    const isNew = this.text === triedText;
    const { phase, target } = this.#change();
    const isKept = phase === 'confirmed' && target?.name === sha256(triedText);
    this.expect('kept where the new text is installed', isKept, isNew);
    if (isNew && way !== 'keep') this.addProblem(`${way}: no one has kept it`);
    if (calls !== undefined && way === 'keep' && !isNew) this.addProblem('it was kept, and is lost');
    if (hasOrder) {
      await this.run('run');
      this.#checkOrder();
      this.checkBox('with the order', [isNew ? triedText : previous]);
    }
    const before = this.text;
    const secondTrial = await this.#try(n + 1000);
    const next = editedText(before, maskProposal(`m${n + 1000}`));
    this.expect('the next one is tried', this.text, next);
    const confirmation = await askConfiguration(box, { op: 'keep', trial: secondTrial }, cuttable.env);
    this.expect('the next one is kept', confirmation?.refused, null);
    this.checkBox('in the end', [next]);
    return { calls, isNew };
  }

  #change(): Partial<State['configuration']> {
    return existsSync(join(this.box.state, 'state.json')) ? this.box.rawRecord.configuration : {};
  }

  #checkOrder(): void {
    const { phase, target } = this.box.rawRecord.configuration;
    this.expect('the order that waits', `${phase} ${target?.number}`, `waiting ${this.n}`);
  }

  /** Tries a mask, and returns the name of the trial. Retries where a busy machine's release answers too late. */
  async #try(n: number): Promise<string | undefined> {
    const request = { op: 'try', proposal: maskProposal(`m${n}`) };
    for (let attempt = 0; ; attempt += 1) {
      const {
        refused: refusal,
        problems,
        trial,
      } = (await askConfiguration(this.box, request, this.cuttable.env)) ?? {};
      if (trial != null) return trial.id;
      const isLate = problems?.some(({ message }) => message.includes('no answer within')) === true;
      if (isLate && attempt < TRIES_OF_LATE) continue;
      this.addProblem(`not tried: ${refusal} ${JSON.stringify(problems)}`);
      return undefined;
    }
  }
}

const BENCHES = { 'an order': OrderBench, 'a technician’s trial': TrialBench } as const;

function quoted(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}

/** Spreads cuts over the calls of each way; before half of them the log of the file system was written. */
async function cutAll(t: Test, Payload: (typeof BENCHES)[keyof typeof BENCHES]): Promise<void> {
  t.comment(`seed ${SEED}`);
  const random = randomOf(SEED);
  const libraries = cutLibraries(t, true);
  const counts = new Map<string, { calls: number; cuts: number; hits: number; new: number }>();
  let bench = new Payload(await Bench.box(t, libraries));
  const ways = Object.entries(bench.ways);
  const first = Math.floor(random() * ways.length);
  for (let doneCount = 0; doneCount < CUTS; doneCount += 1) {
    if (doneCount > 0 && doneCount % CUTS_A_BOX === 0) bench = new Payload(await Bench.box(t, libraries));
    const [way, about] = ways[(first + doneCount) % ways.length] ?? ['', 0];
    const count = counts.get(way) ?? { calls: about, cuts: 0, hits: 0, new: 0 };
    counts.set(way, count);
    // One cut of each way after its end, to count its calls.
    const isFirst = FULL && count.cuts === 0;
    const ratio = (count.cuts - (FULL ? 1 : 0) + random()) / Math.max(1, CUTS / ways.length);
    const cutPlan = { at: isFirst ? AT_ITS_END : Math.floor(ratio * count.calls), logged: random() < 0.5 };
    const { faults, calls, isNew } = await bench.runCut(way, cutPlan);
    const context = calls === undefined ? `before call ${cutPlan.at}` : `after its ${calls} calls`;
    t.strictSame(
      faults,
      [],
      `cut ${doneCount + 1}: ${way}, ${context}${cutPlan.logged ? ', the log written' : ''}`,
    );
    count.cuts += 1;
    if (calls === undefined) count.hits += 1;
    else count.calls = calls;
    if (isNew) count.new += 1;
    // A faulty box proves nothing about the next cut.
    if (faults.length > 0) bench = new Payload(await Bench.box(t, libraries));
  }
  const hits = [...counts.values()].reduce((sum, count) => sum + count.hits, 0);
  t.ok(hits > CUTS / 2, `${hits} of ${CUTS} cuts came before the end of the program`);
  for (const [way, { calls, cuts, hits: before, new: newCount }] of counts) {
    t.comment(
      `${way}: ${cuts} cuts, ${before} before its end, of about ${calls} calls; ${cuts - newCount} former, ${newCount} new`,
    );
  }
}

void t.test(
  'a power cut in a room’s order leaves an old or new file',
  { skip: SmallDisk.unavailable() },
  (t) => cutAll(t, OrderBench),
);
void t.test('a power cut in a trial leaves an old or new file', { skip: SmallDisk.unavailable() }, (t) =>
  cutAll(t, TrialBench),
);

for (const [name, Payload] of Object.entries(BENCHES)) {
  void t.test(
    `control: without waiting for the disk a configuration is mixed or lost: ${name}`,
    { skip: SmallDisk.unavailable() || unlessFull },
    async (t) => {
      const libraries = cutLibraries(t, false);
      const broken: string[] = [];
      const tries = FULL ? 10 : 4;
      let cuts = 0;
      for (; cuts < tries && (FULL || broken.length === 0); cuts += 1) {
        const bench = new Payload(await Bench.box(t, libraries));
        const ways = Object.keys(bench.ways);
        const way = String(ways[cuts % ways.length]);
        const { faults } = await bench.runCut(way, { at: AT_ITS_END, logged: cuts % 2 === 0 });
        if (faults.length > 0) broken.push(`${way}: ${faults.length} faults, ${faults[0]}`);
      }
      t.ok(broken.length > 0, `${broken.length} of ${cuts} cuts: ${broken.join(' | ')}`);
    },
  );
}
