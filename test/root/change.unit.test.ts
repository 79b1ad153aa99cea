/**
 * The change machine of root's program under every interleaving of orders, pauses, withdrawals, clock steps, cuts and damaged
 * records: the transition function by itself, and the machine over a payload that is made up.
 */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Value } from '@sinclair/typebox/value';
import fc from 'fast-check';
import t from 'tap';
import { AgentError } from '../../agent/base/errors.ts';
import { CHANGE_KINDS, CONFIG_ORDER_TYPE, UPDATE_ORDER_TYPE } from '../../agent/contract/update.ts';
import { Machine } from '../../scripts/programs/root/change/machine.ts';
import type { Left, Payload } from '../../scripts/programs/root/change/payload.ts';
import {
  AT_REST,
  Change,
  FIRST_CHANGE,
  type Kind,
  ON_TRIAL,
  type State,
  SWITCHED,
  sameTarget,
  type Target,
  type Trial,
} from '../../scripts/programs/root/change/record.ts';
import { actOf, type Input, type Installed, step } from '../../scripts/programs/root/change/step.ts';
import { Store } from '../../scripts/programs/root/change/store.ts';
import { clockFault } from '../../scripts/programs/root/clock.ts';
import { makeSigner, signed } from '../lib/commands.ts';
import { SEED } from '../lib/random.ts';
import { BOX, SITE } from '../lib/room.ts';

const FULL = process.env['VIGIE_TEST_FULL'] === '1';
const RUNS = { numRuns: FULL ? 5000 : 500, seed: SEED } as const;
const DAY_MS = 86_400_000;
const NOON = Date.parse('2026-11-25T11:00:00.000Z');
const iso = (ms: number): string => new Date(ms).toISOString();
const targetNumbered = (number: number): Target => ({ number, name: `0.${number}.0` });
const TRIAL: Trial = {
  id: null,
  from: targetNumbered(1),
  before: null,
  started: ['vigie.service'],
  files: null,
  restarts: 0,
  boots: 0,
  beganS: null,
  returning: null,
};
const KEY = 'a'.repeat(64);

const reason = fc.constantFrom('one', 'two');
const installed = fc.constantFrom<Installed>('target', 'from', 'other', 'nothing');
const anyInput = fc.oneof(
  fc.record({
    on: fc.constant('order' as const),
    action: fc.constantFrom('install', 'pause', 'withdraw'),
    keyid: fc.constant(KEY),
    sha256: fc.constant('b'.repeat(64)),
    order: fc.record({
      rollout: fc.constantFrom('spring', 'summer'),
      counter: fc.integer({ min: 1, max: 9 }),
      notBefore: fc.constant(iso(NOON)),
      notAfter: fc.constant(iso(NOON + DAY_MS)),
      window: fc.constant(null),
      may: fc.constant([]),
    }),
    target: fc.integer({ min: 2, max: 4 }).map(targetNumbered),
    relation: fc.constantFrom(
      { is: 'new' as const },
      { is: 'running' as const },
      { is: 'refused' as const, reason: 'older' },
    ),
  }),
  fc.record({ on: fc.constant('order-refused' as const), sha256: fc.constant('c'.repeat(64)), reason }),
  fc.record({
    on: fc.constant('begin' as const),
    phase: fc.constantFrom('verified', 'staged'),
    target: fc.constant(targetNumbered(5)),
    reason,
  }),
  fc.record({ on: fc.constant('boot' as const), installed, atS: fc.integer({ min: 0, max: 99 }) }),
  fc.constantFrom<Input>(
    { on: 'recover' },
    { on: 'restart' },
    { on: 'fetched' },
    { on: 'staged' },
    { on: 'good' },
    { on: 'parked' },
    { on: 'gate', gate: undefined },
    { on: 'gate', gate: { wait: 'later' } },
    { on: 'gate', gate: { wait: 'window', outsideWindow: true } },
    { on: 'gate', gate: { fail: 'ended' } },
    { on: 'fetch-later', reason: 'no route' },
    { on: 'fetch-rotten', reason: 'rotten', atS: 5 },
    { on: 'fail', reason: 'broken' },
    { on: 'switch', trial: TRIAL },
    { on: 'switched', restarts: 0, atS: 3 },
    { on: 'resumed', atS: 4 },
    { on: 'doubt', reason: 'slow' },
    { on: 'bad', reason: 'it crashed' },
  ),
  fc.record({ on: fc.constant('switch-failed' as const), reason, installed }),
  fc.record({
    on: fc.constant('returned' as const),
    found: fc.constantFrom('from', 'other', 'nothing'),
    reason,
  }),
);

