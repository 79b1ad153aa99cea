/** Updates the statistics of the day and hour in which an alert was received. */
import { dayHourOf } from '../database/day-hour.ts';
import type { Queries, Sql } from '../database/sql.ts';
import type { IncidentRow } from './rows.ts';

/** Sums of people's actions. The archive adds the sums of box messages. */
type Column = 'confirmed' | 'false_alarms' | 'unclear' | 'claims' | 'claim_s' | 'arrivals' | 'arrival_s';

/**
 * Adds to the sums of an alert; ignores other severities. Sums never fall below zero, and there are never more verdicts
 * than alerts.
 */
export async function addStatistics(
  transaction: Queries,
  { dialect }: Sql,
  incident: Pick<IncidentRow, 'received' | 'severity' | 'site' | 'box' | 'rule' | 'kind'>,
  timeZone: string,
  add: Readonly<Partial<Record<Column, number>>>,
): Promise<void> {
  const { received, severity, site, box, rule, kind } = incident;
  if (severity !== 'alert') return;
  const { day, hour } = dayHourOf(Date.parse(received), timeZone);
  const key = [day, hour, site, box, rule, kind];
  await transaction.run(
    `INSERT INTO day_figure (day, hour, site, box, rule, kind, alerts, confirmed, false_alarms, unclear,
       claims, claim_s, suppressed, arrivals, arrival_s)
     VALUES ($1, $2, $3, $4, $5, $6, 0, 0, 0, 0, 0, 0, 0, 0, 0) ON CONFLICT DO NOTHING`,
    key,
  );
  const sums = Object.keys(add).map(
    (name, index) => `${name} = ${dialect.greatest('0', `${name} + $${index + 7}`)}`,
  );
  await transaction.run(
    `UPDATE day_figure SET ${sums.join(', ')}
     WHERE day = $1 AND hour = $2 AND site = $3 AND box = $4 AND rule = $5 AND kind = $6`,
    [...key, ...Object.values(add)],
  );
}
