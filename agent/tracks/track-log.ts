/**
 * Log of tracks of the box: stores passing objects as far as the valid authorisation permits, for as long as it and its
 * retention last.
 *
 * INVARIANTS:
 * - Without an authorisation that permits it there is no file, and nothing is recorded.
 * - While the box is suspended, its camera has no usable picture or its clock is not set, nothing is recorded, and
 *   answers state the reason.
 * LIMITS:
 * - A power cut loses up to FLUSH_EVERY_MS of tracks, reported as a gap.
 * - PENDING_MAX pieces wait in memory for a disk that refuses. Then they are dropped, counted and reported as a gap.
 * - Those of log-file.ts.
 */
import { isDeepStrictEqual } from 'node:util';
import { type Counters, gauge } from '../base/counters.ts';
import { messageOf, rethrowBug } from '../base/errors.ts';
import type { Authorisation } from '../contract/authorisation.ts';
import { CommandRefused } from '../contract/command.ts';
import { isBlinding } from '../contract/condition.ts';
import type { Config } from '../contract/config.ts';
import type { CameraReport, QuietReport } from '../contract/health.ts';
import type { Mode } from '../contract/mode.ts';
import type { Observation } from '../contract/observation.ts';
import type { GapReason, TrackLogGrant } from '../contract/track-log.ts';
import type { Budgets } from './budgets.ts';
import { CoverageRecorder, SEEN_EVERY_MS } from './coverage.ts';
import { HeldTracks } from './held-tracks.ts';
import { type KeptFrom, LogFile, type LogFileOptions } from './log-file.ts';
import { LogViews } from './log-views.ts';
import { type TrackPiece, TrackRecorder } from './recorder.ts';
import type { TrackLogStatus } from './status.ts';
import type { TrackStore, View } from './store.ts';

/** Longest loss in a power cut. A flush every ten seconds would write 46 MB for 1 MB of tracks. */
const FLUSH_EVERY_MS = 300_000;
/** An hour of a busy square, about 3 MB. */
const PENDING_MAX = 5000;
/** A clock that is slewed (500 ppm at most, adjtimex(2)) moves by far less between two frames. */
const CLOCK_STEP_MS = 1000;
/**
 * Delay after which a moved camera is detected (observe/condition-view.ts). Tracks seen in between belong to no view.
 */
const MOVED_KNOWN_AFTER_MS = 60_000;
/** Shortest interval between two beginnings of a span that are written at once; a lens that flickers has many. */
const BOUNDARY_EVERY_MS = 60_000;

/** Authorisation under which the box runs, as last evaluated. */
export interface TrackRuling {
  readonly mode: Mode;
  /** Valid authorisation, even if the box is suspended; undefined if there is none. */
  readonly authorisation: Pick<Authorisation, 'order' | 'notAfter' | 'tracks'> | undefined;
}

export interface TrackLogOptions extends LogFileOptions {
  readonly config: Pick<Config, 'camera' | 'authorisation' | 'retention'>;
  readonly vision: { readonly camera: CameraReport; readonly quiet: QuietReport | undefined };
  readonly status: TrackLogStatus;
}

/** Sources from which a question is answered. */
export interface OpenLog extends KeptFrom {
  readonly store: TrackStore;
  readonly budgets: Budgets;
  /** Time of the log, ms since the epoch. */
  readonly nowMs: number;
  readonly grant: TrackLogGrant;
  readonly order: string;
  /** Oldest first. */
  readonly views: readonly View[];
}

export class TrackLog {
  readonly #options: TrackLogOptions;
  readonly #file: LogFile;
  readonly #views: LogViews;
  #ruling: TrackRuling = { mode: 'unauthorised', authorisation: undefined };
  /** Undefined while nothing is recorded. */
  #recorder: TrackRecorder | undefined;
  /** Undefined if the authorisation excludes no area. */
  #heldTracks: HeldTracks | undefined;
  /** The second stream has been watched since the newest observation. */
  #hasRested = false;
  #coverage = new CoverageRecorder();
  #pending: TrackPiece[] = [];
  /** Monotonic time of the newest observation. */
  #seenMs = Number.NEGATIVE_INFINITY;
  /** Wall time of media time 0. */
  #epochMs: number | undefined;
  /** Monotonic time since which the clock is not set; undefined while it is set. */
  #clockUnsetMs: number | undefined;
  #isMoved = false;
  #flushAtMs = 0;
  /** Monotonic time from which the beginning of a span is written at once. */
  #boundaryAtMs = 0;
  /** Wall time of the newest flush. */
  #flushedMs = 0;
  #refusedBy: string | undefined;
  readonly #counts = { lost: 0, flushes: 0, flickers: 0, furniture: 0 };

