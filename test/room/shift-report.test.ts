/** Tests of the shift report: each of its numbers, over a night with every kind of act, against the events of the night. */
import { Value } from '@sinclair/typebox/value';
import { endClaims } from '../../scripts/products/room/console/acts.ts';
import { dataHandlers } from '../../scripts/products/room/console/handlers.ts';
import { endExpired } from '../../scripts/products/room/console/suppressions.ts';
import { ROUTES } from '../../scripts/products/room/contract/api.ts';
import type { HandOver } from '../../scripts/products/room/contract/figures.ts';
import { iso, type Sql } from '../../scripts/products/room/database/sql.ts';
import { TIME_ZONE } from '../lib/console.ts';
import { callOf } from '../lib/console-room.ts';
import { onEachDatabase } from '../lib/databases.ts';
import { fillNight, NIGHT_PATROLS } from '../lib/room-night.ts';

const NOW = Date.parse('2026-11-27T06:00:00.000Z');
const MINUTE_MS = 60_000;
/** Start of the shift, in ms. */
const FROM = NOW - 480 * MINUTE_MS;

interface Event {
  readonly no: number;
  readonly act: string;
  readonly incident: number;
  readonly at: string;
  readonly details: string;
}

/** Counts the alerts of a span from the received ones and the audit log, in which undone actions are crossed out. */
async function countedFrom(db: Sql, from: string, to: string): Promise<Record<string, unknown>> {
  const all = await db.all<Event>('SELECT no, act, incident, at, more AS details FROM audit ORDER BY no');
  const undone = new Set(
    all.flatMap(({ act, details }) =>
      act === 'undo' ? [(JSON.parse(details) as { undoes: number }).undoes] : [],
    ),
  );
  const events = all.filter(({ no }) => !undone.has(no));
  const rows = await db.all<{
    no: number;
    received: string;
    closed_at: string | null;
    reason: string | null;
  }>(`SELECT no, received, closed_at, closed_reason AS reason FROM incident WHERE severity = 'alert'`);
  const isIn = (at: string | undefined): boolean => at !== undefined && at >= from && at < to;
  const eventOf = (act: string, incident: number) =>
    events.find((event) => event.act === act && event.incident === incident);
  const reopenings = new Set(all.flatMap(({ act, incident }) => (act === 'reopen' ? [incident] : [])));
  const alerts = rows.flatMap(({ no, received, closed_at, reason }) => {
    const isReopened = reopenings.has(no);
    const openTime = isReopened ? eventOf('reopen', no)?.at : received;
    const verdict = eventOf('judge', no);
    const withdrawn = reason === 'box-revoked' ? (closed_at ?? undefined) : undefined;
    const closed = verdict?.at ?? withdrawn;
    return openTime === undefined ? [] : [{ isReopened, openTime, verdict, withdrawn, closed }];
  });
  const reviewedAlerts = alerts.filter(({ verdict }) => isIn(verdict?.at));
  const withVerdict = (text: string) =>
    reviewedAlerts.filter(({ verdict }) => verdict?.details.includes(text)).length;
  const acts = (act: string) => events.filter((event) => event.act === act && isIn(event.at));
  return {
    takenOver: alerts.filter(({ openTime, closed = '9' }) => openTime < from && closed >= from).length,
    received: alerts.filter(({ openTime, isReopened }) => isIn(openTime) && !isReopened).length,
    reopened: alerts.filter(({ openTime, isReopened }) => isIn(openTime) && isReopened).length,
    closed: reviewedAlerts.length,
    verdicts: {
      confirmed: withVerdict('confirmed'),
      'false-alarm': withVerdict('false-alarm'),
      unclear: withVerdict('unclear'),
    },
    withdrawn: alerts.filter(({ withdrawn }) => isIn(withdrawn)).length,
    left: alerts.filter(({ openTime, closed = '9' }) => openTime < to && closed >= to).length,
    claimsEnded: acts('claim-ended').length,
    stillsSeen: acts('see-still').length,
    notes: acts('note').map(({ incident }) => incident),
    suppressions: acts('suppress').length,
    dispatches: acts('dispatch').map(({ incident, at }) => `${incident} ${at}`),
  };
}