/** Where each phase may lead; at rest only an order or a person leads on. */
const NEXT: Readonly<Record<Change['phase'], readonly Change['phase'][]>> = {
  idle: [],
  confirmed: [],
  'rolled-back': [],
  failed: [],
  waiting: ['downloading', 'failed', 'idle'],
  downloading: ['verified', 'waiting', 'failed', 'idle'],
  verified: ['staged', 'downloading', 'waiting', 'failed', 'idle'],
  staged: ['switching', 'failed', 'idle'],
  switching: ['probation', 'staged', 'rolled-back', 'failed'],
  probation: ['confirmed', 'awaits-resume', 'rolled-back', 'failed'],
  'awaits-resume': ['probation', 'rolled-back', 'failed'],
};

void t.test('the transition function, by itself', (t) => {
  fc.assert(
    fc.property(fc.constantFrom(...CHANGE_KINDS), fc.array(anyInput, { maxLength: 60 }), (kind, inputs) => {
      let change: Change = FIRST_CHANGE;
      for (const input of inputs as Input[]) {
        const isOrder = input.on === 'order' || input.on === 'begin';
        // The machine keeps these from a switch.
        if (input.on === 'order' && SWITCHED.has(change.phase)) continue;
        if (input.on === 'order' && input.order.counter <= (change.counters[KEY]?.counter ?? 0)) continue;
        if (input.on === 'begin' && ON_TRIAL.has(change.phase)) continue;
        const next = step(kind, change, input);
        if (!Value.Check(Change, next)) throw new Error(`not of its form: ${JSON.stringify(next)}`);
        if (next.phase !== change.phase && !isOrder && !NEXT[change.phase].includes(next.phase))
          throw new Error(`${change.phase} → ${next.phase} by ${input.on}`);
        const returning = change.trial?.returning;
        if (returning != null && ON_TRIAL.has(next.phase) && next.trial?.returning == null)
          throw new Error(`a way back was given up by ${input.on}`);
        if (
          returning != null &&
          ON_TRIAL.has(change.phase) &&
          ['confirmed', 'awaits-resume'].includes(next.phase)
        )
          throw new Error(`confirmed on the way back by ${input.on}`);
        if (AT_REST.has(next.phase) && actOf(next) !== 'none') throw new Error('at rest, and not done');
        if (!AT_REST.has(next.phase) && actOf(next) === 'none')
          throw new Error(`${next.phase} without a way on`);
        for (const [keyid, { counter }] of Object.entries(change.counters)) {
          const after = next.counters[keyid]?.counter ?? 0;
          if (after < counter - 1) throw new Error(`the counter fell from ${counter} to ${after}`);
        }
        change = next;
      }
    }),
    RUNS,
  );
  t.pass(`seed ${SEED}`);
  t.end();
});

/** A program that is killed, or a box whose power goes. */
class Cut extends Error {}

class CuttableStore extends Store {
  cut: () => void = () => undefined;

  override put(...words: Parameters<Store['put']>): void {
    this.cut();
    super.put(...words);
    this.cut();
  }

  override putAnyway(...words: Parameters<Store['putAnyway']>): void {
    this.cut();
    super.putAnyway(...words);
    this.cut();
  }

