/**
 * Applies a person's action to an incident.
 *
 * INVARIANTS:
 * - One transaction contains the change, its number (`rev`) and its entry in the audit log.
 * - The number is taken before the incident is read, and its holder has exclusive access. Of two concurrent actions,
 *   the second sees the result of the first.
 * - A refused action leaves no trace in the database.
 */
import type { AuditDraft } from '../contract/audit.ts';
import { CLAIM_S, CLOCKS_APART_MS } from '../contract/terms.ts';
import type { ActedIncident, Undo, Undoable } from '../contract/undo.ts';
import { record } from '../database/audit.ts';
import { next } from '../database/counters.ts';
import { iso, type Queries, type Sql } from '../database/sql.ts';
import { type Former, openWindows } from '../database/undo-window.ts';
import type { Sums } from './day-figure.ts';
import { type Account, CallError } from './handler.ts';
import { noAsked } from './request-params.ts';
import {
  type ActionValues,
  actorOf,
  formerValues,
  INCIDENT_COLUMNS,
  type IncidentRow,
  incidentOf,
} from './rows.ts';

/** Maximum length of an idempotency key; a UUID has 36 characters. */
const KEY_CHARS_MAX = 128;

export interface ActionRequest {
  readonly account: Account;
  readonly params: { readonly no: number };
  readonly nowMs: number;
}

export interface Change {
  /** New values by column; `rev` and `revision` are set in addition. */
  readonly set: ActionValues;
  /** Leaves `revision` unchanged: what a person has seen is still current. */
  readonly keepsRevision?: boolean;
  /** Entry for the audit log; absent if a screen renewed a claim automatically. It can be undone. */
  readonly record?: { readonly act: Undoable } & Pick<AuditDraft, 'more'>;
  /** Amounts that the action added to the statistics. */
  readonly sums?: Sums;
  /** Numbers of rows that the action created, by table. */
  readonly rows?: Readonly<Record<string, number>>;
}

type Decide = (transaction: Queries, row: IncidentRow) => Promise<Change | undefined>;

/**
 * Runs an action in a transaction and returns the incident after it. `decide` throws a CallError, or returns undefined
 * if nothing changes. A `keyed` action is executed at most once.
 */
export function runAction(
  db: Sql,
  { account, params: { no }, nowMs }: ActionRequest,
  decide: Decide,
  keyed?: KeyedAction,
): Promise<ActedIncident> {
  return db.transaction(async (transaction) => {
    const rev = await next(transaction, 'rev');
    const row = await lockedRow(transaction, db, no);
    const earlier = keyed === undefined ? undefined : await doneBefore(transaction, keyed);
    if (earlier !== undefined) {
      if (earlier.incident !== no) throw usedFor(earlier.incident);
      return acted(row, await undoOf(transaction, earlier.act, nowMs));
    }
    const change = await decide(transaction, row);
    if (change === undefined) return acted(row, nothingToUndo(nowMs));
    const columns = Object.keys(change.set).map((name, index) => `, ${name} = $${index + 4}`);
    const [updatedRow = row] = await transaction.all<IncidentRow>(
      `UPDATE incident SET rev = $2, revision = revision + $3${columns.join('')}
       WHERE no = $1 RETURNING ${INCIDENT_COLUMNS}`,
      [no, rev, change.keepsRevision === true ? 0 : 1, ...Object.values(change.set)],
    );
    const undo = await recordUndoable(transaction, db, { account, row, updatedRow, change, nowMs });
    if (keyed !== undefined) await noteDone(transaction, keyed, { incident: no, act: undo.acts[0], nowMs });
    await tell(transaction, db);
    return acted(updatedRow, undo);
  });
}

interface CompletedChange {
  readonly account: Account;
  readonly row: IncidentRow;
  readonly updatedRow: IncidentRow;
  readonly change: Change;
  readonly nowMs: number;
}

/** Writes the audit entry of a change, and opens the window in which it can be undone. */
async function recordUndoable(
  transaction: Queries,
  { dialect }: Sql,
  { account, row, updatedRow, change, nowMs }: CompletedChange,
): Promise<Undo> {
  if (change.record === undefined) return nothingToUndo(nowMs);
  const { no, site, box } = row;
  const { act: name, more: details = {} } = change.record;
  const draft = Object.assign(actorOf(account), { act: name, site, box, incident: no, more: details });
  const act = await record(transaction, draft, nowMs);
  const former: Former = {
    revision: row.revision,
    columns: formerValues(row, change.set),
    sums: change.sums ?? {},
    rows: change.rows ?? {},
  };
  const { revision } = updatedRow;
  const { name: user, isProgram } = account;
  const window = { act, name, account: user, isProgram, incident: no, revision, former };
  return { acts: [act], until: await openWindows(transaction, dialect, [window], nowMs) };
}

export const acted = (row: IncidentRow, undo: Undo): ActedIncident =>
  Object.assign(incidentOf(row), { undo });

/** Answer to a call that changed nothing. */
export const nothingToUndo = (nowMs: number): Undo => ({ acts: [], until: iso(nowMs) });

