/**
 * Counts the frames read and the compressed pictures watched in an interval, from the counters in journal entries. Also
 * reports what no entry counts.
 *
 * A counter begins at 0 with its run. Frames between two counts were read between them. If one of the two lies outside
 * the interval, they are reported separately and not split. Frames after a run's last count are unknown.
 */
import type { JournalContent } from '../../../../agent/contract/journal.ts';

export interface Frames {
  readonly read: number;
  readonly analysed: number;
  readonly dropped: number;
  /** Compressed pictures that were received and never decoded. */
  readonly watched: number;
}

/** Counters that every entry has. */
type InputCounts = Pick<Frames, 'read' | 'watched'>;
/** Counters that some entries have. */
type Rest = Omit<Frames, keyof InputCounts>;

/** Period in which frames may have been read that no entry counts: the run was killed, or the journal ends. */
export interface Uncounted {
  readonly fromMs: number;
  readonly toMs: number;
  readonly why: 'killed' | 'end';
  /** Alerts raised in this period. */
  readonly alerts: number;
}

export interface FrameFindings {
  readonly frames: Frames;
  /** Frames read between two counts, one of them outside the interval. */
  readonly framesAtEdges: number;
  /** Frames read or watched while the box reported that it did not analyse; must be zero. */
  readonly framesWhileOff: number;
  readonly uncounted: readonly Uncounted[];
  /** True if no entry says how many of some frames were analysed. */
  readonly analysedUnknown: boolean;
}

/** Counter value in an entry. */
interface Count {
  /** Owner of the counter. */
  readonly of: 'agent' | 'look';
  readonly phase: 'begin' | 'on' | 'end';
  /** Undefined if the entry does not name its run. */
  readonly boot: string | undefined;
  readonly input: InputCounts;
  /** Undefined if the entry does not contain these counters. */
  readonly rest: Rest | undefined;
}

const NOTHING: InputCounts = { read: 0, watched: 0 };

/** Returns the counters of an entry, for every type that has them. */
function countIn(content: JournalContent): Count | undefined {
  switch (content.type) {
    case 'start':
      return {
        of: 'agent',
        phase: 'begin',
        boot: content.boot,
        input: NOTHING,
        rest: { analysed: 0, dropped: 0 },
      };
    case 'heartbeat':
    case 'stop': {
      const { boot, frames } = content;
      const phase = content.type === 'stop' ? 'end' : 'on';
      return { of: 'agent', phase, boot, input: frames, rest: frames };
    }
    case 'mode':
    case 'suspend':
      return { of: 'agent', phase: 'on', boot: undefined, input: takenIn(content), rest: undefined };
    case 'look': {
      const { phase, framesRead } = content;
      const rest = { analysed: 0, dropped: 0 };
      if (phase === 'begin') return { of: 'look', phase, boot: undefined, input: NOTHING, rest };
      return {
        of: 'look',
        phase,
        boot: undefined,
        input: { read: framesRead ?? 0, watched: 0 },
        rest: undefined,
      };
    }
    default:
      return undefined;
  }
}

function takenIn({
  framesRead,
  packetsWatched,
}: {
  framesRead: number;
  packetsWatched: number;
}): InputCounts {
  return { read: framesRead, watched: packetsWatched };
}

function between(before: InputCounts, after: InputCounts): InputCounts {
  return { read: after.read - before.read, watched: after.watched - before.watched };
}

/** Reports whether a counter has restarted. */
function isLess(one: InputCounts, other: InputCounts): boolean {
  return one.read < other.read || one.watched < other.watched;
}

/** State since the last count. */
interface SinceCount {
  readonly input: InputCounts;
  readonly atMs: number;
  /** True if the box has reported since then that it does not analyse. */
  off: boolean;
  alerts: number;
}

interface Run {
  readonly boot: string | undefined;
  last: SinceCount;
  /** Last count of analysed frames, with the number of frames read by then. */
  rest: Rest & { readonly read: number; readonly atMs: number };
}

export class FrameCount {
  readonly #fromMs: number;
  readonly #toMs: number;
  readonly #runs = new Map<Count['of'], Run>();
  readonly #uncounted: Uncounted[] = [];
  #frames: Frames = { read: 0, analysed: 0, dropped: 0, watched: 0 };
  #atEdges = 0;
  #whileOff = 0;
  #analysedUnknown = false;

