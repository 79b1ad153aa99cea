/**
 * Reconstructs the timeline of an interval from a journal: when the box analysed and when not, and what it did.
 *
 * A state lasts from one entry to the next of the same run, if the gap is within the interval of heartbeats. Anything
 * beyond that is reported as unproved.
 */
import type { JournalContent } from '../../../../agent/contract/journal.ts';
import { contentOf } from './content.ts';
import { FrameCount, type FrameFindings } from './frames.ts';
import { type MissingResume, Suspensions } from './suspensions.ts';

/** Longest gap that counts as continuous, ms. A heartbeat is written every 10 minutes, and a busy disk may delay it. */
const SILENCE_MAX_MS = 900_000;

export const STATES = ['active', 'suspended', 'unauthorised', 'down', 'unproved'] as const;
export type State = (typeof STATES)[number];

export interface Period {
  readonly state: State;
  readonly fromMs: number;
  readonly toMs: number;
  /** Reason, if known. */
  readonly why: string;
}

export interface TimelineEntry {
  readonly atMs: number;
  readonly content: JournalContent;
}

/** State at the journal's end. */
export interface AtEnd {
  readonly state: State;
  readonly sinceMs: number;
  /** Time of the last entry. */
  readonly lastMs: number;
}

export interface Timeline extends FrameFindings {
  readonly fromMs: number;
  readonly toMs: number;
  readonly timeZone: string | undefined;
  readonly periods: readonly Period[];
  /** Entries of the interval, in order. */
  readonly entries: readonly TimelineEntry[];
  /** Number of erased entries by type; `entries` if the type is unknown. */
  readonly erased: ReadonlyMap<string, number>;
  /** Number of entries in the journal without a time; they get the time of the previous entry. */
  readonly undated: number;
  /** Periods in which the clock was not synchronised. */
  readonly unsynced: readonly Omit<Period, 'state' | 'why'>[];
  /** Runs that ended without reporting it. */
  readonly brokenOff: readonly number[];
  /** Cases in the interval in which analysis resumed without a resume that names its suspension. */
  readonly missingResumes: readonly MissingResume[];
}

type Mode = Extract<State, 'active' | 'suspended' | 'unauthorised'>;

/** Types that the program writes before or at its start. */
const STARTING = new Set(['start', 'config', 'update']);
/** Types that only a running program writes. */
const RUNNING = new Set(['start', 'heartbeat', 'mode', 'alert']);

export class TimelineWriter {
  readonly #entries: TimelineEntry[] = [];
  /** Erased entries, with the number of entries before them. */
  readonly #erased: { index: number; after: number }[] = [];
  readonly #kinds = new Map<number, string>();
  #undated = 0;

  /** Adds an entry, in order; undefined means that it was erased. */
  add(index: number, entry: JournalContent | undefined): void {
    if (entry === undefined) {
      this.#erased.push({ index, after: this.#entries.length });
      return;
    }
    const content = contentOf(entry);
    const ms = Date.parse(content.at);
    // Its position is certain, whatever its time.
    if (Number.isNaN(ms)) this.#undated += 1;
    this.#entries.push({ atMs: Number.isNaN(ms) ? (this.lastMs ?? 0) : ms, content });
    if (content.type !== 'erase' || content.what === undefined) return;
    for (const entry of content.entries) this.#kinds.set(entry, content.what);
  }

  get firstMs(): number | undefined {
    return this.#entries[0]?.atMs;
  }

  get lastMs(): number | undefined {
    return this.#entries.at(-1)?.atMs;
  }

