/**
 * Tells screens what changes, by server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html):
 * `incidents` and `cameras` with what they are now, `gone` with cameras that have left the list, `reset` where a screen must load the queue again, `away` and `back` of
 * the database, `session` when it has ended, and `beat` every BEAT_S, by which a screen knows that the connection lives.
 *
 * INVARIANTS: one query serves all, and QUERY_EVERY_MS lie between two. A screen is told rows in the order of their
 * numbers; the id of an event is the number up to which it has been told all, and stands behind the last row of it. A
 * query that fails moves nothing on: the next one asks from the same number.
 * LIMITS: STREAMS_MAX, of one person STREAMS_OF_ONE_MAX, in however many sessions; where all are taken, whoever has fewer
 * gets one of whoever has the most. A database that says nothing for SLOW_MS is away; a screen with UNSENT_BYTES_MAX not
 * taken is ended; one that is more than ROWS_MAX behind is told `reset`.
 */
import type { ServerResponse } from 'node:http';
import { messageOf } from '../../../../agent/base/errors.ts';
import type { Camera, GoneCamera } from '../contract/camera.ts';
import type { Incident } from '../contract/incident.ts';
import { BEAT_S } from '../contract/terms.ts';
import { CallError } from './handler.ts';

/** What a person sees as at once, and ten queries a second at the most. */
const QUERY_EVERY_MS = 100;

/** Asked without a call of the database, lest one was lost with its connection. */
const ASK_ANYWAY_MS = 5000;

/** A database that is away is asked again at this pace. */
const AGAIN_MS = 500;

/** Who waits for a query that takes this long must not believe that nothing happens. */
const SLOW_MS = 3000;

/** The browser comes back after this long, ms. */
const RETRY_MS = 1000;

/** As many as a queue holds: loading it again is as fast. */
const ROWS_MAX = 2000;

/** Two thousand incidents are 2 MB. */
const UNSENT_BYTES_MAX = 4_000_000;

/** Ten people with a few screens each, and programs. */
const STREAMS_MAX = 256;
const STREAMS_OF_ONE_MAX = 24;

export interface Changes {
  /** All up to this number are in it. */
  readonly rev: number;
  readonly incidents: readonly Incident[];
  readonly cameras: readonly Camera[];
  readonly gone: readonly GoneCamera[];
}

/**
 * What has a number above `rev`, as it is now; of more than `rowsMax` incidents it may give the first `rowsMax` + 1. What
 * changes without a number, and is given once, comes only where it goes `toAll` screens.
 */
export type ChangesSince = (rev: number, rowsMax: number, toAll: boolean) => Promise<Changes>;

export interface Listener {
  /** By which its end is asked for; undefined: a token of the settings, which does not end. */
  readonly session: string | undefined;
  /** Name of the account or token, for the limit. */
  readonly owner: string;
  /** Up to here it knows all; undefined: from now on. */
  readonly after: number | undefined;
  readonly response: ServerResponse;
}

interface Stream extends Listener {
  rev: number;
}

export interface PumpOptions {
  readonly changesSince: ChangesSince;
  readonly listen: (onChange: () => void) => Promise<() => Promise<void>>;
  /** Which of these sessions have not ended. */
  readonly stillOpen: (sessions: readonly string[]) => Promise<ReadonlySet<string>>;
  readonly onNotice: (line: string) => void;
}

export class Pump {
  readonly counters = { streams: 0, slow: 0, refused: 0, displaced: 0, resets: 0, away: 0 };
  readonly #options: PumpOptions;
  readonly #streams = new Set<Stream>();
  /** They know less than the others do: the next query is theirs. */
  readonly #behind = new Set<Stream>();
  #unlisten: (() => Promise<void>) | undefined;
  #timers: NodeJS.Timeout[] = [];
  #next: NodeJS.Timeout | undefined;
  #asking: Promise<void> | undefined;
  #askedMs = Number.NEGATIVE_INFINITY;
  #isStale = false;
  #isAway = false;
  #isOver = false;
  #rev = 0;

  constructor(options: PumpOptions) {
    this.#options = options;
  }

