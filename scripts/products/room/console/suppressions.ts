/**
 * Handlers of suppressions: for SUPPRESSION_S, new incidents of a rule or a camera stay out of the queue.
 *
 * INVARIANTS:
 * - Only the room's queue is affected: boxes, archive, statistics and webhooks are not.
 * - Incidents of priority 1 are never suppressed. Archive and queue check this for each incident.
 * - The end of a suppression and the return of its open incidents are one transaction.
 * LIMITS: SUPPRESSIONS_MAX at once, and SUPPRESSIONS_OF_ONE_MAX of one account; further ones are refused.
 */
import type { AuditDraft } from '../contract/audit.ts';
import type { Suppression } from '../contract/suppression.ts';
import type { ActedSuppression } from '../contract/suppression-routes.ts';
import { SUPPRESSION_REASON_CHARS, SUPPRESSION_S, SUPPRESSIONS_MAX } from '../contract/terms.ts';
import type { Undo } from '../contract/undo.ts';
import { record } from '../database/audit.ts';
import { next } from '../database/counters.ts';
import { iso, type Queries, type Sql } from '../database/sql.ts';
import { openWindows } from '../database/undo-window.ts';
import { suppressionsProblem } from './account-limits.ts';
import { nothingToUndo, tell } from './acting.ts';
import { type Account, type Call, CallError, LimitError } from './handler.ts';
import { noAsked, textAsked } from './request-params.ts';
import { actorOf } from './rows.ts';

const COLUMNS = 'no, site, box, rule, reason, account, started_at, ends_at, ended_at, ended_by, incidents';

interface SuppressionRow {
  readonly no: number;
  readonly site: string;
  readonly box: string;
  /** Empty for the whole camera. */
  readonly rule: string;
  readonly reason: string;
  readonly account: string;
  readonly started_at: string;
  readonly ends_at: string;
  readonly ended_at: string | null;
  readonly ended_by: string | null;
  readonly incidents: number;
}

function suppressionOf(row: SuppressionRow): Suppression {
  return {
    no: row.no,
    site: row.site,
    box: row.box,
    rule: row.rule === '' ? null : row.rule,
    reason: row.reason,
    account: row.account,
    startedAt: row.started_at,
    until: row.ends_at,
    endedAt: row.ended_at,
    endedBy: row.ended_by,
    incidents: row.incidents,
  };
}

/** Returns the suppressions that run, the oldest first. */
export async function runningOf(db: Queries): Promise<Suppression[]> {
  const rows = await db.all<SuppressionRow>(
    `SELECT ${COLUMNS} FROM suppression WHERE ended_at IS NULL ORDER BY no`,
  );
  return rows.map(suppressionOf);
}

/** Maximum number of suppressions in a shift report: twice SUPPRESSIONS_MAX in each hour of a shift fit. */
const REPORTED_MAX = 400;

/** Returns the suppressions that began in an interval. */
export async function startedIn(db: Queries, fromMs: number, toMs: number): Promise<Suppression[]> {
  const rows = await db.all<SuppressionRow>(
    `SELECT ${COLUMNS} FROM suppression WHERE started_at >= $1 AND started_at < $2 ORDER BY no LIMIT ${REPORTED_MAX}`,
    [iso(fromMs), iso(toMs)],
  );
  return rows.map(suppressionOf);
}

/** Returns the suppressions that run if one has changed in an interval of change numbers, else undefined. */
export async function suppressionsChanged(
  db: Queries,
  after: number,
  upTo: number,
): Promise<Suppression[] | undefined> {
  const rows = await db.all('SELECT no FROM suppression WHERE rev > $1 AND rev <= $2 LIMIT 1', [after, upTo]);
  return rows.length === 0 ? undefined : runningOf(db);
}

/**
 * Starts a suppression.
 * @throws {CallError} 404 for a rule or camera without alerts, 400 for priority 1, 409 if it is suppressed already or
 * SUPPRESSIONS_MAX run
 * @throws {LimitError} if SUPPRESSIONS_OF_ONE_MAX of the account run
 */
