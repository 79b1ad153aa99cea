/**
 * Records when the box analysed the scene, as spans of wall time with the reason for each end. Time outside every span
 * was not observed.
 *
 * INVARIANTS: a span ends at the last analysed frame, or the last second in which the second stream was watched. A span
 * without an end belongs to a box that lost power.
 */
import { GAPS_MAX, type GapReason, type TrackCoverage } from '../contract/track-log.ts';

/** Analysed frames lie a second apart on a still street (wanted-rate.ts), and a few may be late. ms */
export const SEEN_EVERY_MS = 3000;

/** `seen`: frames were analysed. `watched`: only a second stream of a still street was watched. */
export type SpanKind = 'seen' | 'watched';

export interface Span {
  /** Wall time, ms since the epoch. */
  readonly fromMs: number;
  readonly toMs: number;
  readonly kind: SpanKind;
  /** Reason for the end; null if the span continues or the box lost power. */
  readonly why: GapReason | null;
}

/** Collects spans. Each flush takes those that have changed. */
export class CoverageRecorder {
  #open: { fromMs: number; toMs: number; kind: SpanKind } | undefined;
  #endedSpans: Span[] = [];
  #isOpenWritten = false;
  /** Reason of the open gap. */
  #gapReason: GapReason | undefined;

  /** Reason why nothing is observed now; undefined while something is, or if none was given. */
  get gapReason(): GapReason | undefined {
    return this.#gapReason;
  }

  /** True if the beginning of the present span is on disk, or if there is none. */
  get isWritten(): boolean {
    return this.#open === undefined || this.#isOpenWritten;
  }

  /** Records that the box analysed the scene at this moment. */
  note(kind: SpanKind, wallMs: number): void {
    if (this.#open !== undefined && this.#open.kind !== kind) this.#close('no-picture', wallMs);
    if (this.#open === undefined) {
      this.#open = { fromMs: wallMs, toMs: wallMs, kind };
      this.#isOpenWritten = false;
    }
    this.#open.toMs = Math.max(this.#open.toMs, wallMs);
    this.#gapReason = undefined;
  }

  /**
   * Ends the span at the newest moment, or `backMs` before it. Another reason in the same gap begins a gap of its own
   * at `wallMs`, if the wall clock is known.
   */
  end(reason: GapReason, wallMs: number | undefined, backMs = 0): void {
    if (this.#open !== undefined) {
      this.#open.toMs = Math.max(this.#open.fromMs, this.#open.toMs - backMs);
      this.#close(reason);
    } else if (this.#gapReason !== reason) {
      // Without a known time it cannot be recorded.
      if (wallMs === undefined) return;
      this.#endedSpans.push({ fromMs: wallMs, toMs: wallMs, kind: 'seen', why: reason });
    }
    this.#gapReason = reason;
  }

  /** Returns spans that are new or have grown since the last call, oldest first. */
  take(): Span[] {
    const spans = this.#endedSpans;
    this.#endedSpans = [];
    this.#isOpenWritten = true;
    return this.#open === undefined ? spans : [...spans, { ...this.#open, why: null }];
  }

  /** Puts back spans that could not be written. */
  putBack(spans: readonly Span[]): void {
    this.#isOpenWritten = false;
    this.#endedSpans.unshift(...spans.filter(({ fromMs }) => fromMs !== this.#open?.fromMs));
  }

  /** `untilMs`: the next span begins there, without a gap. */
  #close(reason: GapReason, untilMs?: number): void {
    const open = this.#open;
    if (open === undefined) return;
    this.#open = undefined;
    const isNext = untilMs !== undefined && untilMs - open.toMs <= SEEN_EVERY_MS;
    this.#endedSpans.push({ ...open, toMs: isNext ? untilMs : open.toMs, why: reason });
  }
}

/** Requested time. */
export interface Window {
  readonly fromMs: number;
  readonly toMs: number;
}

