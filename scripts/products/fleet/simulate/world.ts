/** Runs many simulated boxes and their time. Events happen only when time is advanced, and in order. */
import { setTimeout as sleep } from 'node:timers/promises';
import { AgentError } from '../../../../agent/base/errors.ts';
import type { CommandKey } from '../../../../agent/contract/config.ts';
import type { Mode } from '../../../../agent/contract/mode.ts';
import type { ChangePhase } from '../../../../agent/contract/update.ts';
import { SimBox, type SimBoxOptions } from './box.ts';

/** Number of parallel connections; a fleet does not connect within one millisecond. */
const CONNECT_AT_ONCE = 25;
/** Time for retained messages after a subscription, ms. */
const RETAINED_MS = 40;
const SETTLE_WITHIN_MS = 60_000;
/** Number of parallel actions; a street connects within seconds after a power cut, not within one millisecond. */
const ACTIONS_AT_ONCE = 250;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

export interface SimulationOptions {
  readonly url: string;
  readonly keys: readonly CommandKey[];
  readonly startMs: number;
  readonly boxes: readonly SimBoxOptions[];
}

export interface SimulationState {
  /** Time of the next event; null if there is none. */
  readonly nextMs: number | null;
  /** Number of the boxes' messages at the broker. */
  readonly published: number;
}

/** A request to a process of boxes. */
export type Ask =
  | { readonly n: number; readonly op: 'start'; readonly simulation: SimulationOptions }
  | { readonly n: number; readonly op: 'advance'; readonly toMs: number }
  /** Pairs of box and hash of the last message sent to it since the last request. */
  | { readonly n: number; readonly op: 'settle'; readonly orders: readonly (readonly [string, string])[] }
  | { readonly n: number; readonly op: 'reconnect' }
  | { readonly n: number; readonly op: 'truth' };

export interface Truth {
  readonly id: string;
  readonly phase: ChangePhase;
  readonly seq: number;
  readonly mode: Mode;
  readonly online: boolean;
  /** True if it was taken off the network for good. */
  readonly hasVanished: boolean;
}

export interface Answer extends SimulationState {
  readonly n: number;
  readonly truth?: readonly Truth[];
}

export class Simulation {
  readonly boxes: ReadonlyMap<string, SimBox>;
  #nowMs: number;
  readonly #timeline = new Timeline();
  /** Hash of the last message to each box that it has not confirmed as received. */
  readonly #unheard = new Map<string, string>();

  constructor({ url, keys, startMs, boxes }: SimulationOptions) {
    this.#nowMs = startMs;
    const surroundings = {
      url,
      keys,
      nowMs: () => this.#nowMs,
      at: (ms: number, action: () => Promise<void>) => this.#timeline.add({ ms, action }),
    };
    this.boxes = new Map(
      boxes.map((options) => [`${options.site}/${options.box}`, new SimBox(options, surroundings)]),
    );
  }

