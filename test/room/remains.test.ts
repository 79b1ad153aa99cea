/** Tests byte by byte that deleted rows are no longer in the files of either database. */
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import t, { type Test } from 'tap';
import { iso, type Sql } from '../../scripts/products/room/database/sql.ts';
import { Purge } from '../../scripts/products/room/retention/purge.ts';
import { addIncidents, countOf, DAY_MS, insert } from '../lib/console-rows.ts';
import { DATABASES } from '../lib/databases.ts';
import { waitUntil } from '../lib/room.ts';
import { unlessAll } from '../lib/run.ts';

/** Noon in Paris, and hours around the following night. */
const NOON = Date.parse('2026-11-27T11:00:00.000Z');
const NIGHT = Date.parse('2026-11-28T02:10:00.000Z');
const OLD = NOON - 40 * DAY_MS;
const NEW = NOON - DAY_MS;

/** Number of pictures as large as a still, and of events and notes; half of each is due for deletion. */
const ROWS = 1200;
const PICTURE_BYTES = 15_000;

/** Content of one row: random text between two copies of a unique mark, which no database can compress. */
const markedContent = (kind: string, index: number, bytes: number): string => {
  const mark = `<${kind}-${index % 2 === 0 ? 'due' : 'kept'}-${index}>`;
  return `${mark}${randomBytes(bytes).toString('base64')}${mark}`;
};

async function fill(db: Sql, rows = ROWS): Promise<void> {
  const timeOf = (index: number): string => iso(index % 2 === 0 ? OLD : NEW);
  const nos = await addIncidents(
    db,
    Array.from({ length: rows }, (_, index) => ({ received: timeOf(index), episode: `ep-${index}` })),
  );
  await db.transaction(async (transaction) => {
    // The keys arrive in an irregular order, as from boxes.
    for (let index = 0; index < rows; index += 1) {
      const time = timeOf(index);
      const place = { site: 's', box: `b-${(index * 7919) % 50}` };
      const key = { ...place, epoch: 'e1', lane: 'alert', seq: 1, received: time };
      const id = `${(index * 104_729) % 9973}-${index}`;
      const body = JSON.stringify({ text: markedContent('event', index, 16 * (index % 50)) });
      await insert(transaction, 'event', { ...key, id, type: 'vigie.loitering.v1', time, at: time, body });
      const jpeg = Buffer.from(markedContent('picture', index, PICTURE_BYTES));
      await insert(transaction, 'snapshot', { ...key, name: id, sha256: 'none', jpeg });
      const incident = nos[index] ?? 0;
      const text = markedContent('note', index, 200);
      await insert(transaction, 'note', { incident, at: time, account: 'ada', text });
    }
  });
}

