/**
 * Stores the messages of boxes in the room's database.
 *
 * INVARIANTS:
 * - A batch is one transaction: events, pictures, reports, lane progress, the resulting incidents and cameras, and one
 *   notification of listeners.
 * - Storing is idempotent.
 * - Locks are always taken in this order: the lease, shares, lanes, reports, the counter `rev`, incidents, statistics,
 *   cameras.
 */
import { next } from '../database/counters.ts';
import { documentIn } from '../database/document.ts';
import { prepare, timeZoneOf } from '../database/prepare.ts';
import { DataRefused, iso, type Queries, type Sql } from '../database/sql.ts';
import { standbyProblem } from '../database/standbys.ts';
import { WatchedLease } from '../database/watched-lease.ts';
import {
  type LaneProgress,
  laneKey,
  type MovedLane,
  progressOf,
  rangesText,
  type Stored,
  sorted,
  type TouchedLane,
} from './batch.ts';
import { touchCameras } from './cameras.ts';
import { insertEvents } from './events.ts';
import { keepIncidents } from './incidents.ts';
import type { Arrival, ReportArrival } from './message.ts';
import { advance, missingOf, NOTHING } from './numbers.ts';
import type { Register } from './register.ts';
import { chargeQuotas, DEFAULT_QUOTA, giveBack, type StorageQuota, showLeftOut } from './share.ts';
import { insertSnapshots } from './snapshots.ts';
import { UnknownSenders } from './unknown-senders.ts';
import { type Publisher, VerdictDelivery } from './verdicts.ts';
import { Withdrawal } from './withdrawal.ts';

export interface ArchiveOptions {
  /** IANA time zone in which days and hours of statistics are counted, fixed at the first start. */
  readonly timeZone: string;
  readonly now: () => number;
  /** Unique name of this program, which distinguishes several on one database. */
  readonly instanceId: string;
  /** Daily storage share of a box, if not SHARE. */
  readonly dailyQuota?: StorageQuota;
  /** Receives one line for a person. */
  readonly onNotice: (line: string) => void;
}

/** Returns the IANA time zone of this machine. */
export const localTimeZone = (): string => Intl.DateTimeFormat().resolvedOptions().timeZone;

export class Archive {
  /** Lease of the archive that is connected to the broker. */
  readonly lease: WatchedLease;
  readonly #db: Sql;
  readonly #options: ArchiveOptions;
  #timeZone: string;

  constructor(db: Sql, options: ArchiveOptions) {
    this.#db = db;
    this.#options = options;
    this.#timeZone = options.timeZone;
    this.lease = new WatchedLease(db, 'lease-archive', options.instanceId);
  }

