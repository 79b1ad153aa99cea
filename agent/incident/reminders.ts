/** Reports due tasks and rules with a high false alarm rate to the room. */
import type { Clock } from '../base/clock.ts';
import { type Ending, remindersOf } from './expiry.ts';
import type { Reminder } from './system-conditions.ts';

export interface RemindersOptions {
  readonly clock: Pick<Clock, 'wallMs'>;
  /** Reports whether the clock is synchronised by the network and has run without a step for an hour. */
  readonly steady: { trusted(): boolean };
  /** Expiry of the box's and the authority's certificates in ms since the epoch; as Ending.endMs. */
  readonly certificates: { readonly ends: Readonly<Record<'certificate' | 'ca', Ending['endMs']>> };
  readonly restraint: { readonly authorisationEndMs: Ending['endMs'] };
  /** Reminders derived from the verdicts. */
  oftenFalse(): readonly Reminder[];
  readonly flow: { remindersAre(reminders: readonly Reminder[]): void };
}

export class Reminders {
  readonly #options: RemindersOptions;

  constructor(options: RemindersOptions) {
    this.#options = options;
  }

  /** Reports the reminders; must be called often. Without a trusted clock, expiries are not reported. */
  tick(): void {
    const { clock, steady, certificates, restraint, oftenFalse, flow } = this.#options;
    flow.remindersAre(oftenFalse());
    if (!steady.trusted()) return;
    const { certificate, ca } = certificates.ends;
    const endings: Ending[] = [
      { what: 'certificate', endMs: certificate },
      { what: 'ca', endMs: ca },
      { what: 'order', endMs: restraint.authorisationEndMs },
    ];
    flow.remindersAre(remindersOf(endings, clock.wallMs()));
  }
}