  override set(...words: Parameters<Store['set']>): void {
    this.cut();
    super.set(...words);
    this.cut();
  }
}

/** A payload whose disk is a variable. */
class MadeUpPayload implements Payload {
  readonly kind: Kind;
  readonly needsActive: boolean;
  readonly #world: World;
  is: Target | 'foreign' = targetNumbered(1);
  /** All that has ever proved itself, or was there at first. */
  readonly proven = [targetNumbered(1)];
  former: Target | null = null;
  staged: Target | null = null;
  /** What the agent was started with. */
  runs: Target | 'foreign' | null = targetNumbered(1);

  constructor(kind: Kind, world: World) {
    this.kind = kind;
    this.needsActive = kind === 'configuration';
    this.#world = world;
  }

  get current(): Target | null {
    return this.is === 'foreign' ? null : this.is;
  }

  relation(target: Target) {
    const { current } = this;
    if (sameTarget(current, target)) return { is: 'running' as const };
    if (this.kind === 'release' && current !== null && target.number < current.number)
      return { is: 'refused' as const, reason: 'older' };
    return { is: 'new' as const };
  }

  installed({ target, trial }: Change): Installed {
    if (sameTarget(this.current, target)) return 'target';
    return sameTarget(this.current, trial?.from ?? null) ? 'from' : 'other';
  }

  learnt() {
    return {};
  }

  fetch(): Promise<void> {
    this.#world.cut();
    const { fetchFault } = this.#world;
    return fetchFault === undefined ? Promise.resolve() : Promise.reject(fetchFault);
  }

  stage({ target }: Change): Promise<void> {
    this.#world.cut();
    this.staged = target;
    this.#world.cut();
    return Promise.resolve();
  }

  verifyStaged({ target }: Change): Promise<void> {
    if (this.kind === 'configuration') this.staged = target;
    if (sameTarget(this.staged, target)) return Promise.resolve();
    return Promise.reject(new AgentError('corrupt', 'what was staged is not there any more'));
  }

  trial(): Promise<Trial> {
    return Promise.resolve({ ...TRIAL, from: this.current });
  }

  enter(change: Change): Promise<readonly string[]> {
    const found = this.installed(change);
    if (found === 'other') return Promise.reject(new AgentError('denied', 'somebody else has changed it'));
    if (found === 'from') this.former = this.current;
    this.#world.cut();
    this.runs = null;
    this.#world.cut();
    if (change.target !== null) this.is = change.target;
    this.#world.cut();
    return Promise.resolve(['vigie.service']);
  }

  leave(change: Change, { from }: Trial, booting: boolean): Promise<Left> {
    const found = this.installed(change);
    const starts = booting ? [] : ['vigie.service'];
    const foreign = { found: 'other' as const, reason: 'somebody else has changed it', starts };
    if (found === 'other') return Promise.resolve(foreign);
    const former = from ?? this.former;
    if (former === null)
      return Promise.resolve({ found: 'nothing', reason: 'nothing to go back to', starts });
    this.#world.cut();
    this.is = former;
    this.#world.cut();
    return Promise.resolve({ found: 'from', reason: '', starts });
  }

  restarts(): Promise<number> {
    return Promise.resolve(0);
  }

  startsAtAll() {
    return Promise.resolve({ state: 'good' as const });
  }

  times() {
    return { healthyS: 1, withinS: 2 };
  }

  tidy({ [this.kind]: { phase } }: State): void {
    if (AT_REST.has(phase)) this.staged = null;
    if (AT_REST.has(phase)) this.former = null;
  }
}

class World {
  readonly dir = mkdtempSync('/dev/shm/vigie-change-');
  readonly ops = makeSigner('ops', ['update', 'configure']);
  nowMs = NOON;
  boottimeS = 1000;
  boot = 'boot-1';
  fetchFault: AgentError | undefined;
  mode = 'active';
  /** Points until the next cut; undefined: none comes. */
  cutIn: number | undefined;
  store: CuttableStore;
  machine: Machine;
  readonly payloads = {
    release: new MadeUpPayload('release', this),
    configuration: new MadeUpPayload('configuration', this),
  };
  #counter = NOON;
  readonly #orders: Partial<Record<Kind, string>> = {};

