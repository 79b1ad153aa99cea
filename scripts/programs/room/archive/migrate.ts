/**
 * Takes over what version 1 kept, in the transaction that makes the tables: its events, pictures, lanes and reports as they
 * were, and the incidents that follow from them. Those are closed: nobody is to be sent to what was before.
 */
import { TypeCompiler } from '@sinclair/typebox/compiler';
import { jsonOf } from '../../../../agent/base/json.ts';
import { VigieEvent } from '../../../../agent/contract/event.ts';
import { opened } from '../contract/opened.ts';
import { next } from '../database/counters.ts';
import { document } from '../database/document.ts';
import type { Dialect, Queries } from '../database/sql.ts';
import { touchCameras } from './cameras.ts';
import { insertEvents } from './events.ts';
import { keepIncidents } from './incidents.ts';
import type { EventArrival, ReportArrival } from './message.ts';
import { putSnapshot, type SnapshotRow } from './snapshots.ts';

const EVENTS_PAGE = 500;
/** A picture has 150 kB at most. */
const SNAPSHOTS_PAGE = 50;

const vigieEvent = TypeCompiler.Compile(opened(VigieEvent));

interface OldEvent {
  readonly site: string;
  readonly box: string;
  readonly epoch: string;
  readonly lane: EventArrival['place']['lane'];
  readonly seq: number;
  readonly id: string;
  readonly type: string;
  readonly time: string;
  readonly body: string;
  readonly unread: string | null;
  readonly received: string;
}

export async function takeOver(transaction: Queries, dialect: Dialect, timeZone: string): Promise<void> {
  // PostgreSQL has no statistics of what a transaction has just written, and would look for each event's incident in all
  // that are there. Until this transaction ends; where there is no index it walks all the same.
  if (dialect.name === 'postgres') await transaction.run('SET LOCAL enable_seqscan = off');
  await transaction.run('INSERT INTO lane SELECT site, box, epoch, lane, through, ahead FROM lane_1');
  await takeReports(transaction, dialect);
  await takeSnapshots(transaction);
  await takeEvents(transaction, dialect, timeZone);
}

async function takeReports(transaction: Queries, dialect: Dialect): Promise<void> {
  type Old = { site: string; box: string; topic: ReportArrival['topic']; body: string; received: string };
  for (const { site, box, topic, body, received } of await transaction.all<Old>('SELECT * FROM report_1')) {
    await transaction.run(
      `INSERT INTO report (site, box, topic, body, received) VALUES ($1, $2, $3, $4, $5)`,
      [site, box, topic, document(body), received],
    );
    const rev = await next(transaction, 'rev');
    const reports: ReportArrival[] = [{ kind: 'report', site, box, topic, body, isRetained: true }];
    await touchCameras(transaction, dialect, { events: [], reports, rev, nowMs: Date.parse(received) });
  }
}

async function takeSnapshots(transaction: Queries): Promise<void> {
  for (let last = ['', '', '']; ; ) {
    const rows = await transaction.all<SnapshotRow>(
      `SELECT * FROM snapshot_1 WHERE (site, box, name) > ($1, $2, $3) ORDER BY site, box, name LIMIT ${SNAPSHOTS_PAGE}`,
      last,
    );
    for (const row of rows) await putSnapshot(transaction, row);
    const end = rows.at(-1);
    if (end === undefined) return;
    last = [end.site, end.box, end.name];
  }
}

async function takeEvents(transaction: Queries, dialect: Dialect, timeZone: string): Promise<void> {
  for (let last = ['', '', '']; ; ) {
    const rows = await transaction.all<OldEvent>(
      `SELECT * FROM event_1 WHERE (site, box, id) > ($1, $2, $3) ORDER BY site, box, id LIMIT ${EVENTS_PAGE}`,
      last,
    );
    // Each under the moment of its own arrival.
    const moments = new Map<string, OldEvent[]>();
    for (const row of rows) moments.set(row.received, [...(moments.get(row.received) ?? []), row]);
    for (const [received, together] of moments) {
      const nowMs = Date.parse(received);
      const arrivals = together.map(arrivalOf);
      const fresh = await insertEvents(transaction, dialect, arrivals, nowMs);
      const told = fresh.filter(({ event }) => event !== undefined);
      if (told.length === 0) continue;
      const rev = await next(transaction, 'rev', told.length);
      await keepIncidents(transaction, dialect, told, { rev, nowMs, timeZone, isOld: true });
    }
    const end = rows.at(-1);
    if (end === undefined) return;
    last = [end.site, end.box, end.id];
  }
}

function arrivalOf({ site, box, epoch, lane, seq, id, type, time, body, unread }: OldEvent): EventArrival {
  const event = jsonOf(body);
  return {
    kind: 'event',
    place: { site, box, epoch, lane, seq, from: seq, first: seq },
    id,
    type,
    time,
    body,
    ...(unread !== null && { unread }),
    ...(vigieEvent.Check(event) && { event }),
  };
}
