/** Handlers of reopening: a new entry of the same episode, and its withdrawal by an undo. */
import type { ActedIncident } from '../contract/undo.ts';
import { record } from '../database/audit.ts';
import { next } from '../database/counters.ts';
import { EVENT_COLUMNS } from '../database/incident-columns.ts';
import { iso, type Queries, type Sql } from '../database/sql.ts';
import { openWindows } from '../database/undo-window.ts';
import {
  acted,
  conflict,
  doneBefore,
  lockedRow,
  mustBeAsSeen,
  noteDone,
  tell,
  undoOf,
  usedFor,
} from './acting.ts';
import { type Call, CallError } from './handler.ts';
import { actorOf, INCIDENT_COLUMNS, type IncidentRow, incidentOf } from './rows.ts';

/** Columns that a new entry copies from the one that it reopens. */
const COPIED_COLUMNS = `site, box, episode, severity, priority, kind, rule, place, started_at, ended_at, received, clock_doubt, objects,
  cause, events, newest, still, detail`;

/**
 * Refuses incidents of revoked boxes: their messages no longer count, and the archive would close the incident again.
 */
async function mustBeEnrolled(transaction: Queries, row: IncidentRow): Promise<void> {
  const [revokedCamera] = await transaction.all(
    'SELECT 1 AS removed FROM camera WHERE site = $1 AND box = $2 AND is_removed',
    [row.site, row.box],
  );
  if (revokedCamera !== undefined)
    throw conflict(row, `its box ${row.box} was revoked; enrol it again first`);
}

/** Creates a new entry of the same episode; the closed one stays unchanged. Only the latest entry can be reopened. */
export function reopen(db: Sql, call: Call<'reopen'>): Promise<ActedIncident> {
  const { account, key, nowMs, body, params } = call;
  const action = { account, key, action: 'reopen' } as const;
  return db.transaction(async (transaction) => {
    const rev = await next(transaction, 'rev');
    const earlier = await doneBefore(transaction, action);
    if (earlier !== undefined) {
      const reopened = await lockedRow(transaction, db, earlier.incident);
      if (reopened.reopens !== params.no) throw usedFor(reopened.reopens ?? earlier.incident);
      return acted(reopened, await undoOf(transaction, earlier.act, nowMs));
    }
    const row = await lockedRow(transaction, db, params.no);
    if (row.state !== 'closed') throw conflict(row, 'it is still open');
    if (row.closed_reason === 'reopening-undone')
      throw conflict(row, `its reopening was undone; reopen incident ${row.reopens}`);
    const { site, box, episode, entry } = row;
    await mustBeEnrolled(transaction, row);
    const [later] = await transaction.all<IncidentRow>(
      `SELECT ${INCIDENT_COLUMNS} FROM incident WHERE site = $1 AND box = $2 AND episode = $3 AND entry > $4
       ORDER BY entry LIMIT 1`,
      [site, box, episode, entry],
    );
    if (later !== undefined) {
      const line = `incident ${row.no}: it was reopened already, as incident ${later.no}`;
      throw new CallError(409, line, incidentOf(later));
    }
    mustBeAsSeen(row, body.revision);
    const { integer } = db.dialect.types;
    const [newRow] = await transaction.all<IncidentRow>(
      `INSERT INTO incident (${COPIED_COLUMNS}, entry, rev, revision, state, reopens)
       SELECT ${COPIED_COLUMNS}, entry + 1, CAST($2 AS ${integer}), 0, 'new', no FROM incident WHERE no = $1
       RETURNING ${INCIDENT_COLUMNS}`,
      [params.no, rev],
    );
    if (newRow === undefined)
      throw new CallError(404, `incident ${params.no} does not exist, or is no longer stored`);
    const draft = { act: 'reopen', site, box, incident: newRow.no, more: { reopens: row.no } } as const;
    const act = await record(transaction, Object.assign(actorOf(account), draft), nowMs);
    const { name: user, isProgram } = account;
    const former = { revision: 0, rows: { incident: newRow.no } };
    const window = { act, account: user, isProgram, incident: newRow.no, revision: 0, former };
    const endTime = await openWindows(transaction, db.dialect, [{ ...window, name: 'reopen' }], nowMs);
    await noteDone(transaction, action, { incident: newRow.no, act, nowMs });
    await tell(transaction, db);
    return acted(newRow, { acts: [act], until: endTime });
  });
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
