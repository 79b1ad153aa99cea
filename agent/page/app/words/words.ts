/** What the page says, in the language that is chosen. */
import { computed } from '@preact/signals';
import { zoneName } from '../../../contract/zone-name.ts';
import type { Language } from '../../../kit/language.ts';
import { moment } from '../../../kit/time.ts';
import { language } from '../../../kit/words.ts';
import { EN, type Words } from './en.ts';
import { FR } from './fr.ts';

const TABLES: Record<Language, Words> = { en: EN, fr: FR };

export const words = computed(() => TABLES[language.value]);

/** A moment at the site, with its time zone as stills and reports name it. */
export function siteMoment(iso: string, timeZone: string | undefined): string {
  return `${moment(iso, language.value, timeZone)} ${zoneName(Date.parse(iso), timeZone)}`;
}

/** A number with at most so many digits after the point. */
export function number(value: number, digits = 0): string {
  return new Intl.NumberFormat(language.value, { maximumFractionDigits: digits }).format(value);
}
