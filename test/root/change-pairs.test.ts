/**
 * Explores the change machine breadth-first, two kinds of change at a time, up to a number of states. The acts are orders,
 * cuts at any point, damaged records, suspensions, clock steps and a technician's requests.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { AgentError } from '../../agent/base/errors.ts';
import { CHANGE_KINDS } from '../../agent/contract/update.ts';
import { type Kind, SWITCHED, sameTarget } from '../../scripts/products/root/change/record.ts';
import { DAMAGES, DAY_MS, Simulation } from '../lib/change-world.ts';
import { type Act, explore, wayOn } from '../lib/explore-changes.ts';
import { ALL, FULL } from '../lib/run.ts';

const PAIRS: readonly (readonly [Kind, Kind])[] = [
  ['release', 'configuration'],
  ['root', 'configuration'],
  ['release', 'root'],
];
/** States of each pair; every sequence of three acts takes about 3,000. */
const STATES_MAX = FULL ? 20_000 : ALL ? 3000 : 200;
/** Every n-th state is followed to its end, and then takes an order of each kind. */
const ENDED_EVERY = ALL ? 5 : 10;

/** States of interest that lie many acts away. */
function beginningsOf([one, other]: readonly [Kind, Kind]): string[][] {
  const onTrial = [`${one} 2`, 'run'];
  const confirmed = [...onTrial, 'good'];
  const parked = ['suspend or resume', 'configuration 2', 'run', 'good'];
  return [
    ...(other === 'configuration' ? [['technician: try'], [...parked, ...onTrial, 'suspend or resume']] : []),
    onTrial,
    [...onTrial, `${other} 3`, 'run'],
    [...confirmed, `${other} 2`, 'run'],
    [...confirmed, `${one} 3`, 'run', 'bad'],
    ...(other === 'configuration' ? [parked] : []),
  ];
}

const run: Act['act'] = (simulation) => simulation.perform((machine) => machine.run(() => undefined), false);

function actsOf(pair: readonly Kind[]): Act[] {
  const acts: Act[] = [{ name: 'run', act: run }];
  const add = (name: string, act: Act['act']): void => void acts.push({ name, act });
  for (const kind of pair) {
    for (const number of [2, 3])
      add(`${kind} ${number}`, (simulation) => simulation.order(kind, 'install', number));
    for (const action of ['pause', 'withdraw'] as const)
      add(`${action} ${kind}`, (simulation) => simulation.order(kind, action, 2));
  }
  for (let point = 0; point < 10; point += 1) {
    const power = point % 2 === 0;
    add(`run, ${power ? 'power' : 'program'} cut at ${point}`, async (simulation) => {
      simulation.cutIn = point;
      await simulation.perform((machine) => machine.run(() => undefined), power);
      simulation.cutIn = undefined;
    });
  }
  for (const verdict of ['good', 'bad'] as const) {
    add(verdict, (simulation) => simulation.assess(verdict, false));
    for (const point of [0, 1, 2])
      add(`${verdict}, cut at ${point}`, async (simulation) => {
        simulation.cutIn = point;
        await simulation.assess(verdict, point !== 1);
        simulation.cutIn = undefined;
      });
  }
  add('suspend or resume', (simulation) => {
    simulation.mode = simulation.mode === 'active' ? 'suspended' : 'active';
  });
  for (const days of [-1, 8])
    add(`clock by ${days} days`, (simulation) => {
      simulation.nowMs += days * DAY_MS;
    });
  for (const damage of DAMAGES)
    for (const name of ['state.json', 'history.jsonl'] as const)
      add(`${name} ${damage}`, async (simulation, older) => {
        simulation.damage(name, damage, older.get(name) ?? undefined);
        await simulation.comesBack(damage !== 'half');
      });
  if (pair.includes('configuration'))
    for (const op of ['try', 'keep', 'revert'] as const)
      add(`technician: ${op}`, (simulation) => simulation.ask(op));
  return acts;
}

for (const pair of PAIRS)
  void t.test(`${pair.join(' and ')}: no sequence breaks an invariant`, { timeout: 1_800_000 }, async (t) => {
    const beginnings = beginningsOf(pair);
    const result = await explore(actsOf(pair), pair, {
      statesMax: STATES_MAX,
      endedEvery: ENDED_EVERY,
      beginnings,
    });
    t.strictSame(result.problems, []);
    t.equal(result.states, STATES_MAX);
    t.comment(JSON.stringify(result.counts));
  });

