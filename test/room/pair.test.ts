/**
 * Tests an archive, a standby and two consoles on one PostgreSQL, each in a process of its own, during a burst of
 * alerts.
 *
 * The archive and a console are killed in the middle. No alert is lost, stored twice or reported twice.
 */
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { LANES } from '../../agent/contract/outbox.ts';
import type { Sql } from '../../scripts/programs/room/database/sql.ts';
import { bundled } from '../lib/bundled.ts';
import { appFolder, enter, linkIn, readStream } from '../lib/console.ts';
import { DATABASES } from '../lib/databases.ts';
import { eventWithStill } from '../lib/events.ts';
import { FULL } from '../lib/run.ts';
import { makeOutbox } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';
import { type Program, start } from '../lib/program.ts';
import { deliver, makeRoom, waitUntil } from '../lib/room.ts';
import { RoomProgram } from '../lib/room-program.ts';

const CONSOLE = bundled('scripts/programs/room/console');

/** Number of alerts, each with a still; ten times as many with VIGIE_TEST_RUN=full. */
const ALERTS = FULL ? 6000 : 600;

/** Polling interval; a browser notices a lost connection as fast. */
const POLL_MS = 5;

interface Console {
  readonly program: Program;
  readonly url: string;
}

async function startConsole(t: Test, database: string): Promise<Console> {
  const args = ['--app', appFolder(t), '--demo', '--database', database, '--listen', '127.0.0.1:0'];
  const program = start(t, process.execPath, [CONSOLE, ...args]);
  await waitUntil(t, 'a console listens', () => program.out.includes('Ctrl-C'), 30_000);
  return { program, url: /http:\/\/\S+(?=\/;)/.exec(program.out)?.[0] ?? '' };
}

/**
 * Acts as a browser: after a lost connection it continues at the other console, from the last event id that it
 * received.
 */
class Screen {
  readonly revs: number[] = [];
  moves = 0;
  readonly #t: Test;
  readonly #cookie: string;
  #urls: readonly string[];
  #reader: ReturnType<typeof readStream>;
  #takenCount = 0;
  /** Covers earlier connections too, since one may be lost before its first event. */
  #lastId = 0;

  constructor(t: Test, cookie: string, urls: readonly string[]) {
    this.#t = t;
    this.#cookie = cookie;
    this.#urls = urls;
    this.#reader = readStream(t, urls[0] ?? '', cookie, 0);
  }

