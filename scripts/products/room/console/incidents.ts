/** Reads incidents from the database: pages of a list, or one in detail. */
import { setImmediate } from 'node:timers/promises';
import type { IncidentPage, IncidentQuery } from '../contract/api.ts';
import type { Incident, IncidentDetail, Note, NotePage } from '../contract/incident.ts';
import { NOTES_PAGE } from '../contract/terms.ts';
import { iso, type Queries, type Value } from '../database/sql.ts';
import { CallError } from './handler.ts';
import { precisionOfRule } from './precision.ts';
import { noAsked, textAsked, timeAsked } from './request-params.ts';
import { INCIDENT_COLUMNS, type IncidentRow, incidentOf, objectIn, textsIn, timeOf } from './rows.ts';

/** Limits as in the contract. */
const PAGE = { default: 100, max: 500 } as const;
const NEARBY_MAX = 50;
const NEARBY_MS = 3_600_000;

/** Returns a page, the newest first. The next page continues where this one ended, whatever has arrived since. */
export async function pageOf(db: Queries, query: IncidentQuery): Promise<IncidentPage> {
  const limit = Math.min(query.limit ?? PAGE.default, PAGE.max);
  const values: Value[] = [];
  const conditions = [...(await filters(db, query, values)), ...after(query.cursor, values)];
  const rows = await db.all<IncidentRow>(
    `SELECT ${INCIDENT_COLUMNS} FROM incident WHERE ${conditions.join(' AND ')}
     ORDER BY received DESC, no DESC LIMIT ${limit + 1}`,
    values,
  );
  const last = rows.length > limit ? rows[limit - 1] : undefined;
  return {
    incidents: rows.slice(0, limit).map(incidentOf),
    next: last === undefined ? null : `${last.received}_${last.no}`,
  };
}

/** Incidents read at a time in a walk over all, which takes some milliseconds. */
const SLICE = 200;

/** Yields all matching incidents in page order, and yields to other tasks of this process between slices. */
export async function* incidentsOf(db: Queries, query: IncidentQuery): AsyncGenerator<Incident> {
  for (let { cursor } = query; ; ) {
    const page = await pageOf(db, { ...query, limit: SLICE, ...(cursor !== undefined && { cursor }) });
    yield* page.incidents;
    if (page.next === null) return;
    cursor = page.next;
    // SQLite answers synchronously.
    await setImmediate();
  }
}

async function filters(db: Queries, query: IncidentQuery, values: Value[]): Promise<string[]> {
  // An entry whose reopening was undone has a negative number within its episode.
  const conditions = ['entry > 0'];
  const add = (test: string, value: Value): void => {
    values.push(value);
    conditions.push(`${test} $${values.length}`);
  };
  if (query.from !== undefined) add('received >=', iso(timeAsked('from', query.from)));
  if (query.to !== undefined) add('received <', iso(timeAsked('to', query.to)));
  const site = query.site ?? (query.box !== undefined ? await onlySiteOf(db, query.box) : undefined);
  if (site !== undefined) add('site =', site);
  for (const name of ['box', 'kind', 'rule', 'severity', 'state'] as const) {
    const value = query[name];
    if (value !== undefined) add(`${name} =`, textAsked(name, value));
  }
  if (query.suppression !== undefined) add('suppression =', query.suppression);
  if (query.verdict === 'none') conditions.push('verdict IS NULL');
  else if (query.verdict !== undefined) add('verdict =', query.verdict);
  return conditions;
}

/** Returns the site of a box if it has only one. The query can then use the index by site and box. */
export async function onlySiteOf(db: Queries, box: string): Promise<string | undefined> {
  const sites = await db.all<{ site: string }>('SELECT site FROM camera WHERE box = $1', [box]);
  return sites.length === 1 ? sites[0]?.site : undefined;
}

/**
 * Returns the condition for rows after a cursor, in descending order of a time and the number.
 * @throws {CallError} 400 for an invalid cursor
 */
export function after(
  cursor: string | undefined,
  values: Value[],
  column: 'received' | 'closed_at' = 'received',
): string[] {
  if (cursor === undefined) return [];
  const [, at = '', no = ''] = /^(\d{4}-\d{2}-\d{2}T[\d:.]{12}Z)_(\d{1,15})$/.exec(cursor) ?? [];
  if (at === '') {
    throw new CallError(400, 'cursor: not one that a page gives as `next`');
  }
  values.push(iso(timeAsked('cursor', at)), Number(no));
  return [`(${column}, no) < ($${values.length - 1}, $${values.length})`];
}

/**
 * Reads an incident.
 * @throws {CallError} 404 if it does not exist or is no longer stored
 */
export async function incidentRowOf(db: Queries, no: number): Promise<IncidentRow & { detail: string }> {
  const [row] = await db.all<IncidentRow & { detail: string }>(
    `SELECT ${INCIDENT_COLUMNS}, detail FROM incident WHERE no = $1`,
    [noAsked('incident', no)],
  );
  if (row === undefined) throw new CallError(404, `incident ${no} does not exist, or is no longer stored`);
  return row;
}

