/**
 * The box's log of tracks: what passed, as far as the order in force allows it to be kept, for as long as that order and its
 * days last.
 *
 * INVARIANTS: without an order that allows it there is no file and nothing is taken in; while the box is suspended, its camera
 * does not see or its clock is not set, nothing is taken in, and the answer says why. What is deleted is in the journal.
 * LIMITS: `limitMiB` on the disk (the oldest go first, told as a gap); FLUSH_EVERY_MS of tracks are lost in a power cut, told
 * as a gap; PENDING_MAX pieces wait in memory for a disk that refuses, then they are dropped, counted and told as a gap.
 */
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { AgentError, messageOf, rethrowBug } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { moveAside } from '../base/sqlite.ts';
import type { SteadyClock } from '../base/steady-clock.ts';
import type { Authorisation } from '../contract/authorisation.ts';
import { cameraAddress } from '../contract/camera-address.ts';
import { CommandRefused } from '../contract/command.ts';
import type { Config } from '../contract/config.ts';
import { type Counters, gauge } from '../contract/counters.ts';
import type { CameraReport, QuietReport } from '../contract/health.ts';
import type { Mode } from '../contract/mode.ts';
import { isBlinding, type Observation } from '../contract/observation.ts';
import type { PurgeRecord } from '../contract/search.ts';
import type { GapReason, TrackLogGrant, TrackLogReport } from '../contract/track-log.ts';
import { CoverageRecorder, SEEN_EVERY_MS } from './coverage.ts';
import { openTrackDatabase, trackFile } from './database.ts';
import { type Held, heldUnder, readHeld, writeHeld } from './held.ts';
import { type TrackPiece, TrackRecorder } from './recorder.ts';
import type { TrackLogStatus } from './status.ts';
import { type Deleted, EVERYTHING_MS, TrackStore, type View } from './store.ts';

const TRACKS_FILE = 'tracks.db';
/** What a power cut may cost; every ten seconds would write 46 MB for 1 MB of tracks. */
const FLUSH_EVERY_MS = 300_000;
/** An hour of a busy square, some 3 MB. */
const PENDING_MAX = 5000;
const PURGE_EVERY_MS = 3_600_000;
const DAY_MS = 86_400_000;
/** A clock that is slewed (500 ppm at most, adjtimex(2)) moves by far less between two frames. */
const CLOCK_STEP_MS = 1000;
/** That the camera has moved is known this long after it has (observe/condition-view.ts); what was seen since is of no view. */
const MOVED_KNOWN_AFTER_MS = 60_000;
/** A picture of another shape is another framing. */
const SAME_ASPECT = 0.01;

/** Under what the box runs, as it was ruled. */
export interface TrackPermit {
  readonly mode: Mode;
  /** That holds, though the box be suspended; undefined: none. */
  readonly authorisation: Pick<Authorisation, 'order' | 'notAfter' | 'tracks'> | undefined;
}

export interface TrackLogOptions {
  readonly config: Pick<Config, 'camera' | 'authorisation' | 'retention'>;
  readonly stateDir: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly steady: Pick<SteadyClock, 'synced' | 'trusted'>;
  readonly vision: { readonly camera: CameraReport; readonly quiet: QuietReport | undefined };
  readonly status: TrackLogStatus;
  /** Puts on record what is deleted, durably; throws AgentError where it cannot. */
  record(record: PurgeRecord): void;
}

/** What a question is answered from. */
export interface OpenLog {
  readonly store: TrackStore;
  readonly grant: TrackLogGrant;
  readonly order: string;
  /** Oldest first. */
  readonly views: readonly View[];
  /** Of now. */
  readonly view: View | undefined;
  /** What is older was taken out, for this reason, or was never kept. */
  readonly keptFromMs: number;
  readonly takenOut: GapReason;
}

export class TrackLog {
  readonly #options: TrackLogOptions;
  #permit: TrackPermit = { mode: 'unauthorised', authorisation: undefined };
  /** Undefined: no log is kept. */
  #store: TrackStore | undefined;
  #held: Held | undefined;
  #recorder: TrackRecorder | undefined;
  #coverage = new CoverageRecorder();
  #pending: TrackPiece[] = [];
  #views: View[] = [];
  #newViews: View[] = [];
  #viewIsNew = false;
  #seenMs = Number.NEGATIVE_INFINITY;
  #epochMs: number | undefined;
  #isMoved = false;
  #flushAtMs = 0;
  /** Wall time of the newest flush. */
  #flushedMs = 0;
  #purgeAtMs = 0;
  /** Newest moment that was in the log at the start, and the monotonic time of that. */
  #newest: { readonly wallMs: number; readonly nowMs: number } | undefined;
  #refusedBy: string | undefined;
  readonly #counts = { kept: 0, lost: 0, purged: 0, evicted: 0, flushes: 0 };
  readonly #recorded = { flickers: 0, furniture: 0, dropped: 0 };

