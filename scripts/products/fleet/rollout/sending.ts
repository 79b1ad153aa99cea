/**
 * Publishes the store's orders at the broker, and removes those that are over.
 *
 * INVARIANTS:
 * - An order counts as sent with the broker's PUBACK.
 * - The withdrawal of an aborted or halted rollout stays at the broker until the rollout's time is over or another
 *   order replaces it.
 */
import type { Clock } from '../../../../agent/base/clock.ts';
import { counted } from '../../../lib/counted.ts';
import type { FleetLink } from '../broker.ts';
import type { FleetStore } from '../store.ts';
import { ORDER_IN, ORDER_KIND_OF } from './kinds.ts';
import type { Knowledge } from './knowledge.ts';
import { desiredTopic } from './orders.ts';
import type { OrderRow, RolloutBoxRow, Rollouts } from './rollouts.ts';
import { OPEN } from './states.ts';

export interface SendingOptions {
  readonly store: FleetStore;
  readonly link: FleetLink;
  readonly clock: Clock;
  say(line: string): void;
}

export class Sending {
  readonly #options: SendingOptions;
  readonly #knowledge: Knowledge;
  readonly #rollouts: Rollouts;

  constructor(options: SendingOptions, knowledge: Knowledge, rollouts: Rollouts) {
    this.#options = options;
    this.#knowledge = knowledge;
    this.#rollouts = rollouts;
  }

  /** Sends unacknowledged orders, or with `finals` only those that end a rollout. Throws DeliveryError. */
  async send(finals = false): Promise<void> {
    const orders = this.#rollouts.unpublished().filter(({ final }) => !finals || final === 1);
    await this.#publish(
      orders,
      ({ envelope }) => envelope,
      (sent) => this.#rollouts.markPublished(sent, this.#options.clock.wallMs()),
    );
  }

  /**
   * Removes finished orders from the broker: the box has finished, the time is over, or the box knows of the
   * withdrawal.
   */
  async clear(boxesOf: (rollout: string) => readonly RolloutBoxRow[]): Promise<void> {
    const nowMs = this.#options.clock.wallMs();
    const rows = new Map(this.#rollouts.all().map((row) => [row.name, row]));
    const expectedOrders = this.#rollouts
      .expectedOrders()
      .filter(({ published_at: published }) => published !== null);
    const names = new Set(expectedOrders.map(({ rollout }) => rollout));
    const states = new Map(
      [...names].flatMap((name) =>
        boxesOf(name).map(({ site, box, state }) => [`${name} ${site}/${box}`, state] as const),
      ),
    );
    const over = expectedOrders.filter((order) => {
      const { rollout, site, box, action, counter, order_kind } = order;
      const row = rows.get(rollout);
      if (row === undefined || nowMs > row.not_after || order.overtaken === 1) return true;
      // Stays, to tell a restored store how the rollout ended.
      if (action === 'withdraw' && (row.state === 'aborted' || row.state === 'halted')) return false;
      const report = this.#knowledge.report(`${site}/${box}`);
      const state = states.get(`${rollout} ${site}/${box}`);
      const isCalledBack = state === 'withdrawn' || state === 'skipped';
      if (state !== undefined && !OPEN.includes(state) && !isCalledBack) return true;
      const heardCounter = report && ORDER_IN[order_kind](report).counter;
      return action === 'withdraw' && heardCounter != null && heardCounter >= counter;
    });
    await this.#publish(
      over,
      () => '',
      (sent) => this.#rollouts.markCleared(sent, nowMs),
    );
  }

  /** Publishes a message for each order, and marks those that the broker has acknowledged. */
  async #publish(
    orders: readonly OrderRow[],
    payloadOf: (order: OrderRow) => string,
    mark: (sentOrders: readonly OrderRow[]) => void,
  ): Promise<void> {
    const { store, link } = this.#options;
    const messages = orders.map((order) => {
      const topic = desiredTopic(order.order_kind, order.site, order.box);
      return { topic, payload: payloadOf(order), order };
    });
    await link.publish(messages, (sent) => store.transaction(() => mark(sent.map(({ order }) => order))));
  }

  /** Sends orders again that the broker has lost or holds in an older form, after a new connection. */
  restore(): void {
    const { store, say } = this.#options;
    const lostOrders = this.#rollouts.expectedOrders().filter((order) => {
      const { order_kind, site, box, counter, published_at: published } = order;
      const retainedOrder = this.#knowledge.retainedOrder(order_kind, `${site}/${box}`);
      if (published === null || order.overtaken === 1) return false;
      // An order of someone else stays; `foreignOrders` reports it.
      return retainedOrder === undefined || (retainedOrder.byOwnKey && retainedOrder.counter < counter);
    });
    if (lostOrders.length > 0)
      say(`the broker does not hold ${counted(lostOrders.length, 'order')} any more; sent again`);
    store.transaction(() => {
      for (const order of lostOrders) this.#rollouts.markUnpublished(order);
      // An order that was cleared and is back, as at a restored broker, is cleared again.
      for (const { kind, site, box, byOwnKey } of this.#knowledge.retainedOrders)
        if (byOwnKey) this.#rollouts.markRetained(ORDER_KIND_OF[kind], site, box);
    });
  }
}
