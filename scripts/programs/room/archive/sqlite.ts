/** The archive in one SQLite file. */
import Database from 'better-sqlite3';
import { type Archive, progressOf, rangesText, type Stored, sorted, tables } from './archive.ts';
import type { Arrival } from './message.ts';
import { advance, NOTHING } from './numbers.ts';

/** Another instance on the same file holds it for one batch. */
const BUSY_MS = 30_000;

export class SqliteArchive implements Archive {
  readonly #file: string;
  #db: Database.Database | undefined;

  constructor(file: string) {
    this.#file = file;
  }

  async open(): Promise<void> {
    const db = new Database(this.#file, { timeout: BUSY_MS });
    db.pragma('journal_mode = WAL');
    // NORMAL, the default of better-sqlite3 here, loses committed batches when the power goes.
    db.pragma('synchronous = FULL');
    db.exec(tables('BLOB', 'INTEGER'));
    this.#db = db;
  }

  async store(batch: readonly Arrival[]): Promise<Stored> {
    const db = this.#db;
    if (db === undefined) throw new Error('the archive is not open');
    // IMMEDIATE: nobody else moves a lane between our reading and our writing of it.
    return db.transaction(() => write(db, batch)).immediate();
  }

  async close(): Promise<void> {
    this.#db?.close();
  }
}

function write(db: Database.Database, batch: readonly Arrival[]): Stored {
  const { events, snapshots, reports, lanes } = sorted(batch);
  const received = new Date().toISOString();
  const fresh = new Set<Arrival>(reports);
  const insertEvent = db.prepare(
    `INSERT INTO event (site, box, epoch, lane, seq, id, type, time, body, unread, received)
     VALUES (@site, @box, @epoch, @lane, @seq, @id, @type, @time, @body, @unread, @received) ON CONFLICT DO NOTHING`,
  );
  for (const arrival of events) {
    const { place, id, type, time, body, unread = null } = arrival;
    if (insertEvent.run({ ...place, id, type, time, body, unread, received }).changes > 0) fresh.add(arrival);
  }
  const insertSnapshot = db.prepare(
    `INSERT INTO snapshot (site, box, epoch, lane, seq, name, jpeg, received)
     VALUES (@site, @box, @epoch, @lane, @seq, @name, @jpeg, @received) ON CONFLICT DO NOTHING`,
  );
  for (const arrival of snapshots) {
    const { place, name, jpeg } = arrival;
    if (insertSnapshot.run({ ...place, name, jpeg, received }).changes > 0) fresh.add(arrival);
  }
  const putReport = db.prepare(
    `INSERT INTO report VALUES (@site, @box, @topic, @body, @received)
     ON CONFLICT (site, box, topic) DO UPDATE SET body = @body, received = @received`,
  );
  for (const { site, box, topic, body } of reports) putReport.run({ site, box, topic, body, received });
  const readLane = db.prepare(
    'SELECT through, ahead FROM lane WHERE site = @site AND box = @box AND epoch = @epoch AND lane = @lane',
  );
  const putLane = db.prepare(
    `INSERT INTO lane VALUES (@site, @box, @epoch, @lane, @through, @ahead)
     ON CONFLICT (site, box, epoch, lane) DO UPDATE SET through = @through, ahead = @ahead`,
  );
  const throughs = lanes.map(({ site, box, epoch, lane, first, ranges }) => {
    const key = { site, box, epoch, lane };
    const before = readLane.get(key) as { through: number; ahead: string } | undefined;
    const progress = advance(before ? progressOf(before.through, before.ahead) : NOTHING, first, ranges);
    putLane.run({ ...key, through: progress.through, ahead: rangesText(progress) });
    return { ...key, through: progress.through };
  });
  return { fresh: batch.filter((arrival) => fresh.has(arrival)), lanes: throughs };
}
