/** Suppressions that run, as the stream reports them, and this person's actions on them. */
import { signal } from '@preact/signals';
import type { Incident } from '../contract/incident.ts';
import type { Suppression } from '../contract/suppression.ts';
import type { ActedSuppression } from '../contract/suppression-routes.ts';
import { explain } from './acts.ts';
import { post } from './api.ts';
import { may } from './session.ts';
import { tell } from './toasts.ts';
import { offerUndo } from './undo-offers.ts';
import { plain } from './words/plain.ts';
import { words } from './words/words.ts';

/** The rule and camera of an incident. */
export type Subject = Pick<Incident, 'site' | 'box' | 'rule'>;

/** Subject of the open dialog. */
export const suppressing = signal<Subject | undefined>(undefined);

/** Alerts of priority 1 are never suppressed; the server refuses it as well. */
export function isSuppressible({ severity, priority, state }: Incident): boolean {
  return may('suppress') && severity === 'alert' && priority > 1 && state !== 'closed';
}

export function subjectName({ site, box, rule }: Pick<Suppression, 'site' | 'box' | 'rule'>): string {
  return `${site}/${box} · ${rule === null ? words.value.suppression.wholeCamera : plain(rule)}`;
}

/** Suppresses a rule, or with `rule` null the whole camera. Returns true if it was done. */
export async function suppress(
  { site, box }: Subject,
  rule: string | null,
  reason: string,
): Promise<boolean> {
  try {
    const body = { site, box, reason, ...(rule !== null && { rule }) };
    const { undo } = await post<ActedSuppression>('/api/suppressions', body);
    offerUndo(words.value.suppression.done(subjectName({ site, box, rule })), [undo], []);
    return true;
  } catch (error) {
    tell('bad', explain(error));
    return false;
  }
}

export async function unsuppress(suppression: Suppression): Promise<void> {
  try {
    const { undo } = await post<ActedSuppression>(`/api/suppressions/${suppression.no}/end`, {});
    offerUndo(words.value.suppression.ended(subjectName(suppression)), [undo], []);
  } catch (error) {
    tell('bad', explain(error));
  }
}
