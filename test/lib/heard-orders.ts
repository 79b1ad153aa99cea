/** Orders of releases as another client of the broker receives them. */
import { setTimeout as sleep } from 'node:timers/promises';
import mqtt from 'mqtt';
import type { Test } from 'tap';
import type { UpdateOrder } from '../../agent/contract/update.ts';
import { claimedOrder } from '../../agent/orders/room-order.ts';

/** Waits until the condition holds. */
export async function waitUntil(label: string, holds: () => boolean, withinMs = 60_000): Promise<void> {
  const untilMs = Date.now() + withinMs;
  while (!holds()) {
    if (Date.now() > untilMs) throw new Error(`${label}: not within ${withinMs} ms`);
    await sleep(10);
  }
}

const MARK = 'test/mark';

/** All orders in order of arrival, and the retained ones; those that lie at the broker have arrived. */
export class Orders {
  readonly all: UpdateOrder[] = [];
  readonly retained = new Map<string, UpdateOrder>();

  static async of(t: Test, url: string): Promise<Orders> {
    const orders = new Orders();
    const client = await mqtt.connectAsync(url, { protocolVersion: 5 });
    t.teardown(() => client.end(true));
    let wasMarked = (): void => undefined;
    const marked = new Promise<void>((resolve) => {
      wasMarked = resolve;
    });
    client.on('message', (topic, payload) => {
      if (topic === MARK) {
        wasMarked();
        return;
      }
      const box = topic.split('/')[2] ?? '';
      if (payload.length === 0) {
        orders.retained.delete(box);
        return;
      }
      const order = claimedOrder('update', payload);
      orders.all.push(order);
      orders.retained.set(box, order);
    });
    await client.subscribeAsync(['vigie/+/+/update/desired', MARK], { qos: 1 });
    // The broker sends what it retains first.
    await client.publishAsync(MARK, 'x', { qos: 1 });
    await marked;
    return orders;
  }

  /** Counters of orders to install, by box: one of each is one order, however often it arrived. */
  installs(): Map<string, Set<number>> {
    const counters = new Map<string, Set<number>>();
    for (const { box, action, counter } of this.all)
      if (action === 'install') counters.set(box, (counters.get(box) ?? new Set()).add(counter));
    return counters;
  }
}
