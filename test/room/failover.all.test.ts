/**
 * Tests the control room with the shipped files for a database that fails over.
 *
 * The database machines are killed, paused and moved while boxes publish. No accepted event is lost or stored twice.
 * Each fault reports for how long nothing was stored.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import t, { type Test } from 'tap';
import { ask, enter, readStream } from '../lib/console.ts';
import { DatabaseCluster, MACHINES } from '../lib/database-cluster.ts';
import { makeRoom, waitUntil } from '../lib/room.ts';
import { ConsoleProgram, RoomProgram } from '../lib/room-program.ts';
import { FULL } from '../lib/run.ts';
import { checkStored, publishing } from '../lib/standby-boxes.ts';

const skip =
  (!FULL && 'set VIGIE_TEST_RUN=full for a database that fails over') || DatabaseCluster.unavailable();

const BOXES = ['archive', 'archive', 'archive', 'archive', 'archive'] as const;

/** Patroni's `ttl` of 20 s, an election and a proxy check, with a margin for one machine that runs everything. */
const FAILOVER_MS_MAX = 90_000;

/** Maximum pause where the primary continues or steps down itself. */
const PAUSE_MS_MAX = 20_000;
const BACK_WITHIN_MS = 180_000;

/** Longer than the ttl, so another machine leads afterwards. */
const STANDSTILL_MS = 40_000;

/** Queries the current leader; throws without one. */
async function queryLeader<T extends pg.QueryResultRow>(
  url: string,
  sql: string,
  values: unknown[] = [],
): Promise<T[]> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: 5000,
    query_timeout: 10_000,
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return (await client.query<T>(sql, values)).rows;
  } finally {
    await client.end();
  }
}

async function eventually(t: Test, name: string, condition: () => Promise<boolean>): Promise<void> {
  let failure = '';
  for (const untilMs = performance.now() + BACK_WITHIN_MS; ; await sleep(250)) {
    try {
      if (await condition()) return;
    } catch (error) {
      failure = String(error);
    }
    if (performance.now() < untilMs) continue;
    t.fail(`${name}: not within ${BACK_WITHIN_MS} ms (${failure})`);
    throw new Error(name);
  }
}

/** The longest time between two batches of the archive, by its own clock. */
async function pauseMs(url: string, sinceMs: number): Promise<number> {
  const [row] = await queryLeader<{ ms: number }>(
    url,
    `SELECT max(extract(epoch FROM gap) * 1000)::float8 AS ms FROM (
       SELECT received - lag(received) OVER (ORDER BY received) AS gap FROM event WHERE received > $1) gaps`,
    [new Date(sinceMs).toISOString()],
  );
  return Math.round(row?.ms ?? 0);
}

interface Fault {
  readonly name: string;
  /** Maximum time without any stored event. */
  readonly pauseMsMax: number;
  /** Resolves when all machines run again. */
  inject(): Promise<void>;
}

function faultsOf(cluster: DatabaseCluster): Fault[] {
  const killPrimary = (no: number): Fault => ({
    name: `the primary is killed (${no})`,
    pauseMsMax: FAILOVER_MS_MAX,
    inject: async () => {
      const leader = await cluster.leader();
      cluster.killDatabase(leader);
      await eventually(t, 'another leads', async () => (await cluster.leader()) !== leader);
      cluster.startDatabase(leader);
    },
  });
  return [
    killPrimary(1),
    {
      name: "etcd's leader is killed",
      pauseMsMax: PAUSE_MS_MAX,
      inject: async () => {
        const leader = cluster.etcdLeader();
        cluster.killEtcd(leader);
        await sleep(10_000);
        cluster.startEtcd(leader);
      },
    },
    killPrimary(2),
    {
      name: 'the primary’s machine is paused, and resumes',
      pauseMsMax: FAILOVER_MS_MAX,
      inject: async () => {
        const leader = await cluster.leader();
        cluster.pause(leader);
        await sleep(STANDSTILL_MS);
        cluster.resume(leader);
        await eventually(t, 'another leads', async () => (await cluster.leader()) !== leader);
      },
    },
    {
      name: 'the synchronous standby is killed',
      pauseMsMax: PAUSE_MS_MAX,
      inject: async () => {
        const standby = (await cluster.members()).find(({ role }) => role === 'sync_standby')?.name ?? 'db1';
        cluster.killDatabase(standby);
        await sleep(STANDSTILL_MS);
        cluster.startDatabase(standby);
      },
    },
    {
      name: 'an operator moves the primary',
      pauseMsMax: PAUSE_MS_MAX,
      inject: async () => {
        const leader = await cluster.leader();
        // Patroni refuses, only in words, while the future leader has just come back.
        await eventually(t, 'another leads', async () => {
          if ((await cluster.leader()) !== leader) return true;
          cluster.patronictl('switchover', '--force', '--leader', leader);
          return (await cluster.leader()) !== leader;
        });
      },
    },
    {
      name: 'etcd is unavailable',
      pauseMsMax: PAUSE_MS_MAX,
      inject: async () => {
        for (const name of MACHINES) cluster.killEtcd(name);
        await sleep(STANDSTILL_MS);
        for (const name of MACHINES) cluster.startEtcd(name);
      },
    },
    killPrimary(3),
  ];
}

void t.test('a failover under load loses no accepted event', { skip, timeout: 3_600_000 }, async (t) => {
  const cluster = await DatabaseCluster.start(t);
  const room = await makeRoom(t, { persistent: true });
  const program = await RoomProgram.start(t, room, '--database', cluster.url, '--quiet');
  const street = await publishing(t, room, BOXES);
  const newest = (): string => street.eventIds.at(-1) ?? '';
  const isStored = async (id: string): Promise<boolean> =>
    (await queryLeader(cluster.url, "SELECT 1 FROM event WHERE box || ' ' || id = $1", [id])).length > 0;
  await waitUntil(t, 'the boxes publish', () => street.eventIds.length > 0);
  await eventually(t, 'the first is stored', () => isStored(street.eventIds[0] ?? ''));
  const consoleProgram = await ConsoleProgram.start(t, cluster.url);
  const cookie = await enter(consoleProgram.url, 'operator', consoleProgram.link);
  const screen = readStream(t, consoleProgram.url, cookie);

  for (const { name, pauseMsMax, inject } of faultsOf(cluster)) {
    await sleep(3000);
    const beganMs = Date.now();
    await inject();
    const last = newest();
    await eventually(t, `${name}: later events are stored`, () => isStored(last));
    await eventually(
      t,
      'the console answers',
      async () => (await ask(`${consoleProgram.url}/api/queue`, { headers: { cookie } })).status === 200,
    );
    await cluster.waitUntilComplete();
    const longest = await pauseMs(cluster.url, beganMs - 1000);
    t.ok(longest <= pauseMsMax, `${name}: nothing was stored for ${(longest / 1000).toFixed(1)} s`);
  }

  await checkStored(t, street, { read: (sql) => queryLeader(cluster.url, sql) });
  const [last] = await queryLeader<{ rev: string }>(cluster.url, 'SELECT max(rev) AS rev FROM incident');
  await waitUntil(t, 'the screen knows all', () => (screen.revs.at(-1) ?? 0) >= Number(last?.rev));
  t.comment(program.output);
  t.comment(consoleProgram.output);
  t.equal(await program.end('SIGTERM'), 0, 'the archive ends cleanly');
});
