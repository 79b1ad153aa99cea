/** Reminders of upcoming expiries: thirty days, seven days and one day before. */
import type { Reminder } from './system-conditions.ts';

const DAY_MS = 86_400_000;
/** A month to ask an authority, a week to send a technician, a day to telephone. */
const DAYS_BEFORE = [30, 7, 1] as const;

export interface Ending {
  readonly what: 'certificate' | 'ca' | 'order';
  /** Wall time in ms. Null if nothing can expire. Undefined if unreadable; no reminder is then sent. */
  readonly endMs: number | null | undefined;
}

/** Returns the reminders. Requires a trusted wall clock: with an unset one, reminders would be false or missing. */
export function remindersOf(endings: readonly Ending[], wallMs: number): Reminder[] {
  return endings.flatMap(({ what: subject, endMs }) =>
    endMs === undefined ? [] : DAYS_BEFORE.map((days) => reminder(subject, days, endMs, wallMs)),
  );
}

function reminder(
  subject: Ending['what'],
  daysBefore: number,
  endMs: number | null,
  wallMs: number,
): Reminder {
  const kind = subject === 'order' ? 'authorisation-expiring' : 'certificate-expiring';
  const id = `${subject}-${daysBefore}`;
  if (endMs === null) return { kind, id, params: {}, active: false, cause: {} };
  const notAfter = new Date(endMs).toISOString();
  const leftMs = endMs - wallMs;
  const daysLeft = Math.max(0, Math.floor(leftMs / DAY_MS));
  const active = leftMs <= daysBefore * DAY_MS;
  return { kind, id, params: { daysBefore, notAfter }, active, cause: { what: subject, notAfter, daysLeft } };
}
