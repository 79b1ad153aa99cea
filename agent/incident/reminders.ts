/** Tells the room of what a person should do by a date, and of what is often false. */
import type { Clock } from '../base/clock.ts';
import { type Ending, remindersOf } from './expiry.ts';
import type { Reminder } from './system-conditions.ts';

export interface RemindersOptions {
  readonly clock: Pick<Clock, 'wallMs'>;
  /** Whether the clock is set by the network and has been steady for an hour. */
  readonly steady: { trusted(): boolean };
  /** When certificate and authority end, ms since the epoch; as Ending.endMs. */
  readonly certificates: { readonly ends: Readonly<Record<'certificate' | 'ca', Ending['endMs']>> };
  readonly restraint: { readonly orderEndMs: Ending['endMs'] };
  /** What the verdicts teach. */
  oftenFalse(): readonly Reminder[];
  readonly flow: { remindersAre(reminders: readonly Reminder[]): void };
}

export class Reminders {
  readonly #options: RemindersOptions;

  constructor(options: RemindersOptions) {
    this.#options = options;
  }

  /** To be called often. By a clock that cannot be relied on nothing is said of what ends. */
  tick(): void {
    const { clock, steady, certificates, restraint, oftenFalse, flow } = this.#options;
    flow.remindersAre(oftenFalse());
    if (!steady.trusted()) return;
    const { certificate, ca } = certificates.ends;
    const endings: Ending[] = [
      { what: 'certificate', endMs: certificate },
      { what: 'ca', endMs: ca },
      { what: 'order', endMs: restraint.orderEndMs },
    ];
    flow.remindersAre(remindersOf(endings, clock.wallMs()));
  }
}
