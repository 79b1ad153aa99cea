/**
 * Stores rollouts: their boxes, and every order that was ever signed for them.
 *
 * INVARIANTS:
 * - An order is in the store, signed and with its counter, before it is sent.
 * - Its counter is above all that the store knows for its box and kind of order: given, adopted, or reported by the
 *   box.
 * - One rollout of any kind may send at a time. The next one begins when it is over or `finishing`, and replaces it.
 */
import type { Db } from '../../../../agent/base/sqlite.ts';
import type { UpdateReport } from '../../../../agent/contract/update.ts';
import type { OrderKind } from '../../../../agent/orders/room-order.ts';
import type { FleetStore } from '../store.ts';
import { ORDER_IN, ORDER_KIND_OF, type OrderFields, type RolloutKind } from './kinds.ts';
import type { Plan } from './plan.ts';
import type { Target } from './progress.ts';
import {
  type Action,
  type BoxState,
  OVER,
  type Rollout,
  type RolloutState,
  type TrialCounts,
} from './states.ts';

/** Counters are times in ms; a clock that was wrong by more than a year would have been noticed. */
const AHEAD_MAX_MS = 366 * 86_400_000;

const ONE_ORDER = 'order_kind = @kind AND site = @site AND box = @box AND counter = @counter';

interface Statement {
  run(...values: unknown[]): unknown;
  get(...values: unknown[]): unknown;
  all(...values: unknown[]): unknown[];
}

export interface RolloutRow {
  readonly name: string;
  readonly kind: RolloutKind;
  /** Description for people: the version, or the purpose of the configuration. */
  readonly description: string;
  readonly plan: Plan;
  readonly created_at: number;
  readonly created_by: string;
  readonly state: RolloutState;
  readonly wave: number;
  readonly reached_at: number | null;
  readonly not_after: number;
  readonly accepted: TrialCounts;
  readonly request: Rollout['request'];
  readonly reason: string | null;
  /** Time of its last change of state. */
  readonly state_at: number;
}

export interface RolloutBoxRow {
  readonly site: string;
  readonly box: string;
  readonly wave: number;
  readonly state: BoxState;
  readonly state_at: number;
  readonly phase: string;
  readonly reason: string | null;
  readonly action: Action | null;
  readonly fields: OrderFields;
  /** Size of the download; null if unknown. */
  readonly bytes: number | null;
  readonly way: 'delta' | 'full' | null;
  /** Longest silence known in the two weeks before its first order; null before that order. */
  readonly silence_ms: number | null;
}

export interface WaveRow {
  readonly n: number;
  readonly began_at: number | null;
  readonly reached_at: number | null;
  readonly ended_at: number | null;
}

export interface OrderRow {
  readonly kind: RolloutKind;
  /** Kind of the order. A box's newest order of a kind counts, whichever rollout it belongs to. */
  readonly order_kind: OrderKind;
  readonly counter: number;
  readonly rollout: string;
  readonly site: string;
  readonly box: string;
  readonly action: Action;
  /** 1 if the rollout has ended with it. */
  readonly final: 0 | 1;
  readonly created_at: number;
  readonly envelope: string;
  readonly published_at: number | null;
  readonly cleared_at: number | null;
}

/** Returns what a box of the rollout should have. */
export function targetOf({ name, kind }: RolloutRow, { fields }: RolloutBoxRow): Target {
  return { kind, rollout: name, fields };
}

/** An order to be stored; its kind follows from that of its rollout. */
export type NewOrder = Omit<OrderRow, 'order_kind' | 'published_at' | 'cleared_at'>;

export interface ExpectedOrder extends OrderRow {
  /** 1 if the box has accepted a later order, as adopted from its report. */
  readonly overtaken: 0 | 1;
}

export class Rollouts {
  readonly #db: Db;
  readonly #prepared = new Map<string, Statement>();

  constructor(store: Pick<FleetStore, 'db'>) {
    this.#db = store.db;
  }

