/**
 * Tests fleet stores that are older than the fleet, over a real broker.
 *
 * - The store is yesterday's, during a rollout or after an abort. Both follow docs/guide/fleet-restore.md by command.
 * - The store is missing, or the broker comes back empty.
 * - The controller is killed while it rolls out, aborts and adopts.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import mqtt from 'mqtt';
import t, { type Test } from 'tap';
import { stringify } from 'yaml';
import { packageRoot } from '../../agent/base/package-root.ts';
import { topicsOf } from '../../agent/contract/topics.ts';
import { Rollouts } from '../../scripts/products/fleet/rollout/rollouts.ts';
import { FleetStore } from '../../scripts/products/fleet/store.ts';
import { bundledHelper } from '../lib/bundled.ts';
import { Orders, waitUntil } from '../lib/heard-orders.ts';
import type { Program } from '../lib/program.ts';
import { QUICK, RolloutFleet, SITE } from '../lib/rollout-fleet.ts';
import type { Mortal } from '../lib/rollout-writer.ts';

const WRITER = bundledHelper(new URL('../lib/rollout-writer.js', import.meta.url));
const NAME = 'r-1';
const { signal } = new AbortController();
/** Delay before a box other than a canary begins: half an hour of the fleet, a few seconds here. */
const LATER_MS = 1_800_000;
const PLAN = {
  canary: { boxes: ['b-0', 'b-1'], hours: 0 },
  thresholds: { heardMinutes: 0 },
  waves: [{ share: 0.5 }, { share: 1 }],
  window: null,
};
const GUIDE = readFileSync(join(packageRoot(), 'docs/guide/fleet-restore.md'), 'utf8');
/** The guide's shell commands under a heading, with the test's folders and day. */
function guide(heading: string, { dir }: Pick<RolloutFleet, 'dir'>): string {
  const [, section = ''] = GUIDE.split(`\n## ${heading}\n`);
  const fences = (section.split('\n## ')[0] ?? '').split('```');
  const lines = fences.filter((_, i) => i % 2 === 1).flatMap((fence) => fence.split('\n'));
  return lines
    .map((line) => line.trim())
    .filter((line) => /^(sqlite3|mv|rm|install) /.test(line))
    .map((line) => line.replace(/fleet-(\$\(date \+%F\)|[\d-]+)\.db/, 'fleet-yesterday.db'))
    .map((line) => line.replaceAll('/srv/backup', dir).replaceAll(/(?<=[ '])fleet\//g, 'ops/'))
    .join('\n');
}

const backUp = (t: Test, fleet: RolloutFleet): void => shell(t, fleet.dir, guide('Backup', fleet));
const restore = (t: Test, fleet: RolloutFleet): void => shell(t, fleet.dir, guide('Restore', fleet));

/** Starts a fleet whose rollout is begun by commands; boxes other than canaries begin later. */
async function beginRollout(t: Test, count = 8) {
  const fleet = await new RolloutFleet(t).start(count, (i) => ({ jitterMs: i < 2 ? 0 : LATER_MS }));
  const [dir, plan] = [join(fleet.dir, 'ops'), join(fleet.dir, 'plan.yaml')];
  writeFileSync(plan, stringify(PLAN));
  const orders = await Orders.of(t, fleet.broker.url);
  const start = (...args: string[]): Program => fleet.fleet('rollout', ...args, '--dir', dir);
  const run = (...args: string[]) => fleet.answer('rollout', ...args, '--dir', dir);
  t.match(await run('start', '1.5.0', '--plan', plan, '--name', NAME, '--yes'), { code: 0 });
  const running = start('run');
  await waitUntil('canaries are ordered', () => orders.installs().size === 2);
  backUp(t, fleet);
  const orderedBoxes = new Set<string>();
  const waveOne = async (): Promise<void> => {
    await waitUntil('the first wave is ordered', () => orders.installs().size === count / 2);
    fleet.isFrozen = true;
    for (const box of orders.installs().keys()) orderedBoxes.add(box);
  };
  return { fleet, dir, plan, orders, start, run, running, waveOne, ordered: orderedBoxes };
}

function shell(t: Test, dir: string, line: string): void {
  const { status, stderr } = spawnSync('sh', ['-ec', line], { cwd: dir, encoding: 'utf8' });
  t.equal(status, 0, `${line} ${stderr}`);
}

async function killProgram({ child, exit }: Program): Promise<void> {
  child.kill('SIGKILL');
  await exit;
}

const view = (dir: string) => {
  const store = new FleetStore(dir, true);
  try {
    const rollouts = new Rollouts(store);
    return rollouts
      .all()
      .map(({ name, state, wave }) => ({ name, state, wave, boxes: rollouts.boxes(name) }));
  } finally {
    store.close();
  }
};

void t.test('yesterday’s store during a rollout sends nothing, adopts, and goes on to the end', async (t) => {
  const { fleet, plan, orders, start, run, running, waveOne } = await beginRollout(t);
  await waveOne();
  await killProgram(running);
  const before = orders.all.length;
  restore(t, fleet);
  for (const args of [
    ['run'],
    ['abort'],
    ['pause'],
    ['start', '1.5.0', '--plan', plan, '--yes'],
    ['start', '1.5.0', '--plan', plan, '--yes', '--take-over'],
  ]) {
    const program = await run(...args);
    t.match(program, {
      code: 1,
      err: /^fleet: fleet\.db: it is behind the fleet: .*rollout r-1, .*run `fleet rollout adopt`.*\n$/,
    });
  }
  t.equal(orders.all.length, before, 'nothing was sent');
  t.match(await run('adopt'), { code: 1, err: /This needs a terminal; without one, pass --yes/ });
  t.match(await run('adopt', '--yes', '--plan', plan), {
    code: 2,
    err: /--plan: every open rollout/,
  });
  const adopted = await run('adopt', '--yes');
  t.match(adopted, { code: 0, out: /r-1: running, wave 1; in the database running, wave 0;/ });
  t.match(adopted.out, 'r-1: running, wave 1; `fleet rollout run` continues it');
  t.match(await run('adopt', '--yes'), { code: 0, out: /nothing to adopt/ }, 'a second time');
  t.equal(orders.all.length, before, 'still nothing was sent');
  fleet.isFrozen = false;
  const going = start('run');
  t.equal(await going.exit, 0, going.err);
  t.match(going.out, /r-1: release 43-1\.5\.0, done/);
  for (const [box, counters] of orders.installs())
    if (counters.size !== 1) t.fail(`${box}: ${counters.size} orders`);
  t.equal(orders.installs().size, 8);
  t.strictSame(new Set(orders.all.map(({ seq }) => seq)), new Set([43]));
  for (let i = 0; i < 8; i += 1) t.match(fleet.box(i).truth, { phase: 'confirmed', seq: 43 });
});

void t.test('yesterday’s store after an abort never sends what was aborted', async (t) => {
  const {
    fleet,
    dir,
    plan,
    orders,
    start,
    run,
    running,
    waveOne,
    ordered: orderedBoxes,
  } = await beginRollout(t);
  await waveOne();
  t.match(await run('abort'), { code: 0, out: 'r-1: aborted\n' }, 'while another program runs it');
  t.equal(await running.exit, 0);
  t.strictSame(
    [...orders.retained].filter(([, order]) => order.final !== true || order.action !== 'withdraw'),
    [],
    'at the broker lie final withdrawals',
  );
  t.strictSame(
    new Set(orders.retained.keys()),
    orderedBoxes,
    'of every box that was ordered, and of no other',
  );
  const before = orders.installs();
  const sentCount = orders.all.length;
  restore(t, fleet);
  for (const args of [['run'], ['start', '1.5.0', '--plan', plan, '--yes']])
    t.match(await run(...args), { code: 1, err: /behind the fleet/ }, args.join(' '));
  t.equal(orders.all.length, sentCount);
  t.match(await run('adopt', '--yes'), {
    code: 0,
    out: /r-1: aborted \(its final withdrawal lies at the broker\).*\n(.*\n)*no rollout is under way/,
  });
  t.match(await run('run'), { code: 2, err: /no rollout is under way/ });
  fleet.isFrozen = false;
  t.strictSame(orders.installs(), before, 'no box was ordered again');
  t.match(view(dir), [{ name: NAME, state: 'aborted' }]);
  // Another rollout reaches them, since its counters are higher than those they have seen.
  const next = await run('start', '1.5.0', '--plan', planOfRest(fleet, plan), '--name', 'r-2', '--yes');
  t.match(next, { code: 0 }, next.err);
  const going = start('run');
  t.equal(await going.exit, 0, going.err);
  for (let i = 0; i < 8; i += 1) t.match(fleet.box(i).truth, { seq: 43 });
});

/** A plan whose canaries are boxes without the release. */
function planOfRest(fleet: RolloutFleet, file: string): string {
  const rest = Array.from({ length: 8 }, (_, i) => i).filter((i) => fleet.box(i).truth.seq !== 43);
  writeFileSync(file, stringify({ ...PLAN, canary: { boxes: [`b-${rest[0]}`], hours: 0 } }));
  return file;
}

void t.test('a lost store needs the plan, and the rollout goes on or is ended', async (t) => {
  const { fleet, dir, plan, orders, start, run, running, waveOne } = await beginRollout(t);
  await waveOne();
  await killProgram(running);
  const before = orders.all.length;
  cpSync(dir, join(fleet.dir, 'copy'), { recursive: true });
  shell(t, dir, 'rm -f fleet.db fleet.db-wal fleet.db-shm');
  t.match(await run('adopt', '--yes'), {
    code: 2,
    err: /r-1 is not in the database, and its plan is nowhere else; give the plan .*--plan FILE.*--abort/,
  });
  const other = join(fleet.dir, 'other.yaml');
  const window = { days: ['mon'], from: '01:00', to: '02:00' };
  writeFileSync(other, stringify({ ...PLAN, window }));
  t.match(await run('adopt', '--yes', '--plan', other), {
    code: 2,
    err: /its window is not that of the orders/,
  });
  t.equal(orders.all.length, before);
  const waves = view(join(fleet.dir, 'copy'))[0]?.boxes.map(({ box, wave }) => `${box} ${wave}`);
  const adopted = await run('adopt', '--yes', '--plan', plan);
  t.match(adopted, { code: 0, out: 'r-1: running, wave 1; `fleet rollout run` continues it' }, adopted.err);
  t.strictSame(
    view(dir)[0]?.boxes.map(({ box, wave }) => `${box} ${wave}`),
    waves,
    'the wave of each box',
  );
  t.equal(orders.all.length, before);
  // The same again, to end it.
  shell(t, dir, 'cp fleet.db adopted.db; rm -f fleet.db fleet.db-wal fleet.db-shm');
  const adoption = await run('adopt', '--yes', '--abort');
  t.match(adoption, { code: 0, out: /no rollout is under way/ }, adoption.err);
  await waitUntil('every order is final', () =>
    [...orders.retained.values()].every(({ final }) => final === true),
  );
  fleet.isFrozen = false;
  t.equal(orders.installs().size, 4, 'no other box was ordered');
  // A copy that had gone on before the end is reported.
  shell(t, dir, 'rm -f fleet.db-wal fleet.db-shm && cp adopted.db fleet.db');
  const late = start('run');
  t.equal(await late.exit, 1);
  t.match(late.err, /behind the fleet/);
});

/**
 * Runs a program repeatedly, killed after one more durable step each time, until it survives. `between` checks each
 * state.
 */
async function runUntilAlive(
  fleet: RolloutFleet,
  mortal: Pick<Mortal, 'dir' | 'deed'>,
  deathsAfter: readonly number[],
  between: () => Promise<void> | void,
): Promise<{ deaths: number; output: string }> {
  let [deaths, output] = [0, ''];
  for (const steps of [...deathsAfter, 0]) {
    const all: Mortal = { ...mortal, url: fleet.broker.url, time: fleet.time, rollout: NAME, steps };
    const child = spawn(process.execPath, [WRITER, JSON.stringify(all)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
    const [, by] = (await once(child, 'close')) as [number | null, string | null];
    if (by !== 'SIGKILL') break;
    deaths += 1;
    await between();
  }
  return { deaths, output };
}

void t.test('a controller killed at any durable step sends each box one order', async (t) => {
  const fleet = await new RolloutFleet(t).start(8);
  const { store, link } = await fleet.controller();
  fleet.create(store, NAME);
  await link.stop();
  const dir = join(fleet.dir, 'ops');
  const died = await runUntilAlive(fleet, { dir, deed: 'run' }, [2, 3, 4, 5, 6, 7, 9, 12], () => undefined);
  t.strictSame(died, { deaths: 8, output: 'done\n' });
  t.strictSame(new Set(fleet.states(store, NAME)), new Set(['confirmed']));
  for (let i = 0; i < 8; i += 1) {
    const orders = new Rollouts(store).ordersOf(SITE, `b-${i}`);
    if (orders.length !== 1) t.fail(`b-${i} has ${orders.length} orders`);
    const beginnings = store.history(SITE, `b-${i}`).filter(({ phase }) => phase === 'downloading').length;
    if (beginnings > 1) t.fail(`b-${i} began ${beginnings} times`);
  }
  t.equal((await Orders.of(t, fleet.broker.url)).retained.size, 0);
});

void t.test('a killed abort or adoption goes on, and orders no box', async (t) => {
  const fleet = await new RolloutFleet(t).start(8, () => ({ jitterMs: 40 * 3_600_000 }));
  const { store, controller, link } = await fleet.controller();
  const dir = join(fleet.dir, 'ops');
  fleet.create(store, NAME, { ...QUICK, canary: { boxes: ['b-0', 'b-1', 'b-2', 'b-3', 'b-4'], hours: 1 } });
  await controller.run(NAME, signal, true);
  const orders = await Orders.of(t, fleet.broker.url);
  await waitUntil('five are ordered', () => orders.retained.size === 5);
  backUp(t, fleet);
  await link.stop();
  const finalCount = (): number => [...orders.retained.values()].filter(({ final }) => final === true).length;
  let partial = '';
  const abort = await runUntilAlive(fleet, { dir, deed: 'abort' }, [3, 4, 5, 7, 9], async () => {
    await sleep(100);
    const [row] = view(dir);
    if (row?.state === 'aborted' && finalCount() < 5)
      t.fail(`aborted is said with ${finalCount()} withdrawals`);
    // A copy of the store of the one killed in the middle, beside what the broker holds then.
    if (finalCount() >= 2 && finalCount() < 5) partial = `${finalCount()}`;
  });
  t.match(abort, { output: 'aborted\n' });
  t.ok(abort.deaths >= 4, `${abort.deaths} deaths`);
  t.not(partial, '', 'it died with some of the withdrawals at the broker');
  t.equal(finalCount(), 5);
  for (let i = 0; i < 5; i += 1)
    t.equal(new Rollouts(store).ordersOf(SITE, `b-${i}`).length, 2, 'one withdrawal each');
  store.close();
  // As if only two of the withdrawals had reached the broker before its disk was lost.
  const client = await mqtt.connectAsync(fleet.broker.url, { protocolVersion: 5 });
  t.teardown(() => client.end(true));
  const yesterday = new FleetStore(dir, true);
  const installs = [2, 3, 4].map((i) => new Rollouts(yesterday).ordersOf(SITE, `b-${i}`)[1]);
  yesterday.close();
  for (const order of installs)
    await client.publishAsync(topicsOf(SITE, order?.box ?? '').updateDesired, order?.envelope ?? '', {
      qos: 1,
      retain: true,
    });
  await waitUntil('two withdrawals lie there', () => finalCount() === 2);
  const sentCount = orders.all.length;
  restore(t, fleet);
  const adopt = await runUntilAlive(fleet, { dir, deed: 'adopt' }, [1, 2, 4], () => {
    const [row] = view(dir);
    if (row?.state !== 'aborted' && row?.wave !== 0) t.fail('half of it was taken over');
  });
  t.match(adopt, { output: 'no rollout is under way\n' });
  t.ok(adopt.deaths >= 2, `${adopt.deaths} deaths`);
  await waitUntil('the others are withdrawn', () => finalCount() === 5);
  t.match(view(dir), [{ name: NAME, state: 'aborted' }]);
  t.equal(
    orders.all.slice(sentCount).filter(({ action }) => action === 'install').length,
    0,
    'no order to install since',
  );
});

void t.test('fewer than three boxes with false counters stop no rollout, and are reported', async (t) => {
  const fleet = await new RolloutFleet(t).start(6, () => ({ jitterMs: 40 * 3_600_000 }));
  const { store, controller } = await fleet.controller();
  fleet.create(store, NAME);
  const reportCounter = async (i: number, order: number): Promise<void> => {
    const newer = { journalIndex: 5000 + i, order };
    await fleet.box(i).report(newer);
    await waitUntil('it is heard', () => {
      controller.hear();
      return store.boxesNamed(`b-${i}`)[0]?.report?.order === order;
    });
  };
  await reportCounter(5, Number.MAX_SAFE_INTEGER);
  t.equal(controller.lag(), undefined, 'no clock gives that');
  const futureCounter = fleet.clock.wallMs() + 86_400_000;
  await reportCounter(0, futureCounter);
  await reportCounter(3, futureCounter);
  t.match(controller.lag(), {
    isSure: false,
    text: /0 of the orders at the broker and 2 of the boxes’ reports/,
  });
  t.match(await controller.run(NAME, signal, true), { state: 'running' });
  const counter = (i: number): number => new Rollouts(store).ordersOf(SITE, `b-${i}`)[0]?.counter ?? 0;
  t.equal(counter(0), futureCounter + 1, 'its order is above the counter that it reports');
  t.ok(counter(1) < futureCounter, 'and no other box’s');
  t.match(controller.lag(), { text: /1 of the boxes’ reports/ });
  await reportCounter(2, futureCounter);
  await reportCounter(4, futureCounter);
  await t.rejects(controller.run(NAME, signal, true), { kind: 'denied', message: /; no orders are sent$/ });
});

void t.test('one box’s newer report, and no rollout: the run names the command that works', async (t) => {
  const fleet = await new RolloutFleet(t).start(1);
  const run = (...args: string[]) => fleet.answer(...args, '--dir', join(fleet.dir, 'ops'));
  await fleet.box(0).report({ journalIndex: 5000, order: fleet.clock.wallMs() });
  const adopt = /no rollout is under way; `fleet rollout adopt` finds one that the database does not have\n$/;
  t.match(await run('rollout', 'run'), { code: 2, err: adopt });
  t.match((await run('status')).out, /^1 box: 1 online, 0 never reported; /);
  t.match(await run('rollout', 'adopt', '--yes'), { code: 0, out: /no rollout is under way/ });
  t.match(await run('rollout', 'run'), {
    code: 2,
    err: /no rollout is under way; `fleet rollout start` makes one/,
  });
  t.match(await run('box', 'b-0', '--retire'), {
    code: 0,
    out: /out of the inventory until it reports again/,
  });
  t.match((await run('status')).out, /^0 boxes: /, 'not by its last report, which the broker keeps');
  await fleet.box(0).report({ journalIndex: 6000 });
  t.match(await run('status'), { out: /^1 box: 1 online, /, err: /the first report, its key is kept/ });
});
