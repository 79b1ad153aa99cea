/**
 * Tests an archive and its standby on either database, and two consoles beside them.
 *
 * The active one is killed, frozen or ended, also during a restart of the broker. No acknowledged message is lost or
 * stored twice, and no screen misses an alert.
 *
 * VIGIE_TEST_SEED repeats the same faults; VIGIE_TEST_RUN=full runs more of them.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import t, { type Test } from 'tap';
import { enter, readStream } from '../lib/console.ts';
import { DATABASES, type TestDatabase } from '../lib/databases.ts';
import { randomOf, SEED } from '../lib/random.ts';
import { makeRoom, type Room, waitUntil } from '../lib/room.ts';
import { ConsoleProgram, RoomProgram } from '../lib/room-program.ts';
import { FULL, unlessFull } from '../lib/run.ts';
import { checkStored, publishing, storedCount } from '../lib/standby-boxes.ts';

type Fault = 'killed' | 'frozen' | 'ended' | 'killed while the broker starts again';

const FAULTS: Readonly<Record<keyof typeof DATABASES, readonly Fault[]>> = {
  sqlite: ['ended', 'killed while the broker starts again'],
  postgres: ['frozen', 'killed'],
};
const MORE_FAULTS: readonly Fault[] = [
  ...(['killed', 'frozen', 'killed while the broker starts again', 'ended', 'killed'] as const),
];

/** The lease (10 s), the same again for a lock that a frozen program holds, and a margin for slow machines. */
const TAKEN_OVER_WITHIN_MS = 90_000;

const BOXES = ['archive', 'archive', 'archive', 'broker', 'broker'] as const;

/** Two archives with the same arguments; the first is active. */
class Pair {
  readonly #t: Test;
  readonly #room: Room;
  readonly #database: TestDatabase;
  #programs: [RoomProgram, RoomProgram];

  private constructor(t: Test, room: Room, database: TestDatabase, programs: [RoomProgram, RoomProgram]) {
    this.#t = t;
    this.#room = room;
    this.#database = database;
    this.#programs = programs;
  }

  static async start(t: Test, room: Room, database: TestDatabase): Promise<Pair> {
    const first = await RoomProgram.start(t, room, '--database', database.address);
    await waitUntil(t, 'an archive is at work', () => first.output.includes('Ctrl-C'));
    const second = await RoomProgram.start(t, room, '--database', database.address);
    await waitUntil(t, 'the other stands by', () => second.output.includes('stands by'));
    const line = /^room: archive: stands by: another archive on this database holds the lease[^\n]*\n$/;
    t.match(second.output, line);
    t.equal(first.output.split('\n').length, 2, 'the active one does not log it');
    return new Pair(t, room, database, [first, second]);
  }

  get output(): string {
    return this.#programs.map(({ output }) => output).join('');
  }

