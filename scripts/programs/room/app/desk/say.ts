/** How these screens say times, shares, kinds, and text that others wrote. */
import { zoneName } from '../../../../../agent/contract/zone-name.ts';
import { language } from '../../../../../agent/kit/words.ts';
import { nowMs, session } from '../session.ts';
import { desk } from '../words/desk.ts';
import { plain } from '../words/plain.ts';
import { lasting as durationText, kindText as kindIn } from '../words/sentence.ts';
import { words } from '../words/words.ts';

export { plain } from '../words/plain.ts';

const DAY_MS = 24 * 3600_000;

/** Below this many verdicts the 95 % interval spans more than 40 points (Wilson, at a share of one half). */
export const FEW_VERDICTS = 20;

const formats = new Map<string, Intl.DateTimeFormat>();

function format(style: 'minute' | 'second' | 'day'): Intl.DateTimeFormat {
  // British: the day comes before the month, as in the rest of Europe.
  const locale = language.value === 'en' ? 'en-GB' : 'fr';
  const timeZone = session.value?.timeZone ?? 'UTC';
  const key = `${style} ${locale} ${timeZone}`;
  let made = formats.get(key);
  if (made === undefined) {
    made = new Intl.DateTimeFormat(locale, {
      timeZone,
      ...(style === 'second' ? { dateStyle: 'short', timeStyle: 'medium' } : { dateStyle: 'medium' }),
      ...(style === 'minute' && { timeStyle: 'short' }),
    });
    formats.set(key, made);
  }
  return made;
}

/** In the room's time zone, which it names beside a time of day; what is no time is told as it came. */
export function when(iso: string, style: 'minute' | 'second' | 'day' = 'minute'): string {
  const ms = Date.parse(iso);
  if (Number.isNaN(ms)) return plain(iso);
  const text = format(style).format(ms);
  return style === 'day' ? text : `${text} ${zoneName(ms, session.value?.timeZone ?? 'UTC')}`;
}

/** 45 → 45 s, 600 → 10 min, 27000 → 7 h 30 min, and days from two of them on. */
export function lasting(seconds: number): string {
  return durationText(seconds, words.value);
}

export function ago(iso: string): string {
  return desk.value.ago(lasting((nowMs() - Date.parse(iso)) / 1000));
}

/** Whole days until then; negative when it is over. */
export function daysUntil(iso: string): number {
  return Math.floor((Date.parse(iso) - nowMs()) / DAY_MS);
}

export function left(iso: string): string {
  const days = daysUntil(iso);
  const { over, hoursLeft, cameras } = desk.value;
  if (days < 0) return over;
  return days === 0 ? hoursLeft : cameras.left(desk.value.days(days));
}

export function count(value: number): string {
  return new Intl.NumberFormat(language.value).format(value);
}

export function share(value: number): string {
  return new Intl.NumberFormat(language.value, { style: 'percent' }).format(value);
}

export function kindText(kind: string): string {
  return kindIn(kind, words.value);
}

/** A kind of what stands at the box, or what the room itself sees of it. */
export function reasonText(reason: string): string {
  const { reasons } = desk.value;
  return Object.hasOwn(reasons, reason) ? (reasons[reason] ?? '') : kindText(reason);
}

/** zone/lawn → lawn; the screens say what it is by the rule. */
export function placeText(place: string): string {
  return plain(place.replace(/^(zone|line)\//, ''));
}
