/**
 * Brings the orders of the store to the broker, and takes away those that are over.
 *
 * INVARIANTS: an order counts as sent with the broker's PUBACK. The withdrawal with which a rollout was aborted or has halted
 * stays at the broker until the rollout's time is over or another order takes its place.
 */
import type { Clock } from '../../../../agent/base/clock.ts';
import type { FleetLink, Outgoing } from '../broker.ts';
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

  /** What the broker has not acknowledged; `finals`: only that with which a rollout ends. Throws DeliveryError. */
  async send(finals = false): Promise<void> {
    const { store, link, clock } = this.#options;
    const orders = this.#rollouts
      .unpublished()
      .filter(({ final }) => !finals || final === 1)
      .map((order) => ({ ...outgoingOf(order), payload: order.envelope, order }));
    if (orders.length === 0) return;
    await link.publish(orders, (sent) =>
      store.transaction(() =>
        this.#rollouts.markPublished(
          sent.map(({ order }) => order),
          clock.wallMs(),
        ),
      ),
    );
  }

  /** Nothing is left at the broker of what is over: who has ended, whose time is past, and who knows that it is withdrawn. */
  async clear(boxesOf: (rollout: string) => readonly RolloutBoxRow[]): Promise<void> {
    const { store, link, clock } = this.#options;
    const nowMs = clock.wallMs();
    const rows = new Map(this.#rollouts.all().map((row) => [row.name, row]));
    const standing = this.#rollouts.standing().filter(({ published }) => published !== null);
    const names = new Set(standing.map(({ rollout }) => rollout));
    const states = new Map(
      [...names].flatMap((name) =>
        boxesOf(name).map(({ site, box, state }) => [`${name} ${site}/${box}`, state] as const),
      ),
    );
    const over = standing.filter((order) => {
      const { rollout, site, box, action, counter, order_kind } = order;
      const row = rows.get(rollout);
      if (row === undefined || nowMs > row.not_after || order.overtaken === 1) return true;
      // It tells a store that was restored what has become of the rollout.
      if (action === 'withdraw' && (row.state === 'aborted' || row.state === 'halted')) return false;
      const report = this.#knowledge.report(`${site}/${box}`);
      const state = states.get(`${rollout} ${site}/${box}`);
      const isCalledBack = state === 'withdrawn' || state === 'skipped';
      if (state !== undefined && !OPEN.includes(state) && !isCalledBack) return true;
      const heard = report && ORDER_IN[order_kind](report).order;
      return action === 'withdraw' && heard != null && heard >= counter;
    });
    const messages = over.map((order) => ({ ...outgoingOf(order), payload: '', order }));
    await link.publish(messages, (sent) =>
      store.transaction(() =>
        this.#rollouts.markCleared(
          sent.map(({ order }) => order),
          nowMs,
        ),
      ),
    );
  }

  /** With a new connection: orders that the broker does not hold, or holds in an older form, go out again. */
  restore(): void {
    const { store, say } = this.#options;
    const lost = this.#rollouts.standing().filter((order) => {
      const { order_kind, site, box, counter, published } = order;
      const held = this.#knowledge.standingOf(order_kind, `${site}/${box}`);
      if (published === null || order.overtaken === 1) return false;
      // Another's order in its place stays: that is told by `strangers`.
      return held === undefined || (held.byOwnKey && held.counter < counter);
    });
    if (lost.length > 0) say(`the broker does not hold ${lost.length} orders any more; they go out again`);
    store.transaction(() => {
      for (const order of lost) this.#rollouts.markUnpublished(order);
      // What was cleared already and lies there again, as at a broker that was restored itself, is cleared again.
      for (const { kind, site, box, byOwnKey } of this.#knowledge.standing)
        if (byOwnKey) this.#rollouts.markHeld(ORDER_KIND_OF[kind], site, box);
    });
  }
}

function outgoingOf({ order_kind, site, box }: OrderRow): Pick<Outgoing, 'topic'> {
  return { topic: desiredTopic(order_kind, site, box) };
}
