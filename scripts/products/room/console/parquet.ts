/**
 * Writes incidents as one Parquet file with typed columns, named as in the interface, for DuckDB, pandas and similar
 * tools.
 */
import { setImmediate } from 'node:timers/promises';
import { type BasicType, ByteWriter, parquetWriteRows } from 'hyparquet-writer';
import type { Incident } from '../contract/incident.ts';
import { CallError } from './handler.ts';

/**
 * Maximum number of rows: the file is built in memory, where a million take about 100 MB. A room of 1,500 boxes has a
 * million in a month.
 */
const ROWS_MAX = 1_000_000;

/**
 * Rows per group. Compressing a group takes about 20 ms, during which no screen is updated; readers prefer larger
 * groups.
 */
const ROWS_IN_A_GROUP = 1000;

/** Rows before yielding to other tasks. The last slice of a group also includes its compression. */
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
  startedAt: 'TIMESTAMP',
  endedAt: 'TIMESTAMP',
  received: 'TIMESTAMP',
  clockDoubt: 'BOOLEAN',
  objects: 'JSON',
  cause: 'JSON',
  events: 'INT32',
  still: 'STRING',
  lastNote: 'INT64',
  state: 'STRING',
  claimedBy: 'STRING',
  claimedUntil: 'TIMESTAMP',
  dispatchedBy: 'STRING',
  dispatchedAt: 'TIMESTAMP',
  patrol: 'STRING',
  patrolAnswer: 'STRING',
  patrolAnswerAt: 'TIMESTAMP',
  arrivedAt: 'TIMESTAMP',
  suppression: 'INT64',
  isSuppressed: 'BOOLEAN',
  verdict: 'STRING',
  verdictAt: 'TIMESTAMP',
  closedAt: 'TIMESTAMP',
  closedReason: 'STRING',
  reopens: 'INT64',
} as const satisfies Readonly<Record<keyof Incident, BasicType>>;

/**
 * Returns the file. Times are in UTC.
 * @throws {CallError} 413 for too many incidents
 */
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
