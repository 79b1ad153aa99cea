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
import type { Incident } from '../contract/incident.ts';
import { CLAIM_S } from '../contract/terms.ts';
import { record } from '../database/audit.ts';
import { next } from '../database/counters.ts';
import { iso, type Queries, type Sql, type Value } from '../database/sql.ts';
import { type Account, CallError } from './handler.ts';
import { noAsked } from './request-params.ts';
import { actorOf, INCIDENT_COLUMNS, type IncidentRow, incidentOf } from './rows.ts';

/** Maximum length of an idempotency key; a UUID has 36 characters. */
const KEY_CHARS_MAX = 128;

export interface ActionRequest {
  readonly account: Account;
  readonly params: { readonly no: number };
  readonly nowMs: number;
}

export interface Change {
  /** New values by column; `rev` and `revision` are set in addition. */
  readonly set: Readonly<Record<string, Value>>;
  /** Leaves `revision` unchanged: what a person has seen is still current. */
  readonly keepsRevision?: boolean;
  /** Entry for the audit log; absent if a screen renewed a claim automatically. */
  readonly record?: Pick<AuditDraft, 'act' | 'more'>;
}

type Decide = (transaction: Queries, row: IncidentRow) => Promise<Change | undefined>;

/**
 * Runs an action in a transaction and returns the incident after it. `decide` throws a CallError, or returns undefined
 * if nothing changes.
 */
export function runAction(
  db: Sql,
  { account, params: { no }, nowMs }: ActionRequest,
  decide: Decide,
): Promise<Incident> {
  return db.transaction(async (transaction) => {
    const rev = await next(transaction, 'rev');
    const row = await lockedRow(transaction, db, no);
    const change = await decide(transaction, row);
    if (change === undefined) return incidentOf(row);
    const columns = Object.keys(change.set).map((name, index) => `, ${name} = $${index + 4}`);
    const [updatedRow] = await transaction.all<IncidentRow>(
      `UPDATE incident SET rev = $2, revision = revision + $3${columns.join('')}
       WHERE no = $1 RETURNING ${INCIDENT_COLUMNS}`,
      [no, rev, change.keepsRevision === true ? 0 : 1, ...Object.values(change.set)],
    );
    if (change.record !== undefined) {
      const { site, box } = row;
      await record(transaction, { ...actorOf(account), site, box, incident: no, ...change.record }, nowMs);
    }
    await tell(transaction, db);
    return incidentOf(updatedRow ?? row);
  });
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

/** Tolerated clock difference in ms, between two consoles on one database or after a clock correction. */
const CLOCKS_APART_MS = 60_000;

/**
 * Returns the holder of a valid claim.
 *
 * A claim is invalid once it has expired, or if it would last longer than any claim is granted: then the clock was set
 * back.
 */
export function claimOwnerOf(row: IncidentRow, nowMs: number): string | undefined {
  const { claimed_by: owner, claimed_until: endTime } = row;
  if (owner === null || endTime === null) return undefined;
  const leftMs = Date.parse(endTime) - nowMs;
  return leftMs > 0 && leftMs <= CLAIM_S * 1000 + CLOCKS_APART_MS ? owner : undefined;
}

/** An idempotent action: the same key of the same account is executed at most once. */
export interface KeyedAction {
  readonly account: Account;
  readonly action: 'dispatch' | 'note' | 'reopen';
  readonly key: string;
}

/**
 * Returns the incident of the earlier action with this key, if any.
 * @throws {CallError} 400 for an invalid key
 */
export async function doneBefore(
  transaction: Queries,
  { account, action, key }: KeyedAction,
): Promise<number | undefined> {
  if (key === '' || key.length > KEY_CHARS_MAX) {
    const problem = key === '' ? 'missing' : `longer than ${KEY_CHARS_MAX} characters`;
    throw new CallError(400, `Idempotency-Key: ${problem}; use a UUID and keep it for a retry`);
  }
  const [earlier] = await transaction.all<{ incident: number }>(
    'SELECT incident FROM completed_action WHERE account = $1 AND key = $2',
    [account.name, `${action} ${key}`],
  );
  return earlier?.incident;
}

export async function noteDone(
  transaction: Queries,
  { account, action, key }: KeyedAction,
  incident: number,
  nowMs: number,
): Promise<void> {
  await transaction.run('INSERT INTO completed_action (account, key, incident, at) VALUES ($1, $2, $3, $4)', [
    ...[account.name, `${action} ${key}`, incident, iso(nowMs)],
  ]);
}

export function usedFor(incident: number): CallError {
  return new CallError(
    400,
    `Idempotency-Key: was used for incident ${incident}; use another key for another action`,
  );
}
