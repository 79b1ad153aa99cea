/** Patrols that the city lists, and the reports of their answers. */
import { signal } from '@preact/signals';
import type { Incident } from '../contract/incident.ts';
import type { Patrols } from '../contract/patrol.ts';
import { NEXT_ANSWERS, type PatrolAnswer } from '../contract/terms.ts';
import { dispatch, explain } from './acts.ts';
import { get } from './api.ts';
import { tell } from './toasts.ts';

export type Patrol = Patrols['patrols'][number];

/** Undefined until loaded. */
const loadedPatrols = signal<readonly Patrol[] | undefined>(undefined);
/** Incident of the open chooser. */
export const dispatching = signal<Incident | undefined>(undefined);

/** Loads the list, with the number of open incidents of each. */
export async function loadPatrols(): Promise<void> {
  try {
    loadedPatrols.value = (await get<Patrols>('/api/patrols')).patrols;
  } catch (error) {
    tell('bad', explain(error));
  }
}

/** Returns the patrols, those of the site first. */
export function patrolsOf(site: string): Patrol[] {
  const all = loadedPatrols.value ?? [];
  const serves = ({ sites }: Patrol): boolean => sites.length === 0 || sites.includes(site);
  return [...all.filter(serves), ...all.filter((patrol) => !serves(patrol))];
}

/** Opens the chooser. In a room without a list, it dispatches at once, because that can be undone. */
export async function openDispatch(incident: Incident): Promise<void> {
  if (loadedPatrols.value === undefined) await loadPatrols();
  if (loadedPatrols.value?.length === 0) {
    void dispatch(incident, undefined);
    return;
  }
  dispatching.value = incident;
  void loadPatrols();
}

/** Returns the answers that can be reported now. */
export function answersOf({ state, patrol, patrolAnswer }: Incident): readonly PatrolAnswer[] {
  return state === 'dispatched' && patrol !== null ? NEXT_ANSWERS[patrolAnswer ?? 'sent'] : [];
}

/** True after a patrol has declined. */
export function needsOther({ state, patrolAnswer }: Incident): boolean {
  return state === 'dispatched' && patrolAnswer === 'declined';
}
