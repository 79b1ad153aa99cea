/** The time from which a wave that waits for boxes has waited too long, where boxes change only in a window. */
import { scheduleOf } from '../../../../agent/contract/schedule.ts';
import type { Window } from '../../../../agent/contract/update.ts';

const DAY_MS = 86_400_000;
/** Windows begin and end at minutes; one that is shorter than this may be passed over, and its day is not counted. */
const STEP_MS = 900_000;
/** A window opens within a week; with public holidays nothing is said here. */
const GAPS_MAX_MS = 14 * DAY_MS;

/**
 * Time at which `boundMs` have passed since `fromMs`, days without a window not counted: a quarter of an hour counts
 * where the window was open within the 24 hours before it.
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
