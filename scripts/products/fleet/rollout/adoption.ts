/**
 * Adopts the fleet's state into the store: collects the witnesses for merge.ts, and writes its result.
 *
 * INVARIANTS:
 * - Everything is written in one transaction, the caller's. The same witnesses can be read again, so a crash before it
 *   loses nothing.
 * - No counter is chosen below one that a box has seen.
 */
import type { KeyObject } from 'node:crypto';
import { AgentError } from '../../../../agent/base/errors.ts';
import { type BoxRow, type FleetStore, whoRuns } from '../store.ts';
import type { RolloutBoxSpec } from './create.ts';
import { rolloutOf } from './inputs.ts';
import {
  CHANGE_IN,
  fieldsText,
  ORDER_KIND_OF,
  ORDER_KINDS,
  type OrderFields,
  type RolloutKind,
  rolloutIn,
} from './kinds.ts';
import type { Knowledge, RetainedOrder } from './knowledge.ts';
import type { KnownRollout, Merged, MergedRollout, SeenReport, Witnesses } from './merge.ts';
import { isOrderable, writeOrder } from './orders.ts';
import { type Plan, planOf } from './plan.ts';
import { believableCounter, type RolloutRow, Rollouts } from './rollouts.ts';
import { OPEN, type RolloutState } from './states.ts';
import { assignWaves, inParts } from './stratify.ts';

const DAY_MS = 86_400_000;

export function witnessesOf(
  store: FleetStore,
  knowledge: Knowledge,
  nowMs: number,
  givenName?: string,
): Witnesses & { readonly reports: readonly SeenReport[] } {
  const rollouts = new Rollouts(store);
  const reports = store.boxes().flatMap(({ site, box, report }) =>
    ORDER_KINDS.flatMap((orderKind): SeenReport[] => {
      const counter = believableCounter(report, orderKind, nowMs);
      if (report === undefined || counter === undefined) return [];
      return [{ ...rolloutIn(report, orderKind), id: `${site}/${box}`, counter }];
    }),
  );
  return {
    rollouts: rollouts.all().map((row) => knownOf(rollouts, row)),
    orders: knowledge.retainedOrders
      .filter(({ byOwnKey }) => byOwnKey)
      .map(({ site, box, ...order }) => ({ ...order, id: `${site}/${box}` })),
    reports,
    givenName,
    newestOf: (kind, id) => {
      const [site = '', box = ''] = id.split('/');
      return rollouts.newestCounter(kind, site, box);
    },
  };
}

function knownOf(rollouts: Rollouts, { name, kind, state, wave, created_at }: RolloutRow): KnownRollout {
  const boxes = rollouts.boxes(name).map(({ site, box, ...row }) => ({
    id: `${site}/${box}`,
    wave: row.wave,
    state: row.state,
    action: row.action,
  }));
  return { name, kind, state, wave, newest: Math.max(created_at, rollouts.newestOrder(name)), boxes };
}

export interface Adopting {
  readonly store: FleetStore;
  readonly knowledge: Knowledge;
  readonly key: KeyObject;
  readonly nowMs: number;
  /** Plan and boxes of a running rollout that is not in the store; undefined if none was given. */
  readonly givenRollout: { readonly plan: Plan; readonly boxes: readonly RolloutBoxSpec[] } | undefined;
}

/** Writes in the caller's transaction. Throws AgentError `config` if a canary of the plan is not among the boxes. */
export function writeMerged(merged: Merged, adopting: Adopting): void {
  const { store, knowledge, nowMs } = adopting;
  const rollouts = new Rollouts(store);
  for (const { kind, id, counter, rollout, action, final } of merged.orders) {
    const retainedOrder = knowledge.retainedOrder(ORDER_KIND_OF[kind], id);
    if (retainedOrder?.strange === undefined)
      throw new AgentError('bug', 'an order that is adopted lies at the broker');
    const { site, box, strange } = retainedOrder;
    rollouts.adoptOrder({
      kind,
      counter,
      rollout,
      site,
      box,
      action,
      created_at: nowMs,
      envelope: strange.envelope,
      final: final ? 1 : 0,
    });
  }
  for (const { kind, id, counter } of merged.counters) {
    const [site = '', box = ''] = id.split('/');
    rollouts.recordSeen(ORDER_KIND_OF[kind], site, box, counter);
  }
  // The running rollout is the newest.
  const [open, over] = [
    merged.rollouts.filter(isOpen),
    merged.rollouts.filter((rollout) => !isOpen(rollout)),
  ];
  for (const rollout of [...over, ...open]) {
    if (rollout.isKnown) writeKnown(rollouts, rollout, adopting);
    else writeStrange(rollouts, rollout, adopting);
    if (rollout.outcome === 'aborted' || rollout.outcome === 'over')
      withdrawLeft(rollouts, rollout, adopting);
  }
}