  /** `rev`: the newest number now. Throws DatabaseAway. */
  async start(rev: number): Promise<void> {
    this.#rev = rev;
    this.#unlisten = await this.#options.listen(() => this.#wake());
    this.#timers = [
      setInterval(() => this.#wake(), ASK_ANYWAY_MS),
      setInterval(() => void this.#beat(), BEAT_S * 1000),
    ];
    this.#wake();
  }

  /** Ends all streams; the browsers come back by themselves. */
  async stop(): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#next);
    for (const timer of this.#timers) clearInterval(timer);
    for (const { response } of this.#streams) response.end();
    await this.#asking;
    await this.#unlisten?.();
  }

  /** Throws CallError 429. Headers are sent by the caller after `admit` and before `add`. */
  admit(owner: string): void {
    const counts = new Map<string, number>();
    for (const stream of this.#streams) counts.set(stream.owner, (counts.get(stream.owner) ?? 0) + 1);
    const own = counts.get(owner) ?? 0;
    if (own < STREAMS_OF_ONE_MAX) {
      if (this.#streams.size < STREAMS_MAX || this.#displace(counts, own)) return;
    }
    this.counters.refused += 1;
    const most = own < STREAMS_OF_ONE_MAX ? `${STREAMS_MAX}` : `${STREAMS_OF_ONE_MAX} of ${owner}`;
    throw new CallError(429, `streams: ${most} are open, which is the most; close one`);
  }

  /** Ends the oldest stream of whoever has the most, where that leaves them no fewer than the one who asks. */
  #displace(counts: ReadonlyMap<string, number>, own: number): boolean {
    const [[greedy, most] = ['', 0]] = [...counts].sort(([, a], [, b]) => b - a);
    const oldest = [...this.#streams].find(({ owner }) => owner === greedy);
    if (oldest === undefined || most - 1 < own + 1) return false;
    this.counters.displaced += 1;
    oldest.response.end();
    this.#forget(oldest);
    return true;
  }

  add(listener: Listener): void {
    const stream: Stream = { ...listener, rev: listener.after ?? this.#rev };
    const { response } = stream;
    this.#streams.add(stream);
    this.counters.streams += 1;
    response.on('close', () => this.#forget(stream));
    // A connection that breaks in the middle of a write: `close` follows.
    response.on('error', () => this.#forget(stream));
    this.#write(stream, `retry: ${RETRY_MS}\n\n`);
    if (this.#isAway) this.#write(stream, eventOf('away', {}));
    if (stream.rev === this.#rev) return;
    this.#behind.add(stream);
    this.#wake();
  }

  endSessions(ids: readonly string[]): void {
    for (const stream of this.#streams) {
      if (stream.session !== undefined && ids.includes(stream.session)) this.#endSession(stream);
    }
  }

  #endSession(stream: Stream): void {
    this.#write(stream, eventOf('session', {}));
    stream.response.end();
    this.#forget(stream);
  }

  #forget(stream: Stream): void {
    this.#streams.delete(stream);
    this.#behind.delete(stream);
  }

  /** Something may have changed. */
  #wake(): void {
    this.#isStale = true;
    this.#plan(this.#isAway ? AGAIN_MS : 0);
  }

  #plan(leastMs: number): void {
    if (this.#isOver || this.#next !== undefined || this.#asking !== undefined) return;
    const waitMs = Math.max(leastMs, this.#askedMs + QUERY_EVERY_MS - performance.now());
    this.#next = setTimeout(() => {
      this.#next = undefined;
      this.#asking = this.#ask().finally(() => {
        this.#asking = undefined;
        if (this.#isStale || this.#behind.size > 0) this.#plan(this.#isAway ? AGAIN_MS : 0);
      });
    }, waitMs);
  }

  /** One query: for all, or for those who are behind when the others have had theirs. */
  async #ask(): Promise<void> {
    this.#askedMs = performance.now();
    const isForAll = this.#isStale;
    this.#isStale = false;
    const slow = setTimeout(() => this.#fall(new Error(`no answer in ${SLOW_MS / 1000} s`)), SLOW_MS);
    try {
      if (isForAll) await this.#tellAll();
      else await this.#catchUp();
    } catch (error) {
      this.#isStale = true;
      this.#fall(error);
      return;
    } finally {
      clearTimeout(slow);
    }
    if (!this.#isAway) return;
    this.#isAway = false;
    this.#options.onNotice('console: the database answers again');
    this.#toAll(eventOf('back', {}));
  }

  #fall(error: unknown): void {
    if (this.#isAway) return;
    this.#isAway = true;
    this.counters.away += 1;
    this.#options.onNotice(`console: the database does not answer (${messageOf(error)}); asked again`);
    this.#toAll(eventOf('away', {}));
  }

  async #tellAll(): Promise<void> {
    const since = this.#rev;
    const changes = await this.#options.changesSince(since, ROWS_MAX, true);
    this.#rev = changes.rev;
    // A camera's condition changes by silence alone, without a number.
    if (changes.rev === since && changes.cameras.length === 0) return;
    // A number that goes back: the database is one of before, put back.
    const text = changes.rev < since ? this.#resetText(changes.rev) : this.#textOf(changes, since);
    for (const stream of [...this.#streams]) {
      if (!this.#behind.has(stream)) this.#tell(stream, text, changes.rev);
    }
  }

  /** Those who came with a number of before: from there to where the others are. */
  async #catchUp(): Promise<void> {
    const near: Stream[] = [];
    for (const stream of [...this.#behind]) {
      this.#behind.delete(stream);
      const isFar = this.#rev - stream.rev > ROWS_MAX || stream.rev > this.#rev;
      // A number that was never given is of another database, or of one that was put back.
      if (isFar) this.#tell(stream, this.#resetText(this.#rev), this.#rev);
      else if (stream.rev < this.#rev) near.push(stream);
    }
    if (near.length === 0) return;
    const since = Math.min(...near.map(({ rev }) => rev));
    try {
      const changes = await this.#options.changesSince(since, ROWS_MAX, false);
      // What is newer than the others know comes with their next query, to everybody once. (A camera that has changed
      // in between is told twice: it has no number, and what it is now replaces what it was.)
      const upTo = { ...changes, rev: this.#rev };
      for (const stream of near) this.#tell(stream, this.#textOf(upTo, stream.rev), upTo.rev);
    } catch (error) {
      for (const stream of near) if (this.#streams.has(stream)) this.#behind.add(stream);
      throw error;
    }
  }

  /** The id is on the last event: who is cut off before it is told all of them again. */
  #textOf({ rev, incidents, cameras, gone }: Changes, since: number): string {
    const fresh = incidents.filter((incident) => incident.rev > since && incident.rev <= rev);
    if (incidents.length > ROWS_MAX || cameras.length + gone.length > ROWS_MAX) return this.#resetText(rev);
    const events: [name: string, data: readonly unknown[]][] = [
      ['gone', gone],
      ['cameras', cameras],
      ['incidents', fresh],
    ];
    const told = events.filter(([, data]) => data.length > 0);
    return told
      .map(([name, data], at) => eventOf(name, data, at === told.length - 1 ? rev : undefined))
      .join('');
  }

  #resetText(rev: number): string {
    this.counters.resets += 1;
    return eventOf('reset', {}, rev);
  }

  #tell(stream: Stream, text: string, rev: number): void {
    stream.rev = rev;
    if (text !== '') this.#write(stream, text);
  }

  #toAll(text: string): void {
    for (const stream of [...this.#streams]) this.#write(stream, text);
  }

  #write(stream: Stream, text: string): void {
    const { response } = stream;
    if (response.destroyed || response.writableEnded) return;
    response.write(text);
    if (response.writableLength <= UNSENT_BYTES_MAX) return;
    this.counters.slow += 1;
    this.#options.onNotice('console: a screen that takes nothing was cut off; it comes back by itself');
    this.#forget(stream);
    response.destroy();
  }

  async #beat(): Promise<void> {
    this.#toAll(eventOf('beat', {}));
    const sessions = [...this.#streams].flatMap(({ session }) => (session === undefined ? [] : [session]));
    try {
      const open = await this.#options.stillOpen(sessions);
      this.endSessions(sessions.filter((session) => !open.has(session)));
    } catch (error) {
      this.#fall(error);
      this.#wake();
    }
  }
}

/** JSON has no line ends of its own. */
function eventOf(name: string, data: unknown, id?: number): string {
  return `${id === undefined ? '' : `id: ${id}\n`}event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}
