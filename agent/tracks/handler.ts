/**
 * Answers the signed command `tracks` from the log of tracks.
 *
 * INVARIANTS:
 * - The complete question is in the audit log, durably, and its cost is booked, before its answer exists. If either
 *   fails there is no answer.
 * - Nothing is answered while the box is suspended or no authorisation permits the log.
 * LIMITS: LIMITS below, for one page each, one at a time; the authorisation's budgets of tracks. A refusal states its
 * reason.
 */
import type { Clock } from '../base/clock.ts';
import type { Counters } from '../base/counters.ts';
import { rethrowBug } from '../base/errors.ts';
import { SiteTime } from '../base/site-time.ts';
import { type BucketLimits, TokenBucket } from '../base/token-bucket.ts';
import { CommandRefused } from '../contract/command.ts';
import type { CheckedCommand } from '../contract/commands.ts';
import type { Config } from '../contract/config.ts';
import type { PreviewAnswer } from '../contract/link.ts';
import {
  type FoundTrack,
  PAGE_TRACK_BYTES_MAX,
  PAGE_TRACKS_MAX,
  type TrackArgs,
  type TrackCoverage,
  type TrackQuestion,
  type TrackRecord,
  type TrackResult,
  type TrackStillResult,
} from '../contract/track-log.ts';
import type { Asking } from './budgets.ts';
import { approvedBy, checkedQuestion, needsApproval } from './check.ts';
import { coverageOf, type Gap, gapsIn, type Window } from './coverage.ts';
import { findTracks, type Page, type Place } from './search.ts';
import type { TrackLogStatus } from './status.ts';
import type { OpenLog } from './track-log.ts';
import { clipped, windowsOf } from './windows.ts';

/** Same as for searches: a burst of pages, then one a second. */
const LIMITS: BucketLimits = { burst: 30, perS: 1 };
const VIEWS_MAX = 64;

const NOTHING: Page = { tracks: [], places: [], matches: 0, next: null };

type QuestionId = Pick<CheckedCommand<'tracks'>, 'key' | 'counter'>;

export interface TrackHandlerOptions {
  readonly config: Pick<Config, 'site' | 'box' | 'commands' | 'timeZone'>;
  readonly log: {
    /** Returns the log, flushed up to now; throws CommandRefused if no answer is permitted. */
    open(): OpenLog;
    /** Throws CommandRefused if no answer is permitted any more. */
    assertMayAnswer(): void;
  };
  readonly clock: Clock;
  readonly supervisor: { preview(): Promise<PreviewAnswer> };
  readonly status: TrackLogStatus;
  readonly limits?: BucketLimits;
  /** Writes the question to the audit log, durably; throws AgentError if that fails. */
  record(record: TrackRecord): void;
}

type Remaining = TrackResult['left'];

export class TrackHandler {
  readonly #options: TrackHandlerOptions;
  readonly #bucket: TokenBucket;
  readonly #site: SiteTime;
  #limited = 0;
  #isBusy = false;

  constructor(options: TrackHandlerOptions) {
    this.#options = options;
    this.#bucket = new TokenBucket(options.limits ?? LIMITS, options.clock);
    this.#site = new SiteTime(options.config.timeZone);
  }

  get counters(): Counters {
    const { questions, given: givenCount } = this.#options.status.report;
    return { track_questions: questions, tracks_given: givenCount, track_questions_limited: this.#limited };
  }

  /** Rejects with CommandRefused. */
  async answer(command: CheckedCommand<'tracks'>): Promise<TrackResult | TrackStillResult> {
    const { args } = command;
    this.#limit();
    this.#isBusy = true;
    try {
      const { question } = args;
      return question.answer === 'still'
        ? await this.#still(command, args)
        : await this.#tracks(command, { ...args, question });
    } catch (error) {
      rethrowBug(error);
      if (error instanceof CommandRefused) throw error;
      throw new CommandRefused('unavailable', `the log of tracks cannot answer: ${error.message}`, {
        cause: error,
      });
    } finally {
      this.#isBusy = false;
    }
  }

  #limit(): void {
    const waitS = this.#isBusy ? 1 : this.#bucket.take();
    if (waitS <= 0) return;
    this.#limited += 1;
    const retryAfterS = Math.ceil(waitS);
    throw new CommandRefused('rate-limited', `rate limit exceeded; retry in ${retryAfterS} s`, {
      retryAfterS,
    });
  }

