/**
 * Tests delivery from a box to the room's database under random kills: no event is lost, left over or stored twice.
 * Each loop prints its seed; VIGIE_TEST_SEED runs it again with the same faults (not with the same times).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import t from 'tap';
import { LANES, type Lane } from '../../agent/contract/outbox.ts';
import { bundledHelper } from '../lib/bundled.ts';
import { DATABASES, type TestDatabase } from '../lib/databases.ts';
import { scratch } from '../lib/paths.ts';
import { randomOf, SEED } from '../lib/random.ts';
import { makeRoom, type Room, waitUntil } from '../lib/room.ts';
import { RoomProgram } from '../lib/room-program.ts';
import { FULL, unlessFull } from '../lib/run.ts';

const BOX_PROGRAM = bundledHelper(new URL('../lib/delivering-box.js', import.meta.url));

/**
 * Time after the last fault within which the outbox is empty, ms. A killed room first waits for its own lease; a busy
 * machine gets more.
 */
const LEFT_WITHIN_MS = FULL ? 20_000 : 60_000;

/** A box that appends and delivers in a process of its own; records the numbers that it reported as accepted. */
class KilledBox {
  readonly accepted: Record<Lane, Set<number>> = { alert: new Set(), bulk: new Set() };
  readonly #arguments: readonly string[];
  /** Reports since its last start. */
  writes = 0;
  #child: ChildProcess | undefined;

  constructor(file: string, { config, box }: Room) {
    this.#arguments = [BOX_PROGRAM, file, config.url, config.ca ?? '', box.cert, box.key, '60'];
  }

  get total(): number {
    return this.accepted.alert.size + this.accepted.bulk.size;
  }

  get alive(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  start(): void {
    this.writes = 0;
    const child = spawn(process.execPath, this.#arguments, { stdio: ['ignore', 'pipe', 'inherit'] });
    let rest = '';
    child.stdout.on('data', (chunk: Buffer) => {
      const lines = (rest + chunk.toString()).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        const [lane, ...seqs] = line.split(' ');
        this.writes += 1;
        for (const seq of seqs) this.accepted[lane as Lane].add(Number(seq));
      }
    });
    this.#child = child;
  }

  /** Stops new events; delivery of stored ones continues. */
  quieten(): void {
    this.#child?.kill('SIGUSR2');
  }

  async kill(): Promise<void> {
    if (this.#child === undefined || !this.alive) return;
    const closed = once(this.#child, 'close');
    this.#child.kill('SIGKILL');
    await closed;
  }
}

/** Rows in the outbox of a box that may be running. */
function rowsLeft(file: string): number {
  const db = new Database(file, { readonly: true });
  try {
    return LANES.reduce(
      (sum, lane) => sum + Number(db.prepare(`SELECT count(*) FROM ${lane}`).pluck().get()),
      0,
    );
  } finally {
    db.close();
  }
}

interface Part {
  kill(): Promise<void>;
  start(): Promise<void>;
}

function partsOf(
  box: KilledBox,
  room: Room,
  program: RoomProgram,
  database: TestDatabase,
): Record<string, Part> {
  const { server } = database;
  return {
    box: { kill: () => box.kill(), start: async () => box.start() },
    broker: {
      kill: async () => {
        room.broker.kill();
        await room.broker.stop();
      },
      start: () => room.broker.start(),
    },
    room: {
      kill: async () => void (await program.end('SIGKILL')),
      start: async () => program.start(),
    },
    ...(server && { database: { kill: () => server.kill(), start: () => server.start() } }),
  };
}

/** Checks that the database holds each accepted number exactly once. */
async function inspectDatabase(database: TestDatabase, accepted: Record<Lane, Set<number>>) {
  const rows = await database.read(
    "SELECT lane, seq, id, unread FROM event UNION ALL SELECT lane, seq, 'still ' || name, NULL FROM snapshot",
  );
  const numbers = rows.map(({ lane, seq }) => `${String(lane)} ${String(seq)}`);
  const storedNumbers = new Set(numbers);
  const lostRows = LANES.flatMap((lane) => [...accepted[lane]].map((seq) => `${lane} ${seq}`)).filter(
    (number) => !storedNumbers.has(number),
  );
  const repeatedCount =
    numbers.length - storedNumbers.size + (rows.length - new Set(rows.map(({ id }) => id)).size);
  return {
    lostRows,
    repeatedCount,
    unread: rows.filter(({ unread }) => unread !== null).length,
    stored: rows.length,
  };
}

for (const [name, make] of Object.entries(DATABASES)) {
  void t.test(
    `no event is lost when box, broker, room and database are killed, alone and together: ${name}`,
    { skip: name === 'sqlite' && unlessFull },
    async (t) => {
      const random = randomOf(SEED);
      t.comment(`seed ${SEED}`);
      const room = await makeRoom(t, { persistent: true });
      const database = await make(t);
      const program = await RoomProgram.start(t, room, '--database', database.address, '--quiet');
      const file = join(scratch(t), 'outbox.db');
      const box = new KilledBox(file, room);
      t.teardown(() => box.kill());
      box.start();
      const parts = partsOf(box, room, program, database);
      const names = Object.keys(parts);
      const mixed = FULL ? 100 : 4;
      // Each fault alone first, then any combination of them.
      const faults = names.map((one) => [one]);
      while (faults.length < names.length + mixed) {
        const combination = names.filter(() => random() < 0.4);
        if (combination.length > 0) faults.push(combination);
      }
      for (const fault of faults) {
        await waitUntil(t, 'the box writes', () => box.writes > 3, 30_000);
        await sleep(50 + random() * 700);
        await Promise.all(fault.map((one) => parts[one]?.kill()));
        await sleep(random() * 400);
        await Promise.all(fault.map((one) => parts[one]?.start()));
      }
      const endedMs = performance.now();
      await waitUntil(t, 'the box writes after the last fault', () => box.writes > 3, 30_000);
      box.quieten();
      await sleep(300);
      const took = await waitUntil(t, 'nothing is left', () => rowsLeft(file) === 0, LEFT_WITHIN_MS).catch(
        (error: unknown) => {
          t.comment(
            `faults ${JSON.stringify(faults)}; ${rowsLeft(file)} rows left; the room said: ${program.output}`,
          );
          throw error;
        },
      );
      t.ok(box.alive, 'the box runs');
      const leftMs = Math.round(performance.now() - endedMs);
      const { lostRows, repeatedCount, unread, stored } = await inspectDatabase(database, box.accepted);
      const summary = `seed ${SEED}, ${faults.length} faults (${faults.flat().length} kills)`;
      t.same(lostRows, [], `${summary}: 0 of ${box.total} accepted rows lost, ${stored} stored`);
      t.equal(repeatedCount, 0, 'none is there twice');
      t.equal(unread, 0, 'every event could be read');
      t.pass(`the outbox was empty ${leftMs} ms after the last fault, ${took} ms after the last event`);
    },
  );
}