  /**
   * Creates missing tables.
   * @throws {DatabaseUnavailable}
   * @throws {Error} for a wrong database
   */
  async open(): Promise<void> {
    const { timeZone, now, onNotice } = this.#options;
    await prepare(this.#db, timeZone, now());
    this.#timeZone = await timeZoneOf(this.#db);
    const problem = await standbyProblem(this.#db);
    if (problem !== undefined) onNotice(problem);
  }

  /**
   * Stores a batch atomically and durably. Idempotent; several batches may be stored concurrently.
   * @throws {DatabaseUnavailable}
   * @throws {DataRefused} if part of the batch cannot be stored
   * @throws {LeaseLost} if the given lease belongs to another program
   */
  async store(arrivals: readonly Arrival[], lease?: WatchedLease): Promise<Stored> {
    if (arrivals.length === 0) return { newArrivals: [], leftOut: [], lanes: [] };
    try {
      return await this.#store(arrivals, lease);
    } catch (error) {
      // Content that this program cannot process counts as refused data: a retry would fail in the same way.
      const isOurs =
        error instanceof TypeError || error instanceof RangeError || error instanceof SyntaxError;
      throw isOurs ? new DataRefused(error.message, { cause: error }) : error;
    }
  }

  async #store(arrivals: readonly Arrival[], lease: WatchedLease | undefined): Promise<Stored> {
    const nowMs = this.#options.now();
    const received = iso(nowMs);
    const { dialect } = this.#db;
    const { dailyQuota = DEFAULT_QUOTA } = this.#options;
    const day = { nowMs, timeZone: this.#timeZone };
    const { exceededBoxes, ...stored } = await this.#db.transaction(async (transaction) => {
      await lease?.confirm(transaction);
      const quotaResult = await chargeQuotas(transaction, dialect, arrivals, { dailyQuota, ...day });
      const { within, leftOut, exceededBoxes } = quotaResult;
      const { events, snapshots, reports, lanes } = sorted(within);
      const throughs = await this.#moveLanes(transaction, lanes);
      const newEvents = await insertEvents(transaction, dialect, events, nowMs);
      const newSnapshots = await insertSnapshots(transaction, snapshots, received);
      await this.#putReports(transaction, reports, received);
      const boxes = new Set([...reports, ...newEvents.map(({ place }) => place)].map(boxKey)).size;
      const readableEvents = newEvents.filter(({ event }) => event !== undefined);
      if (boxes + exceededBoxes.length > 0) {
        const rev = await next(transaction, 'rev', readableEvents.length + boxes + exceededBoxes.length);
        const incidents = await keepIncidents(transaction, dialect, readableEvents, {
          rev,
          nowMs,
          timeZone: this.#timeZone,
        });
        const cameras = await touchCameras(transaction, dialect, {
          events: readableEvents,
          reports,
          nowMs,
          rev: rev + readableEvents.length,
        });
        await showLeftOut(transaction, dialect, exceededBoxes, {
          rev: rev + readableEvents.length + boxes,
          ...day,
        });
        if (incidents + cameras + exceededBoxes.length > 0 && dialect.notifySql !== undefined)
          await transaction.run(dialect.notifySql);
      }
      const newArrivals = new Set<Arrival>([...newEvents, ...newSnapshots, ...reports]);
      const duplicates = within.filter((arrival) => !newArrivals.has(arrival));
      await giveBack(transaction, dialect, duplicates);
      return {
        newArrivals: within.filter((arrival) => newArrivals.has(arrival)),
        leftOut,
        lanes: throughs,
        exceededBoxes,
      };
    });
    for (const { site, box } of exceededBoxes) {
      this.#options.onNotice(
        `box ${site}/${box} has had ${dailyQuota.messages} messages or ${dailyQuota.bytes} bytes stored today, which is the most; the rest is left out until midnight`,
      );
    }
    return stored;
  }

  /** Returns the counter of messages from boxes that are not enrolled. */
  unknownSenders(): UnknownSenders {
    const { now, onNotice } = this.#options;
    return new UnknownSenders({ db: this.#db, now, onNotice });
  }

  /** Returns the withdrawal of revoked boxes, not started yet. */
  withdrawal(register: Register): Withdrawal {
    const { now: nowMs, instanceId, onNotice: log } = this.#options;
    return new Withdrawal({ db: this.#db, register, instanceId, nowMs, log });
  }

  /** Returns the delivery of operators' verdicts to the boxes over this connection, not started yet. */
  verdictDelivery(client: Publisher): VerdictDelivery {
    const { now: nowMs, onNotice: log } = this.#options;
    return new VerdictDelivery({ db: this.#db, client, lease: this.lease, nowMs, log });
  }

  async close(): Promise<void> {
    await this.#db.close();
  }

  async #moveLanes(transaction: Queries, lanes: readonly TouchedLane[]): Promise<MovedLane[]> {
    if (lanes.length === 0) return [];
    const { dialect } = this.#db;
    const key = { site: 'text', box: 'text', epoch: 'text', lane: 'text' } as const;
    const keys = JSON.stringify(lanes.map(({ site, box, epoch, lane }) => ({ site, box, epoch, lane })));
    await transaction.run(
      `INSERT INTO lane SELECT site, box, epoch, lane, 0, '[]' FROM ${dialect.rows('$1', 'touched', key)}
       WHERE true ON CONFLICT DO NOTHING`,
      [keys],
    );
    // Locks the lanes: no other transaction moves them or stores their messages until this one ends.
    const rows = await transaction.all<LaneProgress & { later_ranges: string }>(
      `SELECT lane.* FROM lane JOIN ${dialect.rows('$1', 'touched', key)} USING (site, box, epoch, lane)
       ORDER BY site, box, epoch, lane ${dialect.name === 'postgres' ? 'FOR UPDATE OF lane' : ''}`,
      [keys],
    );
    const before = new Map(
      rows.map((row) => [laneKey(row), progressOf(row.contiguous_seq, row.later_ranges)]),
    );
    const after = lanes.map(({ site, box, epoch, lane, first, ranges }) => {
      const last = before.get(laneKey({ site, box, epoch, lane })) ?? NOTHING;
      const progress = advance(last, first, ranges);
      return {
        site,
        box,
        epoch,
        lane,
        contiguous_seq: progress.contiguousSeq,
        later_ranges: rangesText(progress),
        missing: missingOf(last, first, ranges),
      };
    });
    await transaction.run(
      `INSERT INTO lane SELECT site, box, epoch, lane, contiguous_seq, later_ranges
       FROM ${dialect.rows('$1', 'progress', { ...key, contiguous_seq: 'integer', later_ranges: 'text' })} WHERE true
       ON CONFLICT (site, box, epoch, lane) DO UPDATE SET
         contiguous_seq = excluded.contiguous_seq, later_ranges = excluded.later_ranges`,
      [JSON.stringify(after)],
    );
    return after.map(({ later_ranges: _laterRanges, ...lane }) => lane);
  }

  async #putReports(
    transaction: Queries,
    reports: readonly ReportArrival[],
    received: string,
  ): Promise<void> {
    if (reports.length === 0) return;
    const { dialect } = this.#db;
    const rows = reports.map(({ site, box, topic, body }) => ({
      site,
      box,
      topic,
      received,
      body: documentIn(body),
    }));
    const columns = { site: 'text', box: 'text', topic: 'text', body: 'json', received: 'time' } as const;
    await transaction.run(
      `INSERT INTO report SELECT site, box, topic, body, received
       FROM ${dialect.rows('$1', 'new', columns)} WHERE true
       ON CONFLICT (site, box, topic) DO UPDATE SET body = excluded.body, received = excluded.received`,
      [JSON.stringify(rows)],
    );
  }
}

const boxKey = ({ site, box }: { readonly site: string; readonly box: string }): string => `${site}/${box}`;
