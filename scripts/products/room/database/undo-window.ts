/**
 * Stores which actions can still be undone. What an action causes outside the room waits for the end of its window.
 *
 * INVARIANTS:
 * - An action can be undone only while its row exists. A sender skips what has a row, so nothing undone is sent.
 * - A window is opened in the transaction of its action, and closed in one that holds the counter `rev`. After a crash
 *   the next closing by any program continues.
 * - An incident gets a new `rev` when its window closes, so every reader of changes meets it again.
 * - A wrong clock keeps no window open for longer than UNDO_S and CLOCKS_APART_MS. A window that ends later than that
 *   was opened before the clock was set back, and counts as over. A clock set forward only shortens the windows.
 */
import { CLOCKS_APART_MS, UNDO_S } from '../contract/terms.ts';
import type { Undoable } from '../contract/undo.ts';
import { next } from './counters.ts';
import { type Dialect, iso, type Queries, type Sql } from './sql.ts';

/** State that an undo restores. */
export interface Former {
  /** Revision of the incident before the action. */
  readonly revision?: number;
  /** Values, before the action, of the incident's columns that it changed. */
  readonly columns?: Readonly<Record<string, string | null>>;
  /** Amounts that the action added to the statistics of the incident's hour. */
  readonly sums?: Readonly<Record<string, number>>;
  /** Numbers of rows that the action created, by table. */
  readonly rows?: Readonly<Record<string, number>>;
}

export interface UndoWindow {
  /** Number of the action in the audit log. */
  readonly act: number;
  readonly name: Undoable;
  readonly account: string;
  readonly isProgram: boolean;
  readonly incident: number | null;
  /** Revision of the incident after the action. */
  readonly revision: number | null;
  readonly former: Former;
}

const COLUMNS = {
  act: 'integer',
  name: 'text',
  account: 'text',
  is_program: 'boolean',
  until: 'time',
  incident: 'integer',
  revision: 'integer',
  verdict_due: 'integer',
  former: 'json',
} as const;

/** Opens windows of UNDO_S, in the transaction of their actions. Returns their end. */
export async function openWindows(
  transaction: Queries,
  dialect: Dialect,
  windows: readonly UndoWindow[],
  nowMs: number,
): Promise<string> {
  const endTime = iso(nowMs + UNDO_S * 1000);
  const names = Object.keys(COLUMNS).join(', ');
  const rows = windows.map(({ act, name, account, isProgram, incident, revision, former }) => ({
    act,
    name,
    account,
    is_program: isProgram,
    until: endTime,
    incident,
    revision,
    verdict_due: former.rows?.['verdict_due'] ?? null,
    former,
  }));
  await transaction.run(
    `INSERT INTO undo_window (${names}) SELECT ${names} FROM ${dialect.rows('$1', 'new', COLUMNS)}`,
    [JSON.stringify(rows)],
  );
  return endTime;
}

/** Times between which an open window ends. */
export function openBounds(nowMs: number): { readonly after: string; readonly latest: string } {
  return { after: iso(nowMs), latest: iso(nowMs + UNDO_S * 1000 + CLOCKS_APART_MS) };
}

/**
 * Closes the windows that are over. Returns the ms until the next one ends, or undefined if none is open.
 *
 * Writes nothing if none is over.
 */
export async function closeWindows(db: Sql, nowMs: number): Promise<number | undefined> {
  const { after, latest } = openBounds(nowMs);
  const ends = async (): Promise<{ first: string | null; last: string | null } | undefined> =>
    (
      await db.all<{ first: string | null; last: string | null }>(
        'SELECT min(until) AS first, max(until) AS last FROM undo_window',
      )
    )[0];
  let { first = null, last = null } = (await ends()) ?? {};
  if (first === null || last === null) return undefined;
  if (first <= after || last > latest) {
    await db.transaction((transaction) => close(transaction, db, after, latest));
    ({ first = null, last = null } = (await ends()) ?? {});
  }
  return first === null ? undefined : Math.max(0, Date.parse(first) - nowMs);
}

async function close(transaction: Queries, { dialect }: Sql, after: string, latest: string): Promise<void> {
  // Locks the counter before the rows, as every action does.
  await next(transaction, 'rev');
  const closed = await transaction.all<{ incident: number | null }>(
    'DELETE FROM undo_window WHERE until <= $1 OR until > $2 RETURNING incident',
    [after, latest],
  );
  const nos = [...new Set(closed.flatMap(({ incident }) => (incident === null ? [] : [incident])))];
  if (nos.length > 0) {
    const first = await next(transaction, 'rev', nos.length);
    const rows = nos.map((no, index) => ({ incident_no: no, new_rev: first + index }));
    await transaction.run(
      `UPDATE incident SET rev = numbered.new_rev
       FROM ${dialect.rows('$1', 'numbered', { incident_no: 'integer', new_rev: 'integer' })}
       WHERE incident.no = numbered.incident_no`,
      [JSON.stringify(rows)],
    );
  }
  if (dialect.notifySql !== undefined) await transaction.run(dialect.notifySql);
}
