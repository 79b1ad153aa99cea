/** Tests the recovery of rollouts from an old store, the broker and the boxes: examples and random fleet histories. */
import fc from 'fast-check';
import t from 'tap';
import { isOpen, reachedWave } from '../../scripts/products/fleet/rollout/adoption.ts';
import type { RolloutKind } from '../../scripts/products/fleet/rollout/kinds.ts';
import type { Knowledge } from '../../scripts/products/fleet/rollout/knowledge.ts';
import {
  type KnownRollout,
  type Merged,
  merge,
  type SeenOrder,
  type SeenReport,
  type Witnesses,
} from '../../scripts/products/fleet/rollout/merge.ts';
import type { Rollouts } from '../../scripts/products/fleet/rollout/rollouts.ts';
import type { Action, BoxState, RolloutState } from '../../scripts/products/fleet/rollout/states.ts';
import { Evidence } from '../../scripts/products/fleet/rollout/store-lag.ts';

const BOXES = 12;
/** Later than all events, and earlier than any false report. */
const NOW_MS = 500_000;
const WAVES = 3;
const idOf = (i: number): string => `s/b-${i}`;
/** Two canaries, then two boxes, then eight. */
const waveOf = (i: number): number => (i < 2 ? 0 : i < 4 ? 1 : 2);
const OPEN: readonly RolloutState[] = ['running', 'finishing', 'paused', 'halted'];

interface StoredBox {
  wave: number;
  state: BoxState;
  action: Action | null;
}

interface Stored {
  name: string;
  state: RolloutState;
  wave: number;
  /** Counter of its newest order, or its creation time. */
  newest: number;
  boxes: Map<string, StoredBox>;
}

/** A controller's store: rollouts, and the newest counter of each box. */
interface Store {
  rollouts: Stored[];
  counters: Map<string, number>;
}

interface Box {
  counter: number;
  /** Kind of the newest order that it has accepted. */
  kind: RolloutKind;
  rollout: string | null;
  isOver: boolean;
}

/** Alternates releases of the agent and of root's program, whose orders replace one another. */
const kindOf = (name: string | null): RolloutKind =>
  Number(name?.slice(2) ?? 1) % 2 === 0 ? 'root' : 'release';

/** The true state of a controller, a broker and boxes. */
class Fleet {
  store: Store = { rollouts: [], counters: new Map() };
  readonly broker = new Map<string, SeenOrder>();
  readonly boxes = new Map<string, Box>();
  yesterday: Store = { rollouts: [], counters: new Map() };
  isBrokerLost = false;
  #ms = 1000;

  constructor() {
    for (let i = 0; i < BOXES; i += 1)
      this.boxes.set(idOf(i), { counter: 0, kind: 'release', rollout: null, isOver: false });
  }

  get present(): Stored | undefined {
    return this.store.rollouts.find(({ state }) => OPEN.includes(state));
  }

  apply([event, n]: readonly [string, number]): void {
    this.#ms += 10;
    const present = this.present;
    if (event === 'copy') this.yesterday = structuredClone(this.store);
    if (event === 'begin' && present === undefined) this.#begin();
    if (event === 'take') this.#take(idOf(n % BOXES));
    if (event === 'end') this.#end(idOf(n % BOXES));
    if (event === 'lose' && n % 4 === 0) {
      this.broker.clear();
      this.isBrokerLost = true;
    }
    if (present === undefined) return;
    const going = present.state === 'running';
    if (event === 'order' && going) this.#sendOrders(present, n);
    if (event === 'wave' && going && present.wave < WAVES - 1) present.wave += 1;
    if (event === 'pause' && going) this.#hold(present, 'paused', 'pause');
    if (event === 'halt' && going) this.#hold(present, 'halted', 'withdraw');
    if (event === 'resume' && !going) present.state = 'running';
    if (event === 'abort') this.#abort(present);
    if (event === 'done' && [...present.boxes.values()].every(({ state }) => state === 'confirmed'))
      present.state = 'done';
  }

