/**
 * Builds the shift report: the alerts of the shift and their outcome, its dispatches, and open work with one line for
 * each cause.
 */
import type { Dispatched, HandOver, ShiftLine, ShiftSums } from '../contract/figures.ts';
import type { Incident } from '../contract/incident.ts';
import { CLOCKS_APART_MS, UNDO_S } from '../contract/terms.ts';
import { iso, type Queries, type Sql } from '../database/sql.ts';
import { headOf } from './audit.ts';
import { camerasOf } from './cameras.ts';
import { openOf } from './queue.ts';
import { type Span, spanAsked } from './request-params.ts';
import { HIDDEN, INCIDENT_COLUMNS, type IncidentRow, incidentOf, objectIn } from './rows.ts';
import { startedIn } from './suppressions.ts';

/** Conditions in which a camera sees nothing. */
const DOWN: readonly string[] = ['offline', 'blind', 'suspended'];

/** Maximum number of dispatches in a report: one each minute of a shift. The newest are listed. */
const DISPATCHES_MAX = 500;

/** Maximum number of notes in a report, which may take 200 kB. The newest are listed. */
const NOTES_MAX = 200;

/**
 * Returns the report. Open alerts and cameras that are down show the current state; all else covers the span.
 */
export async function handOverOf(
  db: Sql,
  query: { readonly from: string; readonly to: string },
  nowMs: number,
): Promise<HandOver> {
  const span = spanAsked(query);
  const { fromMs, toMs } = span;
  const times = [iso(fromMs), iso(toMs)];
  const countActs = async (act: string): Promise<number> => {
    const source = 'audit WHERE at >= $1 AND at < $2 AND act = $3';
    return (await db.all<{ n: number }>(`SELECT count(*) AS n FROM ${source}`, [...times, act]))[0]?.n ?? 0;
  };
  const open = await openOf(db, ['new', 'claimed']);
  const dispatches = await dispatchesOf(db, span, times);
  const notes = await db.all<HandOver['notes'][number]>(
    `SELECT incident, at, account, text FROM note WHERE at >= $1 AND at < $2 ORDER BY no DESC LIMIT ${NOTES_MAX}`,
    times,
  );
  const [noteCount] = await db.all<{ n: number }>(
    'SELECT count(*) AS n FROM note WHERE at >= $1 AND at < $2',
    times,
  );
  const { cameras, more: camerasMore } = await camerasOf(db, nowMs);
  return {
    from: iso(fromMs),
    to: iso(toMs),
    ...(await sumsOf(db, times)),
    claimsEnded: await countActs('claim-ended'),
    open: shiftLinesOf(open.incidents),
    more: open.more,
    dispatches: dispatches.slice(-DISPATCHES_MAX),
    dispatchesMore: Math.max(0, dispatches.length - DISPATCHES_MAX),
    notes: notes.reverse(),
    notesMore: Math.max(0, (noteCount?.n ?? 0) - notes.length),
    camerasDown: cameras
      .filter(({ condition }) => DOWN.includes(condition))
      .map(({ site, box, condition, reasons }) => ({ site, box, condition, reasons })),
    suppressions: await startedIn(db, fromMs, toMs),
    camerasMore,
    record: await headOf(db),
    stillsSeen: await countActs('see-still'),
  };
}

/**
 * Counts alerts in one statement, so that all sums are of the same moment. An undone reopening is none of them; a
 * reopened entry opens when it is reopened.
 */
async function sumsOf(db: Queries, times: readonly string[]): Promise<ShiftSums> {
  const count = (name: string, test: string): string => `count(*) FILTER (WHERE ${test}) AS ${name}`;
  const [opening, closing] = ['opened >= $1 AND opened < $2', 'closed_at >= $1 AND closed_at < $2'];
  const reviewed = `${closing} AND closed_reason IS NULL`;
  // Open and closed ones have an index each, which no query over both could use.
  const alerts = (test: string): string =>
    `SELECT state, priority, is_suppressed, verdict, closed_at, closed_reason, reopens,
       CASE WHEN reopens IS NULL THEN received ELSE (SELECT min(at) FROM audit
         WHERE audit.incident = incident.no AND audit.act = 'reopen') END AS opened
     FROM incident WHERE severity = 'alert' AND entry > 0 AND ${test}`;
  const [row] = await db.all<Record<string, number>>(
    `SELECT ${[
      count('taken_over', 'opened < $1'),
      count('received', `${opening} AND reopens IS NULL`),
      count('reopened', `${opening} AND reopens IS NOT NULL`),
      count('closed', reviewed),
      count('confirmed', `${reviewed} AND verdict = 'confirmed'`),
      count('false_alarm', `${reviewed} AND verdict = 'false-alarm'`),
      count('unclear', `${reviewed} AND verdict = 'unclear'`),
      count('withdrawn', `${closing} AND closed_reason = 'box-revoked'`),
      count('left_open', 'closed_at IS NULL OR closed_at >= $2'),
      count('dispatched', "state = 'dispatched'"),
      count('hidden', HIDDEN),
    ].join(', ')}
     FROM (${alerts("state <> 'closed'")} UNION ALL ${alerts("state = 'closed' AND closed_at IS NOT NULL AND closed_at >= $1")}) AS alerts
     WHERE opened < $2`,
    times,
  );
  const of = (name: string): number => row?.[name] ?? 0;
  return {
    takenOver: of('taken_over'),
    received: of('received'),
    reopened: of('reopened'),
    closed: of('closed'),
    withdrawn: of('withdrawn'),
    verdicts: {
      confirmed: of('confirmed'),
      'false-alarm': of('false_alarm'),
      unclear: of('unclear'),
    },
    left: of('left_open'),
    dispatched: of('dispatched'),
    suppressed: of('hidden'),
  };
}

