/** Handlers of reopening: a new entry of the same episode, and its withdrawal by an undo. */
import type { ActedIncident, BulkAnswer } from '../contract/undo.ts';
import { recordAll } from '../database/audit.ts';
import { next } from '../database/counters.ts';
import { EVENT_COLUMNS } from '../database/incident-columns.ts';
import { iso, type Queries, type Sql } from '../database/sql.ts';
import { openWindows } from '../database/undo-window.ts';
import {
  acted,
  conflict,
  doneBefore,
  lockedRow,
  lockedRows,
  mustBeAsSeen,
  noteDone,
  nothingToUndo,
  tell,
  undoOf,
  usedFor,
} from './acting.ts';
import { type BulkResult, bulkAnswer, missing, namedOnce, type SeenIncident } from './bulk.ts';
import { type Account, type Call, CallError } from './handler.ts';
import { noAsked } from './request-params.ts';
import { actorOf, INCIDENT_COLUMNS, type IncidentRow, incidentOf } from './rows.ts';

/** Columns that a new entry copies from the one that it reopens. */
const COPIED_COLUMNS = `site, box, episode, severity, priority, kind, rule, place, started_at, ended_at, received, clock_doubt, objects,
  cause, events, newest, still, detail`;

interface Reopening {
  readonly account: Account;
  readonly nowMs: number;
  /** First of the reserved change numbers, one for each incident. */
  readonly rev: number;
}

/** Creates a new entry of the same episode; the closed one stays unchanged. Only the latest entry can be reopened. */
export function reopen(db: Sql, call: Call<'reopen'>): Promise<ActedIncident> {
  const { account, key, nowMs, body, params } = call;
  const action = { account, key, action: 'reopen' } as const;
  const no = noAsked('incident', params.no);
  return db.transaction(async (transaction) => {
    const rev = await next(transaction, 'rev');
    const earlier = await doneBefore(transaction, action);
    if (earlier !== undefined) {
      const reopened = await lockedRow(transaction, db, earlier.incident);
      if (reopened.reopens !== no) throw usedFor(reopened.reopens ?? earlier.incident);
      return acted(reopened, await undoOf(transaction, earlier.act, nowMs));
    }
    const incidents = [{ no, revision: body.revision }];
    const { updated, refusals, undo } = await addEntries(transaction, db, { account, nowMs, rev }, incidents);
    const row = updated.get(no);
    if (row === undefined) throw refusals.get(no) ?? missing(no);
    await noteDone(transaction, action, { incident: row.no, act: undo.acts[0], nowMs });
    return acted(row, undo);
  });
}

/** Reopens many incidents. A refusal of one does not stop the others; a repeated call finds them reopened already. */
export function reopenAll(db: Sql, { account, nowMs, body }: Call<'reopenings'>): Promise<BulkAnswer> {
  const { incidents } = body;
  const safeIncidents = namedOnce(incidents);
  return db.transaction(async (transaction) => {
    const rev = await next(transaction, 'rev', incidents.length);
    return bulkAnswer(incidents, await addEntries(transaction, db, { account, nowMs, rev }, safeIncidents));
  });
}

/** Adds new entries in a fixed number of statements. */
async function addEntries(
  transaction: Queries,
  db: Sql,
  { account, nowMs, rev }: Reopening,
  incidents: readonly SeenIncident[],
): Promise<BulkResult> {
  const { dialect } = db;
  const nos = incidents.map(({ no }) => no);
  const rows = await lockedRows(transaction, db, nos);
  const refusals = await refusalsOf(transaction, db, incidents, rows);
  const accepted = nos.flatMap((no) => rows.get(no) ?? []).filter(({ no }) => !refusals.has(no));
  if (accepted.length === 0) return { updated: new Map(), refusals, undo: nothingToUndo(nowMs) };
  const newRows = await transaction.all<IncidentRow>(
    `INSERT INTO incident (${COPIED_COLUMNS}, entry, rev, revision, state, reopens)
     SELECT ${COPIED_COLUMNS}, entry + 1, asked.new_rev, 0, 'new', no
     FROM ${dialect.rows('$1', 'asked', { asked_no: 'integer', new_rev: 'integer' })}
       JOIN incident ON incident.no = asked.asked_no
     RETURNING ${INCIDENT_COLUMNS}`,
    [JSON.stringify(accepted.map(({ no }, index) => ({ asked_no: no, new_rev: rev + index })))],
  );
  const drafts = newRows.map(({ no, site, box, reopens }) =>
    Object.assign(actorOf(account), {
      act: 'reopen' as const,
      site,
      box,
      incident: no,
      more: { reopens },
    }),
  );
  const acts = await recordAll(transaction, dialect, drafts, nowMs);
  const { name: user, isProgram } = account;
  const windows = newRows.map(({ no }, index) => {
    const former = { revision: 0, rows: { incident: no } };
    const window = { act: acts[index] ?? 0, account: user, isProgram, incident: no, revision: 0, former };
    return Object.assign(window, { name: 'reopen' as const });
  });
  const endTime = await openWindows(transaction, dialect, windows, nowMs);
  await tell(transaction, db);
  const updated = new Map(newRows.map((row) => [row.reopens ?? 0, row]));
  return { updated, refusals, undo: { acts, until: endTime } };
}

