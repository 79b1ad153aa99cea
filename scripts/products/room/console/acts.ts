/** Handlers for claim, release, dispatch, note and reassign, and the end of claims whose time is over. */
import { CLAIM_S, NOTES_OF_ONE_MAX } from '../contract/terms.ts';
import type { ActedIncident } from '../contract/undo.ts';
import { recordAll } from '../database/audit.ts';
import { next } from '../database/counters.ts';
import { iso, type Queries, type Sql } from '../database/sql.ts';
import { limitClaims } from './account-limits.ts';
import {
  type Change,
  claimBounds,
  claimOwnerOf,
  conflict,
  mustBeAsSeen,
  mustBeOpen,
  runAction,
  tell,
} from './acting.ts';
import { addStatistics, type Sums } from './day-figure.ts';
import { type Call, CallError, LimitError } from './handler.ts';
import type { Patrol } from './patrol-settings.ts';
import { patrolAsked } from './patrols.ts';
import { textAsked } from './request-params.ts';
import type { IncidentRow } from './rows.ts';

/**
 * Minimum age of a claim before it is renewed, in s. Every screen is notified of a change, and an open incident asks
 * more often.
 */
const RENEW_AFTER_S = 30;

const claimEnd = (nowMs: number): string => iso(nowMs + CLAIM_S * 1000);
const clock = (at: string | null): string => (at ?? '').slice(11, 19);

/**
 * Claims an incident, or prolongs the claim by CLAIM_S.
 * @throws {CallError} 409 if it is closed or claimed by another person
 * @throws {LimitError} if the account has CLAIMS_OF_ONE_MAX others
 */
export function claim(db: Sql, call: Call<'claim'>, timeZone: string): Promise<ActedIncident> {
  const { account, nowMs } = call;
  return runAction(db, call, async (transaction, row) => {
    mustBeOpen(row);
    const owner = claimOwnerOf(row, nowMs);
    if (owner !== undefined && owner !== account.name) {
      throw conflict(row, `${owner} has it until ${clock(row.claimed_until)} UTC`);
    }
    const endTime = claimEnd(nowMs);
    if (owner === account.name) {
      const usedMs = CLAIM_S * 1000 - (Date.parse(row.claimed_until ?? '') - nowMs);
      if (usedMs <= RENEW_AFTER_S * 1000) return undefined;
      return { set: { claimed_until: endTime }, keepsRevision: true };
    }
    await limitClaims(transaction, account, nowMs);
    const waitedS = Math.max(0, nowMs - Date.parse(row.received)) / 1000;
    const sums: Sums = row.claimed_first === null ? { claims: 1, claim_s: waitedS } : {};
    await addStatistics(transaction, db.dialect, timeZone, [{ incident: row, add: sums }]);
    return {
      set: {
        state: row.state === 'new' ? 'claimed' : row.state,
        claimed_by: account.name,
        claimed_until: endTime,
        claimed_first: row.claimed_first ?? iso(nowMs),
      },
      record: { act: 'claim' },
      sums,
    };
  });
}

/**
 * Makes incidents new again whose claim is over, in one transaction. No person has acted, so `revision` stays. A
 * dispatched incident stays dispatched.
 */
export async function endClaims(db: Sql, nowMs: number): Promise<void> {
  const { after, latest } = claimBounds(nowMs);
  const over = "FROM incident WHERE state = 'claimed' AND (claimed_until <= $1 OR claimed_until > $2)";
  if ((await db.all(`SELECT no ${over} LIMIT 1`, [after, latest])).length === 0) return;
  const { dialect } = db;
  await db.transaction(async (transaction) => {
    await next(transaction, 'rev');
    // Another console may have ended them.
    const rows = await transaction.all<Pick<IncidentRow, 'no' | 'site' | 'box' | 'claimed_by'>>(
      `SELECT no, site, box, claimed_by ${over} ORDER BY no ${dialect.forUpdate}`,
      [after, latest],
    );
    const first = await next(transaction, 'rev', rows.length);
    await transaction.run(
      `UPDATE incident SET rev = ended.new_rev, state = 'new', claimed_by = NULL, claimed_until = NULL
       FROM ${dialect.rows('$1', 'ended', { ended_no: 'integer', new_rev: 'integer' })} WHERE incident.no = ended.ended_no`,
      [JSON.stringify(rows.map(({ no }, index) => ({ ended_no: no, new_rev: first + index })))],
    );
    const actor = { account: 'room', role: 'room', act: 'claim-ended' } as const;
    const drafts = rows.map(({ no, site, box, claimed_by: owner }) =>
      Object.assign({ site, box, incident: no, more: { owner } }, actor),
    );
    await recordAll(transaction, dialect, drafts, nowMs);
    await tell(transaction, db);
  });
}

