/**
 * Handlers for verdicts, which close incidents: one, or many of one cause at once.
 *
 * INVARIANTS:
 * - Each incident of a bulk verdict is judged by the same rules as a single one, and is done or refused separately.
 * - A verdict without a view of the current picture needs `withoutLooking`, and the audit log marks it `unseen`.
 * LIMITS: BULK_MAX incidents in one transaction, in a fixed number of statements; CLOSINGS_OF_ONE_MAX of an account in
 * CLOSINGS_WITHIN_S.
 */
import type { Incident } from '../contract/incident.ts';
import type { ActedIncident, BulkAnswer } from '../contract/undo.ts';
import { recordAll } from '../database/audit.ts';
import { next } from '../database/counters.ts';
import { iso, type Queries, type Sql } from '../database/sql.ts';
import { openWindows } from '../database/undo-window.ts';
import { limitClosings } from './account-limits.ts';
import {
  acted,
  claimOwnerOf,
  conflict,
  lockedRows,
  mustBeAsSeen,
  mustBeOpen,
  nothingToUndo,
  tell,
} from './acting.ts';
import { type BulkResult, bulkAnswer, missing, namedOnce, type SeenIncident } from './bulk.ts';
import { addStatistics, type Sums } from './day-figure.ts';
import { type Account, type Call, CallError } from './handler.ts';
import { unseenOf } from './looking.ts';
import { noAsked } from './request-params.ts';
import {
  type ActionValues,
  actorOf,
  formerValues,
  INCIDENT_COLUMNS,
  type IncidentRow,
  incidentOf,
} from './rows.ts';

type Verdict = NonNullable<Incident['verdict']>;

interface Review {
  readonly account: Account;
  readonly nowMs: number;
  readonly timeZone: string;
  readonly verdict: Verdict;
  readonly withoutLooking: boolean;
}

/**
 * Closes an incident with a verdict. The box of an alert receives the verdict without the reviewer's name. If the
 * episode had an earlier verdict, the sums count only the later one.
 */
export function review(db: Sql, call: Call<'judge'>, timeZone: string): Promise<ActedIncident> {
  const { account, nowMs, params, body } = call;
  const { revision, verdict, withoutLooking = false } = body;
  const no = noAsked('incident', params.no);
  return db.transaction(async (transaction) => {
    const request = { account, nowMs, timeZone, verdict, withoutLooking };
    const { updated, refusals, undo } = await judge(transaction, db, request, [{ no, revision }]);
    const [row, refusal] = [updated.get(no), refusals.get(no)];
    if (row === undefined) throw refusal ?? missing(no);
    return acted(row, undo);
  });
}

/** Gives one verdict to many incidents. A refusal of one does not stop the others. */
export async function reviewAll(
  db: Sql,
  { account, nowMs, body }: Call<'verdicts'>,
  timeZone: string,
): Promise<BulkAnswer> {
  const { incidents, verdict, withoutLooking = false } = body;
  const safeIncidents = namedOnce(incidents);
  return db.transaction(async (transaction) => {
    const request = { account, nowMs, timeZone, verdict, withoutLooking };
    const { updated, refusals, undo } = await judge(transaction, db, request, safeIncidents);
    return bulkAnswer(incidents, { updated, refusals, undo });
  });
}

/** An incident that is judged now. */
interface Judgement {
  readonly row: IncidentRow;
  /** Verdict of an earlier entry of the episode. */
  readonly previous: Verdict | undefined;
  readonly at: string;
  readonly isUnseen: boolean;
  readonly sums: Sums;
}

