/**
 * Runs a rollout: receives the boxes' messages, computes the next step (waves.ts), signs and stores its orders, and
 * sends them.
 *
 * INVARIANTS:
 * - Durable in this order: the boxes' messages, the next step with its signed orders, the broker's acknowledgement.
 * - A crash in between is harmless. The same step follows from the same data, and a repeated order is the same one by
 *   its counter.
 * - With each connection the broker's messages are read again, and lost orders of a wave are sent again.
 * - A rollout is aborted only once the broker has all its withdrawals.
 * - A store that is behind the fleet (store-lag.ts) sends nothing.
 *
 * LIMITS: one controller per folder (a lock). Another machine's is detected by its orders, which are never overwritten.
 * Connecting is tried for CONNECT_WITHIN_MS, reconnecting for RECONNECT_WITHIN_MS.
 */
import type { KeyObject } from 'node:crypto';
import type { Clock } from '../../../../agent/base/clock.ts';
import { AgentError } from '../../../../agent/base/errors.ts';
import { DeliveryError } from '../../../../agent/mqtt/connection-errors.ts';
import { counted } from '../../../lib/counted.ts';
import type { FleetLink } from '../broker.ts';
import type { FleetStore } from '../store.ts';
import { boxNow, rolloutOf } from './inputs.ts';
import { ORDER_KIND_OF } from './kinds.ts';
import { Knowledge, type RetainedOrder } from './knowledge.ts';
import { writeOrder, writeWithdrawals } from './orders.ts';
import { progressOf } from './progress.ts';
import { type RolloutBoxRow, type RolloutRow, Rollouts, targetOf } from './rollouts.ts';
import { Sending } from './sending.ts';
import { type Action, OVER, type Rollout, type RolloutBox } from './states.ts';
import { Evidence, type Lag } from './store-lag.ts';
import { boxCount, someOf } from './table.ts';
import { step } from './waves.ts';

const ABORTED = 'aborted by a person';
/**
 * Number of boxes with orders by another key that prove another rollout. One box may publish such an order below its
 * own name.
 */
const FOREIGN_ORDERS_MIN = 3;
/** Patience with the first connection, ms: a person waits for it, or a service that is restarted. */
const CONNECT_WITHIN_MS = 60_000;
/**
 * Patience with a lost connection, ms: enough for a broker's reinstallation. Afterwards the program ends, and a service
 * restarts it.
 */
const RECONNECT_WITHIN_MS = 1_800_000;
/** Time in which messages are gathered and handled together, ms. */
const GATHER_MS = 250;

export interface ControllerOptions {
  readonly store: FleetStore;
  readonly link: FleetLink;
  readonly clock: Clock;
  /** Key that signs orders. */
  readonly key: KeyObject;
  /** Maximum time between two checks of the store for requests of other programs, ms. */
  readonly pollMs: number;
  say(line: string): void;
  /** Called after each check of the boxes. */
  onChecked?(rollout: string): void;
}

export class Controller {
  readonly #options: ControllerOptions;
  readonly #rollouts: Rollouts;
  readonly knowledge: Knowledge;
  readonly #evidence: Evidence;
  readonly #sending: Sending;
  #foreignOrdersReported = '';
  #reportedLag = '';
  /** Copies of the store's boxes: no one else writes them while this program holds the lock. */
  readonly #boxes = new Map<string, RolloutBoxRow[]>();
  /** Orders at the broker that are known to come from this store. */
  readonly #ownOrders = new Set<string>();

  constructor(options: ControllerOptions) {
    this.#options = options;
    this.#rollouts = new Rollouts(options.store);
    this.knowledge = new Knowledge(options.store, options.key);
    this.#evidence = new Evidence(this.knowledge, this.#rollouts);
    this.#sending = new Sending(options, this.knowledge, this.#rollouts);
  }

