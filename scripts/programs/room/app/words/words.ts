/** What the console says, in the language that is chosen. */
import { computed } from '@preact/signals';
import type { Language } from '../../../../../agent/kit/language.ts';
import { language } from '../../../../../agent/kit/words.ts';
import { session } from '../session.ts';
import { EN, type Words } from './en.ts';
import { FR } from './fr.ts';

const TABLES: Record<Language, Words> = { en: EN, fr: FR };

export const words = computed(() => TABLES[language.value]);

export function percent(share: number): string {
  return new Intl.NumberFormat(language.value, { style: 'percent', maximumFractionDigits: 0 }).format(share);
}

/** With seconds, in the room's time zone and not the browser's; the day only where it is another than today. What is no time is told as it came. */
export function when(iso: string): string {
  const { timeZone } = session.value ?? {};
  const locale = language.value === 'en' ? 'en-GB' : 'fr';
  const date = new Date(iso);
  if (Number.isNaN(date.getTime())) return iso;
  const day = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeZone });
  const time = new Intl.DateTimeFormat(locale, { timeStyle: 'medium', timeZone }).format(date);
  return day.format(date) === day.format(new Date()) ? time : `${day.format(date)}, ${time}`;
}
