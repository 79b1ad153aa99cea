/** Calls one function at a fixed interval, never twice at once, until it is stopped. */
import type { Clock } from './clock.ts';

export interface TickerOptions {
  readonly clock: Clock;
  /** From the end of one call to the next. */
  readonly everyMs: number;
  /** What it throws ends the ticker: `stop` rejects with it. */
  tick(): void;
}

export class Ticker {
  readonly #options: TickerOptions;
  readonly #stopping = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(options: TickerOptions) {
    this.#options = options;
  }

  /** The first call is made at once. */
  start(): void {
    this.#running = this.#run();
  }

  /** Idempotent. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, everyMs, tick } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      tick();
      await clock.sleep(everyMs, signal);
    }
  }
}
