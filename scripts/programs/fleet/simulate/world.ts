/** Many simulated boxes and their time: nothing happens unless time is moved on, and then in its order. */
import { setTimeout as sleep } from 'node:timers/promises';
import { AgentError } from '../../../../agent/base/errors.ts';
import type { CommandKey } from '../../../../agent/contract/config.ts';
import { SimBox, type SimBoxOptions } from './box.ts';

/** A fleet does not come up in the same millisecond. */
const CONNECT_AT_ONCE = 25;
/** What is retained comes at once after the subscription. */
const RETAINED_MS = 40;
const SETTLE_WITHIN_MS = 30_000;

export interface WorldOptions {
  readonly url: string;
  readonly keys: readonly CommandKey[];
  readonly startMs: number;
  readonly boxes: readonly SimBoxOptions[];
}

export interface WorldState {
  /** When something happens next; null: nothing will. */
  readonly nextMs: number | null;
  /** Messages that the broker has had of the boxes. */
  readonly published: number;
}

export class World {
  readonly boxes: ReadonlyMap<string, SimBox>;
  #nowMs: number;
  readonly #events: { readonly ms: number; readonly act: () => Promise<void> }[] = [];

  constructor({ url, keys, startMs, boxes }: WorldOptions) {
    this.#nowMs = startMs;
    const around = {
      url,
      keys,
      nowMs: () => this.#nowMs,
      at: (ms: number, act: () => Promise<void>) => {
        this.#events.push({ ms, act });
      },
    };
    this.boxes = new Map(
      boxes.map((options) => [`${options.site}/${options.box}`, new SimBox(options, around)]),
    );
  }

  /** All of them are there once, with what they run; then those that will be away go. */
  async start(): Promise<WorldState> {
    const all = [...this.boxes.values()];
    for (let at = 0; at < all.length; at += CONNECT_AT_ONCE)
      await Promise.all(all.slice(at, at + CONNECT_AT_ONCE).map((box) => box.connect()));
    for (const box of all) {
      const { away, backAfterMs } = box.options.fate;
      if (!away) continue;
      box.drop();
      if (backAfterMs !== null)
        this.#events.push({ ms: this.#nowMs + backAfterMs, act: () => this.#back(box) });
    }
    return this.state();
  }

  state(): WorldState {
    const nextMs = this.#events.reduce<number | null>(
      (least, { ms }) => (least === null ? ms : Math.min(least, ms)),
      null,
    );
    const published = [...this.boxes.values()].reduce((sum, box) => sum + box.published, 0);
    return { nextMs, published };
  }

  /** Everything through that time, in its order. */
  async advance(toMs: number): Promise<WorldState> {
    for (;;) {
      const due = this.#events.filter(({ ms }) => ms <= toMs);
      if (due.length === 0) break;
      const firstMs = due.reduce((least, { ms }) => Math.min(least, ms), toMs);
      // What boxes do within a second they do side by side.
      const now = due.filter(({ ms }) => ms <= firstMs + 1000);
      for (const event of now) this.#events.splice(this.#events.indexOf(event), 1);
      this.#nowMs = Math.max(this.#nowMs, firstMs);
      await Promise.all(now.map(({ act }) => act()));
    }
    this.#nowMs = Math.max(this.#nowMs, toMs);
    return this.state();
  }

  /** Resolves when the boxes that are connected have heard what was sent to them last, and have dealt with it. */
  async settle(orders: ReadonlyMap<string, string>): Promise<WorldState> {
    const until = performance.now() + SETTLE_WITHIN_MS;
    const waits = (): boolean =>
      [...orders].some(([id, hash]) => {
        const box = this.boxes.get(id);
        return box?.online === true && box.heard !== hash;
      });
    while (waits() && performance.now() < until) await sleep(2);
    if (waits())
      throw new AgentError('unavailable', 'a box that is connected has not heard what was sent to it');
    await Promise.all([...this.boxes.values()].map((box) => box.settled));
    return this.state();
  }

  async #back(box: SimBox): Promise<void> {
    await box.connect();
    await sleep(RETAINED_MS);
    await box.settled;
  }
}