/** Returns the dispatches of the span that were not undone, and earlier ones whose alert is still open, in order. */
async function dispatchesOf(
  db: Queries,
  { fromMs, toMs }: Span,
  times: readonly string[],
): Promise<Dispatched[]> {
  const acts = await db.all<{ no: number; at: string; account: string; incident: number; details: string }>(
    "SELECT no, at, account, incident, more AS details FROM audit WHERE act = 'dispatch' AND at >= $1 AND at < $2 ORDER BY no",
    times,
  );
  const undoes = await db.all<{ details: string }>(
    "SELECT more AS details FROM audit WHERE act = 'undo' AND at >= $1 AND at < $2",
    [iso(fromMs), iso(toMs + UNDO_S * 1000 + CLOCKS_APART_MS)],
  );
  const undoneActs = new Set(undoes.map(({ details }) => objectIn(details)['undoes']));
  const rows = await db.all<IncidentRow>(
    `SELECT ${INCIDENT_COLUMNS} FROM incident
       WHERE state <> 'closed' AND state = 'dispatched' AND severity = 'alert' AND dispatched_at < $2
     UNION ALL SELECT ${INCIDENT_COLUMNS} FROM incident
       WHERE no IN (SELECT incident FROM audit WHERE act = 'dispatch' AND at >= $1 AND at < $2)`,
    times,
  );
  const incidents = new Map(rows.map((row) => [row.no, incidentOf(row)]));
  const ofSpan = acts.flatMap(({ no, at, account, incident: of, details }): Dispatched[] => {
    const incident = incidents.get(of);
    if (incident === undefined || undoneActs.has(no)) return [];
    const patrol = (objectIn(details)['patrol'] as string | undefined) ?? null;
    // A patrol is replaced only after it has declined.
    const isLast = incident.dispatchedAt === at;
    const { patrolAnswer, patrolAnswerAt } = incident;
    const [answer, answerAt] = isLast ? [patrolAnswer, patrolAnswerAt] : (['declined', null] as const);
    return [{ at, account, patrol, answer, answerAt, incident }];
  });
  const earlier = [...incidents.values()].flatMap((incident): Dispatched[] => {
    const { dispatchedAt: at, dispatchedBy: account, patrol, patrolAnswer, patrolAnswerAt } = incident;
    if (incident.state !== 'dispatched' || at === null || account === null || Date.parse(at) >= fromMs)
      return [];
    return [{ at, account, patrol, answer: patrolAnswer, answerAt: patrolAnswerAt, incident }];
  });
  return [...earlier.sort((a, b) => (a.at < b.at ? -1 : 1)), ...ofSpan];
}

/**
 * Collapses the alerts of one cause into one line, in the place of the newest. `incidents` are in the order of the
 * queue: alerts of one rule come the newest first.
 */
export function shiftLinesOf(incidents: readonly Incident[]): ShiftLine[] {
  const byCause = new Map<string, Incident[]>();
  for (const incident of incidents) {
    const { site, box, rule, kind, state, claimedBy } = incident;
    const cause = JSON.stringify([site, box, rule, kind, state, claimedBy]);
    const line = byCause.get(cause);
    if (line === undefined) byCause.set(cause, [incident]);
    else line.push(incident);
  }
  return [...byCause.values()].flatMap((line) => {
    const [newest, oldest] = [line[0], line.at(-1)];
    if (newest === undefined || oldest === undefined) return [];
    const { received: firstReceived } = oldest;
    return [{ incident: newest, count: line.length, firstReceived, lastReceived: newest.received }];
  });
}
