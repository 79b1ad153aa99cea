/**
 * Keeps the known state of the boxes current from the broker's messages. It is in memory for each step of a rollout,
 * and in the store for the next run.
 */

import type { KeyObject } from 'node:crypto';
import { createPublicKey } from 'node:crypto';
import { Value } from '@sinclair/typebox/value';
import { jsonOf } from '../../../../agent/base/json.ts';
import { CommandRefused } from '../../../../agent/contract/command.ts';
import { StatusReport } from '../../../../agent/contract/health.ts';
import type { UpdateReport, Window } from '../../../../agent/contract/update.ts';
import { claimedOrder, type OrderKind, openOrder } from '../../../../agent/orders/room-order.ts';
import type { Incoming } from '../broker.ts';
import type { LinkRow } from '../links.ts';
import { openReport } from '../report.ts';
import type { BoxRow, FleetStore } from '../store.ts';
import { fieldsOf, kindOf, type OrderFields, type RolloutKind } from './kinds.ts';
import { Rollouts } from './rollouts.ts';
import type { Action, RolloutBox } from './states.ts';
import { boxCount, someOf } from './table.ts';

const NAME = /^[a-z0-9-]{1,32}$/;
/** Interval at which the store learns that a program listens, ms. */
const MARK_MS = 60_000;

/** Returns the connection of a box for a step of a rollout; one that is not in the inventory was never connected. */
export function linkOf(
  row: LinkRow | undefined,
  nowMs: number,
): Pick<RolloutBox, 'online' | 'heardMs' | 'goneMs'> {
  const online = row?.state === 'online';
  return { online, heardMs: online ? nowMs : (row?.heard_at ?? 0), goneMs: row?.state_at ?? 0 };
}

interface Note {
  readonly text: string;
  readonly id: string;
}

/** An order of any sender that the broker holds. */
export interface RetainedOrder {
  readonly kind: RolloutKind;
  readonly site: string;
  readonly box: string;
  readonly rollout: string;
  readonly counter: number;
  readonly notAfterMs: number;
  readonly action: Action;
  /** True if its rollout has ended with it. */
  readonly final: boolean;
  /** True if the fleet's own key signed it. */
  readonly byOwnKey: boolean;
  /** Content and envelope of an order by the fleet's key that the store has not given. */
  readonly strange:
    | { readonly fields: OrderFields; readonly window: Window | null; readonly envelope: string }
    | undefined;
}

export class Knowledge {
  readonly #store: FleetStore;
  readonly #rollouts: Rollouts;
  /** SubjectPublicKeyInfo in Base64, the form in a box's commands.keys. */
  readonly #own: string | undefined;
  readonly #reports = new Map<string, UpdateReport>();
  readonly #links = new Map<string, LinkRow>();
  readonly #retainedOrders = new Map<string, RetainedOrder>();
  /** Boxes with a message since this connection was made, and those with a status. */
  readonly #heardIds = new Set<string>();
  readonly #statusIds = new Set<string>();
  /** Time until which a program listened before this connection. */
  #listenedMs: number;
  #markedMs = Number.NEGATIVE_INFINITY;
  /** Boxes with a message about orders since the last query. */
  readonly #changedIds = new Set<string>();

  /** `key` is this fleet's; without it, no order counts as the fleet's own. */
  constructor(store: FleetStore, key?: KeyObject) {
    this.#store = store;
    this.#rollouts = new Rollouts(store);
    if (key !== undefined)
      this.#own = createPublicKey(key).export({ type: 'spki', format: 'der' }).toString('base64');
    for (const row of store.boxes()) {
      const id = `${row.site}/${row.box}`;
      if (row.report !== undefined) this.#reports.set(id, row.report);
      this.#links.set(id, row);
    }
    this.#listenedMs = store.links.listenedUntilMs;
  }

  report(id: string): UpdateReport | undefined {
    return this.#reports.get(id);
  }

  isOnline(id: string): boolean {
    return this.#links.get(id)?.state === 'online';
  }

