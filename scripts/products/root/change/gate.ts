/** Decides whether an order may proceed now, from its dates, its window, a pause, and whether the clock is trusted. */

import { isOpenAt } from '../../../../agent/contract/schedule.ts';
import type { Window } from '../../../../agent/contract/update.ts';
import { orderDates } from '../../../../agent/orders/room-order.ts';
import type { Change } from './record.ts';
import type { Gate } from './step.ts';

/** Time of the box, and how far it can be trusted. */
export interface GateTime {
  readonly nowMs: number;
  /** Reports whether the network has set the clock since boot. */
  readonly isSynced: boolean;
  /** Reason why the clock is not trusted; undefined if it is. */
  readonly doubt: string | undefined;
}

/**
 * Returns a gate that makes the order wait or fail, or undefined if it may proceed. A change that a person has started
 * has no order, so nothing holds it. Only a clock that the network has set expires an order: another may be years ahead.
 */
export function gateOf(
  { order, paused }: Pick<Change, 'order' | 'paused'>,
  { nowMs, isSynced, doubt }: GateTime,
): Gate | undefined {
  if (order === null) return undefined;
  if (doubt !== undefined) return { wait: `${doubt}: waiting for the network to set it` };
  const dates = orderDates(order, nowMs);
  if (dates?.code === 'expired' && isSynced) return { fail: `the order has ended: ${dates.reason}` };
  if (dates?.code === 'expired')
    return { wait: `it ended ${order.notAfter} by a clock that the network has not set: waiting for it` };
  if (paused) return { wait: 'paused by the room' };
  // The message omits the current time, so that the same wait is reported once.
  if (dates !== undefined) return { wait: `valid from ${order.notBefore}` };
  return windowGate(order.window, nowMs);
}

function windowGate(window: Window | null, nowMs: number): Gate | undefined {
  if (window === null) return undefined;
  const { tz, days, from, to } = window;
  try {
    if (isOpenAt(window, nowMs)) return undefined;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return { fail: `the window’s time zone is unknown to this box: ${tz}` };
  }
  return { wait: `waiting for the window ${days.join(', ')} ${from} to ${to} (${tz})`, outsideWindow: true };
}
