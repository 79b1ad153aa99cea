/** Language of a page: French for French browsers, English for all others, until the user selects another. */
import { effect, signal } from '@preact/signals';
import type { Language } from './language.ts';

const KEY = 'language';

export const language = signal<Language>(firstLanguage());

effect(() => {
  document.documentElement.lang = language.value;
});

export function setLanguage(to: Language): void {
  language.value = to;
  sessionStorage.setItem(KEY, to);
}

function firstLanguage(): Language {
  const storedLanguage = sessionStorage.getItem(KEY);
  if (storedLanguage === 'fr' || storedLanguage === 'en') return storedLanguage;
  return navigator.language.toLowerCase().startsWith('fr') ? 'fr' : 'en';
}