export interface Gap extends Window {
  readonly reason: GapReason;
}

/**
 * Returns the parts of a window that no span covers, each with its reason, in order.
 *
 * @param spans those that may overlap the window, ordered by start, including the last one before it
 * @param beforeAll reason for the time before the first span
 */
export function gapsIn({ fromMs, toMs }: Window, spans: readonly Span[], beforeAll: GapReason): Gap[] {
  const gaps: Gap[] = [];
  let reachedMs = fromMs;
  let reason: GapReason = beforeAll;
  for (const span of spans) {
    if (span.fromMs >= toMs) break;
    if (span.fromMs > reachedMs) {
      gaps.push({ fromMs: reachedMs, toMs: span.fromMs, reason });
      reachedMs = span.fromMs;
    }
    reachedMs = Math.max(reachedMs, Math.min(toMs, span.toMs));
    reason = span.why ?? 'not-written';
  }
  if (reachedMs < toMs) gaps.push({ fromMs: reachedMs, toMs, reason });
  return gaps.filter((gap) => gap.toMs > gap.fromMs);
}

/**
 * Returns the coverage of the windows.
 * @param gaps in order; the rest of the time is covered by spans
 */
export function coverageOf(
  windows: readonly Window[],
  spans: readonly Span[],
  gaps: readonly Gap[],
): TrackCoverage {
  const lengthMs = (parts: readonly Window[]): number =>
    parts.reduce((sum, part) => sum + part.toMs - part.fromMs, 0);
  const totalMs = Math.max(1, lengthMs(windows));
  const coveredParts = windows.flatMap((window) => withoutGaps(window, gaps));
  const watchedMs = coveredParts.reduce((sum, part) => sum + watchedMsIn(part, spans), 0);
  const ratioOf = (ms: number): number => Math.min(1, Math.max(0, Number((ms / totalMs).toFixed(9))));
  const mergedGaps = merged(gaps);
  return {
    seen: ratioOf(lengthMs(coveredParts) - watchedMs),
    watched: ratioOf(watchedMs),
    gaps: mergedGaps.slice(0, GAPS_MAX).map(({ fromMs, toMs, reason }) => ({
      from: new Date(fromMs).toISOString(),
      to: new Date(toMs).toISOString(),
      why: reason,
    })),
    more: Math.max(0, mergedGaps.length - GAPS_MAX),
  };
}

/** Merges adjacent gaps of one reason. */
function merged(gaps: readonly Gap[]): Gap[] {
  const all: Gap[] = [];
  for (const gap of gaps) {
    const last = all.at(-1);
    if (last?.reason === gap.reason && last.toMs === gap.fromMs)
      all[all.length - 1] = { ...last, toMs: gap.toMs };
    else all.push(gap);
  }
  return all;
}

function withoutGaps({ fromMs, toMs }: Window, gaps: readonly Gap[]): Window[] {
  const parts: Window[] = [];
  let reachedMs = fromMs;
  for (const gap of gaps) {
    if (gap.toMs <= reachedMs || gap.fromMs >= toMs) continue;
    if (gap.fromMs > reachedMs) parts.push({ fromMs: reachedMs, toMs: gap.fromMs });
    reachedMs = gap.toMs;
  }
  if (reachedMs < toMs) parts.push({ fromMs: reachedMs, toMs });
  return parts;
}

/** Sums the watched time. Spans overlap after the clock was set back: each moment belongs to the first of them. */
function watchedMsIn({ fromMs, toMs }: Window, spans: readonly Span[]): number {
  let watchedMs = 0;
  let reachedMs = fromMs;
  for (const span of spans) {
    const endMs = Math.min(toMs, span.toMs);
    if (endMs <= reachedMs) continue;
    if (span.kind === 'watched') watchedMs += Math.max(0, endMs - Math.max(reachedMs, span.fromMs));
    reachedMs = endMs;
  }
  return watchedMs;
}