  /** Collects received events; called continuously. */
  collect(): void {
    const { revs, names } = { revs: this.#reader.revs, names: this.#reader.names() };
    if (names.includes('reset')) this.#t.fail('told to load the queue again');
    this.revs.push(...revs.slice(this.#takenCount));
    this.#takenCount = revs.length;
    if (this.#reader.isOver) this.move();
  }

  /** Switches to the next console. */
  move(): void {
    this.#reader.close();
    this.revs.push(...this.#reader.revs.slice(this.#takenCount));
    this.moves += 1;
    this.#urls = [...this.#urls.slice(1), ...this.#urls.slice(0, 1)];
    this.#lastId = this.#reader.lastId ?? this.#lastId;
    this.#reader = readStream(this.#t, this.#urls[0] ?? '', this.#cookie, 0, this.#lastId);
    this.#takenCount = 0;
  }
}

void t.test(
  `an archive, a standby and two consoles: ${ALERTS} alerts survive the death of an archive and a console`,
  async (t) => {
    const { address, sql } = await DATABASES.postgres(t);
    const room = await makeRoom(t);
    const archive = await RoomProgram.start(t, room, '--database', address);
    await waitUntil(t, 'an archive has the lease', () => archive.output.includes('Ctrl-C'));
    const standby = await RoomProgram.start(t, room, '--database', address);
    await waitUntil(t, 'the other one stands by', () => standby.output.includes('stands by'));
    const consoles = await Promise.all([startConsole(t, address), startConsole(t, address)]);
    const [one = '', two = ''] = consoles.map(({ url }) => url);
    // One session is valid for both, since it is in the database.
    const cookie = await enter(one, 'operator', linkIn(consoles[0]?.program.out ?? ''));
    const screens = { killed: new Screen(t, cookie, [one, two]), steady: new Screen(t, cookie, [two]) };
    const wanderer = new Screen(t, cookie, [two, one]);
    const pollTimer = setInterval(() => {
      for (const screen of [screens.killed, screens.steady, wanderer]) screen.collect();
    }, POLL_MS);
    t.teardown(() => clearInterval(pollTimer));

    const { outbox } = makeOutbox(join(scratch(t), 'outbox.db'), { limitMiB: 64 });
    outbox.start();
    t.teardown(() => outbox.stop());
    const waiting = (): number => LANES.reduce((sum, lane) => sum + outbox.counters.lanes[lane].rows, 0);
    for (let no = 0; no < ALERTS; no += 1) outbox.append(eventWithStill(`a1-${no}`, 500));
    const beganMs = performance.now();
    deliver(t, room.config, outbox);

    await waitUntil(t, 'some reach the screens', () => screens.killed.revs.length > ALERTS / 10, 30_000);
    wanderer.move();
    await archive.end('SIGKILL');
    const [leftByArchive, toldCount] = [waiting(), screens.killed.revs.length];
    t.ok(leftByArchive > 0, `an archive is killed while ${leftByArchive} messages wait at the box`);
    await waitUntil(
      t,
      'the standby goes on',
      () => screens.killed.revs.length > toldCount + ALERTS / 20,
      60_000,
    );
    consoles[0]?.program.child.kill('SIGKILL');
    await consoles[0]?.program.exit;
    t.ok(waiting() > 0, `a console is killed while ${waiting()} messages wait at the box`);
    await waitUntil(t, 'the box has nothing left', () => waiting() === 0, 120_000);
    t.comment(`${ALERTS} alerts with their stills within ${Math.round(performance.now() - beganMs)} ms`);

    const db = sql();
    await checkComplete(t, db);
    await waitUntil(t, 'all reach the screens', () => screens.steady.revs.length >= ALERTS);
    const revs = (await db.all<{ rev: number }>('SELECT rev FROM incident ORDER BY rev')).map(
      ({ rev }) => rev,
    );
    await waitUntil(t, 'all of them', () =>
      [screens.killed, wanderer].every((screen) => screen.revs.length >= ALERTS),
    );
    t.same(screens.steady.revs, revs, 'at the console that stayed: each number once, in order');
    t.same(screens.killed.revs, revs, 'at the one that was killed, and then at the other');
    t.same(wanderer.revs, revs, 'and the one that switched in between');
    t.ok(screens.killed.moves > 0 && wanderer.moves > 0 && screens.steady.moves === 0);
  },
);

async function checkComplete(t: Test, db: Sql): Promise<void> {
  const ids = Array.from({ length: ALERTS }, (_, no) => `a1-${no}`).sort();
  const namesIn = async (query: string): Promise<string[]> =>
    (await db.all<{ name: string }>(query)).map(({ name }) => name).sort();
  t.same(await namesIn('SELECT id AS name FROM event'), ids, 'every event once');
  t.same(await namesIn('SELECT name FROM snapshot'), ids, 'every still once');
  const episodes = ids.map((id) => `${id}-e`);
  t.same(await namesIn('SELECT episode AS name FROM incident'), episodes, 'every incident once');
  const [sums] = await db.all(
    `SELECT (SELECT sum(alerts) FROM day_figure) AS alerts, sum(events) AS events, max(entry) AS entry,
       count(still) AS stills FROM incident`,
  );
  t.same(sums, { alerts: ALERTS, events: ALERTS, entry: 1, stills: 0 }, 'and counted once');
}
