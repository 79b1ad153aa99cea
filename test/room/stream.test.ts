/** Tests the console's event stream: bursts, reconnects, a killed database, and slow screens. */
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import {
  changesSince as queueChanges,
  type ScreenChanges,
} from '../../scripts/products/room/console/queue.ts';
import type { Camera } from '../../scripts/products/room/contract/camera.ts';
import type { Incident } from '../../scripts/products/room/contract/incident.ts';
import { databaseOf } from '../../scripts/products/room/database/open.ts';
import { DatabaseUnavailable, type Sql } from '../../scripts/products/room/database/sql.ts';
import { bundled } from '../lib/bundled.ts';
import {
  appFolder,
  ask,
  enter,
  from,
  linkIn,
  readStream,
  roomDatabase,
  type StreamReader,
  startConsole,
} from '../lib/console.ts';
import { addIncidents } from '../lib/console-rows.ts';
import { DATABASES, onEachDatabase } from '../lib/databases.ts';
import { scratch } from '../lib/paths.ts';
import { type Program, start } from '../lib/program.ts';
import { waitUntil } from '../lib/room.ts';
import { unlessAll } from '../lib/run.ts';
import { WarmProgram } from '../lib/warm-program.ts';

const PROGRAM = bundled('scripts/products/room/console');

const NO_CHANGES: ScreenChanges = {
  rev: 0,
  incidents: [],
  cameras: [],
  removedCameras: [],
  suppressions: undefined,
  openCount: undefined,
};
/** Makes every console ask its database. */
const poke = (db: Sql, key: string): Promise<unknown> =>
  db.run(
    "INSERT INTO completed_action (key, account, incident, at) VALUES ($1, 'x', 1, '2026-01-01T00:00:00.000Z')",
    [key],
  );

/** Checks that a screen received all changes after `after`, each once and in order. */
async function checkComplete(
  t: Test,
  db: Sql,
  revs: readonly number[],
  after: number,
  name: string,
): Promise<void> {
  const rows = await db.all<{ rev: number }>('SELECT rev FROM incident WHERE rev > $1 ORDER BY rev', [after]);
  t.same(
    revs,
    rows.map(({ rev }) => rev),
    `${name}: all ${rows.length}, each once, in order`,
  );
}

/** Adds incidents in one transaction; resolves with the number of the last change. */
async function addSome(db: Sql, count: number): Promise<number> {
  const nos = await addIncidents(
    db,
    Array.from({ length: count }, () => ({})),
  );
  const [row] = await db.all<{ rev: number }>('SELECT rev FROM incident WHERE no = $1', [nos.at(-1) ?? 0]);
  return row?.rev ?? 0;
}

const last = (reader: StreamReader): number => reader.revs.at(-1) ?? 0;

onEachDatabase('a screen that reconnects during a burst misses no change', async (t, database) => {
  const { address } = database;
  const db = await database.prepared();
  const before = await addSome(db, 10);
  const queryTimesMs: number[] = [];
  const changesSince = (rev: number) => queueChanges(db, rev, Date.now());
  const { url } = await startConsole(t, db, {
    changesSince: (rev) => {
      queryTimesMs.push(performance.now());
      return changesSince(rev);
    },
  });
  const cookie = await enter(url, 'operator');
  const steady = readStream(t, url, cookie, before);
  const old = readStream(t, url, cookie, 4);
  const newcomer = readStream(t, url, cookie);
  let broken = readStream(t, url, cookie, before);
  const parts: number[] = [];
  await waitUntil(t, 'all are there', () =>
    [steady, old, newcomer, broken].every(({ status }) => status === 200),
  );
  // Written by another program, as by the archive.
  const writer = databaseOf(address, () => undefined);
  t.teardown(() => writer.close());
  const beganMs = performance.now();
  let end = 0;
  // Covers earlier connections, since one may be cut off before its first event.
  let lastId: number | undefined;
  for (let at = 0; at < 60; at += 1) {
    end = await addSome(writer, 5);
    if (at % 15 !== 7) continue;
    parts.push(...broken.revs);
    lastId = broken.lastId ?? lastId;
    broken.close();
    broken = readStream(t, url, cookie, before, lastId);
  }
  const tookMs = performance.now() - beganMs;
  await waitUntil(t, 'all have arrived', () =>
    [steady, old, newcomer, broken].every((reader) => last(reader) === end),
  );
  await checkComplete(t, db, steady.revs, before, 'who was there');
  await checkComplete(t, db, old.revs, 4, 'who came with a number of before');
  await checkComplete(t, db, [...parts, ...broken.revs], before, 'who came back four times');
  await checkComplete(t, db, newcomer.revs, before, 'who came without a number');
  const gaps = queryTimesMs.slice(1).map((atMs, at) => atMs - (queryTimesMs[at] ?? 0));
  t.ok(
    Math.min(...gaps) >= 95,
    `${queryTimesMs.length} queries in ${Math.round(tookMs)} ms, ${Math.min(...gaps)} ms apart`,
  );
  const committedMs = performance.now();
  const rev = await addSome(writer, 1);
  await waitUntil(t, 'one more', () => last(steady) === rev);
  t.comment(`told ${Math.round(performance.now() - committedMs)} ms after it was begun`);
});

