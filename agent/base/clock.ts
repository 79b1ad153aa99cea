/** Clock interface. Time is injected, so that tests and replay control it. */
export interface Clock {
  /** Monotonic time in ms, for every timer and deadline. */
  nowMs(): number;
  /** Wall time in ms since the epoch, only for people and for signed validity periods. */
  wallMs(): number;
  /** Resolves after `delayMs`, or immediately when `signal` aborts. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
}

/** Detects steps of the wall clock by comparison with the monotonic clock. */
export class ClockSteps {
  readonly #clock: Pick<Clock, 'nowMs' | 'wallMs'>;
  #last: { readonly wallMs: number; readonly nowMs: number };

  constructor(clock: Pick<Clock, 'nowMs' | 'wallMs'>) {
    this.#clock = clock;
    this.#last = this.#read();
  }

  /**
   * Returns the step since the last call in ms, negative if the clock was set back. Slewing causes at most 30 ms a
   * minute.
   */
  sinceLastMs(): number {
    const before = this.#last;
    this.#last = this.#read();
    return this.#last.wallMs - before.wallMs - (this.#last.nowMs - before.nowMs);
  }

  #read(): { wallMs: number; nowMs: number } {
    return { wallMs: this.#clock.wallMs(), nowMs: this.#clock.nowMs() };
  }
}

/** Created by systemd-timesyncd at its first synchronisation after boot (systemd-timesyncd.service(8)). */
export const TIMESYNC_FILE = '/run/systemd/timesync/synchronized';

export const systemClock: Clock = {
  // CLOCK_MONOTONIC counts from the machine's boot, so agent and vision agree on it, also across restarts.
  nowMs: () => Number(process.hrtime.bigint()) / 1e6,
  wallMs: () => Date.now(),
  sleep: (delayMs, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const finish = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', finish);
        resolve();
      };
      const timer = setTimeout(finish, delayMs);
      signal?.addEventListener('abort', finish, { once: true });
    }),
};
