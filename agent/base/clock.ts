/** Time is passed in, so that tests and replay own it. */
export interface Clock {
  /** Monotonic, ms; for every timer and deadline. */
  nowMs(): number;
  /** Wall time, ms since the epoch; for people and for signed windows only. */
  wallMs(): number;
  /** Resolves after `delayMs`, or at once when `signal` aborts. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
}

/** How far the wall clock has been moved, seen against the monotonic one from look to look. */
export class ClockSteps {
  readonly #clock: Pick<Clock, 'nowMs' | 'wallMs'>;
  #last: { readonly wallMs: number; readonly nowMs: number };

  constructor(clock: Pick<Clock, 'nowMs' | 'wallMs'>) {
    this.#clock = clock;
    this.#last = this.#look();
  }

  /** The step since the last look, ms: negative for a clock put back; slewing makes 30 ms a minute at most. */
  sinceLastMs(): number {
    const before = this.#last;
    this.#last = this.#look();
    return this.#last.wallMs - before.wallMs - (this.#last.nowMs - before.nowMs);
  }

  #look(): { wallMs: number; nowMs: number } {
    return { wallMs: this.#clock.wallMs(), nowMs: this.#clock.nowMs() };
  }
}

/** systemd-timesyncd makes it at its first synchronisation after boot (systemd-timesyncd.service(8)). */
export const TIMESYNC_FILE = '/run/systemd/timesync/synchronized';

export const systemClock: Clock = {
  // CLOCK_MONOTONIC counts from the machine's boot: agent and vision agree on it, restarts included.
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
