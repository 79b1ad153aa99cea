/** Texts of the console, in the chosen language. */
import { computed } from '@preact/signals';
import { zoneName } from '../../../../../agent/contract/zone-name.ts';
import type { Language } from '../../../../../agent/kit/language.ts';
import { language } from '../../../../../agent/kit/words.ts';
import { session } from '../session.ts';
import { EN, type Words } from './en.ts';
import { FR } from './fr.ts';

const TABLES: Record<Language, Words> = { en: EN, fr: FR };

export const words = computed(() => TABLES[language.value]);

export function percent(ratio: number): string {
  return new Intl.NumberFormat(language.value, { style: 'percent', maximumFractionDigits: 0 }).format(ratio);
}

/**
 * Formats a time with seconds and the name of the time zone: the site's if known, else the room's, never the browser's.
 * The day is shown unless it is today. Invalid times are returned as received.
 */
export function siteTimeText(iso: string, ofSite: string | null): string {
  const text = siteClockText(iso, ofSite);
  const ms = Date.parse(iso);
  return Number.isNaN(ms) ? text : `${text} ${zoneName(ms, ofSite ?? session.value?.timeZone)}`;
}

/** Formats a time as `siteTimeText`, without the zone, for use beside one that has it. */
export function siteClockText(iso: string, ofSite: string | null): string {
  const timeZone = ofSite ?? session.value?.timeZone;
  const locale = language.value === 'en' ? 'en-GB' : 'fr';
  const date = new Date(iso);
  if (Number.isNaN(date.getTime())) return iso;
  const day = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeZone });
  const clock = new Intl.DateTimeFormat(locale, { timeStyle: 'medium', timeZone }).format(date);
  return day.format(date) === day.format(new Date()) ? clock : `${day.format(date)}, ${clock}`;
}
