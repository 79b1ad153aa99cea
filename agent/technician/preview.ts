/**
 * Runs the technician's preview. It limits viewers and time, and selects the pictures that are sent.
 *
 * INVARIANTS:
 * - The start of each viewing is in the journal on disk before anything is shown.
 * - A picture is shown only if nothing forbids it both on the request and on its arrival. A shown picture is removed as
 *   soon as anything forbids it.
 * - No picture is stored, and none is shown twice.
 * LIMITS:
 * - PREVIEW_VIEWERS_MAX viewers, and STARTS.
 * - PREVIEW_S_MAX per run, which begins with the first viewer and ends for all, and PREVIEW_S_A_DAY_MAX a day.
 * - PREVIEW_FPS_MAX pictures a second and CORE_RATIO_MAX of a core.
 * - A viewer that does not read skips pictures (counted).
 */
import type { Clock } from '../base/clock.ts';
import { type Counters, gauge } from '../base/counters.ts';
import { messageOf, rethrowBug } from '../base/errors.ts';
import { TokenBucket } from '../base/token-bucket.ts';
import type { StateCondition } from '../contract/condition.ts';
import type { JournalEntry } from '../contract/journal.ts';
import type { PreviewAnswer } from '../contract/link.ts';
import type { ObservedTrack } from '../contract/observation.ts';
import { encodePagePicture, encodeToPage } from '../contract/page-frames.ts';
import {
  type AgentView,
  type NoPicture,
  PREVIEW_FPS_MAX,
  PREVIEW_S_MAX,
  PREVIEW_VIEWERS_MAX,
  type SeenTrack,
} from '../contract/page-link.ts';
import type { PreviewUse } from './preview-use.ts';

/** Limit on starts. Each causes two journal entries and two events, which a faulty page must not flood. */
const STARTS = { burst: 10, perS: 0.1 } as const;
/** Longest delay before a suspension is noticed, ms. A picture that arrives after it is never shown. */
const CHECK_EVERY_MS = 100;
/** Largest ratio of one core; the detector gets the rest. */
const CORE_RATIO_MAX = 0.1;
/**
 * Number of pictures whose shortest duration counts, which estimates the cost of one undisturbed by the detector. Until
 * there are as many, one is made a second, because the first ones load the code that makes them.
 */
const TAKES = 5;
const FIRST_EVERY_MS = 1000;
/** Age at which a picture is no longer live, ms. Stills come twice a second. */
const STALE_MS = 5000;
const TRACKS_MAX = 256;

export interface Refusal {
  readonly code: string;
  readonly reason: string;
}

export interface Forbidden extends Refusal {
  readonly code: NoPicture;
}

/** Destination of pictures: one connection of the page. */
export interface Screen {
  /** Returns false if the previous picture has not been read yet. */
  show(encoded: Buffer): boolean;
  /** Delivers the message or ends the connection. */
  tell(encoded: Buffer): void;
}

export interface PreviewOptions {
  readonly clock: Clock;
  readonly use: PreviewUse;
  readonly journal: {
    /** Durable on return; otherwise throws AgentError. */
    enterSurely(entry: JournalEntry): void;
    enter(entry: JournalEntry): void;
  };
  readonly flow: { condition(kind: StateCondition, active: boolean, cause: object): void };
  readonly supervisor: { preview(): Promise<PreviewAnswer> };
  readonly status: { readonly tracks: readonly ObservedTrack[] };
  /** Number of the authorisation under which the box runs. */
  order(): string | undefined;
  /** Reason why no picture may be shown now, or undefined. */
  forbidden(): Forbidden | undefined;
}

interface Viewer {
  readonly screen: Screen;
  readonly id: number;
  readonly session: string;
  frames: number;
}

interface Run {
  readonly beganMs: number;
  readonly order: string;
  readonly ending: AbortController;
  readonly viewers: Viewer[];
  /** Monotonic time from which the next picture may be requested. */
  dueMs: number;
  /** Media time of the newest shown picture, and the monotonic time at which it was shown. */
  newest: { readonly atMs: number; readonly shownMs: number };
  /** Reason why vision could not make a newer one. */
  failure: string | undefined;
}

export class Preview {
  readonly #options: PreviewOptions;
  readonly #starts: TokenBucket;
  #run: Run | undefined;
  #watching: Promise<void> = Promise.resolve();
  #asking = false;
  #takesMs: number[] = [];
  readonly #counts = { started: 0, refusals: 0, frames: 0, skipped: 0, failed: 0 };

