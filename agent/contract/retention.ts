/** Retention periods: the configured days, limited by the valid authorisation. */
import type { Config } from './config.ts';

type Days = Pick<Config['retention'], 'eventsDays' | 'snapshotsDays' | 'sealedDays'>;

export class Retention {
  readonly #configured: Days;
  #allowed: Days;

  constructor(configured: Days) {
    this.#configured = configured;
    this.#allowed = configured;
  }

  /** Applies the limits of an authorisation from now on. */
  allow(days: Days): void {
    this.#allowed = days;
  }

  eventsDays(): number {
    return Math.min(this.#configured.eventsDays, this.#allowed.eventsDays);
  }

  snapshotsDays(): number {
    return Math.min(this.#configured.snapshotsDays, this.#allowed.snapshotsDays);
  }

  sealedDays(): number {
    return Math.min(this.#configured.sealedDays, this.#allowed.sealedDays);
  }
}