  /**
   * Connects and receives the retained messages. Throws DeliveryError; AgentError `denied` if the store is behind the
   * fleet.
   */
  async start(signal: AbortSignal, withinMs = CONNECT_WITHIN_MS): Promise<void> {
    await this.connect(signal, withinMs);
    this.#refuseBehind();
    this.#sending.restore();
  }

  /** Connects like `start`, even if the store is behind. */
  async connect(signal: AbortSignal, withinMs = CONNECT_WITHIN_MS): Promise<void> {
    const { link, say, clock } = this.#options;
    await link.reconnect(signal, withinMs);
    if (signal.aborted)
      throw new AgentError('unavailable', 'ended before all retained messages were received');
    this.knowledge.forget();
    this.hear();
    this.knowledge.loseMissing(clock.wallMs());
    for (const line of this.knowledge.missingLines()) say(line);
  }

  /** Stores the messages that have arrived. */
  hear(): void {
    const { link, clock, say } = this.#options;
    for (const line of this.knowledge.take(link.take(), clock.wallMs(), link.connected)) say(line);
  }

  /** Returns what the fleet shows and the store does not know; undefined if nothing. */
  lag(): Lag | undefined {
    return this.#evidence.check(this.#options.clock.wallMs());
  }

  /**
   * Runs until the rollout is over, or halted and no box is trying. `dueOnly`: does only what is due now. Throws
   * AgentError `denied` if someone else sends orders to the same boxes.
   */
  async run(name: string, signal: AbortSignal, dueOnly = false): Promise<RolloutRow> {
    const { clock, link, pollMs } = this.#options;
    for (;;) {
      if (!link.connected) {
        try {
          await this.start(signal, RECONNECT_WITHIN_MS);
        } catch (error) {
          if (signal.aborted) return this.#row(name);
          throw error;
        }
      }
      const nextMs = await this.#turn(name);
      this.#options.onChecked?.(name);
      const row = this.#row(name);
      if (dueOnly || signal.aborted || this.#isOver(row)) return row;
      const untilMs = Math.min(nextMs === undefined ? pollMs : nextMs - clock.wallMs(), pollMs);
      await this.#wait(Math.max(untilMs, 0), signal);
    }
  }

  /** Continues an abort, and sends the orders of a finished rollout. Throws AgentError `unavailable`. */
  async finish(): Promise<void> {
    const row = this.#rollouts.present();
    if (row !== undefined && isAborting(row)) await this.#abort(row);
    else await this.#sending.send(true);
  }

  /** Returns valid orders of others at the broker. */
  foreignOrders(nowMs: number): RetainedOrder[] {
    return this.knowledge.retainedOrders.filter(
      ({ kind, site, box, counter, notAfterMs, action }) =>
        action !== 'withdraw' && notAfterMs > nowMs && !this.#isOurs(kind, site, box, counter),
    );
  }

  async #turn(name: string): Promise<number | undefined> {
    this.hear();
    this.#refuseBehind();
    this.#refuseForeignOrders(name);
    let nextMs: number | undefined;
    try {
      const row = this.#row(name);
      if (isAborting(row)) await this.#abort(row);
      else nextMs = this.#advance(name);
      await this.#sending.send();
      await this.#sending.clear((rollout) => this.#boxesOf(rollout));
    } catch (error) {
      // The next turn connects again and sends the rest.
      if (!(error instanceof DeliveryError) || error.kind !== 'unavailable') throw error;
      this.#options.say(error.message);
    }
    return nextMs;
  }

