/**
 * Recent events and active incidents, for a person at the box.
 *
 * LIMITS: RECENT_MAX events and OPEN_INCIDENTS_MAX incidents; beyond them the oldest is no longer shown.
 */
import type { Clock } from '../base/clock.ts';
import type { UnnumberedEvent } from '../contract/event-sink.ts';
import type { LocalEvent } from '../contract/local-status.ts';

const RECENT_MAX = 8;
const OPEN_INCIDENTS_MAX = 64;
const RATE_OVER_MS = 10_000;

export class RecentEvents {
  readonly #clock: Clock;
  readonly #recent: LocalEvent[] = [];
  readonly #openIncidents = new Map<string, LocalEvent>();
  /** Monotonic times of the frames of the last seconds. */
  readonly #framesMs: number[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get recent(): readonly LocalEvent[] {
    return this.#recent;
  }

  get openIncidents(): readonly LocalEvent[] {
    return [...this.#openIncidents.values()];
  }

  get analysedFps(): number {
    this.#forget();
    const [firstMs] = this.#framesMs;
    const lastMs = this.#framesMs.at(-1);
    if (firstMs === undefined || lastMs === undefined || lastMs <= firstMs) return 0;
    // The silence of a stopped stream counts as well.
    const overMs = Math.max(lastMs - firstMs, this.#clock.nowMs() - firstMs);
    return Math.round(((this.#framesMs.length - 1) / overMs) * 10_000) / 10;
  }

  frame(): void {
    this.#framesMs.push(this.#clock.nowMs());
    this.#forget();
  }

  add({ time, subject, data }: UnnumberedEvent): void {
    const { episode, phase, severity, rule } = data;
    const { reason } = data.cause;
    const reasonText = typeof reason === 'string' ? reason.slice(0, 500) : null;
    const event: LocalEvent = { time, kind: rule.kind, severity, phase, subject, reason: reasonText };
    if (phase === 'start') {
      this.#recent.push(event);
      this.#recent.splice(0, this.#recent.length - RECENT_MAX);
    }
    if (phase === 'end') this.#openIncidents.delete(episode);
    else if (!this.#openIncidents.has(episode)) this.#openIncidents.set(episode, event);
    if (this.#openIncidents.size <= OPEN_INCIDENTS_MAX) return;
    const [oldest] = this.#openIncidents.keys();
    if (oldest !== undefined) this.#openIncidents.delete(oldest);
  }

  #forget(): void {
    const fromMs = this.#clock.nowMs() - RATE_OVER_MS;
    const old = this.#framesMs.findIndex((ms) => ms >= fromMs);
    this.#framesMs.splice(0, old === -1 ? this.#framesMs.length : old);
  }
}
