/**
 * Connects ops to the broker: receives its retained messages and the boxes' new ones, and publishes orders.
 *
 * INVARIANTS:
 * - An order counts as sent with the broker's PUBACK, never before.
 * - Retained messages are requested again with each connection, which counts as made only when all have arrived.
 *
 * LIMITS:
 * - `incomingMax` messages wait for processing, by the number of boxes in fleet.yaml. One more while connecting is an
 *   error.
 * - One more later ends the connection. The next one receives the newest message of each box again, so only superseded
 *   messages are lost.
 * - Orders are published PUBLISH_AT_ONCE at a time.
 */
import { randomBytes } from 'node:crypto';
import { Backoff } from '../../../agent/base/backoff.ts';
import { type Clock, systemClock } from '../../../agent/base/clock.ts';
import { AgentError } from '../../../agent/base/errors.ts';
import type { MqttConfig } from '../../../agent/contract/config.ts';
import { CONFIG_ORDER_BYTES_MAX } from '../../../agent/contract/update.ts';
import { DeliveryError } from '../../../agent/mqtt/connection-errors.ts';
import { readCredentials } from '../../../agent/mqtt/credentials.ts';
import { openSession, type Session } from '../../../agent/mqtt/session.ts';

const CONNECT_TIMEOUT_MS = 10_000;
const KEEPALIVE_S = 60;
/**
 * Receive maximum: a broker with more retained messages than it queues sends the rest only to a client that accepts
 * this many at once.
 */
const WINDOW = 65_535;
/** Minimum for `incomingMax`: boxes send some ten messages per change while a small fleet's controller is busy. */
const INCOMING_MIN = 50_000;
/** Ratio of waiting messages to retained ones: boxes continue to send meanwhile. */
const INCOMING_MARGIN = 1.25;
const PUBLISH_AT_ONCE = 200;
/**
 * Pause that ends the retained messages, ms. They precede later ones; some brokers send them in parts with shorter
 * pauses.
 */
const QUIET_MS = 400;
/** Time for all retained messages, ms: a broker on a busy machine sends at least 2,000 messages a second. */
const LEARN_WITHIN_MS = 60_000;
const LEARN_MS_A_BOX = 4;
/**
 * Wait in ms after another machine has connected with the same certificate, of which the broker admits one: longer than
 * `cert revoke` listens. A rollout goes on afterwards.
 */
const DISPLACED_MS = 180_000;
/** Delays between attempts, ms. Waiting costs nothing, and the broker has other problems then. */
const BACKOFF = { firstMs: 500, maxMs: 30_000 };
const FILTERS = ['status', 'update/reported', 'update/desired', 'config/desired'].map(
  (tail) => `vigie/+/+/${tail}`,
);

/** Returns the number of messages that may wait for processing in a fleet of this size. */
export function incomingMax(boxes: number): number {
  return Math.max(INCOMING_MIN, Math.ceil(boxes * FILTERS.length * INCOMING_MARGIN));
}

export interface Incoming {
  readonly site: string;
  readonly box: string;
  /** Topic below the box: `status`, `update/reported` … */
  readonly branch: string;
  readonly payload: Buffer;
}

export interface Outgoing {
  readonly topic: string;
  /** Empty payload: removes the retained message. */
  readonly payload: string;
}

export interface FleetLinkOptions {
  readonly config: MqttConfig;
  /** Maximum number of boxes in the fleet; 0 means a small fleet. */
  readonly boxes?: number;
  readonly clock: Clock;
  warn(line: string): void;
}

export class FleetLink {
  readonly #options: FleetLinkOptions;
  readonly #backoff = new Backoff(BACKOFF);
  #session: Session | undefined;
  #incoming: Incoming[] = [];
  #lastMs = 0;
  #received = 0;
  /** Topic of a message to itself that follows all retained ones; undefined once it has arrived. */
  #marker: string | undefined;
  #isLearning = false;
  #tooMany: AgentError | undefined;
  #wake: (() => void) | undefined;
  /** Time when another machine has displaced this one. */
  #displacedMs = Number.NEGATIVE_INFINITY;

  constructor(options: FleetLinkOptions) {
    this.#options = options;
  }

  /** Number of messages since the start, for callers that wait for one. */
  get received(): number {
    return this.#received;
  }

  get connected(): boolean {
    return this.#session !== undefined;
  }

