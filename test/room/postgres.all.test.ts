/** Tests PostgreSQL as it behaves during a failover: a standby, a lost answer to COMMIT, a dead connection. */
import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import t, { type Test } from 'tap';
import { Archive } from '../../scripts/products/room/archive/archive.ts';
import type { EventArrival } from '../../scripts/products/room/archive/message.ts';
import { databaseOf } from '../../scripts/products/room/database/open.ts';
import { DatabaseUnavailable, type Sql } from '../../scripts/products/room/database/sql.ts';
import { standbyProblem } from '../../scripts/products/room/database/standbys.ts';
import { scratch } from '../lib/paths.ts';
import { newestPostgres, Postgres } from '../lib/postgres.ts';
import { start } from '../lib/program.ts';
import { TcpProxy } from '../lib/proxy.ts';
import { makeRoom, waitUntil } from '../lib/room.ts';
import { eventArrival } from '../lib/room-alerts.ts';
import { RoomProgram } from '../lib/room-program.ts';

/** Starts a server of its own that waits for a standby, or is one. */
async function serverFor(t: Test): Promise<Postgres> {
  const server = new Postgres(scratch(t), ['wal_level = replica', 'max_wal_senders = 2']);
  t.teardown(() => server.stop());
  await server.start();
  return server;
}

/** A proxy before the server, and its address. */
async function proxyFor(t: Test, server: Postgres): Promise<{ proxy: TcpProxy; url: string }> {
  const url = new URL(server.url);
  const proxy = new TcpProxy(Number(url.port));
  await proxy.start();
  t.teardown(() => proxy.stop());
  url.port = String(proxy.port);
  return { proxy, url: url.href };
}

function openDatabase(t: Test, url: string): Sql {
  const db = databaseOf(url, ({ message }) => t.comment(`broken: ${message}`));
  t.teardown(() => db.close());
  return db;
}

async function archiveOn(
  t: Test,
  db: Sql,
  onNotice: (line: string) => void = (line) => t.comment(line),
): Promise<Archive> {
  const instanceId = randomUUID();
  const archive = new Archive(db, { timeZone: 'Europe/Paris', now: Date.now, instanceId, onNotice });
  await archive.open();
  return archive;
}

const NOW = Date.now();
const event = (seq: number): EventArrival => eventArrival({ seq }, NOW);

/** Runs statements as the server's administrator, on a connection of their own. */
async function administer(server: Postgres, ...statements: string[]): Promise<pg.QueryResult> {
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  try {
    let result = await client.query('SELECT 1');
    for (const statement of statements) result = await client.query(statement);
    return result;
  } finally {
    await client.end();
  }
}

/** Like `waitUntil`, for a condition that has to be queried elsewhere. */
async function eventually(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await sleep(50);
}

/** Repeats an action until a new setting makes it fail, and returns the error. */
async function failureOf(action: () => Promise<unknown>): Promise<unknown> {
  for (;;) {
    try {
      await action();
    } catch (error) {
      return error;
    }
  }
}

/** Makes every COMMIT wait for a standby that does not exist. */
async function waitForNobody(server: Postgres): Promise<void> {
  await administer(
    server,
    "ALTER SYSTEM SET synchronous_standby_names = 'nobody'",
    'SELECT pg_reload_conf()',
  );
  await eventually(async () => {
    const { rows } = await administer(server, 'SHOW synchronous_standby_names');
    return rows[0].synchronous_standby_names === 'nobody';
  });
}

const waitNoMore = (server: Postgres): Promise<unknown> =>
  administer(server, 'ALTER SYSTEM RESET synchronous_standby_names', 'SELECT pg_reload_conf()');

/** Waits until a transaction hangs in its COMMIT, and returns the pid of its backend. */
async function waitingPid(server: Postgres): Promise<number> {
  let pid: number | undefined;
  await eventually(async () => {
    const { rows } = await administer(
      server,
      "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'",
    );
    pid = rows[0]?.pid;
    return pid !== undefined;
  });
  return Number(pid);
}

