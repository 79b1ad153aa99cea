/** Computes when a wave has waited too long for boxes that change only in a window. */
import { scheduleOf } from '../../../../agent/contract/schedule.ts';
import type { Window } from '../../../../agent/contract/update.ts';

const DAY_MS = 86_400_000;
/**
 * Step of the search, ms. Windows begin and end at minutes; a shorter window may be missed, and its day is not counted.
 */
const STEP_MS = 900_000;
/** Maximum search beyond the bound, ms. A window opens within a week; public holidays are not considered. */
const GAPS_MAX_MS = 14 * DAY_MS;

/**
 * Returns when `boundMs` have passed since `fromMs`, without days that have no window. A quarter of an hour counts if
 * the window was open within the 24 hours before it.
 */
export function stalledAt(window: Window | null, fromMs: number, boundMs: number): number {
  if (window === null) return fromMs + boundMs;
  const schedule = scheduleOf(window);
  let [openMs, leftMs, atMs] = [Number.NEGATIVE_INFINITY, boundMs, fromMs];
  const untilMs = fromMs + boundMs + GAPS_MAX_MS;
  for (; leftMs > 0 && atMs < untilMs; atMs += STEP_MS) {
    if (schedule.isOn(atMs)) openMs = atMs;
    if (atMs - openMs < DAY_MS) leftMs -= STEP_MS;
  }
  return atMs;
}
