/** What the page says, in the language that is chosen. */
import { computed } from '@preact/signals';
import type { Language } from '../../../kit/language.ts';
import { language } from '../../../kit/words.ts';
import { EN, type Words } from './en.ts';
import { FR } from './fr.ts';

const TABLES: Record<Language, Words> = { en: EN, fr: FR };

export const words = computed(() => TABLES[language.value]);

/** A number with at most so many digits after the point. */
export function number(value: number, digits = 0): string {
  return new Intl.NumberFormat(language.value, { maximumFractionDigits: digits }).format(value);
}
