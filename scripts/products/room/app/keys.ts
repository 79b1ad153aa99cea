/**
 * Handles the keyboard. The topmost screen defines the keys; fields, dialogs and the browser keep theirs. Single-key
 * shortcuts can be switched off for users of speech input (WCAG 2.1.4).
 */
import { signal } from '@preact/signals';
import { useLayoutEffect, useRef } from 'preact/hooks';
import { go, letterOf, placesOf } from './router.ts';
import { session } from './session.ts';

type Keys = Readonly<Record<string, () => void>>;

const OFF = 'single-keys-off';
/** Maximum time between g and the letter, in ms. */
const SECOND_MS = 1500;
/** Keys that always work, because they are not letters. */
const ALWAYS = new Set([
  'Enter',
  'Escape',
  'ArrowDown',
  'ArrowUp',
  'ArrowLeft',
  'ArrowRight',
  'Shift+ArrowDown',
  'Shift+ArrowUp',
  'PageDown',
  'PageUp',
  'Home',
  'End',
]);

export const singleKeys = signal(localStorage.getItem(OFF) === null);
export const isHelpOpen = signal(false);

const screens: { readonly current: Keys }[] = [];
let goesUntilMs = 0;

export function setSingleKeys(on: boolean): void {
  singleKeys.value = on;
  if (on) localStorage.removeItem(OFF);
  else localStorage.setItem(OFF, '1');
}

/** Registers keys while the component is rendered. The component rendered last has priority. */
export function useKeys(keys: Keys): void {
  const ownKeys = useRef(keys);
  ownKeys.current = keys;
  useLayoutEffect(() => {
    screens.push(ownKeys);
    return () => {
      screens.splice(screens.indexOf(ownKeys), 1);
    };
  }, []);
}

export function startKeys(): void {
  addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || isTaken(event)) return;
    // Letters carry the shift in their case.
    const isShifted = event.shiftKey && event.key.startsWith('Arrow');
    const action = pressed(isShifted ? `Shift+${event.key}` : event.key);
    if (action === undefined) return;
    event.preventDefault();
    action();
  });
}

function pressed(key: string): (() => void) | undefined {
  if (!singleKeys.value && !ALWAYS.has(key)) return undefined;
  const goes = performance.now() < goesUntilMs;
  goesUntilMs = 0;
  if (goes) return went(key);
  if (key === 'g') {
    return () => {
      goesUntilMs = performance.now() + SECOND_MS;
    };
  }
  if (key === '?') {
    return () => {
      isHelpOpen.value = true;
    };
  }
  return screens.findLast(({ current }) => Object.hasOwn(current, key))?.current[key];
}

function went(letter: string): (() => void) | undefined {
  if (session.value === undefined) return undefined;
  const place = placesOf(session.value).find((one) => letterOf(one) === letter);
  return place === undefined ? undefined : () => go(`/${place}`);
}

/** True if a text field, a button, a link or a dialog uses the key itself. */
function isTaken({ key, target }: KeyboardEvent): boolean {
  if (document.querySelector('dialog[open]') !== null) return true;
  if (!(target instanceof HTMLElement)) return false;
  if (target.closest('input:not([type=checkbox]), textarea, select') !== null) return key !== 'Escape';
  if (key === ' ') return target.closest('button, summary, input') !== null;
  return key === 'Enter' && target.closest('button, a, summary') !== null;
}
