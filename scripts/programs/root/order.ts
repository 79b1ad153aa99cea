/**
 * The room's order as the agent has laid it, judged by root: nothing of it is believed but what one of root's own
 * `commands.keys` has signed.
 *
 * INVARIANTS: of a key only a counter above any before is a new order, and the same counter is the same order, to the byte.
 * LIMITS: a file of UPDATE_ORDER_BYTES_MAX, no link and no pipe.
 */

import { closeSync, constants, lstatSync, openSync } from 'node:fs';
import { AgentError, messageOf, rethrowBug } from '../../../agent/base/errors.ts';
import { readOpen } from '../../../agent/base/foreign-file.ts';
import { type OrderReader, openOrder } from '../../../agent/base/room-order.ts';
import { sha256Of } from '../../../agent/base/sha256.ts';
import { UPDATE_ORDER_BYTES_MAX, type UpdateOrder } from '../../../agent/contract/update.ts';
import { COUNTERS_MAX, type State } from './record.ts';

export type Laid =
  | { readonly kind: 'none' }
  /** It has been taken before, or has been refused before. */
  | { readonly kind: 'known' }
  | { readonly kind: 'refused'; readonly sha256: string; readonly reason: string }
  | { readonly kind: 'new'; readonly sha256: string; readonly keyid: string; readonly order: UpdateOrder };

/** What lies there now. */
export function look(
  file: string,
  { counters, refused, ordersFromMs }: Pick<State, 'counters' | 'refused' | 'ordersFromMs'>,
  reader: () => OrderReader,
): Laid {
  const bytes = readLaid(file);
  if (bytes === undefined) return { kind: 'none' };
  const sha256 = sha256Of(bytes);
  const refuse = (reason: string): Laid =>
    refused?.sha256 === sha256 ? { kind: 'known' } : { kind: 'refused', sha256, reason };
  try {
    const { order, keyid } = openOrder('update', bytes, reader());
    const newest = counters[keyid];
    if (newest !== undefined && order.counter === newest.counter) {
      return newest.sha256 === sha256
        ? { kind: 'known' }
        : refuse(`the counter ${order.counter} was that of another order`);
    }
    if (newest !== undefined && order.counter < newest.counter)
      return refuse(`replayed: the counter ${order.counter} is below ${newest.counter}`);
    if (newest === undefined && Object.keys(counters).length >= COUNTERS_MAX)
      return refuse(`${COUNTERS_MAX} keys have ordered here before; no more are known`);
    if (Date.parse(order.notBefore) <= ordersFromMs) {
      const from = new Date(ordersFromMs).toISOString();
      return refuse(`it may have been obeyed before; a new order is needed, valid from after ${from}`);
    }
    return { kind: 'new', sha256, keyid, order };
  } catch (error) {
    // Where root's own configuration cannot be read nobody may order.
    rethrowBug(error);
    return refuse(messageOf(error));
  }
}

/** Changes whenever another file is laid. */
export function stampOf(file: string): string {
  const stat = lstatSync(file, { throwIfNoEntry: false, bigint: true });
  return stat === undefined ? '' : `${stat.ino} ${stat.mtimeNs} ${stat.ctimeNs} ${stat.size}`;
}

/** Undefined where there is none; empty where it is nothing that the agent writes. */
function readLaid(file: string): Buffer | undefined {
  let fd: number;
  try {
    fd = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT') return undefined;
    if (code === 'ELOOP' || code === 'ENXIO') return Buffer.alloc(0);
    throw new AgentError('unavailable', `${file} cannot be read: ${messageOf(error)}`, error);
  }
  try {
    return readOpen(fd, UPDATE_ORDER_BYTES_MAX);
  } finally {
    closeSync(fd);
  }
}