export function isOpen({ outcome }: Pick<MergedRollout, 'outcome'>): boolean {
  return outcome !== 'aborted' && outcome !== 'over';
}

function writeKnown(rollouts: Rollouts, merged: MergedRollout, { nowMs }: Adopting): void {
  const { name, outcome, wave, reason } = merged;
  const row = rollouts.get(name);
  if (row === undefined) throw new AgentError('bug', `the rollout ${name} is in the store`);
  const after = new Map(merged.boxes.map((box) => [box.id, box]));
  for (const box of rollouts.boxes(name)) {
    const now = after.get(`${box.site}/${box.box}`);
    if (now === undefined) continue;
    const { state, action } = now;
    rollouts.saveBox(name, { ...box, state, action, state_at: nowMs, reason: null });
  }
  saveState(rollouts, row, { outcome, wave, reason, nowMs });
}

/** Keeps the soak time only if the wave is the store's wave. */
function saveState(
  rollouts: Rollouts,
  row: RolloutRow,
  { outcome, wave, reason, nowMs }: Pick<MergedRollout, 'outcome' | 'wave' | 'reason'> & { nowMs: number },
): void {
  const state: RolloutState = outcome === 'over' ? 'done' : outcome;
  // A request to abort stays.
  const before = { ...rolloutOf(row), request: null };
  rollouts.saveRollout(
    row.name,
    before,
    {
      ...before,
      state,
      wave,
      reachedMs: wave === row.wave ? row.reached_at : null,
      reason: reason ?? (state === row.state ? row.reason : null),
    },
    nowMs,
  );
}

function writeStrange(rollouts: Rollouts, merged: MergedRollout, adopting: Adopting): void {
  const { name, kind, outcome, reason } = merged;
  const { givenRollout, nowMs, knowledge } = adopting;
  const isGiven = isOpen(merged) && givenRollout !== undefined;
  const members = isGiven ? givenRollout.boxes : membersOf(merged, adopting);
  const plan = isGiven ? inParts(givenRollout.plan, members.length) : undefined;
  const waves = plan === undefined ? members.map(() => 0) : assignWaves(name, members, plan);
  const mergedBoxes = new Map(merged.boxes.map((box) => [box.id, box]));
  const wave = reachedWave(waves, mergedBoxes.size);
  const orders = retainedOrdersOf(merged, knowledge);
  const window = orders[0]?.strange?.window ?? null;
  const [first] = members;
  if (first === undefined) throw new AgentError('bug', 'a rollout that is adopted has boxes');
  const only = planOf({ canary: { boxes: [first.box], hours: 0 }, waves: [{ share: 1 }] }, 'UTC');
  const { fields } = first;
  rollouts.add(
    {
      name,
      kind,
      created_at: nowMs,
      created_by: whoRuns(),
      description: fieldsText(fields),
      plan: plan ?? { ...only, window },
      not_after: endOf(orders, plan, nowMs),
    },
    members.map((member, i) => {
      const hasOrder = mergedBoxes.has(`${member.site}/${member.box}`);
      // An ordered box is in a wave that has begun, even if today's inventory would assign another.
      return { ...member, wave: Math.min(waves[i] ?? 0, hasOrder ? wave : Number.POSITIVE_INFINITY) };
    }),
  );
  const row = rollouts.get(name);
  if (row === undefined) throw new AgentError('bug', `the rollout ${name} is in the store`);
  for (const box of rollouts.boxes(name)) {
    const now = mergedBoxes.get(`${box.site}/${box.box}`);
    if (now !== undefined)
      rollouts.saveBox(name, { ...box, state: now.state, action: now.action, state_at: nowMs });
  }
  saveState(rollouts, row, { outcome, wave, reason, nowMs });
}

