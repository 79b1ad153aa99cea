/**
 * Switches between light and dark: follows the system until a person chooses. The same screens are used by day and at
 * night.
 */
import { effect, signal } from '@preact/signals';

const THEMES = ['system', 'light', 'dark'] as const;
type Theme = (typeof THEMES)[number];
const KEY = 'theme';

const system = matchMedia('(prefers-color-scheme: dark)');
const systemDark = signal(system.matches);
export const theme = signal<Theme>(THEMES.find((one) => one === localStorage.getItem(KEY)) ?? 'system');

export function startTheme(): void {
  system.addEventListener('change', () => {
    systemDark.value = system.matches;
  });
  effect(() => {
    const dark = theme.value === 'system' ? systemDark.value : theme.value === 'dark';
    document.documentElement.dataset['theme'] = dark ? 'dark' : 'light';
  });
}

export function nextTheme(): void {
  theme.value = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length] ?? 'system';
  localStorage.setItem(KEY, theme.value);
}
