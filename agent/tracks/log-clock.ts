/**
 * Clock by which the log of tracks ages: the wall clock while it is trusted, otherwise the last trusted time advanced by
 * the uptime since then. A wall clock that runs ahead therefore deletes nothing, and one that is set back keeps nothing
 * longer.
 *
 * INVARIANT: the time is on disk once an hour and at a stop. Each start adds an hour, since a run may have ended just
 * before it was written: data may expire early, but never late, and restarts extend nothing.
 */
import type { Clock } from '../base/clock.ts';
import type { TrustedClock } from '../base/trusted-clock.ts';
import type { TrackStore } from './store.ts';

const NOTE = 'time';
const NOTED_EVERY_MS = 3_600_000;

export interface LogClockOptions {
  readonly clock: Pick<Clock, 'nowMs' | 'wallMs'>;
  readonly steady: Pick<TrustedClock, 'trusted'>;
  readonly store: Pick<TrackStore, 'note' | 'setNote'>;
}

export class LogClock {
  readonly #options: LogClockOptions;
  /** Time of the log, and the monotonic time of that moment. */
  #base: { readonly timeMs: number; readonly nowMs: number };
  #notedMs = 0;

  /** Takes over the time of the store; a new log begins with the wall clock. Throws AgentError. */
  constructor(options: LogClockOptions) {
    this.#options = options;
    const { clock, store } = options;
    const noted = Number(store.note(NOTE));
    const timeMs = noted > 0 ? noted + NOTED_EVERY_MS : clock.wallMs();
    this.#base = { timeMs, nowMs: clock.nowMs() };
    this.keep();
  }

  get isTrusted(): boolean {
    return this.#options.steady.trusted();
  }

  /** Time of the log, ms since the epoch. */
  nowMs(): number {
    const { clock } = this.#options;
    const nowMs = clock.nowMs();
    const { timeMs, nowMs: baseMs } = this.#base;
    const currentMs = this.isTrusted ? clock.wallMs() : timeMs + (nowMs - baseMs);
    this.#base = { timeMs: currentMs, nowMs };
    return currentMs;
  }

  /** Writes the time if an hour has passed. Throws AgentError. */
  tick(): void {
    if (this.#options.clock.nowMs() - this.#notedMs >= NOTED_EVERY_MS) this.keep();
  }

  /** Writes the time. Throws AgentError. */
  keep(): void {
    this.#options.store.setNote(NOTE, String(Math.round(this.nowMs())));
    this.#notedMs = this.#options.clock.nowMs();
  }
}
