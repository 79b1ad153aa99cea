/** What a sentence about an incident is made of, whatever its language. */
import type { ConditionKind } from '../../../../../agent/contract/condition.ts';
import type { EventKindName } from '../../../../../agent/contract/kinds.ts';

/** What somebody in the street did; conditions of the box have a reason instead. */
export type WatchedKind = Exclude<EventKindName, ConditionKind>;

/** Who did it, with whether it is more than one, for the verb. */
export interface Who {
  readonly text: string;
  readonly many: boolean;
}

/** Times as text with their unit, empty where the box gives none. */
export interface FiguresOfCause {
  readonly stayed: string;
  readonly stood: string;
  readonly unattended: string;
  readonly beside: string;
  readonly direction: string;
  readonly presence: string;
  readonly count: string;
}
