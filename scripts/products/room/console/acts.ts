/** Handlers for claim, release, dispatch, note and reassign. */
import { CLAIM_S } from '../contract/terms.ts';
import type { ActedIncident } from '../contract/undo.ts';
import { iso, type Queries, type Sql } from '../database/sql.ts';
import { type Change, claimOwnerOf, conflict, mustBeAsSeen, mustBeOpen, runAction } from './acting.ts';
import { addStatistics, type Sums } from './day-figure.ts';
import { type Call, CallError } from './handler.ts';
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
      // The account's own claim expired, and no one else claimed it since.
      keepsRevision: row.claimed_by === account.name,
      record: { act: 'claim', ...(row.claimed_by !== null && { more: { ranOut: row.claimed_by } }) },
      sums,
    };
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
 * was written.
 */
export function note(db: Sql, call: Call<'note'>): Promise<ActedIncident> {
  const { account, key, nowMs } = call;
  const decide = async (transaction: Queries, row: IncidentRow): Promise<Change> => {
    const text = textAsked('text', call.body.text).trim();
    if (text === '') throw new CallError(400, 'text: is empty; write a note');
    const [added] = await transaction.all<{ no: number }>(
      'INSERT INTO note (incident, at, account, text) VALUES ($1, $2, $3, $4) RETURNING no',
      [row.no, iso(nowMs), account.name, text],
    );
    return {
      set: {},
      record: { act: 'note', more: { characters: text.length } },
      rows: { note: added?.no ?? 0 },
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