/** Returns the undo of an earlier action, if it is still possible. */
export async function undoOf(transaction: Queries, act: number | null, nowMs: number): Promise<Undo> {
  const [openWindow] = await transaction.all<Pick<Undo, 'until'>>(
    'SELECT until FROM undo_window WHERE act = $1',
    [act],
  );
  return act === null || openWindow === undefined
    ? nothingToUndo(nowMs)
    : { acts: [act], until: openWindow.until };
}

/** Reads and locks incidents in one statement, by number. Call it while holding the change number. */
export async function lockedRows(
  transaction: Queries,
  { dialect }: Sql,
  nos: readonly number[],
): Promise<Map<number, IncidentRow>> {
  const rows = await transaction.all<IncidentRow>(
    `SELECT ${INCIDENT_COLUMNS} FROM incident
     WHERE no IN (SELECT asked.asked_no FROM ${dialect.rows('$1', 'asked', { asked_no: 'integer' })})
     ORDER BY no ${dialect.forUpdate}`,
    [JSON.stringify(nos.map((no) => ({ asked_no: no })))],
  );
  return new Map(rows.map((row) => [row.no, row]));
}

/**
 * Reads and locks an incident. Call it while holding the change number.
 * @throws {CallError} 404 if there is no such incident
 */
export async function lockedRow(transaction: Queries, { dialect }: Sql, no: number): Promise<IncidentRow> {
  const [row] = await transaction.all<IncidentRow>(
    `SELECT ${INCIDENT_COLUMNS} FROM incident WHERE no = $1 ${dialect.forUpdate}`,
    [noAsked('incident', no)],
  );
  if (row === undefined) throw new CallError(404, `incident ${no} does not exist, or is no longer stored`);
  return row;
}

export async function tell(transaction: Queries, { dialect }: Sql): Promise<void> {
  if (dialect.notifySql !== undefined) await transaction.run(dialect.notifySql);
}

/** Error for an action that came second or assumed an outdated state. It carries the current incident. */
export function conflict(row: IncidentRow, reason: string): CallError {
  return new CallError(409, `incident ${row.no}: ${reason}`, incidentOf(row));
}

export function mustBeOpen(row: IncidentRow): void {
  if (row.state === 'closed') throw conflict(row, 'it is closed; a supervisor can reopen it');
}

export function mustBeAsSeen(row: IncidentRow, seenRevision: number): void {
  if (row.revision === seenRevision) return;
  throw conflict(
    row,
    `it has changed since it was displayed (revision ${row.revision}, displayed ${seenRevision}); check it again`,
  );
}

/**
 * Returns the holder of a valid claim.
 *
 * A claim is invalid once it has expired, or if it would last longer than any claim is granted: then the clock was set
 * back.
 */
export function claimOwnerOf(row: IncidentRow, nowMs: number): string | undefined {
  const { claimed_by: owner, claimed_until: endTime } = row;
  if (owner === null || endTime === null) return undefined;
  const { after, latest } = claimBounds(nowMs);
  return endTime > after && endTime <= latest ? owner : undefined;
}

/** Times between which a valid claim ends. */
export function claimBounds(nowMs: number): { readonly after: string; readonly latest: string } {
  return { after: iso(nowMs), latest: iso(nowMs + CLAIM_S * 1000 + CLOCKS_APART_MS) };
}

/** An idempotent action: the same key of the same account is executed at most once. */
export interface KeyedAction {
  readonly account: Account;
  readonly action: 'dispatch' | 'note' | 'reopen';
  readonly key: string;
}

/** Incident and audit number of an earlier action with the same key. */
interface EarlierAction {
  readonly incident: number;
  readonly act: number | null;
}

/**
 * Returns the earlier action with this key, if any. It counts even if it was undone: a late retry must not repeat it.
 * @throws {CallError} 400 for an invalid key
 */
export async function doneBefore(
  transaction: Queries,
  { account, action, key }: KeyedAction,
): Promise<EarlierAction | undefined> {
  if (key === '' || key.length > KEY_CHARS_MAX) {
    const problem = key === '' ? 'missing' : `longer than ${KEY_CHARS_MAX} characters`;
    throw new CallError(400, `Idempotency-Key: ${problem}; use a UUID and keep it for a retry`);
  }
  const [earlier] = await transaction.all<EarlierAction>(
    'SELECT incident, act FROM completed_action WHERE account = $1 AND key = $2',
    [account.name, `${action} ${key}`],
  );
  return earlier;
}

export async function noteDone(
  transaction: Queries,
  { account, action, key }: KeyedAction,
  {
    incident,
    act,
    nowMs,
  }: { readonly incident: number; readonly act: number | undefined; readonly nowMs: number },
): Promise<void> {
  await transaction.run(
    'INSERT INTO completed_action (account, key, incident, at, act) VALUES ($1, $2, $3, $4, $5)',
    [...[account.name, `${action} ${key}`, incident, iso(nowMs), act ?? null]],
  );
}

export function usedFor(incident: number): CallError {
  return new CallError(
    400,
    `Idempotency-Key: was used for incident ${incident}; use another key for another action`,
  );
}
