/**
 * Measures how long the room's archive has not acknowledged a lane, although the broker has accepted its messages. Time
 * without a connection does not count.
 */
import type { Clock } from '../base/clock.ts';

export class ArchiveSilence {
  readonly #clock: Pick<Clock, 'nowMs'>;
  /** Time from earlier connections. */
  #earlierMs = 0;
  #sinceMs: number | undefined;

  constructor(clock: Pick<Clock, 'nowMs'>) {
    this.#clock = clock;
  }

  get ms(): number {
    return this.#earlierMs + (this.#sinceMs === undefined ? 0 : this.#clock.nowMs() - this.#sinceMs);
  }

  /** Begins or continues: the broker has a message that the archive should acknowledge. */
  begin(): void {
    this.#sinceMs ??= this.#clock.nowMs();
  }

  /** Stops the clock: the connection was closed. */
  pause(): void {
    this.#earlierMs = this.ms;
    this.#sinceMs = undefined;
  }

  /** Ends: the archive has acknowledged, or nothing waits for it. */
  end(): void {
    this.#earlierMs = 0;
    this.#sinceMs = undefined;
  }
}