onEachDatabase('the shift report counts what has happened', async (t, database) => {
  const db = await database.prepared(FROM);
  const handlers = dataHandlers(db, {
    timeZone: TIME_ZONE,
    people: async () => [],
    plan: undefined,
    patrols: NIGHT_PATROLS,
  });
  const nos = await fillNight(db, handlers, FROM, async (nowMs) => {
    await endClaims(db, nowMs);
    await endExpired(db, nowMs);
  });
  const reportOf = (fromMs: number, toMs: number): Promise<HandOver> =>
    handlers.handOver(callOf<'handOver'>('supervisor', NOW, { query: { from: iso(fromMs), to: iso(toMs) } }));
  const report = await reportOf(FROM, NOW);
  t.ok(Value.Check(ROUTES.handOver.gives, report));
  t.match(report, {
    takenOver: 3,
    received: 10,
    reopened: 1,
    closed: 5,
    verdicts: { confirmed: 3, 'false-alarm': 1, unclear: 1 },
    withdrawn: 1,
    left: 8,
    dispatched: 1,
    suppressed: 1,
    claimsEnded: 1,
    stillsSeen: 1,
    more: 0,
    dispatchesMore: 0,
  });
  t.match(report.suppressions, [{ incidents: 1 }, { incidents: 1, endedAt: null }]);
  const listedCount = report.open.reduce((sum, { count }) => sum + count, 0);
  t.equal(
    listedCount + report.dispatched + report.suppressed,
    report.left,
    'the list and what is left agree',
  );
  t.same(
    report.dispatches.map(({ at, account, patrol, answer, answerAt, incident: { no, state } }) => [
      ...[no, (Date.parse(at) - FROM) / MINUTE_MS, account, patrol, answer, state],
      answerAt === null ? null : (Date.parse(answerAt) - FROM) / MINUTE_MS,
    ]),
    [
      [nos['sent'], 41, 'ben', 'Patrol north', 'declined', 'closed', null],
      [nos['sent'], 43, 'ben', 'Patrol south', 'arrived', 'closed', 50],
      [nos['out'], 301, 'anna', null, null, 'dispatched', null],
    ],
    'all dispatches, also of closed alerts, without the undone one',
  );
  const before = await reportOf(FROM - 60 * MINUTE_MS, FROM);
  t.match(before.dispatches, [{ incident: { no: nos['early'] }, answer: 'arrived' }]);
  const after = await reportOf(NOW - 1, NOW);
  t.match(after.dispatches, [{ incident: { no: nos['out'] } }], 'one that is still out stays on the report');

  const cuts = [-60, -15, 0, 12, 41.5, 57, 61, 63, 82, 100, 205, 212, 400, 480].map(
    (minute) => FROM + minute * MINUTE_MS,
  );
  for (const fromMs of cuts) {
    for (const toMs of cuts.filter((cut) => cut > fromMs)) {
      const { notes, suppressions, dispatches, ...sums } = await reportOf(fromMs, toMs);
      const inSpan = dispatches.filter(({ at }) => Date.parse(at) >= fromMs);
      const shownValues: Record<string, unknown> = {
        ...sums,
        notes: notes.map(({ incident }) => incident),
        suppressions: suppressions.length,
        dispatches: inSpan.map(({ incident, at }) => `${incident.no} ${at}`),
      };
      const expected = await countedFrom(db, iso(fromMs), iso(toMs));
      t.same(
        Object.fromEntries(Object.keys(expected).map((name) => [name, shownValues[name]])),
        expected,
        `from ${iso(fromMs)} to ${iso(toMs)}`,
      );
      const { takenOver, received, reopened, closed, withdrawn, left, verdicts } = sums;
      t.equal(takenOver + received + reopened - closed - withdrawn, left, 'it adds up');
      t.equal(verdicts.confirmed + verdicts['false-alarm'] + verdicts.unclear, closed);
    }
  }
});
