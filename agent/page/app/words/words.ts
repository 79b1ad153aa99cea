/** Texts of the page in the selected language. */
import { computed } from '@preact/signals';
import { zoneName } from '../../../contract/zone-name.ts';
import type { Language } from '../../../kit/language.ts';
import { moment } from '../../../kit/time.ts';
import { language } from '../../../kit/words.ts';
import { EN, type Words } from './en.ts';
import { FR } from './fr.ts';

const TABLES: Record<Language, Words> = { en: EN, fr: FR };

export const words = computed(() => TABLES[language.value]);

/** Returns a moment at the site, with its time zone in the form of stills and reports. */
export function siteMoment(iso: string, timeZone: string): string {
  return `${moment(iso, language.value, timeZone)} ${zoneName(Date.parse(iso), timeZone)}`;
}

/** Formats a number with at most `digits` digits after the point. */
export function number(value: number, digits = 0): string {
  return new Intl.NumberFormat(language.value, { maximumFractionDigits: digits }).format(value);
}
