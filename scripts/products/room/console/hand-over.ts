/** Builds the shift report: incidents received, their outcome, and open work with one line for each cause. */
import type { HandOver, ShiftLine } from '../contract/figures.ts';
import type { Incident } from '../contract/incident.ts';
import { iso, type Queries } from '../database/sql.ts';
import { headOf } from './audit.ts';
import { camerasOf } from './cameras.ts';
import { openOf } from './queue.ts';
import { spanAsked } from './request-params.ts';
import { startedIn } from './suppressions.ts';

/** Conditions in which a camera sees nothing. */
const DOWN: readonly string[] = ['offline', 'blind', 'suspended'];

/**
 * Returns the report. Open and dispatched incidents and cameras that are down show the current state; all else covers
 * the span.
 */
export async function handOverOf(
  db: Queries,
  query: { readonly from: string; readonly to: string },
  nowMs: number,
): Promise<HandOver> {
  const { fromMs, toMs } = spanAsked(query);
  const span = [iso(fromMs), iso(toMs)];
  const count = async (source: string): Promise<number> =>
    (await db.all<{ n: number }>(`SELECT count(*) AS n FROM ${source}`, span))[0]?.n ?? 0;
  const closed = await db.all<{ verdict: string; n: number }>(
    `SELECT verdict, count(*) AS n FROM incident WHERE closed_at >= $1 AND closed_at < $2 AND closed_reason IS NULL
     GROUP BY verdict`,
    span,
  );
  const verdictCount = (verdict: string): number => closed.find((row) => row.verdict === verdict)?.n ?? 0;
  const open = await openOf(db, ['new', 'claimed']);
  const dispatched = await openOf(db, ['dispatched']);
  const { cameras, more: camerasMore } = await camerasOf(db, nowMs);
  return {
    from: iso(fromMs),
    to: iso(toMs),
    received: await count(
      "incident WHERE received >= $1 AND received < $2 AND severity <> 'system' AND entry > 0",
    ),
    closed: closed.reduce((sum, { n }) => sum + n, 0),
    withdrawn: await count(
      "incident WHERE closed_at >= $1 AND closed_at < $2 AND closed_reason = 'box-revoked'",
    ),
    verdicts: {
      confirmed: verdictCount('confirmed'),
      'false-alarm': verdictCount('false-alarm'),
      unclear: verdictCount('unclear'),
    },
    open: shiftLinesOf(open.incidents),
    dispatched: shiftLinesOf(dispatched.incidents),
    more: open.more + dispatched.more,
    notes: await db.all<HandOver['notes'][number]>(
      'SELECT incident, at, account, text FROM note WHERE at >= $1 AND at < $2 ORDER BY no',
      span,
    ),
    camerasDown: cameras
      .filter(({ condition }) => DOWN.includes(condition))
      .map(({ site, box, condition, reasons }) => ({ site, box, condition, reasons })),
    suppressions: await startedIn(db, fromMs, toMs),
    camerasMore,
    record: await headOf(db),
    stillsSeen: await count("audit WHERE act = 'see-still' AND at >= $1 AND at < $2"),
  };
}

/**
 * Collapses the alerts of one cause into one line, in the place of the newest. `incidents` are in the order of the
 * queue: alerts of one rule come the newest first.
 */
export function shiftLinesOf(incidents: readonly Incident[]): ShiftLine[] {
  const byCause = new Map<string, Incident[]>();
  for (const incident of incidents) {
    const { site, box, rule, kind, state, claimedBy, dispatchedBy } = incident;
    const cause = JSON.stringify([site, box, rule, kind, state, claimedBy, dispatchedBy]);
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
