/** Formats times for a person. */
import type { Language } from './language.ts';

/** Formats minutes and seconds: 75 → 1:15. */
export function minutesAndSeconds(seconds: number): string {
  const roundedSeconds = Math.max(0, Math.ceil(seconds));
  return `${Math.floor(roundedSeconds / 60)}:${String(roundedSeconds % 60).padStart(2, '0')}`;
}

/** Formats hours and minutes: 27000 → 7 h 30. */
export function hoursAndMinutes(seconds: number): string {
  const minutes = Math.max(0, Math.floor(seconds / 60));
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')}`;
}

/** Formats a moment in words, in the time zone of the site and not of the phone. */
export function moment(instant: string | number, language: Language, timeZone: string | undefined): string {
  // British: the day comes before the month, as in the rest of Europe.
  const locale = language === 'en' ? 'en-GB' : language;
  return new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'short', timeZone }).format(
    new Date(instant),
  );
}
