/**
 * Short messages about actions that were done or refused. A message about an action that can be undone stays until its
 * time is over.
 *
 * LIMITS: TOASTS_MAX messages; the oldest is dropped first.
 */
import { signal } from '@preact/signals';
import { nowMs } from './session.ts';

const TOASTS_MAX = 4;
/** Display times in ms. Success messages are read faster; an error stays until it is dismissed or its time ends. */
const GOOD_MS = 5000;
const BAD_MS = 30_000;

export interface Toast {
  readonly id: number;
  readonly tone: 'good' | 'bad';
  readonly text: string;
  /** End of the time to undo, by the room's clock. Undefined: there is nothing to undo. */
  readonly undoUntilMs: number | undefined;
}

export const toasts = signal<readonly Toast[]>([]);
let last = 0;

/** Shows a message and returns its number. */
export function tell(tone: Toast['tone'], text: string, undoUntilMs?: number): number {
  last += 1;
  const toast = { id: last, tone, text, undoUntilMs };
  toasts.value = [...toasts.value, toast].slice(-TOASTS_MAX);
  const shownMs = tone === 'bad' ? BAD_MS : undoUntilMs === undefined ? GOOD_MS : undoUntilMs - nowMs();
  setTimeout(() => dismiss(toast.id), shownMs);
  return toast.id;
}

export function dismiss(id: number): void {
  toasts.value = toasts.value.filter((toast) => toast.id !== id);
}
