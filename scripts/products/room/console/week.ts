/**
 * Builds the report of a week from the sums by day, and from the incidents that are still stored.
 *
 * INVARIANT: the answer says how many of the alerts are still stored, because the sums stay longer than the incidents.
 */
import { setImmediate } from 'node:timers/promises';
import { SiteTime } from '../../../../agent/base/site-time.ts';
import { STATISTICS_DAYS } from '../contract/terms.ts';
import { type RuleOfWeek, WEEK_ROWS_MAX, type Week, type WeekQuery } from '../contract/week.ts';
import { dayHourOf } from '../database/day-hour.ts';
import { iso, type Queries } from '../database/sql.ts';
import { blindnessOf, coveredS } from './cameras.ts';
import { DurationCounts } from './durations.ts';
import { precisionOf, SUMS, type Sums, sumOf } from './precision.ts';
import { timeAsked } from './request-params.ts';

const DAY_MS = 86_400_000;
/** Incidents read at a time for their durations, which takes some milliseconds. */
const SLICE = 2000;

/** Sums of a day, a rule or a week. */
const COLUMNS = `${SUMS}, ${sumOf('claims')}, coalesce(sum(claim_s), 0) AS claim_s`;
interface WeekSums extends Sums {
  readonly claims: number;
  readonly claim_s: number;
}

interface Span {
  /** Monday to Sunday. */
  readonly days: readonly string[];
  readonly fromMs: number;
  readonly toMs: number;
}

/**
 * Returns the week that contains a day, by default today, in the room's time zone.
 * @throws {CallError} 400 for a day that does not exist
 */
function spanOf({ day }: WeekQuery, timeZone: string, nowMs: number): Span {
  const noonMs = timeAsked('day', `${day ?? dayHourOf(nowMs, timeZone).day}T12:00:00Z`);
  const sinceMonday = (new Date(noonMs).getUTCDay() + 6) % 7;
  const dayAfterMonday = (offset: number): string =>
    iso(noonMs + (offset - sinceMonday) * DAY_MS).slice(0, 10);
  const time = new SiteTime(timeZone);
  return {
    days: Array.from({ length: 7 }, (_, index) => dayAfterMonday(index)),
    fromMs: time.parse('day', dayAfterMonday(0)),
    toMs: time.parse('day', dayAfterMonday(7)),
  };
}

export async function weekOf(
  db: Queries,
  query: WeekQuery,
  { timeZone, nowMs }: { readonly timeZone: string; readonly nowMs: number },
): Promise<Week> {
  const span = spanOf(query, timeZone, nowMs);
  const [from = '', to = ''] = [span.days[0], span.days.at(-1)];
  const sums = await db.all<WeekSums & { day: string }>(
    `SELECT day, ${COLUMNS} FROM day_figure WHERE day >= $1 AND day <= $2 GROUP BY day`,
    [from, to],
  );
  const rules = await rulesOf(db, span);
  const byAlerts = [...rules].sort((a, b) => b.alerts - a.alerts);
  const [oldest] = await db.all<{ received: string }>(
    'SELECT received FROM incident ORDER BY received, no LIMIT 1',
  );
  const outOfService = await outOfServiceOf(db, span, nowMs);
  return {
    from,
    to,
    timeZone,
    total: withClaims(sums.reduce(added, NOTHING)),
    days: span.days.map((day) => ({ day, ...precisionOf(sums.find((row) => row.day === day) ?? NOTHING) })),
    rules: byAlerts.slice(0, WEEK_ROWS_MAX),
    moreRules: Math.max(0, rules.length - WEEK_ROWS_MAX),
    ...(await durationsOf(db, span)),
    outOfService: outOfService.slice(0, WEEK_ROWS_MAX),
    moreOutOfService: Math.max(0, outOfService.length - WEEK_ROWS_MAX),
    outOfServiceS: outOfService.reduce((sum, { s }) => sum + s, 0),
    storedFrom: oldest?.received ?? null,
    sumsFrom: dayHourOf(nowMs - STATISTICS_DAYS * DAY_MS, timeZone).day,
  };
}

/** Rule of a camera in the table, with its week. */
export type WeekRow = RuleOfWeek & Pick<Week, 'from' | 'to'>;