async function judge(
  transaction: Queries,
  db: Sql,
  request: Review,
  incidents: readonly SeenIncident[],
): Promise<BulkResult> {
  const { account, nowMs, timeZone, verdict } = request;
  const { dialect } = db;
  const rev = await next(transaction, 'rev', Math.max(1, incidents.length));
  const rows = await lockedRows(
    transaction,
    db,
    incidents.map(({ no }) => no),
  );
  const { refusals, unseen } = await refusalsOf(transaction, db, request, { incidents, rows });
  const accepted = incidents.flatMap(({ no }) => rows.get(no) ?? []).filter(({ no }) => !refusals.has(no));
  if (accepted.length === 0) {
    return { updated: new Map(), refusals, undo: nothingToUndo(nowMs) };
  }
  await limitClosings(transaction, account, accepted.length, nowMs);
  const previous = await previousOf(transaction, db, accepted);
  const judgements = accepted.map((row): Judgement => {
    const before = previous.get(row.no);
    // A box accepts the later of two verdicts by its time. This one stays later even if the room's clock was set back.
    const at = iso(Math.max(nowMs, before === undefined ? nowMs : Date.parse(before.at) + 1));
    const sums = sumsOf(verdict, before?.verdict);
    return { row, previous: before?.verdict, at, isUnseen: unseen.has(row.no), sums };
  });
  const due = await tellBoxes(transaction, db, judgements, verdict);
  const updated = await closeRows(transaction, db, judgements, { rev, nowMs, verdict, account });
  await addStatistics(
    transaction,
    dialect,
    timeZone,
    judgements.map(({ row, sums }) => ({ incident: row, add: sums })),
  );
  const drafts = judgements.map(({ row, previous: former, isUnseen }) => {
    const details = { verdict, ...(former !== undefined && { former }), ...(isUnseen && { unseen: true }) };
    return Object.assign(actorOf(account), {
      act: 'judge' as const,
      site: row.site,
      box: row.box,
      incident: row.no,
      more: details,
    });
  });
  const acts = await recordAll(transaction, dialect, drafts, nowMs);
  const { name: user, isProgram } = account;
  const windows = judgements.map(({ row, sums }, index) => {
    const dueNo = due.get(episodeKeyOf(row));
    const former = {
      revision: row.revision,
      columns: formerValues(row, CHANGED_BY_VERDICT),
      sums,
      rows: dueNo === undefined ? {} : { verdict_due: dueNo },
    };
    const revision = updated.get(row.no)?.revision ?? 0;
    const act = acts[index] ?? 0;
    return { act, name: 'judge' as const, account: user, isProgram, incident: row.no, revision, former };
  });
  const endTime = await openWindows(transaction, dialect, windows, nowMs);
  await tell(transaction, db);
  return { updated, refusals, undo: { acts, until: endTime } };
}

interface LockedIncidents {
  readonly incidents: readonly SeenIncident[];
  readonly rows: ReadonlyMap<number, IncidentRow>;
}

/** Returns the refusals by incident, and the accepted incidents whose picture the account has not opened. */
async function refusalsOf(
  transaction: Queries,
  { dialect }: Sql,
  { account, nowMs, withoutLooking }: Review,
  { incidents, rows }: LockedIncidents,
): Promise<{ refusals: Map<number, CallError>; unseen: ReadonlySet<number> }> {
  const refusals = new Map<number, CallError>();
  for (const { no, revision } of incidents) {
    const row = rows.get(no);
    try {
      if (row === undefined) throw missing(no);
      mustBeOpen(row);
      const owner = claimOwnerOf(row, nowMs);
      if (account.role === 'operator' && owner !== undefined && owner !== account.name) {
        throw conflict(row, `${owner} has it: only its owner or a supervisor may close it`);
      }
      mustBeAsSeen(row, revision);
    } catch (error) {
      if (!(error instanceof CallError)) throw error;
      refusals.set(no, error);
    }
  }
  const left = [...rows.values()].filter(({ no }) => !refusals.has(no));
  const unseen = await unseenOf(transaction, dialect, account, left);
  for (const row of withoutLooking ? [] : left) {
    if (!unseen.has(row.no)) continue;
    const line = `incident ${row.no}: ${account.name} has not opened its picture; open it, or send withoutLooking`;
    refusals.set(row.no, new CallError(409, line, incidentOf(row), 'unseen'));
  }
  return { refusals, unseen };
}

interface Previous {
  readonly verdict: Verdict;
  readonly at: string;
}

