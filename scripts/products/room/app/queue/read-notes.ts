/**
 * Remembers up to which note this person has read each incident in this tab: when it was opened, or when the notes were
 * shown before a verdict.
 *
 * LIMITS: READ_MAX incidents; the oldest are forgotten first, and then their notes are shown again.
 */
import type { Incident } from '../../contract/incident.ts';

/** Number of incidents, far more than one person opens in a shift. */
const READ_MAX = 5000;

type Noted = Pick<Incident, 'no' | 'lastNote'>;

/** Last read note of each incident. */
const readNotes = new Map<number, number>();

export function noteRead({ no, lastNote }: Noted): void {
  readNotes.delete(no);
  readNotes.set(no, lastNote ?? 0);
  const [oldest] = readNotes.keys();
  if (readNotes.size > READ_MAX && oldest !== undefined) readNotes.delete(oldest);
}

/** Returns the number of the last note that this person has read, 0 if there is none. */
export function lastReadOf({ no }: Noted): number {
  return readNotes.get(no) ?? 0;
}

export function isRead(incident: Noted): boolean {
  return (incident.lastNote ?? 0) <= lastReadOf(incident);
}
