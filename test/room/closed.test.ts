/**
 * Tests of the list of closed incidents: the same behaviour on SQLite and PostgreSQL, and pages that stay quick.
 *
 * Measures a million closed incidents with:
 * VIGIE_TEST_RUN=full node --enable-source-maps dist/test/room/closed.test.js
 */
import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { Value as Schema } from '@sinclair/typebox/value';
import t, { type Test } from 'tap';
import { closedOf, closedPage } from '../../scripts/programs/room/console/closed.ts';
import { reopen } from '../../scripts/programs/room/console/reopening.ts';
import { review } from '../../scripts/programs/room/console/verdicts.ts';
import { ClosedPage, type ClosedQuery } from '../../scripts/programs/room/contract/closed.ts';
import type { Role } from '../../scripts/programs/room/contract/roles.ts';
import { DatabaseUnavailable, iso, type Sql, type Value } from '../../scripts/programs/room/database/sql.ts';
import { ask, enter, fullConsole, roomDatabase, TIME_ZONE } from '../lib/console.ts';
import { callOf, refusalOf } from '../lib/console-room.ts';
import { addIncident, addIncidents, type Columns } from '../lib/console-rows.ts';
import { DATABASES, onEachDatabase, type TestDatabase } from '../lib/databases.ts';
import { addManyIncidents } from '../lib/room-rows.ts';
import { FULL, unlessAll } from '../lib/run.ts';
import { slowness } from '../lib/slowness.ts';

const NOW = Date.parse('2026-11-27T12:00:00.000Z');
/** Closed incidents of the measurement. */
const INCIDENTS = FULL ? 1_000_000 : 20_000;
/** Maximum time of a page in ms, whatever the filter. */
const PAGE_MS_MAX = 100;
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

async function checkSpeed(t: Test, { prepared }: TestDatabase): Promise<void> {
  const db = await prepared();
  await fill(db, INCIDENTS);
  const middle = iso(NOW - (INCIDENTS / 2) * 30_000);
  const queries: Readonly<Record<string, ClosedQuery>> = {
    newest: {},
    'the middle': { cursor: `${middle}_999999999` },
    'one box': { box: 'b-7' },
    'a rare kind': { kind: 'graffiti' },
    'a rare person': { closedBy: 'zoe' },
    'a rare verdict': { verdict: 'unclear' },
    'an unused verdict': { verdict: 'none' },
    'a day long ago': { from: middle, to: iso(Date.parse(middle) + 3_600_000) },
    'two filters': { kind: 'loitering', closedBy: 'zoe' },
  };
  const times: number[] = [];
  for (const [label, query] of Object.entries(queries)) {
    const runs: number[] = [];
    let count = 0;
    for (let run = 0; run < 5; run += 1) {
      const beganMs = performance.now();
      count = (await nosOf(db, query)).length;
      runs.push(performance.now() - beganMs);
    }
    const [quickest = 0, median = 0] = [Math.min(...runs), runs.sort((a, b) => a - b)[2]];
    t.comment(`${label}: ${median.toFixed(1)} ms, ${count} incidents`);
    times.push(quickest);
  }
  const limitMs = FULL ? PAGE_MS_MAX : PAGE_MS_MAX * slowness();
  t.ok(Math.max(...times) <= limitMs, `${INCIDENTS} incidents: ${Math.max(...times).toFixed(1)} ms at most`);
}

onEachDatabase('pages of many closed incidents are quick', checkSpeed, { timeout: 900_000, skip: unlessAll });

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