  /** Time zone at the newest start. */
  get timeZone(): string | undefined {
    for (const { content } of [...this.#entries].reverse())
      if (content.type === 'start') return content.timeZone;
    return undefined;
  }

  /** Version of the program at the newest start. */
  get version(): string | undefined {
    for (const { content } of [...this.#entries].reverse())
      if (content.type === 'start') return content.versions['vigie'];
    return undefined;
  }

  /** Fingerprint of the authority's key, from the newest entry about it. */
  get authority(): string | undefined {
    for (const { content } of [...this.#entries].reverse())
      if (content.type === 'authority') return content.after;
    return undefined;
  }

  /**
   * Returns the timeline. `readMs` is when the journal was copied from the box; the last state extends until a
   * heartbeat is due.
   */
  tell(fromMs: number, toMs: number, readMs?: number): Timeline {
    const walk = this.#walk(fromMs, toMs, readMs);
    const inside = (ms: number): boolean => ms >= fromMs && ms < toMs;
    const erased = new Map<string, number>();
    for (const { index, after } of this.#erased) {
      // It was written between the entries around it.
      const near = (this.#entries[after - 1] ?? this.#entries[after])?.atMs;
      if (near === undefined || !inside(near)) continue;
      const kind = this.#kinds.get(index) ?? 'entries';
      erased.set(kind, (erased.get(kind) ?? 0) + 1);
    }
    const entries = this.#entries.filter(({ atMs }) => inside(atMs));
    return {
      fromMs,
      toMs,
      timeZone: this.timeZone,
      entries,
      erased,
      undated: this.#undated,
      ...walk.findings,
    };
  }

  /**
   * Returns the state at the end; undefined for an empty journal. `readMs` is as in `tell`; without it, the last entry
   * counts.
   */
  atEnd(readMs?: number): AtEnd | undefined {
    const { firstMs, lastMs } = this;
    if (firstMs === undefined || lastMs === undefined) return undefined;
    const walk = this.#walk(Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY, readMs);
    const { state } = walk.now(readMs);
    let sinceMs = lastMs;
    // Joins periods of one state with different reasons. The last period is the one after the end.
    for (const period of walk.findings.periods.slice(0, -1).reverse()) {
      if (period.state !== state) break;
      sinceMs = period.fromMs;
    }
    return { state, sinceMs: Math.max(sinceMs, firstMs), lastMs };
  }

  #walk(fromMs: number, toMs: number, readMs: number | undefined): Walk {
    const walk = new Walk(fromMs, toMs, new Set(this.#erased.map(({ after }) => after)));
    for (const entry of this.#entries) walk.step(entry);
    walk.end(readMs);
    return walk;
  }
}

/** Walks through all entries, since the state at the beginning of the interval comes from earlier entries. */
class Walk {
  readonly #fromMs: number;
  readonly #toMs: number;
  readonly #erasedBefore: ReadonlySet<number>;
  readonly #periods: Period[] = [];
  readonly #unsynced: { fromMs: number; toMs: number }[] = [];
  readonly #brokenOff: number[] = [];
  readonly #frames: FrameCount;
  readonly #suspensions = new Suspensions();
  #before: TimelineEntry | undefined;
  #count = 0;
  /** Undefined until an entry gives it. */
  #mode: Mode | undefined;
  #reason = '';
  /** Undefined until an entry gives it. */
  #running: boolean | undefined;
  #unsyncedNow = false;

  constructor(fromMs: number, toMs: number, erasedBefore: ReadonlySet<number>) {
    this.#fromMs = fromMs;
    this.#toMs = toMs;
    this.#erasedBefore = erasedBefore;
    this.#frames = new FrameCount(fromMs, toMs);
  }

  get findings() {
    const missing = this.#suspensions.missing;
    return {
      ...this.#frames.findings,
      periods: this.#periods,
      unsynced: this.#unsynced,
      brokenOff: this.#brokenOff,
      missingResumes: missing.filter(({ atMs }) => atMs >= this.#fromMs && atMs < this.#toMs),
    };
  }

  step(entry: TimelineEntry): void {
    const { atMs, content } = entry;
    const before = this.#before;
    if (before === undefined)
      this.#period('unproved', Number.NEGATIVE_INFINITY, atMs, 'before the journal began');
    else this.#between(before, entry);
    this.#before = entry;
    this.#count += 1;
    if (RUNNING.has(content.type)) this.#running = true;
    else if (STARTING.has(content.type) || content.type === 'stop') this.#running = false;
    if (content.type === 'start') this.#mode ??= 'active';
    if ('clockSynced' in content) this.#unsyncedNow = !content.clockSynced;
    if (content.type === 'mode') {
      this.#mode = content.mode;
      this.#reason = content.reason ?? '';
    }
    this.#suspensions.add(content);
    this.#frames.step(atMs, content, this.#mode !== undefined && this.#mode !== 'active');
  }

  end(readMs: number | undefined): void {
    const { atMs = Number.NEGATIVE_INFINITY } = this.#before ?? {};
    // A period that ends with the last entry includes its millisecond, so that the entry's state is shown.
    const isShown = readMs !== undefined || this.#toMs <= atMs + 1;
    const untilMs = Math.max(readMs ?? atMs, atMs) + (isShown ? 1 : 0);
    if (this.#before !== undefined) {
      const { state, why: reason } = this.now(readMs);
      this.#period(state, atMs, untilMs, reason);
      this.#frames.end(untilMs);
    }
    this.#period('unproved', untilMs, Number.POSITIVE_INFINITY, 'after the last entry of this journal');
  }

  /** Returns the state after the last entry, for a copy read at `readMs`. */
  now(readMs: number | undefined): Pick<Period, 'state' | 'why'> {
    const lastedMs = Math.abs((readMs ?? this.#before?.atMs ?? 0) - (this.#before?.atMs ?? 0));
    // A copy does not show whether the box has started again since.
    if (this.#running === false && lastedMs > SILENCE_MAX_MS) {
      return { state: 'unproved', why: 'stopped normally, and no entry since' };
    }
    return this.#stateFor(lastedMs);
  }

  #between({ atMs: from }: TimelineEntry, entry: TimelineEntry): void {
    const to = entry.atMs;
    if (this.#unsyncedNow && to > from) this.#merge(this.#unsynced, from, to);
    if (this.#running && STARTING.has(entry.content.type) && to >= this.#fromMs && from < this.#toMs) {
      this.#brokenOff.push(from);
    }
    const { state, why: reason } = this.#stateUntil(to - from, entry.content);
    this.#period(state, from, to, reason);
  }

  #stateUntil(lastedMs: number, next: JournalContent): Pick<Period, 'state' | 'why'> {
    if (this.#running === true && STARTING.has(next.type))
      return { state: 'down', why: 'ended without a stop: power cut or killed' };
    return this.#stateFor(lastedMs);
  }

  #stateFor(lastedMs: number): Pick<Period, 'state' | 'why'> {
    if (this.#running === false) return { state: 'down', why: 'stopped normally' };
    if (this.#mode === undefined) return { state: 'unproved', why: 'no entry before says what it did' };
    if (lastedMs <= SILENCE_MAX_MS) return { state: this.#mode, why: this.#reason };
    const erased = this.#erasedBefore.has(this.#count);
    return { state: 'unproved', why: erased ? 'entries were erased' : 'no entry, though one was due' };
  }

  /** Adds a period, cut to the interval, and merges it with an equal one before it. */
  #period(state: State, from: number, to: number, reason: string): void {
    const [fromMs, toMs] = [Math.max(from, this.#fromMs), Math.min(to, this.#toMs)];
    if (toMs <= fromMs) return;
    const last = this.#periods.at(-1);
    if (last?.state === state && last.why === reason && last.toMs === fromMs) {
      this.#periods[this.#periods.length - 1] = { ...last, toMs };
    } else {
      this.#periods.push({ state, fromMs, toMs, why: reason });
    }
  }

  #merge(spans: { fromMs: number; toMs: number }[], from: number, to: number): void {
    const [fromMs, toMs] = [Math.max(from, this.#fromMs), Math.min(to, this.#toMs)];
    if (toMs <= fromMs) return;
    const last = spans.at(-1);
    if (last?.toMs === fromMs) last.toMs = toMs;
    else spans.push({ fromMs, toMs });
  }
}
