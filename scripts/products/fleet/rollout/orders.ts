/** Signs the orders of a rollout and stores them; sends nothing. */
import type { KeyObject } from 'node:crypto';
import { topicsOf } from '../../../../agent/contract/topics.ts';
import type { ConfigOrder, UpdateOrder } from '../../../../agent/contract/update.ts';
import { signEnvelope } from '../../../../agent/orders/dsse.ts';
import type { OrderKind } from '../../../../agent/orders/room-order.ts';
import { rolloutOf } from './inputs.ts';
import { ORDER_KIND_OF, ORDER_TYPES, type OrderFields } from './kinds.ts';
import type { RolloutBoxRow, RolloutRow, Rollouts } from './rollouts.ts';
import { type Action, type BoxState, OPEN } from './states.ts';

/**
 * States of boxes whose orders are withdrawn: not switched, or a configuration that a suspended box would try later.
 */
const WITHDRAWN_BY_END: readonly BoxState[] = ['ordered', 'begun', 'parked'];

/** Upper bound of the clock difference between boxes and room, ms. */
const SKEW_MS = 300_000;

export interface Signing {
  readonly key: KeyObject;
  readonly nowMs: number;
}

/** Signs and stores an order, in the caller's transaction. `final`: the rollout ends with it. */
export function writeOrder(
  rollouts: Rollouts,
  { name, kind, plan, not_after }: Pick<RolloutRow, 'name' | 'kind' | 'plan' | 'not_after'>,
  { site, box, fields }: Pick<RolloutBoxRow, 'site' | 'box' | 'fields'>,
  action: Action,
  { key, nowMs }: Signing,
  final = false,
): void {
  const orderKind = ORDER_KIND_OF[kind];
  const counter = rollouts.nextCounter(orderKind, site, box, nowMs);
  const order = {
    rollout: name,
    site,
    box,
    action,
    ...(final && { final }),
    counter,
    notBefore: new Date(nowMs - SKEW_MS).toISOString(),
    notAfter: new Date(not_after).toISOString(),
    window: plan.window,
    ...fields,
  } as UpdateOrder | ConfigOrder;
  const envelope = signEnvelope(ORDER_TYPES[orderKind], JSON.stringify(order), key);
  rollouts.addOrder({
    kind,
    counter,
    rollout: name,
    site,
    box,
    action,
    created_at: nowMs,
    envelope,
    final: final ? 1 : 0,
  });
}

/** Ends a rollout that another one replaces: withdraws what its boxes have not begun. In the caller's transaction. */
export function endBefore(rollouts: Rollouts, row: RolloutRow, reason: string, signing: Signing): void {
  const { name } = row;
  for (const box of rollouts.boxes(name)) {
    if (!OPEN.includes(box.state)) continue;
    writeOrder(rollouts, row, box, 'withdraw', signing, true);
    rollouts.saveBox(name, {
      ...box,
      state: 'withdrawn',
      action: 'withdraw',
      state_at: signing.nowMs,
      reason,
    });
  }
  const before = rolloutOf(row);
  rollouts.saveRollout(
    name,
    before,
    { ...before, state: 'incomplete', reason, request: null },
    signing.nowMs,
  );
}

/**
 * Ends a rollout at its boxes, in the caller's transaction. Makes a final withdrawal for each ordered box and for each
 * canary, so that the broker holds one even if nothing was sent yet.
 */
export function writeWithdrawals(
  rollouts: Rollouts,
  row: RolloutRow,
  reason: string,
  signing: Signing,
): void {
  for (const box of rollouts.boxes(row.name)) {
    if (box.action === null && box.wave !== 0) continue;
    if (!isOrderable(box.fields)) continue;
    writeOrder(rollouts, row, box, 'withdraw', signing, true);
    const after = { ...box, action: 'withdraw' as const };
    rollouts.saveBox(
      row.name,
      WITHDRAWN_BY_END.includes(box.state)
        ? { ...after, state: 'withdrawn', state_at: signing.nowMs, reason }
        : after,
    );
  }
}

/**
 * Reports whether an order can be made from the fields. In an adopted rollout, some boxes may have reported too little.
 */
export function isOrderable(fields: OrderFields): boolean {
  return 'yaml' in fields ? fields.yaml !== '' : fields.seq > 0;
}

/** Returns the topic of a box's retained order. */
export function desiredTopic(kind: OrderKind, site: string, box: string): string {
  const { updateDesired, configDesired } = topicsOf(site, box);
  return ({ update: updateDesired, configure: configDesired } satisfies Record<OrderKind, string>)[kind];
}