void t.test('a standby is treated as unavailable until it becomes the primary', async (t) => {
  const server = await serverFor(t);
  const db = openDatabase(t, server.url);
  const archive = await archiveOn(t, db);
  await archive.store([event(1)]);
  await server.stop();
  writeFileSync(join(server.data, 'standby.signal'), '');
  await server.start();
  const standby =
    /^PostgreSQL on 127\.0\.0\.1:\d+: takes no writes \(a standby, or read-only\); wait for the failover/;
  const actions: readonly (() => Promise<unknown>)[] = [
    () => db.all('SELECT * FROM event'),
    () => db.run("UPDATE counter SET value = 7 WHERE name = 'rev'"),
    () => archive.open(),
    () => archive.store([event(2)]),
    () => db.listen(() => undefined),
  ];
  for (const action of actions)
    await t.rejects(action(), { constructor: DatabaseUnavailable, message: standby });
  const room = await makeRoom(t);
  const program = await RoomProgram.start(t, room, '--database', server.url);
  await waitUntil(t, 'the program tells it', () =>
    standby.test(program.output.replace(/^room: archive: /, '')),
  );
  await administer(server, 'SELECT pg_promote()');
  await waitUntil(t, 'and goes on', () => program.output.includes('Room on'));
  t.same(
    (await archive.store([event(2)])).lanes.map(({ contiguous_seq: through }) => through),
    [2],
  );
  t.equal(await program.end('SIGTERM'), 0);
  const url = server.url.replace('postgres@', 'postgres:hidden@').replace(/postgres$/, 'nowhere');
  const wrong = await RoomProgram.start(t, room, '--database', url);
  await waitUntil(t, 'refused', () => wrong.output.endsWith('\n'));
  t.equal(await wrong.end('SIGINT'), 2, 'a refusal ends the program');
  t.equal(wrong.output, 'room: --database cannot be opened: database "nowhere" does not exist\n');
});

void t.test('a COMMIT whose answer was lost is recognised on repetition, and acknowledged', async (t) => {
  const server = await serverFor(t);
  const { proxy, url } = await proxyFor(t, server);
  const archive = await archiveOn(t, openDatabase(t, url));
  await archive.store([event(1)]);
  await waitForNobody(server);
  const storing = archive.store([event(2)]);
  const outcome = storing.then(
    () => 'stored',
    (error: unknown) => error,
  );
  await waitingPid(server);
  proxy.hold(false, true);
  await waitNoMore(server);
  await eventually(async () => (await administer(server, 'SELECT * FROM event')).rows.length === 2);
  proxy.cutConnections();
  t.ok((await outcome) instanceof DatabaseUnavailable, 'the outcome is unknown');
  proxy.hold(false, false);
  const { newArrivals, lanes } = await archive.store([event(2)]);
  t.same(newArrivals, [], 'it was there');
  t.equal(lanes[0]?.contiguous_seq, 2, 'and is acknowledged now');
});

void t.test('a COMMIT that was cancelled before its standby confirmed is not acknowledged', async (t) => {
  const server = await serverFor(t);
  const db = openDatabase(t, server.url);
  const archive = await archiveOn(t, db);
  await waitForNobody(server);
  for (const [name, action] of [
    ['a batch', () => archive.store([event(1)])],
    ['a single statement', () => db.run("UPDATE counter SET value = 7 WHERE name = 'rev'")],
  ] as const) {
    const outcome = action().then(
      () => undefined,
      (error: unknown) => error,
    );
    await administer(server, `SELECT pg_cancel_backend(${await waitingPid(server)})`);
    const error = await outcome;
    t.ok(error instanceof DatabaseUnavailable, `${name}: ${String(error)}`);
  }
  await waitNoMore(server);
  const { newArrivals, lanes } = await archive.store([event(1)]);
  t.same(newArrivals, [], 'it was there');
  t.equal(lanes[0]?.contiguous_seq, 1);
});