  #begin(): void {
    const boxes = new Map(
      [...this.boxes.keys()].map((id, i): [string, StoredBox] => [
        id,
        { wave: waveOf(i), state: 'planned', action: null },
      ]),
    );
    const name = `r-${this.store.rollouts.length + 1}`;
    this.store.rollouts.unshift({ name, state: 'running', wave: 0, newest: this.#ms, boxes });
  }

  #write(rollout: Stored, id: string, action: Action, final = false): void {
    const counter = Math.max(this.#ms, (this.store.counters.get(id) ?? 0) + 1);
    this.store.counters.set(id, counter);
    this.broker.set(id, { kind: kindOf(rollout.name), id, rollout: rollout.name, action, counter, final });
    rollout.newest = counter;
    const box = rollout.boxes.get(id);
    if (box !== undefined) box.action = action;
  }

  /** Sends some of the due orders, since a controller may be killed in between. */
  #sendOrders(rollout: Stored, n: number): void {
    const due = [...rollout.boxes].filter(
      ([, box]) =>
        box.wave <= rollout.wave &&
        (box.state === 'planned' || box.state === 'withdrawn' || box.action === 'pause') &&
        box.state !== 'confirmed',
    );
    for (const [id, box] of due.slice(0, 1 + (n % BOXES))) {
      this.#write(rollout, id, 'install');
      box.state = 'ordered';
    }
  }

  #hold(rollout: Stored, state: RolloutState, action: Action): void {
    rollout.state = state;
    for (const [id, box] of rollout.boxes) {
      if (box.state !== 'ordered') continue;
      this.#write(rollout, id, action);
      if (action === 'withdraw') box.state = 'withdrawn';
    }
  }

  #abort(rollout: Stored): void {
    rollout.state = 'aborted';
    for (const [id, box] of rollout.boxes) {
      if (box.action === null && box.wave !== 0) continue;
      this.#write(rollout, id, 'withdraw', true);
      if (box.state === 'ordered') box.state = 'withdrawn';
    }
  }

  #take(id: string): void {
    const order = this.broker.get(id);
    const box = this.boxes.get(id);
    if (order === undefined || box === undefined || order.counter <= box.counter) return;
    box.counter = order.counter;
    if (order.action === 'install')
      Object.assign(box, { kind: order.kind, rollout: order.rollout, isOver: false });
    if (order.action === 'withdraw' && !box.isOver) box.rollout = null;
  }

  /** Confirms the box, and clears its order. */
  #end(id: string): void {
    const box = this.boxes.get(id);
    const stored = this.store.rollouts.find(({ name }) => name === box?.rollout)?.boxes.get(id);
    if (box === undefined || stored?.state !== 'ordered' || box.isOver) return;
    box.isOver = true;
    stored.state = 'confirmed';
    if (this.broker.get(id)?.final !== true) this.broker.delete(id);
  }

  get reports(): SeenReport[] {
    return [...this.boxes]
      .filter(([, { counter }]) => counter > 0)
      .map(([id, { counter, kind, rollout }]) => ({ kind, id, counter, rollout }));
  }

  witnesses(store: Store, reports = this.reports): Witnesses {
    return {
      rollouts: store.rollouts.map(({ boxes, newest, name, state, wave }): KnownRollout => {
        return {
          name,
          state,
          wave,
          kind: kindOf(name),
          newest,
          boxes: [...boxes].map(([id, box]) => ({ id, ...box })),
        };
      }),
      orders: [...this.broker.values()],
      reports,
      newestOf: (_kind, id) => store.counters.get(id) ?? 0,
    };
  }
}

