/** Opens the incident that follows a verdict, and keeps to a storm whose line is already gone. */
import type { Incident } from '../../contract/incident.ts';
import { go, openNo } from '../router.ts';
import { session } from '../session.ts';
import { nextUnjudged, stormOf } from './next.ts';
import { chosenKey, lines, reveal } from './store.ts';

/**
 * Incidents of the storm that this person works on. A storm of four loses its line after the first claim or verdict,
 * but its incidents are still the next ones.
 */
let stormNos: readonly number[] = [];

/** Remembers the storm of an incident before an action removes it from there. */
export function noteStorm(no: number): void {
  const storm = stormOf(lines.value, no);
  if (storm !== undefined) stormNos = storm.members.map((member) => member.no);
  else if (!stormNos.includes(no)) stormNos = [];
}

/** Opens or selects the next incident, if the judged one is still the open or selected one. */
export function openNext(incident: Pick<Incident, 'no' | 'claimedBy'>): void {
  const { no, claimedBy } = incident;
  const isOpen = openNo.value === no;
  if (!isOpen && (openNo.value !== undefined || chosenKey.value !== String(no))) return;
  const me = session.value?.user ?? '';
  const next = nextUnjudged(lines.value, { no, storm: stormNos, isOwn: claimedBy === me }, me);
  if (next === undefined) return;
  reveal(next);
  if (isOpen) go(`/incidents/${next}`, { replaces: true });
}
