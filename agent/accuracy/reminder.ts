/** Reminders to the room derived from the verdicts: for each rule, the spot at which it was wrong most often. */
import type { Proposal } from '../contract/accuracy.ts';
import type { ReminderCondition } from '../contract/condition.ts';

export interface OftenFalse {
  readonly kind: ReminderCondition;
  /** Id of the rule. */
  readonly id: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly active: boolean;
  readonly cause: Readonly<Record<string, unknown>>;
}

/** Returns one reminder for each of `rules`. */
export function oftenFalse(
  rules: readonly { readonly id: string }[],
  proposals: readonly Proposal[],
): OftenFalse[] {
  return rules.map(({ id }) => {
    const proposal = proposals.find(({ rule }) => rule === id);
    if (proposal === undefined)
      return { kind: 'high-false-alarm-rate', id, params: {}, active: false, cause: {} };
    const { remedy, xyxyNorm, falseAlarms: wrong, confirmed: right } = proposal;
    // A further verdict of the same kind adds nothing; only another remedy makes another reminder.
    return {
      kind: 'high-false-alarm-rate',
      id,
      params: { remedy },
      active: true,
      cause: { xyxyNorm, falseAlarms: wrong, confirmed: right },
    };
  });
}
