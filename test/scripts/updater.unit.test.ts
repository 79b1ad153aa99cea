/** What the updater decides: orders, times, boots, probation; its own code in this process, with a clock that is set. */

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { AgentError } from '../../agent/base/errors.ts';
import { type AgentHealth, Probation } from '../../agent/base/probation.ts';
import { releaseName } from '../../agent/contract/release.ts';
import { UPDATE_ORDER_TYPE, type UpdateOrder } from '../../agent/contract/update.ts';
import { manifestText } from '../../scripts/lib/manifest.ts';
import { repair } from '../../scripts/programs/root/boot.ts';
import type { Context } from '../../scripts/programs/root/context.ts';
import { Engine } from '../../scripts/programs/root/engine.ts';
import { DEFAULT_PLACES } from '../../scripts/programs/root/places.ts';
import type { State } from '../../scripts/programs/root/record.ts';
import { ReleaseFolder } from '../../scripts/programs/root/releases.ts';
import type { ReleaseSource } from '../../scripts/programs/root/source.ts';
import { Store } from '../../scripts/programs/root/store.ts';
import { makeSigner, signed } from '../lib/commands.ts';
import { scratch } from '../lib/paths.ts';
import { BOX, SITE } from '../lib/room.ts';

const DAY_MS = 86_400_000;
/** Wednesday, noon in Paris. */
const NOON = Date.parse('2026-11-25T11:00:00.000Z');
const version = (seq: number): string => `0.${seq}.0`;
const iso = (ms: number): string => new Date(ms).toISOString();

class Bench {
  readonly dir: string;
  readonly said: string[] = [];
  readonly asked: string[] = [];
  readonly ops = makeSigner('ops', ['update']);
  nowMs = NOON;
  boottimeS = 1000;
  boot = 'boot-1';
  synced = false;
  /** Why there is nothing to be had. */
  fault: AgentError | undefined;
  misfit: string | undefined;
  #counter = 0;
  readonly context: Context;

  constructor(t: Test) {
    this.dir = scratch(t);
    const places = { ...DEFAULT_PLACES, lib: join(this.dir, 'lib'), state: join(this.dir, 'state') };
    const own = { ...places, agentState: join(this.dir, 'agent'), config: join(this.dir, 'vigie.yaml') };
    for (const dir of [join(own.lib, 'releases'), own.state, own.agentState])
      mkdirSync(dir, { recursive: true });
    const clock = {
      wallMs: () => this.nowMs,
      boottimeS: () => this.boottimeS,
      bootId: () => this.boot,
      synced: () => this.synced,
      sleep: () => Promise.resolve(),
    };
    const say = (line: string): void => void this.said.push(line);
    const releases = new ReleaseFolder(own.lib);
    const store = new Store(own.state, clock, {
      say,
      changed: () => undefined,
      current: () => releases.current(),
    });
    const note = (what: string, units: readonly string[] = []): Promise<void> => {
      this.asked.push([what, ...units].join(' '));
      return Promise.resolve();
    };
    const units: Context['units'] = {
      wereStarted: (asked) => Promise.resolve(asked.slice(0, 1)),
      stop: (units) => note('stop', units),
      start: (units) => note('start', units),
      reload: () => note('reload'),
      resetFailed: () => Promise.resolve(),
      state: () => Promise.resolve({ active: true, gaveUp: undefined, restarts: 0 }),
    };
    this.context = {
      places: own,
      clock,
      store,
      releases,
      units,
      health: () => Promise.resolve(undefined),
      say,
    };
    this.lay(1);
    releases.point({ seq: 1, version: version(1) });
    store.load();
  }

  get state(): State {
    return this.context.store.state;
  }

  get phase(): string {
    return this.state.phase;
  }

  lay(seq: number): void {
    const dir = join(this.context.places.lib, 'releases', releaseName(seq, version(seq)));
    mkdirSync(dir, { recursive: true });
    const said = { seq, version: version(seq), arch: 'amd64', stateWrites: 1, stateReads: [1, 1] };
    const text = JSON.stringify(said);
    writeFileSync(join(dir, 'VERSION'), text);
    const sha256 = createHash('sha256').update(text).digest('hex');
    const entry = { path: 'VERSION', type: 'file', mode: 0o644, size: text.length, sha256 } as const;
    writeFileSync(join(dir, 'MANIFEST'), manifestText([entry]));
    const madeS = Date.parse('2026-02-01T00:00:00.000Z') / 1000;
    utimesSync(join(dir, 'VERSION'), madeS, madeS);
  }