/** Returns the end of a rollout: from its orders, or from the plan, counted from now. */
function endOf(orders: readonly RetainedOrder[], plan: Plan | undefined, nowMs: number): number {
  if (orders.length > 0) return Math.max(...orders.map(({ notAfterMs }) => notAfterMs));
  return nowMs + (plan?.notAfterDays ?? 0) * DAY_MS;
}

/** Returns the lowest wave up to which there are as many boxes as were ordered. It is never above the wave reached. */
export function reachedWave(waves: readonly number[], orderedCount: number): number {
  const last = Math.max(0, ...waves);
  for (let wave = 0; wave < last; wave += 1)
    if (waves.filter((n) => n <= wave).length >= orderedCount) return wave;
  return last;
}

/** Returns the orders of a rollout that the broker holds. */
export function retainedOrdersOf({ name, kind }: MergedRollout, knowledge: Knowledge): RetainedOrder[] {
  return knowledge.retainedOrders.filter(
    (order) => order.byOwnKey && order.kind === kind && order.rollout === name,
  );
}

/** Returns the boxes of a rollout that is not in the store, as far as orders and reports name them. */
export function membersOf(
  merged: MergedRollout,
  { store, knowledge }: Pick<Adopting, 'store' | 'knowledge'>,
): RolloutBoxSpec[] {
  const rows = new Map(store.boxes().map((row) => [`${row.site}/${row.box}`, row]));
  const orders = new Map(
    retainedOrdersOf(merged, knowledge).map(({ site, box, strange }) => [`${site}/${box}`, strange?.fields]),
  );
  const common = [...orders.values()].find((fields) => fields !== undefined);
  return merged.boxes.map(({ id }) => {
    const [site = '', box = ''] = id.split('/');
    const row = rows.get(id);
    const fields = orders.get(id) ?? fieldsBy(merged.kind, row, common);
    return { site, box, fields, bytes: null, way: null, board: row?.report?.updater?.board ?? 'generic' };
  });
}

/** Returns what was ordered; without an order, from the box's report. */
function fieldsBy(kind: RolloutKind, row: BoxRow | undefined, common: OrderFields | undefined): OrderFields {
  if (kind !== 'configuration' && common !== undefined) return common;
  const reportedChange = row?.report && CHANGE_IN[kind](row.report);
  return reportedChange?.fields ?? NOTHING[kind];
}

/** Fields for a box that reports nothing. No order can be made from them. */
const NOTHING: Readonly<Record<RolloutKind, OrderFields>> = {
  release: { what: 'release', seq: 0, version: '0.0.0' },
  root: { what: 'root', seq: 0, version: '0.0.0' },
  configuration: { revision: 0, sha256: '', yaml: '' },
};

/** Withdraws the orders of a finished rollout that a box could still begin. */
function withdrawLeft(rollouts: Rollouts, { name }: MergedRollout, { key, nowMs }: Adopting): void {
  const row = rollouts.get(name);
  if (row === undefined) return;
  const expectedOrders = new Map(
    rollouts
      .expectedOrders()
      .filter(({ rollout }) => rollout === name)
      .map((order) => [`${order.site}/${order.box}`, order]),
  );
  for (const box of rollouts.boxes(name)) {
    const order = expectedOrders.get(`${box.site}/${box.box}`);
    if (order === undefined || order.action === 'withdraw' || !isOrderable(box.fields)) continue;
    writeOrder(rollouts, row, box, 'withdraw', { key, nowMs }, true);
    const state = OPEN.includes(box.state) && box.state !== 'switched' ? 'withdrawn' : box.state;
    rollouts.saveBox(name, { ...box, state, action: 'withdraw', state_at: nowMs });
  }
}