  /** Returns for how long nothing was stored, ms. The previously active one is the standby afterwards. */
  async change(fault: Fault): Promise<number> {
    const [atWork, standby] = this.#programs;
    const linesBefore = standby.output.length;
    const atWorkBefore = atWork.output.length;
    if (fault === 'frozen') await this.#freeze(atWork);
    else await atWork.end(fault === 'ended' ? 'SIGTERM' : 'SIGKILL');
    const beganMs = performance.now();
    if (fault === 'killed while the broker starts again') {
      await this.#room.broker.stop();
      await this.#room.broker.start();
    }
    const before = await storedCount(this.#database);
    while ((await storedCount(this.#database)) === before) {
      if (performance.now() - beganMs > TAKEN_OVER_WITHIN_MS)
        throw new Error(`no event is stored after one was ${fault}: ${this.output}`);
      await sleep(20);
    }
    const tookMs = Math.round(performance.now() - beganMs);
    this.#t.match(standby.output.slice(linesBefore), /archive: holds the lease; it is at work/, fault);
    if (fault === 'frozen') atWork.signal('SIGCONT');
    else atWork.start();
    await waitUntil(this.#t, 'the other one stands by', () =>
      atWork.output.slice(atWorkBefore).includes('stands by'),
    );
    this.#programs = [standby, atWork];
    return tookMs;
  }

  /** Freezes a program while it holds no lock of a SQLite file, which no other program could break. */
  async #freeze(program: RoomProgram): Promise<void> {
    for (;;) {
      program.signal('SIGSTOP');
      if (this.#database.server !== undefined || isWritable(this.#database.address)) return;
      program.signal('SIGCONT');
      await sleep(5);
    }
  }

  /** Ends both cleanly. */
  async end(): Promise<void> {
    const [atWork, standby] = this.#programs;
    this.#t.equal(await standby.end('SIGTERM'), 0, 'a standby ends at once');
    this.#t.equal(await atWork.end('SIGTERM'), 0);
  }
}

function isWritable(file: string): boolean {
  const db = new Database(file, { timeout: 100 });
  try {
    db.exec('BEGIN IMMEDIATE; ROLLBACK');
    return true;
  } catch (error) {
    if (!(error instanceof Database.SqliteError)) throw error;
    return false;
  } finally {
    db.close();
  }
}

/** Acts as a browser: after a lost connection it continues at the next console, from the last event id. */
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
    const { revs } = this.#reader;
    if (this.#reader.names().includes('reset')) this.#t.fail('told to load the queue again');
    this.revs.push(...revs.slice(this.#takenCount));
    this.#takenCount = revs.length;
    if (!this.#reader.isOver) return;
    this.moves += 1;
    this.#urls = [...this.#urls.slice(1), ...this.#urls.slice(0, 1)];
    this.#lastId = this.#reader.lastId ?? this.#lastId;
    this.#reader = readStream(this.#t, this.#urls[0] ?? '', this.#cookie, 0, this.#lastId);
    this.#takenCount = 0;
  }
}

for (const name of ['sqlite', 'postgres'] as const) {
  const skip = name === 'sqlite' && unlessFull;
  void t.test(`a standby takes over without loss (${name})`, { timeout: 1_200_000, skip }, async (t) => {
    t.comment(`seed ${SEED}`);
    const random = randomOf(SEED);
    const room = await makeRoom(t, { persistent: true });
    const database = await DATABASES[name](t);
    const pair = await Pair.start(t, room, database);
    const street = await publishing(t, room, BOXES);
    const faults = FULL ? [...FAULTS[name], ...MORE_FAULTS, ...MORE_FAULTS] : FAULTS[name];
    for (const fault of faults) {
      const stored = await storedCount(database);
      await sleep(500 + random() * 1500);
      t.ok((await storedCount(database)) > stored, 'events are being stored');
      t.comment(`${fault}: nothing was stored for ${await pair.change(fault)} ms`);
    }
    await checkStored(t, street, database);
    t.notMatch(pair.output, /another program connected/, 'one follows the other without a conflict');
    await pair.end();
  });
}

void t.test('the death of an archive and of a console hides no alert from a screen', async (t) => {
  const database = await DATABASES.postgres(t);
  const room = await makeRoom(t, { persistent: true });
  const pair = await Pair.start(t, room, database);
  const consoles = await Promise.all([1, 2].map(() => ConsoleProgram.start(t, database.address)));
  const [one, two] = consoles;
  if (one === undefined || two === undefined) throw new Error('two consoles');
  // One session is valid for both, since it is in the database.
  const cookie = await enter(one.url, 'operator', one.link);
  const [moving, steady] = [new Screen(t, cookie, [one.url, two.url]), new Screen(t, cookie, [two.url])];
  const pollTimer = setInterval(() => {
    for (const screen of [moving, steady]) screen.collect();
  }, 5);
  t.teardown(() => clearInterval(pollTimer));
  const street = await publishing(t, room, BOXES);
  await waitUntil(t, 'some reach the screens', () => moving.revs.length > 20);
  await pair.change('killed');
  const before = moving.revs.length;
  await waitUntil(t, 'the standby goes on', () => moving.revs.length > before + 20);
  await one.end('SIGKILL');
  await waitUntil(t, 'at the other console', () => moving.moves > 0);
  await checkStored(t, street, database);
  const revs = (await database.read('SELECT rev FROM incident ORDER BY rev')).map(({ rev }) => Number(rev));
  const hasAll = (): boolean => [moving, steady].every((screen) => screen.revs.length >= revs.length);
  await waitUntil(t, 'all reach the screens', hasAll);
  t.same(steady.revs, revs, 'at the console that stayed: each number once, in order');
  t.same(moving.revs, revs, 'at the one that was killed, and then at the other');
  t.equal(steady.moves, 0);
});
