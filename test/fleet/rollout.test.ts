/**
 * Tests rollouts over a real broker, with boxes that use the real protocol: complete, halted, held, killed and
 * disturbed ones.
 */
import { spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import mqtt from 'mqtt';
import t, { type Test } from 'tap';
import { stringify } from 'yaml';
import { topicsOf } from '../../agent/contract/topics.ts';
import { UPDATE_ORDER_TYPE } from '../../agent/contract/update.ts';
import { signEnvelope } from '../../agent/orders/dsse.ts';
import { Rollouts } from '../../scripts/programs/fleet/rollout/rollouts.ts';
import { viewOf } from '../../scripts/programs/fleet/rollout/view.ts';
import { simulatedLines } from '../../scripts/programs/fleet/simulate/report.ts';
import { RUNS } from '../../scripts/programs/fleet/simulate/scenario.ts';
import { simulate } from '../../scripts/programs/fleet/simulate/simulate.ts';
import { bundledHelper } from '../lib/bundled.ts';
import { FULL } from '../lib/run.ts';
import { idOf, QUICK, RolloutFleet, SITE, WELL } from '../lib/rollout-fleet.ts';
import type { Mortal } from '../lib/rollout-writer.ts';

const WRITER = bundledHelper(new URL('../lib/rollout-writer.js', import.meta.url));
const NAME = 'r-1';
const { signal } = new AbortController();

async function waitFor(name: string, holds: () => boolean, withinMs = 60_000): Promise<void> {
  const untilMs = Date.now() + withinMs;
  while (!holds()) {
    if (Date.now() > untilMs) throw new Error(`${name}: not within ${withinMs} ms`);
    await sleep(10);
  }
}

/** Connects another client to the broker. */
async function connectClient(t: Test, url: string): Promise<mqtt.MqttClient> {
  const connection = await mqtt.connectAsync(url, { protocolVersion: 5 });
  t.teardown(() => connection.end(true));
  return connection;
}

/** Retained messages at topics with this ending. */
async function retainedMessages(t: Test, url: string, tail: string): Promise<Map<string, Buffer>> {
  const messages = new Map<string, Buffer>();
  const other = await connectClient(t, url);
  other.on('message', (topic, payload) => messages.set(topic, payload));
  await other.subscribeAsync(`vigie/+/+/${tail}`, { qos: 1 });
  await sleep(300);
  return messages;
}

void t.test('a rollout ends with a late and a silent box, and leaves nothing at the broker', async (t) => {
  const late = { ...WELL, startsOffline: true, backAfterMs: 20 * 60_000 };
  const fleet = await new RolloutFleet(t).start(12, (i) => ({
    fate: i === 5 ? late : i === 6 ? { ...WELL, ends: 'mute' } : WELL,
    mode: i === 7 ? 'suspended' : 'active',
    ...(i === 8 && { runs: { ...RUNS, release: { seq: 39, version: '1.4.0' } } }),
    ...(i === 9 && { runs: { ...RUNS, release: { seq: 43, version: '1.5.0' } } }),
  }));
  const { store, controller } = await fleet.controller();
  t.match(
    fleet.output[0],
    /^the first report, its key is kept: (site-1\/b-\d+, ){9}site-1\/b-\d+ and 2 more$/,
    'each key is stored and reported',
  );
  store.addBox(SITE, 'b-99', 0);
  t.strictSame(
    controller.knowledge.missing().map(({ box }) => box),
    ['b-99'],
    'missing boxes are named',
  );
  const row = fleet.create(store, NAME, { ...QUICK, notAfterDays: 0.15, thresholds: { confirmed: 0.8 } });
  const waves = new Rollouts(store).boxes(NAME);
  t.equal(waves.length, 11, 'b-9 runs it already');
  t.match(
    waves.find(({ box }) => box === 'b-8'),
    { way: 'full', bytes: 28_600_000 },
  );
  t.match(
    waves.find(({ box }) => box === 'b-7'),
    { way: 'delta', bytes: 17_000 },
  );
  const result = await controller.run(NAME, signal);
  t.match(result, { state: 'incomplete', reason: /^1 of 11 boxes are not confirmed: 1 expired/ });
  const states = fleet.states(store, NAME);
  t.equal(states[6], 'expired', 'the silent one expires');
  t.equal(states.filter((state) => state === 'confirmed').length, 10, 'the late one too');
  t.match(fleet.box(5).truth, { phase: 'confirmed', seq: 43 });
  t.match(fleet.box(7).truth, { seq: 43, mode: 'suspended' }, 'a suspended box is updated, and stays so');
  const { waves: waveViews, boxes } = viewOf(store, result, fleet.clock.wallMs());
  t.strictSame(
    waveViews.map((wave) => wave.boxes),
    [2, 4, 5],
  );
  t.ok(
    (waveViews[0]?.beganAt ?? '') < (waveViews[1]?.beganAt ?? '') &&
      (waveViews[1]?.beganAt ?? '') < (waveViews[2]?.beganAt ?? ''),
  );
  t.match(
    boxes.find(({ box }) => box === 'b-6'),
    { mute: false, online: true },
  );
  t.equal(
    (await retainedMessages(t, fleet.broker.url, 'update/desired')).size,
    0,
    'orders that are over are cleared',
  );
  const phases = store.history(SITE, 'b-1').map(({ phase }) => phase);
  t.strictSame(phases.reverse(), [
    'idle',
    'waiting',
    'downloading',
    'verified',
    'staged',
    'switching',
    'probation',
    'confirmed',
  ]);
  t.equal(store.audit(1)[0]?.action, `rollout ${NAME} of release 43-1.5.0 made for 11 boxes`);
  t.equal(row.wave, 0);
});

void t.test('a rollout halts on failed canaries, withdraws open orders, and can be resumed', async (t) => {
  const bad = { ...WELL, ends: 'rolled-back' } as const;
  const fleet = await new RolloutFleet(t).start(8, (i) => ({
    fate: i < 2 ? bad : i === 2 ? { ...WELL, startsOffline: true } : WELL,
  }));
  const { store, controller } = await fleet.controller();
  fleet.create(store, NAME, { ...QUICK, canary: { boxes: ['b-0', 'b-1', 'b-2'], hours: 0.02 } });
  const halted = await controller.run(NAME, signal);
  t.match(halted, { state: 'halted', reason: '2 canaries rolled back' });
  t.strictSame(fleet.states(store, NAME), [
    'rolled-back',
    'rolled-back',
    'withdrawn',
    ...Array(5).fill('planned'),
  ]);
  t.match(fleet.box(0).truth, { phase: 'rolled-back', seq: 42 });
  const remaining = await retainedMessages(t, fleet.broker.url, 'update/desired');
  t.strictSame(
    [...remaining.keys()],
    [topicsOf(SITE, 'b-2').updateDesired],
    'an offline box finds the order withdrawn',
  );
  t.match(viewOf(store, halted, fleet.clock.wallMs()).boxes[0], { reason: 'it crashed: 3 restarts' });
  t.throws(() => fleet.create(store, 'r-2'), /r-1 is halted/);
  new Rollouts(store).want(NAME, 'resume');
  // b-2 stays offline. It does not hold up the rollout, but then no canary has been healthy.
  const going = controller.run(NAME, signal);
  await waitFor('sent for again', () => fleet.states(store, NAME)[2] === 'ordered');
  await fleet.box(2).connect();
  await waitFor('waves', () =>
    fleet
      .states(store, NAME)
      .slice(2)
      .every((state) => state === 'confirmed'),
  );
  t.match(await going, { state: 'incomplete', reason: '2 of 8 boxes are not confirmed: 2 rolled back' });
});

void t.test('a controller killed at any durable step sends each box one order', async (t) => {
  const fleet = await new RolloutFleet(t).start(8);
  const { store, controller, link } = await fleet.controller();
  fleet.create(store, NAME);
  await link.stop();
  t.ok(controller);
  let [deaths, state] = [0, ''];
  // One step further each time; the last one survives.
  for (const steps of [2, 3, 4, 5, 6, 7, 9, 12, 0]) {
    const mortal: Mortal = {
      dir: join(fleet.dir, 'ops'),
      url: fleet.broker.url,
      time: fleet.time,
      rollout: NAME,
      deed: 'run',
      steps,
    };
    const child = spawn(process.execPath, [WRITER, JSON.stringify(mortal)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    child.stdout.on('data', (chunk: Buffer) => {
      state += chunk.toString().trim();
    });
    const [, by] = (await once(child, 'close')) as [number | null, string | null];
    if (by === 'SIGKILL') deaths += 1;
  }
  t.equal(state, 'done');
  t.equal(deaths, 8);
  t.strictSame(new Set(fleet.states(store, NAME)), new Set(['confirmed']));
  for (let i = 0; i < 8; i += 1) {
    const orders = new Rollouts(store).ordersOf(SITE, `b-${i}`);
    if (orders.length !== 1) t.fail(`b-${i} has ${orders.length} orders`);
    const beginnings = store.history(SITE, `b-${i}`).filter(({ phase }) => phase === 'downloading').length;
    if (beginnings > 1) t.fail(`b-${i} began ${beginnings} times`);
  }
  t.equal((await retainedMessages(t, fleet.broker.url, 'update/desired')).size, 0);
});

void t.test('commands preview, start, pause, resume and abort a rollout', async (t) => {
  const fleet = await new RolloutFleet(t).start(6, (i) => ({ jitterMs: i === 1 ? 40 * 3_600_000 : 0 }));
  const [dir, plan] = [join(fleet.dir, 'ops'), join(fleet.dir, 'plan.yaml')];
  writeFileSync(plan, stringify({ ...QUICK, window: null }));
  const run = (...args: string[]) => fleet.answer(...args, '--dir', dir);
  const dry = await run('rollout', 'start', '1.5.0', '--plan', plan, '--dry-run');
  t.match(dry, { code: 0, out: /canaries +2 +2 +34\.0 kB/ });
  t.match(dry.out, '6 boxes, 102.0 kB in all: release 43-1.5.0');
  t.match(await run('rollout', 'start', '1.5.0', '--plan', plan, '--name', NAME, '--yes'), {
    code: 0,
    out: /r-1 is created/,
  });
  const running = fleet.fleet('rollout', 'run', '--dir', dir);
  await waitFor('canaries are sent for', () => running.out.includes('install for 2 boxes'));
  await waitFor('b-0 is there', () => fleet.box(0).truth.phase === 'confirmed');
  t.match(await run('rollout', 'run'), { code: 1, err: /another program sends orders from/ });
  // Another machine with the same key and a folder of its own.
  const other = fleet.fleet(
    'rollout',
    'start',
    '1.5.0',
    '--plan',
    plan,
    '--yes',
    '--dir',
    fleet.ops('other'),
  );
  t.equal(await other.exit, 1);
  t.match(
    other.err,
    /it is behind the fleet: 1 of the orders at the broker and 1 of the boxes’ reports are newer \(rollout r-1, site-1\/b-0, site-1\/b-1\); run `fleet rollout adopt`.* or end that rollout/,
  );
  t.match(await run('rollout', 'pause'), { code: 0, out: /pause is said; the program that runs it does it/ });
  await waitFor('paused', () => running.out.includes('pause for 1 box'));
  running.child.kill('SIGTERM');
  t.equal(await running.exit, 0);
  t.match(await run('rollout', 'resume'), { code: 0, out: /r-1: running; `fleet rollout run` continues it/ });
  const status = await run('rollout', 'status', '--json');
  t.match(JSON.parse(status.out), { rollout: NAME, state: 'running', waitsFor: [idOf(1)] });
  t.match(await run('rollout', 'abort'), { code: 0, out: /r-1: aborted/ });
  await waitFor('b-1 is called back', () => fleet.box(1).truth.phase === 'idle');
  t.match(await run('status'), {
    code: 0,
    out: /6 boxes: 6 online.*\n(.*\n)*site-1 +b-0 +online +43-1.5.0 +confirmed +r-1 +active/,
  });
  t.match(await run('box', 'b-1'), { code: 0, out: /withdraw +r-1 +counter \d+/ });
  t.match(
    (await run('inventory', '--csv')).out,
    /site-1,b-0,online,.*,43-1.5.0,42-1.4.2,41-1.4.2,rpi5,arm64/,
  );
  writeFileSync(join(dir, 'fleet.yaml'), 'mqtt: {url: http://x}\nsgin: a\n');
  t.match(await run('status'), { code: 2, err: /^fleet: (.*\nfleet: ){2}.*\n$/ }, 'a line for each mistake');
});

void t.test('reports of others, with another key or of yesterday are counted without effect', async (t) => {
  const fleet = await new RolloutFleet(t).start(3);
  const { store, controller } = await fleet.controller();
  const before = await fleet.box(0).report({});
  await fleet.box(0).report({ journalIndex: 5000, version: '1.4.3' });
  await sleep(100);
  controller.hear();
  t.equal(store.boxesNamed('b-0')[0]?.report?.version, '1.4.3');
  const unknownClient = await connectClient(t, fleet.broker.url);
  const topic = (box: string) => topicsOf(SITE, box).updateReported;
  const otherReport = await fleet.box(1).report({ box: 'b-0', journalIndex: 9000 });
  await unknownClient.publishAsync(topic('b-0'), before, { qos: 1 });
  await unknownClient.publishAsync(topic('b-0'), otherReport, { qos: 1 });
  await unknownClient.publishAsync(topic('b-2'), otherReport, { qos: 1 });
  await unknownClient.publishAsync(topic('b-2'), 'rubbish', { qos: 1 });
  const altered = JSON.parse(before) as { payload: string };
  altered.payload = Buffer.from(
    Buffer.from(altered.payload, 'base64').toString().replace('"1.4.2"', '"1.4.9"'),
  ).toString('base64');
  await unknownClient.publishAsync(topic('b-0'), JSON.stringify(altered), { qos: 1 });
  await sleep(200);
  controller.hear();
  t.equal(store.boxesNamed('b-0')[0]?.report?.version, '1.4.3');
  const refusals = store.refusals().map(({ box, reason }) => `${box}: ${reason}`);
  t.strictSame(
    refusals.sort(),
    [
      'b-0: it is older than what the box has reported',
      'b-0: its key is another than the one that is known of the box',
      'b-0: the signature does not fit the content',
      'b-1: it is of b-0 at site-1 and came from b-1 at site-1',
      'b-2: it is of b-0 at site-1 and came from b-2 at site-1',
      'b-2: the envelope is not JSON in UTF-8',
    ].sort(),
  );
  const other = store.boxesNamed('b-0')[0]?.other ?? '';
  t.throws(() => store.acceptKey(SITE, 'b-0', '0'.repeat(64), 0), /it has not reported with/);
  store.acceptKey(SITE, 'b-0', other, 0);
  await unknownClient.publishAsync(topic('b-0'), otherReport, { qos: 1 });
  await sleep(100);
  controller.hear();
  t.match(store.boxesNamed('b-0')[0], { fingerprint: other, other: null, report: { journalIndex: 9000 } });
});

void t.test(
  'foreign orders are reported, many of them stop the rollout, and lost ones are resent',
  async (t) => {
    const fleet = await new RolloutFleet(t).start(6, () => ({ jitterMs: 40 * 3_600_000 }));
    const { store, controller } = await fleet.controller();
    fleet.create(store, NAME, { ...QUICK, canary: { boxes: ['b-0', 'b-1', 'b-2', 'b-3'], hours: 1 } });
    await controller.run(NAME, signal, true);
    const unknownClient = await connectClient(t, fleet.broker.url);
    const key = generateKeyPairSync('ed25519').privateKey;
    const writeRequest = (i: number, change: object = {}): Promise<unknown> => {
      const order = {
        rollout: 'theirs',
        site: SITE,
        box: `b-${i}`,
        action: 'install',
        counter: 7,
        what: 'release',
        seq: 44,
        version: '1.6.0',
        window: null,
      };
      const dates = { notBefore: '2026-01-01T00:00:00.000Z', notAfter: '2099-01-01T00:00:00.000Z' };
      const envelope = signEnvelope(
        UPDATE_ORDER_TYPE,
        JSON.stringify({ ...order, ...dates, ...change }),
        key,
      );
      return unknownClient.publishAsync(topicsOf(SITE, `b-${i}`).updateDesired, envelope, {
        qos: 1,
        retain: true,
      });
    };
    await writeRequest(0);
    await writeRequest(1, { action: 'withdraw' });
    await writeRequest(2, { notAfter: '2026-01-02T00:00:00.000Z' });
    await sleep(100);
    await controller.run(NAME, signal, true);
    t.match(fleet.output.at(-1), 'rollout theirs, for site-1/b-0; not by this fleet');
    await writeRequest(1);
    await writeRequest(2);
    await sleep(100);
    await t.rejects(controller.run(NAME, signal, true), {
      kind: 'denied',
      message: /rollout theirs, for .*; sending has stopped/,
    });
    // The broker has lost one of our orders, and no one has replaced it.
    await unknownClient.publishAsync(topicsOf(SITE, 'b-3').updateDesired, '', { qos: 1, retain: true });
    for (const i of [0, 1, 2])
      await unknownClient.publishAsync(topicsOf(SITE, `b-${i}`).updateDesired, '', { qos: 1, retain: true });
    const { controller: next, store: secondStore } = await fleet.controller();
    await next.run(NAME, signal, true);
    t.match(fleet.output.join('\n'), 'the broker does not hold 4 orders any more; they go out again');
    t.equal((await retainedMessages(t, fleet.broker.url, 'update/desired')).size, 4);
    t.equal(new Rollouts(secondStore).ordersOf(SITE, 'b-3').length, 1, 'the same order');
  },
);

void t.test('a broker with a short queue delivers all orders, and the rollout ends', async (t) => {
  const fleet = await new RolloutFleet(t, ['max_queued_messages 5']).start(30);
  const { store, controller, link } = await fleet.controller();
  t.strictSame(controller.knowledge.missing(), [], 'all arrive if the broker queues that many');
  fleet.create(store, NAME);
  const going = controller.run(NAME, signal);
  await waitFor('canaries', () => fleet.states(store, NAME)[0] === 'confirmed');
  t.ok(link.connected);
  t.equal((await going).state, 'done');
});

void t.test('a fleet with usual failures is completed, and one with a failing board halts', async (t) => {
  const base = {
    boxes: FULL ? 1500 : 200,
    seed: 1,
    processes: 3,
    rollBack: 0.02,
    offline: 0.05,
    mute: 0.01,
    deltaBytes: 17_000,
    fullBytes: 28_600_000,
    kind: 'release' as const,
    ...({ vanish: 0, vanishAt: 'switching', vanishAfterMinutes: 0, dark: 0 } as const),
    spareCanaries: false,
  };
  const none = {
    broken: undefined,
    haltShare: undefined,
    maxQueued: undefined,
    dieInWave: undefined,
    emptyInWave: undefined,
    restoreInWave: undefined,
  };
  const broken = await simulate(
    { ...base, ...none, broken: 'rk3588', ...(FULL && { maxQueued: 1000 }) },
    () => undefined,
  );
  t.match(broken.view, { state: 'halted', reason: /of \d+ boxes that were tried rolled back/ });
  t.ok(
    broken.view.wave < 3 && (broken.view.waves[3]?.states.planned ?? 0) > 0,
    `halted in wave ${broken.view.wave}`,
  );
  t.strictSame([broken.halfWay, broken.missing], [[], 0]);
  const complete = await simulate({ ...base, ...none, haltShare: 0.05, dieInWave: 2 }, () => undefined);
  for (const line of simulatedLines(complete)) t.comment(line);
  t.match(complete, { view: { state: 'incomplete' }, deaths: 1, halfWay: [], missing: 0 });
  const count = (state: string): number => complete.view.boxes.filter((box) => box.state === state).length;
  t.equal(count('rolled-back'), base.boxes * 0.02);
  t.equal(
    count('expired'),
    Math.floor((base.boxes * 0.05) / 3) + base.boxes * 0.01,
    'boxes that never returned, and silent ones',
  );
  t.equal(count('confirmed') + count('rolled-back') + count('expired'), base.boxes);
});
