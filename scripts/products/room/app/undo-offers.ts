/** Actions of this person that the server can still take back. */
import { computed, signal } from '@preact/signals';
import { UNDO_S } from '../contract/terms.ts';
import type { Undo } from '../contract/undo.ts';
import { nowMs } from './session.ts';
import { dismiss, tell } from './toasts.ts';

export interface Undoable {
  /** Number of its message. */
  readonly toast: number;
  readonly text: string;
  /** Numbers of the actions in the audit log. */
  readonly acts: readonly number[];
  /** Incidents that it changed. */
  readonly nos: readonly number[];
}

const undoables = signal<readonly Undoable[]>([]);
/** Message of the action that `z` takes back. */
export const newestToast = computed(() => undoables.value.at(-1)?.toast);
let pending: Promise<unknown> = Promise.resolve();

/** Registers an action that is on its way, so that `z` waits for it. */
export function trackAction(action: Promise<unknown>): void {
  pending = Promise.allSettled([pending, action]);
}

/** Reports a finished action with its undo, unless it changed nothing. */
export function offerUndo(text: string, offers: readonly Undo[], nos: readonly number[]): void {
  const acts = offers.flatMap((offer) => offer.acts);
  if (acts.length === 0) {
    tell('good', text);
    return;
  }
  // The room's clock is known here only to within the delay of an answer.
  const ends = offers.flatMap((offer) => (offer.acts.length === 0 ? [] : [Date.parse(offer.until)]));
  const untilMs = Math.min(nowMs() + UNDO_S * 1000, ...ends);
  const toast = tell('good', text, untilMs);
  undoables.value = [...undoables.value, { toast, text, acts, nos }];
  setTimeout(() => forget(toast), untilMs - nowMs());
}

/** Takes the action of a message out of the list, by default the newest one, whose answer may be on its way. */
export async function takeUndoable(toast?: number): Promise<Undoable | undefined> {
  if (toast === undefined) await pending;
  const undoable = undoables.value.findLast((one) => toast === undefined || one.toast === toast);
  if (undoable === undefined) return undefined;
  forget(undoable.toast);
  dismiss(undoable.toast);
  return undoable;
}

function forget(toast: number): void {
  undoables.value = undoables.value.filter((one) => one.toast !== toast);
}
