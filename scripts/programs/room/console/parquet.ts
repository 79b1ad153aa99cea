/** Incidents as one Parquet file, for DuckDB, pandas and the like: typed columns, named as in the interface. */
import { setImmediate } from 'node:timers/promises';
import { type BasicType, ByteWriter, parquetWriteRows } from 'hyparquet-writer';
import type { Incident } from '../contract/incident.ts';
import { CallError } from './handler.ts';

/** The file is made in memory: a million take some 100 MB. A room of 1,500 boxes has so many in a month. */
const ROWS_MAX = 1_000_000;

/** A group is compressed in one go, some 20 ms, while no screen is told anything; readers like larger ones. */
const ROWS_IN_A_GROUP = 1000;

/** Made in one go; the last one before a group is compressed too. */
const ROWS_IN_A_SLICE = 200;

const COLUMNS = {
  no: 'INT64',
  rev: 'INT64',
  revision: 'INT32',
  site: 'STRING',
  box: 'STRING',
  episode: 'STRING',
  severity: 'STRING',
  priority: 'INT32',
  kind: 'STRING',
  rule: 'STRING',
  place: 'STRING',
  started: 'TIMESTAMP',
  ended: 'TIMESTAMP',
  received: 'TIMESTAMP',
  clockDoubt: 'BOOLEAN',
  objects: 'JSON',
  cause: 'JSON',
  events: 'INT32',
  still: 'STRING',
  state: 'STRING',
  claimedBy: 'STRING',
  claimedUntil: 'TIMESTAMP',
  dispatchedBy: 'STRING',
  dispatchedAt: 'TIMESTAMP',
  verdict: 'STRING',
  verdictAt: 'TIMESTAMP',
  closedAt: 'TIMESTAMP',
  closedWhy: 'STRING',
  reopens: 'INT64',
} as const satisfies Readonly<Record<keyof Incident, BasicType>>;

/** Times are in UTC. Throws CallError 413 where there are too many. */
export async function incidentsParquet(incidents: AsyncIterable<Incident>): Promise<Buffer> {
  const writer = new ByteWriter();
  const columns = Object.entries(COLUMNS).map(([name, type]) => ({ name, type, nullable: true }));
  await parquetWriteRows({ writer, columns, rows: rowsOf(incidents), rowGroupSize: ROWS_IN_A_GROUP });
  return Buffer.from(writer.getBuffer());
}

async function* rowsOf(incidents: AsyncIterable<Incident>): AsyncGenerator<Record<string, unknown>> {
  let count = 0;
  for await (const incident of incidents) {
    count += 1;
    if (count % ROWS_IN_A_SLICE === 0) await setImmediate();
    if (count > ROWS_MAX) {
      throw new CallError(413, `more than ${ROWS_MAX} incidents: ask for a shorter time with from and to`);
    }
    const cells = Object.entries(COLUMNS).map(([name, type]) => [
      name,
      cellOf(incident[name as keyof Incident], type),
    ]);
    yield Object.fromEntries(cells) as Record<string, unknown>;
  }
}

function cellOf(value: Incident[keyof Incident], type: BasicType): unknown {
  if (value === null) return null;
  if (type === 'TIMESTAMP') return new Date(String(value));
  return type === 'INT64' ? BigInt(Number(value)) : value;
}
