/**
 * What a journal's entries say of an interval: when the box looked and when not, and what it did.
 *
 * A state holds from one entry to the next of the same run, as long as they are not further apart than heartbeats
 * can be. What lies beyond that is not proved, and is said so.
 */
import type { JournalContent } from '../../contract/journal.ts';

/** A heartbeat comes every 10 minutes; a busy disk may keep it waiting. */
const SILENCE_MAX_MS = 900_000;

export const STATES = ['active', 'suspended', 'unauthorised', 'down', 'unproved'] as const;
export type State = (typeof STATES)[number];

export interface Period {
  readonly state: State;
  readonly fromMs: number;
  readonly toMs: number;
  /** Why it is so, where that is known. */
  readonly why: string;
}

export interface Told {
  readonly atMs: number;
  readonly content: JournalContent;
}

export interface Frames {
  read: number;
  analysed: number;
  dropped: number;
}

export interface Story {
  readonly fromMs: number;
  readonly toMs: number;
  readonly timeZone: string | undefined;
  readonly periods: readonly Period[];
  readonly frames: Readonly<Frames>;
  /** Read between two counts, one of them outside of the interval. */
  readonly framesAtEdges: number;
  /** Read while the box said that it did not look; there must be none. */
  readonly framesWhileOff: number;
  /** Entries of the interval, in order. */
  readonly told: readonly Told[];
  /** Of erased entries, by what they were; `entries` where that is not known. */
  readonly erased: ReadonlyMap<string, number>;
  /** While these lasted, the clock was not synchronised. */
  readonly unsynced: readonly Omit<Period, 'state' | 'why'>[];
  /** Runs that ended without saying so. */
  readonly brokenOff: readonly number[];
}

type Mode = Extract<State, 'active' | 'suspended' | 'unauthorised'>;
const NOTHING: Frames = { read: 0, analysed: 0, dropped: 0 };

/** Entries that the program writes before or when it starts. */
const STARTING = new Set(['start', 'config', 'update']);

export class StoryTeller {
  readonly #told: Told[] = [];
  /** Erased entries, with how many entries stand before them. */
  readonly #erased: { index: number; after: number }[] = [];
  readonly #kinds = new Map<number, string>();

  /** To be called for each entry in order; undefined: it was erased. */
  add(index: number, content: JournalContent | undefined): void {
    if (content === undefined) {
      this.#erased.push({ index, after: this.#told.length });
      return;
    }
    this.#told.push({ atMs: Date.parse(content.at), content });
    if (content.type !== 'erase' || content.what === undefined) return;
    for (const entry of content.entries) this.#kinds.set(entry, content.what);
  }

  get firstMs(): number | undefined {
    return this.#told[0]?.atMs;
  }

  get lastMs(): number | undefined {
    return this.#told.at(-1)?.atMs;
  }

