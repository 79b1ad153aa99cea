/** Groups a batch of arrivals by the tables in which they are stored. */
import type { Arrival, EventArrival, Place, ReportArrival, SnapshotArrival } from './message.ts';
import type { Progress, Range } from './numbers.ts';

export type LaneKey = Pick<Place, 'site' | 'box' | 'epoch' | 'lane'>;

export interface LaneProgress extends LaneKey {
  /** Highest number up to which everything of the lane is stored. */
  readonly contiguous_seq: number;
}

export interface MovedLane extends LaneProgress {
  /** Messages that are neither stored nor at the box (`missingOf`). */
  readonly missing: number;
}

export interface Stored {
  /** New arrivals of the batch, in its order. */
  readonly newArrivals: readonly Arrival[];
  /** Arrivals beyond the daily share of their box. Their numbers are not acknowledged. */
  readonly leftOut: readonly Arrival[];
  /** Each lane that the batch touched. */
  readonly lanes: readonly MovedLane[];
}

export interface TouchedLane extends LaneKey {
  readonly first: number;
  readonly ranges: readonly Range[];
}

export interface Batch {
  readonly events: readonly EventArrival[];
  readonly snapshots: readonly SnapshotArrival[];
  /** The newest of each box and topic. */
  readonly reports: readonly ReportArrival[];
  readonly lanes: readonly TouchedLane[];
}

/**
 * Groups arrivals. Reports and lanes are sorted, so that two concurrent transactions lock them in the same order and
 * cannot deadlock.
 */
export function sorted(arrivals: readonly Arrival[]): Batch {
  const events = new Map<string, EventArrival>();
  const snapshots = new Map<string, SnapshotArrival>();
  const reports = new Map<string, ReportArrival>();
  const lanes = new Map<string, TouchedLane & { first: number; ranges: Range[] }>();
  for (const arrival of arrivals) {
    if (arrival.kind === 'report') {
      reports.set(`${arrival.site}/${arrival.box}/${arrival.topic}`, arrival);
      continue;
    }
    const { site, box, epoch, lane, first, from, seq } = arrival.place;
    // Keeps the first of two arrivals with the same name.
    const add = <T>(to: Map<string, T>, name: string, one: T): void => {
      const key = `${site}/${box}/${name}`;
      if (!to.has(key)) to.set(key, one);
    };
    if (arrival.kind === 'event') add(events, arrival.id, arrival);
    else add(snapshots, arrival.name, arrival);
    const key = laneKey(arrival.place);
    const touched = lanes.get(key) ?? { site, box, epoch, lane, first, ranges: [] };
    touched.first = Math.max(touched.first, first);
    touched.ranges.push([from, seq]);
    lanes.set(key, touched);
  }
  return {
    events: [...events.values()],
    snapshots: [...snapshots.values()],
    reports: inOrder(reports),
    lanes: inOrder(lanes),
  };
}

function inOrder<T>(of: ReadonlyMap<string, T>): T[] {
  return [...of].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, one]) => one);
}

export function laneKey({ site, box, epoch, lane }: LaneKey): string {
  return [site, box, epoch, lane].join('/');
}

/** Serialises `laterRanges` for its column. */
export const rangesText = ({ laterRanges }: Progress): string => JSON.stringify(laterRanges);
export const progressOf = (contiguousSeq: number, laterRanges: string): Progress => ({
  contiguousSeq,
  laterRanges: JSON.parse(laterRanges) as Range[],
});