  constructor(options: PreviewOptions) {
    this.#options = options;
    this.#starts = new TokenBucket(STARTS, options.clock);
  }

  get counters(): Counters {
    const { started, refusals, frames, skipped, failed } = this.#counts;
    return {
      preview_viewers: gauge(this.#run?.viewers.length ?? 0),
      preview_started: started,
      preview_refused: refusals,
      preview_frames: frames,
      preview_skipped: skipped,
      preview_failed: failed,
    };
  }

  get view(): AgentView['preview'] {
    const { use, clock } = this.#options;
    const run = this.#run;
    const passedS = run === undefined ? 0 : (clock.nowMs() - run.beganMs) / 1000;
    const leftTodayS = use.leftS;
    const leftS = Math.min(leftTodayS, Math.max(0, Math.ceil(PREVIEW_S_MAX - passedS)));
    return { running: run !== undefined, leftS, leftTodayS, viewers: run?.viewers.length ?? 0 };
  }

  /** Starts viewing. Returns the reason for a refusal; undefined if viewing may start or already runs. */
  start(screen: Screen, id: number, session: string): Refusal | undefined {
    if (this.#viewer(screen, id) !== undefined) return undefined;
    const refusal = this.#refusal() ?? this.#begin({ screen, id, session, frames: 0 });
    if (refusal === undefined) this.#counts.started += 1;
    else this.#counts.refusals += 1;
    return refusal;
  }

  /** Stops viewing. */
  stop(screen: Screen, id: number): Refusal | undefined {
    const viewer = this.#viewer(screen, id);
    if (viewer === undefined) return { code: 'not-started', reason: `viewer ${id} has no open preview` };
    this.#leave([viewer], 'stopped');
    return undefined;
  }

  /** Handles a closed connection: ends all its viewers. */
  screenClosed(screen: Screen): void {
    this.#leave(this.#run?.viewers.filter((viewer) => viewer.screen === screen) ?? [], 'page gone');
  }

  /** Ends the preview when the agent stops. Idempotent. */
  async close(): Promise<void> {
    this.#end('the agent stopped');
    await this.#watching;
  }

  #viewer(screen: Screen, id: number): Viewer | undefined {
    return this.#run?.viewers.find((viewer) => viewer.screen === screen && viewer.id === id);
  }

  #refusal(): Refusal | undefined {
    const { forbidden } = this.#options;
    const no = forbidden() ?? this.#timeIsUp();
    if (no !== undefined) return no;
    if ((this.#run?.viewers.length ?? 0) >= PREVIEW_VIEWERS_MAX) {
      return {
        code: 'too-many-viewers',
        reason: `${PREVIEW_VIEWERS_MAX} viewers are connected already; one must stop`,
      };
    }
    const waitS = this.#starts.take();
    if (waitS === 0) return undefined;
    return { code: 'too-often', reason: `started too often; again in ${Math.ceil(waitS)} s` };
  }

  #begin(viewer: Viewer): Refusal | undefined {
    const { journal, use, flow, order } = this.#options;
    const { session } = viewer;
    const running = this.#run;
    const under = running?.order ?? order();
    if (under === undefined) return { code: 'unauthorised', reason: 'no valid authorisation' };
    try {
      if (running === undefined) use.begin();
      journal.enterSurely({ type: 'preview-started', session, order: under });
    } catch (error) {
      rethrowBug(error);
      if (running === undefined) use.end();
      return { code: 'unauthorised', reason: `no preview without a journal entry: ${messageOf(error)}` };
    }
    if (running !== undefined) {
      running.viewers.push(viewer);
      return undefined;
    }
    const nowMs = this.#options.clock.nowMs();
    const newest = { atMs: Number.NEGATIVE_INFINITY, shownMs: nowMs };
    const ending = new AbortController();
    const times = { beganMs: nowMs, dueMs: nowMs, newest };
    const run: Run = { ...times, order: under, ending, viewers: [viewer], failure: undefined };
    this.#run = run;
    flow.condition('preview', true, {});
    this.#watching = this.#watching.then(() => this.#watch(run));
    return undefined;
  }

  async #watch(run: Run): Promise<void> {
    const { clock } = this.#options;
    while (run === this.#run) {
      if (!this.#over(run) && clock.nowMs() >= run.dueMs) this.#ask(run);
      await clock.sleep(CHECK_EVERY_MS, run.ending.signal);
    }
  }