t.test(
  'PostgreSQL killed three times in a burst leaves no gap and no duplicate',
  { skip: unlessAll },
  async (t) => {
    const { address, server } = await DATABASES.postgres(t);
    const db = await roomDatabase(t, address);
    const { url, notices } = await startConsole(t, db);
    const cookie = await enter(url, 'operator');
    const steady = readStream(t, url, cookie, 0);
    let broken = readStream(t, url, cookie, 0);
    const parts: number[] = [];
    await waitUntil(t, 'both are there', () => steady.status === 200 && broken.status === 200);
    const writer = databaseOf(address, () => undefined);
    t.teardown(() => writer.close());
    let isOver = false;
    let [end, failed] = [0, 0];
    const writing = (async () => {
      while (!isOver) {
        try {
          // A new number each time, since a write with an unknown outcome is not repeated.
          end = await addSome(writer, 3);
        } catch (error) {
          if (!(error instanceof DatabaseUnavailable)) throw error;
          failed += 1;
          await sleep(20);
        }
      }
    })();
    for (let round = 1; round <= 3; round += 1) {
      const from_ = last(steady);
      await waitUntil(t, 'some have arrived', () => last(steady) > from_ + 30, 30_000);
      await server?.kill();
      await waitUntil(
        t,
        'the screen has the change',
        () => steady.names().filter((name) => name === 'unavailable').length === round,
        30_000,
      );
      if (round === 2) {
        parts.push(...broken.revs);
        const { lastId } = broken;
        broken.close();
        await server?.start();
        broken = readStream(t, url, cookie, 0, lastId);
        await waitUntil(t, 'it may come back', () => broken.status !== 0);
        t.equal(broken.status, 200);
      } else {
        t.equal((await ask(`${url}/healthz`)).status, 503);
        const answer = await ask(`${url}/api/session`, { headers: { cookie } });
        t.match(answer, { status: 503, json: { title: /^the database does not answer/ } });
        await server?.start();
      }
      await waitUntil(
        t,
        'and again',
        () => steady.names().filter((name) => name === 'available').length === round,
        30_000,
      );
    }
    isOver = true;
    await writing;
    end = await addSome(writer, 1);
    await waitUntil(t, 'all have arrived', () => last(steady) === end && last(broken) === end, 30_000);
    await checkComplete(t, db, steady.revs, 0, 'who was there');
    await checkComplete(t, db, [...parts, ...broken.revs], 0, 'who came back');
    t.ok(failed > 0, `${failed} writes failed`);
    t.equal(
      notices.filter((line) => /does not answer/.test(line)).length,
      3,
      'a line for each time, not for each try',
    );
  },
);

