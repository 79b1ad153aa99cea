/** Computes the precision of the boxes, grouped as requested, and lists the rules that reached their alert limit. */
import type { Statistics, StatisticsBy } from '../contract/figures.ts';
import { dayHourOf } from '../database/day-hour.ts';
import { iso, type Queries } from '../database/sql.ts';
import { precisionOf, SUMS, type Sums, sumOf } from './precision.ts';
import { type Span, spanAsked } from './request-params.ts';
import { objectIn } from './rows.ts';

/** Columns whose values form the key, joined with `/`. */
const COLUMNS: Readonly<Record<StatisticsBy, readonly string[]>> = {
  rule: ['site', 'box', 'rule'],
  kind: ['kind'],
  box: ['site', 'box'],
  site: ['site'],
  hour: ['hour'],
  day: ['day'],
};

type SummedRow = Sums &
  Record<string, unknown> &
  Record<'claims' | 'claim_s' | 'suppressed' | 'arrivals' | 'arrival_s', number>;

/** Returns the mean in s, to a tenth; null without a case. */
const meanS = (sumS: number, count: number): number | null =>
  count > 0 ? Math.round((sumS / count) * 10) / 10 : null;

/** Returns the statistics of all whole hours that the span touches, because sums are stored by hour. */
export async function statisticsOf(
  db: Queries,
  query: { readonly from: string; readonly to: string; readonly by: StatisticsBy },
  timeZone: string,
): Promise<Statistics> {
  const span = spanAsked(query);
  const columns = COLUMNS[query.by];
  const [first, last] = [dayHourOf(span.fromMs, timeZone), dayHourOf(span.toMs - 1, timeZone)];
  const rows = await db.all<SummedRow>(
    `SELECT ${columns.join(', ')}, ${SUMS}, ${sumOf('claims')}, sum(claim_s) AS claim_s,
       ${sumOf('suppressed')}, ${sumOf('arrivals')}, sum(arrival_s) AS arrival_s FROM day_figure
     WHERE day >= $1 AND day <= $3 AND (day > $1 OR hour >= $2) AND (day < $3 OR hour <= $4)
     GROUP BY ${columns.join(', ')} ORDER BY ${columns.join(', ')}`,
    [first.day, first.hour, last.day, last.hour],
  );
  return {
    from: iso(span.fromMs),
    to: iso(span.toMs),
    timeZone,
    rows: rows.map((row) => ({
      key: columns.map((name) => keyPart(row[name])).join('/'),
      ...precisionOf(row),
      meanClaimS: meanS(row.claim_s, row.claims),
      meanArrivalS: meanS(row.arrival_s, row.arrivals),
      suppressed: row.suppressed,
    })),
    muted: await suppressionsOf(db, span),
  };
}

/** Pads hours to two digits so that they sort as text. */
const keyPart = (value: unknown): string => String(value).padStart(typeof value === 'number' ? 2 : 0, '0');

/**
 * Returns the rules at their alert limit. An active limit does not report its number of suppressed alerts yet. The kind
 * is that of the rule, if it ever alerted.
 */
async function suppressionsOf(db: Queries, { fromMs, toMs }: Span): Promise<Statistics['muted']> {
  const suppressedWhile = (still: string): string =>
    `SELECT site, box, rule, received, cause, no, (SELECT max(figure.kind) FROM day_figure AS figure
       WHERE figure.site = incident.site AND figure.box = incident.box AND figure.rule = incident.rule) AS kind
     FROM incident WHERE severity = 'system' AND kind = 'alert-limit' AND received < $2 AND ${still}`;
  const rows = await db.all<{
    site: string;
    box: string;
    rule: string;
    received: string;
    cause: string;
    kind: string | null;
  }>(
    `${suppressedWhile('ended_at >= $1')} UNION ALL ${suppressedWhile('ended_at IS NULL')}
     ORDER BY received DESC, no DESC`,
    [iso(fromMs), iso(toMs)],
  );
  return rows.map(({ site, box, rule, received, cause, kind }) => ({
    site,
    box,
    rule,
    kind: kind ?? '',
    at: received,
    suppressed: countIn(objectIn(cause)['suppressed']),
  }));
}

function countIn(value: unknown): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : 0;
}
