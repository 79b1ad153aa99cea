/**
 * Unit tests of release changes: orders, times, boots and probation, with the machine in this process and a clock of
 * the test.
 */

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { AgentError } from '../../agent/base/errors.ts';
import { type AgentHealth, Probation } from '../../scripts/products/root/change/probation.ts';
import { type Change, FIRST_CHANGE } from '../../scripts/products/root/change/record.ts';
import { targetOf } from '../../scripts/products/root/change/release-payload.ts';
import { step } from '../../scripts/products/root/change/step.ts';
import { makeSigner } from '../lib/commands.ts';
import { Bench, DAY_MS, iso, NOON, version } from '../lib/release-bench.ts';

void t.test('an order for another box is refused once, and changes nothing', async (t) => {
  const bench = new Bench(t);
  const unknownSigner = makeSigner('stranger', ['update']);
  const refusals: [string, () => void, RegExp][] = [
    ['another box', () => bench.order({ box: 'canebiere-018' }), /it is for canebiere-018/],
    ['another site', () => bench.order({ site: 'lyon-1' }), /at lyon-1/],
    ['an unknown key', () => bench.order({}, unknownSigner), /no key/],
    ['a key that may not', () => bench.order({}, bench.searcher), /may not update/],
    [
      'another content',
      () => bench.put(Buffer.from(String(bench.order()).replace(/"payload":"./, '"payload":"f'))),
      /signature|JSON|base64/,
    ],
    ['no order', () => bench.put(Buffer.from('{}')), /DSSE/],
    ['too long', () => bench.put(Buffer.alloc(16_385, ' ')), /JSON/],
  ];
  for (const [name, writeRequest, reason] of refusals) {
    writeRequest();
    t.equal(await bench.run(), 'idle', name);
    t.match(bench.state.refusal?.reason, reason, name);
    const lineCount = bench.output.length;
    await bench.run();
    t.equal(bench.output.length, lineCount, 'said once');
    t.strictSame(bench.state.counters, {});
  }
  const file = join(bench.agentState, 'update-desired.dsse.json');
  const otherFile = join(bench.dir, 'elsewhere');
  writeFileSync(otherFile, bench.order());
  rmSync(file);
  symlinkSync(otherFile, file);
  t.equal(await bench.run(), 'idle', 'a link is not followed');
  rmSync(file);
  execFileSync('mkfifo', [file]);
  t.equal(await bench.run(), 'idle', 'a pipe is not waited for');
  t.strictSame(bench.requests, [], 'nothing was touched');
});

void t.test('an equal counter is the same order, and a lower one is replayed', async (t) => {
  const bench = new Bench(t);
  bench.misfit = 'it does not fit';
  const first = bench.order({ counter: 7 });
  t.equal(await bench.run(), 'failed');
  t.equal(bench.state.last?.n, 1);
  t.equal(await bench.run(), 'failed', 'again');
  t.equal(bench.state.last?.n, 1, 'is not tried again');
  bench.order({ counter: 7, rollout: 'summer' });
  await bench.run();
  t.match(bench.state.refusal?.reason, /counter 7 was that of another order/);
  bench.order({ counter: 6 });
  await bench.run();
  t.match(bench.state.refusal?.reason, /replayed: the counter 6 is below 7/);
  bench.put(first);
  await bench.run();
  t.equal(bench.state.last?.n, 1);
  bench.misfit = undefined;
  bench.order({ counter: 8 });
  t.equal(await bench.run(), 'probation', 'a new order tries again');
  bench.store.load();
  t.equal(Object.values(bench.state.counters)[0]?.counter, 8, 'on the disk');
});

void t.test('an order waits, expires and downloads by a clock that must be trusted', async (t) => {
  const expired = new Bench(t);
  expired.order({ notAfter: iso(NOON - 1) });
  t.equal(await expired.run(), 'waiting');
  t.match(expired.state.reason, /it ended 2026.* by a clock that the network has not set/);
  expired.synced = true;
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
  reset.synced = true;
  t.equal(await reset.run(), 'failed', 'set, it has an end');

  const offline = new Bench(t);
  offline.downloadError = new AgentError('unavailable', 'no route');
  offline.nowMs = NOON + 30 * DAY_MS;
  offline.order();
  t.equal(await offline.run(), 'downloading');
  offline.nowMs -= DAY_MS;
  offline.downloadError = undefined;
  t.equal(await offline.run(), 'waiting');
  t.match(offline.state.reason, /it was .* already/, 'a clock put back is not believed');
  offline.synced = true;
  await offline.run();
  t.notMatch(offline.state.reason, /already/, 'unless the network has set it');

  const slow = new Bench(t);
  slow.downloadError = new AgentError('unavailable', 'no route to the server');
  slow.order();
  t.equal(await slow.run(), 'downloading');
  t.equal(slow.state.reason, 'no route to the server');
  slow.boottimeS += 86_399;
  t.equal(await slow.run(), 'downloading');
  slow.boottimeS += 2;
  t.equal(await slow.run(), 'failed', 'a day is enough');
  t.match(slow.state.reason, /not fetched within 24 h: no route/);
});

void t.test('an order begins and switches within its window, in the site’s time', async (t) => {
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
  for (const [name, at, open] of cases) {
    const bench = new Bench(t);
    bench.nowMs = Date.parse(at);
    bench.order({ window });
    t.equal(await bench.run(), open ? 'probation' : 'waiting', name);
  }
  const late = new Bench(t);
  late.nowMs = Date.parse('2026-10-24T21:00:00.000Z');
  late.downloadError = new AgentError('unavailable', 'slow');
  late.order({ window, notAfter: '2026-11-30T00:00:00.000Z' });
  t.equal(await late.run(), 'downloading');
  late.nowMs = Date.parse('2026-10-25T02:40:00.000Z');
  late.downloadError = undefined;
  t.equal(await late.run(), 'staged', 'a download goes on past the end, the switch waits');
  t.match(late.state.reason, /waiting for the window/);
  t.strictSame(late.requests, []);
  late.nowMs = Date.parse('2026-10-31T22:00:00.000Z');
  t.equal(await late.run(), 'probation');

  const missed = new Bench(t);
  missed.order({ window: { ...window, tz: 'Europe/Lutetia' } });
  t.equal(await missed.run(), 'failed');
  t.match(missed.state.reason, /time zone/);
  const over = new Bench(t);
  over.synced = true;
  over.order({ window, notAfter: iso(NOON + DAY_MS) });
  t.equal(await over.run(), 'waiting');
  over.nowMs += 2 * DAY_MS;
  t.equal(await over.run(), 'failed', 'the order has ended before the window came');
});

void t.test('an order can be paused, resumed and withdrawn until its switch', async (t) => {
  const bench = new Bench(t);
  const window = { tz: 'UTC', days: ['sun'] as 'sun'[], from: '01:00', to: '02:00' };
  bench.order({ window });
  await bench.run();
  bench.order({ action: 'pause' });
  t.equal(await bench.run(), 'waiting');
  t.equal(bench.state.reason, 'paused by the room');
  t.equal(await bench.run(), 'waiting', 'for good');
  bench.downloadError = new AgentError('unavailable', 'slow');
  bench.order();
  t.equal(await bench.run(), 'downloading', 'another order: on');
  bench.downloadError = undefined;
  bench.order({ action: 'pause' });
  t.equal(await bench.run(), 'waiting', 'a download that is paused has its day when it goes on');
  bench.order();
  bench.downloadError = new AgentError('unavailable', 'slow');
  t.equal(await bench.run(), 'downloading');
  bench.downloadError = undefined;
  bench.order({ window });
  t.equal(await bench.run(), 'staged');
  bench.order({ action: 'withdraw' });
  t.ok(existsSync(join(bench.lib, 'releases/2-0.2.0')));
  t.equal(await bench.run(), 'idle');
  t.notOk(existsSync(join(bench.lib, 'releases/2-0.2.0')), 'the stage is forgotten');
  t.strictSame(bench.requests, []);
  bench.order({ seq: 3, window });
  await bench.run();
  bench.order({ seq: 4 });
  t.equal(await bench.run(), 'probation', 'an order in the place of another');
  t.match(bench.state.target, { seq: 4 });
  bench.order({ action: 'withdraw' });
  t.equal(await bench.run(), 'probation', 'a switch that has begun is carried to its end');
  t.equal(Object.values(bench.state.counters)[0]?.counter, 9, 'the order is looked at after it');
  bench.set({ phase: 'confirmed' });
  t.equal(await bench.run(), 'confirmed');
  bench.order({ seq: 4, rollout: 'again' });
  t.equal(await bench.run(), 'confirmed', 'the running release');
  bench.order({ seq: 3 });
  t.equal(await bench.run(), 'failed', 'and nothing older');
});

void t.test('a boot continues, confirms or rolls back each phase', async (t) => {
  const stagedBench = async (): Promise<Bench> => {
    const bench = new Bench(t);
    bench.order();
    t.equal(await bench.run(), 'probation');
    bench.requests.length = 0;
    return bench;
  };
  const old = { seq: 1, version: version(1) };
  const undone = await stagedBench();
  for (let boots = 1; boots <= 3; boots += 1) {
    undone.set({ phase: 'switching' });
    undone.releases.point(old);
    await undone.reboot();
    t.equal(undone.phase, 'staged', 'power lost before the link moved: as if it had not begun');
    t.strictSame(undone.state.starts, [], 'a boot starts what is enabled');
  }
  undone.set({ phase: 'switching' });
  await undone.reboot();
  t.equal(undone.phase, 'failed', 'not indefinitely');

  const afterMove = await stagedBench();
  afterMove.set({ phase: 'switching' });
  await afterMove.reboot();
  t.equal(afterMove.phase, 'probation', 'after it had moved');
  t.equal(afterMove.state.trial?.boots, 1);
  const records = afterMove.state.last?.n;
  await afterMove.reboot();
  await afterMove.reboot();
  t.equal(afterMove.phase, 'probation');
  t.equal(afterMove.state.last?.n, records, 'which is reported once');
  await afterMove.start();
  t.equal(afterMove.state.trial?.boots, 3, 'counted once in a boot');
  await afterMove.reboot();
  t.equal(afterMove.phase, 'rolled-back', 'a fourth boot without having proved itself');
  t.match(afterMove.releases.current(), old);
  t.strictSame(afterMove.requests, [], 'no unit is stopped or started: the boot does that');

  const returning = await stagedBench();
  const begunTrial = returning.state.trial;
  returning.set({ trial: begunTrial && { ...begunTrial, returning: 'it crashed' } });
  await returning.reboot();
  t.equal(returning.phase, 'rolled-back', 'a way back that had begun is gone to its end');
  t.equal(returning.state.reason, 'it crashed');

  const missing = await stagedBench();
  missing.set({ phase: 'staged' });
  missing.releases.point(old);
  rmSync(join(missing.lib, 'releases/2-0.2.0'), { recursive: true });
  await missing.reboot();
  t.equal(await missing.run(), 'failed', 'nothing leads to a release that is not there');
  t.match(missing.releases.current(), old);

  const litter = await stagedBench();
  litter.set({ phase: 'confirmed' }, { previous: targetOf(old), proven: targetOf(old) });
  const { lib } = litter;
  mkdirSync(join(lib, 'releases/.stage/dist'), { recursive: true });
  symlinkSync('releases/9-0.9.0', join(lib, 'current.new'));
  rmSync(join(lib, 'current'));
  await litter.reboot();
  t.notOk(existsSync(join(lib, 'releases/.stage')));
  t.match(litter.releases.current(), old, 'a box without current has one again');
});

void t.test('a lost record refuses old orders and accepts new ones', async (t) => {
  const bench = new Bench(t);
  bench.order({ counter: 5 });
  await bench.run();
  const obeyed = bench.order({ counter: 9, notBefore: iso(NOON - DAY_MS) });
  writeFileSync(join(bench.stateDir, 'state.json'), '{"version":1,');
  bench.store.load();
  t.equal(bench.phase, 'probation', 'a switch that had begun goes on');
  t.match(bench.state.trial, { from: { number: 1 } });
  t.ok(existsSync(join(bench.stateDir, 'state.json.damaged')));
  bench.set({ phase: 'confirmed' });
  bench.put(obeyed);
  await bench.run();
  t.match(bench.state.refusal?.reason, /may have been obeyed before/);
  bench.nowMs += 120_000;
  bench.order({ seq: 3, counter: 10 });
  t.equal(await bench.run(), 'probation', 'a new one is taken');
  t.equal(bench.state.last?.n, 7, 'and the history counts on');
});

void t.test('probation needs all signs of health at once, and rolls back in doubt', (t) => {
  const up = { active: true, gaveUp: undefined, restarts: 0 };
  const before = { mode: 'active', camera: 'ok', journalSize: 10 } as const;
  const well: AgentHealth = {
    mode: 'active',
    analysed: 5,
    camera: 'ok',
    broker: 'online',
  };
  const end = (
    over: Partial<AgentHealth>,
    unit = {},
    was: Partial<AgentHealth> = {},
    journalSize = 11,
  ): string => {
    const probation = new Probation({ before: { ...before, ...was }, healthyS: 60, withinS: 600 });
    for (let s = 0; s <= 601; s += 1) {
      const health = { ...well, analysed: 5 + s, ...over };
      const verdict = probation.assess(s, { unit: { ...up, ...unit }, health, journalSize });
      if (verdict.state !== 'wait')
        return `${s} ${verdict.state}${verdict.state === 'bad' ? `: ${verdict.reason}` : ''}`;
    }
    return 'never';
  };
  t.equal(end({}), '60 good');
  t.match(end({ analysed: 5 }), /^600 bad: .*no frame/);
  t.match(end({ broker: 'offline' }), /^600 bad: .*broker/);
  t.match(end({}, {}, {}, 10), /^600 bad: .*journal/);
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

void t.test('a dangling link is set to the newest proven release', async (t) => {
  const forms: [string, (bench: Bench) => void][] = [
    ['lost', ({ lib }) => rmSync(join(lib, 'current'))],
    ['an empty file', ({ lib }) => damageTo(lib, (link) => writeFileSync(link, ''))],
    ['a folder', ({ lib }) => damageTo(lib, (link) => mkdirSync(join(link, 'dist'), { recursive: true }))],
    ['a link to what is gone', ({ lib }) => damageTo(lib, (link) => symlinkSync('releases/9-0.9.0', link))],
    ['a link to itself', ({ lib }) => damageTo(lib, (link) => symlinkSync('current', link))],
  ];
  const damageTo = (lib: string, writeRequest: (link: string) => void): void => {
    rmSync(join(lib, 'current'), { recursive: true, force: true });
    writeRequest(join(lib, 'current'));
  };
  for (const [name, damage] of forms) {
    const bench = new Bench(t);
    bench.order();
    await bench.run();
    bench.machine.confirm('release');
    t.match([bench.phase, bench.state.proven?.number, bench.state.seqMin], ['confirmed', 2, 1]);
    damage(bench);
    await bench.start();
    t.match(bench.releases.current(), { seq: 2 }, `${name}: not the one before`);
    t.equal(bench.phase, 'confirmed');
    t.strictSame(
      bench.releases.list().map(({ seq }) => seq),
      [1, 2],
      'and no release is removed',
    );
    damage(bench);
    rmSync(join(bench.lib, 'releases/2-0.2.0/VERSION'));
    bench.set({}, { seqMin: 2 });
    await bench.start();
    t.equal(
      bench.releases.current(),
      null,
      `${name}: below the least that may run there is nothing to go to`,
    );
    t.match(bench.output.at(-1), /no intact release of 2 or later/);
  }
  const onTrial = new Bench(t);
  onTrial.order();
  await onTrial.run();
  rmSync(join(onTrial.lib, 'current'));
  await onTrial.start();
  t.match(onTrial.releases.current(), { seq: 1 }, 'an unproven one is never chosen');
});

void t.test('a corrupt archive is fetched at growing intervals, five times at most', async (t) => {
  const bench = new Bench(t);
  bench.rotten = new AgentError('corrupt', 'its hash is another');
  bench.order();
  const beganS = bench.boottimeS;
  for (let minutes = 0; minutes < 24 * 60 && bench.phase !== 'failed'; minutes += 5) {
    await bench.run();
    bench.boottimeS += 300;
    bench.nowMs += 300_000;
  }
  t.equal(bench.phase, 'failed');
  t.match(bench.state.reason, /5 times in vain: its hash is another/);
  t.equal(bench.fetches, 5, 'and not every five minutes');
  t.ok(bench.boottimeS - beganS > 15 * 3600);
});

void t.test('a wrong clock or counter and an order of the future do not block the box', async (t) => {
  const wild = new Bench(t);
  wild.nowMs = Date.parse('2099-01-01T00:00:00.000Z');
  wild.order({ notBefore: iso(NOON), notAfter: iso(NOON + 7 * DAY_MS) });
  t.equal(await wild.run(), 'waiting', 'a clock that is not set ends no order');
  wild.nowMs = NOON + DAY_MS;
  t.equal(await wild.run(), 'probation', 'and later the box does not wait for it');

  const future = new Bench(t);
  future.order({ notBefore: iso(NOON + 3 * DAY_MS) });
  t.equal(await future.run(), 'waiting');
  future.nowMs += 3 * DAY_MS;
  future.boottimeS += 3 * 86_400;
  t.equal(await future.run(), 'probation', 'it waits, however long');
  const later = new Bench(t);
  later.downloadError = new AgentError('unavailable', 'slow');
  later.order();
  t.equal(await later.run(), 'downloading');
  later.order({ notBefore: iso(NOON + 3 * DAY_MS) });
  t.equal(await later.run(), 'waiting');
  later.nowMs += 3 * DAY_MS;
  later.boottimeS += 3 * 86_400;
  later.downloadError = undefined;
  t.equal(await later.run(), 'probation', 'a download that had begun, too');
});

void t.test('a killed program in staging ends no order, and five of them do', async (t) => {
  for (const [times, end] of [
    [2, 'probation'],
    [5, 'failed'],
  ] as const) {
    const bench = new Bench(t);
    bench.stageErrors = Array.from({ length: times }, () => new AgentError('unavailable', 'zstd was killed'));
    bench.order();
    for (let hours = 0; hours < 24; hours += 1) {
      await bench.run();
      bench.boottimeS += 3600;
    }
    t.equal(bench.phase, end);
    if (end === 'failed') t.match(bench.state.reason, /5 times in vain: zstd was killed/);
  }
});

void t.test('a judge that hangs is restarted, and one at work is not', async (t) => {
  const bench = new Bench(t);
  bench.order();
  t.equal(await bench.run(), 'probation');
  bench.requests.length = 0;
  bench.boottimeS += 9 * 600;
  await bench.run();
  t.strictSame(bench.requests, ['start vigie-root-judge.service']);
  bench.boottimeS += 2 * 600;
  await bench.run();
  t.strictSame(bench.requests.slice(1), ['restart vigie-root-judge.service']);
});

void t.test('a change by a person gives back the order that waits, and no other key’s', (t) => {
  const [one, other] = ['a'.repeat(64), 'b'.repeat(64)];
  const entry = { counter: 7, sha256: 'c'.repeat(64) };
  const dates = { notBefore: iso(NOON), notAfter: iso(NOON + DAY_MS) };
  const order = { rollout: 'r', keyid: one, counter: 7, ...dates, window: null, may: [] };
  const waiting: Change = {
    ...FIRST_CHANGE,
    phase: 'waiting',
    order,
    counters: { [one]: entry, [other]: entry },
  };
  const target = { number: 2, name: '0.2.0' };
  const { counters } = step('release', waiting, { on: 'begin', phase: 'staged', target, reason: 'by hand' });
  t.match(counters, { [one]: { counter: 6 }, [other]: entry });
  t.end();
});