  /** Advances the states and signs the orders that follow, in one transaction. */
  #advance(name: string): number | undefined {
    const { store, clock, key, say } = this.#options;
    const nowMs = clock.wallMs();
    return store.transaction(() => {
      const row = this.#row(name);
      const rows = this.#boxesOf(name);
      const before = rolloutOf(row);
      // A person has just requested it: the next turn does it.
      if (isAborting(row)) return nowMs;
      const reports = rows.map((box) =>
        progressOf(this.knowledge.report(`${box.site}/${box.box}`), targetOf(row, box)),
      );
      const skipped = this.#rollouts.skipped(name);
      const boxes = rows.map((box, i): RolloutBox => {
        const id = `${box.site}/${box.box}`;
        const { progress = 'none' } = reports[i] ?? {};
        return boxNow(box, store, {
          ...this.knowledge.link(id, nowMs),
          progress,
          isSkipped: skipped.has(id),
          nowMs,
        });
      });
      const { rollout, states, orders, nextMs } = step(before, boxes, nowMs);
      const actions = new Map<string, Action>(orders.map(({ id, action }) => [id, action]));
      for (const [i, box] of rows.entries()) {
        const action = actions.get(`${box.site}/${box.box}`);
        if (action !== undefined) writeOrder(this.#rollouts, row, box, action, { key, nowMs });
        const after = this.#after(box, {
          state: states[i] ?? box.state,
          action: action ?? box.action,
          silence_ms: box.silence_ms ?? (action === 'install' ? this.#silenceMs(box, nowMs) : null),
          ...reports[i],
          nowMs,
        });
        if (after === undefined) continue;
        this.#rollouts.saveBox(name, after);
        rows[i] = after;
      }
      if (isChanged(before, rollout)) this.#rollouts.saveRollout(name, before, rollout, nowMs);
      for (const line of linesOf(row, before, rollout, orders)) say(line);
      return nextMs;
    });
  }

  /**
   * Signs and stores the withdrawals, sends them, and aborts the rollout once the broker has them all. After a crash in
   * between, the same withdrawals are used.
   */
  async #abort(row: RolloutRow): Promise<void> {
    const { store, clock, key, say } = this.#options;
    const { name } = row;
    store.transaction(() => {
      if (this.#rollouts.finals(name).laid > 0) return;
      writeWithdrawals(this.#rollouts, row, ABORTED, { key, nowMs: clock.wallMs() });
    });
    this.#boxes.delete(name);
    await this.#sending.send(true);
    const withdrawals = counted(this.#rollouts.finals(name).laid, 'withdrawal');
    store.transaction(() => {
      const before = rolloutOf(row);
      const after = { ...before, state: 'aborted', request: null, reason: ABORTED } as const;
      this.#rollouts.saveRollout(name, before, after, clock.wallMs());
      store.record(`rollout ${name}: aborted, ${withdrawals}`, clock.wallMs());
    });
    say(`${name}: aborted; the broker has ${withdrawals}`);
  }

  #after(
    box: RolloutBoxRow,
    now: Pick<RolloutBoxRow, 'state' | 'action' | 'silence_ms'> & {
      phase?: string;
      reason?: string | null;
      nowMs: number;
    },
  ): RolloutBoxRow | undefined {
    const { state, action, silence_ms, phase = '', reason = null, nowMs } = now;
    const same = state === box.state && action === box.action && phase === box.phase && reason === box.reason;
    if (same) return undefined;
    const state_at = state === box.state ? box.state_at : nowMs;
    return { ...box, state, action, silence_ms, phase, reason, state_at };
  }

  /** Returns the longest silence of a box before its order, also if it has not ended. */
  #silenceMs({ site, box }: RolloutBoxRow, nowMs: number): number {
    const { online, goneMs } = this.knowledge.link(`${site}/${box}`, nowMs);
    const longestMs = this.#options.store.links.longestSilenceMs(site, box, nowMs);
    return online ? longestMs : Math.max(longestMs, nowMs - goneMs);
  }

  #refuseBehind(): void {
    const { say } = this.#options;
    const lag = this.lag();
    if (lag?.isSure === true) throw new AgentError('denied', `${lag.text}; no orders are sent`);
    if (lag !== undefined && lag.text !== this.#reportedLag) say(lag.text);
    this.#reportedLag = lag?.text ?? '';
  }

  #refuseForeignOrders(name: string): void {
    const { clock, say } = this.#options;
    const ownIds = new Set(this.#boxesOf(name).map(({ site, box }) => `${site}/${box}`));
    const foreignOrders = this.foreignOrders(clock.wallMs()).filter(({ site, box }) =>
      ownIds.has(`${site}/${box}`),
    );
    if (foreignOrders.length === 0) return;
    const text = foreignOrdersText(foreignOrders);
    if (foreignOrders.length >= FOREIGN_ORDERS_MIN) {
      throw new AgentError(
        'denied',
        `${text}; sending has stopped. Another controller runs a rollout: end one of them (rollout abort)`,
      );
    }
    if (text !== this.#foreignOrdersReported) say(`${text}; not by this fleet`);
    this.#foreignOrdersReported = text;
  }

  #isOver(row: RolloutRow): boolean {
    if (row.state === 'done' || row.state === 'incomplete') return true;
    if (row.state !== 'halted' && !OVER.includes(row.state)) return false;
    // A box on probation will finish on its own, and is waited for while it is connected.
    return !this.#boxesOf(row.name).some(
      ({ state, site, box }) => state === 'switched' && this.knowledge.isOnline(`${site}/${box}`),
    );
  }

  #boxesOf(name: string): RolloutBoxRow[] {
    const rows = this.#boxes.get(name) ?? this.#rollouts.boxes(name);
    this.#boxes.set(name, rows);
    return rows;
  }

  #isOurs(kind: RetainedOrder['kind'], site: string, box: string, counter: number): boolean {
    const place = `${kind} ${site}/${box} ${counter}`;
    if (this.#ownOrders.has(place)) return true;
    if (this.#rollouts.envelope(ORDER_KIND_OF[kind], site, box, counter) === undefined) return false;
    this.#ownOrders.add(place);
    return true;
  }

  #row(name: string): RolloutRow {
    const row = this.#rollouts.get(name);
    if (row === undefined) throw new AgentError('config', `unknown rollout ${name}`);
    return row;
  }

  async #wait(ms: number, signal: AbortSignal): Promise<void> {
    const { link, clock } = this.#options;
    const wake = new AbortController();
    const stop = (): void => wake.abort();
    signal.addEventListener('abort', stop, { once: true });
    link.onWake(stop);
    await clock.sleep(ms, wake.signal);
    signal.removeEventListener('abort', stop);
    if (wake.signal.aborted && !signal.aborted) await clock.sleep(GATHER_MS, signal);
  }
}

