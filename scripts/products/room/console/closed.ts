/** Lists closed incidents, the last closed first. */
import { setImmediate } from 'node:timers/promises';
import type { ClosedIncident, ClosedPage, ClosedQuery } from '../contract/closed.ts';
import { may } from '../contract/roles.ts';
import { iso, type Queries, type Value } from '../database/sql.ts';
import { type Account, CallError } from './handler.ts';
import { after, onlySiteOf } from './incidents.ts';
import { textAsked, timeAsked } from './request-params.ts';
import { INCIDENT_COLUMNS, type IncidentRow, incidentOf } from './rows.ts';

/** Limits as in the contract. */
const PAGE = { default: 50, max: 500 } as const;
/** Incidents read at a time in a walk over all, which takes some milliseconds. */
const SLICE = 200;

interface ClosedRow extends IncidentRow {
  readonly verdict_by: string | null;
  readonly reopened_as: number | null;
}

/**
 * Returns a page. The next page continues where this one ended, whatever has been closed since.
 * @throws {CallError} 403 if an operator names another account
 */
export async function closedPage(db: Queries, query: ClosedQuery, account: Account): Promise<ClosedPage> {
  const { closedBy } = query;
  const seesActors = may(account.role, 'see-audit');
  if (closedBy !== undefined && !seesActors && closedBy !== account.name)
    throw new CallError(403, `closedBy: the role ${account.role} may name only its own account`);
  const limit = Math.min(query.limit ?? PAGE.default, PAGE.max);
  const values: Value[] = [];
  const conditions = [
    'closed_at IS NOT NULL',
    // An undone reopening is in no list.
    'entry > 0',
    ...(await filters(db, query, values)),
    ...after(query.cursor, values, 'closed_at'),
  ];
  const rows = await db.all<ClosedRow>(
    `SELECT ${INCIDENT_COLUMNS}, verdict_by, (SELECT min(later.no) FROM incident AS later
       WHERE later.episode = incident.episode AND later.site = incident.site AND later.box = incident.box
         AND later.entry > incident.entry) AS reopened_as
     FROM incident WHERE ${conditions.join(' AND ')} ORDER BY closed_at DESC, no DESC LIMIT ${limit + 1}`,
    values,
  );
  const last = rows.length > limit ? rows[limit - 1] : undefined;
  return {
    incidents: rows.slice(0, limit).map((row) => ({
      ...incidentOf(row),
      closedBy: seesActors || row.verdict_by === account.name ? row.verdict_by : null,
      reopenedAs: row.reopened_as,
    })),
    next: last === undefined ? null : `${last.closed_at}_${last.no}`,
  };
}

/** Yields all matching incidents in page order, and yields to other tasks of this process between slices. */
export async function* closedOf(
  db: Queries,
  query: ClosedQuery,
  account: Account,
): AsyncGenerator<ClosedIncident> {
  for (let { cursor } = query; ; ) {
    const slice = { ...query, limit: SLICE, ...(cursor !== undefined && { cursor }) };
    const page = await closedPage(db, slice, account);
    yield* page.incidents;
    if (page.next === null) return;
    cursor = page.next;
    // SQLite answers synchronously.
    await setImmediate();
  }
}

async function filters(db: Queries, query: ClosedQuery, values: Value[]): Promise<string[]> {
  const conditions: string[] = [];
  const add = (test: string, value: Value): void => {
    values.push(value);
    conditions.push(`${test} $${values.length}`);
  };
  if (query.from !== undefined) add('closed_at >=', iso(timeAsked('from', query.from)));
  if (query.to !== undefined) add('closed_at <', iso(timeAsked('to', query.to)));
  const site = query.site ?? (query.box !== undefined ? await onlySiteOf(db, query.box) : undefined);
  if (site !== undefined) add('site =', site);
  if (query.box !== undefined) add('box =', query.box);
  if (query.kind !== undefined) add('kind =', textAsked('kind', query.kind));
  if (query.closedBy !== undefined) add('verdict_by =', textAsked('closedBy', query.closedBy));
  if (query.verdict === 'none') conditions.push('verdict IS NULL');
  else if (query.verdict !== undefined) add('verdict =', query.verdict);
  return conditions;
}
