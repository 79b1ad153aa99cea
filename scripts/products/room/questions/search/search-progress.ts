/**
 * Tracks one search over many boxes: boxes asked, boxes that answered, and their matches.
 *
 * INVARIANTS:
 * - Request counters are strictly increasing.
 * - An answer counts only for the open request of its box.
 * - A box is `done` only after its last page.
 * LIMITS: about `eventsMax` events; then no further page is requested and the box is `cut`. Of these, `keptMax` are
 * stored and the others are counted in `excessCount`.
 */
import { TypeCompiler } from '@sinclair/typebox/compiler';
import type { Clock } from '../../../../../agent/base/clock.ts';
import { jsonOf } from '../../../../../agent/base/json.ts';
import { CommandReply } from '../../../../../agent/contract/command.ts';
import type { VigieEvent } from '../../../../../agent/contract/event.ts';
import { SearchResult } from '../../../../../agent/contract/search.ts';

export type BoxState = 'waiting' | 'done' | 'cut' | 'refused' | 'silent' | 'offline';

export interface AskedBox {
  readonly box: string;
  state: BoxState;
  /** Reason of a refusal, or since when the box is offline. */
  note: string | undefined;
  matches: number;
  receivedCount: number;
  /** Counter of the open request. */
  counter: number;
  askedAtMs: number;
  /** Number of times that a later command with the same key overtook a request. */
  overtaken: number;
  /** Time at which a request is sent again after a rate limit or after being overtaken. */
  againAtMs: number | undefined;
  cursor: string | undefined;
  keptDays: number | undefined;
  oldest: string | null;
}

/**
 * Maximum number of retries of an overtaken request.
 *
 * A box accepts only increasing counters per key, so requests of two concurrent searches with one key may overtake each
 * other. Such a request is sent again with a new counter. Further refusals are not a coincidence.
 */
const OVERTAKEN_MAX = 3;
const OVERTAKEN_WAIT_MS = 200;

export interface AskingOptions {
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly eventsMax: number;
  /** Default: all events are stored. */
  readonly keptMax?: number;
  /** Signs and sends a request, and returns its counter. Undefined `box`: to all boxes. */
  send(box: string | undefined, cursor: string | undefined): number;
}

const replyCheck = TypeCompiler.Compile(CommandReply);
const resultCheck = TypeCompiler.Compile(SearchResult);

export class Asking {
  readonly events: VigieEvent[] = [];
  /** Ignored messages: malformed answers, answers without a request, and events in the name of another box. */
  strange = 0;
  /** Received events that are not in `events`. */
  excessCount = 0;
  readonly #options: AskingOptions;
  readonly #boxes = new Map<string, AskedBox>();
  #broadcast: number | undefined;
  #beganMs = 0;

  constructor(options: AskingOptions) {
    this.#options = options;
  }

  get boxes(): readonly AskedBox[] {
    return [...this.#boxes.values()].sort((a, b) => (a.box < b.box ? -1 : 1));
  }

  get open(): number {
    return this.boxes.filter(({ state }) => state === 'waiting').length;
  }

  /** Asks all boxes at once, without waiting for those that are known to be offline. */
  all(boxStates: ReadonlyMap<string, { online: boolean; note: string }>): void {
    this.#beganMs = this.#options.clock.nowMs();
    this.#broadcast = this.#options.send(undefined, undefined);
    for (const [box, { online, note }] of boxStates) {
      const entry = this.#add(box, this.#broadcast);
      if (!online) Object.assign(entry, { state: 'offline', note });
    }
  }

  /** Asks one box. */
  one(box: string): void {
    this.#request(this.#add(box, 0));
  }

  /** Marks a box as offline after its own farewell or the broker's, so that no answer is awaited. */
  markOffline(box: string, note: string): void {
    const entry = this.#boxes.get(box);
    if (entry?.state === 'waiting') Object.assign(entry, { state: 'offline', note });
  }

  /** Handles an answer that is not validated yet. */
  received(box: string, payload: Uint8Array, correlation: string): void {
    const reply = jsonOf(Buffer.from(payload).toString());
    let entry = this.#boxes.get(box);
    // A box without a retained status has received the broadcast too.
    if (entry === undefined && this.#broadcast !== undefined) entry = this.#add(box, this.#broadcast);
    if (
      entry === undefined ||
      !replyCheck.Check(reply) ||
      reply.box !== box ||
      correlation !== `${entry.counter}`
    ) {
      this.strange += 1;
      return;
    }
    if (entry.state === 'done' || entry.state === 'cut' || entry.againAtMs !== undefined) return;
    const { refused: refusal, result } = reply;
    if (refusal?.code === 'rate-limited') {
      entry.state = 'waiting';
      entry.againAtMs = this.#options.clock.nowMs() + (refusal.retryAfterS ?? 1) * 1000;
    } else if (refusal?.code === 'replayed' && entry.overtaken < OVERTAKEN_MAX) {
      entry.overtaken += 1;
      entry.state = 'waiting';
      entry.againAtMs = this.#options.clock.nowMs() + OVERTAKEN_WAIT_MS;
    } else if (refusal !== undefined) {
      Object.assign(entry, { state: 'refused', note: `${refusal.code}: ${refusal.message}` });
    } else if (resultCheck.Check(result)) {
      this.#page(entry, result);
    } else {
      const error = resultCheck.Errors(result).First();
      const note = `its answer has another form than this program knows, ${error?.path}: ${error?.message}; is it of another version?`;
      Object.assign(entry, { state: 'refused', note });
    }
  }

  /** Sends postponed requests again and gives up on silent boxes. Call it a few times a second. */
  tick(): void {
    const nowMs = this.#options.clock.nowMs();
    for (const entry of this.#boxes.values()) {
      if (entry.state !== 'waiting') continue;
      if (entry.againAtMs !== undefined) {
        if (nowMs >= entry.againAtMs) this.#request(entry);
      } else if (nowMs - entry.askedAtMs > this.#options.timeoutMs) {
        entry.state = 'silent';
      }
    }
  }

  #page(entry: AskedBox, result: SearchResult): void {
    // A box may report only its own events; those in another name are ignored.
    const own = result.events.filter(({ source }) => source.split(':').at(-1) === entry.box);
    this.strange += result.events.length - own.length;
    const room = Math.max(0, (this.#options.keptMax ?? Number.POSITIVE_INFINITY) - this.events.length);
    this.events.push(...own.slice(0, room));
    this.excessCount += Math.max(0, own.length - room);
    entry.receivedCount += result.events.length;
    entry.matches = Math.max(result.matches, entry.receivedCount);
    entry.keptDays = result.kept.days;
    entry.oldest = result.kept.oldest;
    entry.note = undefined;
    entry.cursor = result.next ?? undefined;
    if (result.next === null) entry.state = 'done';
    else if (this.events.length >= this.#options.eventsMax) entry.state = 'cut';
    else this.#request(entry);
  }

  #request(entry: AskedBox): void {
    entry.state = 'waiting';
    entry.againAtMs = undefined;
    entry.askedAtMs = this.#options.clock.nowMs();
    entry.counter = this.#options.send(entry.box, entry.cursor);
  }

  #add(box: string, counter: number): AskedBox {
    const entry: AskedBox = {
      box,
      state: 'waiting',
      note: undefined,
      matches: 0,
      receivedCount: 0,
      counter,
      askedAtMs: this.#beganMs,
      overtaken: 0,
      againAtMs: undefined,
      cursor: undefined,
      keptDays: undefined,
      oldest: null,
    };
    this.#boxes.set(box, entry);
    return entry;
  }
}