/** Returns every rule of the week with its sums, sorted by camera. */
export async function weekRows(
  db: Queries,
  query: WeekQuery,
  { timeZone, nowMs }: { readonly timeZone: string; readonly nowMs: number },
): Promise<WeekRow[]> {
  const span = spanOf(query, timeZone, nowMs);
  const [from = '', to = ''] = [span.days[0], span.days.at(-1)];
  return (await rulesOf(db, span)).map((row) => ({ from, to, ...row }));
}

const NOTHING: WeekSums = { alerts: 0, confirmed: 0, false_alarms: 0, unclear: 0, claims: 0, claim_s: 0 };

function added(a: WeekSums, b: WeekSums): WeekSums {
  return {
    alerts: a.alerts + b.alerts,
    confirmed: a.confirmed + b.confirmed,
    false_alarms: a.false_alarms + b.false_alarms,
    unclear: a.unclear + b.unclear,
    claims: a.claims + b.claims,
    claim_s: a.claim_s + b.claim_s,
  };
}

function withClaims(sums: WeekSums): Week['total'] {
  const { claims, claim_s } = sums;
  return { ...precisionOf(sums), meanClaimS: claims > 0 ? Math.round((claim_s / claims) * 10) / 10 : null };
}

async function rulesOf(db: Queries, { days }: Span): Promise<RuleOfWeek[]> {
  const rows = await db.all<WeekSums & Pick<RuleOfWeek, 'site' | 'box' | 'rule' | 'kind'>>(
    `SELECT site, box, rule, kind, ${COLUMNS} FROM day_figure WHERE day >= $1 AND day <= $2
     GROUP BY site, box, rule, kind ORDER BY site, box, rule, kind`,
    [days[0] ?? '', days.at(-1) ?? ''],
  );
  return rows.map(({ site, box, rule, kind, ...sums }) => ({ site, box, rule, kind, ...withClaims(sums) }));
}

/** Measures the alerts of the week that are still stored. A reopened entry is none of its own. */
async function durationsOf(
  db: Queries,
  { fromMs, toMs }: Span,
): Promise<Pick<Week, 'claim' | 'close' | 'storedAlerts'>> {
  const [claim, close] = [new DurationCounts(), new DurationCounts()];
  let storedAlerts = 0;
  for (let last: readonly [string, number] = [iso(fromMs), 0]; ; ) {
    const rows = await db.all<{
      no: number;
      received: string;
      claimed_first: string | null;
      closed_at: string | null;
      closed_reason: string | null;
    }>(
      `SELECT no, received, claimed_first, closed_at, closed_reason FROM incident
       WHERE severity = 'alert' AND reopens IS NULL AND (received, no) > ($1, $2) AND received < $3
       ORDER BY received, no LIMIT ${SLICE}`,
      [...last, iso(toMs)],
    );
    for (const { received, claimed_first, closed_at, closed_reason } of rows) {
      const sinceS = (at: string): number => (Date.parse(at) - Date.parse(received)) / 1000;
      if (claimed_first !== null) claim.add(sinceS(claimed_first));
      if (closed_at !== null && closed_reason === null) close.add(sinceS(closed_at));
    }
    storedAlerts += rows.length;
    const end = rows.at(-1);
    if (end === undefined || rows.length < SLICE) break;
    last = [end.received, end.no];
    // SQLite answers synchronously.
    await setImmediate();
  }
  return { claim: claim.result(), close: close.result(), storedAlerts };
}

/** Returns the cameras that had no usable picture, the longest time first. */
async function outOfServiceOf(
  db: Queries,
  { fromMs, toMs }: Span,
  nowMs: number,
): Promise<Week['outOfService']> {
  const rows = await db.all<{ site: string; box: string; conditions: string }>(
    'SELECT site, box, conditions FROM camera',
  );
  const untilMs = Math.min(toMs, nowMs);
  if (untilMs <= fromMs) return [];
  const intervals = await blindnessOf(db, rows, { fromMs, toMs: untilMs, nowMs });
  return [...intervals]
    .map(([key, spans]) => {
      const [site = '', box = ''] = key.split('/');
      return { site, box, s: coveredS(spans, fromMs, untilMs) };
    })
    .filter(({ s }) => s > 0)
    .sort((a, b) => b.s - a.s || (`${a.site}/${a.box}` < `${b.site}/${b.box}` ? -1 : 1));
}