/** Gives up the claim. The incident is new again for everyone, unless someone was dispatched. */
export function release(db: Sql, call: Call<'release'>): Promise<ActedIncident> {
  return runAction(db, call, async (_transaction, row) => {
    mustBeOpen(row);
    if (row.claimed_by !== call.account.name) throw conflict(row, `${call.account.name} does not have it`);
    const state = row.state === 'claimed' ? 'new' : row.state;
    return { set: { state, claimed_by: null, claimed_until: null }, record: { act: 'release' } };
  });
}

/**
 * Dispatches a patrol of the room's list, or one that is not named. If a patrol has declined, another one can be
 * dispatched.
 */
export async function dispatch(
  db: Sql,
  call: Call<'dispatch'>,
  patrols: readonly Patrol[],
): Promise<ActedIncident> {
  const { account, key, nowMs, body } = call;
  const patrol = patrolAsked(body.patrol, patrols);
  const decide = async (_transaction: Queries, row: IncidentRow): Promise<Change> => {
    mustBeOpen(row);
    if (row.state === 'dispatched' && row.patrol_answer !== 'declined') {
      throw conflict(row, `${row.dispatched_by} has dispatched a patrol at ${clock(row.dispatched_at)} UTC`);
    }
    if (claimOwnerOf(row, nowMs) !== account.name)
      throw conflict(row, `${account.name} does not have it: claim it first`);
    mustBeAsSeen(row, body.revision);
    return {
      set: {
        state: 'dispatched',
        dispatched_by: account.name,
        dispatched_at: iso(nowMs),
        patrol,
        patrol_answer: null,
        patrol_answer_at: null,
      },
      record: { act: 'dispatch', ...(patrol !== null && { more: { patrol } }) },
    };
  };
  return runAction(db, call, decide, { account, key, action: 'dispatch' });
}

/**
 * Adds a note, also to a closed incident. The text is stored with the incident; the audit log only records that a note
 * was written. It stops no one's verdict and no undo, so `revision` stays.
 * @throws {LimitError} if the account has NOTES_OF_ONE_MAX notes on the incident
 */
export function note(db: Sql, call: Call<'note'>): Promise<ActedIncident> {
  const { account, key, nowMs } = call;
  const decide = async (transaction: Queries, row: IncidentRow): Promise<Change> => {
    const text = textAsked('text', call.body.text).trim();
    if (text === '') throw new CallError(400, 'text: is empty; write a note');
    const [own] = await transaction.all<{ n: number }>(
      'SELECT count(*) AS n FROM note WHERE incident = $1 AND account = $2',
      [row.no, account.name],
    );
    if ((own?.n ?? 0) >= NOTES_OF_ONE_MAX) {
      const line = `incident ${row.no}: ${account.name} has ${NOTES_OF_ONE_MAX} notes on it, which is the most`;
      throw new LimitError('notes', line);
    }
    const [added] = await transaction.all<{ no: number }>(
      'INSERT INTO note (incident, at, account, text) VALUES ($1, $2, $3, $4) RETURNING no',
      [row.no, iso(nowMs), account.name, text],
    );
    const noteNo = added?.no ?? 0;
    await transaction.run('UPDATE incident SET last_note = $2 WHERE no = $1', [row.no, noteNo]);
    return {
      set: {},
      keepsRevision: true,
      record: { act: 'note', more: { characters: text.length } },
      rows: { note: noteNo },
    };
  };
  return runAction(db, call, decide, { account, key, action: 'note' });
}

/** Assigns the incident to another account. `people` lists the accounts that may receive it. */
export function reassign(db: Sql, call: Call<'reassign'>, people: readonly string[]): Promise<ActedIncident> {
  const { to, revision } = call.body;
  return runAction(db, call, async (_transaction, row) => {
    if (!people.includes(to))
      throw new CallError(400, 'to: not a person of this room; use a name of `people`');
    mustBeOpen(row);
    if (row.state === 'new') throw conflict(row, 'it is unclaimed; claim it first');
    mustBeAsSeen(row, revision);
    return {
      set: { claimed_by: to, claimed_until: claimEnd(call.nowMs) },
      record: { act: 'reassign', more: { from: row.claimed_by, to } },
    };
  });
}
