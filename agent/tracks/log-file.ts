/**
 * File of the log of tracks. It is created under an authorisation that permits it, stores data for the authorised days,
 * and is deleted with the authorisation.
 *
 * INVARIANTS:
 * - Every deletion is in the journal first.
 * - Deletion by age, and every answer, relies on a trusted time or on its lower bound.
 * LIMITS: `retention.tracksMiB`; when the file is nearly full the oldest rows are removed.
 */
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { AgentError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { moveAside } from '../base/sqlite.ts';
import type { TrustedClock } from '../base/trusted-clock.ts';
import type { Authorisation } from '../contract/authorisation.ts';
import type { Config } from '../contract/config.ts';
import type { PurgeRecord } from '../contract/search.ts';
import type { GapReason } from '../contract/track-log.ts';
import { openTrackDatabase, trackFile } from './database.ts';
import {
  type LogAuthorisation,
  mayStayUnder,
  readLogAuthorisation,
  writeLogAuthorisation,
} from './log-authorisation.ts';
import { type Deleted, EVERYTHING_MS, TrackStore } from './store.ts';

/** File name in the state folder. */
export const TRACKS_FILE = 'tracks.db';
const PURGE_EVERY_MS = 3_600_000;
const DAY_MS = 86_400_000;

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
  #purgeAtMs = 0;
  /** Newest time in the log when it was opened, or its start, with the monotonic time of that moment. */
  #newest: { readonly wallMs: number; readonly nowMs: number } | undefined;
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

  close(): void {
    const store = this.#store;
    this.#store = undefined;
    store?.close();
  }

  /** Throws AgentError as `openSqlite` does. */
  open(): TrackStore {
    if (this.#store !== undefined) return this.#store;
    const { config, log, clock } = this.#options;
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
    const newestMs = store.newestSpan()?.toMs;
    this.#newest = newestMs === undefined ? undefined : { wallMs: newestMs, nowMs: clock.nowMs() };
    return store;
  }

  /**
   * Deletes data that no authorisation permits any more: its authorisation has ended, or a new one does not permit it.
   * If the authorisation is unreadable for now it may still be valid, so the data stays until its known end. Throws
   * AgentError.
   * @param evaluatedAtMs time used for the last evaluation of authorisations
   */
  deleteIfEnded(authorisation: Pick<Authorisation, 'tracks'> | undefined, evaluatedAtMs: number): boolean {
    const current = this.#authorisation;
    if (this.#store === undefined) return false;
    const grant = authorisation?.tracks;
    const isAllowed =
      grant === undefined
        ? authorisation === undefined &&
          this.#options.config.authorisation !== undefined &&
          current !== undefined &&
          Math.max(this.#trueMs(), evaluatedAtMs) < current.notAfterMs
        : current === undefined || mayStayUnder(current, grant);
    if (!isAllowed) this.#delete(this.#store);
    return !isAllowed;
  }

  /**
   * Stores the log under this authorisation from now on; true if it differs from the previous one. Throws AgentError.
   */
  hold(now: Pick<LogAuthorisation, 'grant' | 'order' | 'notAfterMs'>): boolean {
    const store = this.open();
    const previous = this.#authorisation;
    if (previous?.grant === now.grant && previous.notAfterMs === now.notAfterMs) return false;
    const { clock } = this.#options;
    this.#newest ??= { wallMs: clock.wallMs(), nowMs: clock.nowMs() };
    const { beganMs = clock.wallMs(), evictedMs = 0 } = previous ?? {};
    writeLogAuthorisation(store, { ...now, beganMs, evictedMs });
    this.#authorisation = { ...now, beganMs, evictedMs };
    return true;
  }

  /** Removes data past the authorised days, once an hour. Throws AgentError. */
  upkeep(): void {
    const nowMs = this.#options.clock.nowMs();
    if (nowMs < this.#purgeAtMs) return;
    this.#purgeAtMs = nowMs + PURGE_EVERY_MS;
    if (this.#store === undefined || this.#authorisation === undefined) return;
    this.counts.purged += this.#purge(this.#store, this.#retainedMs(this.#authorisation), 'retention');
  }

  /** Removes the oldest data if the file is nearly full. Throws AgentError. */
  makeRoom(): void {
    const beforeMs = this.#store?.fullBeforeMs;
    if (this.#store === undefined || this.#authorisation === undefined || beforeMs === undefined) return;
    this.#authorisation = { ...this.#authorisation, evictedMs: beforeMs };
    writeLogAuthorisation(this.#store, this.#authorisation);
    this.counts.evicted += this.#purge(this.#store, beforeMs, 'limit');
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
    return this.#trueMs() - grant.days * DAY_MS;
  }

  /** Returns the wall clock's time while it is trusted, otherwise its lower bound. */
  #trueMs(): number {
    const { clock, steady } = this.#options;
    if (this.#newest === undefined || steady.trusted()) return clock.wallMs();
    return this.#newest.wallMs + (clock.nowMs() - this.#newest.nowMs);
  }

  #purge(store: TrackStore, beforeMs: number, reason: PurgeRecord['why']): number {
    const going = store.before(beforeMs);
    if (going !== undefined) this.#options.record(this.#recordOf(going, reason));
    store.purge(beforeMs);
    return going?.count ?? 0;
  }

  #delete(store: TrackStore): void {
    const count = this.#purge(store, EVERYTHING_MS, 'authorisation');
    this.counts.purged += count;
    store.close();
    for (const suffix of ['', '-wal', '-shm', '.damaged', '.damaged-wal'])
      rmSync(`${this.#path}${suffix}`, { force: true });
    this.#store = undefined;
    this.#authorisation = undefined;
    this.#newest = undefined;
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
