/**
 * Runs the real controller, store and broker with boxes in separate processes, on a simulated clock. Time advances only
 * when all have finished their work, so hours pass in seconds and the load of this machine has no effect.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Clock, systemClock } from '../../../../agent/base/clock.ts';
import { AgentError } from '../../../../agent/base/errors.ts';
import type { FleetLink, Outgoing } from '../broker.ts';
import { hashOf } from './box.ts';
import type { Answer, Ask, SimulationOptions, Truth } from './world.ts';

const BOXES = fileURLToPath(new URL('./boxes/main.js', import.meta.url));
/** Events within this time are handled together, as by a busy controller, ms. */
const GRID_MS = 10_000;
const HEARD_WITHIN_MS = 30_000;

/** A request without its number. */
type Part = Ask extends infer One ? (One extends Ask ? Omit<One, 'n'> : never) : never;

export class Simulation implements Clock {
  readonly #children: ChildProcess[] = [];
  readonly #states = new Map<ChildProcess, Answer>();
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  /** Hashes of the messages sent to each box since its process was last informed, per process. */
  readonly #orders: Map<string, string>[] = [];
  /** Number of the process of each box. */
  readonly #homes = new Map<string, number>();
  readonly #exits = new Map<ChildProcess, Promise<undefined>>();
  #nowMs: number;
  #n = 0;
  #link: FleetLink | undefined;
  /** Messages of the link that are neither from a box nor an order. */
  #baseline = 0;
  #sentCount = 0;
  #disturb: (() => Promise<boolean>) | undefined;

  constructor(startMs: number) {
    this.#nowMs = startMs;
  }

  wallMs(): number {
    return this.#nowMs;
  }

  nowMs(): number {
    return systemClock.nowMs();
  }

  /** Resolves when all boxes have reported once. */
  async start({ boxes, ...options }: Omit<SimulationOptions, 'startMs'>, processes: number): Promise<void> {
    const boxesPerProcess = Math.ceil(boxes.length / processes);
    for (let i = 0; i < processes; i += 1) {
      const child = fork(BOXES, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
      child.on('message', (answer: Answer) => {
        this.#waiting.get(answer.n)?.(answer);
        this.#waiting.delete(answer.n);
      });
      this.#children.push(child);
      this.#orders.push(new Map());
      for (const { site, box } of boxes.slice(i * boxesPerProcess, (i + 1) * boxesPerProcess))
        this.#homes.set(`${site}/${box}`, i);
      this.#exits.set(
        child,
        once(child, 'exit').then(() => undefined),
      );
    }
    await this.#all((i) => ({
      op: 'start',
      simulation: {
        ...options,
        startMs: this.#nowMs,
        boxes: boxes.slice(i * boxesPerProcess, (i + 1) * boxesPerProcess),
      },
    }));
  }

  async stop(): Promise<void> {
    for (const child of this.#children) {
      child.kill('SIGKILL');
      await this.#exits.get(child);
    }
  }

  /** Follows the connected link of the running controller. */
  async follow(link: FleetLink): Promise<void> {
    await this.#all(() => ({ op: 'truth' }));
    this.#link = link;
    this.#sentCount = 0;
    this.#baseline = link.received - this.#published;
  }

  /**
   * `disturb` is called before time advances, when boxes have handled all messages. If it returns true, time stops for
   * a turn.
   */
  before(disturb: () => Promise<boolean>): void {
    this.#disturb = disturb;
  }

  /** Records a sent order. */
  recordSent({ topic, payload }: Outgoing): void {
    const id = topic.split('/').slice(1, 3).join('/');
    this.#orders[this.#homes.get(id) ?? 0]?.set(id, hashOf(Buffer.from(payload)));
    this.#sentCount += 1;
  }

  /** Reconnects the boxes after the broker has restarted empty. */
  async reconnect(): Promise<void> {
    for (const orders of this.#orders) orders.clear();
    await this.#all(() => ({ op: 'reconnect' }));
  }

  /** Advances time to the next event, at most by `delayMs`. */
  async sleep(delayMs: number): Promise<void> {
    await this.#all((i) => ({ op: 'settle', orders: [...(this.#orders[i] ?? [])] }));
    for (const orders of this.#orders) orders.clear();
    if ((await this.#disturb?.()) === true) return;
    const nexts = [...this.#states.values()].flatMap(({ nextMs }) => (nextMs === null ? [] : [nextMs]));
    const next = Math.min(...nexts);
    const untilMs = this.#nowMs + delayMs;
    const onGrid = Math.ceil(next / GRID_MS) * GRID_MS;
    const toMs = Math.max(this.#nowMs, Math.min(untilMs, onGrid));
    if (!Number.isFinite(toMs))
      throw new AgentError('bug', 'nothing more happens in the simulation, and the rollout waits');
    this.#nowMs = toMs;
    // Also needed if no event is due: a box evaluates its order by this time.
    await this.#all(() => ({ op: 'advance', toMs }));
    await this.#waitUntilHeard();
  }

  async truth(): Promise<Truth[]> {
    await this.#all(() => ({ op: 'truth' }));
    return [...this.#states.values()].flatMap(({ truth }) => truth ?? []);
  }

  get #published(): number {
    return [...this.#states.values()].reduce((sum, { published }) => sum + published, 0);
  }

  /** Waits until the boxes' messages have reached the controller's link. */
  async #waitUntilHeard(): Promise<void> {
    const expectedCount = (): number => this.#baseline + this.#published + this.#sentCount;
    const untilMs = performance.now() + HEARD_WITHIN_MS;
    while (this.#link?.connected === true && this.#link.received < expectedCount()) {
      if (performance.now() > untilMs)
        throw new AgentError(
          'unavailable',
          `the broker has delivered ${this.#link.received} of ${expectedCount()} messages within 30 s`,
        );
      await sleep(2);
    }
  }

  async #all(ask: (i: number) => Part): Promise<void> {
    await Promise.all(
      this.#children.map(async (child, i) => {
        this.#n += 1;
        const n = this.#n;
        const answered = new Promise<Answer>((resolve) => this.#waiting.set(n, resolve));
        child.send({ ...ask(i), n });
        const answer = await Promise.race([answered, this.#exits.get(child)]);
        if (answer === undefined) throw new AgentError('unavailable', 'a process of boxes has ended');
        this.#states.set(child, answer);
      }),
    );
  }
}
