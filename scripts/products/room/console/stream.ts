/**
 * Sends changes to screens as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html).
 *
 * - `incidents`, `cameras`: their current state
 * - `open-count`: the number of open alerts, after the `incidents` that may have changed it
 * - `suppressions`: the list of those that run, when it has changed
 * - `removed`: cameras that have left the list
 * - `reset`: the screen must load the queue again
 * - `unavailable`, `available`: the database is unavailable, or available again
 * - `session`: the session has ended
 * - `beat`: sent every BEAT_S, so that a screen knows that the connection works
 *
 * INVARIANTS:
 * - One query serves all screens, at most one every QUERY_EVERY_MS.
 * - A screen receives rows in the order of their numbers. The id of an event is the number up to which the screen has
 *   received everything; it follows the last row.
 * - A failed query changes no position; the next one starts from the same number.
 * LIMITS:
 * - STREAMS_MAX streams, STREAMS_OF_ONE_MAX per person over all sessions. If all are in use, a person with fewer
 *   streams takes one from the person with the most.
 * - A database without an answer for SLOW_MS counts as unavailable.
 * - A screen with more than UNSENT_BYTES_MAX unread is disconnected.
 * - A screen more than ROWS_MAX behind receives `reset`.
 */
import type { ServerResponse } from 'node:http';
import { messageOf } from '../../../../agent/base/errors.ts';
import type { OpenCount } from '../contract/incident.ts';
import { BEAT_S } from '../contract/terms.ts';
import { CallError } from './handler.ts';
import type { ScreenChanges } from './queue.ts';

/** Minimum interval of queries in ms: a person sees the change as immediate, with at most ten queries a second. */
const QUERY_EVERY_MS = 100;

/** Interval of queries without a notification in ms, in case one was lost with its connection. */
const ASK_ANYWAY_MS = 5000;

/** Retry interval while the database is unavailable, in ms. */
const AGAIN_MS = 500;

/** Time after which a slow query is reported as an outage, so that no one believes that nothing happens. */
const SLOW_MS = 3000;

/** Delay before a browser reconnects, in ms. */
const RETRY_MS = 1000;

/** Equal to the size of the queue: loading it again is as fast. */
const ROWS_MAX = 2000;

/** Two thousand incidents take 2 MB. */
const UNSENT_BYTES_MAX = 4_000_000;

/** Enough for ten people with several screens each, and programs. */
const STREAMS_MAX = 256;
const STREAMS_OF_ONE_MAX = 24;

/**
 * Returns the current state of everything with a number above `rev`. With more than `rowsMax` incidents it may return
 * only the first `rowsMax` + 1.
 *
 * Changes without a number are returned once, and only with `toAll`.
 */
export type ChangesSince = (rev: number, rowsMax: number, toAll: boolean) => Promise<ScreenChanges>;

export interface Listener {
  /** Session, to detect its end; undefined for a token of the settings, which does not expire. */
  readonly session: string | undefined;
  /** Name of the account or token, for the limit. */
  readonly owner: string;
  /** Number up to which the client knows everything; undefined means from now on. */
  readonly after: number | undefined;
  readonly response: ServerResponse;
}

interface Stream extends Listener {
  rev: number;
}

export interface PumpOptions {
  readonly changesSince: ChangesSince;
  readonly listen: (onChange: () => void) => Promise<() => Promise<void>>;
  /** Returns those of the given sessions that are still open. */
  readonly stillOpen: (sessions: readonly string[]) => Promise<ReadonlySet<string>>;
  readonly onNotice: (line: string) => void;
}

export class Pump {
  readonly counters = { streams: 0, slow: 0, refusals: 0, displaced: 0, resets: 0, unavailable: 0 };
  readonly #options: PumpOptions;
  readonly #streams = new Set<Stream>();
  /** Streams that know less than the others; the next query is for them. */
  readonly #laggingStreams = new Set<Stream>();
  #unlisten: (() => Promise<void>) | undefined;
  #timers: NodeJS.Timeout[] = [];
  #next: NodeJS.Timeout | undefined;
  #asking: Promise<void> | undefined;
  #askedMs = Number.NEGATIVE_INFINITY;
  #isStale = false;
  #isUnavailable = false;
  #isOver = false;
  #rev = 0;

  constructor(options: PumpOptions) {
    this.#options = options;
  }