/** The store after it has adopted the result. */
function adopt(store: Store, { orders, counters, rollouts }: Merged): Store {
  const after = structuredClone(store);
  for (const { id, counter } of [...orders, ...counters])
    after.counters.set(id, Math.max(counter, after.counters.get(id) ?? 0));
  const sorted = [...rollouts].sort((a, b) => Number(isOpen(a)) - Number(isOpen(b)));
  for (const [i, { name, outcome, wave, boxes, isKnown }] of sorted.entries()) {
    const state = outcome === 'over' ? 'done' : outcome;
    if (!isKnown) after.rollouts.unshift({ name, state, wave, newest: NOW_MS + i, boxes: new Map() });
    const row = after.rollouts.find((rollout) => rollout.name === name);
    if (row === undefined) throw new Error(name);
    Object.assign(row, { state, wave });
    for (const { id, ...box } of boxes) row.boxes.set(id, { ...(row.boxes.get(id) ?? { wave: 0 }), ...box });
  }
  return after;
}

const RARE_EVENTS = [
  'begin',
  'order',
  'wave',
  'take',
  'end',
  'pause',
  'resume',
  'halt',
  'abort',
  'copy',
  'lose',
  'done',
];
/** Orders and boxes' reports are the most frequent events. */
const fleetEvent = fc.tuple(
  fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom('order', 'take', 'take', 'end', 'wave', 'begin') },
    { weight: 1, arbitrary: fc.constantFrom(...RARE_EVENTS) },
  ),
  fc.nat(BOXES * 4),
);
const fleetEvents = fc.array(fleetEvent, { minLength: 5, maxLength: 120 });

/** Number of batches; the probability that not all wanted outcomes occur is 1/20 to this power. */
const BATCHES_MAX = 8;

void t.test('an old store never adopts more than really happened', async (t) => {
  const counts = new Map<string, number>();
  const count = (outcome: string): void => void counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
  const expected = [
    ...['running', 'halted', 'aborted'].map((state) => `${state} taken for ${state}`),
    'running taken for paused',
  ];
  const takesNoMore = fc.property(fleetEvents, (events) => {
    const fleet = new Fleet();
    for (const each of events) fleet.apply(each);
    const { yesterday, store, boxes, broker } = fleet;
    const merged = merge(fleet.witnesses(yesterday));
    const after = adopt(yesterday, merged);
    for (const [id, { counter }] of boxes) {
      const adoptedCounter = after.counters.get(id) ?? 0;
      if (adoptedCounter < counter || adoptedCounter < (broker.get(id)?.counter ?? 0))
        throw new Error(`${id}: ${adoptedCounter}`);
    }
    const open = after.rollouts.filter(({ state }) => OPEN.includes(state));
    if (open.length > 1) throw new Error(`${open.length} rollouts go on`);
    for (const { name, state, wave } of open) {
      const truth = store.rollouts.find((rollout) => rollout.name === name);
      if (truth === undefined) throw new Error(`${name} was never there`);
      if (wave > truth.wave) throw new Error(`${name}: wave ${wave} above ${truth.wave}`);
      const isStale = merged.orders.length + merged.counters.length > 0;
      if (truth.state === 'aborted' && !fleet.isBrokerLost) throw new Error(`${name} was aborted`);
      const isByReports =
        merged.counters.length > 0 && !merged.orders.some(({ rollout }) => rollout === name);
      if (isByReports && state === 'running') throw new Error(`${name} goes on by reports alone`);
      if (isStale && !fleet.isBrokerLost && truth.state !== 'running' && state === 'running')
        if (broker.size > 0 && [...broker.values()].some(({ rollout }) => rollout === name))
          throw new Error(`${name} was ${truth.state}`);
      count(`${truth.state} taken for ${state}`);
    }
    for (const { name, outcome } of merged.rollouts) {
      const truth = store.rollouts.find((rollout) => rollout.name === name);
      if (outcome === 'aborted' && truth !== undefined && OPEN.includes(truth.state))
        throw new Error(`${name} goes on`);
      if (outcome === 'aborted' && truth !== undefined) count(`${truth.state} taken for aborted`);
    }
    const second = merge(fleet.witnesses(after));
    if (second.orders.length + second.counters.length + second.rollouts.length > 0)
      throw new Error(`again: ${JSON.stringify(second)}`);
  });
  // The rarest outcome occurs three times in a batch on average, and not at all in one of twenty.
  for (
    let batch = 0;
    batch < BATCHES_MAX && (batch === 0 || !expected.every((outcome) => counts.has(outcome)));
    batch++
  )
    fc.assert(takesNoMore, {
      numRuns: Number(process.env['VIGIE_RUNS'] ?? 3000),
      ...(process.env['VIGIE_SEED'] && { seed: Number(process.env['VIGIE_SEED']) }),
    });
  for (const [outcome, n] of [...counts].sort()) t.comment(`${n} ${outcome}`);
  for (const outcome of expected) t.ok(counts.has(outcome), outcome);
});

