/**
 * One search over many boxes: who was asked, who has answered, what they have found.
 *
 * INVARIANTS: every request has a counter above the one before; an answer counts only for the request that
 * is open for its box; a box is `done` only when it has given its last page.
 * LIMITS: about `eventsMax` events; after that no further page is asked for and the box is `cut`. Of these `keptMax` are
 * kept, the others counted in `beyond`.
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
  /** Why it was refused, or since when it is away. */
  note: string | undefined;
  matches: number;
  given: number;
  /** Of the request that is open. */
  counter: number;
  askedAtMs: number;
  /** How often another command of the same key has come before one of these. */
  overtaken: number;
  /** When a request that was refused for its rate, or was overtaken, goes out again. */
  againAtMs: number | undefined;
  cursor: string | undefined;
  keptDays: number | undefined;
  oldest: string | null;
}

/**
 * A box takes counters of a key in rising order only: of two searches at once by one key, a request of one may overtake that
 * of the other. It goes out again with a counter of its own; more often than this it is no accident.
 */
const OVERTAKEN_MAX = 3;
const OVERTAKEN_WAIT_MS = 200;

export interface AskingOptions {
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly eventsMax: number;
  /** All where it is left out. */
  readonly keptMax?: number;
  /** Signs and sends; returns the counter. `box` undefined: to all. */
  send(box: string | undefined, cursor: string | undefined): number;
}

const replyCheck = TypeCompiler.Compile(CommandReply);
const resultCheck = TypeCompiler.Compile(SearchResult);

export class Asking {
  readonly events: VigieEvent[] = [];
  /** Answers that were not of the form of one, or for nothing that was asked; events in the name of another box. */
  strange = 0;
  /** Events that were given and are not in `events`. */
  beyond = 0;
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

  /** Asks every box at once; those that are known to be away are not waited for. */
  all(known: ReadonlyMap<string, { online: boolean; note: string }>): void {
    this.#beganMs = this.#options.clock.nowMs();
    this.#broadcast = this.#options.send(undefined, undefined);
    for (const [box, { online, note }] of known) {
      const asked = this.#add(box, this.#broadcast);
      if (!online) Object.assign(asked, { state: 'offline', note });
    }
  }

  /** Asks one box. */
  one(box: string): void {
    this.#request(this.#add(box, 0));
  }

  /** A box has said goodbye, or the broker for it: no answer is to be waited for. */
  away(box: string, note: string): void {
    const asked = this.#boxes.get(box);
    if (asked?.state === 'waiting') Object.assign(asked, { state: 'offline', note });
  }

  /** An answer, not yet believed. */
  received(box: string, payload: Uint8Array, correlation: string): void {
    const reply = jsonOf(Buffer.from(payload).toString());
    let asked = this.#boxes.get(box);
    // A box without a retained status has heard the broadcast too.
    if (asked === undefined && this.#broadcast !== undefined) asked = this.#add(box, this.#broadcast);
    if (
      asked === undefined ||
      !replyCheck.Check(reply) ||
      reply.box !== box ||
      correlation !== `${asked.counter}`
    ) {
      this.strange += 1;
      return;
    }
    if (asked.state === 'done' || asked.state === 'cut' || asked.againAtMs !== undefined) return;
    const { refused, result } = reply;
    if (refused?.code === 'rate-limited') {
      asked.state = 'waiting';
      asked.againAtMs = this.#options.clock.nowMs() + (refused.retryAfterS ?? 1) * 1000;
    } else if (refused?.code === 'replayed' && asked.overtaken < OVERTAKEN_MAX) {
      asked.overtaken += 1;
      asked.state = 'waiting';
      asked.againAtMs = this.#options.clock.nowMs() + OVERTAKEN_WAIT_MS;
    } else if (refused !== undefined) {
      Object.assign(asked, { state: 'refused', note: `${refused.code}: ${refused.message}` });
    } else if (resultCheck.Check(result)) {
      this.#page(asked, result);
    } else {
      const error = resultCheck.Errors(result).First();
      const note = `its answer has another form than this program knows, ${error?.path}: ${error?.message}; is it of another version?`;
      Object.assign(asked, { state: 'refused', note });
    }
  }

  /** To be called a few times a second: asks again where it was told to wait, gives up on who is silent. */
  tick(): void {
    const nowMs = this.#options.clock.nowMs();
    for (const asked of this.#boxes.values()) {
      if (asked.state !== 'waiting') continue;
      if (asked.againAtMs !== undefined) {
        if (nowMs >= asked.againAtMs) this.#request(asked);
      } else if (nowMs - asked.askedAtMs > this.#options.timeoutMs) {
        asked.state = 'silent';
      }
    }
  }

  #page(asked: AskedBox, result: SearchResult): void {
    // A box tells of itself: what it says in another's name is no answer of its own.
    const own = result.events.filter(({ source }) => source.split(':').at(-1) === asked.box);
    this.strange += result.events.length - own.length;
    const room = Math.max(0, (this.#options.keptMax ?? Number.POSITIVE_INFINITY) - this.events.length);
    this.events.push(...own.slice(0, room));
    this.beyond += Math.max(0, own.length - room);
    asked.given += result.events.length;
    asked.matches = Math.max(result.matches, asked.given);
    asked.keptDays = result.kept.days;
    asked.oldest = result.kept.oldest;
    asked.note = undefined;
    asked.cursor = result.next ?? undefined;
    if (result.next === null) asked.state = 'done';
    else if (this.events.length >= this.#options.eventsMax) asked.state = 'cut';
    else this.#request(asked);
  }

  #request(asked: AskedBox): void {
    asked.state = 'waiting';
    asked.againAtMs = undefined;
    asked.askedAtMs = this.#options.clock.nowMs();
    asked.counter = this.#options.send(asked.box, asked.cursor);
  }

  #add(box: string, counter: number): AskedBox {
    const asked: AskedBox = {
      box,
      state: 'waiting',
      note: undefined,
      matches: 0,
      given: 0,
      counter,
      askedAtMs: this.#beganMs,
      overtaken: 0,
      againAtMs: undefined,
      cursor: undefined,
      keptDays: undefined,
      oldest: null,
    };
    this.#boxes.set(box, asked);
    return asked;
  }
}
