/**
 * Short lines about what was done or refused. There is no undo in them: what was sent cannot be taken back.
 *
 * LIMITS: HELD_MAX lines; the oldest goes first.
 */
import { signal } from '@preact/signals';

const HELD_MAX = 4;
/** A line of good news is read in less; a bad one stays until it is put away, or this long. */
const GOOD_MS = 5000;
const BAD_MS = 30_000;

export interface Toast {
  readonly id: number;
  readonly tone: 'good' | 'bad';
  readonly text: string;
}

export const toasts = signal<readonly Toast[]>([]);
let last = 0;

export function tell(tone: Toast['tone'], text: string): void {
  last += 1;
  const toast = { id: last, tone, text };
  toasts.value = [...toasts.value, toast].slice(-HELD_MAX);
  setTimeout(() => dismiss(toast.id), tone === 'good' ? GOOD_MS : BAD_MS);
}

export function dismiss(id: number): void {
  toasts.value = toasts.value.filter((toast) => toast.id !== id);
}
