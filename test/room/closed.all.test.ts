/**
 * Tests of the list of closed incidents, of their table, and of the week's report.
 */

import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { Value as Schema } from '@sinclair/typebox/value';
import t, { type Test } from 'tap';
import { closedOf, closedPage } from '../../scripts/products/room/console/closed.ts';
import { reopen } from '../../scripts/products/room/console/reopening.ts';
import { review } from '../../scripts/products/room/console/verdicts.ts';
import { weekOf, weekRows } from '../../scripts/products/room/console/week.ts';
import { ClosedPage, type ClosedQuery } from '../../scripts/products/room/contract/closed.ts';
import type { Role } from '../../scripts/products/room/contract/roles.ts';
import { Week } from '../../scripts/products/room/contract/week.ts';
import { dayHourOf } from '../../scripts/products/room/database/day-hour.ts';
import { DatabaseUnavailable, iso, type Sql, type Value } from '../../scripts/products/room/database/sql.ts';
import { ask, enter, fullConsole, roomDatabase, TIME_ZONE } from '../lib/console.ts';
import { callOf, refusalOf } from '../lib/console-room.ts';
import {
  addIncident,
  addIncidents,
  addManyIncidents,
  type Columns,
  insert,
  putCamera,
} from '../lib/console-rows.ts';
import { DATABASES, onEachDatabase } from '../lib/databases.ts';

const NOW = Date.parse('2026-11-27T12:00:00.000Z');
/** Rows of an export that is stopped, many times what a socket takes. */
const EXPORTED = 10_000;
/** Makes the table larger than what two sockets of a machine hold for a client that reads nothing. */
const LONG_RULE = 'r'.repeat(1000);

const closedAt = (minute: number, by: string | null, more: Columns = {}): Columns => ({
  received: iso(NOW - 86_400_000),
  state: 'closed',
  verdict: by === null ? null : 'confirmed',
  verdict_by: by,
  closed_at: iso(NOW + minute * 60_000),
  ...more,
});

const account = (name: string, role: Role) => ({ name, role, isProgram: false });
const OMAR = account('omar', 'supervisor');

const nosOf = async (db: Sql, query: ClosedQuery = {}, who = OMAR): Promise<number[]> =>
  (await closedPage(db, query, who)).incidents.map(({ no }) => no);

onEachDatabase('closed incidents are listed, filtered and reopened', async (t, { prepared }) => {
  const db = await prepared();
  await checkFilters(t, db);
  await checkPages(t, db);
  await checkReopening(t, db);
});

async function checkFilters(t: Test, db: Sql): Promise<void> {
  const [first, second, third, withdrawn] = (await addIncidents(db, [
    closedAt(1, 'nadia'),
    closedAt(2, 'ben', { kind: 'graffiti', verdict: 'false-alarm', box: 'b-2' }),
    closedAt(2, 'nadia', { site: 'nice', verdict: 'unclear' }),
    closedAt(3, null, { closed_reason: 'box-revoked' }),
  ])) as [number, number, number, number];
  await addIncidents(db, [closedAt(4, null, { closed_reason: 'reopening-undone', entry: -2 })]);
  await addIncident(db, NOW);
  const all = [withdrawn, third, second, first];
  t.strictSame(await nosOf(db), all, 'the last closed first, no open one and no undone reopening');
  t.ok(Schema.Check(ClosedPage, await closedPage(db, {}, OMAR)));
  t.strictSame(await nosOf(db, { box: 'b-2' }), [second]);
  t.strictSame(await nosOf(db, { site: 'nice', box: 'b-1' }), [third]);
  t.strictSame(await nosOf(db, { kind: 'graffiti' }), [second]);
  t.strictSame(await nosOf(db, { verdict: 'unclear' }), [third]);
  t.strictSame(await nosOf(db, { verdict: 'none' }), [withdrawn]);
  t.strictSame(await nosOf(db, { closedBy: 'nadia' }), [third, first]);
  t.strictSame(await nosOf(db, { from: iso(NOW + 120_000), to: iso(NOW + 180_000) }), [third, second]);
  t.strictSame(await nosOf(db, { closedBy: 'nadia', verdict: 'confirmed', box: 'b-1' }), [first]);
  t.match(await refusalOf(nosOf(db, { cursor: 'x' })), { status: 400, message: /^cursor: / });
  t.match(await refusalOf(nosOf(db, { from: '2026-02-30T00:00:00Z' })), { status: 400 });

  const nadia = account('nadia', 'operator');
  const actors = async (who = OMAR): Promise<(string | null)[]> =>
    (await closedPage(db, {}, who)).incidents.map(({ closedBy }) => closedBy);
  t.strictSame(await actors(), [null, 'nadia', 'ben', 'nadia']);
  t.strictSame(await actors(account('anna', 'auditor')), [null, 'nadia', 'ben', 'nadia']);
  t.strictSame(await actors(nadia), [null, 'nadia', null, 'nadia'], 'an operator sees only its own name');
  t.strictSame(await nosOf(db, { closedBy: 'nadia' }, nadia), [third, first]);
  t.match(await refusalOf(nosOf(db, { closedBy: 'ben' }, nadia)), { status: 403 });
}

