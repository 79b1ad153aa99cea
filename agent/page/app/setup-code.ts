/**
 * Setup code on this phone until it is paired.
 *
 * INVARIANTS:
 * - The code stays in neither the address bar nor the history.
 * - It survives a reload in the storage of this tab only, for KEPT_MS at most, and is removed once it was used or
 *   refused.
 */
import { signal } from '@preact/signals';

const KEY = 'setup-code';
/** Time from the label to the pairing, with a walk to the ladder. */
const KEPT_MS = 15 * 60_000;
const ATTEMPT_BYTES = 16;

interface StoredCode {
  readonly code: string;
  readonly attempt: string;
  readonly untilMs: number;
}

export const setupCode = signal('');
/** Random name of the attempt, by which the box recognises the phone if its answer was lost. */
let attempt = newAttempt();

/** Takes the code from the label's QR link, after the #, or from before a reload. */
export function takeCode(): void {
  const stored = read();
  if (stored !== undefined) {
    setupCode.value = stored.code;
    attempt = stored.attempt;
  }
  if (location.hash === '') return;
  const code = decodeURIComponent(location.hash.slice(1));
  window.history.replaceState(null, '', location.pathname);
  if (code === stored?.code) return;
  attempt = newAttempt();
  setupCode.value = code;
  storeCode();
}

/** Stores the code for a reload; returns the body of the request that pairs the phone with it. */
export function storeCode(): { readonly code: string; readonly attempt: string } {
  const code = setupCode.value;
  sessionStorage.setItem(KEY, JSON.stringify({ code, attempt, untilMs: Date.now() + KEPT_MS }));
  return { code, attempt };
}

/** Removes the stored code. The field keeps a refused one, which the user may correct. */
export function forgetCode(): void {
  sessionStorage.removeItem(KEY);
  attempt = newAttempt();
}

function read(): StoredCode | undefined {
  const text = sessionStorage.getItem(KEY);
  const stored = text === null ? undefined : (JSON.parse(text) as StoredCode);
  if (stored !== undefined && Date.now() < stored.untilMs) return stored;
  sessionStorage.removeItem(KEY);
  return undefined;
}

function newAttempt(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(ATTEMPT_BYTES));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}
