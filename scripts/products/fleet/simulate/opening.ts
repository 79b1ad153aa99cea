/** Computes when a window opens next, once for all boxes that ask at the same time. */
import { scheduleOf } from '../../../../agent/contract/schedule.ts';
import type { Window } from '../../../../agent/contract/update.ts';

/** Resolution of windows, ms. */
const WINDOW_MS = 300_000;

const openings = new Map<string, number>();

/** Returns the opening time, to five minutes. */
export function opening(window: Window, nowMs: number): number {
  const place = `${JSON.stringify(window)} ${Math.floor(nowMs / WINDOW_MS)}`;
  const cached = openings.get(place);
  if (cached !== undefined) return Math.max(cached, nowMs);
  const schedule = scheduleOf(window);
  let atMs = nowMs;
  while (!schedule.isOn(atMs)) atMs = (Math.floor(atMs / WINDOW_MS) + 1) * WINDOW_MS;
  openings.set(place, atMs);
  return atMs;
}
