/** The archive in PostgreSQL, for several rooms or several instances of one. */
import pg from 'pg';
import {
  type Archive,
  ArchiveAway,
  laneKey,
  progressOf,
  rangesText,
  type Stored,
  sorted,
  tables,
} from './archive.ts';
import type { Arrival, EventArrival, Place, ReportArrival, SnapshotArrival } from './message.ts';
import { advance, NOTHING } from './numbers.ts';

/** A server that does not answer for this long is asked again on a new connection. */
const CONNECT_WITHIN_MS = 10_000;
const ANSWER_WITHIN_MS = 60_000;

/** Any number will do, the same for everybody: two instances do not make the tables at once. */
const TABLES_LOCK = 8_442_017;

export class PostgresArchive implements Archive {
  readonly #pool: pg.Pool;
  readonly #onBroken: (error: Error) => void;

  /** `onBroken` hears of a connection that breaks between two queries; the next batch opens another. */
  constructor(url: string, onBroken: (error: Error) => void) {
    this.#onBroken = onBroken;
    this.#pool = new pg.Pool({
      connectionString: url,
      max: 1,
      connectionTimeoutMillis: CONNECT_WITHIN_MS,
      query_timeout: ANSWER_WITHIN_MS,
      keepAlive: true,
      // A server set to `off` would answer before the batch is on its disk.
      options: '-c synchronous_commit=on',
    });
    this.#pool.on('error', onBroken);
  }

  async open(): Promise<void> {
    try {
      await this.#transaction(async (client) => {
        await client.query('SELECT pg_advisory_xact_lock($1)', [TABLES_LOCK]);
        await client.query(tables('BYTEA', 'BIGINT'));
      });
    } catch (error) {
      throw isAway(error) ? new ArchiveAway(error.message, { cause: error }) : error;
    }
  }

  store(batch: readonly Arrival[]): Promise<Stored> {
    return this.#transaction((client) => write(client, batch));
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }

  async #transaction<T>(act: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    const client = await this.#pool.connect();
    // The pool listens to idle connections only, and an error that nobody hears ends the process.
    client.on('error', this.#onBroken);
    try {
      await client.query('BEGIN');
      const result = await act(client);
      await client.query('COMMIT');
      client.off('error', this.#onBroken);
      client.release();
      return result;
    } catch (error) {
      // The connection goes with the transaction, whatever state the two are in.
      client.off('error', this.#onBroken);
      client.release(true);
      throw error;
    }
  }
}

/**
 * No answer, or SQLSTATE of the classes 08 (connection), 53 (resources) and 57P (shutting down, starting).
 * https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
function isAway(error: unknown): error is Error {
  if (!(error instanceof Error)) return false;
  return !(error instanceof pg.DatabaseError) || /^(08|53|57P)/.test(error.code ?? '08');
}

async function write(client: pg.PoolClient, batch: readonly Arrival[]): Promise<Stored> {
  const { events, snapshots, reports, lanes } = sorted(batch);
  const received = new Date().toISOString();
  const keys = ['site', 'box', 'epoch', 'lane'].map((name) =>
    lanes.map((lane) => lane[name as keyof LaneKey]),
  );
  await client.query(
    `INSERT INTO lane SELECT *, 0, '[]' FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])
     ON CONFLICT DO NOTHING`,
    keys,
  );
  // Locked: nobody else moves these lanes until this transaction ends.
  const { rows } = await client.query<LaneKey & { through: string; ahead: string }>(
    `SELECT lane.* FROM lane JOIN unnest($1::text[], $2::text[], $3::text[], $4::text[])
     AS touched (site, box, epoch, lane) USING (site, box, epoch, lane)
     ORDER BY site, box, epoch, lane FOR UPDATE OF lane`,
    keys,
  );
  const before = new Map(rows.map((row) => [laneKey(row), progressOf(row.through, row.ahead)]));
  const after = lanes.map(({ site, box, epoch, lane, first, ranges }) => {
    const key = { site, box, epoch, lane };
    return { ...key, progress: advance(before.get(laneKey(key)) ?? NOTHING, first, ranges) };
  });
  const freshEvents = await insertEvents(client, events, received);
  const freshSnapshots = await insertSnapshots(client, snapshots, received);
  await putReports(client, reports, received);
  await client.query(
    `UPDATE lane SET through = moved.through, ahead = moved.ahead
     FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[])
     AS moved (site, box, epoch, lane, through, ahead)
     WHERE (lane.site, lane.box, lane.epoch, lane.lane) = (moved.site, moved.box, moved.epoch, moved.lane)`,
    [
      ...keys,
      after.map(({ progress }) => progress.through),
      after.map(({ progress }) => rangesText(progress)),
    ],
  );
  const fresh = new Set<Arrival>([...freshEvents, ...freshSnapshots, ...reports]);
  return {
    fresh: batch.filter((arrival) => fresh.has(arrival)),
    lanes: after.map(({ progress, ...key }) => ({ ...key, through: progress.through })),
  };
}

type LaneKey = Pick<Place, 'site' | 'box' | 'epoch' | 'lane'>;

async function insertEvents(
  client: pg.PoolClient,
  events: readonly EventArrival[],
  received: string,
): Promise<EventArrival[]> {
  if (events.length === 0) return [];
  const { rows } = await client.query<{ site: string; box: string; name: string }>(
    `INSERT INTO event (site, box, epoch, lane, seq, id, type, time, body, unread, received)
     SELECT *, $11::text FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[],
       $6::text[], $7::text[], $8::text[], $9::text[], $10::text[])
     ON CONFLICT DO NOTHING RETURNING site, box, id AS name`,
    [
      ...placeColumns(events),
      events.map(({ id }) => id),
      events.map(({ type }) => type),
      events.map(({ time }) => time),
      events.map(({ body }) => body),
      events.map(({ unread }) => unread ?? null),
      received,
    ],
  );
  return firstOf(events, ({ id }) => id, rows);
}

async function insertSnapshots(
  client: pg.PoolClient,
  snapshots: readonly SnapshotArrival[],
  received: string,
): Promise<SnapshotArrival[]> {
  if (snapshots.length === 0) return [];
  const { rows } = await client.query<{ site: string; box: string; name: string }>(
    `INSERT INTO snapshot (site, box, epoch, lane, seq, name, jpeg, received)
     SELECT *, $8::text FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[],
       $6::text[], $7::bytea[])
     ON CONFLICT DO NOTHING RETURNING site, box, name`,
    [
      ...placeColumns(snapshots),
      snapshots.map(({ name }) => name),
      snapshots.map(({ jpeg }) => jpeg),
      received,
    ],
  );
  return firstOf(snapshots, ({ name }) => name, rows);
}

async function putReports(
  client: pg.PoolClient,
  reports: readonly ReportArrival[],
  received: string,
): Promise<void> {
  if (reports.length === 0) return;
  // In one order for everybody, as the lanes.
  const inOrder = [...reports].sort((a, b) => (key(a) < key(b) ? -1 : 1));
  await client.query(
    `INSERT INTO report SELECT *, $5::text FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])
     ON CONFLICT (site, box, topic) DO UPDATE SET body = excluded.body, received = excluded.received`,
    [
      ...(['site', 'box', 'topic', 'body'] as const).map((name) => inOrder.map((report) => report[name])),
      received,
    ],
  );
}

const key = ({ site, box, topic }: ReportArrival): string => `${site}/${box}/${topic}`;

function placeColumns(arrivals: readonly { readonly place: Place }[]): (string | number)[][] {
  return (['site', 'box', 'epoch', 'lane', 'seq'] as const).map((name) =>
    arrivals.map(({ place }) => place[name]),
  );
}

/** The arrivals that made these rows: of two with the same name in one batch, the first. */
function firstOf<T extends EventArrival | SnapshotArrival>(
  arrivals: readonly T[],
  nameOf: (arrival: T) => string,
  rows: readonly { site: string; box: string; name: string }[],
): T[] {
  const made = new Set(rows.map(({ site, box, name }) => `${site}/${box}/${name}`));
  return arrivals.filter((arrival) => {
    const { site, box } = arrival.place;
    return made.delete(`${site}/${box}/${nameOf(arrival)}`);
  });
}
