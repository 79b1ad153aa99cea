/** Types of the parts of a sentence about an incident, in any language. */
import type { ConditionKind } from '../../../../../agent/contract/condition.ts';
import type { EventKindName } from '../../../../../agent/contract/kinds.ts';

/** Kinds of events in the street. Conditions of the box have a reason instead. */
export type WatchedKind = Exclude<EventKindName, ConditionKind>;

/** Subject of the sentence, with its number for the verb. */
export interface Subject {
  readonly text: string;
  readonly isPlural: boolean;
}

/** Values as text, times with their unit; empty if the box gives none. */
export interface CauseTexts {
  readonly stayed: string;
  readonly stood: string;
  readonly unattended: string;
  readonly nearby: string;
  readonly direction: string;
  readonly presence: string;
  readonly count: string;
  /** True if the box has reported the end. Durations are those at the alert, so they are minimums then. */
  readonly isOver: boolean;
}
