/**
 * Frames that were read in an interval, and compressed pictures that were watched, by the counters that entries carry; and
 * what no entry counts.
 *
 * A counter begins at 0 with its run. What lies between two counts was read between them; where one of the two lies
 * outside of the interval, it is told apart and not split. What a run read after its last count is not known.
 */
import type { JournalContent } from '../../../../agent/contract/journal.ts';

export interface Frames {
  readonly read: number;
  readonly analysed: number;
  readonly dropped: number;
  /** Compressed pictures that were received and never decoded. */
  readonly watched: number;
}

/** What every entry counts. */
type Taken = Pick<Frames, 'read' | 'watched'>;
/** What some do. */
type Rest = Omit<Frames, keyof Taken>;

/** Frames may have been read that no entry counts: the run was killed, or the journal ends. */
export interface Uncounted {
  readonly fromMs: number;
  readonly toMs: number;
  readonly why: 'killed' | 'end';
  /** Raised in it. */
  readonly alerts: number;
}

export interface FrameFindings {
  readonly frames: Frames;
  /** Read between two counts, one of them outside of the interval. */
  readonly framesAtEdges: number;
  /** Read or watched while the box said that it did not look; there must be none. */
  readonly framesWhileOff: number;
  readonly uncounted: readonly Uncounted[];
  /** Of some frames that were read no entry says how many were analysed. */
  readonly analysedUnknown: boolean;
}

/** What an entry says of the counter of whoever looks. */
interface Count {
  /** Who: one counter each. */
  readonly of: 'agent' | 'look';
  readonly phase: 'begin' | 'on' | 'end';
  /** Undefined where the entry does not name its run. */
  readonly boot: string | undefined;
  readonly taken: Taken;
  /** Undefined where the entry does not count it. */
  readonly rest: Rest | undefined;
}

const NOTHING: Taken = { read: 0, watched: 0 };

/** Every kind of entry that counts frames. */
function countIn(content: JournalContent): Count | undefined {
  switch (content.type) {
    case 'start':
      return {
        of: 'agent',
        phase: 'begin',
        boot: content.boot,
        taken: NOTHING,
        rest: { analysed: 0, dropped: 0 },
      };
    case 'heartbeat':
    case 'stop': {
      const { boot, frames } = content;
      const phase = content.type === 'stop' ? 'end' : 'on';
      return { of: 'agent', phase, boot, taken: frames, rest: frames };
    }
    case 'mode':
    case 'suspend':
      return { of: 'agent', phase: 'on', boot: undefined, taken: takenIn(content), rest: undefined };
    case 'look': {
      const { phase, framesRead } = content;
      const rest = { analysed: 0, dropped: 0 };
      if (phase === 'begin') return { of: 'look', phase, boot: undefined, taken: NOTHING, rest };
      return {
        of: 'look',
        phase,
        boot: undefined,
        taken: { read: framesRead ?? 0, watched: 0 },
        rest: undefined,
      };
    }
    default:
      return undefined;
  }
}

function takenIn({ framesRead, packetsWatched }: { framesRead: number; packetsWatched: number }): Taken {
  return { read: framesRead, watched: packetsWatched };
}

function between(before: Taken, after: Taken): Taken {
  return { read: after.read - before.read, watched: after.watched - before.watched };
}

/** Whether a counter has begun anew. */
function isLess(one: Taken, other: Taken): boolean {
  return one.read < other.read || one.watched < other.watched;
}

/** From one count to the next. */
interface Since {
  readonly taken: Taken;
  readonly atMs: number;
  /** The box has said ever since that it does not look. */
  off: boolean;
  alerts: number;
}

interface Run {
  readonly boot: string | undefined;
  last: Since;
  /** The last count of what was analysed, and how many had been read by then. */
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

  get found(): FrameFindings {
    return {
      frames: this.#frames,
      framesAtEdges: this.#atEdges,
      framesWhileOff: this.#whileOff,
      uncounted: this.#uncounted,
      analysedUnknown: this.#analysedUnknown,
    };
  }

  /** To be called for each entry in order; `off`: after it the box says that it does not look. */
  step(atMs: number, content: JournalContent, off: boolean): void {
    const count = countIn(content);
    if (count !== undefined) this.#count(count, atMs, off);
    for (const { last } of this.#runs.values()) {
      last.off &&= off;
      if (content.type === 'alert' && this.#holds(atMs)) last.alerts += 1;
    }
  }

  /** After the last entry; `untilMs`: when the journal was read, or just after that entry. */
  end(untilMs: number): void {
    for (const of of [...this.#runs.keys()]) this.#close(of, untilMs, 'end');
  }

  #count({ of, phase, boot, taken, rest }: Count, atMs: number, off: boolean): void {
    const before = this.#runs.get(of);
    const other =
      before !== undefined && (isLess(taken, before.last.taken) || (boot ?? before.boot) !== before.boot);
    if (phase === 'begin' || other) this.#close(of, atMs, 'killed');
    const run = this.#runs.get(of);
    // A look is under a permit of its own, whatever the agent said when it stopped.
    const fresh = { taken, atMs, off: off && of === 'agent', alerts: 0 };
    if (run === undefined) {
      // Without its begin nobody knows when it was read.
      if (phase !== 'begin') this.#readBetween(Number.NEGATIVE_INFINITY, atMs, taken, false);
      this.#runs.set(of, {
        boot,
        last: fresh,
        rest: { analysed: 0, dropped: 0, ...rest, read: taken.read, atMs },
      });
    } else {
      this.#readBetween(run.last.atMs, atMs, between(run.last.taken, taken), run.last.off);
      run.last = fresh;
      if (rest !== undefined) {
        if (this.#isInside(run.rest.atMs, atMs)) this.#analysedBetween(run.rest, rest);
        run.rest = { ...rest, read: taken.read, atMs };
      }
    }
    if (phase === 'end') this.#runs.delete(of);
  }

  #readBetween(fromMs: number, toMs: number, { read, watched }: Taken, off: boolean): void {
    if (this.#isInside(fromMs, toMs)) {
      const before = this.#frames;
      this.#frames = { ...before, read: before.read + read, watched: before.watched + watched };
      if (off) this.#whileOff += read + watched;
    } else if (toMs > this.#fromMs && fromMs < this.#toMs) {
      this.#atEdges += read;
    }
  }

  #analysedBetween(before: Rest, after: Rest): void {
    const { analysed, dropped, ...taken } = this.#frames;
    this.#frames = {
      ...taken,
      analysed: analysed + after.analysed - before.analysed,
      dropped: dropped + after.dropped - before.dropped,
    };
  }

  #isInside(fromMs: number, toMs: number): boolean {
    return fromMs >= this.#fromMs && toMs <= this.#toMs;
  }

  #holds(ms: number): boolean {
    return ms >= this.#fromMs && ms < this.#toMs;
  }

  /** A run that has not said how it ended. */
  #close(of: Count['of'], untilMs: number, why: Uncounted['why']): void {
    const run = this.#runs.get(of);
    if (run === undefined) return;
    this.#runs.delete(of);
    const { atMs, off, alerts, taken } = run.last;
    if (run.rest.read < taken.read && this.#holds(run.rest.atMs)) this.#analysedUnknown = true;
    const [fromMs, toMs] = [Math.max(atMs, this.#fromMs), Math.min(untilMs, this.#toMs)];
    if (off || toMs - fromMs <= 1) return;
    this.#uncounted.push({ fromMs, toMs, why, alerts });
    this.#analysedUnknown = true;
  }
}
