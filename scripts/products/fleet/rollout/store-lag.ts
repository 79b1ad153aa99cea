/**
 * Detects that the store is behind the fleet: restored from a copy, or used beside another one with the same key. The
 * evidence is orders by the fleet's key at the broker, and counters in boxes' reports, above all that the store knows.
 *
 * INVARIANTS:
 * - An order at the broker is proof, since only the key makes one.
 * - A report is the word of one box. A rollout stops for REPORTS_MIN of them, or if all boxes that the store has
 *   ordered report so.
 *
 * LIMITS: two unknown counters per box.
 */
import type { OrderKind } from '../../../../agent/orders/room-order.ts';
import { ORDER_KIND_OF, ORDER_KINDS, rolloutIn } from './kinds.ts';
import type { Knowledge } from './knowledge.ts';
import { believableCounter, type Rollouts } from './rollouts.ts';
import { someOf } from './table.ts';

/** Number of boxes that are believed against the store; one stolen and one broken box must not stop a rollout. */
export const REPORTS_MIN = 3;
const FIX = 'run `fleet rollout adopt` (docs/guide/fleet-restore.md)';

interface Unknown {
  readonly id: string;
  readonly rollout: string | null;
  readonly isOrder: boolean;
}

export interface Lag {
  /** True if the evidence is sufficient to send nothing. */
  readonly isSure: boolean;
  /** One line, with the remedy. */
  readonly text: string;
}

export class Evidence {
  readonly #knowledge: Knowledge;
  readonly #rollouts: Rollouts;
  /** Unknown orders and counters, by kind of order and box. */
  readonly #unknown = new Map<string, Unknown>();

  constructor(knowledge: Knowledge, rollouts: Rollouts) {
    this.#knowledge = knowledge;
    this.#rollouts = rollouts;
  }

  /** Returns the evidence; undefined if the store knows everything that is visible. */
  check(nowMs: number): Lag | undefined {
    // Unknown entries may have been adopted since.
    const ids = new Set([
      ...this.#knowledge.takeChangedIds(),
      ...[...this.#unknown.values()].map(({ id }) => id),
    ]);
    for (const id of ids) for (const kind of ORDER_KINDS) this.#checkBox(kind, id, nowMs);
    if (this.#unknown.size === 0) return undefined;
    const all = [...this.#unknown.values()];
    const orderCount = all.filter(({ isOrder }) => isOrder).length;
    const reportCount = new Set(all.flatMap(({ id, isOrder }) => (isOrder ? [] : [id]))).size;
    const names = [...new Set(all.flatMap(({ rollout }) => (rollout === null ? [] : [rollout])))];
    const of = names.length === 0 ? '' : `rollout ${someOf(names.sort(), 3)}, `;
    const boxes = someOf([...new Set(all.map(({ id }) => id))].sort(), 5);
    return {
      isSure: orderCount > 0 || reportCount >= REPORTS_MIN || this.#allSay(),
      text: `fleet.db: it is behind the fleet: ${orderCount} of the orders at the broker and ${reportCount} of the boxes’ reports are newer (${of}${boxes}); ${FIX}, or end that rollout where it was begun`,
    };
  }

  /** Reports whether every box that the present rollout has ordered, or would order first, reports a later order. */
  #allSay(): boolean {
    const row = this.#rollouts.present();
    if (row === undefined) return false;
    const boxes = this.#rollouts.boxes(row.name);
    const orderedBoxes = boxes.filter(({ action }) => action !== null);
    const candidates = orderedBoxes.length > 0 ? orderedBoxes : boxes.filter(({ wave }) => wave === 0);
    const kind = ORDER_KIND_OF[row.kind];
    return (
      candidates.length > 0 &&
      candidates.every(({ site, box }) => this.#unknown.has(`${kind} ${site}/${box}`))
    );
  }

  #checkBox(kind: OrderKind, id: string, nowMs: number): void {
    const place = `${kind} ${id}`;
    const [site = '', box = ''] = id.split('/');
    const newest = this.#rollouts.newestCounter(kind, site, box);
    const retainedOrder = this.#knowledge.retainedOrder(kind, id);
    const report = this.#knowledge.report(id);
    const reportedCounter = believableCounter(report, kind, nowMs) ?? 0;
    this.#unknown.delete(place);
    if (retainedOrder?.byOwnKey === true && retainedOrder.counter > newest)
      this.#unknown.set(place, { id, rollout: retainedOrder.rollout, isOrder: true });
    else if (reportedCounter > newest) {
      const rollout = report === undefined ? null : rolloutIn(report, kind).rollout;
      this.#unknown.set(place, { id, rollout, isOrder: false });
    }
  }
}
