/** Tests releases that cut boxes off the network, and silent boxes, over a real broker: how a rollout ends. */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { stringify } from 'yaml';
import { Rollouts } from '../../scripts/programs/fleet/rollout/rollouts.ts';
import { viewLines } from '../../scripts/programs/fleet/rollout/text.ts';
import { viewOf } from '../../scripts/programs/fleet/rollout/view.ts';
import type { Fate } from '../../scripts/programs/fleet/simulate/fate.ts';
import { simulatedLines } from '../../scripts/programs/fleet/simulate/report.ts';
import { type SimulateOptions, simulate } from '../../scripts/programs/fleet/simulate/simulate.ts';
import { unlessFull } from '../lib/run.ts';
import { ROOT } from '../lib/paths.ts';
import { RolloutFleet, WELL } from '../lib/rollout-fleet.ts';

const NAME = 'r-1';
const { signal } = new AbortController();
const CANARIES = ['b-0', 'b-1', 'b-2'];
const PLAN = {
  canary: { boxes: CANARIES, hours: 0.1 },
  waves: [{ share: 0.3, soakHours: 0.1 }, { share: 1 }],
  notAfterDays: 30,
  thresholds: { silentHours: 0.5 },
};
const vanishing = (at: NonNullable<Fate['vanishes']>['at'], afterMs = 0): Fate => ({
  ...WELL,
  vanishes: { at, afterMs },
});

const lostIn = ({ simulation }: RolloutFleet): number =>
  [...simulation.boxes.values()].filter(({ truth }) => truth.hasVanished).length;

void t.test('a rollout halts when two of three canaries vanish in the switch', async (t) => {
  const fleet = await new RolloutFleet(t).start(100, (i) => ({
    fate: i % 10 === 2 ? WELL : vanishing('switching'),
    jitterMs: 0,
  }));
  const { store, controller } = await fleet.controller();
  fleet.create(store, NAME, PLAN);
  const halted = await controller.run(NAME, signal);
  t.match(halted, {
    state: 'halted',
    wave: 0,
    reason: /^2 of 3 boxes that tried it are silent for more than 0.5 h, and 0 of 97 that have not tried it/,
  });
  t.equal(lostIn(fleet), 2, 'of 100 boxes, 90 of which it would take');
  const view = viewOf(store, halted, fleet.clock.wallMs());
  t.strictSame(
    view.boxes.filter(({ silent }) => silent).map(({ box }) => box),
    ['b-0', 'b-1'],
    'and they are named',
  );
  t.equal(view.waves[1]?.states.planned, 27);
});

void t.test('a rollout of root’s program halts on vanished canaries like one of the agent', async (t) => {
  const fleet = await new RolloutFleet(t).start(100, (i) => ({
    fate: i % 10 === 2 ? WELL : vanishing('switching'),
    jitterMs: 0,
  }));
  const { store, controller } = await fleet.controller();
  fleet.create(store, NAME, PLAN, 'root');
  const halted = await controller.run(NAME, signal);
  t.match(halted, { kind: 'root', description: '44-1.5.0', state: 'halted', wave: 0 });
  t.match(halted.reason, /^2 of 3 boxes that tried it are silent for more than 0.5 h, and 0 of 97/);
  t.equal(lostIn(fleet), 2, 'of 100 boxes');
  t.match(fleet.box(2).truth, { phase: 'confirmed', seq: 44 });
  const { report } = store.boxesNamed('b-2')[0] ?? {};
  t.match(report?.updater, {
    phase: 'idle',
    release: { seq: 42 },
    root: { phase: 'confirmed', release: { seq: 44, version: '1.5.0' }, rollout: NAME },
  });
  const [head = ''] = viewLines(viewOf(store, halted, fleet.clock.wallMs()), fleet.clock.wallMs());
  t.match(head, /^r-1: root’s program 44-1\.5\.0, halted/);
});