/** Returns the newest verdict of earlier entries, by incident. */
async function previousOf(
  transaction: Queries,
  { dialect }: Sql,
  rows: readonly IncidentRow[],
): Promise<Map<number, Previous>> {
  const reopened = rows.filter(({ entry }) => entry > 1);
  if (reopened.length === 0) return new Map();
  const columns = {
    asked_no: 'integer',
    site: 'text',
    box: 'text',
    episode: 'text',
    asked_entry: 'integer',
  } as const;
  // `|| ''` keeps a planner without statistics from other indexes than the one by episode.
  const earlier = await transaction.all<Previous & { no: number }>(
    `SELECT asked.asked_no AS no, incident.verdict, incident.verdict_at AS at
     FROM ${dialect.rows('$1', 'asked', columns)} JOIN incident ON incident.episode = asked.episode
       AND incident.site || '' = asked.site AND incident.box || '' = asked.box
     WHERE incident.entry < asked.asked_entry AND incident.verdict IS NOT NULL ORDER BY incident.entry`,
    [
      JSON.stringify(
        reopened.map(({ no, site, box, episode, entry }) => ({
          asked_no: no,
          site,
          box,
          episode,
          asked_entry: entry,
        })),
      ),
    ],
  );
  return new Map(earlier.map(({ no, verdict, at }) => [no, { verdict, at }]));
}

const episodeKeyOf = ({ site, box, episode }: Pick<IncidentRow, 'site' | 'box' | 'episode'>): string =>
  `${site}/${box}/${episode}`;

/** Queues verdicts for delivery to the boxes. Returns their numbers by box and episode. */
async function tellBoxes(
  transaction: Queries,
  { dialect }: Sql,
  judgements: readonly Judgement[],
  verdict: Verdict,
): Promise<Map<string, number>> {
  const columns = { site: 'text', box: 'text', episode: 'text', at: 'time' } as const;
  const alerts = judgements.filter(({ row }) => row.severity === 'alert');
  if (alerts.length === 0) return new Map();
  const due = await transaction.all<{ no: number; site: string; box: string; episode: string }>(
    `INSERT INTO verdict_due (site, box, episode, verdict, time)
     SELECT site, box, episode, $2, at FROM ${dialect.rows('$1', 'due', columns)} WHERE true
     RETURNING no, site, box, episode`,
    [
      JSON.stringify(alerts.map(({ row: { site, box, episode }, at }) => ({ site, box, episode, at }))),
      verdict,
    ],
  );
  return new Map(due.map((row) => [episodeKeyOf(row), row.no]));
}

interface Closing {
  /** First of the reserved change numbers. */
  readonly rev: number;
  readonly nowMs: number;
  readonly verdict: Verdict;
  readonly account: Account;
}

/** Columns that closeRows sets. */
const CHANGED_BY_VERDICT: ActionValues = {
  state: null,
  verdict: null,
  verdict_at: null,
  verdict_by: null,
  closed_at: null,
  claimed_by: null,
  claimed_until: null,
};

async function closeRows(
  transaction: Queries,
  { dialect }: Sql,
  judgements: readonly Judgement[],
  { rev, nowMs, verdict, account }: Closing,
): Promise<Map<number, IncidentRow>> {
  const columns = { judged_no: 'integer', new_rev: 'integer', judged_at: 'time' } as const;
  const rows = await transaction.all<IncidentRow>(
    `UPDATE incident SET rev = judged.new_rev, revision = revision + 1, state = 'closed', verdict = $2,
       verdict_at = judged.judged_at, verdict_by = $3, closed_at = $4, claimed_by = NULL, claimed_until = NULL
     FROM ${dialect.rows('$1', 'judged', columns)} WHERE incident.no = judged.judged_no
     RETURNING ${INCIDENT_COLUMNS}`,
    [
      JSON.stringify(
        judgements.map(({ row, at }, index) => ({ judged_no: row.no, new_rev: rev + index, judged_at: at })),
      ),
      ...[verdict, account.name, iso(nowMs)],
    ],
  );
  return new Map(rows.map((row) => [row.no, row]));
}

/** Column of a verdict in the statistics of a day. */
const COLUMNS = {
  confirmed: 'confirmed',
  'false-alarm': 'false_alarms',
  unclear: 'unclear',
} as const satisfies Record<Verdict, string>;

function sumsOf(verdict: Verdict, previous: Verdict | undefined): Sums {
  const sums = { [COLUMNS[verdict]]: 1 };
  if (previous === undefined) return sums;
  const column = COLUMNS[previous];
  return { ...sums, [column]: (sums[column] ?? 0) - 1 };
}