  constructor(options: TrackLogOptions) {
    this.#options = options;
  }

  get counters(): Counters {
    const { kept, lost, purged, evicted, flushes } = this.#counts;
    const { flickers, furniture, dropped } = this.#recorded;
    const size = this.#tried(() => this.#store?.size());
    return {
      track_rows: gauge(size?.rows ?? 0),
      track_bytes: gauge(size?.bytes ?? 0),
      track_pending: gauge(this.#pending.length),
      tracks_kept: kept,
      tracks_lost: lost,
      tracks_purged: purged,
      tracks_evicted: evicted,
      track_flushes: flushes,
      tracks_flickering: flickers + (this.#recorder?.counts.flickers ?? 0),
      tracks_fixed: furniture + (this.#recorder?.counts.furniture ?? 0),
      tracks_not_kept: dropped + (this.#recorder?.counts.dropped ?? 0),
    };
  }

  #report(): Omit<TrackLogReport, 'questions' | 'given'> {
    const size = this.#tried(() => this.#store?.size());
    const isOn = this.#recorder !== undefined && this.#reason === undefined;
    return {
      state: this.#held === undefined ? 'off' : isOn ? 'on' : 'paused',
      grade: this.#held?.grant.grade ?? null,
      days: this.#held?.grant.days ?? null,
      rows: size?.rows ?? 0,
      oldest: size?.oldestMs == null ? null : new Date(size.oldestMs).toISOString(),
    };
  }

  /** What an earlier start has left. */
  start(): void {
    if (existsSync(this.#file)) this.#tried(() => this.#open());
  }

  /** What was ruled, before it is carried out. */
  permit(permit: TrackPermit): void {
    this.#permit = permit;
    this.#tried(() => this.#follow());
    if (this.#reason !== undefined) this.#pause(this.#reason);
  }

  /** The camera shows another view from now on, which was confirmed. */
  viewConfirmed(): void {
    this.#viewIsNew = true;
  }

  observe(observation: Observation): void {
    const { atMs, wallMs, source, camera = [] } = observation;
    const { clock } = this.#options;
    this.#seenMs = clock.nowMs();
    if (this.#recorder === undefined) return;
    const epochMs = wallMs - atMs;
    if (this.#epochMs !== undefined && Math.abs(epochMs - this.#epochMs) > CLOCK_STEP_MS)
      this.#pause('clock-step');
    this.#epochMs = epochMs;
    const isMoved = camera.includes('moved');
    if (isMoved && !this.#isMoved) this.#pause('blind', MOVED_KNOWN_AFTER_MS);
    this.#isMoved = isMoved;
    if (camera.some(isBlinding)) this.#pause('blind');
    if (this.#reason !== undefined) this.#pause(this.#reason);
    if (this.#reason !== undefined || camera.some(isBlinding)) return;
    this.#followView(wallMs, source.widthPx / source.heightPx);
    this.#coverage.note('seen', wallMs);
    this.#recorder.observe(observation);
  }

  /** Called about twice a second. */
  tick(): void {
    const { clock, vision, status } = this.#options;
    const nowMs = clock.nowMs();
    this.#tried(() => this.#follow());
    if (this.#recorder !== undefined) {
      if (this.#reason !== undefined) this.#pause(this.#reason);
      else if (vision.quiet?.resting === true && vision.camera.state === 'streaming')
        this.#coverage.note('watched', clock.wallMs());
      else if (nowMs - this.#seenMs > SEEN_EVERY_MS)
        this.#pause(vision.camera.state === 'off' ? 'not-running' : 'no-picture');
    }
    if (nowMs >= this.#flushAtMs) this.#tried(() => this.#flush());
    if (nowMs >= this.#purgeAtMs) this.#tried(() => this.#purge());
    status.log(this.#report());
  }

  /** Writes what is open; what was seen up to now is there after the next start. */
  stop(): void {
    this.#pause('not-running');
    this.#tried(() => this.#flush());
    this.#tried(() => this.#store?.close());
    this.#store = undefined;
  }

  /** Throws CommandRefused where nothing may be answered, AgentError where the disk refuses. */
  open(): OpenLog {
    const { mode, authorisation } = this.#permit;
    const { tracks: grant, order = '' } = authorisation ?? {};
    if (mode === 'suspended') throw new CommandRefused('not-permitted', 'tracks: the box is suspended');
    if (mode !== 'active' || grant === undefined)
      throw new CommandRefused('not-permitted', 'tracks: no order in force allows a log of tracks (tracks)');
    this.#follow();
    this.#recorder?.cut();
    this.#flush();
    const store = this.#store;
    if (store === undefined || this.#held === undefined)
      throw new CommandRefused(
        'unavailable',
        `tracks: the log cannot be read: ${this.#refusedBy ?? 'not begun yet'}`,
      );
    const retainedMs = this.#trueMs() - grant.days * DAY_MS;
    const { beganMs, evictedMs } = this.#held;
    const keptFromMs = Math.max(beganMs, evictedMs, retainedMs);
    const takenOut =
      keptFromMs === retainedMs ? 'retention' : keptFromMs === evictedMs ? 'storage' : 'not-authorised';
    return { store, grant, order, views: this.#views, view: this.#views.at(-1), keptFromMs, takenOut };
  }

  get #file(): string {
    return join(this.#options.stateDir, TRACKS_FILE);
  }

  /** Why nothing is taken in now; undefined while it is. */
  get #reason(): GapReason | undefined {
    const { mode, authorisation } = this.#permit;
    if (authorisation?.tracks === undefined) return 'not-authorised';
    if (mode !== 'active') return mode === 'suspended' ? 'suspended' : 'not-authorised';
    return this.#options.steady.synced ? undefined : 'clock-not-set';
  }

  /** The log begins, goes on or ends as the order says. */
  #follow(): void {
    const hasAuthorisation = this.#options.config.authorisation !== undefined;
    const { authorisation } = this.#permit;
    const { tracks: grant, notAfter, order } = authorisation ?? {};
    if (grant === undefined || notAfter === undefined || order === undefined) {
      const held = this.#held;
      // What cannot be read just now may hold; it ends when it was to end.
      const hasEnded =
        authorisation !== undefined || !hasAuthorisation || (held && this.#trueMs() >= held.notAfterMs);
      if (hasEnded === true) this.#delete();
      return;
    }
    if (this.#held !== undefined && !heldUnder(this.#held, grant)) this.#delete();
    if (this.#held === undefined && this.#reason !== undefined) return;
    this.#hold(this.#open(), { grant, order, notAfterMs: Date.parse(notAfter) });
    this.#recorder ??= this.#makeRecorder(grant);
  }

  /** The log is kept under this order from now on. */
  #hold(store: TrackStore, now: Pick<Held, 'grant' | 'order' | 'notAfterMs'>): void {
    const known = this.#held;
    if (known?.grant === now.grant && known.notAfterMs === now.notAfterMs) return;
    const { beganMs = this.#options.clock.wallMs(), evictedMs = 0 } = known ?? {};
    writeHeld(store, { ...now, beganMs, evictedMs });
    this.#held = { ...now, beganMs, evictedMs };
    this.#endRecorder();
  }

  #makeRecorder(grant: TrackLogGrant): TrackRecorder {
    return new TrackRecorder({
      grant,
      keep: (piece) => this.#pending.push(piece),
      drop: (track, fromMs) => {
        this.#pending = this.#pending.filter((piece) => piece.track !== track);
        this.#tried(() => this.#store?.dropTrack(track, fromMs));
      },
    });
  }

  /** Nothing is seen any more, from the newest moment on or from `backMs` before it. */
  #pause(why: GapReason, backMs = 0): void {
    if (this.#recorder === undefined && this.#held === undefined) return;
    this.#recorder?.end();
    this.#coverage.end(why, why === 'clock-not-set' ? undefined : this.#options.clock.wallMs(), backMs);
  }

  #followView(wallMs: number, aspect: number): void {
    const camera = cameraAddress(this.#options.config.camera?.source);
    const last = this.#views.at(-1);
    const isSame = last?.camera === camera && Math.abs(last.aspect - aspect) <= SAME_ASPECT * aspect;
    if (isSame && !this.#viewIsNew) return;
    this.#viewIsNew = false;
    const view = { fromMs: Math.round(wallMs), camera, aspect };
    this.#views.push(view);
    this.#newViews.push(view);
  }

  #open(): TrackStore {
    if (this.#store !== undefined) return this.#store;
    const { config, log, clock } = this.#options;
    const [file, limitMiB] = [this.#file, config.retention.tracksMiB];
    const make = (): TrackStore => new TrackStore(openTrackDatabase(file, limitMiB), limitMiB);
    let store: TrackStore;
    try {
      store = make();
    } catch (error) {
      if (!(error instanceof AgentError) || error.kind !== 'corrupt') throw error;
      const movedTo = moveAside(trackFile(file));
      log.error(
        { file, movedTo, reason: error.message },
        'the log of tracks was damaged and begins anew: check the disk',
      );
      store = make();
    }
    this.#store = store;
    this.#held = readHeld(store);
    this.#views = store.views();
    const spans = store.spans(Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
    const newestMs = spans.at(-1)?.toMs;
    this.#newest = newestMs === undefined ? undefined : { wallMs: newestMs, nowMs: clock.nowMs() };
    return store;
  }

  /** The time by which the log is kept: the wall clock's while it can be trusted, else the least that it can be. */
  #trueMs(): number {
    const { clock, steady } = this.#options;
    if (this.#newest === undefined || steady.trusted()) return clock.wallMs();
    return this.#newest.wallMs + (clock.nowMs() - this.#newest.nowMs);
  }

  #flush(): void {
    this.#flushAtMs = this.#options.clock.nowMs() + FLUSH_EVERY_MS;
    if (this.#store === undefined || this.#held === undefined) return;
    this.#recorder?.cut();
    const [pieces, views, spans] = [this.#pending, this.#newViews, this.#coverage.take()];
    if (pieces.length + views.length + spans.length === 0) return;
    try {
      this.#makeRoom(this.#store);
      this.#store.write({ pieces, spans, views });
    } catch (error) {
      rethrowBug(error);
      if (pieces.length <= PENDING_MAX) this.#coverage.putBack(spans);
      else {
        this.#counts.lost += pieces.length;
        this.#pending = [];
        const nowMs = this.#options.clock.wallMs();
        this.#coverage.end('storage', nowMs, nowMs - this.#flushedMs);
      }
      throw error;
    }
    this.#flushedMs = this.#options.clock.wallMs();
    this.#counts.kept += pieces.length;
    this.#counts.flushes += 1;
    this.#pending = [];
    this.#newViews = [];
    this.#refusedBy = undefined;
  }

  #makeRoom(store: TrackStore): void {
    const beforeMs = store.fullBeforeMs;
    const going = beforeMs === undefined ? undefined : store.before(beforeMs);
    if (beforeMs === undefined || going === undefined || this.#held === undefined) return;
    this.#options.record(this.#purgeRecord(going, 'limit'));
    this.#held = { ...this.#held, evictedMs: beforeMs };
    writeHeld(store, this.#held);
    store.purge(beforeMs);
    this.#counts.evicted += going.count;
  }

  #purge(): void {
    this.#purgeAtMs = this.#options.clock.nowMs() + PURGE_EVERY_MS;
    const store = this.#store;
    if (store === undefined || this.#held === undefined) return;
    const beforeMs = this.#trueMs() - this.#held.grant.days * DAY_MS;
    const going = store.before(beforeMs);
    if (going !== undefined) this.#options.record(this.#purgeRecord(going, 'retention'));
    store.purge(beforeMs);
    this.#counts.purged += going?.count ?? 0;
  }

  /** The order has ended or allows it no more: all of it goes, and the journal says so first. */
  #delete(): void {
    const { log } = this.#options;
    const store = this.#store;
    if (store === undefined) return;
    const going = store.before(EVERYTHING_MS);
    if (going !== undefined) {
      this.#options.record(this.#purgeRecord(going, 'authorisation'));
      store.purge(EVERYTHING_MS);
      this.#counts.purged += going.count;
      log.info({ count: going.count }, 'the log of tracks was deleted: no order allows it any more');
    }
    store.close();
    for (const suffix of ['', '-wal', '-shm', '.damaged', '.damaged-wal'])
      rmSync(`${this.#file}${suffix}`, { force: true });
    this.#store = undefined;
    this.#held = undefined;
    this.#endRecorder();
    this.#pending = [];
    this.#coverage = new CoverageRecorder();
    this.#views = [];
    this.#newViews = [];
    this.#newest = undefined;
  }

  #endRecorder(): void {
    this.#recorder?.end();
    for (const name of ['flickers', 'furniture', 'dropped'] as const)
      this.#recorded[name] += this.#recorder?.counts[name] ?? 0;
    this.#recorder = undefined;
  }

  #purgeRecord({ count, oldestMs, newestMs }: Deleted, why: PurgeRecord['why']): PurgeRecord {
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

  /** What the disk refuses is told once, and tried again. */
  #tried<T>(act: () => T): T | undefined {
    try {
      return act();
    } catch (error) {
      rethrowBug(error);
      if (this.#refusedBy === undefined)
        this.#options.log.error(
          { reason: error.message },
          'the log of tracks cannot be written; this is tried again',
        );
      this.#refusedBy = messageOf(error);
      return undefined;
    }
  }
}
