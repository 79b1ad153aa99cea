/**
 * Short messages about actions that were done or refused. They offer no undo, because a sent action cannot be revoked.
 *
 * LIMITS: TOASTS_MAX messages; the oldest is dropped first.
 */
import { signal } from '@preact/signals';

const TOASTS_MAX = 4;
/** Display times in ms. Success messages are read faster; an error stays until it is dismissed or its time ends. */
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
  toasts.value = [...toasts.value, toast].slice(-TOASTS_MAX);
  setTimeout(() => dismiss(toast.id), tone === 'good' ? GOOD_MS : BAD_MS);
}

export function dismiss(id: number): void {
  toasts.value = toasts.value.filter((toast) => toast.id !== id);
}
