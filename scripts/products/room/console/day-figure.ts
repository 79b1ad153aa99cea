/** Updates the statistics of the day and hour in which an alert was received. */
import { dayHourOf } from '../database/day-hour.ts';
import type { Dialect, Queries } from '../database/sql.ts';
import type { IncidentRow } from './rows.ts';

/** Sums of people's actions. The archive adds the sums of box messages. */
const SUMS = {
  confirmed: 'integer',
  false_alarms: 'integer',
  unclear: 'integer',
  claims: 'integer',
  claim_s: 'real',
  arrivals: 'integer',
  arrival_s: 'real',
} as const;
type Column = keyof typeof SUMS;
const SUM_NAMES = Object.keys(SUMS) as Column[];

const KEY = {
  day: 'text',
  hour: 'integer',
  site: 'text',
  box: 'text',
  rule: 'text',
  kind: 'text',
} as const;
const KEY_NAMES = Object.keys(KEY) as (keyof typeof KEY)[];

export type Sums = Readonly<Partial<Record<Column, number>>>;

export interface StatisticsChange {
  readonly incident: Pick<IncidentRow, 'received' | 'severity' | 'site' | 'box' | 'rule' | 'kind'>;
  readonly add: Sums;
}

/**
 * Adds to the sums of alerts; ignores other severities. Sums never fall below zero, and there are never more verdicts
 * than alerts. Two statements, however many changes there are.
 */
export async function addStatistics(
  transaction: Queries,
  dialect: Dialect,
  timeZone: string,
  changes: readonly StatisticsChange[],
): Promise<void> {
  const rows = new Map<string, Record<string, string | number>>();
  for (const { incident, add } of changes) {
    const { received, severity, site, box, rule, kind } = incident;
    if (severity !== 'alert') continue;
    const { day, hour } = dayHourOf(Date.parse(received), timeZone);
    const key = JSON.stringify([day, hour, site, box, rule, kind]);
    const row = rows.get(key) ?? { day, hour, site, box, rule, kind };
    for (const name of SUM_NAMES) row[name] = Number(row[name] ?? 0) + (add[name] ?? 0);
    rows.set(key, row);
  }
  if (rows.size === 0) return;
  const values = [JSON.stringify([...rows.values()])];
  const added = dialect.rows('$1', 'added', Object.assign({}, KEY, SUMS));
  await transaction.run(
    `INSERT INTO day_figure (${KEY_NAMES.join(', ')}, alerts, ${SUM_NAMES.join(', ')})
     SELECT ${KEY_NAMES.join(', ')}, 0, ${SUM_NAMES.map(() => '0').join(', ')} FROM ${added} WHERE true
     ON CONFLICT DO NOTHING`,
    values,
  );
  const sums = SUM_NAMES.map(
    (name) => `${name} = ${dialect.greatest('0', `day_figure.${name} + added.${name}`)}`,
  );
  const isSame = KEY_NAMES.map((name) => `day_figure.${name} = added.${name}`);
  await transaction.run(
    `UPDATE day_figure SET ${sums.join(', ')} FROM ${added} WHERE ${isSame.join(' AND ')}`,
    values,
  );
}

/** Returns the opposite of sums, for an undo. */
export const negative = (sums: Sums): Sums =>
  Object.fromEntries(Object.entries(sums).map(([name, amount]) => [name, -amount]));
