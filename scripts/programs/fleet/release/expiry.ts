/** Bounds of the dates that people sign. */
import { printable } from '../../../../agent/base/printable.ts';
import { LIFE_DAYS } from './metadata.ts';

const DAY_MS = 86_400_000;
/** Days that the clock of a holder's machine, which has no network, may differ from that of the maker's. */
const CLOCK_DIFFERENCE_DAYS = 1;
/** As the fleet's programs and TUF write a time. */
const EXPIRY_PATTERN = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;

/** What is wrong with a date until which root or targets would be good; undefined: nothing. */
export function expiryFault(role: 'root' | 'targets', expires: string, nowMs: number): string | undefined {
  const untilMs = Date.parse(expires);
  if (!EXPIRY_PATTERN.test(expires) || Number.isNaN(untilMs))
    return `expires: "${printable(expires, 40)}" is not a time in UTC`;
  const now = new Date(nowMs).toISOString();
  if (untilMs <= nowMs) return `is stale: it ended on ${expires}, and it is ${now}; make it again`;
  const days = LIFE_DAYS[role] + CLOCK_DIFFERENCE_DAYS;
  if (untilMs <= nowMs + days * DAY_MS) return undefined;
  return `would be good until ${expires}; at most ${days} days from now (${now}) are accepted for ${role}: make it again, or set this machine's clock`;
}