/** Marks that the files of a folder contain, counted by kind and fate. */
function marksIn(folder: string): Record<string, number> {
  const marks = new Set<string>();
  const walk = (path: string): void => {
    if (!existsSync(path)) return;
    if (statSync(path).isDirectory()) {
      for (const name of readdirSync(path)) walk(join(path, name));
      return;
    }
    const text = readFileSync(path).toString('latin1');
    for (const [mark] of text.matchAll(/<[a-z]+-(?:due|kept)-\d+>/g)) marks.add(mark);
  };
  walk(folder);
  const counts: Record<string, number> = {};
  for (const mark of marks) {
    const kind = mark.slice(1).replace(/-\d+>$/, '');
    counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return counts;
}

/** Repeats a query until the sum is reached; the server counts deleted rows after a connection has been idle. */
async function poll(db: Sql, sql: string, least: number): Promise<void> {
  for (;;) {
    const [row] = await db.all<{ n: number }>(sql);
    if ((row?.n ?? 0) >= least) return;
    await sleep(200);
  }
}

async function bytesOf(db: Sql, tables: string): Promise<number> {
  const [row] = await db.all<{ n: number }>(
    `SELECT sum(pg_total_relation_size(relid)) AS n FROM pg_stat_user_tables WHERE relname ~ $1`,
    [tables],
  );
  return row?.n ?? 0;
}

const HALF = ROWS / 2;
const REMAINING = { 'event-kept': HALF, 'picture-kept': HALF, 'note-kept': HALF };
const ALL = { ...REMAINING, 'event-due': HALF, 'picture-due': HALF, 'note-due': HALF };

/** Runs the deletion by a clock of the test, until it is stopped. */
function startPurge(t: Test, db: Sql, nowMs: () => number): { lines: string[]; purge: Purge } {
  const lines: string[] = [];
  const purge = new Purge(db, { instanceId: 'one', keys: [], nowMs, everyMs: 100 }, (line) =>
    lines.push(line),
  );
  t.teardown(() => purge.stop());
  purge.start();
  return { lines, purge };
}

void t.test('a deleted row remains neither in the SQLite file nor in its log', async (t) => {
  const { address, prepared } = await DATABASES.sqlite(t);
  const folder = join(address, '..');
  const db = await prepared(NOON);
  await fill(db);
  t.same(marksIn(folder), ALL, 'all of it is there to be found');

  let nowMs = NOON;
  const { lines, purge } = startPurge(t, db, () => nowMs);
  await waitUntil(t, 'it is deleted', () =>
    lines.some((line) => /deleted 600 of event, 600 of snapshot/.test(line)),
  );
  await waitUntil(t, 'the log is cut', () => statSync(`${address}-wal`).size === 0);
  const byDay = marksIn(folder);
  t.equal(byDay['picture-due'], undefined, 'no picture is left by day');
  t.equal(byDay['note-due'], undefined);
  t.ok((byDay['event-due'] ?? 0) <= HALF / 100, 'copies in pages that were divided, at most');
  const bytes = statSync(address).size;

  nowMs = NIGHT;
  await waitUntil(t, 'the file is rewritten in the night', () => statSync(address).size < bytes * 0.7);
  await waitUntil(t, 'the log is cut', () => statSync(`${address}-wal`).size === 0);
  await purge.stop();
  t.same(marksIn(folder), REMAINING, 'no due row, and all retained ones');
  t.equal(await countOf(db, 'snapshot'), HALF);
  t.equal(lines.length, 1, lines.join('\n'));
});

void t.test('SQLite reports a file that has a long reader, or is too large to rewrite', async (t) => {
  const { address, prepared } = await DATABASES.sqlite(t);
  const db = await prepared(NOON);
  await fill(db, 100);
  t.same(await db.scrub(false), [], 'all is in the file');
  t.same(await db.scrub(true, { sizeMax: 1_000_000 }), [
    `${address}: more than 1 MB; pages in use may still contain deleted data: VACUUM it by hand, see docs/guide/room.md`,
  ]);
  const reader = new Database(address);
  t.teardown(() => reader.close());
  reader.exec('BEGIN');
  reader.prepare('SELECT count(*) FROM event').get();
  await db.run("DELETE FROM note WHERE text LIKE '%due%'");
  t.match(await db.scrub(false, { withinMs: 300 }), [
    /room\.db-wal: another program has read it for more than/,
  ]);
  reader.exec('COMMIT');
  t.same(await db.scrub(false), []);
});

void t.test(
  'a deleted row remains neither in PostgreSQL’s tables nor in its WAL',
  { skip: unlessAll },
  async (t) => {
    const { server, prepared } = await DATABASES.postgres(t);
    if (server === undefined) throw new Error('there is no server');
    const db = await prepared(NOON);
    await db.run('ALTER SYSTEM SET wal_recycle = off');
    await db.run("ALTER SYSTEM SET min_wal_size = '32MB'");
    await db.run('SELECT pg_reload_conf()');
    await fill(db);
    await db.run('CHECKPOINT');
    const [tables, log] = [join(server.data, 'base'), join(server.data, 'pg_wal')];
    t.same(marksIn(tables), ALL, 'all of it is there to be found');

    let nowMs = NOON;
    const { lines, purge } = startPurge(t, db, () => nowMs);
    await waitUntil(t, 'it is deleted', () =>
      lines.some((line) => /deleted 600 of event, 600 of snapshot/.test(line)),
    );
    const counted =
      "SELECT sum(n_tup_del) AS n FROM pg_stat_user_tables WHERE relname ~ '^(event|snapshot|note)'";
    await poll(db, counted, 3 * HALF);
    await db.run('CHECKPOINT');
    t.ok((marksIn(tables)['picture-due'] ?? 0) > HALF / 2, 'by day it is in free pages');
    nowMs = NIGHT;
    // In the order of their names, so pictures are the last.
    const bytes = await bytesOf(db, '^snapshot');
    while ((await bytesOf(db, '^snapshot')) > 0.7 * bytes) await sleep(200);
    await purge.stop();
    await db.run('CHECKPOINT');
    t.same(marksIn(tables), REMAINING, 'no due row, and all retained ones');
    for (let turn = 0; turn < 2; turn += 1) {
      await db.run('SELECT pg_switch_wal()');
      await db.run('CHECKPOINT');
    }
    const leftKinds = Object.keys(marksIn(log)).filter((kind) => kind.endsWith('due'));
    t.same(leftKinds, [], 'a segment that is not used again is gone after a checkpoint');
    t.equal(lines.length, 1, lines.join('\n'));
  },
);

void t.test(
  'PostgreSQL reports a table that is in use, or is too large to rewrite',
  { skip: unlessAll },
  async (t) => {
    const { prepared } = await DATABASES.postgres(t);
    const [db, other] = [await prepared(NOON), await prepared(NOON)];
    await fill(db, 100);
    await db.run("DELETE FROM note WHERE text LIKE '%due%'");
    let notices: string[] = [];
    await other.transaction(async (transaction) => {
      await transaction.all('SELECT count(*) FROM note');
      // The server counts deleted rows after the connection has been idle.
      while (notices.length === 0) {
        notices = await db.scrub(true);
        // The server ends a transaction without a query after 10 s.
        await transaction.all('SELECT 1 AS there');
      }
    });
    t.match(notices, [/^table note: in use for more than 2 s; /]);
    t.match(await db.scrub(true, { sizeMax: 8192 }), [/^table note: more than 0 MB; .*VACUUM FULL/]);
    t.same(await db.scrub(true), []);
    t.same(await db.scrub(true), [], 'and no table without deletions is rewritten');
  },
);
