/** Calls a function at a fixed interval, never concurrently, until it is stopped. */
import type { Clock } from './clock.ts';

export interface TickerOptions {
  readonly clock: Clock;
  /** Interval in ms from the end of one call to the next. */
  readonly everyMs: number;
  /** An exception ends the ticker; `stop` rejects with it. */
  tick(): void;
}

export class Ticker {
  readonly #options: TickerOptions;
  readonly #stopping = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(options: TickerOptions) {
    this.#options = options;
  }

  /** Starts with an immediate first call. */
  start(): void {
    this.#running = this.#run();
  }

  /** Stops the ticker. Idempotent. */
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