  /**
   * Starts the pump. `rev` is the newest number.
   * @throws {DatabaseUnavailable}
   */
  async start(rev: number): Promise<void> {
    this.#rev = rev;
    this.#unlisten = await this.#options.listen(() => this.#wake());
    this.#timers = [
      setInterval(() => this.#wake(), ASK_ANYWAY_MS),
      setInterval(() => void this.#beat(), BEAT_S * 1000),
    ];
    this.#wake();
  }

  /** Ends all streams; browsers reconnect automatically. */
  async stop(): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#next);
    for (const timer of this.#timers) clearInterval(timer);
    for (const { response } of this.#streams) response.end();
    await this.#asking;
    await this.#unlisten?.();
  }

  /**
   * Checks the limits for a new stream. The caller sends the headers between `admit` and `add`.
   * @throws {CallError} 429
   */
  admit(owner: string): void {
    const counts = new Map<string, number>();
    for (const stream of this.#streams) counts.set(stream.owner, (counts.get(stream.owner) ?? 0) + 1);
    const own = counts.get(owner) ?? 0;
    if (own < STREAMS_OF_ONE_MAX) {
      if (this.#streams.size < STREAMS_MAX || this.#displace(counts, own)) return;
    }
    this.counters.refusals += 1;
    const limitText = own < STREAMS_OF_ONE_MAX ? `${STREAMS_MAX}` : `${STREAMS_OF_ONE_MAX} of ${owner}`;
    throw new CallError(429, `streams: ${limitText} are open, which is the most; close one`);
  }

  /**
   * Ends the oldest stream of the owner with the most, if that owner then still has at least as many as the new one.
   */
  #displace(counts: ReadonlyMap<string, number>, own: number): boolean {
    const [[greedy, mostCount] = ['', 0]] = [...counts].sort(([, a], [, b]) => b - a);
    const oldest = [...this.#streams].find(({ owner }) => owner === greedy);
    if (oldest === undefined || mostCount - 1 < own + 1) return false;
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
    // The connection broke during a write; `close` follows.
    response.on('error', () => this.#forget(stream));
    this.#write(stream, `retry: ${RETRY_MS}\n\n`);
    if (this.#isUnavailable) this.#write(stream, eventOf('unavailable', {}));
    if (stream.rev === this.#rev) return;
    this.#laggingStreams.add(stream);
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
    this.#laggingStreams.delete(stream);
  }

  /** Schedules a query because something may have changed. */
  #wake(): void {
    this.#isStale = true;
    this.#plan(this.#isUnavailable ? AGAIN_MS : 0);
  }

  #plan(leastMs: number): void {
    if (this.#isOver || this.#next !== undefined || this.#asking !== undefined) return;
    const waitMs = Math.max(leastMs, this.#askedMs + QUERY_EVERY_MS - performance.now());
    this.#next = setTimeout(() => {
      this.#next = undefined;
      this.#asking = this.#ask().finally(() => {
        this.#asking = undefined;
        if (this.#isStale || this.#laggingStreams.size > 0) this.#plan(this.#isUnavailable ? AGAIN_MS : 0);
      });
    }, waitMs);
  }

  /** Runs one query: for all streams, or, if nothing has changed, for those that are behind. */
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
    if (!this.#isUnavailable) return;
    this.#isUnavailable = false;
    this.#options.onNotice('console: the database answers again');
    this.#toAll(eventOf('available', {}));
  }

  #fall(error: unknown): void {
    if (this.#isUnavailable) return;
    this.#isUnavailable = true;
    this.counters.unavailable += 1;
    this.#options.onNotice(`console: the database does not answer (${messageOf(error)}); retrying`);
    this.#toAll(eventOf('unavailable', {}));
  }

  async #tellAll(): Promise<void> {
    const sinceRev = this.#rev;
    const changes = await this.#options.changesSince(sinceRev, ROWS_MAX, true);
    this.#rev = changes.rev;
    // A camera's condition may change through silence alone, without a number.
    if (changes.rev === sinceRev && changes.cameras.length === 0) return;
    // A number that decreases means that an older database was restored.
    const text = changes.rev < sinceRev ? this.#resetText(changes.rev) : this.#textOf(changes, sinceRev);
    for (const stream of [...this.#streams]) {
      if (!this.#laggingStreams.has(stream)) this.#tell(stream, text, changes.rev);
    }
  }

  /** Brings streams that started with an older number up to the others. */
  async #catchUp(): Promise<void> {
    const near: Stream[] = [];
    for (const stream of [...this.#laggingStreams]) {
      this.#laggingStreams.delete(stream);
      const isFar = this.#rev - stream.rev > ROWS_MAX || stream.rev > this.#rev;
      // A number that was never given out comes from another database or one that was restored since.
      if (isFar) this.#tell(stream, this.#resetText(this.#rev), this.#rev);
      else if (stream.rev < this.#rev) near.push(stream);
    }
    if (near.length === 0) return;
    const sinceRev = Math.min(...near.map(({ rev }) => rev));
    try {
      const changes = await this.#options.changesSince(sinceRev, ROWS_MAX, false);
      // Changes newer than what the others know come to all with their next query. A camera that has changed meanwhile
      // is sent twice; it has no number, and its new state replaces the old one.
      const upTo = { ...changes, rev: this.#rev };
      for (const stream of near) this.#tell(stream, this.#textOf(upTo, stream.rev), upTo.rev);
    } catch (error) {
      for (const stream of near) if (this.#streams.has(stream)) this.#laggingStreams.add(stream);
      throw error;
    }
  }

  /** Only the last event carries the id: a client that is cut off earlier receives all events again. */
  #textOf(changes: ScreenChanges, sinceRev: number): string {
    const { rev, incidents, cameras, removedCameras, openCount, suppressions } = changes;
    const changedIncidents = incidents.filter((incident) => incident.rev > sinceRev && incident.rev <= rev);
    if (incidents.length > ROWS_MAX || cameras.length + removedCameras.length > ROWS_MAX)
      return this.#resetText(rev);
    const events: [name: string, data: readonly unknown[]][] = [
      ['removed', removedCameras],
      ['cameras', cameras],
      ['incidents', changedIncidents],
    ];
    const sentEvents: [name: string, data: unknown][] = events.filter(([, data]) => data.length > 0);
    if (openCount !== undefined)
      sentEvents.push(['open-count', { rev, count: openCount } satisfies OpenCount]);
    // An empty list says that the last suppression has ended.
    if (suppressions !== undefined) sentEvents.unshift(['suppressions', suppressions]);
    return sentEvents
      .map(([name, data], at) => eventOf(name, data, at === sentEvents.length - 1 ? rev : undefined))
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
    this.#options.onNotice('console: disconnected a screen that does not read; it reconnects automatically');
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

/** JSON contains no raw line breaks, so the data fits on one line. */
function eventOf(name: string, data: unknown, id?: number): string {
  return `${id === undefined ? '' : `id: ${id}\n`}event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}
