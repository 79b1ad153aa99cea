/** Formats times, ratios, kinds and foreign text for the views. */
import { zoneName } from '../../../../../agent/contract/zone-name.ts';
import { language } from '../../../../../agent/kit/words.ts';
import { nowMs, session } from '../session.ts';
import { plain } from '../words/plain.ts';
import { lasting as durationText, kindText as kindIn } from '../words/sentence.ts';
import { viewWords } from '../words/views.ts';
import { words } from '../words/words.ts';

export { plain } from '../words/plain.ts';

const DAY_MS = 24 * 3600_000;

/** Number of verdicts below which the 95 % interval spans more than 40 points (Wilson, at a ratio of one half). */
export const FEW_VERDICTS = 20;

const formats = new Map<string, Intl.DateTimeFormat>();

function format(style: 'minute' | 'second' | 'day'): Intl.DateTimeFormat {
  // British format: the day precedes the month, as in the rest of Europe.
  const locale = language.value === 'en' ? 'en-GB' : 'fr';
  const timeZone = session.value?.timeZone ?? 'UTC';
  const key = `${style} ${locale} ${timeZone}`;
  let formatter = formats.get(key);
  if (formatter === undefined) {
    formatter = new Intl.DateTimeFormat(locale, {
      timeZone,
      ...(style === 'second' ? { dateStyle: 'short', timeStyle: 'medium' } : { dateStyle: 'medium' }),
      ...(style === 'minute' && { timeStyle: 'short' }),
    });
    formats.set(key, formatter);
  }
  return formatter;
}

/**
 * Formats a time in the room's time zone, whose name is shown with a time of day. Invalid times are returned as
 * received.
 */
export function timeText(iso: string, style: 'minute' | 'second' | 'day' = 'minute'): string {
  const ms = Date.parse(iso);
  if (Number.isNaN(ms)) return plain(iso);
  const text = format(style).format(ms);
  return style === 'day' ? text : `${text} ${zoneName(ms, session.value?.timeZone ?? 'UTC')}`;
}

/** Formats a duration: 45 → 45 s, 600 → 10 min, 27000 → 7 h 30 min. From two days on it counts days. */
export function lasting(seconds: number): string {
  return durationText(seconds, words.value);
}

export function ago(iso: string): string {
  return viewWords.value.ago(lasting((nowMs() - Date.parse(iso)) / 1000));
}

/** Returns the whole days until a time; negative if it has passed. */
export function daysUntil(iso: string): number {
  return Math.floor((Date.parse(iso) - nowMs()) / DAY_MS);
}

export function remainingText(iso: string): string {
  const days = daysUntil(iso);
  const { over, hoursLeft, cameras } = viewWords.value;
  if (days < 0) return over;
  return days === 0 ? hoursLeft : cameras.daysLeft(viewWords.value.days(days));
}

export function count(value: number): string {
  return new Intl.NumberFormat(language.value).format(value);
}

export function ratioText(value: number): string {
  return new Intl.NumberFormat(language.value, { style: 'percent' }).format(value);
}

export function kindText(kind: string): string {
  return kindIn(kind, words.value);
}

/** Describes a condition reported by the box or observed by the room. */
export function reasonText(reason: string): string {
  const { reasons } = viewWords.value;
  return Object.hasOwn(reasons, reason) ? (reasons[reason] ?? '') : kindText(reason);
}

/** Shortens a place: zone/lawn → lawn. The rule tells what it is. */
export function placeText(place: string): string {
  return plain(place.replace(/^(zone|line)\//, ''));
}
