/** Tests of the week's report: the same numbers on SQLite and PostgreSQL. */
import { Value as Schema } from '@sinclair/typebox/value';
import { weekOf, weekRows } from '../../scripts/programs/room/console/week.ts';
import { Week } from '../../scripts/programs/room/contract/week.ts';
import { dayHourOf } from '../../scripts/programs/room/database/day-hour.ts';
import { iso, type Sql } from '../../scripts/programs/room/database/sql.ts';
import { TIME_ZONE } from '../lib/console.ts';
import { refusalOf } from '../lib/console-room.ts';
import { addIncidents, type Columns, insert, putCamera } from '../lib/console-rows.ts';
import { onEachDatabase } from '../lib/databases.ts';

/** A Sunday, the last of the week from Monday 26 October 2026; the clocks change on the Sunday before. */
const NOW = Date.parse('2026-11-01T20:00:00.000Z');
const MONDAY_MS = Date.parse('2026-10-25T23:00:00.000Z');
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const CLOCK = { timeZone: TIME_ZONE, nowMs: NOW };

interface Sums {
  readonly alerts: number;
  readonly confirmed?: number;
  readonly falseAlarms?: number;
}

async function addSums(
  db: Sql,
  atMs: number,
  rule: string,
  { alerts, confirmed = 0, falseAlarms = 0 }: Sums,
): Promise<void> {
  const { day, hour } = dayHourOf(atMs, TIME_ZONE);
  await insert(db, 'day_figure', {
    day,
    hour,
    site: 'lyon',
    box: 'b-1',
    rule,
    kind: 'loitering',
    alerts,
    confirmed,
    false_alarms: falseAlarms,
    unclear: 0,
    claims: 2,
    claim_s: 30,
  });
}

/** An alert that was taken after 10 s for each hour since the week began, and closed after twice the time. */
function closedAlert(startMs: number, hours: number, change: Columns = {}): Columns {
  const receivedMs = startMs + hours * HOUR_MS;
  return {
    received: iso(receivedMs),
    state: 'closed',
    verdict: 'confirmed',
    claimed_first: iso(receivedMs + (hours + 1) * 10_000),
    closed_at: iso(receivedMs + (hours + 1) * 20_000),
    ...change,
  };
}

function condition(fromMs: number, toMs: number, change: Columns = {}): Columns {
  return {
    severity: 'system',
    kind: 'stream-lost',
    received: iso(fromMs),
    started_at: iso(fromMs),
    ended_at: iso(toMs),
    ...change,
  };
}

/** Ten alerts taken after 10, 20 … 100 s and closed after twice the time, and what does not belong to them. */
async function fillWeek(db: Sql, startMs: number): Promise<void> {
  await addSums(db, startMs - DAY_MS, 'r-1', { alerts: 100 });
  await addSums(db, startMs, 'r-1', { alerts: 8, confirmed: 3, falseAlarms: 1 });
  await addSums(db, startMs + 6 * DAY_MS, 'r-2', { alerts: 4, confirmed: 0, falseAlarms: 4 });
  const revoked = { verdict: null, claimed_first: null, closed_reason: 'box-revoked' };
  await addIncidents(db, [
    ...Array.from({ length: 10 }, (_, index) => closedAlert(startMs, index)),
    { received: iso(startMs + HOUR_MS), state: 'new' },
    closedAlert(startMs, 900, { reopens: 1, received: iso(startMs), entry: 2 }),
    closedAlert(startMs, 500, { received: iso(startMs), ...revoked }),
    closedAlert(startMs, 0, { received: iso(startMs - 1) }),
  ]);
  await putCamera(db, 'b-1', startMs, { conditions: '["covered"]' });
  await addIncidents(db, [
    condition(startMs - 5 * HOUR_MS, startMs + 2 * HOUR_MS),
    condition(startMs + HOUR_MS, startMs + 3 * HOUR_MS, { kind: 'covered' }),
    condition(startMs, startMs + 9 * HOUR_MS, { kind: 'load-shed' }),
    condition(startMs - 9 * HOUR_MS, startMs - 8 * HOUR_MS, { box: 'b-2' }),
    condition(startMs + 4 * DAY_MS, startMs + 4 * DAY_MS + 10 * HOUR_MS, { box: 'b-3' }),
  ]);
}

onEachDatabase('a week has its alerts, verdicts, times and cameras', async (t, database) => {
  const db = await database.prepared();
  await fillWeek(db, MONDAY_MS);
  const week = await weekOf(db, {}, CLOCK);
  t.ok(Schema.Check(Week, week));
  t.match(week, {
    from: '2026-10-26',
    to: '2026-11-01',
    total: {
      alerts: 12,
      confirmed: 3,
      falseAlarms: 5,
      share: 0.375,
      low: 0.137,
      high: 0.694,
      meanClaimS: 15,
    },
    days: [
      { day: '2026-10-26', alerts: 8 },
      ...Array.from({ length: 5 }, () => ({ alerts: 0, share: null })),
      { day: '2026-11-01', alerts: 4 },
    ],
    rules: [
      { site: 'lyon', box: 'b-1', rule: 'r-1', kind: 'loitering', alerts: 8, confirmed: 3, share: 0.75 },
      { rule: 'r-2', alerts: 4, share: 0, low: 0, high: 0.49 },
    ],
    moreRules: 0,
    claim: { count: 10, medianS: 50, p90S: 90 },
    close: { count: 10, medianS: 100, p90S: 180 },
    outOfService: [
      { site: 'lyon', box: 'b-3', s: 36_000 },
      { site: 'lyon', box: 'b-1', s: 10_800 },
    ],
    outOfServiceS: 46_800,
    storedAlerts: 12,
    storedFrom: iso(MONDAY_MS - 9 * HOUR_MS),
    sumsFrom: '2025-10-31',
  });
  t.equal((await weekOf(db, { day: '2026-10-29' }, CLOCK)).from, '2026-10-26', 'any day names its week');
  t.match(await weekOf(db, { day: '2026-10-25' }, CLOCK), {
    from: '2026-10-19',
    total: { alerts: 100 },
    storedAlerts: 1,
  });
  t.match(
    await weekOf(db, { day: '2026-11-02' }, CLOCK),
    { total: { alerts: 0 }, outOfService: [] },
    'a coming week',
  );
  t.match(await refusalOf(weekOf(db, { day: '2026-02-30' }, CLOCK)), { status: 400, message: /^day: / });
  t.strictSame(
    (await weekRows(db, {}, CLOCK)).map(({ rule }) => rule),
    ['r-1', 'r-2'],
  );
  await db.run("DELETE FROM incident WHERE severity = 'alert' AND received < $1", [
    iso(MONDAY_MS + 5 * HOUR_MS),
  ]);
  t.match(
    await weekOf(db, {}, CLOCK),
    { total: { alerts: 12 }, storedAlerts: 5, claim: { count: 5 } },
    'the sums outlive the incidents, and the answer says so',
  );
});
