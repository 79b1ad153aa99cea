/**
 * What is known of the boxes, kept up by what the broker brings: in memory for a rollout's every look, in the store for
 * the next run.
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
import { openReport } from '../report.ts';
import type { BoxRow, FleetStore } from '../store.ts';
import { fieldsOf, kindOf, type OrderFields, type RolloutKind } from './kinds.ts';
import { Rollouts } from './rollouts.ts';
import type { Action } from './states.ts';
import { someOf } from './table.ts';

const NAME = /^[a-z0-9-]{1,32}$/;

/** Of a box that is not connected: when it was, or has reported last; 0: never. */
export function lastHeardMs({ state_at, reported }: Pick<BoxRow, 'state_at' | 'reported'>): number {
  return Math.max(state_at ?? 0, reported ?? 0);
}

interface Told {
  readonly what: string;
  readonly id: string;
}

/** Somebody's order that lies at the broker. */
export interface Standing {
  readonly kind: RolloutKind;
  readonly site: string;
  readonly box: string;
  readonly rollout: string;
  readonly counter: number;
  readonly notAfterMs: number;
  readonly action: Action;
  /** Its rollout has ended with it. */
  readonly final: boolean;
  /** By the key of this fleet. */
  readonly byOwnKey: boolean;
  /** What it asks for, and how it came, where it is by the key of this fleet and the store has not given it. */
  readonly strange:
    | { readonly fields: OrderFields; readonly window: Window | null; readonly envelope: string }
    | undefined;
}

export class Knowledge {
  readonly #store: FleetStore;
  readonly #rollouts: Rollouts;
  /** SubjectPublicKeyInfo, Base64: as boxes have it in commands.keys. */
  readonly #own: string | undefined;
  readonly #reports = new Map<string, UpdateReport>();
  readonly #online = new Set<string>();
  readonly #heardMs = new Map<string, number>();
  readonly #standing = new Map<string, Standing>();
  /** Spoken since this connection was made. */
  readonly #heard = new Set<string>();
  /** Of whom something has come that tells of orders, since it was asked last. */
  readonly #changed = new Set<string>();

  /** `key`: that of this fleet; without it nobody's orders are told from its own. */
  constructor(store: FleetStore, key?: KeyObject) {
    this.#store = store;
    this.#rollouts = new Rollouts(store);
    if (key !== undefined)
      this.#own = createPublicKey(key).export({ type: 'spki', format: 'der' }).toString('base64');
    for (const row of store.boxes()) {
      const id = `${row.site}/${row.box}`;
      if (row.report !== undefined) this.#reports.set(id, row.report);
      if (row.state === 'online') this.#online.add(id);
      this.#heardMs.set(id, lastHeardMs(row));
    }
  }

  report(id: string): UpdateReport | undefined {
    return this.#reports.get(id);
  }

  isOnline(id: string): boolean {
    return this.#online.has(id);
  }

  /** When the box was connected or has reported last, as far as this program or the one before it has seen; 0: never. */
  heardMs(id: string): number {
    return this.#heardMs.get(id) ?? 0;
  }

  /** Boxes of the inventory that the broker keeps nothing of. */
  missing(): BoxRow[] {
    return this.#store.boxes().filter(({ site, box }) => !this.#heard.has(`${site}/${box}`));
  }

  /** Orders as they lie at the broker. */
  get standing(): readonly Standing[] {
    return [...this.#standing.values()];
  }

  /** The order of a kind of a box (`site/box`) as it lies at the broker. */
  standingOf(kind: OrderKind, id: string): Standing | undefined {
    return this.#standing.get(`${kind} ${id}`);
  }

  /** With a new connection: what the broker keeps comes anew, and what does not come it keeps no more. */
  forget(): void {
    this.#standing.clear();
    this.#heard.clear();
  }

  /** Boxes (`site/box`) of which an order or a report has come since the last time. */
  changed(): string[] {
    const ids = [...this.#changed];
    this.#changed.clear();
    return ids;
  }

  /** All that has come, in one transaction. Returns what a person should know, a line for each kind of thing. */
  take(messages: readonly Incoming[], nowMs: number): string[] {
    if (messages.length === 0) return [];
    const told: Told[] = [];
    this.#store.transaction(() => {
      for (const message of messages) {
        const { site, box, branch } = message;
        if (!NAME.test(site) || !NAME.test(box)) continue;
        if (branch === 'status') this.#status(message, nowMs);
        else if (branch === 'update/reported') told.push(...this.#reported(message, nowMs));
        else this.#desired(branch === 'update/desired' ? 'update' : 'configure', message);
      }
    });
    const kinds = new Map<string, string[]>();
    for (const { what, id } of told) kinds.set(what, [...(kinds.get(what) ?? []), id]);
    return [...kinds].map(([what, ids]) => `${what}: ${someOf([...new Set(ids)])}`);
  }

  #status({ site, box, payload }: Incoming, nowMs: number): void {
    // Empty: a box that was taken away.
    if (payload.length === 0) return;
    const said = jsonOf(payload.toString());
    if (!Value.Check(StatusReport, said)) {
      this.#store.refuse(site, box, 'its status is not one', nowMs);
      return;
    }
    const id = `${site}/${box}`;
    this.#heard.add(id);
    this.#store.setState(site, box, said.state, nowMs);
    const isOnline = said.state === 'online';
    // What is retained of a box that was away already is no sign of life.
    if (isOnline || this.#online.has(id) || !this.#heardMs.has(id)) this.#heardMs.set(id, nowMs);
    if (isOnline) this.#online.add(id);
    else this.#online.delete(id);
  }

  #reported({ site, box, payload }: Incoming, nowMs: number): Told[] {
    if (payload.length === 0) return [];
    const id = `${site}/${box}`;
    this.#heard.add(id);
    const refused = (why: string): Told[] => {
      this.#store.refuse(site, box, why, nowMs);
      return [{ what: `a report is refused, ${why}`, id }];
    };
    try {
      const { report, fingerprint } = openReport(payload, site, box);
      const taken = this.#store.takeReport(report, fingerprint, nowMs);
      if (typeof taken === 'object') return refused(taken.refused);
      this.#reports.set(id, report);
      this.#changed.add(id);
      if (taken !== 'known') this.#heardMs.set(id, nowMs);
      return taken === 'pinned' ? [{ what: 'the first report, its key is kept', id }] : [];
    } catch (error) {
      if (!(error instanceof CommandRefused)) throw error;
      return refused(error.message);
    }
  }

  #desired(kind: OrderKind, { site, box, payload }: Incoming): void {
    const place = `${kind} ${site}/${box}`;
    this.#changed.add(`${site}/${box}`);
    const standing = payload.length === 0 ? undefined : this.#opened(kind, site, box, payload);
    if (standing === undefined) this.#standing.delete(place);
    else this.#standing.set(place, standing);
  }

  /**
   * Undefined for what no box would take for an order. Whose key it is does not matter here: a box believes other keys
   * than ours too, and an order by one of these is another's rollout.
   */
  #opened(may: OrderKind, site: string, box: string, payload: Buffer): Standing | undefined {
    let byOwnKey = false;
    let order: ReturnType<typeof claimedOrder> | undefined;
    try {
      order = claimedOrder(may, payload);
      // What the store has given is not verified again.
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
