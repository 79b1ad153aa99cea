/** Many simulated boxes and their time: nothing happens unless time is moved on, and then in its order. */
import { setTimeout as sleep } from 'node:timers/promises';
import { AgentError } from '../../../../agent/base/errors.ts';
import type { CommandKey } from '../../../../agent/contract/config.ts';
import { SimBox, type SimBoxOptions } from './box.ts';
import { Timeline } from './timeline.ts';

/** A fleet does not come up in the same millisecond. */
const CONNECT_AT_ONCE = 25;
/** What is retained comes at once after the subscription. */
const RETAINED_MS = 40;
const SETTLE_WITHIN_MS = 60_000;
/** A street whose power is back connects in some seconds, not in one millisecond. */
const ACT_AT_ONCE = 250;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

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
  readonly #timeline = new Timeline();
  /** Hash of what each box was sent last, as far as it is not known to have heard it. */
  readonly #unheard = new Map<string, string>();

  constructor({ url, keys, startMs, boxes }: WorldOptions) {
    this.#nowMs = startMs;
    const around = {
      url,
      keys,
      nowMs: () => this.#nowMs,
      at: (ms: number, act: () => Promise<void>) => this.#timeline.add({ ms, act }),
    };
    this.boxes = new Map(
      boxes.map((options) => [`${options.site}/${options.box}`, new SimBox(options, around)]),
    );
  }

  /** All of them are there once, with what they run; then those go that are away, or without power at this hour. */
  async start(): Promise<WorldState> {
    const all = [...this.boxes.values()];
    await this.#connectAll(all, (box) => box.connect());
    for (const box of all) {
      const { away, backAfterMs, dark } = box.options.fate;
      if (away) box.drop();
      if (away && backAfterMs !== null)
        this.#timeline.add({ ms: this.#nowMs + backAfterMs, act: () => this.#settled(box, box.connect()) });
      if (!away && dark !== undefined) this.#cycle(box, dark);
    }
    return this.state();
  }

  state(): WorldState {
    const published = [...this.boxes.values()].reduce((sum, box) => sum + box.published, 0);
    return { nextMs: this.#timeline.nextMs ?? null, published };
  }

  /** Everything through that time, in its order. */
  async advance(toMs: number): Promise<WorldState> {
    for (;;) {
      const firstMs = this.#timeline.nextMs;
      if (firstMs === undefined || firstMs > toMs) break;
      this.#nowMs = Math.max(this.#nowMs, firstMs);
      // What boxes do within a second they do side by side.
      const now = this.#timeline.take(Math.min(firstMs + 1000, toMs));
      for (let at = 0; at < now.length; at += ACT_AT_ONCE)
        await Promise.all(now.slice(at, at + ACT_AT_ONCE).map(({ act }) => act()));
    }
    this.#nowMs = Math.max(this.#nowMs, toMs);
    return this.state();
  }

  /** Resolves when the boxes that are connected have heard what was sent to them last, and have dealt with it. */
  async settle(orders: ReadonlyMap<string, string>): Promise<WorldState> {
    for (const [id, hash] of orders) if (this.boxes.has(id)) this.#unheard.set(id, hash);
    const until = performance.now() + SETTLE_WITHIN_MS;
    const waits = (): boolean => {
      for (const [id, hash] of this.#unheard) {
        const box = this.boxes.get(id);
        if (box?.heard === hash) this.#unheard.delete(id);
        else if (box?.online === true) return true;
      }
      return false;
    };
    while (waits()) {
      if (performance.now() > until)
        throw new AgentError('unavailable', 'a box that is connected has not heard what was sent to it');
      await sleep(2);
    }
    await Promise.all([...this.boxes.values()].map((box) => box.settled));
    return this.state();
  }

  /** The broker has come back, and keeps nothing: who was connected connects again, and nobody is owed an order. */
  async reconnect(): Promise<WorldState> {
    this.#unheard.clear();
    await this.#connectAll([...this.boxes.values()], (box) => box.reconnect());
    return this.state();
  }

  async #connectAll(boxes: readonly SimBox[], connect: (box: SimBox) => Promise<void>): Promise<void> {
    for (let at = 0; at < boxes.length; at += CONNECT_AT_ONCE)
      await Promise.all(boxes.slice(at, at + CONNECT_AT_ONCE).map(connect));
  }

  /** Its power goes and comes, every day at the same hours. */
  #cycle(box: SimBox, { fromHour, toHour }: NonNullable<SimBox['options']['fate']['dark']>): void {
    const nextMs = (hour: number): number => {
      const today = Math.floor(this.#nowMs / DAY_MS) * DAY_MS + hour * HOUR_MS;
      return today > this.#nowMs ? today : today + DAY_MS;
    };
    const off = async (): Promise<void> => {
      box.cut();
      this.#timeline.add({ ms: nextMs(toHour), act: on });
    };
    const on = async (): Promise<void> => {
      this.#timeline.add({ ms: nextMs(fromHour), act: off });
      await this.#settled(box, box.boot());
    };
    if (nextMs(toHour) > nextMs(fromHour)) this.#timeline.add({ ms: nextMs(fromHour), act: off });
    else void off();
  }

  async #settled(box: SimBox, connected: Promise<void>): Promise<void> {
    await connected;
    await sleep(RETAINED_MS);
    await box.settled;
  }
}
