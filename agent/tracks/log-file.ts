/**
 * The file of the log of tracks: it is made under an order that allows it, holds what that order's days allow, and goes with
 * the order.
 *
 * INVARIANTS: what is deleted is in the journal first; by age nothing is deleted, and nothing is told, but by a time that can
 * be trusted, or that is the least that it can be.
 * LIMITS: `retention.tracksMiB`: when it is nearly full the oldest go.
 */
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { AgentError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { moveAside } from '../base/sqlite.ts';
import type { SteadyClock } from '../base/steady-clock.ts';
import type { Authorisation } from '../contract/authorisation.ts';
import type { Config } from '../contract/config.ts';
import type { PurgeRecord } from '../contract/search.ts';
import type { GapReason } from '../contract/track-log.ts';
import { openTrackDatabase, trackFile } from './database.ts';
import { type Held, heldUnder, readHeld, writeHeld } from './held.ts';
import { type Deleted, EVERYTHING_MS, TrackStore } from './store.ts';

/** In the state folder. */
export const TRACKS_FILE = 'tracks.db';
const PURGE_EVERY_MS = 3_600_000;
const DAY_MS = 86_400_000;

export interface LogFileOptions {
  readonly config: Pick<Config, 'authorisation' | 'retention'>;
  readonly stateDir: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly steady: Pick<SteadyClock, 'synced' | 'trusted'>;
  /** Puts on record what is deleted, durably; throws AgentError where it cannot. */
  record(record: PurgeRecord): void;
}

/** From which moment on the log tells what passed. */
export interface KeptFrom {
  readonly keptFromMs: number;
  /** Why it tells nothing of before. */
  readonly takenOut: GapReason;
}

export class LogFile {
  readonly #options: LogFileOptions;
  readonly #path: string;
  #store: TrackStore | undefined;
  #held: Held | undefined;
  #purgeAtMs = 0;
  /** Newest moment that was in the log when it was opened, or at which it began, and the monotonic time of that. */
  #newest: { readonly wallMs: number; readonly nowMs: number } | undefined;
  readonly counts = { purged: 0, evicted: 0 };

  constructor(options: LogFileOptions) {
    this.#options = options;
    this.#path = join(options.stateDir, TRACKS_FILE);
  }

  /** Undefined: no log is kept, or it could not be opened yet. */
  get store(): TrackStore | undefined {
    return this.#store;
  }

  get held(): Held | undefined {
    return this.#held;
  }

  /** What an earlier start has left. Throws AgentError as `openSqlite`. */
  openIfThere(): void {
    if (existsSync(this.#path)) this.open();
  }

  close(): void {
    const store = this.#store;
    this.#store = undefined;
    store?.close();
  }

  /** Throws AgentError as `openSqlite`. */
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
      log.error(fields, 'the log of tracks was damaged and begins anew: check the disk');
      store = make();
    }
    this.#store = store;
    this.#held = readHeld(store);
    const newestMs = store.newestSpan()?.toMs;
    this.#newest = newestMs === undefined ? undefined : { wallMs: newestMs, nowMs: clock.nowMs() };
    return store;
  }

  /**
   * Deletes what no order allows any more: its order has ended, or another is in force that does not allow what was kept under
   * it. What cannot be read just now may hold; it ends when it was to end. Throws AgentError.
   * @param judgedAtMs the time by which orders were judged last
   */
  deleteIfEnded(authorisation: Pick<Authorisation, 'tracks'> | undefined, judgedAtMs: number): boolean {
    const held = this.#held;
    if (this.#store === undefined) return false;
    const grant = authorisation?.tracks;
    const isAllowed =
      grant === undefined
        ? authorisation === undefined &&
          this.#options.config.authorisation !== undefined &&
          held !== undefined &&
          Math.max(this.#trueMs(), judgedAtMs) < held.notAfterMs
        : held === undefined || heldUnder(held, grant);
    if (!isAllowed) this.#delete(this.#store);
    return !isAllowed;
  }

  /** The log is kept under this order from now on; true where that is another than before. Throws AgentError. */
  hold(now: Pick<Held, 'grant' | 'order' | 'notAfterMs'>): boolean {
    const store = this.open();
    const known = this.#held;
    if (known?.grant === now.grant && known.notAfterMs === now.notAfterMs) return false;
    const { clock } = this.#options;
    this.#newest ??= { wallMs: clock.wallMs(), nowMs: clock.nowMs() };
    const { beganMs = clock.wallMs(), evictedMs = 0 } = known ?? {};
    writeHeld(store, { ...now, beganMs, evictedMs });
    this.#held = { ...now, beganMs, evictedMs };
    return true;
  }

  /** Once an hour: what has outlived the order's days goes. Throws AgentError. */
  upkeep(): void {
    const nowMs = this.#options.clock.nowMs();
    if (nowMs < this.#purgeAtMs) return;
    this.#purgeAtMs = nowMs + PURGE_EVERY_MS;
    if (this.#store === undefined || this.#held === undefined) return;
    this.counts.purged += this.#purge(this.#store, this.#retainedMs(this.#held), 'retention');
  }

  /** Where the file is nearly full the oldest go. Throws AgentError. */
  makeRoom(): void {
    const beforeMs = this.#store?.fullBeforeMs;
    if (this.#store === undefined || this.#held === undefined || beforeMs === undefined) return;
    this.#held = { ...this.#held, evictedMs: beforeMs };
    writeHeld(this.#store, this.#held);
    this.counts.evicted += this.#purge(this.#store, beforeMs, 'limit');
  }

  keptFrom(held: Held): KeptFrom {
    const retainedMs = this.#retainedMs(held);
    const keptFromMs = Math.max(held.beganMs, held.evictedMs, retainedMs);
    if (keptFromMs === retainedMs) return { keptFromMs, takenOut: 'retention' };
    return { keptFromMs, takenOut: keptFromMs === held.evictedMs ? 'storage' : 'not-authorised' };
  }

  #retainedMs({ grant }: Held): number {
    return this.#trueMs() - grant.days * DAY_MS;
  }

  /** The wall clock's time while it can be trusted, else the least that it can be. */
  #trueMs(): number {
    const { clock, steady } = this.#options;
    if (this.#newest === undefined || steady.trusted()) return clock.wallMs();
    return this.#newest.wallMs + (clock.nowMs() - this.#newest.nowMs);
  }

  #purge(store: TrackStore, beforeMs: number, why: PurgeRecord['why']): number {
    const going = store.before(beforeMs);
    if (going !== undefined) this.#options.record(this.#recordOf(going, why));
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
    this.#held = undefined;
    this.#newest = undefined;
    this.#options.log.info({ count }, 'the log of tracks was deleted: no order allows it any more');
  }

  #recordOf({ count, oldestMs, newestMs }: Deleted, why: PurgeRecord['why']): PurgeRecord {
    return {
      record: 'purge',
      at: new Date(this.#options.clock.wallMs()).toISOString(),
      what: 'tracks',
      count,
      from: new Date(oldestMs).toISOString(),
      to: new Date(newestMs).toISOString(),
      why,
      days: this.#held?.grant.days ?? 0,
    };
  }
}