  constructor(options: TrackLogOptions) {
    this.#options = options;
    this.#file = new LogFile(options);
    this.#views = new LogViews(options.config.camera?.source);
  }

  get counters(): Counters {
    const { lost: lostCount, flushes, flickers, furniture: staticFalsePositives } = this.#counts;
    const now = this.#recorder?.counts ?? { flickers: 0, furniture: 0 };
    const size = this.#attempt(() => this.#file.store?.size());
    // A number of stored tracks would count the visitors of an excluded area, by difference with those in the street.
    return {
      track_bytes: gauge(size?.bytes ?? 0),
      // Lost because the disk refused for too long.
      tracks_lost: lostCount,
      tracks_purged: this.#file.counts.purged,
      // Removed early for lack of space.
      tracks_evicted: this.#file.counts.evicted,
      track_flushes: flushes,
      // Not stored: tracks seen too rarely, and static false positives.
      tracks_flickering: flickers + now.flickers,
      tracks_fixed: staticFalsePositives + now.furniture,
    };
  }

  /** Opens the log of an earlier run. */
  start(): void {
    this.#attempt(() => this.#file.openIfThere());
    this.#attempt(() => this.#views.read(this.#file.store));
  }

  /** Takes the new ruling before it is carried out. */
  permit(ruling: TrackRuling): void {
    this.#ruling = ruling;
    this.#attempt(() => this.#follow());
    if (this.#reason !== undefined) this.#pause(this.#reason);
    this.#tell();
  }

  /** Marks that the camera shows another, confirmed view from now on. */
  viewConfirmed(): void {
    this.#views.confirm();
  }

  observe(observation: Observation): void {
    this.#seenMs = this.#options.clock.nowMs();
    this.#heldTracks?.follow(observation, observation.camera?.some(isBlinding) !== true, this.#hasRested);
    this.#hasRested = this.#isResting;
    this.#record(observation);
    this.#heldTracks?.release();
  }

  /** Takes note that the vision process has ended, and with it all that it followed. */
  visionEnded(): void {
    this.#recorder?.end();
    this.#heldTracks?.visionEnded();
  }

  #record(observation: Observation): void {
    const { atMs, wallMs, source, camera = [] } = observation;
    if (this.#recorder === undefined) return;
    const epochMs = wallMs - atMs;
    const stepMs = epochMs - (this.#epochMs ?? epochMs);
    this.#epochMs = epochMs;
    if (Math.abs(stepMs) > CLOCK_STEP_MS) this.#pause('clock-step');
    const isMoved = camera.includes('moved');
    if (isMoved && !this.#isMoved) this.#pause('blind', MOVED_KNOWN_AFTER_MS);
    this.#isMoved = isMoved;
    const reason = this.#reason ?? (camera.some(isBlinding) ? 'blind' : undefined);
    if (reason !== undefined) {
      this.#pause(reason);
      return;
    }
    this.#views.follow(wallMs, source.widthPx / source.heightPx);
    this.#note(wallMs);
    this.#recorder.observe(observation);
  }

  /** Called about twice a second. */
  tick(): void {
    const { clock, vision } = this.#options;
    const nowMs = clock.nowMs();
    this.#hasRested ||= this.#isResting;
    this.#attempt(() => this.#follow());
    if (this.#recorder !== undefined) {
      if (this.#reason !== undefined) this.#pause(this.#reason);
      else if (this.#isResting) this.#note(clock.wallMs());
      else if (nowMs - this.#seenMs > SEEN_EVERY_MS)
        this.#pause(vision.camera.state === 'off' ? 'not-running' : 'no-picture');
    }
    if (nowMs >= this.#flushAtMs) this.#attempt(() => this.#flush());
    if (this.#attempt(() => this.#file.upkeep()) === true) this.#views.forget();
    this.#tell();
  }

  /** Writes everything pending, so that it is available after the next start. */
  stop(): void {
    this.#pause('not-running');
    this.#attempt(() => this.#flush());
    this.#attempt(() => this.#file.close());
  }

  /**
   * Returns the log, flushed up to now. Throws CommandRefused if no answer is permitted, and AgentError if the disk
   * refuses.
   */
  open(): OpenLog {
    const { grant, order } = this.#answerable();
    this.#follow();
    this.#flush();
    const { store, authorisation } = this.#file;
    if (store === undefined || authorisation === undefined)
      throw new CommandRefused(
        'unavailable',
        `tracks: the log does not exist yet: ${this.#reason ?? this.#refusedBy ?? ''}`,
      );
    const budgets = this.#file.budgets(order);
    const { nowMs } = this.#file;
    return {
      store,
      budgets,
      nowMs,
      grant,
      order,
      views: this.#views.all,
      ...this.#file.keptFrom(authorisation),
    };
  }

  /** Throws CommandRefused if no answer is permitted now. */
  assertMayAnswer(): void {
    this.#answerable();
  }

  #answerable(): { readonly grant: TrackLogGrant; readonly order: string } {
    const { mode, authorisation } = this.#ruling;
    if (mode === 'suspended') throw new CommandRefused('not-permitted', 'tracks: the box is suspended');
    if (mode !== 'active' || authorisation?.tracks === undefined)
      throw new CommandRefused(
        'not-permitted',
        'tracks: no valid authorisation allows a log of tracks (tracks)',
      );
    return { grant: authorisation.tracks, order: authorisation.order };
  }

  /** While a second stream is watched, only key frames of the main stream are decoded. */
  get #isResting(): boolean {
    const { quiet, camera } = this.#options.vision;
    return quiet?.resting === true && camera.state === 'streaming';
  }

  /** Reason why nothing is recorded now, or undefined. */
  get #reason(): GapReason | undefined {
    const { mode, authorisation } = this.#ruling;
    if (authorisation?.tracks === undefined) return 'not-authorised';
    if (mode !== 'active') return mode === 'suspended' ? 'suspended' : 'not-authorised';
    return this.#options.steady.synced ? undefined : 'clock-not-set';
  }

  /** Begins, continues or ends the log as the authorisation demands. Throws AgentError. */
  #follow(): void {
    const { authorisation } = this.#ruling;
    if (this.#file.deleteIfEnded(authorisation)) this.#begin();
    if (authorisation?.tracks === undefined) return;
    if (this.#file.authorisation === undefined && this.#reason !== undefined) return;
    const { tracks: grant, notAfter, order } = authorisation;
    if (this.#file.hold({ grant, order, notAfterMs: Date.parse(notAfter) })) this.#endRecorder();
    this.#views.read(this.#file.store);
    const heldTracks = this.#tracksHeldFor(grant);
    const keep = (piece: TrackPiece): unknown =>
      heldTracks === undefined ? this.#pending.push(piece) : heldTracks.hold(piece);
    this.#recorder ??= new TrackRecorder({ grant, keep });
  }

  /** Returns what holds tracks back for the excluded areas. The same areas continue, so that a visitor stays known. */
  #tracksHeldFor({ notKept = [] }: TrackLogGrant): HeldTracks | undefined {
    const areas = notKept.map(({ polygon }) => polygon);
    if (isDeepStrictEqual(areas, this.#heldTracks?.areas ?? [])) return this.#heldTracks;
    const keep = (piece: TrackPiece): unknown => this.#pending.push(piece);
    const lose = (count: number): void => this.#lose(count);
    this.#heldTracks = areas.length === 0 ? undefined : new HeldTracks({ areas, keep, lose });
    return this.#heldTracks;
  }

  /** Resets to an empty log. */
  #begin(): void {
    this.#endRecorder();
    this.#heldTracks?.forget(Number.POSITIVE_INFINITY);
    this.#pending = [];
    this.#coverage = new CoverageRecorder();
    this.#views.begin();
  }

  #endRecorder(): void {
    const recorder = this.#recorder;
    this.#recorder = undefined;
    recorder?.end();
    for (const name of ['flickers', 'furniture'] as const) this.#counts[name] += recorder?.counts[name] ?? 0;
  }

  /** Ends the present span at the newest moment, or `backMs` before it. */
  #pause(reason: GapReason, backMs = 0): void {
    if (this.#file.authorisation === undefined) return;
    this.#recorder?.end();
    const { clock } = this.#options;
    if (reason === 'clock-not-set') this.#clockUnsetMs ??= clock.nowMs();
    this.#coverage.end(reason, reason === 'clock-not-set' ? undefined : clock.wallMs(), backMs);
  }

  /** Records that the box analyses at a known time, and closes a gap of an unset clock at its known start. */
  #note(wallMs: number): void {
    const { clock } = this.#options;
    if (this.#clockUnsetMs !== undefined && this.#coverage.gapReason !== 'clock-not-set')
      this.#coverage.end('clock-not-set', wallMs - (clock.nowMs() - this.#clockUnsetMs));
    this.#clockUnsetMs = undefined;
    // Occasional key frames do not count as an analysed street.
    this.#coverage.note(this.#isResting ? 'watched' : 'seen', wallMs);
    if (this.#coverage.isWritten || clock.nowMs() < this.#boundaryAtMs) return;
    // After a crash, the reason of the gap before must not cover what was analysed, nor the crash.
    this.#boundaryAtMs = clock.nowMs() + BOUNDARY_EVERY_MS;
    this.#attempt(() => this.#write([]));
  }

  /** Throws AgentError. */
  #flush(): void {
    const { clock } = this.#options;
    this.#flushAtMs = clock.nowMs() + FLUSH_EVERY_MS;
    if (this.#file.store === undefined) return;
    this.#recorder?.cutOpenTracks();
    this.#heldTracks?.forget(this.#file.retainedFromMs);
    this.#write(this.#pending);
    this.#flushedMs = clock.wallMs();
    this.#pending = [];
  }

  /** Writes pieces with the coverage and the views that are not on disk. Throws AgentError. */
  #write(pieces: readonly TrackPiece[]): void {
    const { store } = this.#file;
    const [views, spans] = [this.#views.unwritten, this.#coverage.take()];
    if (store === undefined || pieces.length + views.length + spans.length === 0) return;
    try {
      this.#file.makeRoom();
      store.write({ pieces, spans, views });
    } catch (error) {
      rethrowBug(error);
      if (pieces.length <= PENDING_MAX) this.#coverage.putBack(spans);
      else this.#lose(pieces.length);
      throw error;
    }
    this.#counts.flushes += 1;
    this.#views.written();
    this.#refusedBy = undefined;
  }

  /** Records that everything since the last flush is not in the log. */
  #lose(count: number): void {
    const wallMs = this.#options.clock.wallMs();
    this.#counts.lost += count;
    this.#pending = [];
    this.#coverage.end('storage', wallMs, wallMs - this.#flushedMs);
  }

  #tell(): void {
    const { authorisation, store } = this.#file;
    const { oldestMs = null } = this.#attempt(() => store?.size()) ?? {};
    const isOn = this.#recorder !== undefined && this.#reason === undefined;
    this.#options.status.log({
      state: authorisation === undefined ? 'off' : isOn ? 'on' : 'paused',
      grade: authorisation?.grant.grade ?? null,
      days: authorisation?.grant.days ?? null,
      oldest: oldestMs === null ? null : new Date(oldestMs).toISOString(),
    });
  }

  /** Runs `operation`. A disk error is logged once, and the work is retried. */
  #attempt<T>(operation: () => T): T | undefined {
    try {
      return operation();
    } catch (error) {
      rethrowBug(error);
      const { log } = this.#options;
      if (this.#refusedBy === undefined)
        log.error({ reason: error.message }, 'the log of tracks cannot be written; this is tried again');
      this.#refusedBy = messageOf(error);
      return undefined;
    }
  }
}
