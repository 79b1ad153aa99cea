/** Asks for an explicit decision before a verdict on a picture that this person has not seen. */
import { signal } from '@preact/signals';
import type { VerdictValue } from '../../../../agent/contract/verdict.ts';
import type { Incident } from '../contract/incident.ts';
import { review } from './acts.ts';
import { reviewAll } from './bulk-acts.ts';
import { forgetSeen, isSeen } from './queue/seen-pictures.ts';

export interface Judgement {
  readonly incidents: readonly Incident[];
  readonly verdict: VerdictValue;
}

/** Verdict of the open question. */
export const unlooked = signal<Judgement | undefined>(undefined);

/** Gives a verdict on one or many incidents, or asks first if a picture was not seen. */
export async function judge(judgement: Judgement, withoutLooking = false): Promise<void> {
  const { incidents, verdict } = judgement;
  const [only] = incidents;
  if (only === undefined) return;
  if (!withoutLooking && !incidents.every(isSeen)) {
    unlooked.value = judgement;
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