  /** Ends the run if it must end. */
  #over(run: Run): boolean {
    const { clock, use, forbidden, order } = this.#options;
    const noticeOf = (code: NoPicture, reason: string): Forbidden => ({ code, reason });
    let no = forbidden() ?? this.#timeIsUp();
    if (order() !== run.order)
      no ??= noticeOf('unauthorised', 'the authorisation has changed since the preview started');
    if (clock.nowMs() - run.newest.shownMs >= Math.max(STALE_MS, 2 * this.#everyMs)) {
      const { failure } = run;
      no ??=
        failure === undefined
          ? noticeOf('camera-away', 'no newer picture comes')
          : noticeOf('redaction', failure);
    }
    try {
      use.charge();
    } catch (error) {
      rethrowBug(error);
      no ??= noticeOf('day-is-up', error.message);
    }
    if (no === undefined) return false;
    this.#end(no.code, no);
    return true;
  }

  #timeIsUp(): Forbidden | undefined {
    const { leftS, leftTodayS } = this.view;
    if (leftTodayS === 0) return { code: 'day-is-up', reason: 'the time of today has been used' };
    if (leftS === 0) return { code: 'time-is-up', reason: `a preview ends after ${PREVIEW_S_MAX / 60} min` };
    return undefined;
  }

  /** Requests one picture at a time, also across the end of a run. */
  #ask(run: Run): void {
    if (this.#asking) return;
    this.#asking = true;
    run.dueMs = this.#options.clock.nowMs() + this.#everyMs;
    void this.#options.supervisor.preview().then((answer) => {
      this.#asking = false;
      this.#answered(run, answer);
    });
  }

  get #everyMs(): number {
    if (this.#takesMs.length < TAKES) return FIRST_EVERY_MS;
    const takesMs = Math.min(...this.#takesMs);
    return Math.max(1000 / PREVIEW_FPS_MAX, takesMs / CORE_RATIO_MAX);
  }

  #answered(run: Run, answer: PreviewAnswer): void {
    const { picture } = answer;
    if (picture === undefined) this.#counts.failed += 1;
    else this.#takesMs = [...this.#takesMs.slice(1 - TAKES), answer.tookMs];
    if (run !== this.#run || this.#over(run)) return;
    run.failure = picture === undefined ? answer.reason : undefined;
    if (picture === undefined || picture.atMs <= run.newest.atMs) return;
    run.newest = { atMs: picture.atMs, shownMs: this.#options.clock.nowMs() };
    const encoded = encodePagePicture(picture, this.#tracks());
    for (const [screen, viewers] of byScreen(run.viewers)) {
      if (screen.show(encoded)) {
        this.#counts.frames += 1;
        for (const viewer of viewers) viewer.frames += 1;
      } else this.#counts.skipped += 1;
    }
  }

  #tracks(): SeenTrack[] {
    return this.#options.status.tracks
      .filter(({ seen }) => seen)
      .slice(0, TRACKS_MAX)
      .map(({ id, group, label, xyxyNorm }) => ({ track: id, group, label, xyxyNorm }));
  }

  #leave(leaving: readonly Viewer[], cause: string): void {
    const run = this.#run;
    if (run === undefined || leaving.length === 0) return;
    for (const { session, frames } of leaving) {
      this.#options.journal.enter({ type: 'preview-ended', session, why: cause, frames });
    }
    const staying = run.viewers.filter((viewer) => !leaving.includes(viewer));
    run.viewers.splice(0, run.viewers.length, ...staying);
    if (staying.length > 0) return;
    this.#run = undefined;
    run.ending.abort();
    this.#options.use.end();
    this.#options.flow.condition('preview', false, {});
  }

  /** Ends the run for all viewers. `no`: notice that replaces the picture. */
  #end(cause: string, no?: Forbidden): void {
    const viewers = [...(this.#run?.viewers ?? [])];
    if (no !== undefined) {
      const reason = no.reason.slice(0, 1000);
      const encoded = encodeToPage({ kind: 'no-picture', why: no.code, reason, viewer: null });
      for (const screen of byScreen(viewers).keys()) screen.tell(encoded);
    }
    this.#leave(viewers, cause);
  }
}

function byScreen(viewers: readonly Viewer[]): Map<Screen, Viewer[]> {
  const viewersByScreen = new Map<Screen, Viewer[]>();
  for (const viewer of viewers) {
    const same = viewersByScreen.get(viewer.screen);
    if (same === undefined) viewersByScreen.set(viewer.screen, [viewer]);
    else same.push(viewer);
  }
  return viewersByScreen;
}