export function foreignOrdersText(orders: readonly RetainedOrder[]): string {
  const names = [...new Set(orders.map(({ rollout }) => rollout))].join(', ');
  const boxes = someOf(orders.map(({ site, box }) => `${site}/${box}`));
  return `orders that this folder has not given lie at the broker: rollout ${names}, for ${boxes}`;
}

/** Reports whether a person has requested the abort, and the broker may not have all withdrawals yet. */
function isAborting({ request, state }: RolloutRow): boolean {
  return request === 'abort' && !OVER.includes(state);
}

function isChanged(before: Rollout, after: Rollout): boolean {
  return JSON.stringify(before) !== JSON.stringify(after);
}

function linesOf(
  { name, plan }: RolloutRow,
  before: Rollout,
  after: Rollout,
  orders: readonly { readonly action: Action }[],
): string[] {
  const lines: string[] = [];
  const waves = `of ${plan.waves.length}`;
  if (after.wave !== before.wave) lines.push(`${name}: wave ${after.wave} ${waves} begins`);
  if (after.reachedMs !== null && before.reachedMs !== after.reachedMs)
    lines.push(`${name}: ${after.wave === 0 ? 'the canaries are' : `wave ${after.wave} is`} confirmed`);
  if (after.state !== before.state)
    lines.push(`${name}: ${after.state}${after.reason === null ? '' : `: ${after.reason}`}`);
  for (const action of ['install', 'pause', 'withdraw'] as const) {
    const count = orders.filter((order) => order.action === action).length;
    if (count > 0) lines.push(`${name}: ${action} for ${boxCount(count)}`);
  }
  return lines;
}