  order(change: Partial<UpdateOrder> = {}, signer = this.ops): Buffer {
    this.#counter += 1;
    const [rollout, seq, counter] = ['spring', change.seq ?? 2, this.#counter];
    const dates = { notBefore: iso(this.nowMs - 60_000), notAfter: iso(this.nowMs + 7 * DAY_MS) };
    const order: UpdateOrder = {
      rollout,
      site: SITE,
      box: BOX,
      action: 'install',
      counter,
      ...dates,
      window: null,
      seq,
      version: version(seq),
      ...change,
    };
    const bytes = signed(signer, order, UPDATE_ORDER_TYPE);
    this.put(bytes);
    return bytes;
  }

  put(bytes: Uint8Array): void {
    writeFileSync(join(this.context.places.agentState, 'update-desired.dsse.json'), bytes);
  }

  async run(): Promise<string> {
    const source: ReleaseSource = {
      metadata: () => null,
      find: ({ seq }) => {
        if (this.fault !== undefined) return Promise.reject(this.fault);
        return Promise.resolve({
          seqMin: 1,
          misfit: () => this.misfit,
          download: () => Promise.resolve(),
          stage: () => Promise.resolve(this.lay(seq)),
        });
      },
    };
    const reader = () => ({ site: SITE, box: BOX, keys: [this.ops.config, this.searcher.config] });
    await new Engine({ context: this.context, source, reader, progress: () => undefined }).run();
    return this.phase;
  }
  readonly searcher = makeSigner('desk', ['search']);

  /** As after a power cut: another boot, nothing in memory. */
  async reboot(): Promise<void> {
    this.boot = `${this.boot}-next`;
    this.boottimeS = 20;
    this.context.store.load();
    await repair(this.context, true);
  }
}

void t.test('an order that is not one for this box is refused, once, and changes nothing', async (t) => {
  const bench = new Bench(t);
  const stranger = makeSigner('stranger', ['update']);
  const refusals: [string, () => void, RegExp][] = [
    ['another box', () => bench.order({ box: 'canebiere-018' }), /it is for canebiere-018/],
    ['another site', () => bench.order({ site: 'lyon-1' }), /at lyon-1/],
    ['an unknown key', () => bench.order({}, stranger), /no key/],
    ['a key that may not', () => bench.order({}, bench.searcher), /may not update/],
    [
      'another content',
      () => bench.put(Buffer.from(String(bench.order()).replace(/"payload":"./, '"payload":"f'))),
      /signature|JSON|base64/,
    ],
    ['no order', () => bench.put(Buffer.from('{}')), /DSSE/],
    ['too long', () => bench.put(Buffer.alloc(16_385, ' ')), /JSON/],
  ];
  for (const [what, lay, why] of refusals) {
    lay();
    t.equal(await bench.run(), 'idle', what);
    t.match(bench.state.refused?.reason, why, what);
    const said = bench.said.length;
    await bench.run();
    t.equal(bench.said.length, said, 'said once');
    t.strictSame(bench.state.counters, {});
  }
  const file = join(bench.context.places.agentState, 'update-desired.dsse.json');
  const elsewhere = join(bench.dir, 'elsewhere');
  writeFileSync(elsewhere, bench.order());
  rmSync(file);
  symlinkSync(elsewhere, file);
  t.equal(await bench.run(), 'idle', 'a link is not followed');
  rmSync(file);
  execFileSync('mkfifo', [file]);
  t.equal(await bench.run(), 'idle', 'a pipe is not waited for');
  t.strictSame(bench.asked, [], 'nothing was touched');
});

void t.test('the same counter is the same order; a lower one was', async (t) => {
  const bench = new Bench(t);
  bench.misfit = 'it does not fit';
  const first = bench.order({ counter: 7 });
  t.equal(await bench.run(), 'failed');
  t.equal(bench.state.last?.n, 1);
  t.equal(await bench.run(), 'failed', 'again');
  t.equal(bench.state.last?.n, 1, 'is not tried again');
  bench.order({ counter: 7, rollout: 'summer' });
  await bench.run();
  t.match(bench.state.refused?.reason, /counter 7 was that of another order/);
  bench.order({ counter: 6 });
  await bench.run();
  t.match(bench.state.refused?.reason, /replayed: the counter 6 is below 7/);
  bench.put(first);
  await bench.run();
  t.equal(bench.state.last?.n, 1);
  bench.misfit = undefined;
  bench.order({ counter: 8 });
  t.equal(await bench.run(), 'probation', 'a new order tries again');
  bench.context.store.load();
  t.equal(Object.values(bench.state.counters)[0]?.counter, 8, 'on the disk');
});

void t.test('dates and clocks', async (t) => {
  const expired = new Bench(t);
  expired.order({ notAfter: iso(NOON - 1) });
  t.equal(await expired.run(), 'failed');
  t.match(expired.state.reason, /the order has ended: valid until/);

  const early = new Bench(t);
  early.order({ notBefore: iso(NOON + 1000) });
  t.equal(await early.run(), 'waiting');
  early.nowMs += 1000;
  t.equal(await early.run(), 'probation');

  const reset = new Bench(t);
  reset.nowMs = Date.parse('1970-01-01T00:00:10.000Z');
  reset.order({ notBefore: iso(NOON - 1000), notAfter: iso(NOON + 1000) });
  t.equal(await reset.run(), 'waiting', 'a clock that is not set expires nothing');
  t.match(reset.state.reason, /the clock says 1970-01-01.*waiting for the network/);
  reset.nowMs = NOON + DAY_MS;
  t.equal(await reset.run(), 'failed', 'set, it has an end');

  const back = new Bench(t);
  back.fault = new AgentError('unavailable', 'no route');
  back.nowMs = NOON + 30 * DAY_MS;
  back.order();
  t.equal(await back.run(), 'downloading');
  back.nowMs -= DAY_MS;
  back.fault = undefined;
  t.equal(await back.run(), 'downloading');
  t.match(back.state.reason, /it was .* already/, 'a clock put back is not believed');
  back.synced = true;
  await back.run();
  t.notMatch(back.state.reason, /already/, 'unless the network has set it');

  const slow = new Bench(t);
  slow.fault = new AgentError('unavailable', 'no route to the server');
  slow.order();
  t.equal(await slow.run(), 'downloading');
  t.equal(slow.state.reason, 'no route to the server');
  slow.boottimeS += 86_399;
  t.equal(await slow.run(), 'downloading');
  slow.boottimeS += 2;
  t.equal(await slow.run(), 'failed', 'a day is enough');
  t.match(slow.state.reason, /not fetched within 24 h: no route/);
});

void t.test('windows: it begins and switches inside, in the site’s time', async (t) => {
  const window = { tz: 'Europe/Paris', days: ['sat'] as 'sat'[], from: '23:00', to: '03:30' };
  const cases: [string, string, boolean][] = [
    ['Saturday 22:59', '2026-10-24T20:59:00.000Z', false],
    ['Saturday 23:00', '2026-10-24T21:00:00.000Z', true],
    ['past midnight', '2026-10-24T23:10:00.000Z', true],
    ['02:30, the first time (summer time ends)', '2026-10-25T00:30:00.000Z', true],
    ['02:30, the second time', '2026-10-25T01:30:00.000Z', true],
    ['03:29', '2026-10-25T02:29:00.000Z', true],
    ['03:30', '2026-10-25T02:30:00.000Z', false],
    ['Sunday 23:10', '2026-10-25T22:10:00.000Z', false],
    ['summer time begins: 03:10 after 01:59', '2027-03-28T01:10:00.000Z', true],
    ['03:30 then', '2027-03-28T01:30:00.000Z', false],
  ];
  for (const [what, at, open] of cases) {
    const bench = new Bench(t);
    bench.nowMs = Date.parse(at);
    bench.order({ window });
    bench.context.store.change({ seenMs: 0 });
    t.equal(await bench.run(), open ? 'probation' : 'waiting', what);
  }
  const late = new Bench(t);
  late.nowMs = Date.parse('2026-10-24T21:00:00.000Z');
  late.fault = new AgentError('unavailable', 'slow');
  late.order({ window, notAfter: '2026-11-30T00:00:00.000Z' });
  t.equal(await late.run(), 'downloading');
  late.nowMs = Date.parse('2026-10-25T02:40:00.000Z');
  late.fault = undefined;
  t.equal(await late.run(), 'staged', 'a download goes on past the end, the switch waits');
  t.match(late.state.reason, /waiting for the window/);
  t.strictSame(late.asked, []);
  late.nowMs = Date.parse('2026-10-31T22:00:00.000Z');
  t.equal(await late.run(), 'probation');

  const missed = new Bench(t);
  missed.order({ window: { ...window, tz: 'Europe/Lutetia' } });
  t.equal(await missed.run(), 'failed');
  t.match(missed.state.reason, /time zone/);
  const over = new Bench(t);
  over.order({ window, notAfter: iso(NOON + DAY_MS) });
  t.equal(await over.run(), 'waiting');
  over.nowMs += 2 * DAY_MS;
  t.equal(await over.run(), 'failed', 'the order has ended before the window came');
});

void t.test('pause, on again, withdraw', async (t) => {
  const bench = new Bench(t);
  const window = { tz: 'UTC', days: ['sun'] as 'sun'[], from: '01:00', to: '02:00' };
  bench.order({ window });
  await bench.run();
  bench.order({ action: 'pause' });
  t.equal(await bench.run(), 'waiting');
  t.equal(bench.state.reason, 'paused by the room');
  t.equal(await bench.run(), 'waiting', 'for good');
  bench.fault = new AgentError('unavailable', 'slow');
  bench.order();
  t.equal(await bench.run(), 'downloading', 'another order: on');
  bench.fault = undefined;
  bench.order({ action: 'pause' });
  t.equal(await bench.run(), 'downloading');
  bench.order({ window });
  t.equal(await bench.run(), 'staged');
  bench.order({ action: 'withdraw' });
  t.ok(existsSync(join(bench.context.places.lib, 'releases/2-0.2.0')));
  t.equal(await bench.run(), 'idle');
  t.notOk(existsSync(join(bench.context.places.lib, 'releases/2-0.2.0')), 'the stage is forgotten');
  t.strictSame(bench.asked, []);
  bench.order({ seq: 3, window });
  await bench.run();
  bench.order({ seq: 4 });
  t.equal(await bench.run(), 'probation', 'an order in the place of another');
  t.match(bench.state.target, { seq: 4 });
  bench.order({ action: 'withdraw' });
  t.equal(await bench.run(), 'probation', 'a switch that has begun is carried to its end');
  t.equal(Object.values(bench.state.counters)[0]?.counter, 8, 'the order is looked at after it');
  bench.context.store.change({ phase: 'confirmed' });
  t.equal(await bench.run(), 'confirmed');
  bench.order({ seq: 4, rollout: 'again' });
  t.equal(await bench.run(), 'confirmed', 'what runs already');
  bench.order({ seq: 3 });
  t.equal(await bench.run(), 'failed', 'and nothing older');
});

void t.test('what a boot finds, and what it makes of it', async (t) => {
  const staged = async (): Promise<Bench> => {
    const bench = new Bench(t);
    bench.order();
    t.equal(await bench.run(), 'probation');
    bench.asked.length = 0;
    return bench;
  };
  const old = { seq: 1, version: version(1) };
  const undone = await staged();
  for (let boots = 1; boots <= 3; boots += 1) {
    undone.context.store.change({ phase: 'switching' });
    undone.context.releases.point(old);
    await undone.reboot();
    t.equal(undone.phase, 'staged', 'power lost before the link moved: as if it had not begun');
    t.strictSame(undone.state.starts, [], 'a boot starts what is enabled');
  }
  undone.context.store.change({ phase: 'switching' });
  await undone.reboot();
  t.equal(undone.phase, 'failed', 'not for ever');

  const moved = await staged();
  moved.context.store.change({ phase: 'switching' });
  await moved.reboot();
  t.equal(moved.phase, 'probation', 'after it had moved');
  t.equal(moved.state.switch?.boots, 1);
  const records = moved.state.last?.n;
  await moved.reboot();
  await moved.reboot();
  t.equal(moved.phase, 'probation');
  t.equal(moved.state.last?.n, records, 'which is told once');
  await repair(moved.context, true);
  t.equal(moved.state.switch?.boots, 3, 'counted once in a boot');
  await moved.reboot();
  t.equal(moved.phase, 'rolled-back', 'a fourth boot without having proved itself');
  t.match(moved.context.releases.current(), old);
  t.strictSame(moved.asked, ['reload'], 'nothing is stopped or started: the boot does that');

  const returning = await staged();
  const begun = returning.state.switch;
  returning.context.store.change({ switch: begun && { ...begun, returning: 'it crashed' } });
  await returning.reboot();
  t.equal(returning.phase, 'rolled-back', 'a way back that had begun is gone to its end');
  t.equal(returning.state.reason, 'it crashed');

  const gone = await staged();
  gone.context.store.change({ phase: 'staged' });
  gone.context.releases.point(old);
  rmSync(join(gone.context.places.lib, 'releases/2-0.2.0'), { recursive: true });
  await gone.reboot();
  t.equal(await gone.run(), 'failed', 'nothing leads to a release that is not there');
  t.match(gone.context.releases.current(), old);

  const litter = await staged();
  litter.context.store.change({ phase: 'confirmed', previous: old });
  const { lib } = litter.context.places;
  mkdirSync(join(lib, 'releases/.stage/dist'), { recursive: true });
  symlinkSync('releases/9-0.9.0', join(lib, 'current.new'));
  rmSync(join(lib, 'current'));
  await litter.reboot();
  t.notOk(existsSync(join(lib, 'releases/.stage')));
  t.match(litter.context.releases.current(), old, 'a box without current has one again');
});

void t.test('what was known is lost', async (t) => {
  const bench = new Bench(t);
  bench.order({ counter: 5 });
  await bench.run();
  const obeyed = bench.order({ counter: 9, notBefore: iso(NOON - DAY_MS) });
  writeFileSync(join(bench.context.places.state, 'state.json'), '{"version":1,');
  bench.context.store.load();
  t.equal(bench.phase, 'probation', 'a switch that had begun goes on');
  t.match(bench.state.switch, { from: { seq: 1 } });
  t.ok(existsSync(join(bench.context.places.state, 'state.json.damaged')));
  bench.context.store.change({ phase: 'confirmed' });
  bench.put(obeyed);
  await bench.run();
  t.match(bench.state.refused?.reason, /may have been obeyed before/);
  bench.nowMs += 120_000;
  bench.order({ seq: 3, counter: 10 });
  t.equal(await bench.run(), 'probation', 'a new one is taken');
  t.equal(bench.state.last?.n, 7, 'and the history counts on');
});

void t.test('probation: all of it at once, and in doubt back', (t) => {
  const up = { active: true, gaveUp: undefined, restarts: 0 };
  const before = { mode: 'active', camera: 'ok', journalEntries: 10 } as const;
  const well: AgentHealth = {
    mode: 'active',
    analysed: 5,
    camera: 'ok',
    broker: 'online',
    journalEntries: 11,
  };
  const end = (over: Partial<AgentHealth>, unit = {}, was: Partial<AgentHealth> = {}): string => {
    const probation = new Probation({ before: { ...before, ...was }, healthyS: 60, withinS: 600 });
    for (let s = 0; s <= 601; s += 1) {
      const verdict = probation.look(s, { ...up, ...unit }, { ...well, analysed: 5 + s, ...over });
      if (verdict.state !== 'wait')
        return `${s} ${verdict.state}${verdict.state === 'bad' ? `: ${verdict.why}` : ''}`;
    }
    return 'never';
  };
  t.equal(end({}), '60 good');
  t.match(end({ analysed: 5 }), /^600 bad: .*no frame/);
  t.match(end({ broker: 'offline' }), /^600 bad: .*broker/);
  t.match(end({ journalEntries: 10 }), /^600 bad: .*journal/);
  t.match(end({ mode: 'suspended' }), /^600 bad: .*mode was active/);
  t.equal(end({ mode: 'suspended', analysed: 0 }, {}, { mode: 'suspended' }), '60 good');
  t.equal(
    end({ camera: 'lost', analysed: 0 }, {}, { camera: 'lost' }),
    '60 good',
    'a camera that was lost may stay lost',
  );
  t.equal(end({ broker: null }), '60 good', 'no broker is configured');
  t.match(end({}, { restarts: 3 }), /^0 bad: it crashed/);
  t.match(end({}, { gaveUp: 'exit code 2' }), /^0 bad: it gave up/);
  t.end();
});
