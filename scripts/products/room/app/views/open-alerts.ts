/** Open alerts by camera, for the maps. */
import { computed } from '@preact/signals';
import type { Incident } from '../../contract/incident.ts';
import { loadedIncidents } from '../queue/store.ts';
import { keyOf } from './fleet.ts';

/** Most urgent alert of each camera (`site/box`), and the number of its alerts. */
export type OpenAt = ReadonlyMap<string, { readonly first: Incident; readonly alertCount: number }>;

/** Open alerts: the most urgent first, then the oldest. */
export const openAlerts = computed(() =>
  [...loadedIncidents.value]
    .filter(({ severity, state }) => severity === 'alert' && state !== 'closed')
    .sort((a, b) => a.priority - b.priority || (a.received < b.received ? -1 : 1)),
);

export const openAt = computed<OpenAt>(() => {
  const alertsByKey = new Map<string, { first: Incident; alertCount: number }>();
  for (const incident of openAlerts.value) {
    const key = keyOf(incident);
    const before = alertsByKey.get(key);
    alertsByKey.set(key, { first: before?.first ?? incident, alertCount: (before?.alertCount ?? 0) + 1 });
  }
  return alertsByKey;
});