async function checkPages(t: Test, db: Sql): Promise<void> {
  await db.run('DELETE FROM incident');
  const nos = await addIncidents(
    db,
    Array.from({ length: 120 }, (_, index) => closedAt(Math.floor(index / 7), 'nadia')),
  );
  const listedNos: number[] = [];
  for (let cursor: string | undefined; ; ) {
    const page = await closedPage(db, cursor === undefined ? {} : { cursor }, OMAR);
    listedNos.push(...page.incidents.map(({ no }) => no));
    if (page.next === null) break;
    t.equal(page.incidents.length, 50);
    cursor = page.next;
    await addIncidents(db, [closedAt(500 + listedNos.length, 'ben')]);
  }
  t.strictSame(listedNos, nos.toReversed(), 'each once, although others were closed meanwhile');
}

async function checkReopening(t: Test, db: Sql): Promise<void> {
  await db.run('DELETE FROM incident');
  const no = await addIncident(db, NOW);
  await review(
    db,
    callOf<'judge'>('nadia', NOW, { params: { no }, body: { revision: 0, verdict: 'confirmed' } }),
    TIME_ZONE,
  );
  const reopenAgain = (key: string) =>
    reopen(db, callOf<'reopen'>('omar', NOW, { params: { no }, body: { revision: 1 }, key }));
  const { no: entry } = await reopenAgain('k-1');
  t.match(await closedPage(db, {}, OMAR), { incidents: [{ no, reopenedAs: entry, closedBy: 'nadia' }] });
  t.match(
    await refusalOf(reopenAgain('k-2')),
    {
      status: 409,
      message: `incident ${no}: it was reopened already, as incident ${entry}`,
      incident: { no: entry },
    },
    'the refusal names the entry that is open',
  );
}

/** Adds closed incidents, one in 30 s, of which four each have a rare kind, verdict and person. */
function fill(db: Sql, count: number, rule = 'r-1'): Promise<void> {
  const rareOr = (rare: string, usual: string): string =>
    `CASE WHEN n % ${count / 4} = ${count / 4 - 1} THEN '${rare}' ELSE '${usual}' END`;
  return addManyIncidents(
    db,
    count,
    { nowMs: NOW, stepS: 30 },
    {
      box: "'b-' || (n % 1500)",
      rule: `'${rule}'`,
      kind: rareOr('graffiti', 'loitering'),
      state: "'closed'",
      verdict: rareOr('unclear', 'confirmed'),
      verdict_by: rareOr('zoe', 'nadia'),
      closed_at: 'at',
    },
  );
}

t.test('the table of closed incidents is audited, and is read no faster than it is sent', async (t) => {
  const db = await roomDatabase(t, (await DATABASES.sqlite(t)).address);
  await fill(db, EXPORTED, LONG_RULE);
  let [reads, isBroken] = [0, false];
  const counted = new Proxy(db, {
    get: (target, name) => {
      if (name !== 'all') {
        const member: unknown = Reflect.get(target, name);
        return typeof member === 'function' ? (member as () => unknown).bind(target) : member;
      }
      return async (sql: string, values?: readonly Value[]) => {
        if (sql.includes('verdict_by')) reads += 1;
        if (isBroken && sql.includes('verdict_by')) throw new DatabaseUnavailable('gone');
        return db.all(sql, values);
      };
    },
  });
  const { url } = await fullConsole(t, counted);
  const cookie = await enter(url, 'supervisor');
  const path = `${url}/api/closed.csv?closedBy=nadia`;
  const complete = await ask(path, { headers: { cookie } });
  t.match(complete.headers, { 'content-disposition': 'attachment; filename="vigie-closed.csv"' });
  const lines = complete.text.trim().split('\r\n');
  t.equal(lines.length, 1 + EXPORTED - 4);
  t.match(lines[0], /,closedBy,reopenedAs$/);
  t.match(lines[1], /,nadia,$/);
  t.match(await db.all("SELECT account, more FROM audit WHERE act = 'export'"), [
    { account: 'supervisor', more: '{"table":"closed","closedBy":"nadia","limit":50}' },
  ]);
  t.equal((await ask(path, { headers: { cookie: await enter(url, 'operator') } })).status, 403);

  reads = 0;
  const stopped = http.get(path, { headers: { cookie }, agent: false }, (response) => response.pause());
  await sleep(500);
  const readCount = reads;
  t.ok(readCount < EXPORTED / 200 / 2, `${readCount} slices were read for a client that takes nothing`);
  stopped.on('error', () => undefined);
  stopped.destroy();
  await sleep(200);
  t.ok(reads <= readCount + 2, 'nothing more is read once the client has left');

  const broken = new Promise<string>((resolve) => {
    http.get(path, { headers: { cookie }, agent: false }, (response) => {
      isBroken = true;
      response.on('data', () => undefined);
      response.on('end', () => resolve('complete'));
      response.on('error', (error: NodeJS.ErrnoException) => resolve(String(error.code)));
    });
  });
  t.equal(await broken, 'ECONNRESET', 'a table that ends early is not taken for a complete one');
  isBroken = false;
  let rareCount = 0;
  for await (const { kind } of closedOf(db, { kind: 'graffiti' }, OMAR))
    rareCount += kind === 'graffiti' ? 1 : 0;
  t.equal(rareCount, 4);
});

/** A Sunday, the last of the week from Monday 26 October 2026; the clocks change on the Sunday before. */
const SUNDAY = Date.parse('2026-11-01T20:00:00.000Z');
const MONDAY_MS = Date.parse('2026-10-25T23:00:00.000Z');
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const CLOCK = { timeZone: TIME_ZONE, nowMs: SUNDAY };

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
