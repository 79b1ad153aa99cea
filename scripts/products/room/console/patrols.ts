/** Handlers for the room's patrols: the list, and the answers of a dispatched patrol. */
import type { Patrols } from '../contract/patrol.ts';
import { NEXT_ANSWERS } from '../contract/terms.ts';
import type { ActedIncident } from '../contract/undo.ts';
import { iso, type Queries, type Sql } from '../database/sql.ts';
import { conflict, mustBeOpen, runAction } from './acting.ts';
import { addStatistics } from './day-figure.ts';
import { type Call, CallError } from './handler.ts';
import type { Patrol } from './patrol-settings.ts';
import { textAsked } from './request-params.ts';

/** Returns the patrols in the order of the list, with the number of their open incidents. */
export async function patrolsOf(db: Queries, patrols: readonly Patrol[]): Promise<Patrols['patrols']> {
  if (patrols.length === 0) return [];
  const rows = await db.all<{ patrol: string; n: number }>(
    `SELECT patrol, count(*) AS n FROM incident WHERE state = 'dispatched' AND severity = 'alert'
       AND patrol IS NOT NULL AND (patrol_answer IS NULL OR patrol_answer <> 'declined') GROUP BY patrol`,
  );
  return patrols.map(({ name, sites }) => ({
    name,
    sites: [...sites],
    open: rows.find(({ patrol }) => patrol === name)?.n ?? 0,
  }));
}

/**
 * Returns the patrol of a dispatch, or null if none is named.
 * @throws {CallError} 400 if it is not in the list
 */
export function patrolAsked(name: string | undefined, patrols: readonly Patrol[]): string | null {
  if (name === undefined) return null;
  const patrolName = textAsked('patrol', name);
  if (!patrols.some((patrol) => patrol.name === patrolName))
    throw new CallError(400, 'patrol: is not in the list of this room; use a name of GET /api/patrols');
  return patrolName;
}

/**
 * Stores an answer of the dispatched patrol, which came by radio or from a program. The same answer again has no effect.
 * @throws {CallError} 409 if another patrol is dispatched, or the answer does not follow the previous one
 */
export function reportPatrol(db: Sql, call: Call<'patrol'>, timeZone: string): Promise<ActedIncident> {
  const { nowMs } = call;
  const { patrol, answer } = call.body;
  return runAction(db, call, async (transaction, row) => {
    if (row.patrol === patrol && row.patrol_answer === answer) return undefined;
    mustBeOpen(row);
    if (row.state !== 'dispatched' || row.patrol === null)
      throw conflict(row, 'no patrol of the list is dispatched; dispatch one first');
    if (row.patrol !== patrol) throw conflict(row, `${row.patrol} is dispatched, not another patrol`);
    if (!NEXT_ANSWERS[row.patrol_answer ?? 'sent'].includes(answer))
      throw conflict(row, `${patrol} has ${row.patrol_answer}; ${answer} does not follow that`);
    const at = iso(nowMs);
    const tookS = Math.max(0, nowMs - Date.parse(row.dispatched_at ?? at)) / 1000;
    const sums = answer === 'arrived' ? { arrivals: 1, arrival_s: tookS } : {};
    await addStatistics(transaction, db.dialect, timeZone, [{ incident: row, add: sums }]);
    return {
      set: {
        patrol_answer: answer,
        patrol_answer_at: at,
        ...(answer === 'arrived' && { arrived_at: at }),
      },
      sums,
      record: { act: 'patrol-answer', more: { patrol, answer } },
    };
  });
}
