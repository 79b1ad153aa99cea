/**
 * Remembers which pictures this person has seen in this tab. The server has the binding record, and refuses a verdict
 * without it.
 *
 * LIMITS: SEEN_MAX pictures; the oldest are forgotten first, and then need another look.
 */
import { signal } from '@preact/signals';
import type { Incident } from '../../contract/incident.ts';

/** Number of pictures, far more than one person opens in a shift. */
const SEEN_MAX = 5000;

/** Seen pictures by incident and name. */
const seenPictures = signal<ReadonlySet<string>>(new Set());

const keyOf = (no: number, picture: string): string => `${no} ${picture}`;

/** Records a picture that is drawn on the screen. */
export function noteSeen(no: number, picture: string): void {
  const key = keyOf(no, picture);
  if (seenPictures.value.has(key)) return;
  seenPictures.value = new Set([...[...seenPictures.value].slice(1 - SEEN_MAX), key]);
}

/** Forgets views that the server does not have. */
export function forgetSeen({ no, still }: Pick<Incident, 'no' | 'still'>): void {
  const pictures = new Set(seenPictures.value);
  if (still !== null && pictures.delete(keyOf(no, still))) seenPictures.value = pictures;
}

/** True if the person has seen the present picture, or if there is none. */
export function isSeen({ no, still }: Pick<Incident, 'no' | 'still'>): boolean {
  return still === null || seenPictures.value.has(keyOf(no, still));
}
