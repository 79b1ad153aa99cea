/**
 * Reads and verifies the orders that the agent has written to its state folder. Only orders signed by a key in root's
 * own `commands.keys` are accepted.
 *
 * INVARIANTS: counters are monotonic per key: only a counter above all earlier ones is a new order. The same counter
 * must come with the same bytes.
 *
 * LIMITS:
 * - The maximum size of an envelope; no link and no pipe.
 * - A counter is at most COUNTER_AHEAD above the key's newest counter or above the order's end in ms, whichever is
 *   later. Otherwise one wild counter would lock the key out indefinitely.
 */
import { lstatSync } from 'node:fs';
import { messageOf, rethrowBug } from '../../../../agent/base/errors.ts';
import { readForeign } from '../../../../agent/base/foreign-file.ts';
import { sha256Of } from '../../../../agent/base/sha256.ts';
import { CONFIG_ORDER_BYTES_MAX, UPDATE_ORDER_BYTES_MAX } from '../../../../agent/contract/update.ts';
import {
  type OpenedOrder,
  type OrderKind,
  type OrderReader,
  openOrder,
} from '../../../../agent/orders/room-order.ts';
import { type Change, COUNTERS_MAX, type Kind, type Target } from './record.ts';

export const ORDER_KINDS = {
  release: 'update',
  configuration: 'configure',
  root: 'update',
} as const satisfies Record<Kind, OrderKind>;
export type OrderOf<K extends Kind> = OpenedOrder<(typeof ORDER_KINDS)[K]>['order'];
/** Access to the orders of the room. */
export interface Orders {
  /** Returns the order file of the kind, in the agent's state folder. */
  file(kind: Kind): string;
  /** Reads root's own configuration. Throws AgentError. */
  reader(): OrderReader;
  /**
   * Stores an order. Returns its target, and a fault if it can never be carried out. Throws AgentError if not stored.
   */
  take<K extends Kind>(
    kind: K,
    order: OrderOf<K>,
    bytes: Uint8Array,
  ): { readonly target: Target; readonly problem?: string };
}

const BYTES_MAX: Readonly<Record<Kind, number>> = {
  release: UPDATE_ORDER_BYTES_MAX,
  configuration: CONFIG_ORDER_BYTES_MAX,
  root: UPDATE_ORDER_BYTES_MAX,
};

export type FoundOrder<K extends Kind> =
  | { readonly is: 'none' }
  /** The order has been accepted or refused before. */
  | { readonly is: 'known' }
  | { readonly is: 'refused'; readonly sha256: string; readonly reason: string }
  | {
      readonly is: 'new';
      readonly sha256: string;
      readonly bytes: Uint8Array;
      readonly openedOrder: OpenedOrder<(typeof ORDER_KINDS)[K]>;
    };

/** Reads and verifies the order at `file`. */
export function readOrder<K extends Kind>(
  kind: K,
  file: string,
  { counters, refusal }: Pick<Change, 'counters' | 'refusal'>,
  ordersFromMs: number,
  reader: () => OrderReader,
): FoundOrder<K> {
  const bytes = readForeign(file, BYTES_MAX[kind]);
  if (bytes === undefined) return { is: 'none' };
  const sha256 = sha256Of(bytes);
  const refuse = (reason: string): FoundOrder<K> =>
    refusal?.sha256 === sha256 ? { is: 'known' } : { is: 'refused', sha256, reason: reason.slice(0, 400) };
  try {
    const openedOrder = openOrder(ORDER_KINDS[kind], bytes, reader());
    const { order, keyid } = openedOrder;
    const newest = counters[keyid];
    if (newest !== undefined && order.counter === newest.counter)
      return newest.sha256 === sha256
        ? { is: 'known' }
        : refuse(`the counter ${order.counter} was that of another order`);
    if (newest !== undefined && order.counter < newest.counter)
      return refuse(`replayed: the counter ${order.counter} is below ${newest.counter}`);
    if (newest === undefined && Object.keys(counters).length >= COUNTERS_MAX)
      return refuse(`${COUNTERS_MAX} keys have ordered here before; no more are known`);
    if (Date.parse(order.notBefore) <= ordersFromMs) {
      const from = new Date(ordersFromMs).toISOString();
      return refuse(`it may have been obeyed before; a new order is needed, valid from after ${from}`);
    }
    return { is: 'new', sha256, bytes, openedOrder };
  } catch (error) {
    // If root's own configuration cannot be read, no order is accepted.
    rethrowBug(error);
    return refuse(messageOf(error));
  }
}

/** Returns the order's action for this kind. An order for the other program withdraws the one for this program. */
export function actionFor(
  kind: Kind,
  { action, ...order }: OrderOf<Kind>,
): { readonly action: OrderOf<Kind>['action']; readonly isOwn: boolean } {
  const isOwn = !('what' in order) || order.what === kind;
  return { action: isOwn ? action : 'withdraw', isOwn };
}

/** Returns a stamp that changes whenever the file is replaced. */
export function stampOf(file: string): string {
  const stat = lstatSync(file, { throwIfNoEntry: false, bigint: true });
  return stat === undefined ? '' : `${stat.ino} ${stat.mtimeNs} ${stat.ctimeNs} ${stat.size}`;
}
