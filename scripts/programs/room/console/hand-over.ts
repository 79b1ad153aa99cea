/** Builds the shift report: incidents received, their outcome, and open work. */
import type { HandOver } from '../contract/figures.ts';
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
    received: await count("incident WHERE received >= $1 AND received < $2 AND severity <> 'system'"),
    closed: closed.reduce((sum, { n }) => sum + n, 0),
    withdrawn: await count('incident WHERE closed_at >= $1 AND closed_at < $2 AND closed_reason IS NOT NULL'),
    verdicts: {
      confirmed: verdictCount('confirmed'),
      'false-alarm': verdictCount('false-alarm'),
      unclear: verdictCount('unclear'),
    },
    open: open.incidents,
    dispatched: dispatched.incidents,
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
