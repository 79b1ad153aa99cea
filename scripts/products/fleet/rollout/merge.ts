/**
 * Reconstructs the state of rollouts from three witnesses: a store that may be old, signed orders at the broker, and
 * boxes' reports. Pure: no clock, no broker, no store.
 *
 * INVARIANTS:
 * - A rollout is aborted if the broker holds its final withdrawal, or if a later rollout exists. At most one is
 *   running.
 * - The wave is never above the one reached, as proved by an order with the fleet's key or by half its boxes.
 * - Reports alone never let a rollout continue: the broker may have lost its end, so it is paused for a person.
 * - Fewer than REPORTS_MIN reports change only that, and the state of their own boxes.
 * - Idempotent: merging an adopted state changes nothing.
 */

import type { OrderKind } from '../../../../agent/orders/room-order.ts';
import { ORDER_KIND_OF, type RolloutKind } from './kinds.ts';
import { type Action, type BoxState, OVER, type RolloutState } from './states.ts';
import { REPORTS_MIN } from './store-lag.ts';

/** An order by the fleet's key that the broker holds. */
export interface SeenOrder {
  readonly kind: RolloutKind;
  /** Box in the form `site/box`. */
  readonly id: string;
  readonly rollout: string;
  readonly action: Action;
  readonly counter: number;
  readonly final: boolean;
}

/** A box's report of one kind of order. */
export interface SeenReport {
  /** Kind of the rollout that it names. */
  readonly kind: RolloutKind;
  readonly id: string;
  /** Counter of the newest order that the box has accepted. */
  readonly counter: number;
  readonly rollout: string | null;
}

export interface KnownBox {
  readonly id: string;
  readonly wave: number;
  readonly state: BoxState;
  readonly action: Action | null;
}

export interface KnownRollout {
  readonly name: string;
  readonly kind: RolloutKind;
  readonly state: RolloutState;
  readonly wave: number;
  /** Largest counter that the store has given for it, or the time when it was made. */
  readonly newest: number;
  readonly boxes: readonly KnownBox[];
}

export interface Witnesses {
  readonly rollouts: readonly KnownRollout[];
  readonly orders: readonly SeenOrder[];
  readonly reports: readonly SeenReport[];
  /** Name of the running rollout, as given by a person; undefined if not given. */
  readonly givenName?: string | undefined;
  /** Returns the largest counter, given or adopted, that the store knows for a box and kind of order; 0 if none. */
  newestOf(kind: OrderKind, id: string): number;
}

/** State after the merge. `over`: none of its orders is open, and it is unknown whether it continued. */
export type Outcome = 'running' | 'finishing' | 'paused' | 'halted' | 'aborted' | 'over';

export interface MergedBox {
  readonly id: string;
  readonly state: BoxState;
  readonly action: Action | null;
}

export interface MergedRollout {
  readonly name: string;
  readonly kind: RolloutKind;
  /** True if the rollout is in the store. */
  readonly isKnown: boolean;
  readonly outcome: Outcome;
  /** Wave of a rollout in the store. */
  readonly wave: number;
  readonly reason: string | null;
  /** Changed boxes of a rollout in the store; otherwise all known boxes. */
  readonly boxes: readonly MergedBox[];
}

export interface Merged {
  /** Orders that the broker holds and the store does not. */
  readonly orders: readonly SeenOrder[];
  /** Counters of boxes that have accepted a later order than the store knows. */
  readonly counters: readonly Pick<SeenReport, 'kind' | 'id' | 'counter'>[];
  /** Rollouts that change or are new to the store. */
  readonly rollouts: readonly MergedRollout[];
}

/** Rank of an action; of two orders with one counter, the stricter one counts. */
const STRICTNESS: Readonly<Record<Action, number>> = { install: 0, pause: 1, withdraw: 2 };
const NOT_SWITCHED: readonly BoxState[] = ['planned', 'ordered', 'begun', 'withdrawn'];

export function merge(witnesses: Witnesses): Merged {
  return new Merger(witnesses).merged();
}

class Merger {
  readonly #witnesses: Witnesses;
  /** Orders above what the store knows. */
  readonly #orders: readonly SeenOrder[];
  /** Reports above what the store knows and the broker holds. */
  readonly #reports: readonly SeenReport[];
  /** Counters of these reports by the rollout that they name, newest first. */
  readonly #counters = new Map<string, number[]>();

