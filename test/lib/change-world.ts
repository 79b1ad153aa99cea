/** A box whose changes the real state machine carries out over a made-up payload, and may be cut at any point. */
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { Value } from '@sinclair/typebox/value';
import type { AgentError } from '../../agent/base/errors.ts';
import { sha256Of } from '../../agent/base/sha256.ts';
import type { Mode } from '../../agent/contract/mode.ts';
import { CHANGE_KINDS, CONFIG_ORDER_TYPE, UPDATE_ORDER_TYPE } from '../../agent/contract/update.ts';
import type { ConfigurationPayload } from '../../scripts/products/root/change/configuration-payload.ts';
import { Machine } from '../../scripts/products/root/change/machine.ts';
import { AT_REST, Change, type Kind, ON_TRIAL } from '../../scripts/products/root/change/record.ts';
import { ConfigurationRequests } from '../../scripts/products/root/change/requests.ts';
import { nextAction } from '../../scripts/products/root/change/step.ts';
import { Store } from '../../scripts/products/root/change/store.ts';
import { clockProblem } from '../../scripts/products/root/clock.ts';
import { makeSigner, signed } from './commands.ts';
import { MadeUpPayload, targetNumbered } from './made-up-payload.ts';
import { PROPOSAL } from './proposal.ts';
import { BOX, SITE } from './room.ts';

export const DAY_MS = 86_400_000;
export const NOON = Date.parse('2026-11-25T11:00:00.000Z');
const iso = (ms: number): string => new Date(ms).toISOString();
/** Thrown where a program is killed or the box loses power. */
export class Interruption extends Error {}

/** The only phases from which each of these is reached. */
const FROM: Partial<Record<Change['phase'], readonly Change['phase'][]>> = {
  verified: ['downloading', 'waiting'],
  switching: ['staged'],
  probation: ['switching', 'awaits-resume'],
  'awaits-resume': ['probation'],
  'rolled-back': ['switching', 'probation', 'awaits-resume'],
};

/** Throws where a step of a change is none that is allowed. */
function checkStep(before: Change, after: Change): void {
  if (!Value.Check(Change, after)) throw new Error(`not of its form: ${JSON.stringify(after)}`);
  const [from, to] = [before.phase, after.phase];
  if (from !== to && FROM[to]?.includes(from) === false) throw new Error(`${from} → ${to}`);
  if (!AT_REST.has(to) && nextAction(after) === 'none') throw new Error(`${to} without a way on`);
  const isReturning = ON_TRIAL.has(from) && before.trial?.returning != null;
  if (isReturning && ON_TRIAL.has(to) && after.trial?.returning == null)
    throw new Error(`a way back was given up in ${to}`);
  if (isReturning && (to === 'confirmed' || to === 'awaits-resume')) throw new Error(`${to} on the way back`);
  for (const [keyid, { counter }] of Object.entries(before.counters))
    if ((after.counters[keyid]?.counter ?? 0) < counter - 1)
      throw new Error(`the counter fell from ${counter}`);
}

/** A store that checks each step, and may be cut before and after it. */
export class CuttableStore extends Store {
  cutPoint: () => void = () => undefined;

  override put(...words: Parameters<Store['put']>): void {
    this.#step(words[0], () => super.put(...words));
  }

  override putAnyway(...words: Parameters<Store['putAnyway']>): void {
    this.#step(words[0], () => super.putAnyway(...words));
  }

  override set(...words: Parameters<Store['set']>): void {
    this.cutPoint();
    super.set(...words);
    this.cutPoint();
  }

  #step(kind: Kind, write: () => void): void {
    this.cutPoint();
    const before = this.state[kind];
    write();
    checkStep(before, this.state[kind]);
    this.cutPoint();
  }
}

export const DAMAGES = ['missing', 'empty', 'half', 'later', 'folder', 'link', 'older'] as const;
export type Damage = (typeof DAMAGES)[number];
const FILES = ['state.json', 'history.jsonl', 'update.json', 'configuration.json'] as const;

export interface Snapshot {
  readonly files: Map<string, Buffer | null>;
  readonly payloads: ReturnType<MadeUpPayload['variables']>[];
  readonly own: Pick<Simulation, 'nowMs' | 'boottimeS' | 'boot' | 'mode'>;
  readonly counter: number;
}

