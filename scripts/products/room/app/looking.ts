/** Asks for an explicit decision before a verdict on a picture or a note that this person has not seen. */
import { signal } from '@preact/signals';
import type { VerdictValue } from '../../../../agent/contract/verdict.ts';
import type { Incident } from '../contract/incident.ts';
import { review } from './acts.ts';
import { reviewAll } from './bulk-acts.ts';
import { isRead } from './queue/read-notes.ts';
import { forgetSeen, isSeen } from './queue/seen-pictures.ts';

export interface Judgement {
  readonly incidents: readonly Incident[];
  readonly verdict: VerdictValue;
  readonly withoutLooking?: boolean;
}

/** Verdict of the open question. */
export const unlooked = signal<Judgement | undefined>(undefined);

/** Verdict that waits until the notes that others have written since are shown. */
export const unread = signal<Judgement | undefined>(undefined);

/** Gives a verdict on one or many incidents, or asks first if a picture or a note was not seen. */
export async function judge(judgement: Judgement): Promise<void> {
  const { incidents, verdict, withoutLooking = false } = judgement;
  const [only] = incidents;
  if (only === undefined) return;
  if (!withoutLooking && !incidents.every(isSeen)) {
    unlooked.value = judgement;
    return;
  }
  if (!incidents.every(isRead)) {
    unread.value = judgement;
    return;
  }
  const result =
    incidents.length === 1
      ? await review(only, verdict, withoutLooking)
      : await reviewAll(incidents, verdict, withoutLooking);
  if (result !== 'unseen') return;
  // The server knows no view of the present picture, for instance because it has just changed.
  for (const incident of incidents) forgetSeen(incident);
  if (incidents.length === 1) unlooked.value = judgement;
}