/** Incidents by number and by what they are compared with: the columns of their episodes. */
const EPISODE = {
  asked_no: 'integer',
  site: 'text',
  box: 'text',
  episode: 'text',
  entry: 'integer',
} as const;

/** Returns why incidents are not reopened, by number. */
async function refusalsOf(
  transaction: Queries,
  { dialect }: Sql,
  incidents: readonly SeenIncident[],
  rows: ReadonlyMap<number, IncidentRow>,
): Promise<Map<number, CallError>> {
  const episodes = JSON.stringify(
    [...rows.values()].map(({ no, site, box, episode, entry }) => ({
      asked_no: no,
      site,
      box,
      episode,
      entry,
    })),
  );
  const askedRows = dialect.rows('$1', 'asked', EPISODE);
  // `|| ''` keeps a planner without statistics from other indexes than the one by episode.
  const circumstances = await transaction.all<{
    asked_no: number;
    later: number | null;
    revoked: boolean | number;
  }>(
    `SELECT asked.asked_no, (SELECT min(later.no) FROM incident AS later WHERE later.episode = asked.episode
         AND later.site || '' = asked.site AND later.box || '' = asked.box AND later.entry > asked.entry) AS later,
       EXISTS (SELECT 1 FROM camera WHERE camera.site = asked.site AND camera.box = asked.box AND is_removed)
         AS revoked
     FROM ${askedRows}`,
    [episodes],
  );
  const facts = new Map(circumstances.map(({ asked_no: no, later, revoked }) => [no, { later, revoked }]));
  const laterRows = await transaction.all<IncidentRow>(
    `SELECT ${INCIDENT_COLUMNS} FROM incident
     WHERE no IN (SELECT asked.asked_no FROM ${dialect.rows('$1', 'asked', { asked_no: 'integer' })})`,
    [JSON.stringify(circumstances.flatMap(({ later }) => (later === null ? [] : [{ asked_no: later }])))],
  );
  const laterOf = new Map(laterRows.map((row) => [row.no, row]));
  const refusals = new Map<number, CallError>();
  for (const { no, revision } of incidents) {
    const row = rows.get(no);
    try {
      if (row === undefined) throw missing(no);
      const { later, revoked } = facts.get(no) ?? { later: null, revoked: false };
      if (row.state !== 'closed') throw conflict(row, 'it is still open');
      if (row.closed_reason === 'reopening-undone')
        throw conflict(row, `its reopening was undone; reopen incident ${row.reopens}`);
      // Its messages no longer count, and the archive would close the incident again.
      if (revoked) throw conflict(row, `its box ${row.box} was revoked; enrol it again first`);
      if (later !== null) {
        const line = `incident ${no}: it was reopened already, as incident ${later}`;
        const laterRow = laterOf.get(later);
        throw new CallError(409, line, laterRow && incidentOf(laterRow));
      }
      mustBeAsSeen(row, revision);
    } catch (error) {
      if (!(error instanceof CallError)) throw error;
      refusals.set(no, error);
    }
  }
  return refusals;
}

/**
 * Withdraws new entries whose reopening is undone: they are closed and leave every list. The box's later events go to
 * the earlier entries, which are the newest ones of their episodes again.
 *
 * An entry keeps its number, because the audit log names it. Its `entry` becomes negative, so that it is never the
 * newest.
 */
export async function withdrawEntries(
  transaction: Queries,
  { dialect }: Sql,
  nos: readonly number[],
  nowMs: number,
): Promise<void> {
  const rev = await next(transaction, 'rev', nos.length);
  const rows = JSON.stringify(nos.map((no, index) => ({ new_no: no, new_rev: rev + index })));
  const newRows = dialect.rows('$1', 'asked', { new_no: 'integer', new_rev: 'integer' });
  await transaction.run(
    `UPDATE incident SET rev = asked.new_rev, ${EVENT_COLUMNS.map((name) => `${name} = undone.${name}`).join(', ')}
     FROM ${newRows} JOIN incident AS undone ON undone.no = asked.new_no
     WHERE incident.no = undone.reopens AND incident.events <> undone.events`,
    [rows],
  );
  await transaction.run(
    `UPDATE incident SET state = 'closed', closed_reason = 'reopening-undone', closed_at = $2, entry = -incident.no
     FROM ${newRows} WHERE incident.no = asked.new_no`,
    [rows, iso(nowMs)],
  );
}