  /** Of the newest start. */
  get timeZone(): string | undefined {
    for (const { content } of [...this.#told].reverse())
      if (content.type === 'start') return content.timeZone;
    return undefined;
  }

  tell(fromMs: number, toMs: number): Story {
    const walk = new Walk(fromMs, toMs, new Set(this.#erased.map(({ after }) => after)));
    for (const told of this.#told) walk.step(told);
    walk.end();
    const inside = (ms: number): boolean => ms >= fromMs && ms < toMs;
    const erased = new Map<string, number>();
    for (const { index, after } of this.#erased) {
      // It was written between the entries around it.
      const near = (this.#told[after - 1] ?? this.#told[after])?.atMs;
      if (near === undefined || !inside(near)) continue;
      const kind = this.#kinds.get(index) ?? 'entries';
      erased.set(kind, (erased.get(kind) ?? 0) + 1);
    }
    const told = this.#told.filter(({ atMs }) => inside(atMs));
    return { fromMs, toMs, timeZone: this.timeZone, told, erased, ...walk.found };
  }
}

/** Goes through all entries, since what holds at the beginning of the interval was said before it. */
class Walk {
  readonly #fromMs: number;
  readonly #toMs: number;
  readonly #erasedBefore: ReadonlySet<number>;
  readonly #periods: Period[] = [];
  readonly #unsynced: { fromMs: number; toMs: number }[] = [];
  readonly #brokenOff: number[] = [];
  #frames = NOTHING;
  #framesAtEdges = 0;
  #framesWhileOff = 0;
  #before: Told | undefined;
  #count = 0;
  #mode: Mode = 'active';
  #why = '';
  #running = false;
  #unsyncedNow = false;
  /** The last count of frames of this run, when, and whether the box has been off ever since. */
  #counted: { frames: Frames; atMs: number; off: boolean } | undefined;

  constructor(fromMs: number, toMs: number, erasedBefore: ReadonlySet<number>) {
    this.#fromMs = fromMs;
    this.#toMs = toMs;
    this.#erasedBefore = erasedBefore;
  }

  get found() {
    return {
      periods: this.#periods,
      frames: this.#frames,
      framesAtEdges: this.#framesAtEdges,
      framesWhileOff: this.#framesWhileOff,
      unsynced: this.#unsynced,
      brokenOff: this.#brokenOff,
    };
  }

  step(told: Told): void {
    const { atMs, content } = told;
    const before = this.#before;
    if (before === undefined)
      this.#period('unproved', Number.NEGATIVE_INFINITY, atMs, 'before the journal began');
    else this.#between(before, told);
    this.#before = told;
    this.#count += 1;
    if (STARTING.has(content.type)) this.#running = content.type === 'start';
    if (content.type === 'start') this.#counted = { frames: NOTHING, atMs, off: this.#mode !== 'active' };
    if ('frames' in content) this.#frame(content.frames, atMs);
    if (content.type === 'stop') this.#running = false;
    if ('clockSynced' in content) this.#unsyncedNow = !content.clockSynced;
    if (content.type !== 'mode') return;
    this.#mode = content.mode;
    this.#why = content.reason ?? '';
    if (this.#counted !== undefined && content.mode === 'active') this.#counted.off = false;
  }

  end(): void {
    const last = this.#before?.atMs ?? Number.NEGATIVE_INFINITY;
    this.#period('unproved', last, Number.POSITIVE_INFINITY, 'after the last entry of this journal');
  }

  #between({ atMs: from }: Told, told: Told): void {
    const to = told.atMs;
    if (this.#unsyncedNow && to > from) this.#merge(this.#unsynced, from, to);
    if (this.#running && STARTING.has(told.content.type) && to >= this.#fromMs && from < this.#toMs) {
      this.#brokenOff.push(from);
    }
    const { state, why } = this.#stateUntil(to - from, told.content);
    this.#period(state, from, to, why);
  }

  #stateUntil(lastedMs: number, next: JournalContent): Pick<Period, 'state' | 'why'> {
    if (!this.#running) return { state: 'down', why: 'stopped in order' };
    if (STARTING.has(next.type)) return { state: 'down', why: 'ended without a stop: power cut or killed' };
    if (lastedMs <= SILENCE_MAX_MS) return { state: this.#mode, why: this.#why };
    const erased = this.#erasedBefore.has(this.#count);
    return { state: 'unproved', why: erased ? 'entries were erased' : 'no entry, though one was due' };
  }

  #frame(frames: Frames, atMs: number): void {
    const { frames: last, atMs: lastMs, off } = this.#counted ?? { frames: NOTHING, atMs, off: false };
    const stillOff = this.#mode !== 'active';
    this.#counted = { frames, atMs, off: stillOff };
    const read = frames.read - last.read;
    if (lastMs >= this.#fromMs && atMs <= this.#toMs) {
      const { analysed, dropped } = this.#frames;
      this.#frames = {
        read: this.#frames.read + read,
        analysed: analysed + frames.analysed - last.analysed,
        dropped: dropped + frames.dropped - last.dropped,
      };
      if (off) this.#framesWhileOff += read;
    } else if (atMs > this.#fromMs && lastMs < this.#toMs) {
      this.#framesAtEdges += read;
    }
  }

  /** Cut to the interval, and one with the period before where they say the same. */
  #period(state: State, from: number, to: number, why: string): void {
    const [fromMs, toMs] = [Math.max(from, this.#fromMs), Math.min(to, this.#toMs)];
    if (toMs <= fromMs) return;
    const last = this.#periods.at(-1);
    if (last?.state === state && last.why === why && last.toMs === fromMs) {
      this.#periods[this.#periods.length - 1] = { ...last, toMs };
    } else {
      this.#periods.push({ state, fromMs, toMs, why });
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