void t.test('a parked change holds up no other, and does not resume while another is on trial', async (t) => {
  const simulation = new Simulation();
  t.teardown(() => simulation.end());
  const phases = () => CHANGE_KINDS.map((kind) => simulation.store.state[kind].phase);
  simulation.mode = 'suspended';
  simulation.order('configuration', 'install', 2);
  await run(simulation, new Map());
  await simulation.assess('good', false);
  simulation.order('release', 'install', 2);
  await run(simulation, new Map());
  t.strictSame(phases(), ['probation', 'awaits-resume', 'idle'], 'the release is tried');
  simulation.mode = 'active';
  await run(simulation, new Map());
  t.strictSame(phases(), ['probation', 'awaits-resume', 'idle'], 'alone');
  simulation.order('configuration', 'withdraw', 2);
  await run(simulation, new Map());
  t.strictSame(
    phases(),
    ['probation', 'awaits-resume', 'idle'],
    'a withdrawal waits too: going back is a restart',
  );
  await simulation.assess('good', false);
  await run(simulation, new Map());
  t.strictSame(phases(), ['confirmed', 'rolled-back', 'idle']);
});

void t.test('the explorer finds a machine that resumes beside a trial', async (t) => {
  const isBroken = (simulation: Simulation): string | undefined =>
    CHANGE_KINDS.filter((kind) => SWITCHED.has(simulation.store.state[kind].phase)).length > 0
      ? 'a trial'
      : undefined;
  const result = await explore(actsOf(['release', 'configuration']), ['release', 'configuration'], {
    statesMax: 30,
    beginnings: [],
    endedEvery: 1000,
    invariants: { 'no trial ever begins': isBroken },
  });
  t.match(result.problems[0], /^no trial ever begins: a trial, after: technician: try/);
});

void t.test('a configuration does not wait for a download', async (t) => {
  const simulation = new Simulation();
  t.teardown(() => simulation.end());
  let ends = (): void => undefined;
  simulation.download = new Promise((resolve) => {
    ends = resolve;
  });
  simulation.order('release', 'install', 2);
  const running = simulation.machine.run(() => undefined);
  const phase = (kind: Kind): string => simulation.store.state[kind].phase;
  const checkPhase = async (kind: Kind, expected: string): Promise<void> => {
    for (const untilMs = Date.now() + 40_000; phase(kind) !== expected && Date.now() < untilMs; )
      await sleep(20);
    t.equal(phase(kind), expected);
  };
  await checkPhase('release', 'downloading');
  simulation.order('configuration', 'install', 2);
  await checkPhase('configuration', 'probation');
  t.equal(phase('release'), 'downloading');
  ends();
  await running;
  t.match(simulation.store.state.release, { phase: 'staged', reason: /another configuration is on trial/ });
  await simulation.assess('good', false);
  await simulation.machine.run(() => undefined);
  t.equal(phase('release'), 'probation', 'and the release comes after it');
});

void t.test('an order that arrives while the last one ends is carried out in the same run', async (t) => {
  const simulation = new Simulation();
  t.teardown(() => simulation.end());
  let isPending = true;
  simulation.payloads.configuration.tidy = () => {
    if (isPending) simulation.order('release', 'install', 2);
    isPending = false;
  };
  await simulation.machine.run(() => undefined);
  t.match(simulation.store.state.release, { phase: 'probation', target: { number: 2 } });
});

void t.test('a fetch that fails for a time ends nothing, and a rotten archive ends the order', async (t) => {
  for (const kind of ['unavailable', 'corrupt'] as const) {
    const simulation = new Simulation();
    simulation.order('release', 'install', 2);
    simulation.fetchError = new AgentError(kind, 'no');
    for (let n = 0; n < 6; n += 1) {
      await run(simulation, new Map());
      simulation.boottimeS += 9 * 3600;
    }
    t.equal(simulation.store.state.release.phase, 'failed', `${kind}: after a day, or five archives`);
    simulation.fetchError = undefined;
    t.equal(await wayOn(simulation), undefined);
    t.ok(sameTarget(simulation.payloads.release.current, { number: 9, name: '0.9.0' }));
    simulation.end();
  }
});