t.test('a screen too far behind reloads, and a change between two queries comes once', async (t) => {
  const db = await (await DATABASES.sqlite(t)).prepared();
  const state = { rev: 5000, put: [] as number[], cameras: 0 };
  const changesSince = async (sinceRev: number): Promise<ScreenChanges> => ({
    ...NO_CHANGES,
    rev: state.rev,
    incidents: state.put.filter((rev) => rev > sinceRev).map((rev) => ({ rev }) as Incident),
    cameras: Array.from({ length: state.cameras }, (_, at) => ({ box: `b-${at}` }) as Camera),
  });
  const { url, server } = await startConsole(t, db, { changesSince });
  const cookie = await enter(url, 'auditor');
  const current = readStream(t, url, cookie, 5000);
  await waitUntil(t, 'it is there', () => current.status === 200);
  await sleep(250);
  const [far, future, near] = [2999, 6000, 3000].map((after) => readStream(t, url, cookie, after));
  await waitUntil(t, 'both get a reset', () => far?.names()[0] === 'reset' && future?.names()[0] === 'reset');
  t.equal(far?.events[0]?.id, 5000);
  // Newer than the number that the query returns: it comes with the next one, and once.
  state.put = [5001, 5002];
  state.rev = 5001;
  state.cameras = 2;
  await poke(db, 'a');
  await waitUntil(t, 'the first', () => current.revs.length === 1);
  state.rev = 5002;
  state.cameras = 0;
  await poke(db, 'b');
  await waitUntil(t, 'the second', () => current.revs.length === 2 && near?.revs.length === 2);
  for (const reader of [current, far, future, near]) t.same(reader?.revs, [5001, 5002]);
  t.match(
    current.events.map(({ name, id }) => ({ name, id })),
    [
      { name: 'cameras', id: undefined },
      { name: 'incidents', id: 5001 },
      { name: 'incidents', id: 5002 },
    ],
  );
  state.put = Array.from({ length: 2001 }, (_, at) => 5003 + at);
  state.rev = 5003 + 2000;
  await poke(db, 'c');
  await waitUntil(t, 'a storm', () => current.names().at(-1) === 'reset');
  t.equal(current.lastId, 7003);
  const otherReaders = Array.from({ length: 20 }, () => readStream(t, url, cookie));
  await waitUntil(t, 'others are there', () => otherReaders.every(({ status }) => status === 200));
  const one = readStream(t, url, cookie);
  await waitUntil(t, 'one too many', () => one.status === 429);
  t.match(server.summary(), /1 streams too many/);
});

t.test('a slow database is reported, and loses nothing', async (t) => {
  const db = await (await DATABASES.sqlite(t)).prepared();
  const changesSince = (rev: number) => queueChanges(db, rev, Date.now());
  let slowMs = 0;
  const { url, notices } = await startConsole(t, db, {
    changesSince: async (rev) => {
      const changes = await changesSince(rev);
      await sleep(slowMs);
      return changes;
    },
  });
  const reader = readStream(t, url, await enter(url, 'operator'), 0);
  await waitUntil(t, 'it is there', () => reader.status === 200);
  await sleep(250);
  slowMs = 4000;
  await addSome(db, 2);
  await waitUntil(t, 'it is reported', () => reader.names()[0] === 'unavailable');
  slowMs = 0;
  const end = await addSome(db, 2);
  await waitUntil(t, 'all is sent', () => last(reader) === end && reader.names().includes('available'));
  t.same(reader.revs, [1, 2, 3, 4]);
  t.same(notices, [
    'console: the database does not answer (no answer in 3 s); retrying',
    'console: the database answers again',
  ]);
});

t.test('a stalled screen is cut off, and a session that ends elsewhere ends its stream', async (t) => {
  const { address } = await DATABASES.sqlite(t);
  const db = await roomDatabase(t, address);
  const state = { rev: 0 };
  const text = 'x'.repeat(2000);
  const changesSince = async (sinceRev: number): Promise<ScreenChanges> => ({
    ...NO_CHANGES,
    rev: state.rev,
    incidents: Array.from(
      { length: state.rev - sinceRev },
      (_, at) => ({ rev: sinceRev + 1 + at, kind: text }) as Incident,
    ),
  });
  const { url, notices, server } = await startConsole(t, db, { changesSince });
  const cookie = await enter(url, 'operator');
  const reader = readStream(t, url, cookie, 0);
  const { port, host } = new URL(url);
  const slow = connect(Number(port), '127.0.0.1');
  t.teardown(() => slow.destroy());
  slow.on('error', () => undefined);
  slow.write(`GET /api/stream?after=0 HTTP/1.1\r\nHost: ${host}\r\nCookie: ${cookie}\r\n\r\n`);
  slow.pause();
  await waitUntil(t, 'it is there', () => reader.status === 200);
  const other = databaseOf(address, () => undefined);
  t.teardown(() => other.close());
  for (let at = 0; at < 30 && !notices.some((line) => /does not read/.test(line)); at += 1) {
    state.rev += 1000;
    await poke(other, `slow-${at}`);
    await waitUntil(t, 'the other one has it', () => last(reader) === state.rev);
  }
  t.match(server.summary(), /1 slow screens cut off/);
  t.equal(reader.isOver, false);
  await other.run('DELETE FROM session');
  await waitUntil(t, 'the heartbeat sees it', () => reader.isOver, 20_000);
  t.equal(reader.names().at(-1), 'session');
});

