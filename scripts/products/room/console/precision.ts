/** Computes the precision of a rule from the sums by day and hour. */
import { compact, wilson } from '../../../../agent/base/wilson.ts';
import type { Precision } from '../contract/incident.ts';
import { dayHourOf } from '../database/day-hour.ts';
import type { Queries } from '../database/sql.ts';

const DAY_MS = 86_400_000;
/** Days that the screen of an incident covers for its rule. */
const DAYS = 30;

export interface Sums {
  readonly alerts: number;
  readonly confirmed: number;
  readonly false_alarms: number;
  readonly unclear: number;
}

/**
 * Sums as 32-bit integers: PostgreSQL needs three times as long for 64-bit ones, which become numeric. An hour of one
 * rule never has 2^31 alerts.
 */
export const sumOf = (column: string): string => `coalesce(sum(CAST(${column} AS integer)), 0) AS ${column}`;

/** SQL for the columns of `Sums`; 0 if there is no row. */
export const SUMS = (['alerts', 'confirmed', 'false_alarms', 'unclear'] as const).map(sumOf).join(', ');

/** Returns the precision. Unclear verdicts say nothing about the rule and do not count in the ratio. */
export function precisionOf(sums: Sums): Precision {
  const { alerts, confirmed: right, false_alarms: wrong, unclear } = sums;
  const counts = { alerts, confirmed: right, falseAlarms: wrong, unclear };
  const reviewedCount = right + wrong;
  if (reviewedCount === 0) return { ...counts, share: null, low: null, high: null };
  const { low, high } = wilson(right, reviewedCount);
  return { ...counts, share: compact(right / reviewedCount), low: compact(low), high: compact(high) };
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
  return precisionOf(sums ?? { alerts: 0, confirmed: 0, false_alarms: 0, unclear: 0 });
}