void t.test('a wave that vanishes minutes after its confirmation halts there', async (t) => {
  const fleet = await new RolloutFleet(t).start(60, (i) => ({
    fate: i < 3 || i % 10 === 3 ? WELL : vanishing('confirmed', 120_000),
    jitterMs: 0,
  }));
  const { store, controller } = await fleet.controller();
  fleet.create(store, NAME, PLAN);
  const halted = await controller.run(NAME, signal);
  t.match(halted, {
    state: 'halted',
    wave: 1,
    reason: /boxes that tried it are silent for more than 0.5 h, and 0 of 42/,
  });
  t.ok(
    lostIn(fleet) >= 10 && lostIn(fleet) <= 15,
    `${lostIn(fleet)} of 60 are lost: those of the first wave`,
  );
  t.equal(fleet.states(store, NAME).filter((state) => state === 'planned').length, 42);
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
    err: /^fleet: r-1 has halted: canaries: no progress .*; rollout abort, or skip boxes and rollout resume\n/,
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
  t.match(await run('rollout', 'skip', 'b-77'), { code: 2, err: /b-77: not a box of r-1/ });
  t.match(await run('rollout', 'skip', '--waiting'), {
    code: 0,
    out: /r-1: 1 left out: site-1\/b-1\nr-1: halted\n/,
  });
  t.match(await run('rollout', 'resume'), { code: 0, out: /r-1: running/ });
  const completed = await run('rollout', 'run');
  t.match(completed, { code: 0, out: /r-1: release 43-1\.5\.0, done, wave 1 of 1/ });
  t.match(await run('audit'), { out: /rollout r-1: skip site-1\/b-1/ });
  t.match(readFileSync(metricsFile, 'utf8'), /vigie_rollout_state\{rollout="r-1",state="done"\} 1\n/);
});

void t.test(
  'boxes that never come leave a rollout incomplete, are named, and give exit code 1',
  async (t) => {
    const fleet = await new RolloutFleet(t).start(4, (i) => ({
      fate: i === 3 ? { ...WELL, startsOffline: true } : WELL,
      jitterMs: 0,
    }));
    const [dir, plan] = [join(fleet.dir, 'ops'), join(fleet.dir, 'plan.yaml')];
    const thresholds = { heardMinutes: 0 };
    const canary = { boxes: ['b-0'], hours: 0 };
    writeFileSync(plan, stringify({ canary, waves: [{ share: 1 }], thresholds, notAfterDays: 300 }));
    const { store, link } = await fleet.controller();
    await link.stop();
    t.equal(store.boxes().length, 4);
    const startArgs = ['rollout', 'start', '1.5.0', '--plan', plan, '--name', NAME, '--yes', '--dir', dir];
    t.equal(await fleet.fleet(...startArgs).exit, 0);
    const run = fleet.fleet('rollout', 'run', '--dir', dir);
    const confirmedCount = (): number =>
      fleet.states(store, NAME).filter((state) => state === 'confirmed').length;
    for (const untilMs = Date.now() + 40_000; confirmedCount() < 3 && Date.now() < untilMs; ) await sleep(50);
    // The plan's 300 days have passed.
    store.db.prepare('UPDATE rollout SET not_after = ?').run(Date.now());
    t.equal(await run.exit, 1);
    t.match(run.err, /r-1 is over and incomplete: 1 of 4 boxes are not confirmed: 1 expired/);
    t.match(run.out, /expired, not done in time: 1: site-1\/b-3/);
    t.equal(new Rollouts(store).present(), undefined);
  },
);

void t.test(
  'simulated fleets halt on vanishing boxes, not on power cuts by day',
  { skip: unlessFull },
  async (t) => {
    const base: SimulateOptions = {
      boxes: 1500,
      seed: 2,
      processes: 2,
      deltaBytes: 17_000,
      fullBytes: 28_600_000,
      rollBack: 0,
      offline: 0.05,
      mute: 0,
      vanish: 0,
      vanishAt: 'any',
      vanishAfterMinutes: 5,
      dark: 0,
      kind: 'release' as const,
      spareCanaries: false,
      broken: undefined,
      haltShare: 0.05,
      maxQueued: undefined,
      dieInWave: undefined,
      emptyInWave: undefined,
      restoreInWave: undefined,
    };
    const runSimulation = async (name: string, change: Partial<SimulateOptions>) => {
      const result = await simulate({ ...base, ...change }, () => undefined);
      t.comment(name);
      for (const line of simulatedLines(result)) t.comment(line);
      t.strictSame(result.halfWay, []);
      return result;
    };
    const vanished = await runSimulation('90 % vanish', { vanish: 0.9, dark: 0.4 });
    t.match(vanished.view, { state: 'halted' });
    t.ok(
      vanished.view.wave <= 1 && vanished.lostBoxes.length <= 0.05 * base.boxes + 8,
      `${vanished.lostBoxes.length} lost`,
    );
    const dark = await runSimulation('no power by day', { dark: 0.4, offline: 0 });
    t.match(
      dark,
      { view: { state: 'done', wave: 3 }, lostBoxes: [] },
      'boxes without power by day are not evidence',
    );
    const restored = await runSimulation('an older database in wave 2', { restoreInWave: 2, offline: 0 });
    t.match(
      restored,
      { view: { state: 'done', wave: 3 }, deaths: 1 },
      'the older copy adopts the rollout and continues',
    );
  },
);
