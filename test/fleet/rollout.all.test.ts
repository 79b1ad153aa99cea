/**
 * Tests whole rollouts over a real broker, with boxes that use the real protocol: complete ones, by commands, with boxes
 * that stay silent, and simulated fleets.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { stringify } from 'yaml';
import { Rollouts } from '../../scripts/products/fleet/rollout/rollouts.ts';
import type { RolloutView } from '../../scripts/products/fleet/rollout/view.ts';
import { viewOf } from '../../scripts/products/fleet/rollout/view.ts';
import { simulatedLines } from '../../scripts/products/fleet/simulate/report.ts';
import { RUNS } from '../../scripts/products/fleet/simulate/scenario.ts';
import {
  type Simulated,
  type SimulateOptions,
  simulate,
} from '../../scripts/products/fleet/simulate/simulate.ts';
import { Orders, waitUntil } from '../lib/heard-orders.ts';
import { ROOT } from '../lib/paths.ts';
import { idOf, QUICK, RolloutFleet, SITE, WELL } from '../lib/rollout-fleet.ts';
import { FULL, unlessFull } from '../lib/run.ts';

const NAME = 'r-1';
const { signal } = new AbortController();

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
  t.match(result, { state: 'incomplete', reason: /^1 of 11 boxes is not confirmed: 1 expired/ });
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
  t.equal((await Orders.of(t, fleet.broker.url)).retained.size, 0, 'orders that are over are cleared');
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

void t.test('commands preview, start, pause, resume and abort a rollout', async (t) => {
  const fleet = await new RolloutFleet(t).start(6, (i) => ({ jitterMs: i === 1 ? 40 * 3_600_000 : 0 }));
  const [dir, plan] = [join(fleet.dir, 'ops'), join(fleet.dir, 'plan.yaml')];
  writeFileSync(plan, stringify({ ...QUICK, window: null }));
  const run = (...args: string[]) => fleet.answer(...args, '--dir', dir);
  chmodSync(join(dir, 'ops.key'), 0o644);
  t.match(await run('rollout', 'start', '1.5.0', '--plan', plan, '--dry-run'), {
    code: 2,
    err: /fleet\.yaml: sign: the private key is open to others \(mode 0644\); chmod 0640 /,
  });
  chmodSync(join(dir, 'ops.key'), 0o600);
  const dry = await run('rollout', 'start', '1.5.0', '--plan', plan, '--dry-run');
  t.match(dry, { code: 0, out: /canaries +2 +2 +34\.0 kB/ });
  t.match(dry.out, '6 boxes, 102.0 kB in all: release 43-1.5.0');
  t.match(await run('rollout', 'start', '1.5.0', '--plan', plan, '--name', NAME, '--yes'), {
    code: 0,
    out: /r-1 is created/,
  });
  const running = fleet.fleet('rollout', 'run', '--dir', dir);
  await waitUntil('canaries are sent for', () => running.out.includes('install for 2 boxes'));
  await waitUntil('b-0 is there', () => fleet.box(0).truth.phase === 'confirmed');
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
  await waitUntil('paused', () => running.out.includes('pause for 1 box'));
  running.child.kill('SIGTERM');
  t.equal(await running.exit, 0);
  t.match(await run('rollout', 'resume'), { code: 0, out: /r-1: running; `fleet rollout run` continues it/ });
  const status = await run('rollout', 'status', '--json');
  t.match(JSON.parse(status.out), {
    rollout: NAME,
    state: 'running',
    explanation: `2 connected and not confirmed (${idOf(0)}, ${idOf(1)})`,
  });
  t.match(await run('rollout', 'abort'), { code: 0, out: /r-1: aborted/ });
  await waitUntil('b-1 is called back', () => fleet.box(1).truth.phase === 'idle');
  t.match(await run('status'), {
    code: 0,
    out: /6 boxes: 6 online.*\n(.*\n)*site-1 +b-0 +online +43-1.5.0 +confirmed +r-1 +active/,
  });
  t.match(await run('box', 'b-1'), { code: 0, out: /withdraw +r-1 +counter \d+/ });
  t.match(
    (await run('inventory', '--csv')).out,
    /site-1,b-0,online,.*,43-1.5.0,42-1.4.2,41-1.4.2,rpi5,arm64/,
  );
  writeFileSync(plan, stringify({ canary: { boxes: ['b-1'] }, waves: [{ share: 1 }] }));
  t.match(await run('rollout', 'start', '43', '--plan', plan, '--name', 'r-2', '--yes'), { code: 0 });
  t.match(await run('rollout', 'abort'), { code: 0, out: /r-2: aborted; the broker has 1 withdrawal\n/ });
  t.match(await run('audit', '--count', '1'), { out: /rollout r-2: aborted, 1 withdrawal\n/ });
  writeFileSync(join(dir, 'fleet.yaml'), 'mqtt: {url: http://x}\nsgin: a\n');
  t.match(await run('status'), { code: 2, err: /^fleet: (.*\nfleet: ){2}.*\n$/ }, 'a line for each mistake');
});

void t.test('a broker with a short queue delivers all orders, and the rollout ends', async (t) => {
  const fleet = await new RolloutFleet(t, ['max_queued_messages 5']).start(30);
  const { store, controller, link } = await fleet.controller();
  t.strictSame(controller.knowledge.missing(), [], 'all arrive if the broker queues that many');
  fleet.create(store, NAME);
  const going = controller.run(NAME, signal);
  await waitUntil('canaries', () => fleet.states(store, NAME)[0] === 'confirmed');
  t.ok(link.connected);
  t.equal((await going).state, 'done');
});

void t.test('a silent canary ends the program with 1; skip and resume complete the rollout', async (t) => {
  const fleet = await new RolloutFleet(t).start(5, (i) => ({
    fate: i === 1 ? { ...WELL, ends: 'mute' } : WELL,
    jitterMs: 0,
  }));
  const [dir, plan] = [join(fleet.dir, 'ops'), join(fleet.dir, 'plan.yaml')];
  const metricsFile = join(fleet.dir, 'rollout.prom');
  const yaml = readFileSync(join(dir, 'fleet.yaml'), 'utf8');
  writeFileSync(join(dir, 'fleet.yaml'), `${yaml}metricsFile: ${metricsFile}\n`);
  const thresholds = { stuckHours: 0.003, heardMinutes: 0.02 };
  const waves = [{ share: 1 }];
  const canary = { boxes: ['b-0', 'b-1'], hours: 0 };
  writeFileSync(plan, stringify({ canary, waves, thresholds, notAfterDays: 300 }));
  const run = (...args: string[]) => fleet.answer(...args, '--dir', dir);
  t.match(await run('rollout', 'start', '1.5.0', '--plan', plan, '--name', NAME, '--yes'), { code: 0 });
  const stuck = await run('rollout', 'run');
  t.match(stuck, {
    code: 1,
    out: /r-1: release 43-1\.5\.0, halted \(canaries: no progress for 0\.003 h: 1 connected and not confirmed \(site-1\/b-1\)\)/,
    err: /^fleet: r-1 has halted: canaries: no progress .*; rollout abort, or rollout skip BOX and rollout resume\n/,
  });
  t.match(stuck.out, /never sent for: 3: site-1\/b-2, site-1\/b-3, site-1\/b-4/);
  const halted = readFileSync(metricsFile, 'utf8');
  t.match(halted, /vigie_rollout_info\{rollout="r-1",kind="release",what="43-1\.5\.0"\} 1\n/);
  t.match(halted, /vigie_rollout_state\{rollout="r-1",state="halted"\} 1\n/);
  t.match(halted, /vigie_rollout_boxes\{rollout="r-1",wave="0",state="confirmed"\} 1\n/);
  const rules = readFileSync(join(ROOT, 'docs/guide/prometheus-fleet-rules.yaml'), 'utf8');
  const guide = readFileSync(join(ROOT, 'docs/guide/fleet-metrics.md'), 'utf8');
  const metricNames = new Set([...halted.matchAll(/^# TYPE (\S+)/gm)].map(([, name = '']) => name));
  for (const [name] of rules.matchAll(/vigie_rollout_[a-z_]+/g))
    t.ok(metricNames.has(name), `${name} exists`);
  for (const name of metricNames) t.ok(guide.includes(`\`${name}\``), `fleet-metrics.md has ${name}`);
  const promtool = spawnSync('promtool', ['check', 'metrics'], { input: halted, encoding: 'utf8' });
  if (promtool.error === undefined) t.match(promtool, { status: 0, stdout: '', stderr: '' });
  const reasonWords = ['--reason', 'its lamp is off'];
  t.match(await run('rollout', 'skip', 'b-77', ...reasonWords), { code: 2, err: /b-77: not a box of r-1/ });
  t.match(await run('rollout', 'skip', 'b-1'), { code: 2, err: /required option '--reason <text>'/ });
  t.match(await run('rollout', 'skip', 'b-1', ...reasonWords), {
    code: 0,
    out: /r-1: 1 left out: site-1\/b-1: its lamp is off\nr-1: halted\n/,
  });
  const { boxes } = JSON.parse((await run('rollout', 'status', '--json')).out) as RolloutView;
  const skipped = boxes.find(({ state }) => state === 'skipped');
  t.match(skipped, { box: 'b-1', reason: 'its lamp is off' });
  t.match(await run('rollout', 'resume'), { code: 0, out: /r-1: running/ });
  const completed = await run('rollout', 'run');
  t.match(completed, { code: 0, out: /r-1: release 43-1\.5\.0, done, wave 1 of 1/ });
  t.match(await run('audit'), { out: /rollout r-1: skip site-1\/b-1: its lamp is off/ });
  t.match(readFileSync(metricsFile, 'utf8'), /vigie_rollout_state\{rollout="r-1",state="done"\} 1\n/);
});

void t.test('a fleet with usual failures is completed, and one with a failing board halts', async (t) => {
  const base = {
    boxes: FULL ? 1500 : 200,
    seed: 1,
    processes: 3,
    rollBack: 0.02,
    offline: 0.05,
    mute: 0.01,
    kind: 'release' as const,
    ...({ vanish: 0, vanishAt: 'switching', vanishAfterMinutes: 0, dark: 0 } as const),
    spareCanaries: false,
  };
  const none = {
    broken: undefined,
    dieInWave: undefined,
    emptyInWave: undefined,
    restoreInWave: undefined,
  };
  const broken = await simulate({ ...base, ...none, broken: 'rk3588' }, () => undefined);
  t.match(broken.view, { state: 'halted', reason: /of \d+ boxes that were tried rolled back/ });
  t.ok(
    broken.view.wave < 3 && (broken.view.waves[3]?.states.planned ?? 0) > 0,
    `halted in wave ${broken.view.wave}`,
  );
  t.strictSame([broken.halfWay, broken.missing], [[], 0]);
  const complete = await simulate({ ...base, ...none, rollBack: 0.01, dieInWave: 2 }, () => undefined);
  for (const line of simulatedLines(complete)) t.comment(line);
  t.match(complete, { view: { state: 'incomplete' }, deaths: 1, halfWay: [], missing: 0 });
  const count = (state: string): number => complete.view.boxes.filter((box) => box.state === state).length;
  t.equal(count('rolled-back'), base.boxes * 0.01);
  t.equal(
    count('expired'),
    Math.floor((base.boxes * 0.05) / 3) + base.boxes * 0.01,
    'boxes that never returned, and silent ones',
  );
  t.equal(count('confirmed') + count('rolled-back') + count('expired'), base.boxes);
});

void t.test(
  'simulated fleets halt on vanishing boxes, not on power cuts by day',
  { skip: unlessFull },
  async (t) => {
    const base: SimulateOptions = {
      boxes: 1500,
      seed: 2,
      processes: 2,
      rollBack: 0,
      offline: 0.05,
      mute: 0,
      vanish: 0,
      vanishAt: 'any',
      vanishAfterMinutes: 5,
      dark: 0,
      kind: 'release' as const,
    };
    const runSimulation = async (name: string, change: Partial<SimulateOptions>) => {
      const result = await simulate({ ...base, ...change }, () => undefined);
      t.comment(name);
      for (const line of simulatedLines(result)) t.comment(line);
      t.strictSame(result.halfWay, []);
      return result;
    };
    const lastOf = ({ view }: Simulated): number => view.waves.length - 1;
    const vanished = await runSimulation('90 % vanish', { vanish: 0.9, dark: 0.4 });
    t.match(vanished.view, { state: 'halted' });
    t.ok(
      vanished.view.wave <= 1 && vanished.lostBoxes.length <= 0.05 * base.boxes + 8,
      `${vanished.lostBoxes.length} lost`,
    );
    const dark = await runSimulation('no power by day', { dark: 0.4, offline: 0 });
    t.match(
      dark,
      { view: { state: 'done', wave: lastOf(dark) }, lostBoxes: [] },
      'boxes without power by day are not evidence',
    );
    const restored = await runSimulation('an older database in wave 2', { restoreInWave: 2, offline: 0 });
    t.match(
      restored,
      { view: { state: 'done', wave: lastOf(restored) }, deaths: 1 },
      'the older copy adopts the rollout and continues',
    );
  },
);
