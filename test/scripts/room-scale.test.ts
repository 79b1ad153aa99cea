/**
 * How long the console's questions take in PostgreSQL beside the incidents of a month of a city: 1,500 boxes. A million of
 * them with VIGIE_TEST_FULL=1; fewer in the normal run, where the bars are the same.
 */
import t from 'tap';
import { dataHandlers } from '../../scripts/programs/room/console/handlers.ts';
import { changesSince } from '../../scripts/programs/room/console/queue.ts';
import { iso, type Sql } from '../../scripts/programs/room/database/sql.ts';
import { roomDatabase, TIME_ZONE } from '../lib/console.ts';
import { callOf } from '../lib/console-room.ts';
import { putCamera } from '../lib/console-rows.ts';
import { DATABASES } from '../lib/databases.ts';

const FULL = process.env['VIGIE_TEST_FULL'] === '1';
const NOW = Date.parse('2026-11-27T12:00:00.000Z');
const DAYS = 30;
const DAY_MS = 86_400_000;
const BOXES = 1500;
const INCIDENTS = FULL ? 1_000_000 : 60_000;
const FIGURES = FULL ? 1_000_000 : 60_000;
const ROUNDS = 30;
/** Of one statement, which is waited for a minute. */
const SLICE = 20_000;
/** What a shift leaves open; the others are closed. */
const OPEN = 400;
/** One in so many is of a box itself. */
const SYSTEM_EACH = 20;

/**
 * Of several, ms: the middle one with VIGIE_TEST_FULL=1, where the machine does nothing else; in the normal run the
 * quickest, since other tests run beside it.
 */
async function tookMs(act: (round: number) => Promise<unknown>): Promise<number> {
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const beginMs = performance.now();
    await act(round);
    times.push(performance.now() - beginMs);
  }
  return times.sort((a, b) => a - b)[FULL ? ROUNDS / 2 : 0] ?? Number.POSITIVE_INFINITY;
}

async function fill(db: Sql): Promise<void> {
  const detail = JSON.stringify({ purpose: 'safety', legalBasis: 'order 12', degraded: [], sealed: false });
  for (let from = 1; from <= INCIDENTS; from += SLICE) {
    await db.run(
      `INSERT INTO incident (rev, revision, site, box, episode, entry, severity, priority, kind, rule, place, started,
         ended, received, clock_doubt, objects, cause, events, newest, detail, state, verdict, closed_at)
       SELECT n, 0, 'lyon', 'b-' || (n * 7919 % ${BOXES}), 'e-' || n, 1,
         CASE WHEN n % ${SYSTEM_EACH} = 0 THEN 'system' ELSE 'alert' END, 1 + n % 3,
         CASE WHEN n % ${SYSTEM_EACH} = 0 THEN 'stream-lost' ELSE 'loitering' END, 'r-' || n % 2, 'zone/square',
         at, at + interval '60 s', at, false, '[{"label":"person","track":1}]', '{"stayedS":60}', 2, at, $3,
         CASE WHEN n % ${SYSTEM_EACH} = 0 OR n > $1::bigint - ${OPEN} THEN 'new' ELSE 'closed' END,
         CASE WHEN n % 3 = 0 THEN 'true' END,
         CASE WHEN n % ${SYSTEM_EACH} <> 0 AND n <= $1::bigint - ${OPEN} THEN at + interval '90 s' END
       FROM (SELECT n, $2::timestamptz - (($1::bigint - n) * ${DAYS} * 86400.0 / $1::bigint) * interval '1 s' AS at
         FROM generate_series($4::bigint, $5::bigint) AS n) AS made`,
      [INCIDENTS, iso(NOW), detail, from, from + SLICE - 1],
    );
  }
  for (let from = 0; from < FIGURES; from += SLICE) {
    await db.run(
      `INSERT INTO day_figure SELECT to_char(DATE '2026-11-27' - (n / 24 % ${DAYS})::int, 'YYYY-MM-DD'), n % 24, 'lyon',
         'b-' || (n / ${24 * DAYS} % ${BOXES}), 'r-1', 'loitering', 8, 5, 2, 1, 8, 100.0
       FROM generate_series($1::bigint, $2::bigint) AS n`,
      [from, from + SLICE - 1],
    );
  }
  await db.run("UPDATE counter SET value = $1 WHERE name = 'rev'", [INCIDENTS]);
  for (let index = 0; index < BOXES; index += 1) await putCamera(db, `b-${index}`, NOW);
  await db.run('ANALYZE');
}

void t.test(`${INCIDENTS} incidents of ${BOXES} boxes`, { timeout: 600_000 }, async (t) => {
  const { where } = await DATABASES.postgres(t);
  const db = await roomDatabase(t, where, NOW);
  await fill(db);
  const handlers = dataHandlers(db, { timeZone: TIME_ZONE, people: async () => [], plan: undefined });
  const within = async (
    ms: number,
    what: string,
    act: (round: number) => Promise<unknown>,
  ): Promise<void> => {
    const took = await tookMs(act);
    t.ok(took <= ms, `${what}: ${took.toFixed(1)} ms, at most ${ms}`);
    t.comment(`${what}: ${took.toFixed(1)} ms`);
  };
  // Of a console that has been up for a while.
  for (let round = 0; round < ROUNDS; round += 1) await handlers.queue(callOf<'queue'>('anna', NOW));
  const week = { from: iso(NOW - 7 * DAY_MS), to: iso(NOW) };
  await within(5, `the queue, ${OPEN} open`, () => handlers.queue(callOf<'queue'>('anna', NOW)));
  await within(20, 'one incident', (round) =>
    handlers.incident(callOf<'incident'>('anna', NOW, { params: { no: INCIDENTS - 31 * round } })),
  );
  await within(100, 'a week of a box', (round) =>
    handlers.incidents(
      callOf<'incidents'>('anna', NOW, {
        query: { box: `b-${round * 31}`, site: 'lyon', ...week, limit: 500 },
      }),
    ),
  );
  await within(100, 'a week of a box without its site', (round) =>
    handlers.incidents(callOf<'incidents'>('anna', NOW, { query: { box: `b-${round * 37}`, ...week } })),
  );
  await within(100, 'the newest page', () => handlers.incidents(callOf<'incidents'>('anna', NOW)));
  await within(100, 'all cameras', () => handlers.cameras(callOf<'cameras'>('anna', NOW)));
  await within(20, 'what has changed since', () => changesSince(db, INCIDENTS + BOXES - 20, NOW));
  const shift = { from: iso(NOW - DAY_MS / 3), to: iso(NOW) };
  await within(500, 'the hand-over', () =>
    handlers.handOver(callOf<'handOver'>('sup', NOW, { query: shift })),
  );
  const month = { from: iso(NOW - DAYS * DAY_MS), to: iso(NOW), by: 'rule' } as const;
  const took = await tookMs(() => handlers.figures(callOf<'figures'>('sup', NOW, { query: month })));
  t.comment(`figures of a month by rule: ${took.toFixed(0)} ms`);
  t.ok(took < 5000, 'whoever asks for a month waits for seconds at the most');
});
