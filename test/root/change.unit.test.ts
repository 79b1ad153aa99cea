/**
 * Property test of the machine that carries out changes: any order of faults, orders and power cuts takes only allowed
 * steps, and ends in a valid state.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import t from 'tap';
import { AgentError } from '../../agent/base/errors.ts';
import { CHANGE_KINDS } from '../../agent/contract/update.ts';
import { AT_REST, type Kind, sameTarget } from '../../scripts/products/root/change/record.ts';
import { DAY_MS, NOON, Simulation } from '../lib/change-world.ts';
import { SEED } from '../lib/random.ts';
import { ALL, FULL } from '../lib/run.ts';

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

async function applyEvent(simulation: Simulation, event: Event): Promise<void> {
  switch (event.is) {
    case 'order':
      simulation.order(event.kind, event.action, event.number);
      return;
    case 'run':
      await simulation.perform((machine) => machine.run(() => undefined), event.power);
      return;
    case 'judge':
      await simulation.assess(event.verdict, event.power);
      return;
    case 'cut':
      simulation.cutIn = event.n;
      return;
    case 'clock':
      simulation.nowMs += (event.n - 50) * DAY_MS;
      return;
    case 'damage':
      simulation.damage(event.n);
      await simulation.comesBack(event.power);
      return;
    case 'fetch':
      simulation.fetchError = [
        undefined,
        new AgentError('unavailable', 'no route'),
        new AgentError('corrupt', 'rotten'),
      ][event.n % 3];
      return;
    case 'mode':
      simulation.mode = event.n % 2 === 0 ? 'active' : 'suspended';
  }
}

/** Ends all faults, and returns what is wrong with the final state, if anything. */
async function endOf(simulation: Simulation): Promise<string | undefined> {
  simulation.cutIn = undefined;
  simulation.fetchError = undefined;
  simulation.mode = 'active';
  // Later than all that the box has acted on, and than a lost record; before, it waits for the network, or refuses.
  const { seenMs, ordersFromMs } = simulation.store.state;
  simulation.nowMs = Math.max(simulation.nowMs, NOON, seenMs, ordersFromMs) + 3 * DAY_MS;
  simulation.boottimeS += 3 * 86_400;
  await simulation.comesBack(false);
  const settle = async (): Promise<void> => {
    for (let n = 0; n < 4; n += 1) {
      await simulation.perform((machine) => machine.run(() => undefined), false);
      await simulation.assess('good', false);
    }
  };
  await settle();
  for (const kind of CHANGE_KINDS) {
    const payload = simulation.payloads[kind];
    const { phase, reason, target, trial } = simulation.store.state[kind];
    const context = `${kind} ${phase} (${reason})`;
    const waits = (phase === 'waiting' || phase === 'staged') && reason !== null;
    if (!AT_REST.has(phase) && !waits) return `${context}: no end`;
    if (JSON.stringify(payload.runs) !== JSON.stringify(payload.is))
      return `${context}: the agent runs with another`;
    if (phase === 'confirmed' && !sameTarget(payload.current, target)) return `${context}: it is not there`;
    if (phase === 'rolled-back' && trial !== null && sameTarget(payload.current, target))
      return `${context}: it is still there`;
    if (!payload.proven.some((one) => sameTarget(one, payload.current)))
      return `${context}: ${JSON.stringify(payload.is)} runs and was never judged good`;
    // A further order succeeds.
    simulation.order(kind, 'install', 9);
    await settle();
    const after = simulation.store.state[kind];
    if (after.phase !== 'confirmed' || payload.current?.number !== 9)
      return `${context}: a new order ends ${after.phase} (${after.reason}), ${JSON.stringify(after.refusal)}`;
  }
  return undefined;
}

void t.test('the machine ends in a proven state after any faults, orders and power cuts', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyEvent, { minLength: 5, maxLength: 40 }), async (events) => {
      const simulation = new Simulation();
      try {
        for (const event of events) await applyEvent(simulation, event);
        const problem = await endOf(simulation);
        if (problem !== undefined) throw new Error(problem);
      } finally {
        simulation.end();
      }
    }),
    { seed: SEED, numRuns: FULL ? 3000 : ALL ? 100 : 10 },
  );
  t.pass(`seed ${SEED}`);
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