export async function suppress(db: Sql, call: Call<'suppress'>): Promise<ActedSuppression> {
  const { account, body, nowMs } = call;
  const { site, box, rule = '' } = body;
  const { min } = SUPPRESSION_REASON_CHARS;
  const reason = textAsked('reason', body.reason).trim();
  if (reason.length < min)
    throw new CallError(400, `reason: must have ${min} characters or more, without blanks at its ends`);
  return db.transaction(async (transaction) => {
    const rev = await next(transaction, 'rev');
    await mustBeSuppressible(transaction, { site, box, rule });
    const running = await rowsRunning(transaction, nowMs);
    const same = runningFor(running, { site, box, rule });
    if (same !== undefined) {
      const clock = same.ends_at.slice(11, 19);
      throw new CallError(409, `${nameOf(same)}: ${same.account} has suppressed it until ${clock} UTC`);
    }
    if (running.length >= SUPPRESSIONS_MAX)
      throw new CallError(409, `suppressions: ${SUPPRESSIONS_MAX} run, which is the most; end one first`);
    const ownProblem = suppressionsProblem(running, account.name);
    if (ownProblem !== undefined) throw new LimitError('suppressions', ownProblem);
    const endTime = iso(nowMs + SUPPRESSION_S * 1000);
    const [row] = await transaction.all<SuppressionRow>(
      `INSERT INTO suppression (rev, site, box, rule, reason, account, started_at, ends_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING ${COLUMNS}`,
      [rev, site, box, rule, reason, account.name, iso(nowMs), endTime],
    );
    if (row === undefined) throw new Error('the database returned no row of the new suppression');
    // The reason is stored with the suppression, and deleted with it.
    const details = { suppression: row.no, rule: rule || null, until: endTime, characters: reason.length };
    const undo = await recordUndoable(transaction, db, { account, act: 'suppress', row, details, nowMs });
    await tell(transaction, db);
    return { ...suppressionOf(row), undo };
  });
}

const rowsRunning = (transaction: Queries, nowMs: number): Promise<SuppressionRow[]> =>
  transaction.all<SuppressionRow>(
    `SELECT ${COLUMNS} FROM suppression WHERE ended_at IS NULL AND ends_at > $1 ORDER BY no`,
    [iso(nowMs)],
  );

type Subject = Pick<SuppressionRow, 'site' | 'box' | 'rule'>;

const nameOf = ({ site, box, rule }: Subject): string => `${site}/${box}${rule === '' ? '' : ` ${rule}`}`;

async function mustBeSuppressible(transaction: Queries, subject: Subject): Promise<void> {
  const { site, box, rule } = subject;
  const [newest] = await transaction.all<{ priority: number }>(
    `SELECT priority FROM incident WHERE site = $1 AND box = $2 AND severity = 'alert' AND ($3 = '' OR rule = $3)
     ORDER BY received DESC, no DESC LIMIT 1`,
    [site, box, rule],
  );
  if (newest === undefined)
    throw new CallError(404, `${nameOf(subject)}: unknown rule or camera; name one with a stored alert`);
  if (rule !== '' && newest.priority === 1)
    throw new CallError(400, `${nameOf(subject)}: its alerts have priority 1, which is never suppressed`);
}

/**
 * Ends a suppression. Ending it again has no effect.
 * @throws {CallError} 404 if it does not exist
 */
export function unsuppress(db: Sql, call: Call<'unsuppress'>): Promise<ActedSuppression> {
  const { account, nowMs, params } = call;
  const no = noAsked('suppression', params.no);
  return db.transaction(async (transaction) => {
    await next(transaction, 'rev');
    const [row] = await transaction.all<SuppressionRow>(`SELECT ${COLUMNS} FROM suppression WHERE no = $1`, [
      no,
    ]);
    if (row === undefined)
      throw new CallError(404, `suppression ${no} does not exist, or is no longer stored`);
    if (row.ended_at !== null) return { ...suppressionOf(row), undo: nothingToUndo(nowMs) };
    const { suppression, entered } = await endOne(transaction, row, account.name, nowMs);
    const { rule, incidents } = suppression;
    const details = { suppression: no, rule: rule || null, incidents, entered };
    const undo = await recordUndoable(transaction, db, { account, act: 'unsuppress', row, details, nowMs });
    await tell(transaction, db);
    return { ...suppressionOf(suppression), undo };
  });
}

interface RecordedAction {
  readonly account: Account;
  readonly act: 'suppress' | 'unsuppress';
  readonly row: SuppressionRow;
  readonly details: AuditDraft['more'] & object;
  readonly nowMs: number;
}

/** Writes the audit entry of an action, and opens the window in which it can be undone. */
async function recordUndoable(
  transaction: Queries,
  { dialect }: Sql,
  { account, act: name, row, details, nowMs }: RecordedAction,
): Promise<Undo> {
  const { no, site, box } = row;
  const act = await record(transaction, { ...actorOf(account), act: name, site, box, more: details }, nowMs);
  const { name: user, isProgram } = account;
  const former = { rows: { suppression: no } };
  const window = { act, name, account: user, isProgram, incident: null, revision: null, former };
  return { acts: [act], until: await openWindows(transaction, dialect, [window], nowMs) };
}

/** Ends all suppressions whose time is over, each in its own transaction. */
export async function endExpired(db: Sql, nowMs: number): Promise<void> {
  const due = await db.all<{ no: number }>(
    'SELECT no FROM suppression WHERE ended_at IS NULL AND ends_at <= $1 ORDER BY no',
    [iso(nowMs)],
  );
  for (const { no } of due) {
    await db.transaction(async (transaction) => {
      await next(transaction, 'rev');
      // Another console may have ended it.
      const [row] = await transaction.all<SuppressionRow>(
        `SELECT ${COLUMNS} FROM suppression WHERE no = $1 AND ended_at IS NULL`,
        [no],
      );
      if (row === undefined) return;
      const { suppression, entered } = await endOne(transaction, row, null, nowMs);
      const { site, box, rule, incidents } = suppression;
      const details = { suppression: no, rule: rule || null, incidents, entered };
      const actor = { account: 'room', role: 'room' } as const;
      await record(transaction, { ...actor, act: 'suppression-ended', site, box, more: details }, nowMs);
      await tell(transaction, db);
    });
  }
}

