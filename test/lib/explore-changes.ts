/** Explores the states of two kinds of change breadth-first, and checks invariants by name in each. */
import { CHANGE_KINDS } from '../../agent/contract/update.ts';
import {
  AT_REST,
  type Kind,
  ON_TRIAL,
  SWITCHED,
  sameTarget,
} from '../../scripts/products/root/change/record.ts';
import { DAY_MS, NOON, Simulation } from './change-world.ts';

export interface Act {
  readonly name: string;
  /** `older`: files as they were before the last act. */
  act(simulation: Simulation, older: ReadonlyMap<string, Buffer | null>): void | Promise<void>;
}

type Invariant = (simulation: Simulation, kinds: readonly Kind[]) => string | undefined;

const INVARIANTS: Readonly<Record<string, Invariant>> = {
  'one trial': ({ store }, kinds) => {
    const triedKinds = kinds.filter((kind) => SWITCHED.has(store.state[kind].phase));
    return triedKinds.length > 1 ? triedKinds.join(' and ') : undefined;
  },
  'what runs is proven or on trial': ({ store, payloads }, kinds) =>
    firstOf(kinds, (kind) => {
      const { proven, current } = payloads[kind];
      const { phase, target } = store.state[kind];
      if (proven.some((one) => sameTarget(one, current))) return undefined;
      return ON_TRIAL.has(phase) && sameTarget(current, target)
        ? undefined
        : `${JSON.stringify(current)}: ${phase}`;
    }),
  'nothing confirmed is lost': ({ store, payloads }, kinds) =>
    firstOf(kinds, (kind) => {
      const { phase, target } = store.state[kind];
      return phase === 'confirmed' && !sameTarget(payloads[kind].current, target)
        ? 'it is not there'
        : undefined;
    }),
  // A killed program leaves the agent stopped in the middle of a switch; the next start of that program goes on.
  'the agent runs what is installed': ({ store, payloads }, kinds) =>
    firstOf(kinds, (kind) => {
      const { runs, is } = payloads[kind];
      if (store.state[kind].phase === 'switching') return undefined;
      return JSON.stringify(runs) === JSON.stringify(is) ? undefined : JSON.stringify({ runs, is });
    }),
};

function firstOf(kinds: readonly Kind[], problem: (kind: Kind) => string | undefined): string | undefined {
  for (const kind of kinds) {
    const text = problem(kind);
    if (text !== undefined) return `${kind}: ${text}`;
  }
  return undefined;
}

export interface ExploreOptions {
  /** Acts, by name, after which the exploration begins too; a state many acts away is thus near. */
  readonly beginnings: readonly (readonly string[])[];
  readonly statesMax: number;
  /** Every n-th state is followed to its end. */
  readonly endedEvery: number;
  readonly invariants?: Readonly<Record<string, Invariant>>;
}

export interface Explored {
  readonly states: number;
  readonly problems: readonly string[];
  readonly counts: { readonly transitions: number; readonly ends: number; readonly depth: number };
}

const PROBLEMS_MAX = 5;

export async function explore(
  acts: readonly Act[],
  kinds: readonly Kind[],
  { statesMax, endedEvery, beginnings, invariants = INVARIANTS }: ExploreOptions,
): Promise<Explored> {
  const simulation = new Simulation();
  const problems: string[] = [];
  let [transitions, endCount, depth] = [0, 0, 0];
  try {
    // The first start of a box notes its boot.
    await simulation.comesBack(true);
    const first = simulation.snapshot();
    const start = { snapshot: first, before: first.files, trail: [] as readonly string[] };
    const keys = new Set([keyOf(simulation, kinds)]);
    const queue: (typeof start)[] = [];
    for (const trail of beginnings) {
      simulation.restore(first);
      for (const name of trail) await acts.find((one) => one.name === name)?.act(simulation, first.files);
      const key = keyOf(simulation, kinds);
      if (keys.has(key)) problems.push(`${trail.join('; ')}: leads to a state that is known`);
      keys.add(key);
      queue.push({ snapshot: simulation.snapshot(), before: first.files, trail });
    }
    queue.push(start);
    for (let at = 0; at < queue.length && keys.size < statesMax && problems.length < PROBLEMS_MAX; at += 1) {
      const { snapshot, before, trail } = queue[at] ?? start;
      depth = trail.length + 1;
      for (const { name, act } of acts) {
        if (keys.size >= statesMax) break;
        simulation.restore(snapshot);
        await act(simulation, before);
        transitions += 1;
        const ownTrail = [...trail, name];
        for (const [title, invariant] of Object.entries(invariants)) {
          const problem = invariant(simulation, kinds);
          if (problem !== undefined) problems.push(`${title}: ${problem}, after: ${ownTrail.join('; ')}`);
        }
        const key = keyOf(simulation, kinds);
        if (keys.has(key)) continue;
        keys.add(key);
        queue.push({ snapshot: simulation.snapshot(), before: snapshot.files, trail: ownTrail });
        if (keys.size % endedEvery !== 0) continue;
        endCount += 1;
        const problem = await wayOn(simulation);
        if (problem !== undefined)
          problems.push(`a way on from every state: ${problem}, after: ${ownTrail.join('; ')}`);
      }
    }
    return { states: keys.size, problems, counts: { transitions, ends: endCount, depth } };
  } finally {
    simulation.end();
  }
}

/** Describes a state without its times and counters. */
function keyOf(simulation: Simulation, kinds: readonly Kind[]): string {
  const { store, payloads, mode, nowMs } = simulation;
  const changes = kinds.map((kind) => {
    const { phase, paused, order, target, undone, rotten, rolledBack, trial } = store.state[kind];
    const { is, staged, previous, runs } = payloads[kind];
    const trialKey = trial && [trial.id !== null, trial.from?.number, trial.returning !== null, trial.boots];
    const change = [phase, paused, order !== null, target?.number, undone, rotten.count, trialKey];
    return [change, rolledBack.length > 0, [is, staged, previous, runs].map((one) => JSON.stringify(one))];
  });
  return JSON.stringify([
    changes,
    mode,
    Math.round((nowMs - NOON) / DAY_MS),
    simulation.openOrders(),
    store.state.starts,
  ]);
}

/**
 * Ends all faults and follows the state to its end. Returns what is wrong with that, or with a further order of each
 * kind.
 */
export async function wayOn(simulation: Simulation): Promise<string | undefined> {
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
    const { phase, reason, target, trial } = simulation.store.state[kind];
    const payload = simulation.payloads[kind];
    const context = `${kind} ${phase} (${reason})`;
    const waits = (phase === 'waiting' || phase === 'staged') && reason !== null;
    if (!AT_REST.has(phase) && !waits) return `${context}: no end`;
    if (phase === 'rolled-back' && trial !== null && sameTarget(payload.current, target))
      return `${context}: it is still there`;
    simulation.order(kind, 'install', 9);
    await settle();
    const after = simulation.store.state[kind];
    if (after.phase !== 'confirmed' || payload.current?.number !== 9)
      return `${context}: a new order ends ${after.phase} (${after.reason}), ${JSON.stringify(after.refusal)}`;
  }
  for (const [title, invariant] of Object.entries(INVARIANTS)) {
    const problem = invariant(simulation, CHANGE_KINDS);
    if (problem !== undefined) return `${title}: ${problem}`;
  }
  return undefined;
}