export class Simulation {
  readonly dir = mkdtempSync('/dev/shm/vigie-change-');
  readonly ops = makeSigner('ops', ['update', 'configure']);
  nowMs = NOON;
  boottimeS = 1000;
  boot = 'boot-1';
  fetchError: AgentError | undefined;
  /** Resolves when a release is fetched. */
  download: Promise<void> = Promise.resolve();
  mode: Mode = 'active';
  /** Number of points until the next cut; undefined means no cut. */
  cutIn: number | undefined;
  store: CuttableStore;
  machine: Machine;
  readonly payloads = {
    release: new MadeUpPayload('release', this),
    configuration: new MadeUpPayload('configuration', this),
    root: new MadeUpPayload('root', this),
  };
  #counter = NOON;
  /** Ends with the last action under the lock. */
  #lock: Promise<unknown> = Promise.resolve();
  /** Orders by their hash. */
  readonly #ordered = new Map<string, string>();

  constructor() {
    [this.store, this.machine] = this.#program();
    this.store.load();
  }

  cutPoint(): void {
    if (this.cutIn === undefined) return;
    if (this.cutIn > 0) this.cutIn -= 1;
    else {
      this.cutIn = undefined;
      throw new Interruption();
    }
  }

  /** Starts a program of root's, with the content of the disk. */
  #program(): [CuttableStore, Machine] {
    const clock = {
      wallMs: () => this.nowMs,
      boottimeS: () => this.boottimeS,
      bootId: () => this.boot,
      synced: () => false,
      sleep: () => Promise.resolve(),
    };
    const { payloads } = this;
    const store = new CuttableStore(this.dir, clock, {
      say: () => undefined,
      onChange: () => undefined,
      remains: {
        current: (kind) => payloads[kind].current,
        beforeTrial: (kind) => payloads[kind].sign,
      },
    });
    store.cutPoint = () => this.cutPoint();
    const started = (): Promise<void> => {
      for (const payload of Object.values(payloads)) payload.runs = payload.is;
      return Promise.resolve();
    };
    const machine = new Machine({
      store,
      payloads,
      clock,
      orders: {
        // As on a box, an order is for one program or for the other.
        file: (kind) => this.#file(kind),
        reader: () => ({
          site: SITE,
          box: BOX,
          keys: [this.ops.config],
          wallMs: () => Number.POSITIVE_INFINITY,
        }),
        take: (_kind, order) => {
          const number = 'seq' in order ? order.seq : order.revision;
          return { target: targetNumbered(number) };
        },
      },
      clockDoubt: () => clockProblem(clock, { seenMs: store.state.seenMs, madeMs: NOON - 30 * DAY_MS }),
      units: { start: started, restart: started, resetFailed: () => Promise.resolve() },
      locked: (action) => {
        // As on a box, where the advance of a release and that of a configuration run side by side.
        const result = this.#lock.then(action);
        this.#lock = result.catch(() => undefined);
        return result;
      },
      mode: () => Promise.resolve(this.mode),
      isLawful: () => true,
      say: () => undefined,
    });
    return [store, machine];
  }

  order(kind: Kind, action: 'install' | 'pause' | 'withdraw', number: number): void {
    this.#counter += 1;
    const dates = { notBefore: iso(this.nowMs - 60_000), notAfter: iso(this.nowMs + 7 * DAY_MS) };
    const same = {
      rollout: `r${this.#counter}`,
      site: SITE,
      box: BOX,
      action,
      counter: this.#counter,
      window: null,
    };
    const { name: version } = targetNumbered(number);
    const yaml = 'x';
    const content =
      kind !== 'configuration'
        ? { ...same, ...dates, what: kind, seq: number, version }
        : { ...same, ...dates, revision: number, sha256: 'd'.repeat(64), yaml };
    const type = kind === 'configuration' ? CONFIG_ORDER_TYPE : UPDATE_ORDER_TYPE;
    const bytes = signed(this.ops, content, type);
    this.#ordered.set(sha256Of(bytes), `${kind} ${action} ${number}`);
    writeFileSync(this.#file(kind), bytes);
  }

  /** Describes the orders that lie there and have not been taken. */
  openOrders(): string[] {
    const hashes = new Set(
      CHANGE_KINDS.flatMap((kind) => {
        const { counters, refusal } = this.store.state[kind];
        return [...Object.values(counters).map(({ sha256 }) => sha256), refusal?.sha256];
      }),
    );
    return [...new Set(CHANGE_KINDS.map((kind) => this.#file(kind)))].flatMap((file) => {
      if (!existsSync(file)) return [];
      const bytes = readFileSync(file);
      return hashes.has(sha256Of(bytes)) ? [] : [this.#ordered.get(sha256Of(bytes)) ?? ''];
    });
  }

  #file(kind: Kind): string {
    return join(this.dir, kind === 'configuration' ? 'configuration.json' : 'update.json');
  }

  /** Runs an action as a program of root's would. A cut ends the program, or cuts the power. */
  async perform(action: (machine: Machine) => Promise<void>, power: boolean): Promise<void> {
    try {
      await action(this.machine);
    } catch (error) {
      if (!(error instanceof Interruption)) throw error;
      await this.comesBack(power);
    }
  }

  async comesBack(power: boolean): Promise<void> {
    const { cutIn } = this;
    this.cutIn = undefined;
    if (power) {
      this.boot = `${this.boot}+`;
      this.boottimeS = 20;
    }
    [this.store, this.machine] = this.#program();
    this.store.load();
    await this.machine.recover(power);
    if (power) for (const payload of Object.values(this.payloads)) payload.runs = payload.is;
    this.cutIn = cutIn;
  }

  async assess(verdict: 'good' | 'bad', power: boolean): Promise<void> {
    await this.perform(async (machine) => {
      for (const kind of CHANGE_KINDS) {
        if (nextAction(machine.state[kind]) !== 'judge') continue;
        const payload = this.payloads[kind];
        const is = payload.installed(machine.state[kind]);
        if (verdict === 'bad' || is !== 'target') await machine.rollBack(kind, 'it crashed');
        else if (payload.needsActive && this.mode !== 'active') machine.apply(kind, { on: 'parked' });
        else {
          if (payload.is !== 'foreign') payload.proven.push(payload.is);
          machine.confirm(kind);
        }
      }
    }, power);
  }

  /** Replaces a file of root's; `older` is the content of an earlier time. */
  damage(name: 'state.json' | 'history.jsonl', damage: Damage, older: Buffer | undefined): void {
    const file = join(this.dir, name);
    const content = existsSync(file) && lstatSync(file).isFile() ? readFileSync(file) : Buffer.from('{}');
    rmSync(file, { recursive: true, force: true });
    if (damage === 'half') writeFileSync(file, content.subarray(0, content.length / 2));
    if (damage === 'folder') mkdirSync(join(file, 'x'), { recursive: true });
    if (damage === 'link') symlinkSync(file, file);
    if (damage === 'empty') writeFileSync(file, '');
    if (damage === 'later') writeFileSync(file, content.toString().replace('"version":1', '"version":2'));
    if (damage === 'older' && older !== undefined) writeFileSync(file, older);
  }

  /** A technician's request, answered by the real program's part for it. */
  async ask(op: 'try' | 'keep' | 'revert'): Promise<void> {
    const { configuration } = this.payloads;
    const requests = new ConfigurationRequests({
      file: join(this.dir, 'vigie.yaml'),
      machine: this.machine,
      payload: configuration as unknown as ConfigurationPayload,
      clock: { boottimeS: () => this.boottimeS },
      validator: {
        proposable: () => undefined,
        shownSha256: () => undefined,
        edited: () => {
          this.#counter += 1;
          return `tried ${this.#counter}`;
        },
        problems: () => [],
      },
    });
    const trial = this.store.state.configuration.trial?.id ?? '0'.repeat(16);
    if (op === 'keep' && trial === this.store.state.configuration.trial?.id && configuration.current !== null)
      configuration.proven.push(configuration.current);
    await requests.answer(JSON.stringify(op === 'try' ? { op, proposal: PROPOSAL } : { op, trial }));
  }

  /** Copies everything that lasts, for `restore`. */
  snapshot(): Snapshot {
    const files = new Map<string, Buffer | null>();
    for (const name of FILES) {
      const stat = lstatSync(join(this.dir, name), { throwIfNoEntry: false });
      if (stat !== undefined) files.set(name, stat.isFile() ? readFileSync(join(this.dir, name)) : null);
    }
    const payloads = CHANGE_KINDS.map((kind) => this.payloads[kind].variables());
    const { nowMs, boottimeS, boot, mode } = this;
    return structuredClone({
      files,
      payloads,
      own: { nowMs, boottimeS, boot, mode },
      counter: this.#counter,
    });
  }

  restore({ files, payloads, own, counter }: Snapshot): void {
    for (const name of FILES) {
      const content = files.get(name);
      const file = join(this.dir, name);
      rmSync(file, { recursive: true, force: true });
      if (content === null) mkdirSync(join(file, 'x'), { recursive: true });
      else if (content !== undefined) writeFileSync(file, content);
    }
    for (const [i, kind] of CHANGE_KINDS.entries())
      Object.assign(this.payloads[kind], structuredClone(payloads[i]));
    Object.assign(this, own);
    this.#counter = counter;
    this.cutIn = undefined;
    [this.store, this.machine] = this.#program();
    this.store.load();
  }

  end(): void {
    rmSync(this.dir, { recursive: true });
  }
}