/** Ends a suppression, and lets its open incidents enter the queue. The counter `rev` must be locked. */
async function endOne(
  transaction: Queries,
  { no }: Pick<SuppressionRow, 'no'>,
  endedBy: string | null,
  nowMs: number,
): Promise<{ readonly suppression: SuppressionRow; readonly entered: number }> {
  const [counted] = await transaction.all<{ n: number }>(
    "SELECT count(*) AS n FROM incident WHERE suppression = $1 AND is_suppressed AND state <> 'closed'",
    [no],
  );
  const entered = counted?.n ?? 0;
  const first = await next(transaction, 'rev', entered + 1);
  await transaction.run(
    `UPDATE incident SET is_suppressed = FALSE, rev = $2 + entering.place
     FROM (SELECT no, row_number() OVER (ORDER BY no) AS place FROM incident
           WHERE suppression = $1 AND is_suppressed AND state <> 'closed') AS entering
     WHERE incident.no = entering.no`,
    [no, first],
  );
  const [suppression] = await transaction.all<SuppressionRow>(
    `UPDATE suppression SET ended_at = $2, ended_by = $3, rev = $4 WHERE no = $1 RETURNING ${COLUMNS}`,
    [no, iso(nowMs), endedBy, first],
  );
  if (suppression === undefined) throw new Error(`suppression ${no} has left the table while it was locked`);
  return { suppression, entered };
}

/** Returns the suppression that runs for the same subject, or for its whole camera. */
function runningFor(
  running: readonly SuppressionRow[],
  { site, box, rule }: Subject,
): SuppressionRow | undefined {
  return running.find(
    (other) => other.site === site && other.box === box && (other.rule === '' || other.rule === rule),
  );
}

/** Undoes the start of suppressions: they end, and their open incidents enter the queue. */
export async function undoSuppress(
  transaction: Queries,
  nos: readonly number[],
  nowMs: number,
): Promise<void> {
  for (const no of nos) {
    const [row] = await transaction.all<SuppressionRow>(
      `SELECT ${COLUMNS} FROM suppression WHERE no = $1 AND ended_at IS NULL`,
      [no],
    );
    if (row !== undefined) await endOne(transaction, row, row.account, nowMs);
  }
}

/**
 * Returns why the ends of suppressions cannot be undone, by number: their hour is over, or another one runs for the
 * same subject.
 */
export async function undoProblems(
  transaction: Queries,
  nos: readonly number[],
  nowMs: number,
): Promise<Map<number, string>> {
  const running = await rowsRunning(transaction, nowMs);
  const problems = new Map<number, string>();
  for (const no of nos) {
    const [row] = await transaction.all<SuppressionRow>(`SELECT ${COLUMNS} FROM suppression WHERE no = $1`, [
      no,
    ]);
    const other = row === undefined ? undefined : runningFor(running, row);
    const ownProblem = row === undefined ? undefined : suppressionsProblem(running, row.account);
    if (row === undefined || row.ends_at <= iso(nowMs))
      problems.set(no, `suppression ${no}: its hour is over`);
    else if (other !== undefined)
      problems.set(no, `${nameOf(row)}: ${other.account} has suppressed it again since`);
    else if (running.length >= SUPPRESSIONS_MAX)
      problems.set(no, `suppressions: ${SUPPRESSIONS_MAX} run, which is the most; end one first`);
    else if (ownProblem !== undefined) problems.set(no, ownProblem);
    else running.push(row);
  }
  return problems;
}

/** Undoes the end of suppressions. They run again until their hour is over, and waiting incidents leave the queue. */
export async function undoUnsuppress(transaction: Queries, nos: readonly number[]): Promise<void> {
  for (const no of nos) {
    const [counted] = await transaction.all<{ n: number }>(
      "SELECT count(*) AS n FROM incident WHERE suppression = $1 AND state = 'new' AND NOT is_suppressed",
      [no],
    );
    const first = await next(transaction, 'rev', (counted?.n ?? 0) + 1);
    // The new revision marks them as shown before, so that screens hear that they leave.
    await transaction.run(
      `UPDATE incident SET is_suppressed = TRUE, revision = revision + 1, rev = $2 + leaving.place
       FROM (SELECT no, row_number() OVER (ORDER BY no) AS place FROM incident
             WHERE suppression = $1 AND state = 'new' AND NOT is_suppressed) AS leaving
       WHERE incident.no = leaving.no`,
      [no, first],
    );
    await transaction.run('UPDATE suppression SET ended_at = NULL, ended_by = NULL, rev = $2 WHERE no = $1', [
      no,
      first,
    ]);
  }
}
