/**
 * How a person changes an incident.
 *
 * INVARIANTS: one transaction holds what is changed, its number (`rev`) and what is on record of it. The number is taken
 * before the incident is read: whoever has it is alone, so that of two who act at once the second sees what the first did.
 * What is refused leaves nothing behind.
 */
import type { AuditDraft } from '../contract/audit.ts';
import type { Incident } from '../contract/incident.ts';
import { CLAIM_S } from '../contract/terms.ts';
import { record } from '../database/audit.ts';
import { next } from '../database/counters.ts';
import { iso, type Queries, type Sql, type Value } from '../database/sql.ts';
import { noAsked } from './asked.ts';
import { type Account, CallError } from './handler.ts';
import { actorOf, INCIDENT_COLUMNS, type IncidentRow, incidentOf } from './rows.ts';

/** A UUID has 36. */
const KEY_CHARS_MAX = 128;

export interface Asked {
  readonly who: Account;
  readonly params: { readonly no: number };
  readonly nowMs: number;
}

export interface Change {
  /** By column; `rev` and `revision` besides. */
  readonly set: Readonly<Record<string, Value>>;
  /** Nobody need look again before acting: what a person has seen is still true. */
  readonly keepsRevision?: boolean;
  /** Absent where a screen has renewed a claim by itself. */
  readonly record?: Pick<AuditDraft, 'act' | 'more'>;
}

type Decide = (transaction: Queries, row: IncidentRow) => Promise<Change | undefined>;

/** `decide` throws a CallError, or gives undefined where nothing is to be changed. Gives the incident as it is then. */
export function act(db: Sql, { who, params: { no }, nowMs }: Asked, decide: Decide): Promise<Incident> {
  return db.transaction(async (transaction) => {
    const rev = await next(transaction, 'rev');
    const row = await lockedRow(transaction, db, no);
    const change = await decide(transaction, row);
    if (change === undefined) return incidentOf(row);
    const columns = Object.keys(change.set).map((name, index) => `, ${name} = $${index + 4}`);
    const [changed] = await transaction.all<IncidentRow>(
      `UPDATE incident SET rev = $2, revision = revision + $3${columns.join('')}
       WHERE no = $1 RETURNING ${INCIDENT_COLUMNS}`,
      [no, rev, change.keepsRevision === true ? 0 : 1, ...Object.values(change.set)],
    );
    if (change.record !== undefined) {
      const { site, box } = row;
      await record(transaction, { ...actorOf(who), site, box, incident: no, ...change.record }, nowMs);
    }
    await tell(transaction, db);
    return incidentOf(changed ?? row);
  });
}

/** With the number of changes in hand. Throws CallError 404. */
export async function lockedRow(transaction: Queries, { dialect }: Sql, no: number): Promise<IncidentRow> {
  const [row] = await transaction.all<IncidentRow>(
    `SELECT ${INCIDENT_COLUMNS} FROM incident WHERE no = $1 ${dialect.forUpdate}`,
    [noAsked('incident', no)],
  );
  if (row === undefined) throw new CallError(404, `there is no incident ${no}, or it is no longer kept`);
  return row;
}

export async function tell(transaction: Queries, { dialect }: Sql): Promise<void> {
  if (dialect.changed !== undefined) await transaction.run(dialect.changed);
}

/** Somebody was first, or it is not as the caller takes it to be: he gets what is true. */
export function conflict(row: IncidentRow, why: string): CallError {
  return new CallError(409, `incident ${row.no}: ${why}`, incidentOf(row));
}

export function mustBeOpen(row: IncidentRow): void {
  if (row.state === 'closed') throw conflict(row, 'it is closed; a supervisor can reopen it');
}

export function mustBeAsSeen(row: IncidentRow, seen: number): void {
  if (row.revision === seen) return;
  throw conflict(
    row,
    `it has changed since it was seen (revision ${row.revision}, seen ${seen}): look again`,
  );
}

/** Two consoles on one database may disagree by so much, as may one whose clock is set right. */
const CLOCKS_APART_MS = 60_000;

/**
 * Who has it now. A claim that has run out holds nobody off; nor does one that would last for longer than any claim is
 * given: the clock was put back since.
 */
export function holderOf(row: IncidentRow, nowMs: number): string | undefined {
  const { claimed_by: holder, claimed_until: until } = row;
  if (holder === null || until === null) return undefined;
  const leftMs = Date.parse(until) - nowMs;
  return leftMs > 0 && leftMs <= CLAIM_S * 1000 + CLOCKS_APART_MS ? holder : undefined;
}

/** The same key of somebody is the same act, done once. */
export interface Once {
  readonly who: Account;
  readonly act: 'dispatch' | 'note' | 'reopen';
  readonly key: string;
}

/** The incident that came of it, where it was done before. Throws CallError 400 for a key that cannot be one. */
export async function doneBefore(transaction: Queries, { who, act, key }: Once): Promise<number | undefined> {
  if (key === '' || key.length > KEY_CHARS_MAX) {
    const fault = key === '' ? 'missing' : `longer than ${KEY_CHARS_MAX} characters`;
    throw new CallError(
      400,
      `Idempotency-Key: ${fault}; a UUID that is kept for a second try would be right`,
    );
  }
  const [done] = await transaction.all<{ incident: number }>(
    'SELECT incident FROM done WHERE who = $1 AND key = $2',
    [who.name, `${act} ${key}`],
  );
  return done?.incident;
}

export async function noteDone(
  transaction: Queries,
  { who, act, key }: Once,
  incident: number,
  nowMs: number,
): Promise<void> {
  await transaction.run('INSERT INTO done (who, key, incident, at) VALUES ($1, $2, $3, $4)', [
    ...[who.name, `${act} ${key}`, incident, iso(nowMs)],
  ]);
}

export function usedFor(incident: number): CallError {
  return new CallError(
    400,
    `Idempotency-Key: was used for incident ${incident}; another act needs another key`,
  );
}
