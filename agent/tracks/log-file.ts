/**
 * File of the log of tracks. It is created under an authorisation that permits it, stores data for the authorised days,
 * and is deleted with the authorisation.
 *
 * INVARIANTS:
 * - Every deletion is in the journal first.
 * - Deletion by age, and every answer, relies on the clock of the log (log-clock.ts). A wall clock that is not trusted
 *   deletes nothing: an authorisation that has ended by it closes the log, which is deleted once `days` of uptime are over.
 * LIMITS: `retention.tracksMiB`; when the file is nearly full the oldest rows are removed.
 */
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { AgentError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { forgetDamaged, moveAside } from '../base/sqlite.ts';
import type { TrustedClock } from '../base/trusted-clock.ts';
import type { Authorisation } from '../contract/authorisation.ts';
import type { Config } from '../contract/config.ts';
import type { PurgeRecord } from '../contract/search.ts';
import type { GapReason } from '../contract/track-log.ts';
import { Budgets, removeBudgets } from './budgets.ts';
import type { Window } from './coverage.ts';
import { openTrackDatabase, trackFile } from './database.ts';
import {
  type LogAuthorisation,
  mayStayUnder,
  readLogAuthorisation,
  writeLogAuthorisation,
} from './log-authorisation.ts';
import { LogClock } from './log-clock.ts';
import { type Deleted, EVERYTHING_MS, TrackStore } from './store.ts';

/** File name in the state folder. */
export const TRACKS_FILE = 'tracks.db';
const PURGE_EVERY_MS = 3_600_000;
const DAY_MS = 86_400_000;
/** Lead of a row over the clock of the log that needs no explanation: the hour of each start, twice. */
const AHEAD_MS = 7_200_000;

export interface LogFileOptions {
  readonly config: Pick<Config, 'authorisation' | 'retention'>;
  readonly stateDir: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly steady: Pick<TrustedClock, 'synced' | 'trusted'>;
  /** Writes a deletion to the audit log, durably; throws AgentError if that fails. */
  record(record: PurgeRecord): void;
}

/** Start of the time for which the log has data. */
export interface KeptFrom {
  readonly keptFromMs: number;
  /** Reason why it has nothing earlier. */
  readonly takenOut: GapReason;
}

export class LogFile {
  readonly #options: LogFileOptions;
  readonly #path: string;
  #store: TrackStore | undefined;
  #authorisation: LogAuthorisation | undefined;
  #time: LogClock | undefined;
  #budgets: { readonly order: string; readonly budgets: Budgets } | undefined;
  #purgeAtMs = 0;
  /** Time of the log since which rows lie ahead of it; undefined if none do. */
  #aheadSinceMs: number | undefined;
  readonly counts = { purged: 0, evicted: 0 };

  constructor(options: LogFileOptions) {
    this.#options = options;
    this.#path = join(options.stateDir, TRACKS_FILE);
  }

  /** Undefined if no log is stored, or if it could not be opened yet. */
  get store(): TrackStore | undefined {
    return this.#store;
  }

  get authorisation(): LogAuthorisation | undefined {
    return this.#authorisation;
  }

  /** Opens the log of an earlier run. Throws AgentError as `openSqlite` does. */
  openIfThere(): void {
    if (existsSync(this.#path)) this.open();
  }

  /** Time of the log, ms since the epoch. */
  get nowMs(): number {
    return this.#time?.nowMs() ?? this.#options.clock.wallMs();
  }

  /** Returns the budgets of the authorisation. Throws CommandRefused and AgentError as `Budgets` does. */
  budgets(order: string): Budgets {
    if (this.#budgets?.order !== order) {
      this.#closeBudgets();
      this.#budgets = { order, budgets: new Budgets(this.#options.stateDir, order, this.open()) };
    }
    return this.#budgets.budgets;
  }

  /** Throws AgentError. */
  close(): void {
    this.#closeBudgets();
    this.#time?.keep();
    this.#time = undefined;
    const store = this.#store;
    this.#store = undefined;
    store?.close();
  }

  #closeBudgets(): void {
    this.#budgets?.budgets.close();
    this.#budgets = undefined;
  }

  /** Throws AgentError as `openSqlite` does. */
  open(): TrackStore {
    if (this.#store !== undefined) return this.#store;
    const { config, log, clock, steady } = this.#options;
    const limitMiB = config.retention.tracksMiB;
    const make = (): TrackStore => new TrackStore(openTrackDatabase(this.#path, limitMiB), limitMiB);
    let store: TrackStore;
    try {
      store = make();
    } catch (error) {
      if (!(error instanceof AgentError) || error.kind !== 'corrupt') throw error;
      const movedTo = moveAside(trackFile(this.#path));
      const fields = { file: this.#path, movedTo, reason: error.message };
      log.error(fields, 'the log of tracks was damaged and a new one was started; check the disk');
      store = make();
    }
    this.#store = store;
    this.#authorisation = readLogAuthorisation(store);
    this.#time = new LogClock({ clock, steady, store });
    return store;
  }

  /**
   * Deletes data that no authorisation permits any more: its authorisation has ended, or a new one does not permit it.
   * If none is known for now, it may be unreadable or have ended by a wrong wall clock. The data then stays until its end
   * by the clock of the log, `days` at most. Throws AgentError.
   */
  deleteIfEnded(authorisation: Pick<Authorisation, 'tracks'> | undefined): boolean {
    const current = this.#authorisation;
    if (this.#store === undefined) return false;
    const grant = authorisation?.tracks;
    const isAllowed =
      grant === undefined
        ? authorisation === undefined && current !== undefined && this.#mayStayClosed(this.#store, current)
        : current === undefined || mayStayUnder(current, grant);
    if (!isAllowed) this.#delete(this.#store);
    return !isAllowed;
  }

  #mayStayClosed(store: TrackStore, current: LogAuthorisation): boolean {
    if (this.#options.config.authorisation === undefined) return false;
    const { nowMs } = this;
    const { closedMs = nowMs, notAfterMs, grant } = current;
    if (current.closedMs === undefined) {
      this.#authorisation = { ...current, closedMs };
      writeLogAuthorisation(store, this.#authorisation);
    }
    return nowMs < Math.min(notAfterMs, closedMs + grant.days * DAY_MS);
  }

  /**
   * Stores the log under this authorisation from now on; true if it differs from the previous one. Throws AgentError.
   */
  hold(now: Pick<LogAuthorisation, 'grant' | 'order' | 'notAfterMs'>): boolean {
    const store = this.open();
    const previous = this.#authorisation;
    const wallMs = this.#options.clock.wallMs();
    const isSame = previous?.grant === now.grant && previous.notAfterMs === now.notAfterMs;
    // The clock may have run ahead when the log began.
    const beganMs = Math.min(previous?.beganMs ?? wallMs, wallMs);
    if (isSame && previous.closedMs === undefined && previous.beganMs === beganMs) return false;
    this.#authorisation = { ...now, beganMs, evictedMs: previous?.evictedMs ?? 0 };
    writeLogAuthorisation(store, this.#authorisation);
    return !isSame;
  }

  /** Removes data past the authorised days, once an hour; true if views may have gone with it. Throws AgentError. */
  upkeep(): boolean {
    const { clock } = this.#options;
    this.#time?.tick();
    if (clock.nowMs() < this.#purgeAtMs) return false;
    this.#purgeAtMs = clock.nowMs() + PURGE_EVERY_MS;
    if (this.#store === undefined || this.#authorisation === undefined) return false;
    const retainedMs = this.#retainedMs(this.#authorisation);
    forgetDamaged(trackFile(this.#path), retainedMs);
    this.counts.purged += this.#purge(this.#store, { fromMs: 0, toMs: retainedMs }, 'retention');
    return this.#purgeAhead(this.#store, this.#authorisation);
  }

  /**
   * Removes rows that lie ahead of the clock of the log, which were written under a wrong clock. It does so at once while
   * the clock is trusted, otherwise after the authorised days of uptime.
   */
  #purgeAhead(store: TrackStore, { grant }: LogAuthorisation): boolean {
    const { nowMs } = this;
    const aheadWindow = { fromMs: nowMs + AHEAD_MS, toMs: EVERYTHING_MS };
    if (store.within(aheadWindow) === undefined) {
      this.#aheadSinceMs = undefined;
      return false;
    }
    this.#aheadSinceMs ??= nowMs;
    if (this.#time?.isTrusted !== true && nowMs < this.#aheadSinceMs + grant.days * DAY_MS) return false;
    this.counts.purged += this.#purge(store, aheadWindow, 'retention');
    return true;
  }

  /** Removes the oldest data if the file is nearly full. Throws AgentError. */
  makeRoom(): void {
    const beforeMs = this.#store?.fullBeforeMs;
    if (this.#store === undefined || this.#authorisation === undefined || beforeMs === undefined) return;
    this.#authorisation = { ...this.#authorisation, evictedMs: beforeMs };
    writeLogAuthorisation(this.#store, this.#authorisation);
    this.counts.evicted += this.#purge(this.#store, { fromMs: 0, toMs: beforeMs }, 'limit');
  }

  keptFrom(current: LogAuthorisation): KeptFrom {
    const retainedMs = this.#retainedMs(current);
    const keptFromMs = Math.max(current.beganMs, current.evictedMs, retainedMs);
    if (keptFromMs === retainedMs) return { keptFromMs, takenOut: 'retention' };
    return { keptFromMs, takenOut: keptFromMs === current.evictedMs ? 'storage' : 'not-authorised' };
  }

  /** Wall time before which nothing may be stored any more. */
  get retainedFromMs(): number {
    return this.#authorisation === undefined
      ? Number.NEGATIVE_INFINITY
      : this.#retainedMs(this.#authorisation);
  }

  #retainedMs({ grant }: LogAuthorisation): number {
    return this.nowMs - grant.days * DAY_MS;
  }

  #purge(store: TrackStore, window: Window, reason: PurgeRecord['why']): number {
    const going = store.within(window);
    if (going !== undefined) this.#options.record(this.#recordOf(going, reason));
    store.purge(window);
    return going?.count ?? 0;
  }

  #delete(store: TrackStore): void {
    const count = this.#purge(store, { fromMs: 0, toMs: EVERYTHING_MS }, 'authorisation');
    this.counts.purged += count;
    this.#closeBudgets();
    store.close();
    removeBudgets(this.#options.stateDir);
    for (const suffix of ['', '-wal', '-shm', '.damaged', '.damaged-wal'])
      rmSync(`${this.#path}${suffix}`, { force: true });
    this.#store = undefined;
    this.#authorisation = undefined;
    this.#time = undefined;
    this.#aheadSinceMs = undefined;
    this.#options.log.info({ count }, 'the log of tracks was deleted: no authorisation allows it any more');
  }

  #recordOf({ count, oldestMs, newestMs }: Deleted, reason: PurgeRecord['why']): PurgeRecord {
    return {
      record: 'purge',
      at: new Date(this.#options.clock.wallMs()).toISOString(),
      what: 'tracks',
      count,
      from: new Date(oldestMs).toISOString(),
      to: new Date(newestMs).toISOString(),
      why: reason,
      days: this.#authorisation?.grant.days ?? 0,
    };
  }
}