export async function detailOf(
  db: Queries,
  no: number,
  { timeZone, nowMs }: { readonly timeZone: string; readonly nowMs: number },
): Promise<IncidentDetail> {
  const row = await incidentRowOf(db, no);
  const detail = storedDetail(row.detail);
  const { site, box, rule } = row;
  const [stills, precision, notes, nearby] = await Promise.all([
    withStored(db, row, detail.stills),
    precisionOfRule(db, { site, box, rule }, { timeZone, nowMs }),
    notesOf(db, no),
    nearbyOf(db, row),
  ]);
  const {
    absent,
    purpose,
    legalBasis,
    validUntil,
    timeZone: ofSite,
    detectedObjects,
    location,
    degraded,
    event,
    sealed,
  } = detail;
  return {
    incident: incidentOf(row),
    stills,
    stillAbsent: absent,
    purpose,
    legalBasis,
    validUntil,
    timeZone: ofSite,
    detectedObjects,
    location,
    degraded,
    event,
    sealed,
    precision,
    notes,
    ...nearby,
  };
}

/** Returns the newest notes of an incident before a number, the oldest of them first. */
export async function notesOf(db: Queries, no: number, before = Number.MAX_SAFE_INTEGER): Promise<NotePage> {
  const rows = await db.all<Note>(
    `SELECT no, at, account, text FROM note WHERE incident = $1 AND no < $2 ORDER BY no DESC LIMIT ${NOTES_PAGE + 1}`,
    [noAsked('incident', no), noAsked('note', before)],
  );
  const notes = rows.slice(0, NOTES_PAGE).reverse();
  return { notes, next: rows.length > NOTES_PAGE ? (notes[0]?.no ?? null) : null };
}

export type NamedStill = Omit<IncidentDetail['stills'][number], 'isStored'>;
type StoredDetail = Pick<
  IncidentDetail,
  | 'purpose'
  | 'legalBasis'
  | 'validUntil'
  | 'timeZone'
  | 'detectedObjects'
  | 'location'
  | 'degraded'
  | 'event'
  | 'sealed'
> & { readonly stills: readonly NamedStill[]; readonly absent: string | null };

/** Parses the details written by the archive. Members missing in older rows get default values. */
export function storedDetail(json: string): StoredDetail {
  const stored = objectIn(json) as Partial<StoredDetail>;
  return {
    stills: stored.stills ?? [],
    absent: stored.absent ?? null,
    purpose: stored.purpose ?? null,
    legalBasis: stored.legalBasis ?? null,
    validUntil: timeOf(stored.validUntil ?? null),
    timeZone: stored.timeZone ?? null,
    detectedObjects: stored.detectedObjects ?? [],
    location: stored.location ?? null,
    degraded: textsIn(stored.degraded),
    event: stored.event ?? null,
    sealed: stored.sealed ?? false,
  };
}

/** Marks the stills that are stored. The stored hash was computed from the received file. */
async function withStored(
  db: Queries,
  { site, box }: IncidentRow,
  stills: readonly NamedStill[],
): Promise<IncidentDetail['stills']> {
  if (stills.length === 0) return [];
  const names = stills.map((_, index) => `$${index + 3}`).join(', ');
  const storedStills = await db.all<{ name: string; sha256: string }>(
    `SELECT name, sha256 FROM snapshot WHERE site = $1 AND box = $2 AND name IN (${names})`,
    [site, box, ...stills.map(({ name }) => name)],
  );
  return stills.map(({ moment, name, time, sha256 }) => {
    const isStored = storedStills.some((one) => one.name === name && one.sha256 === sha256);
    return { moment, name, time, sha256, isStored };
  });
}

/** Returns the incidents of the same box that are nearest in time, sorted by time. */
async function nearbyOf(
  db: Queries,
  { site, box, received, no }: IncidentRow,
): Promise<Pick<IncidentDetail, 'nearby' | 'nearbyMore'>> {
  const atMs = Date.parse(received);
  const on = (side: '<' | '>', untilMs: number): Promise<IncidentRow[]> => {
    const [bound, order] = side === '<' ? ['>=', 'DESC'] : ['<=', 'ASC'];
    return db.all<IncidentRow>(
      `SELECT ${INCIDENT_COLUMNS} FROM incident WHERE site = $1 AND box = $2 AND entry > 0
       AND (received, no) ${side} ($3, $4) AND received ${bound} $5
       ORDER BY received ${order}, no ${order} LIMIT ${NEARBY_MAX}`,
      [site, box, received, no, iso(untilMs)],
    );
  };
  const [before, later] = await Promise.all([on('<', atMs - NEARBY_MS), on('>', atMs + NEARBY_MS)]);
  const candidates = [...before, ...later];
  const all = candidates.length <= NEARBY_MAX ? candidates.length : await nearCount(db, { site, box, atMs });
  const distanceMs = (row: IncidentRow): number => Math.abs(Date.parse(row.received) - atMs);
  const nearby = candidates
    .sort((a, b) => distanceMs(a) - distanceMs(b))
    .slice(0, NEARBY_MAX)
    .sort((a, b) => Date.parse(a.received) - Date.parse(b.received) || a.no - b.no)
    .map(incidentOf);
  return { nearby, nearbyMore: Math.max(0, all - nearby.length) };
}

/** Counts the nearby incidents except the given one. */
async function nearCount(
  db: Queries,
  { site, box, atMs }: { readonly site: string; readonly box: string; readonly atMs: number },
): Promise<number> {
  const [row] = await db.all<{ n: number }>(
    'SELECT count(*) AS n FROM incident WHERE site = $1 AND box = $2 AND entry > 0 AND received BETWEEN $3 AND $4',
    [site, box, iso(atMs - NEARBY_MS), iso(atMs + NEARBY_MS)],
  );
  return (row?.n ?? 1) - 1;
}