  constructor(fromMs: number, toMs: number) {
    this.#fromMs = fromMs;
    this.#toMs = toMs;
  }

  get findings(): FrameFindings {
    return {
      frames: this.#frames,
      framesAtEdges: this.#atEdges,
      framesWhileOff: this.#whileOff,
      uncounted: this.#uncounted,
      analysedUnknown: this.#analysedUnknown,
    };
  }

  /** Adds an entry, in order. `off`: after it, the box reports that it does not analyse. */
  step(atMs: number, content: JournalContent, off: boolean): void {
    const count = countIn(content);
    if (count !== undefined) this.#count(count, atMs, off);
    for (const { last } of this.#runs.values()) {
      last.off &&= off;
      if (content.type === 'alert' && this.#holds(atMs)) last.alerts += 1;
    }
  }

  /** Ends the journal. `untilMs` is when it was read, or just after the last entry. */
  end(untilMs: number): void {
    for (const of of [...this.#runs.keys()]) this.#close(of, untilMs, 'end');
  }

  #count({ of, phase, boot, input, rest }: Count, atMs: number, off: boolean): void {
    const before = this.#runs.get(of);
    const other =
      before !== undefined && (isLess(input, before.last.input) || (boot ?? before.boot) !== before.boot);
    if (phase === 'begin' || other) this.#close(of, atMs, 'killed');
    const run = this.#runs.get(of);
    // A preview has its own permission, whatever state the agent reported when it stopped.
    const latest = { input, atMs, off: off && of === 'agent', alerts: 0 };
    if (run === undefined) {
      // Without the begin of the run, the time of reading is unknown.
      if (phase !== 'begin') this.#readBetween(Number.NEGATIVE_INFINITY, atMs, input, false);
      this.#runs.set(of, {
        boot,
        last: latest,
        rest: { analysed: 0, dropped: 0, ...rest, read: input.read, atMs },
      });
    } else {
      this.#readBetween(run.last.atMs, atMs, between(run.last.input, input), run.last.off);
      run.last = latest;
      if (rest !== undefined) {
        if (this.#isInside(run.rest.atMs, atMs)) this.#analysedBetween(run.rest, rest);
        run.rest = { ...rest, read: input.read, atMs };
      }
    }
    if (phase === 'end') this.#runs.delete(of);
  }

  #readBetween(fromMs: number, toMs: number, { read, watched }: InputCounts, off: boolean): void {
    if (this.#isInside(fromMs, toMs)) {
      const before = this.#frames;
      this.#frames = { ...before, read: before.read + read, watched: before.watched + watched };
      if (off) this.#whileOff += read + watched;
    } else if (toMs > this.#fromMs && fromMs < this.#toMs) {
      this.#atEdges += read;
    }
  }

  #analysedBetween(before: Rest, after: Rest): void {
    const { analysed, dropped: droppedCount, ...received } = this.#frames;
    this.#frames = {
      ...received,
      analysed: analysed + after.analysed - before.analysed,
      dropped: droppedCount + after.dropped - before.dropped,
    };
  }

  #isInside(fromMs: number, toMs: number): boolean {
    return fromMs >= this.#fromMs && toMs <= this.#toMs;
  }

  #holds(ms: number): boolean {
    return ms >= this.#fromMs && ms < this.#toMs;
  }

  /** Closes a run that did not report its end. */
  #close(of: Count['of'], untilMs: number, reason: Uncounted['why']): void {
    const run = this.#runs.get(of);
    if (run === undefined) return;
    this.#runs.delete(of);
    const { atMs, off, alerts, input } = run.last;
    if (run.rest.read < input.read && this.#holds(run.rest.atMs)) this.#analysedUnknown = true;
    const [fromMs, toMs] = [Math.max(atMs, this.#fromMs), Math.min(untilMs, this.#toMs)];
    if (off || toMs - fromMs <= 1) return;
    this.#uncounted.push({ fromMs, toMs, why: reason, alerts });
    this.#analysedUnknown = true;
  }
}