void t.test('no setting of server, role or URL changes the durability of a transaction', async (t) => {
  const server = await serverFor(t);
  await administer(
    server,
    'ALTER SYSTEM SET synchronous_commit = off',
    'SELECT pg_reload_conf()',
    'ALTER ROLE postgres SET synchronous_commit = local',
  );
  // Like a pooler, the URL replaces the options that the program sets for its connections.
  const db = openDatabase(t, `${server.url}?options=${encodeURIComponent('-c synchronous_commit=off')}`);
  for (const rows of [
    await db.all<Setting>(SETTINGS),
    await db.transaction((transaction) => transaction.all<Setting>(SETTINGS)),
  ]) {
    t.same(Object.fromEntries(rows.map(({ name, setting }) => [name, setting])), {
      synchronous_commit: 'on',
      TimeZone: 'UTC',
      // A client that vanishes holds no locks for hours; ms and s are the server's units.
      idle_in_transaction_session_timeout: '10000',
      tcp_keepalives_idle: '10',
      tcp_user_timeout: '30000',
    });
  }
  await administer(server, 'ALTER SYSTEM SET fsync = off', 'SELECT pg_reload_conf()');
  const fsync = /^PostgreSQL has fsync = off, so a power cut loses stored rows; set it to on$/;
  const error = await failureOf(async () => {
    const one = databaseOf(server.url, ({ message }) => t.comment(message));
    try {
      await one.all('SELECT 1');
    } finally {
      await one.close();
    }
  });
  t.match(error, { message: fsync });
  t.notOk(error instanceof DatabaseUnavailable, 'a mistake, which is not tried again');
});

interface Setting {
  readonly name: string;
  readonly setting: string;
}

const SETTINGS = `SELECT name, setting FROM pg_settings WHERE name IN ('synchronous_commit', 'TimeZone',
  'idle_in_transaction_session_timeout', 'tcp_keepalives_idle', 'tcp_user_timeout')`;

void t.test('a listener whose server is silent reconnects and is notified', async (t) => {
  const server = await serverFor(t);
  const { proxy, url } = await proxyFor(t, server);
  const broken: string[] = [];
  const db = databaseOf(url, ({ message }) => broken.push(message));
  t.teardown(() => db.close());
  let calls = 0;
  const unlisten = await db.listen(() => {
    calls += 1;
  });
  t.equal(calls, 1, 'once at the beginning');
  await administer(server, 'NOTIFY vigie_room');
  await waitUntil(t, 'it is called', () => calls === 2);
  // Half open: neither side is notified.
  proxy.hold(true, true);
  await waitUntil(t, 'the silence is noticed', () => broken.length > 0 && proxy.connections > 1);
  t.equal(broken.length, 1, 'it is reported once');
  proxy.hold(false, false);
  proxy.cutConnections();
  await waitUntil(t, 'it listens again, and calls since something may have been missed', () => calls > 2);
  const before = calls;
  await administer(server, 'NOTIFY vigie_room');
  await waitUntil(t, 'it hears', () => calls > before);
  await server.kill();
  await server.start();
  await waitUntil(t, 'after a crash as well', () => calls > before + 1);
  await unlisten();
  await unlisten();
});

void t.test('an archive reports standbys that are not synchronous', async (t) => {
  const server = await serverFor(t);
  const noticesOf = async (): Promise<string[]> => {
    const lines: string[] = [];
    const db = openDatabase(t, server.url);
    await archiveOn(t, db, (line) => lines.push(line));
    return lines;
  };
  t.same(await noticesOf(), [], 'a server alone is not waited for by anybody');
  const { port } = new URL(server.url);
  const serverArgs = ['-h', '127.0.0.1', '-p', port, '-U', 'postgres', '-D', scratch(t)];
  start(t, join(newestPostgres(), 'bin/pg_receivewal'), serverArgs);
  await eventually(async () => {
    const { rows } = await administer(server, 'SELECT * FROM pg_stat_replication');
    return rows.length > 0;
  });
  t.match(await noticesOf(), [
    /^database: no standby is waited for: a failover loses what was stored last; set/,
  ]);
  await waitForNobody(server);
  const db = openDatabase(t, server.url);
  t.equal(await standbyProblem(db), undefined, 'a synchronous standby is healthy');
  await waitNoMore(server);
});
