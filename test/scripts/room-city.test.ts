/** A city's month in PostgreSQL: 1,500 boxes, 10 million events and 1 million incidents with VIGIE_TEST_FULL=1. */
import t, { type Test } from 'tap';
import { iso, type Sql } from '../../scripts/programs/room/database/sql.ts';
import { Purge } from '../../scripts/programs/room/retention/purge.ts';
import { boxOf, CITY, fillCity, SMALL_CITY, siteOf } from '../lib/city.ts';
import { plainQueries } from '../lib/city-queries.ts';
import { DATABASES } from '../lib/databases.ts';
import { until } from '../lib/room.ts';
import { countOf, DAY_MS, roomDatabase, TIME_ZONE } from '../lib/room-rows.ts';

const FULL = process.env['VIGIE_TEST_FULL'] === '1';
const SIZE = FULL ? CITY : SMALL_CITY;

/** A moment at which the month before it is in two partitions. */
const NOW = Date.parse('2026-11-20T12:00:00.000Z');

/** What a screen may wait for the database; issue of the console, "at the size of a city". */
const BAR_MS = { queue: 5, incident: 20, search: 100 };

const ROUNDS = 100;
const SERIES_MAX = 5;

void t.test(`the questions of a screen, beside ${SIZE.events} events`, { timeout: 1_800_000 }, async (t) => {
  const { where } = await DATABASES.postgres(t);
  const db = await roomDatabase(t, where, NOW);
  const beganMs = performance.now();
  await fillCity(where, { ...SIZE, nowMs: NOW, timeZone: TIME_ZONE }, (line) => t.comment(line));
  t.comment(`filled within ${((performance.now() - beganMs) / 1000).toFixed(0)} s`);

  t.equal(await countOf(db, 'event'), SIZE.events);
  t.equal(await countOf(db, 'event_other'), 0, 'every event lies in its month');
  t.equal(await countOf(db, 'incident'), SIZE.incidents);
  t.equal(await countOf(db, 'camera'), SIZE.boxes);
  const [sums] = await db.all<{ alerts: number; days: number }>(
    'SELECT sum(alerts) AS alerts, count(DISTINCT day) AS days FROM day_figure',
  );
  t.match(sums, { alerts: SIZE.incidents * 0.65, days: 31 }, 'the figures are those of the alerts');
  const indexes = await db.all("SELECT indexname FROM pg_indexes WHERE tablename IN ('event', 'incident')");
  t.equal(indexes.length, 10, 'with all the keys and indexes of the tables');

  const queries = plainQueries(db, NOW);
  const open = await queries.queue();
  t.ok(open.length > 0.7 * SIZE.open && open.length < SIZE.open, `${open.length} are open`);
  const week = await queries.search(siteOf(7), boxOf(7), NOW - 7 * DAY_MS, NOW);
  t.ok(week.length > (SIZE.incidents / SIZE.boxes) * (7 / 30), `${week.length} in the week of a busy box`);

  await measured(t, 'queue', () => queries.queue());
  await measured(t, 'incident', (round) => queries.incident(1 + ((round * 7_919_017) % SIZE.incidents)));
  await measured(t, 'search', (round) => {
    const no = (round * 37) % SIZE.boxes;
    const from = NOW - (7 + (round % 23)) * DAY_MS;
    return queries.search(siteOf(no), boxOf(no), from, from + 7 * DAY_MS);
  });
  await purged(t, db);
});

/**
 * Each time with another row, after the connection and the plans are there. The bars are for a machine that does nothing
 * else, as it is in the full run: there 95 of 100 must hold them. In the normal one other tests run beside this, which can
 * only add to it: the middle of the best series must.
 */
async function measured(
  t: Test,
  what: keyof typeof BAR_MS,
  ask: (round: number) => Promise<readonly unknown[]>,
): Promise<void> {
  const bar = BAR_MS[what];
  const seen: { middle: number; high: number }[] = [];
  const best = (): number => Math.min(...seen.map(({ middle, high }) => (FULL ? high : middle)));
  for (let series = 0; series < SERIES_MAX && best() > bar; series += 1) {
    const times: number[] = [];
    for (let round = -10; round < ROUNDS; round += 1) {
      const beganMs = performance.now();
      await ask(Math.abs(round) + series * ROUNDS);
      if (round >= 0) times.push(performance.now() - beganMs);
    }
    times.sort((a, b) => a - b);
    seen.push({ middle: times[ROUNDS / 2] ?? 0, high: times[Math.floor(ROUNDS * 0.95)] ?? 0 });
  }
  const texts = seen.map(({ middle, high }) => `p50 ${middle.toFixed(1)} ms, p95 ${high.toFixed(1)} ms`);
  t.ok(best() <= bar, `${what}: ${texts.join('; ')}; at most ${bar}`);
}

/** What an hour later is too old, of 1,500 boxes. */
async function purged(t: Test, db: Sql): Promise<void> {
  const nowMs = NOW + 3_600_000;
  const lines: string[] = [];
  const purge = new Purge(db, { holder: 'one', keys: [], nowMs: () => nowMs }, (line) => lines.push(line));
  t.teardown(() => purge.stop());
  purge.start();
  const tookMs = await until(t, 'an hour is deleted', () => lines.length > 0, 300_000);
  await purge.stop();
  t.match(lines, [/^purge: deleted \d+ of event, \d+ of incident/]);
  t.comment(`${lines[0]} within ${tookMs} ms`);
  const [left] = await db.all<{ events: number; incidents: number }>(
    `SELECT (SELECT count(*) FROM event WHERE at < $1 OR received < $1) AS events,
       (SELECT count(*) FROM incident WHERE received < $1) AS incidents`,
    [iso(nowMs - 30 * DAY_MS)],
  );
  t.same(left, { events: 0, incidents: 0 });
}
