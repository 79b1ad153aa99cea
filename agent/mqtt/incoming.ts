/**
 * What comes to the box: limited by rate, topic by topic, before anything in it is read.
 *
 * INVARIANTS: what is said on one topic takes no other topic's share.
 * LIMITS: the rates below, TO_BOX_BYTES_MAX for what is no order; what is beyond them is counted, told once a minute, and
 * left unread. A topic on which FLOOD comes beyond that is not heard at all for `deafMs`: even to drop a message costs time,
 * and behind many the broker holds what others say. What the room says is not lost by it for good: acknowledgements are
 * cumulative, heads grow, who commands waits for an answer, a verdict can be given again, and an order is retained, and
 * asked for again.
 */
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import { RepeatedLine } from '../base/repeated-line.ts';
import { type BucketLimits, TokenBucket } from '../base/token-bucket.ts';
import { TO_BOX_BYTES_MAX } from '../contract/broker-connection.ts';
import type { Topics } from '../contract/topics.ts';
import type { DeliveryError } from './faults.ts';
import type { AnswerProperties, Session } from './session.ts';

/** Each instance of the room's archive acknowledges ten times a second at most. */
const ACKS: BucketLimits = { burst: 100, perS: 100 };
/** Operators judge by hand; each verdict is a commit, which takes 4 to 20 ms. */
const VERDICTS: BucketLimits = { burst: 50, perS: 10 };
/** A witness answers a head, and there is one a minute. */
const WITNESSED: BucketLimits = { burst: 5, perS: 1 / 30 };
/** A search asks for page after page. */
const COMMANDS: BucketLimits = { burst: 50, perS: 20 };

/** A wave reaches a box once; somebody who pauses and goes on does so by hand. */
const ORDERS: BucketLimits = { burst: 10, perS: 0.5 };
/** What is retained is there for the asking: so long after some was left unread it is asked for again. */
const AGAIN_AFTER_MS = 5000;

/** Beyond its rate, before a topic is left: two seconds of a thousand messages. */
const FLOOD: BucketLimits = { burst: 2000, perS: 100 };

const TOLD_EVERY_MS = 60_000;

export type Inbox = ReadonlyMap<string, (payload: Buffer, answer: AnswerProperties) => void>;

interface Heard {
  readonly rate: TokenBucket;
  readonly flood: TokenBucket;
  /** Monotonic; not subscribed until then. */
  deafUntilMs: number | undefined;
  /** The newest is kept by the broker. */
  readonly retained: boolean;
  /** Monotonic; when what was left unread is asked for again. */
  againAtMs: number | undefined;
  readonly line: RepeatedLine;
  read(payload: Buffer, answer: AnswerProperties): void;
}

export interface IncomingOptions {
  readonly topics: Topics;
  readonly deafMs: number;
  readonly clock: Clock;
  readonly log: Logger;
}

export class Incoming {
  /** Messages that were left unread. */
  limited = 0;
  readonly #options: IncomingOptions;
  readonly #heard = new Map<string, Heard>();
  #session: Session | undefined;

  constructor(options: IncomingOptions) {
    this.#options = options;
  }

  /** What is heard, and who reads it; that must not throw for what a message holds. Before the first session. */
  hear(inbox: Inbox): void {
    const { topics, clock } = this.#options;
    const limits = new Map([
      [topics.ack, ACKS],
      [topics.verdict, VERDICTS],
      [topics.journalWitnessed, WITNESSED],
      [topics.updateDesired, ORDERS],
      [topics.configDesired, ORDERS],
    ]);
    for (const [topic, read] of inbox) {
      this.#heard.set(topic, {
        rate: new TokenBucket(limits.get(topic) ?? COMMANDS, clock),
        flood: new TokenBucket(FLOOD, clock),
        deafUntilMs: undefined,
        retained: limits.get(topic) === ORDERS,
        againAtMs: undefined,
        line: new RepeatedLine(TOLD_EVERY_MS, clock),
        read,
      });
    }
  }

  /** Messages come through this session from now on. */
  attach(session: Session): void {
    this.#session = session;
    for (const [topic, { deafUntilMs }] of this.#heard) {
      if (deafUntilMs === undefined) this.#subscribe(topic, session);
    }
  }

  detach(): void {
    this.#session = undefined;
  }

  /** To be called a few times a second: hears again what was left, and asks for what is retained and was left unread. */
  tick(): void {
    const nowMs = this.#options.clock.nowMs();
    for (const [topic, heard] of this.#heard) {
      const { deafUntilMs, againAtMs } = heard;
      if (deafUntilMs === undefined ? !(nowMs >= (againAtMs ?? Infinity)) : nowMs < deafUntilMs) continue;
      heard.deafUntilMs = undefined;
      heard.againAtMs = undefined;
      if (this.#session !== undefined) this.#subscribe(topic, this.#session);
    }
  }

  received(topic: string, payload: Buffer, answer: AnswerProperties): void {
    const heard = this.#heard.get(topic);
    if (heard === undefined) return;
    const fits = heard.retained || payload.length <= TO_BOX_BYTES_MAX;
    // What was still on its way when the topic was left is as unread as the rest.
    if (heard.deafUntilMs === undefined && fits && heard.rate.take() === 0) {
      heard.read(payload, answer);
      return;
    }
    this.limited += 1;
    if (heard.retained) heard.againAtMs = this.#options.clock.nowMs() + AGAIN_AFTER_MS;
    const told =
      'messages come faster than they are read, and some are left unread; somebody floods this box';
    heard.line.due((leftOut) => this.#options.log.warn({ topic, leftOut }, told));
    if (heard.deafUntilMs === undefined && heard.flood.take() > 0) this.#leave(topic, heard);
  }

  #leave(topic: string, heard: Heard): void {
    const { clock, deafMs, log } = this.#options;
    heard.deafUntilMs = clock.nowMs() + deafMs;
    log.warn({ topic, deafMs }, 'a flood: this topic is not heard for a while');
    this.#session?.unsubscribe(topic).catch((fault: DeliveryError) => {
      log.warn({ topic, reason: fault.message }, 'the broker goes on sending a topic that was left');
    });
  }

  /** Alerts go out whether or not the broker lets the box hear the others; without acknowledgements nothing leaves. */
  #subscribe(topic: string, session: Session): void {
    const { topics, log } = this.#options;
    session.subscribe(topic).catch((fault: DeliveryError) => {
      if (topic === topics.ack) session.destroy(fault);
      else log.warn({ topic, reason: fault.message }, 'not subscribed on this connection');
    });
  }
}