  /**
   * Connects, and returns when all retained messages have arrived. Throws DeliveryError; AgentError `config` if they
   * are too many.
   */
  async connect(signal: AbortSignal): Promise<void> {
    const { config, clock, warn } = this.#options;
    const waitMs = this.#displacedMs + DISPLACED_MS - performance.now();
    if (waitMs > 0) {
      warn(`another machine uses the same certificate; connecting again in ${Math.ceil(waitMs / 1000)} s`);
      await systemClock.sleep(waitMs, signal);
    }
    const clientId = `fleet.${randomBytes(8).toString('hex')}`;
    // Drops an earlier connection and its messages: the broker has the newest, and two would mix old and new ones.
    await this.stop();
    this.#incoming = [];
    this.#tooMany = undefined;
    const session = await openSession(
      {
        config,
        credentials: readCredentials(config),
        clientId,
        keepaliveS: KEEPALIVE_S,
        connectTimeoutMs: CONNECT_TIMEOUT_MS,
        clock,
        incomingBytesMax: CONFIG_ORDER_BYTES_MAX + 4096,
        incomingWindow: WINDOW,
        onMessage: (topic, payload) => this.#took(topic, payload),
      },
      signal,
    );
    this.#session = session;
    void session.closed.then(({ code }) => {
      if (code === 'identity-conflict') this.#displacedMs = performance.now();
      if (this.#session === session) this.#session = undefined;
      this.#wake?.();
    });
    await this.#learn(session, clientId, signal);
    this.#backoff.reset();
  }

  /** Calls `connect` again while the broker is unreachable, for at most `withinMs`. */
  async reconnect(signal: AbortSignal, withinMs: number): Promise<void> {
    const untilMs = performance.now() + withinMs;
    let hasWarned = false;
    while (!signal.aborted) {
      try {
        await this.connect(signal);
        return;
      } catch (error) {
        if (!(error instanceof AgentError) || error.kind !== 'unavailable') throw error;
        if (performance.now() >= untilMs) throw error;
        if (!hasWarned) this.#options.warn(`${error.message}; trying again`);
        hasWarned = true;
      }
      // A rollout may use another clock.
      await systemClock.sleep(this.#backoff.nextMs(), signal);
    }
  }

  /** Returns the messages since the last call, in their order. */
  take(): Incoming[] {
    const messages = this.#incoming;
    this.#incoming = [];
    return messages;
  }

  /** Calls back once, when a message arrives or the connection ends; at once if a message is waiting. */
  onWake(wake: () => void): void {
    this.#wake = wake;
    if (this.#incoming.length > 0) wake();
  }

  /**
   * Publishes retained messages at QoS 1. Calls `sent` after each PUBACK; throws DeliveryError on refusal or
   * disconnection.
   */
  async publish<O extends Outgoing>(
    messages: readonly O[],
    onSent: (messages: readonly O[]) => void,
  ): Promise<void> {
    for (let at = 0; at < messages.length; at += PUBLISH_AT_ONCE) {
      const batch = messages.slice(at, at + PUBLISH_AT_ONCE);
      const results = await Promise.allSettled(batch.map((message) => this.#publish(message)));
      onSent(batch.filter((_, i) => results[i]?.status === 'fulfilled'));
      const failure = results.find((result) => result.status === 'rejected');
      if (failure !== undefined) throw failure.reason;
    }
  }

  async stop(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    await session?.end(1000);
  }

  async #publish({ topic, payload }: Outgoing, retain = true): Promise<void> {
    const session = this.#session;
    if (session === undefined)
      throw new DeliveryError('unreachable', 'the connection to the broker is lost', 'it is tried again');
    const answered = new Promise<DeliveryError | undefined>((resolve) =>
      session.publish({ topic, payload, qos: 1, retain, contentType: 'application/json' }, resolve),
    );
    const error = await Promise.race([answered, session.closed]);
    if (error !== undefined) throw error;
  }

  #took(topic: string, payload: Buffer): void {
    if (topic === this.#marker) {
      this.#marker = undefined;
      return;
    }
    const [, site = '', box = '', ...rest] = topic.split('/');
    this.#received += 1;
    this.#lastMs = performance.now();
    const { boxes = 0, warn } = this.#options;
    const max = incomingMax(boxes);
    if (this.#tooMany !== undefined) return;
    if (this.#incoming.length >= max) {
      if (this.#isLearning) this.#tooMany = tooMany(max, boxes);
      else warn(`more than ${max} messages wait; the newest of each box are requested again`);
      this.#incoming = [];
      this.#session?.destroy();
      return;
    }
    this.#incoming.push({ site, box, branch: rest.join('/'), payload });
    this.#wake?.();
  }

  /** Returns when all retained messages have arrived. Throws the errors of `connect`. */
  async #learn(session: Session, clientId: string, signal: AbortSignal): Promise<void> {
    const withinMs = LEARN_WITHIN_MS + (this.#options.boxes ?? 0) * LEARN_MS_A_BOX;
    let isLate = false;
    const end = (): void => session.destroy();
    const timer = setTimeout(() => {
      isLate = true;
      end();
    }, withinMs);
    signal.addEventListener('abort', end, { once: true });
    this.#isLearning = true;
    try {
      for (const filter of FILTERS) {
        const error = await Promise.race([session.subscribe(filter), session.closed]);
        if (error !== undefined) throw error;
      }
      // No box has this name, so the topic has no retained message.
      this.#marker = `vigie/fleet/${clientId}/update/desired`;
      await this.#publish({ topic: this.#marker, payload: '' }, false);
      this.#lastMs = performance.now();
      while (this.#marker !== undefined || performance.now() - this.#lastMs < QUIET_MS) {
        if (this.#session !== session) throw await session.closed;
        await systemClock.sleep(QUIET_MS / 8, signal);
      }
    } catch (error) {
      if (this.#tooMany !== undefined) throw this.#tooMany;
      if (!isLate) throw error;
      const reason = `the broker has not delivered all retained messages within ${withinMs / 1000} s (${this.#incoming.length} messages until then)`;
      throw new DeliveryError('unreachable', reason, 'check the load of the broker and of this machine');
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      this.#isLearning = false;
    }
  }
}

function tooMany(max: number, boxes: number): AgentError {
  const problem = `the broker retains more than ${max} messages of boxes, the limit for ${boxes} boxes (${FILTERS.length} a box and a quarter more, ${INCOMING_MIN} at least)`;
  return new AgentError(
    'config',
    `fleet.yaml: boxes: ${problem}; set boxes to the number of boxes that the broker knows, or clear what boxes have left there`,
  );
}
