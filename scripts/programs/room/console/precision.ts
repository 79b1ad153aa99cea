/** How right a rule was, from the sums of days and hours. */
import { compact, wilson } from '../../../../agent/base/wilson.ts';
import type { Precision } from '../contract/incident.ts';
import { dayHourOf } from '../database/day-hour.ts';
import type { Queries } from '../database/sql.ts';

const DAY_MS = 86_400_000;
/** What the screen of an incident says of its rule. */
const DAYS = 30;

export interface Sums {
  readonly alerts: number;
  readonly judged_true: number;
  readonly judged_false: number;
  readonly judged_unclear: number;
}

/** PostgreSQL adds up 32 bits in a third of the time of 64, which become numeric; an hour of one rule has no 2^31 alerts. */
export const sumOf = (column: string): string => `coalesce(sum(CAST(${column} AS integer)), 0) AS ${column}`;

/** Columns of `Sums`; 0 where there is no row. */
export const SUMS = (['alerts', 'judged_true', 'judged_false', 'judged_unclear'] as const)
  .map(sumOf)
  .join(', ');

/** What is unclear says nothing of the rule, and is in no share. */
export function precisionOf(sums: Sums): Precision {
  const { alerts, judged_true: right, judged_false: wrong, judged_unclear: unclear } = sums;
  const counts = { alerts, true: right, false: wrong, unclear };
  const judged = right + wrong;
  if (judged === 0) return { ...counts, share: null, low: null, high: null };
  const { low, high } = wilson(right, judged);
  return { ...counts, share: compact(right / judged), low: compact(low), high: compact(high) };
}

export async function precisionOfRule(
  db: Queries,
  { site, box, rule }: { readonly site: string; readonly box: string; readonly rule: string },
  { timeZone, nowMs }: { readonly timeZone: string; readonly nowMs: number },
): Promise<Precision> {
  const { day } = dayHourOf(nowMs - DAYS * DAY_MS, timeZone);
  const [sums] = await db.all<Sums>(
    `SELECT ${SUMS} FROM day_figure WHERE site = $1 AND box = $2 AND rule = $3 AND day > $4`,
    [site, box, rule, day],
  );
  return precisionOf(sums ?? { alerts: 0, judged_true: 0, judged_false: 0, judged_unclear: 0 });
}