  constructor() {
    [this.store, this.machine] = this.#program();
    this.store.load();
  }

  cut(): void {
    if (this.cutIn === undefined) return;
    if (this.cutIn > 0) this.cutIn -= 1;
    else {
      this.cutIn = undefined;
      throw new Cut();
    }
  }

  /** A program of root's, with what lies on the disk. */
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
      changed: () => undefined,
      remains: {
        current: () => payloads.release.current,
        isConfigurationOnTrial: () => payloads.configuration.former !== null,
      },
    });
    store.cut = () => this.cut();
    const started = (): Promise<void> => {
      for (const payload of Object.values(payloads)) payload.runs = payload.is;
      return Promise.resolve();
    };
    const machine = new Machine({
      store,
      payloads,
      clock,
      orders: {
        file: (kind) => join(this.dir, `${kind}.json`),
        reader: () => ({
          ...{ site: SITE, box: BOX, keys: [this.ops.config] },
          wallMs: () => Number.POSITIVE_INFINITY,
        }),
        take: (_kind, order) => {
          const number = 'seq' in order ? order.seq : order.revision;
          return { target: targetNumbered(number) };
        },
      },
      clockDoubt: () => clockFault(clock, { seenMs: store.state.seenMs, madeMs: NOON - 30 * DAY_MS }),
      units: { start: started, resetFailed: () => Promise.resolve() },
      locked: (act) => act(),
      mode: () => Promise.resolve(this.mode),
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
      kind === 'release'
        ? { ...same, ...dates, seq: number, version }
        : { ...same, ...dates, revision: number, sha256: 'd'.repeat(64), yaml };
    const type = kind === 'release' ? UPDATE_ORDER_TYPE : CONFIG_ORDER_TYPE;
    writeFileSync(join(this.dir, `${kind}.json`), signed(this.ops, content, type));
    this.#orders[kind] = action;
  }

  /** Does it as a program of root's would; a cut ends the program, or the power goes. */
  async does(act: (machine: Machine) => Promise<void>, power: boolean): Promise<void> {
    try {
      await act(this.machine);
    } catch (error) {
      if (!(error instanceof Cut)) throw error;
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

  async judges(verdict: 'good' | 'bad', power: boolean): Promise<void> {
    await this.does(async (machine) => {
      for (const kind of CHANGE_KINDS) {
        if (actOf(machine.state[kind]) !== 'judge') continue;
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

  damage(how: number): void {
    const file = join(this.dir, ['state.json', 'history.jsonl'][how % 2] ?? '');
    rmSync(file, { recursive: true, force: true });
    if (how % 5 === 1) writeFileSync(file, '{"version":1,');
    if (how % 5 === 2) mkdirSync(join(file, 'x'), { recursive: true });
    if (how % 5 === 3) symlinkSync(file, file);
    if (how % 5 === 4) writeFileSync(file, '');
  }

  end(): void {
    rmSync(this.dir, { recursive: true });
  }
}

type Event =
  | {
      readonly is: 'order';
      readonly kind: Kind;
      readonly action: 'install' | 'pause' | 'withdraw';
      readonly number: number;
    }
  | {
      readonly is: 'run' | 'cut' | 'clock' | 'damage' | 'fetch' | 'mode' | 'foreign';
      readonly n: number;
      readonly power: boolean;
    }
  | { readonly is: 'judge'; readonly verdict: 'good' | 'bad'; readonly power: boolean };

const anyEvent: fc.Arbitrary<Event> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ is: fc.constant('run' as const), n: fc.nat(3), power: fc.boolean() }) },
  {
    weight: 3,
    arbitrary: fc.record({
      is: fc.constant('order' as const),
      kind: fc.constantFrom(...CHANGE_KINDS),
      action: fc.constantFrom('install', 'install', 'install', 'pause', 'withdraw'),
      number: fc.integer({ min: 1, max: 5 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      is: fc.constant('judge' as const),
      verdict: fc.constantFrom('good', 'bad'),
      power: fc.boolean(),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ is: fc.constant('cut' as const), n: fc.nat(12), power: fc.boolean() }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      is: fc.constantFrom('clock' as const, 'damage' as const, 'fetch' as const, 'mode' as const),
      n: fc.nat(99),
      power: fc.boolean(),
    }),
  },
);

async function happens(world: World, event: Event): Promise<void> {
  switch (event.is) {
    case 'order':
      world.order(event.kind, event.action, event.number);
      return;
    case 'run':
      await world.does((machine) => machine.run(() => undefined), event.power);
      return;
    case 'judge':
      await world.judges(event.verdict, event.power);
      return;
    case 'cut':
      world.cutIn = event.n;
      return;
    case 'clock':
      world.nowMs += (event.n - 50) * DAY_MS;
      return;
    case 'damage':
      world.damage(event.n);
      await world.comesBack(event.power);
      return;
    case 'fetch':
      world.fetchFault = [
        undefined,
        new AgentError('unavailable', 'no route'),
        new AgentError('corrupt', 'rotten'),
      ][event.n % 3];
      return;
    case 'mode':
      world.mode = event.n % 2 === 0 ? 'active' : 'suspended';
  }
}

/** All faults are over; returns what is wrong with where it ends. */
async function endOf(world: World): Promise<string | undefined> {
  world.cutIn = undefined;
  world.fetchFault = undefined;
  world.mode = 'active';
  // Past all that the box has acted on: until then it waits for the network.
  world.nowMs = Math.max(world.nowMs, NOON, world.store.state.seenMs) + 3 * DAY_MS;
  world.boottimeS += 3 * 86_400;
  await world.comesBack(false);
  const settled = async (): Promise<void> => {
    for (let n = 0; n < 4; n += 1) {
      await world.does((machine) => machine.run(() => undefined), false);
      await world.judges('good', false);
    }
  };
  await settled();
  for (const kind of CHANGE_KINDS) {
    const payload = world.payloads[kind];
    const { phase, reason, target, trial } = world.store.state[kind];
    const where = `${kind} ${phase} (${reason})`;
    const waits = (phase === 'waiting' || phase === 'staged') && reason !== null;
    if (!AT_REST.has(phase) && !waits) return `${where}: no end`;
    if (JSON.stringify(payload.runs) !== JSON.stringify(payload.is))
      return `${where}: the agent runs with another`;
    if (phase === 'confirmed' && !sameTarget(payload.current, target)) return `${where}: it is not there`;
    if (phase === 'rolled-back' && trial !== null && sameTarget(payload.current, target))
      return `${where}: it is still there`;
    if (!payload.proven.some((one) => sameTarget(one, payload.current)))
      return `${where}: ${JSON.stringify(payload.is)} runs and was never judged good`;
    // And a way on.
    world.order(kind, 'install', 9);
    await settled();
    const after = world.store.state[kind];
    if (after.phase !== 'confirmed' || payload.current?.number !== 9)
      return `${where}: a new order ends ${after.phase} (${after.reason}), ${JSON.stringify(after.refused)}`;
  }
  return undefined;
}

void t.test('the machine, whatever is cut, ordered, damaged and set', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyEvent, { minLength: 5, maxLength: 40 }), async (events) => {
      const world = new World();
      try {
        for (const event of events) await happens(world, event);
        const fault = await endOf(world);
        if (fault !== undefined) throw new Error(fault);
      } finally {
        world.end();
      }
    }),
    { ...RUNS, numRuns: FULL ? 3000 : 100 },
  );
  t.pass(`seed ${SEED}`);
});