  /**
   * Connects all boxes once with their reports, then disconnects those that are offline or without power at this hour.
   */
  async start(): Promise<SimulationState> {
    const all = [...this.boxes.values()];
    await this.#connectAll(all, (box) => box.connect());
    for (const box of all) {
      const { startsOffline, backAfterMs, dark } = box.options.fate;
      if (startsOffline) box.drop();
      if (startsOffline && backAfterMs !== null)
        this.#timeline.add({
          ms: this.#nowMs + backAfterMs,
          action: () => this.#settled(box, box.connect()),
        });
      if (!startsOffline && dark !== undefined) this.#cycle(box, dark);
    }
    return this.state();
  }

  state(): SimulationState {
    const published = [...this.boxes.values()].reduce((sum, box) => sum + box.published, 0);
    return { nextMs: this.#timeline.nextMs ?? null, published };
  }

  /** Runs all events up to this time, in order. */
  async advance(toMs: number): Promise<SimulationState> {
    for (;;) {
      const firstMs = this.#timeline.nextMs;
      if (firstMs === undefined || firstMs > toMs) break;
      this.#nowMs = Math.max(this.#nowMs, firstMs);
      // Actions within one second run in parallel.
      const now = this.#timeline.take(Math.min(firstMs + 1000, toMs));
      for (let at = 0; at < now.length; at += ACTIONS_AT_ONCE)
        await Promise.all(now.slice(at, at + ACTIONS_AT_ONCE).map(({ action }) => action()));
    }
    this.#nowMs = Math.max(this.#nowMs, toMs);
    return this.state();
  }

  /** Resolves when the connected boxes have received and handled their last messages. */
  async settle(orders: ReadonlyMap<string, string>): Promise<SimulationState> {
    for (const [id, hash] of orders) if (this.boxes.has(id)) this.#unheard.set(id, hash);
    const untilMs = performance.now() + SETTLE_WITHIN_MS;
    const waits = (): boolean => {
      for (const [id, hash] of this.#unheard) {
        const box = this.boxes.get(id);
        if (box?.lastOrderHash === hash) this.#unheard.delete(id);
        else if (box?.online === true) return true;
      }
      return false;
    };
    while (waits()) {
      if (performance.now() > untilMs)
        throw new AgentError('unavailable', 'a connected box has not received a message that was sent to it');
      await sleep(2);
    }
    await Promise.all([...this.boxes.values()].map((box) => box.settled));
    return this.state();
  }

  /** Reconnects the connected boxes to a restarted, empty broker, and drops the expected orders. */
  async reconnect(): Promise<SimulationState> {
    this.#unheard.clear();
    await this.#connectAll([...this.boxes.values()], (box) => box.reconnect());
    return this.state();
  }

  async #connectAll(boxes: readonly SimBox[], connect: (box: SimBox) => Promise<void>): Promise<void> {
    for (let at = 0; at < boxes.length; at += CONNECT_AT_ONCE)
      await Promise.all(boxes.slice(at, at + CONNECT_AT_ONCE).map(connect));
  }

  /** Switches a box's power at the same hours every day. */
  #cycle(box: SimBox, { fromHour, toHour }: NonNullable<SimBox['options']['fate']['dark']>): void {
    const nextMs = (hour: number): number => {
      const today = Math.floor(this.#nowMs / DAY_MS) * DAY_MS + hour * HOUR_MS;
      return today > this.#nowMs ? today : today + DAY_MS;
    };
    const off = async (): Promise<void> => {
      box.cutPower();
      this.#timeline.add({ ms: nextMs(toHour), action: on });
    };
    const on = async (): Promise<void> => {
      this.#timeline.add({ ms: nextMs(fromHour), action: off });
      await this.#settled(box, box.boot());
    };
    if (nextMs(toHour) > nextMs(fromHour)) this.#timeline.add({ ms: nextMs(fromHour), action: off });
    else void off();
  }

  async #settled(box: SimBox, connected: Promise<void>): Promise<void> {
    await connected;
    await sleep(RETAINED_MS);
    await box.settled;
  }
}

interface Happening {
  readonly ms: number;
  readonly action: () => Promise<void>;
}

/** Queue of events in simulated time; those of one time keep their order. */
class Timeline {
  readonly #pending: Happening[] = [];

  /** Time of the next event; undefined if there is none. */
  get nextMs(): number | undefined {
    return this.#pending[0]?.ms;
  }

  add(happening: Happening): void {
    this.#pending.splice(this.#after(happening.ms), 0, happening);
  }

  /** Removes and returns all events up to this time, the earliest first. */
  take(untilMs: number): Happening[] {
    return this.#pending.splice(0, this.#after(untilMs));
  }

  /** Returns the index of the first event after this time. */
  #after(ms: number): number {
    let [low, high] = [0, this.#pending.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#pending[middle]?.ms ?? 0) > ms) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