  /** Caches prepared statements: aborting a large fleet runs some ten thousand queries. */
  #sql(text: string): Statement {
    const prepared = this.#prepared.get(text) ?? this.#db.prepare(text);
    this.#prepared.set(text, prepared);
    return prepared;
  }

  /** Returns the rollouts, newest first. */
  all(): RolloutRow[] {
    const rows = this.#sql('SELECT * FROM rollout ORDER BY n DESC').all() as RawRollout[];
    return rows.map(({ plan, accepted, ...row }) => ({
      ...row,
      plan: JSON.parse(plan) as Plan,
      accepted: JSON.parse(accepted) as TrialCounts,
    }));
  }

  get(name: string): RolloutRow | undefined {
    return this.all().find((row) => row.name === name);
  }

  /** Returns the rollout that may send, or waits for its last boxes. */
  present(): RolloutRow | undefined {
    return this.all().find(({ state }) => !OVER.includes(state));
  }

  add(
    row: Pick<
      RolloutRow,
      'name' | 'kind' | 'description' | 'plan' | 'created_at' | 'created_by' | 'not_after'
    >,
    boxes: readonly NewBox[],
  ): void {
    const { name, kind, description, plan, created_at, created_by, not_after } = row;
    this.#sql(
      `INSERT INTO rollout SELECT ?, coalesce(max(n), 0) + 1, ?, ?, ?, ?, ?, 'running', 0, NULL, ?, ?, NULL, NULL, ?
         FROM rollout`,
    ).run(
      name,
      kind,
      description,
      JSON.stringify(plan),
      created_at,
      created_by,
      not_after,
      '{"failures":0,"triedCount":0}',
      created_at,
    );
    const add = this.#sql(
      "INSERT INTO rollout_box VALUES (?, ?, ?, ?, 'planned', ?, '', NULL, NULL, ?, ?, ?, NULL)",
    );
    for (const { site, box, wave, fields, bytes, way } of boxes)
      add.run(name, site, box, wave, created_at, JSON.stringify(fields), bytes, way);
    const addWave = this.#sql('INSERT INTO wave VALUES (?, ?, ?, NULL, NULL)');
    for (let n = 0; n <= plan.waves.length; n += 1) addWave.run(name, n, n === 0 ? created_at : null);
  }

  boxes(name: string): RolloutBoxRow[] {
    const rows = this.#sql('SELECT * FROM rollout_box WHERE rollout = ? ORDER BY wave, site, box').all(
      name,
    ) as RawRolloutBox[];
    return rows.map(({ fields, ...row }) => ({ ...row, fields: JSON.parse(fields) as OrderFields }));
  }

  waves(name: string): WaveRow[] {
    return this.#sql('SELECT * FROM wave WHERE rollout = ? ORDER BY n').all(name) as WaveRow[];
  }

  /** Stores a person's request, which the program that runs the rollout carries out. */
  want(name: string, request: 'pause' | 'resume' | 'abort'): void {
    this.#sql('UPDATE rollout SET request = ? WHERE name = ?').run(request, name);
  }

  /** Stores that a person leaves a box out for good, and the first reason. */
  skip(name: string, at: Pick<RolloutBoxRow, 'site' | 'box'>, reason: string, nowMs: number): void {
    const insert = 'INSERT OR IGNORE INTO rollout_skip VALUES (?, ?, ?, ?, ?)';
    this.#sql(insert).run(name, at.site, at.box, nowMs, reason);
  }

  /** Returns the reason of each skipped box, by `site/box`. */
  skipped(name: string): Map<string, string> {
    const rows = this.#db
      .prepare("SELECT site || '/' || box AS id, reason FROM rollout_skip WHERE rollout = ?")
      .all(name) as { readonly id: string; readonly reason: string }[];
    return new Map(rows.map(({ id, reason }) => [id, reason]));
  }

  /** Stores a new state. Clears `request` only if it is unchanged, so a newer request stays. */
  saveRollout(name: string, before: Rollout, after: Rollout, nowMs: number): void {
    const { state, wave, reachedMs, accepted, reason } = after;
    this.#sql(
      `UPDATE rollout SET state = ?, wave = ?, reached_at = ?, accepted = ?, reason = ?,
         state_at = CASE WHEN state = ? THEN state_at ELSE ? END,
         request = CASE WHEN request IS ? THEN NULL ELSE request END WHERE name = ?`,
    ).run(state, wave, reachedMs, JSON.stringify(accepted), reason, state, nowMs, before.request, name);
    const mark = (column: string, n: number): void =>
      void this.#sql(`UPDATE wave SET ${column} = coalesce(${column}, ?) WHERE rollout = ? AND n = ?`).run(
        nowMs,
        name,
        n,
      );
    for (let n = 0; n <= wave; n += 1) mark('began_at', n);
    for (let n = before.wave; n < wave; n += 1) mark('reached_at', n);
    for (let n = 0; n < wave; n += 1) mark('ended_at', n);
    if (reachedMs !== null) mark('reached_at', wave);
    if (state === 'finishing' || state === 'incomplete' || state === 'done') mark('ended_at', wave);
  }

  saveBox(name: string, box: RolloutBoxRow): void {
    const { site, state, state_at, phase, reason, action, silence_ms } = box;
    this.#sql(
      `UPDATE rollout_box SET state = ?, state_at = ?, phase = ?, reason = ?, action = ?, silence_ms = ?
         WHERE rollout = ? AND site = ? AND box = ?`,
    ).run(state, state_at, phase, reason, action, silence_ms, name, site, box.box);
  }

  /** Returns the next counter for a box. A restored store is behind by no more than the clock. */
  nextCounter(kind: OrderKind, site: string, box: string, nowMs: number): number {
    const row = this.#sql('SELECT report FROM box WHERE site = ? AND box = ?').get(site, box) as
      | { report: string | null }
      | undefined;
    const report = row?.report == null ? undefined : (JSON.parse(row.report) as UpdateReport);
    const reported = believableCounter(report, kind, nowMs) ?? 0;
    return Math.max(nowMs, this.newestCounter(kind, site, box) + 1, reported + 1);
  }

  /** Returns the largest counter that the store has given or adopted; 0 if none. */
  newestCounter(kind: OrderKind, site: string, box: string): number {
    const place = [kind, site, box];
    const { newest } = this.#sql(
      `SELECT max(coalesce((SELECT max(counter) FROM room_order WHERE order_kind = ? AND site = ? AND box = ?), 0),
         coalesce((SELECT counter FROM seen_counter WHERE order_kind = ? AND site = ? AND box = ?), 0)) AS newest`,
    ).get(...place, ...place) as { newest: number };
    return newest;
  }

  /** Returns the largest counter of a rollout's orders; 0 if none. */
  newestOrder(rollout: string): number {
    const { newest } = this.#sql(
      'SELECT coalesce(max(counter), 0) AS newest FROM room_order WHERE rollout = ?',
    ).get(rollout) as { newest: number };
    return newest;
  }

  /** Records a counter that the box has seen and the store has not given. */
  recordSeen(kind: OrderKind, site: string, box: string, counter: number): void {
    this.#sql(
      `INSERT INTO seen_counter VALUES (?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET counter = max(counter, excluded.counter)`,
    ).run(kind, site, box, counter);
  }

  addOrder(order: NewOrder): void {
    const { kind, site, box } = order;
    // Replaces an earlier order that was not sent yet.
    this.#sql(
      'UPDATE room_order SET published_at = 0 WHERE order_kind = ? AND site = ? AND box = ? AND published_at IS NULL',
    ).run(ORDER_KIND_OF[kind], site, box);
    this.#insert({ ...order, published_at: null, cleared_at: null });
  }

  /** Stores an order that the broker holds and another copy of this store has given. */
  adoptOrder(order: NewOrder): void {
    const { kind, site, box, counter } = order;
    this.#sql(
      `UPDATE room_order SET published_at = 0
         WHERE order_kind = ? AND site = ? AND box = ? AND counter < ? AND published_at IS NULL`,
    ).run(ORDER_KIND_OF[kind], site, box, counter);
    this.#insert({ ...order, published_at: order.created_at, cleared_at: null });
  }

  #insert(order: Omit<OrderRow, 'order_kind'>): void {
    const { kind, counter, rollout, site, box, action, final, envelope } = order;
    this.#sql('INSERT INTO room_order VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)').run(
      kind,
      ORDER_KIND_OF[kind],
      counter,
      rollout,
      site,
      box,
      action,
      final,
      order.created_at,
      envelope,
      order.published_at,
      order.cleared_at,
    );
  }

  /** Counts the final orders of a rollout, and how many of them the broker has not acknowledged. */
  finals(rollout: string): { readonly laid: number; readonly waiting: number } {
    return this.#sql(
      'SELECT count(*) AS laid, coalesce(sum(published_at IS NULL), 0) AS waiting FROM room_order WHERE rollout = ? AND final = 1',
    ).get(rollout) as { laid: number; waiting: number };
  }

  /** Returns signed orders that the broker has not acknowledged. */
  unpublished(): OrderRow[] {
    return this.#sql(
      'SELECT * FROM room_order WHERE published_at IS NULL ORDER BY counter',
    ).all() as OrderRow[];
  }

  markPublished(orders: readonly OrderRow[], nowMs: number): void {
    this.#mark('published_at = coalesce(published_at, @at)', orders, nowMs);
  }

  /** Marks an order that the broker no longer holds. */
  markUnpublished(order: OrderRow): void {
    this.#mark('published_at = @at', [order], null);
  }

  #mark(change: string, orders: readonly OrderRow[], at: number | null): void {
    const mark = this.#sql(`UPDATE room_order SET ${change} WHERE ${ONE_ORDER}`);
    for (const { order_kind, site, box, counter } of orders)
      mark.run({ at, kind: order_kind, site, box, counter });
  }

  /** Marks a cleared order that the broker holds again, as after the broker's own restoration. */
  markRetained(kind: OrderKind, site: string, box: string): void {
    this.#sql(
      `UPDATE room_order SET cleared_at = NULL WHERE order_kind = @kind AND site = @site AND box = @box AND counter =
         (SELECT max(counter) FROM room_order WHERE order_kind = @kind AND site = @site AND box = @box)`,
    ).run({ kind, site, box });
  }

  /** Returns the newest order of each box that the broker should still hold. */
  expectedOrders(): ExpectedOrder[] {
    return this.#sql(
      `SELECT o.*, EXISTS (SELECT 1 FROM seen_counter AS s WHERE s.order_kind = o.order_kind AND s.site = o.site
         AND s.box = o.box AND s.counter > o.counter) AS overtaken
       FROM room_order AS o WHERE cleared_at IS NULL AND counter =
       (SELECT max(counter) FROM room_order WHERE order_kind = o.order_kind AND site = o.site AND box = o.box)`,
    ).all() as ExpectedOrder[];
  }

  markCleared(orders: readonly OrderRow[], nowMs: number): void {
    this.#mark('cleared_at = @at', orders, nowMs);
  }

  /** Returns a signed order; undefined if this store has not given it. */
  envelope(kind: OrderKind, site: string, box: string, counter: number): string | undefined {
    const row = this.#sql(`SELECT envelope FROM room_order WHERE ${ONE_ORDER}`).get({
      kind,
      site,
      box,
      counter,
    }) as { envelope: string } | undefined;
    return row?.envelope;
  }

  /** Returns the orders of a box, newest first. */
  ordersOf(site: string, box: string): OrderRow[] {
    return this.#sql(
      'SELECT * FROM room_order WHERE site = ? AND box = ? ORDER BY created_at DESC, counter DESC LIMIT 50',
    ).all(site, box) as OrderRow[];
  }
}

/**
 * Returns the counter of the newest order that a box reports; undefined if none, or if it is later than any clock
 * gives. It is the box's own word, and counts for this box alone.
 */
export function believableCounter(
  report: UpdateReport | undefined,
  kind: OrderKind,
  nowMs: number,
): number | undefined {
  const counter = report && ORDER_IN[kind](report).counter;
  return counter == null || counter > nowMs + AHEAD_MAX_MS ? undefined : counter;
}

export type NewBox = Pick<RolloutBoxRow, 'site' | 'box' | 'wave' | 'fields' | 'bytes' | 'way'>;

interface RawRollout extends Omit<RolloutRow, 'plan' | 'accepted'> {
  readonly plan: string;
  readonly accepted: string;
}

interface RawRolloutBox extends Omit<RolloutBoxRow, 'fields'> {
  readonly fields: string;
}