  async #tracks(
    command: QuestionId,
    args: TrackArgs & { readonly question: TrackQuestion },
  ): Promise<TrackResult> {
    const { clock, config } = this.#options;
    const { question } = args;
    const log = this.#options.log.open();
    const nowMs = clock.wallMs();
    const { approvers = [] } = log.grant;
    const classes = checkedQuestion(question, log.grant, nowMs);
    const approver = needsApproval(question, classes, log.grant)
      ? approvedBy(args, command.key, config, approvers, nowMs)
      : null;
    const asking = { atMs: log.nowMs, key: command.key, case: args.case };
    const remaining = this.#remaining(log, asking);
    const questionWindows = windowsOf(question, this.#site);
    const scope = seenTime(log, question, questionWindows, nowMs);
    const page = await this.#page(log, args, classes, scope, remaining);
    // The box may have been suspended, or its authorisation ended, while rows were read.
    this.#options.log.assertMayAnswer();
    const givenCount = page.tracks.length;
    const cost = Math.max(1, givenCount);
    this.#record(command, args, approver, {
      matches: page.matches,
      given: givenCount,
      seen: scope.coverage.seen,
    });
    log.budgets.spend(asking, cost);
    this.#options.status.answered(givenCount);
    const oldestMs = log.store.size().oldestMs;
    return {
      order: log.order,
      grade: log.grant.grade,
      approvers: approvers.map(({ name }) => name),
      timeZone: this.#site.zone,
      kept: { days: log.grant.days, oldest: oldestMs === null ? null : timeOf(oldestMs) },
      views: scope.views,
      coverage: scope.coverage,
      matches: page.matches,
      tracks: [...page.tracks],
      next: page.next === null ? null : `${page.next.rank}.${page.next.atMs}.${page.next.row}`,
      left: { case: remaining.case - cost, keyDay: remaining.keyDay - cost, day: remaining.day - cost },
    };
  }

  async #page(
    log: OpenLog,
    { question, cursor }: TrackArgs & { readonly question: TrackQuestion },
    classes: readonly FoundTrack['class'][],
    { windows, aspect }: SeenTime,
    remaining: Remaining,
  ): Promise<Page> {
    if (question.answer === 'coverage') return NOTHING;
    const tracksMax = Math.min(PAGE_TRACKS_MAX, remaining.case, remaining.keyDay, remaining.day);
    const result = await findTracks({
      store: log.store,
      keptFromMs: log.keptFromMs,
      question,
      classes,
      windows,
      aspect,
      after: cursor === undefined ? undefined : placeOf(cursor),
      tracksMax,
    });
    return question.answer === 'count' ? { ...NOTHING, matches: result.matches } : withinBytes(result);
  }

  /** Returns the remaining budget. Throws CommandRefused if a budget is used up. */
  #remaining({ budgets, grant: { budget } }: OpenLog, asking: Asking): Remaining {
    const spent = budgets.spent(asking);
    const remaining = {
      case: budget.case - spent.case,
      keyDay: budget.keyDay - spent.keyDay,
      day: budget.day - spent.day,
    };
    const { case: number, key } = asking;
    const names = { case: `of case ${number}`, keyDay: `of the key ${key} in 24 hours`, day: 'of 24 hours' };
    for (const name of ['case', 'keyDay', 'day'] as const) {
      if (remaining[name] > 0) continue;
      const message = `the budget ${names[name]} is spent: the authorisation allows ${budget[name]} tracks (tracks.budget.${name})`;
      throw new CommandRefused('not-permitted', `tracks: ${message}`);
    }
    return remaining;
  }

  async #still(command: QuestionId, args: TrackArgs): Promise<TrackStillResult> {
    const { supervisor, clock } = this.#options;
    const log = this.#options.log.open();
    const asking = { atMs: log.nowMs, key: command.key, case: args.case };
    this.#remaining(log, asking);
    this.#record(command, args, null, { matches: 0, given: 0, seen: 0 });
    log.budgets.spend(asking, 1);
    this.#options.status.answered(0);
    const answer = await supervisor.preview();
    if (answer.picture === undefined)
      throw new CommandRefused('unavailable', `tracks: no still is available now: ${answer.reason}`);
    // The box may have been suspended while the picture was made.
    this.#options.log.assertMayAnswer();
    const view = log.views.at(-1);
    const { bytes, sha256 } = answer.picture;
    const jpeg = Buffer.from(bytes).toString('base64');
    return {
      view: view === undefined ? null : timeOf(view.fromMs),
      at: timeOf(clock.wallMs()),
      sha256,
      jpeg,
    };
  }

  #record(
    { key, counter }: QuestionId,
    { case: number, reason, question, cursor }: TrackArgs,
    approver: string | null,
    counts: Pick<TrackRecord, 'matches' | 'given' | 'seen'>,
  ): void {
    const at = timeOf(this.#options.clock.wallMs());
    const header = { record: 'tracks', at, key, approvedBy: approver, counter } as const;
    this.#options.record({ ...header, case: number, reason, question, cursor: cursor ?? null, ...counts });
  }
}