void t.test('two boxes with false reports can pause a rollout, and change no other', async (t) => {
  const lie = fc.record({
    box: fc.nat(BOXES - 1),
    counterLead: fc.integer({ min: 1, max: 1_000_000 }),
    rollout: fc.constantFrom('r-1', 'r-2', 'theirs', null),
  });
  fc.assert(
    fc.property(fleetEvents, fc.array(lie, { minLength: 1, maxLength: 2 }), (events, lies) => {
      const fleet = new Fleet();
      for (const each of events) fleet.apply(each);
      const { yesterday, reports } = fleet;
      const falseReports = lies.map(({ box, counterLead, rollout }): SeenReport => {
        return { kind: 'release', id: idOf(box), counter: 1_000_000 + counterLead, rollout };
      });
      const liars = new Set(falseReports.map(({ id }) => id));
      const honest = reports.filter(({ id }) => !liars.has(id));
      const honestStore = adopt(yesterday, merge(fleet.witnesses(yesterday, honest)));
      const merged = merge(fleet.witnesses(yesterday, [...honest, ...falseReports]));
      const after = adopt(yesterday, merged);
      for (const { name, state, wave } of after.rollouts) {
        const other = honestStore.rollouts.find((rollout) => rollout.name === name);
        // One more honest box may make a name of the fleet's own credible.
        if (other === undefined && name !== 'theirs') continue;
        const isPaused = state === 'paused' && OPEN.includes(other?.state ?? 'done');
        if (other === undefined || (state !== other.state && !isPaused && OPEN.includes(state)))
          throw new Error(`${name}: ${state}, without the lie ${other?.state}`);
        if (wave > other.wave && !honest.some(({ rollout }) => rollout === name))
          throw new Error(`${name}: wave ${wave}, without the lie ${other.wave}`);
      }
    }),
    { numRuns: Number(process.env['VIGIE_RUNS'] ?? 500) },
  );
  t.pass();
});

void t.test('the wave of an unknown rollout is never estimated above the reached one', async (t) => {
  const waves = [0, 0, 1, 1, 1, 2, 2, 2, 2, 2];
  t.equal(reachedWave(waves, 2), 0);
  t.equal(reachedWave(waves, 3), 1);
  t.equal(reachedWave(waves, 5), 1);
  t.equal(reachedWave(waves, 6), 2);
  t.equal(reachedWave(waves, 0), 0);
  t.equal(reachedWave([], 0), 0);
});

void t.test('a box with two later orders is one witness', (t) => {
  const report = { order: 9, config: { order: 9, rollout: null }, updater: null };
  const knowledge = {
    takeChangedIds: () => ['s/b-0', 's/b-1'],
    retainedOrder: () => undefined,
    report: () => report,
  };
  const rollouts = { newestCounter: () => 1, present: () => undefined };
  const evidence = new Evidence(knowledge as unknown as Knowledge, rollouts as unknown as Rollouts);
  t.match(evidence.check(NOW_MS), { isSure: false, text: /and 2 of the boxes’ reports are newer/ });
  t.end();
});
