/**
 * Messages to the box, rate-limited by topic before their content is read.
 *
 * INVARIANTS: messages on one topic never consume another topic's limit.
 *
 * LIMITS: the rates below, and TO_BOX_BYTES_MAX for messages that are not orders. Further messages are counted, logged
 * once a minute, and left unread.
 * A topic with FLOOD messages beyond that is unsubscribed for `deafMs`. Even dropping a message costs time, and the
 * broker delays other messages behind many.
 * Nothing from the room is lost permanently: acknowledgements are cumulative and heads grow. A sender of a command
 * waits for its reply, and a verdict can be repeated. An order is retained, and requested again.
 */
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import { RepeatedLine } from '../base/repeated-line.ts';
import { type BucketLimits, TokenBucket } from '../base/token-bucket.ts';
import { TO_BOX_BYTES_MAX } from '../contract/broker-connection.ts';
import type { Topics } from '../contract/topics.ts';
import type { DeliveryError } from './connection-errors.ts';
import type { AnswerProperties, Session } from './session.ts';

/** Each instance of the room's archive acknowledges at most ten times a second. */
const ACKS: BucketLimits = { burst: 100, perS: 100 };
/** Operators review by hand. Each verdict is a commit, which takes 4 to 20 ms. */
const VERDICTS: BucketLimits = { burst: 50, perS: 10 };
/** A witness replies to a head, and there is one a minute. */
const COSIGNED: BucketLimits = { burst: 5, perS: 1 / 30 };
/** A search requests page after page. */
const COMMANDS: BucketLimits = { burst: 50, perS: 20 };

/** A wave reaches a box once; pausing and resuming is done by hand. */
const ORDERS: BucketLimits = { burst: 10, perS: 0.5 };
/** Time in ms after which a retained message that was left unread is requested again. */
const AGAIN_AFTER_MS = 5000;

/** Messages beyond the rate before a topic is unsubscribed: two seconds of a thousand messages. */
const FLOOD: BucketLimits = { burst: 2000, perS: 100 };

const TOLD_EVERY_MS = 60_000;

export type Inbox = ReadonlyMap<string, (payload: Buffer, answer: AnswerProperties) => void>;

interface Subscription {
  readonly rate: TokenBucket;
  readonly flood: TokenBucket;
  /** Monotonic time until which the topic is unsubscribed. */
  deafUntilMs: number | undefined;
  /** The broker retains the newest message. */
  readonly retained: boolean;
  /** Monotonic time at which the unread message is requested again. */
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
  /** Number of messages left unread. */
  limited = 0;
  readonly #options: IncomingOptions;
  readonly #subscriptions = new Map<string, Subscription>();
  #session: Session | undefined;

  constructor(options: IncomingOptions) {
    this.#options = options;
  }

  /**
   * Sets the topics and their readers, which must not throw because of a message's content. Must be called before the
   * first session.
   */
  hear(inbox: Inbox): void {
    const { topics, clock } = this.#options;
    const limits = new Map([
      [topics.ack, ACKS],
      [topics.verdict, VERDICTS],
      [topics.journalWitnessed, COSIGNED],
      [topics.updateDesired, ORDERS],
      [topics.configDesired, ORDERS],
    ]);
    for (const [topic, read] of inbox) {
      this.#subscriptions.set(topic, {
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

  /** Receives messages through this session from now on. */
  attach(session: Session): void {
    this.#session = session;
    for (const [topic, { deafUntilMs }] of this.#subscriptions) {
      if (deafUntilMs === undefined) this.#subscribe(topic, session);
    }
  }

  detach(): void {
    this.#session = undefined;
  }

  /** Resubscribes, and requests retained messages that were left unread; must be called a few times a second. */
  tick(): void {
    const nowMs = this.#options.clock.nowMs();
    for (const [topic, subscription] of this.#subscriptions) {
      const { deafUntilMs, againAtMs } = subscription;
      if (deafUntilMs === undefined ? !(nowMs >= (againAtMs ?? Infinity)) : nowMs < deafUntilMs) continue;
      subscription.deafUntilMs = undefined;
      subscription.againAtMs = undefined;
      if (this.#session !== undefined) this.#subscribe(topic, this.#session);
    }
  }

  received(topic: string, payload: Buffer, answer: AnswerProperties): void {
    const subscription = this.#subscriptions.get(topic);
    if (subscription === undefined) return;
    const fits = subscription.retained || payload.length <= TO_BOX_BYTES_MAX;
    // Messages in flight when the topic was unsubscribed are left unread like the others.
    if (subscription.deafUntilMs === undefined && fits && subscription.rate.take() === 0) {
      subscription.read(payload, answer);
      return;
    }
    this.limited += 1;
    if (subscription.retained) subscription.againAtMs = this.#options.clock.nowMs() + AGAIN_AFTER_MS;
    const message =
      'messages arrive faster than they are read, and some are dropped; a client is flooding this box';
    subscription.line.due((leftOut) => this.#options.log.warn({ topic, leftOut }, message));
    if (subscription.deafUntilMs === undefined && subscription.flood.take() > 0)
      this.#leave(topic, subscription);
  }

  #leave(topic: string, subscription: Subscription): void {
    const { clock, deafMs, log } = this.#options;
    subscription.deafUntilMs = clock.nowMs() + deafMs;
    log.warn({ topic, deafMs }, 'a flood: this topic is not heard for a while');
    this.#session?.unsubscribe(topic).catch((error: DeliveryError) => {
      log.warn({ topic, reason: error.message }, 'the broker goes on sending a topic that was left');
    });
  }

  /**
   * Alerts are sent whether or not the broker permits the other subscriptions; without acknowledgements nothing is
   * released.
   */
  #subscribe(topic: string, session: Session): void {
    const { topics, log } = this.#options;
    session.subscribe(topic).catch((error: DeliveryError) => {
      if (topic === topics.ack) session.destroy(error);
      else log.warn({ topic, reason: error.message }, 'not subscribed on this connection');
    });
  }
}
