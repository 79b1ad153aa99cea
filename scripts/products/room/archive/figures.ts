/** Maintains sums by day and hour, so that the precision of a month needs no scan of its incidents. */
import { dayHourOf } from '../database/day-hour.ts';
import type { Dialect, Queries } from '../database/sql.ts';

interface Alert {
  readonly site: string;
  readonly box: string;
  readonly rule: string;
  readonly kind: string;
  /** Time of the room's clock. */
  readonly received: string;
  readonly is_suppressed: boolean;
}

const COLUMNS = {
  day: 'text',
  hour: 'integer',
  site: 'text',
  box: 'text',
  rule: 'text',
  kind: 'text',
  alerts: 'integer',
  suppressed: 'integer',
} as const;

/** Adds new alerts to the sums. The counter `rev` must be locked. */
export async function addAlerts(
  transaction: Queries,
  dialect: Dialect,
  alerts: readonly Alert[],
  timeZone: string,
): Promise<void> {
  if (alerts.length === 0) return;
  const sums = new Map<string, Record<string, string | number> & { alerts: number; suppressed: number }>();
  for (const { site, box, rule, kind, received, is_suppressed: isSuppressed } of alerts) {
    const { day, hour } = dayHourOf(Date.parse(received), timeZone);
    const key = [day, hour, site, box, rule, kind].join('/');
    const sum = sums.get(key) ?? { day, hour, site, box, rule, kind, alerts: 0, suppressed: 0 };
    sum.alerts += 1;
    sum.suppressed += isSuppressed ? 1 : 0;
    sums.set(key, sum);
  }
  await transaction.run(
    `INSERT INTO day_figure SELECT day, hour, site, box, rule, kind, alerts, 0, 0, 0, 0, 0, suppressed, 0, 0
     FROM ${dialect.rows('$1', 'new', COLUMNS)} WHERE true
     ON CONFLICT (day, hour, site, box, rule, kind) DO UPDATE SET
       alerts = day_figure.alerts + excluded.alerts, suppressed = day_figure.suppressed + excluded.suppressed`,
    [JSON.stringify([...sums.values()])],
  );
}
