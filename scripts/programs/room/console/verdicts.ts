/** Handlers for verdicts, which close an incident, and for reopening. */
import type { Incident } from '../contract/incident.ts';
import { record } from '../database/audit.ts';
import { next } from '../database/counters.ts';
import { iso, type Queries, type Sql } from '../database/sql.ts';
import {
  claimOwnerOf,
  conflict,
  doneBefore,
  lockedRow,
  mustBeAsSeen,
  mustBeOpen,
  noteDone,
  runAction,
  tell,
  usedFor,
} from './acting.ts';
import { addStatistics } from './day-figure.ts';
import { type Call, CallError } from './handler.ts';
import { actorOf, INCIDENT_COLUMNS, type IncidentRow, incidentOf } from './rows.ts';

type Verdict = NonNullable<Incident['verdict']>;

/**
 * Closes an incident with a verdict. The box of an alert receives the verdict without the reviewer's name. If the
 * episode had an earlier verdict, the sums count only the later one.
 */
export function review(db: Sql, call: Call<'judge'>, timeZone: string): Promise<Incident> {
  const { account, nowMs, body } = call;
  return runAction(db, call, async (transaction, row) => {
    mustBeOpen(row);
    const owner = claimOwnerOf(row, nowMs);
    if (account.role === 'operator' && owner !== undefined && owner !== account.name) {
      throw conflict(row, `${owner} has it: only its owner or a supervisor may close it`);
    }
    mustBeAsSeen(row, body.revision);
    const previous = await previousOf(transaction, row);
    // A box accepts the later of two verdicts by its time. This one stays later even if the room's clock was set back.
    const at = iso(Math.max(nowMs, previous === undefined ? nowMs : Date.parse(previous.at) + 1));
    if (row.severity === 'alert') await tellBox(transaction, row, body.verdict, at);
    await addStatistics(transaction, db, row, timeZone, sumsOf(body.verdict, previous?.verdict));
    return {
      set: {
        state: 'closed',
        verdict: body.verdict,
        verdict_at: at,
        verdict_by: account.name,
        closed_at: iso(nowMs),
        claimed_by: null,
        claimed_until: null,
      },
      record: {
        act: 'judge',
        more: { verdict: body.verdict, ...(previous !== undefined && { former: previous.verdict }) },
      },
    };
  });
}

async function previousOf(
  transaction: Queries,
  { site, box, episode, entry }: IncidentRow,
): Promise<{ verdict: Verdict; at: string } | undefined> {
  const [previous] = await transaction.all<{ verdict: Verdict; at: string }>(
    `SELECT verdict, verdict_at AS at FROM incident WHERE site = $1 AND box = $2 AND episode = $3 AND entry < $4
       AND verdict IS NOT NULL ORDER BY entry DESC LIMIT 1`,
    [site, box, episode, entry],
  );
  return previous;
}

/** Queues a verdict for delivery to the box, in the order of numbers. */
async function tellBox(
  transaction: Queries,
  { site, box, episode }: IncidentRow,
  verdict: Verdict,
  at: string,
): Promise<void> {
  await transaction.run(
    'INSERT INTO verdict_due (site, box, episode, verdict, time) VALUES ($1, $2, $3, $4, $5)',
    [site, box, episode, verdict, at],
  );
}

/** Column of a verdict in the statistics of a day. */
const COLUMNS = {
  confirmed: 'confirmed',
  'false-alarm': 'false_alarms',
  unclear: 'unclear',
} as const satisfies Record<Verdict, string>;

function sumsOf(verdict: Verdict, previous: Verdict | undefined): Parameters<typeof addStatistics>[4] {
  const sums = { [COLUMNS[verdict]]: 1 };
  if (previous === undefined) return sums;
  const column = COLUMNS[previous];
  return { ...sums, [column]: (sums[column] ?? 0) - 1 };
}

/** Columns that a new entry copies from the one that it reopens. */
const COPIED_COLUMNS = `site, box, episode, severity, priority, kind, rule, place, started_at, ended_at, received, clock_doubt, objects,
  cause, events, newest, still, detail`;

/**
 * Refuses incidents of revoked boxes: their messages no longer count, and the archive would close the incident again.
 */
async function mustBeEnrolled(transaction: Queries, row: IncidentRow): Promise<void> {
  const [revokedCamera] = await transaction.all(
    'SELECT 1 AS removed FROM camera WHERE site = $1 AND box = $2 AND is_removed',
    [row.site, row.box],
  );
  if (revokedCamera !== undefined)
    throw conflict(row, `its box ${row.box} was revoked; enrol it again first`);
}

/** Creates a new entry of the same episode; the closed one stays unchanged. Only the latest entry can be reopened. */
export function reopen(db: Sql, call: Call<'reopen'>): Promise<Incident> {
  const { account, key, nowMs, body, params } = call;
  const action = { account, key, action: 'reopen' } as const;
  return db.transaction(async (transaction) => {
    const rev = await next(transaction, 'rev');
    const earlierNo = await doneBefore(transaction, action);
    if (earlierNo !== undefined) {
      const reopened = await lockedRow(transaction, db, earlierNo);
      if (reopened.reopens !== params.no) throw usedFor(reopened.reopens ?? earlierNo);
      return incidentOf(reopened);
    }
    const row = await lockedRow(transaction, db, params.no);
    if (row.state !== 'closed') throw conflict(row, 'it is still open');
    const { site, box, episode, entry } = row;
    await mustBeEnrolled(transaction, row);
    const [later] = await transaction.all<IncidentRow>(
      `SELECT ${INCIDENT_COLUMNS} FROM incident WHERE site = $1 AND box = $2 AND episode = $3 AND entry > $4
       ORDER BY entry LIMIT 1`,
      [site, box, episode, entry],
    );
    if (later !== undefined) {
      const line = `incident ${row.no}: it was reopened already, as incident ${later.no}`;
      throw new CallError(409, line, incidentOf(later));
    }
    mustBeAsSeen(row, body.revision);
    const { integer } = db.dialect.types;
    const [newRow] = await transaction.all<IncidentRow>(
      `INSERT INTO incident (${COPIED_COLUMNS}, entry, rev, revision, state, reopens)
       SELECT ${COPIED_COLUMNS}, entry + 1, CAST($2 AS ${integer}), 0, 'new', no FROM incident WHERE no = $1
       RETURNING ${INCIDENT_COLUMNS}`,
      [params.no, rev],
    );
    if (newRow === undefined)
      throw new CallError(404, `incident ${params.no} does not exist, or is no longer stored`);
    await noteDone(transaction, action, newRow.no, nowMs);
    const draft = { ...actorOf(account), act: 'reopen', site, box, incident: newRow.no } as const;
    await record(transaction, { ...draft, more: { reopens: row.no } }, nowMs);
    await tell(transaction, db);
    return incidentOf(newRow);
  });
}