interface SeenTime {
  /** Parts of the requested time in which the drawn place matches the view. */
  readonly windows: readonly Window[];
  /** Aspect ratio (width / height) of the requested view; 1 if none was requested. */
  readonly aspect: number;
  readonly coverage: TrackCoverage;
  readonly views: TrackResult['views'];
}

function seenTime(
  log: OpenLog,
  { view }: TrackQuestion,
  questionWindows: readonly Window[],
  nowMs: number,
): SeenTime {
  const views = log.views.map(({ fromMs, aspect }, i) => ({
    fromMs,
    toMs: log.views[i + 1]?.fromMs,
    aspect,
  }));
  const selectedView = views.find(({ fromMs }) => timeOf(fromMs) === view);
  if (view !== undefined && selectedView === undefined) {
    const viewNames = views.map(({ fromMs }) => timeOf(fromMs)).join(', ') || 'none';
    throw new CommandRefused(
      'bad-arguments',
      `tracks: /question/view: ${view} is not a view of this log: ${viewNames}`,
    );
  }
  const fullWindow = { fromMs: questionWindows[0]?.fromMs ?? 0, toMs: questionWindows.at(-1)?.toMs ?? 0 };
  const spans = log.store.spans(fullWindow.fromMs, fullWindow.toMs);
  const ofView = selectedView && {
    fromMs: selectedView.fromMs,
    toMs: selectedView.toMs ?? Number.POSITIVE_INFINITY,
  };
  const gaps: Gap[] = [];
  const windows: Window[] = [];
  for (const window of questionWindows) {
    const parts = [
      ...clipped([window], { fromMs: 0, toMs: log.keptFromMs }).map((part) => ({
        ...part,
        reason: log.takenOut,
      })),
      ...clipped([window], { fromMs: nowMs, toMs: Number.POSITIVE_INFINITY }).map((part) => ({
        ...part,
        reason: 'future' as const,
      })),
    ];
    const keptWindows = clipped([window], { fromMs: log.keptFromMs, toMs: nowMs });
    const inView = ofView === undefined ? keptWindows : clipped(keptWindows, ofView);
    if (ofView !== undefined) {
      const otherWindows = [
        { fromMs: 0, toMs: ofView.fromMs },
        { fromMs: ofView.toMs, toMs: Number.POSITIVE_INFINITY },
      ];
      for (const other of otherWindows)
        parts.push(
          ...clipped(keptWindows, other).map((part) => ({ ...part, reason: 'other-view' as const })),
        );
    }
    windows.push(...inView);
    for (const part of inView) parts.push(...gapsIn(part, spans, 'not-authorised'));
    gaps.push(...parts.sort((a, b) => a.fromMs - b.fromMs));
  }
  const viewList = views
    .filter(
      ({ fromMs, toMs }) =>
        fromMs < fullWindow.toMs && (toMs ?? Number.POSITIVE_INFINITY) > fullWindow.fromMs,
    )
    .map(({ fromMs, toMs, aspect }) => ({
      view: timeOf(fromMs),
      to: toMs === undefined ? null : timeOf(toMs),
      widthToHeight: aspect,
    }));
  const coverage = coverageOf(questionWindows, spans, gaps);
  return {
    windows,
    aspect: selectedView?.aspect ?? 1,
    coverage,
    views: viewList.reverse().slice(0, VIEWS_MAX),
  };
}

function placeOf(cursor: string): Place {
  const [rank = 0, atMs = 0, row = 0] = cursor.split('.').map(Number);
  return { rank, atMs, row };
}

/** Returns as many tracks as fit a message, at least one if there is one. */
function withinBytes(page: Page): Page {
  let bytes = 0;
  const fitting = page.tracks.findIndex((track, i) => {
    bytes += Buffer.byteLength(JSON.stringify(track));
    return bytes > PAGE_TRACK_BYTES_MAX && i > 0;
  });
  return fitting < 0
    ? page
    : { ...page, tracks: page.tracks.slice(0, fitting), next: page.places[fitting - 1] ?? null };
}

const timeOf = (ms: number): string => new Date(Math.round(ms)).toISOString();
