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
  const chosen = sessionStorage.getItem(KEY);
  if (chosen === 'fr' || chosen === 'en') return chosen;
  return navigator.language.toLowerCase().startsWith('fr') ? 'fr' : 'en';
}
