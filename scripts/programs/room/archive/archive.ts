/** What the room keeps. Two implementations, one behaviour: SQLite for a room, PostgreSQL for a city. */
import type { Arrival, EventArrival, Place, ReportArrival, SnapshotArrival } from './message.ts';
import type { Progress, Range } from './numbers.ts';

export interface LaneThrough extends Pick<Place, 'site' | 'box' | 'epoch' | 'lane'> {
  /** Everything of the lane up to this number is stored. */
  readonly through: number;
}

export interface Stored {
  /** Of the batch, in its order: what was not there before. */
  readonly fresh: readonly Arrival[];
  /** Each lane that the batch touched. */
  readonly lanes: readonly LaneThrough[];
}

/** The database does not answer, or is just starting: to be tried again. Every other error is a mistake. */
export class ArchiveAway extends Error {}

export interface Archive {
  /** Makes the tables where there are none. Throws ArchiveAway, or what is wrong with the database. */
  open(): Promise<void>;
  /** All of it or nothing, durable on return. The same again changes nothing; several may store at once. */
  store(batch: readonly Arrival[]): Promise<Stored>;
  close(): Promise<void>;
}

/** `blob` and `integer` differ between databases; everything else is standard SQL. */
export function tables(blob: 'BLOB' | 'BYTEA', integer: 'INTEGER' | 'BIGINT'): string {
  const place = `site TEXT NOT NULL, box TEXT NOT NULL, epoch TEXT NOT NULL, lane TEXT NOT NULL`;
  return `
CREATE TABLE IF NOT EXISTS event (
  ${place}, seq ${integer} NOT NULL, id TEXT NOT NULL, type TEXT NOT NULL, time TEXT NOT NULL,
  body TEXT NOT NULL, unread TEXT, received TEXT NOT NULL, PRIMARY KEY (site, box, id));
CREATE INDEX IF NOT EXISTS event_time ON event (time);
CREATE TABLE IF NOT EXISTS snapshot (
  ${place}, seq ${integer} NOT NULL, name TEXT NOT NULL, jpeg ${blob} NOT NULL, received TEXT NOT NULL,
  PRIMARY KEY (site, box, name));
CREATE TABLE IF NOT EXISTS lane (
  ${place}, through ${integer} NOT NULL, ahead TEXT NOT NULL, PRIMARY KEY (site, box, epoch, lane));
CREATE TABLE IF NOT EXISTS report (
  site TEXT NOT NULL, box TEXT NOT NULL, topic TEXT NOT NULL, body TEXT NOT NULL, received TEXT NOT NULL,
  PRIMARY KEY (site, box, topic));`;
}

/** A batch, sorted by the tables that it goes to. */
export interface Sorted {
  readonly events: readonly EventArrival[];
  readonly snapshots: readonly SnapshotArrival[];
  /** The newest of each box and topic. */
  readonly reports: readonly ReportArrival[];
  /** In one order for everybody, so that two who store at once cannot wait for each other. */
  readonly lanes: readonly TouchedLane[];
}

export interface TouchedLane extends Pick<Place, 'site' | 'box' | 'epoch' | 'lane' | 'first'> {
  readonly ranges: readonly Range[];
}

export function sorted(batch: readonly Arrival[]): Sorted {
  const events: EventArrival[] = [];
  const snapshots: SnapshotArrival[] = [];
  const reports = new Map<string, ReportArrival>();
  const lanes = new Map<string, TouchedLane & { first: number; ranges: Range[] }>();
  for (const arrival of batch) {
    if (arrival.kind === 'report') {
      reports.set(`${arrival.site}/${arrival.box}/${arrival.topic}`, arrival);
      continue;
    }
    if (arrival.kind === 'event') events.push(arrival);
    else snapshots.push(arrival);
    const { site, box, epoch, lane, first, from, seq } = arrival.place;
    const key = laneKey(arrival.place);
    const touched = lanes.get(key) ?? { site, box, epoch, lane, first, ranges: [] };
    touched.first = Math.max(touched.first, first);
    touched.ranges.push([from, seq]);
    lanes.set(key, touched);
  }
  const inOrder = [...lanes].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, touched]) => touched);
  return { events, snapshots, reports: [...reports.values()], lanes: inOrder };
}

export function laneKey({ site, box, epoch, lane }: Pick<Place, 'site' | 'box' | 'epoch' | 'lane'>): string {
  return [site, box, epoch, lane].join('/');
}

/** The form in which `ahead` lies in its column. */
export const rangesText = ({ ahead }: Progress): string => JSON.stringify(ahead);
export const progressOf = (through: unknown, ahead: string): Progress => ({
  through: Number(through),
  ahead: JSON.parse(ahead) as Range[],
});