  constructor(witnesses: Witnesses) {
    this.#witnesses = witnesses;
    const { newestOf } = witnesses;
    const storedCounter = (kind: RolloutKind, id: string): number => newestOf(ORDER_KIND_OF[kind], id);
    const place = ({ kind, id }: SeenOrder | SeenReport): string => `${ORDER_KIND_OF[kind]} ${id}`;
    this.#orders = witnesses.orders.filter(({ kind, id, counter }) => counter > storedCounter(kind, id));
    const orderCounters = new Map(witnesses.orders.map((order) => [place(order), order.counter]));
    this.#reports = witnesses.reports.filter(
      (report) =>
        report.counter >
        Math.max(storedCounter(report.kind, report.id), orderCounters.get(place(report)) ?? 0),
    );
    for (const { rollout, counter } of this.#reports) {
      if (rollout === null) continue;
      const counters = this.#counters.get(rollout) ?? [];
      counters.push(counter);
      this.#counters.set(rollout, counters);
    }
    for (const counters of this.#counters.values()) counters.sort((a, b) => b - a);
  }

  merged(): Merged {
    const { rollouts } = this.#witnesses;
    const latest = this.#latest();
    const stored = rollouts.flatMap((rollout) => this.#mergeKnown(rollout, latest));
    const strange = this.#strangeNames().map((name) => this.#strange(name, latest));
    return {
      orders: this.#orders,
      counters: this.#reports.map(({ kind, id, counter }) => ({ kind, id, counter })),
      rollouts: [...stored, ...strange],
    };
  }

  /** Returns names that the store lacks; from reports only if enough boxes or a person give the name. */
  #strangeNames(): string[] {
    const storedNames = new Set(this.#witnesses.rollouts.map(({ name }) => name));
    const names = new Set(this.#orders.map(({ rollout }) => rollout));
    for (const rollout of this.#counters.keys()) if (this.#stampByReports(rollout) > 0) names.add(rollout);
    return [...names].filter((name) => !storedNames.has(name)).sort();
  }

  /** Returns the rollout with the newest order; undefined if nothing was ever ordered. */
  #latest(): string | undefined {
    const { rollouts, givenName } = this.#witnesses;
    if (givenName !== undefined) return givenName;
    const names = [...rollouts.map(({ name }) => name), ...this.#strangeNames()];
    return names.reduce<string | undefined>(
      (best, name) => (best === undefined || this.#stamp(name) > this.#stamp(best) ? name : best),
      undefined,
    );
  }

  #stamp(name: string): number {
    const stored = this.#witnesses.rollouts.find((rollout) => rollout.name === name)?.newest ?? 0;
    const counters = this.#ordersOf(name).map(({ counter }) => counter);
    return Math.max(stored, this.#stampByReports(name), ...counters);
  }

  /**
   * Returns the newest counter that at least one honest box reports, if REPORTS_MIN - 1 may lie; 0 if there are too
   * few.
   */
  #stampByReports(name: string): number {
    const { givenName } = this.#witnesses;
    return this.#counters.get(name)?.[givenName === name ? 0 : REPORTS_MIN - 1] ?? 0;
  }

  #ordersOf(name: string): SeenOrder[] {
    return this.#orders.filter(({ rollout }) => rollout === name);
  }

  #mergeKnown(rollout: KnownRollout, latest: string | undefined): MergedRollout[] {
    const { name, kind, state, wave } = rollout;
    if (OVER.includes(state)) return [];
    const orders = this.#ordersOf(name);
    const boxes = this.#boxes(rollout, orders);
    const ownIds = new Set(rollout.boxes.map(({ id }) => id));
    const isDoubtful =
      orders.length === 0 && this.#reports.some((report) => isAlike(report, kind) && ownIds.has(report.id));
    const after = this.#outcome(orders, state, name, latest, isDoubtful);
    const merged = { name, kind, isKnown: true, boxes, ...after, wave: this.#wave(rollout, orders) };
    const same = merged.outcome === state && merged.wave === wave && boxes.length === 0;
    return same ? [] : [merged];
  }

  #outcome(
    orders: readonly SeenOrder[],
    state: RolloutState | undefined,
    name: string,
    latest: string | undefined,
    isDoubtful = false,
  ): { readonly outcome: Outcome; readonly reason: string | null } {
    if (orders.some(({ final }) => final))
      return { outcome: 'aborted', reason: 'its final withdrawal lies at the broker' };
    if (latest !== undefined && latest !== name)
      return { outcome: 'aborted', reason: `${latest} came after it` };
    const top = topAction(orders);
    if (top === 'withdraw') return { outcome: 'halted', reason: 'its orders were withdrawn' };
    if (top === 'pause') return { outcome: 'paused', reason: 'its boxes were paused' };
    if (state === undefined) return { outcome: top === undefined ? 'over' : 'running', reason: null };
    const isStopped = state === 'paused' || state === 'halted';
    if (isDoubtful && !isStopped && name !== this.#witnesses.givenName)
      return { outcome: 'paused', reason: 'boxes report later orders than the broker holds' };
    return { outcome: top === 'install' && isStopped ? 'running' : (state as Outcome), reason: null };
  }

  #boxes({ name, kind, boxes }: KnownRollout, orders: readonly SeenOrder[]): MergedBox[] {
    const ordersById = new Map(orders.map((order) => [order.id, order]));
    const reported = new Map(
      this.#reports.filter((report) => isAlike(report, kind)).map((report) => [report.id, report]),
    );
    return boxes.flatMap(({ id, state, action }): MergedBox[] => {
      const order = ordersById.get(id);
      const report = reported.get(id);
      let after: MergedBox = { id, state, action };
      if (order !== undefined) after = { id, state: stateBy(order.action, state), action: order.action };
      else if (report?.rollout === name) after = { id, state: stateBy('install', state), action: 'install' };
      // The box has an order that the broker no longer holds. If the rollout continues, the box is ordered again.
      else if (report !== undefined && (state === 'ordered' || state === 'begun'))
        after = { id, state: 'withdrawn', action: 'withdraw' };
      return after.state === state && after.action === action ? [] : [after];
    });
  }

  /** Returns the highest wave in which one box was ordered for certain, or half of the boxes report so. */
  #wave({ name, wave, boxes }: KnownRollout, orders: readonly SeenOrder[]): number {
    const orderedIds = new Set(orders.map(({ id }) => id));
    const reported = new Set(this.#reports.filter(({ rollout }) => rollout === name).map(({ id }) => id));
    const waves = new Map<number, { all: number; orderedCount: number; evidence: number }>();
    for (const box of boxes) {
      const count = waves.get(box.wave) ?? { all: 0, orderedCount: 0, evidence: 0 };
      count.all += 1;
      // Canaries have a final withdrawal even without an earlier order.
      if (orderedIds.has(box.id)) count.orderedCount += 1;
      if (orderedIds.has(box.id) || reported.has(box.id) || box.action !== null) count.evidence += 1;
      waves.set(box.wave, count);
    }
    const reached = [...waves].filter(
      ([, { all, orderedCount: sure, evidence }]) =>
        sure > 0 || (evidence >= REPORTS_MIN && evidence * 2 >= all),
    );
    return Math.max(wave, ...reached.map(([n]) => n));
  }

  #strange(name: string, latest: string | undefined): MergedRollout {
    const orders = this.#ordersOf(name);
    const reports = this.#reports.filter(({ rollout }) => rollout === name);
    const kind = orders[0]?.kind ?? reports[0]?.kind ?? 'release';
    const boxes = new Map<string, MergedBox>();
    for (const { id } of reports) boxes.set(id, { id, state: 'ordered', action: 'install' });
    for (const { id, action } of orders) boxes.set(id, { id, state: stateBy(action, 'planned'), action });
    const { givenName } = this.#witnesses;
    const { outcome, reason } = this.#outcome(orders, undefined, name, latest);
    const goesOn = outcome === 'over' && givenName === name;
    return {
      name,
      kind,
      isKnown: false,
      wave: 0,
      reason,
      outcome: goesOn ? 'running' : outcome,
      boxes: [...boxes.values()].sort((a, b) => (a.id < b.id ? -1 : 1)),
    };
  }
}

/** Reports whether a report's kind of order also serves rollouts of this kind. */
function isAlike(report: SeenReport, kind: RolloutKind): boolean {
  return ORDER_KIND_OF[report.kind] === ORDER_KIND_OF[kind];
}

function topAction(orders: readonly SeenOrder[]): Action | undefined {
  const newest = Math.max(...orders.map(({ counter }) => counter));
  const actions = orders.filter(({ counter }) => counter === newest).map(({ action }) => action);
  return actions.sort((a, b) => STRICTNESS[b] - STRICTNESS[a])[0];
}

/** Returns the state of a box after an order, before its report is considered. */
function stateBy(action: Action, state: BoxState): BoxState {
  if (!NOT_SWITCHED.includes(state)) return state;
  if (action === 'withdraw') return 'withdrawn';
  return state === 'planned' || state === 'withdrawn' ? 'ordered' : state;
}
