/**
 * Shows desktop notifications: kind and place of an incident, no picture and no name.
 *
 * LIMITS: NOTICES_MAX at a time; the oldest is closed first.
 */
import type { Incident } from '../../contract/incident.ts';
import { go } from '../router.ts';
import { alarmWords } from '../words/alarm.ts';
import { kindText, placeText } from '../words/sentence.ts';
import { words } from '../words/words.ts';

/** Number of notifications that a desktop shows side by side. */
const NOTICES_MAX = 3;

const noticesByNo = new Map<number, Notification>();
let deafNotice: Notification | undefined;

export function hasNotices(): boolean {
  return 'Notification' in window && Notification.permission === 'granted';
}

/** Asks for the permission, which a browser grants only after a click. True if they are shown. */
export async function askForNotices(): Promise<boolean> {
  if ('Notification' in window && Notification.permission === 'default')
    await Notification.requestPermission();
  return hasNotices();
}

export function showNotice(incident: Incident): void {
  const { no, kind, site, box, place } = incident;
  const body = `${site}/${box}, ${placeText(place, words.value)}`;
  const notice = noticeOf(kindText(kind, words.value), body, `vigie-${no}`);
  if (notice === undefined) return;
  notice.onclick = () => {
    window.focus();
    go(`/incidents/${no}`);
    notice.close();
  };
  notice.onclose = () => {
    if (noticesByNo.get(no) === notice) noticesByNo.delete(no);
  };
  noticesByNo.set(no, notice);
  const [oldest] = noticesByNo.keys();
  if (noticesByNo.size > NOTICES_MAX && oldest !== undefined) closeNotice(oldest);
}

/** Says that no alerts reach this screen, until they do. */
export function showDeafness(isDeaf: boolean): void {
  const { deafTitle, deaf } = alarmWords.value;
  deafNotice?.close();
  deafNotice = isDeaf ? noticeOf(deafTitle, deaf, 'vigie-deaf') : undefined;
}

/** Closes the notifications of all incidents that no longer wait. */
export function closeNotices(isWaiting: (no: number) => boolean): void {
  for (const no of [...noticesByNo.keys()]) if (!isWaiting(no)) closeNotice(no);
}

export function closeNotice(no: number): void {
  noticesByNo.get(no)?.close();
  noticesByNo.delete(no);
}

/** The tones are the only sound. Phones have the class but refuse it outside of a service worker. */
function noticeOf(title: string, body: string, tag: string): Notification | undefined {
  if (!hasNotices()) return undefined;
  try {
    return new Notification(title, { body, tag, silent: true, requireInteraction: true });
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}
