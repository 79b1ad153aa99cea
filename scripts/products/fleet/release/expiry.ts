/** Limits the expiry dates that people sign. */
import { printable } from '../../../../agent/base/printable.ts';
import { LIFETIME_DAYS } from './metadata.ts';

const DAY_MS = 86_400_000;
/** Maximum clock difference, in days, between the machine of the maker and a keyholder's, which has no network. */
const CLOCK_DIFFERENCE_DAYS = 1;
/** Format of times in the fleet's programs and TUF. */
const EXPIRY_PATTERN = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;

/** Returns what is wrong with the expiry date of a root or targets; undefined if it is valid. */
export function expiryProblem(role: 'root' | 'targets', expires: string, nowMs: number): string | undefined {
  const untilMs = Date.parse(expires);
  if (!EXPIRY_PATTERN.test(expires) || Number.isNaN(untilMs))
    return `expires: "${printable(expires, 40)}" is not a time in UTC`;
  const now = new Date(nowMs).toISOString();
  if (untilMs <= nowMs) return `is stale: it ended on ${expires}, and it is ${now}; make it again`;
  const days = LIFETIME_DAYS[role] + CLOCK_DIFFERENCE_DAYS;
  if (untilMs <= nowMs + days * DAY_MS) return undefined;
  return `would be good until ${expires}; at most ${days} days from now (${now}) are accepted for ${role}: make it again, or set this machine's clock`;
}