async function consoleProgram(t: Test, ...args: string[]): Promise<{ program: Program; url: string }> {
  const program = start(t, process.execPath, [PROGRAM, '--app', appFolder(t), ...args]);
  await waitUntil(t, 'it listens', () => program.out.includes('Ctrl-C'), 30_000);
  return { program, url: /http:\/\/\S+(?=\/;)/.exec(program.out)?.[0] ?? '' };
}

t.test('two consoles of the program share one database and end cleanly', { skip: unlessAll }, async (t) => {
  const database = join(scratch(t), 'room.db');
  const args = ['--demo', '--database', database, '--listen', '127.0.0.1:0'];
  const [one, two] = [await consoleProgram(t, ...args), await consoleProgram(t, ...args)];
  const link = linkIn(one.program.out);
  await t.rejects(enter(one.url, 'supervisor'), /a demonstration is entered by the link that it has printed/);
  const other = linkIn(two.program.out).replace(/^.*token=/, `${one.url}/auth/enter?token=`);
  t.match(await ask(other), { status: 403, text: /not of this demonstration/ }, 'another program’s link');
  await t.rejects(enter(one.url, 'supervisor', other), /by the link/);
  t.same(
    (await ask(`${one.url}/api/login`)).json,
    { method: 'local', accounts: [] },
    'a login without a link',
  );
  const cookie = await enter(one.url, 'operator', link);
  t.equal((await ask(`${two.url}/api/session`, { headers: { cookie } })).status, 200, 'one session for both');
  const reader = readStream(t, two.url, cookie);
  await waitUntil(t, 'the stream answers', () => reader.status === 200);
  two.program.child.kill('SIGTERM');
  t.equal(await two.program.exit, 0);
  await waitUntil(t, 'streams are ended', () => reader.isOver);
  await ask(`${one.url}/api/login`, { method: 'POST', headers: from(one.url), body: { name: 'x' } });
  one.program.child.kill('SIGTERM');
  t.equal(await one.program.exit, 0);
  t.match(one.program.out, /Ended: 5 logins refused\n$/);
  t.equal(one.program.err + two.program.err, '');

  const settings = join(scratch(t), 'console.yaml');
  writeFileSync(
    settings,
    `database: ${join(scratch(t), 'none.db')}\ndemo: {accounts: [{name: a, role: operator}]}\n`,
  );
  const cases: [string[], number, RegExp][] = [
    [[], 2, /^room: name --settings FILE, or --demo/],
    [['--settings', settings], 2, /^room: database: not a room database yet .* start the archive/],
    [['--demo', '--listen', '0.0.0.0:0'], 2, /^room: --listen: with --demo anybody with the link may enter/],
    [['--demo', '--database', 'postgres://u@127.0.0.1:1/x'], 1, /^room: database: does not answer/],
    [['--demo', '--app', '/nowhere'], 2, /^room: the browser app is missing .*npm run build/],
  ];
  const warm = new WarmProgram('scripts/products/room/console');
  for (const [extraArgs, code, line] of cases) {
    const ended = await warm.run(['--app', appFolder(t), ...extraArgs]);
    t.match(ended, { code, err: line }, extraArgs.join(' '));
    t.equal(ended.err.trim().split('\n').length, 1, 'one line');
  }
});