  link(id: string, nowMs: number): ReturnType<typeof linkOf> {
    return linkOf(this.#links.get(id), nowMs);
  }

  /** Returns boxes of the inventory without retained messages. */
  missing(): BoxRow[] {
    return this.#store.boxes().filter(({ site, box }) => !this.#heardIds.has(`${site}/${box}`));
  }

  /** Names them, if there are any. */
  missingLines(): string[] {
    const missing = this.missing().map(({ site, box }) => `${site}/${box}`);
    if (missing.length === 0) return [];
    return [
      `silent: the broker has no message of ${boxCount(missing.length)} of the inventory: ${someOf(missing)}`,
    ];
  }

  /** Returns the orders that the broker holds. */
  get retainedOrders(): readonly RetainedOrder[] {
    return [...this.#retainedOrders.values()];
  }

  /** Returns the order of a kind that the broker holds for a box (`site/box`). */
  retainedOrder(kind: OrderKind, id: string): RetainedOrder | undefined {
    return this.#retainedOrders.get(`${kind} ${id}`);
  }

  /** Clears the broker's state for a new connection. Messages that do not arrive again are no longer retained. */
  forget(): void {
    this.#retainedOrders.clear();
    this.#heardIds.clear();
    this.#statusIds.clear();
    this.#listenedMs = this.#store.links.listenedUntilMs;
  }

  /** Takes boxes without a status at the broker as not connected, once all retained messages have arrived. */
  loseMissing(nowMs: number): void {
    this.#store.transaction(() => {
      for (const { site, box, state } of this.#store.boxes()) {
        const id = `${site}/${box}`;
        if (state === 'online' && !this.#statusIds.has(id))
          this.#links.set(id, this.#store.links.lose(site, box, nowMs));
      }
    });
  }

  /** Returns boxes (`site/box`) with an order or a report since the last call. */
  takeChangedIds(): string[] {
    const ids = [...this.#changedIds];
    this.#changedIds.clear();
    return ids;
  }

  /**
   * Stores all messages in one transaction, and that this program listened until now if it is connected. Returns a line
   * for people per kind of event.
   */
  take(messages: readonly Incoming[], nowMs: number, isConnected: boolean): string[] {
    const isMarkDue = isConnected && Math.abs(nowMs - this.#markedMs) >= MARK_MS;
    if (messages.length === 0 && !isMarkDue) return [];
    const notes: Note[] = [];
    this.#store.transaction(() => {
      for (const message of messages) {
        const { site, box, branch } = message;
        if (!NAME.test(site) || !NAME.test(box)) continue;
        if (branch === 'status') this.#status(message, nowMs);
        else if (branch === 'update/reported') notes.push(...this.#reported(message, nowMs));
        else this.#desired(branch === 'update/desired' ? 'update' : 'configure', message);
      }
      if (!isMarkDue) return;
      this.#store.links.markListened(nowMs);
      this.#markedMs = nowMs;
    });
    const kinds = new Map<string, string[]>();
    for (const { text, id } of notes) kinds.set(text, [...(kinds.get(text) ?? []), id]);
    return [...kinds].map(([text, ids]) => `${text}: ${someOf([...new Set(ids)])}`);
  }

  #status({ site, box, payload }: Incoming, nowMs: number): void {
    // Empty: the box was removed.
    if (payload.length === 0) return;
    const statusReport = jsonOf(payload.toString());
    if (!Value.Check(StatusReport, statusReport)) {
      this.#store.refuse(site, box, 'its status is not one', nowMs);
      return;
    }
    const id = `${site}/${box}`;
    this.#heardIds.add(id);
    // The first status on a connection may be a retained one, of any time since a program last listened.
    const sinceMs = this.#statusIds.has(id) ? nowMs : this.#listenedMs;
    this.#statusIds.add(id);
    this.#store.addBox(site, box, nowMs);
    this.#links.set(id, this.#store.links.take(site, box, statusReport, { nowMs, sinceMs }));
  }

  #reported({ site, box, payload }: Incoming, nowMs: number): Note[] {
    if (payload.length === 0) return [];
    const id = `${site}/${box}`;
    this.#heardIds.add(id);
    const refuse = (reason: string): Note[] => {
      this.#store.refuse(site, box, reason, nowMs);
      return [{ text: `a report is refused, ${reason}`, id }];
    };
    try {
      const { report, fingerprint } = openReport(payload, site, box);
      const outcome = this.#store.takeReport(report, fingerprint, nowMs, this.#reports.get(id));
      if (typeof outcome === 'object') return refuse(outcome.refusal);
      this.#reports.set(id, report);
      this.#changedIds.add(id);
      return outcome === 'pinned' ? [{ text: 'the first report, its key is kept', id }] : [];
    } catch (error) {
      if (!(error instanceof CommandRefused)) throw error;
      return refuse(error.message);
    }
  }

  #desired(kind: OrderKind, { site, box, payload }: Incoming): void {
    const place = `${kind} ${site}/${box}`;
    this.#changedIds.add(`${site}/${box}`);
    const retainedOrder = payload.length === 0 ? undefined : this.#openOrder(kind, site, box, payload);
    if (retainedOrder === undefined) this.#retainedOrders.delete(place);
    else this.#retainedOrders.set(place, retainedOrder);
  }

  /**
   * Returns the order; undefined if no box would accept the message as one. The key does not matter here: a box accepts
   * other keys too, and an order by one of them belongs to another rollout.
   */
  #openOrder(may: OrderKind, site: string, box: string, payload: Buffer): RetainedOrder | undefined {
    let byOwnKey = false;
    let order: ReturnType<typeof claimedOrder> | undefined;
    try {
      order = claimedOrder(may, payload);
      // Orders that the store has given are not verified again.
      if (this.#rollouts.envelope(may, site, box, order.counter) === payload.toString()) byOwnKey = true;
      else if (this.#own !== undefined) {
        openOrder(may, payload, {
          site,
          box,
          keys: [{ name: 'own', publicKey: this.#own, may: [may] }],
          wallMs: () => Number.POSITIVE_INFINITY,
        });
        byOwnKey = true;
      }
    } catch (error) {
      if (!(error instanceof CommandRefused)) throw error;
      if (error.code !== 'unknown-key') return undefined;
    }
    if (order === undefined || order.site !== site || order.box !== box) return undefined;
    const { rollout, counter, action, final = false, window } = order;
    const isStrange = byOwnKey && this.#rollouts.envelope(may, site, box, counter) === undefined;
    const fields = fieldsOf(order);
    return {
      kind: kindOf(fields),
      site,
      box,
      rollout,
      counter,
      action,
      final,
      byOwnKey,
      notAfterMs: Date.parse(order.notAfter),
      strange: isStrange ? { fields, window, envelope: payload.toString() } : undefined,
    };
  }
}
