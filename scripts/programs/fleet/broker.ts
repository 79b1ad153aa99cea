/**
 * The broker as ops see it: what it keeps of every box, what boxes say, and orders that go out.
 *
 * INVARIANTS: an order counts as sent with the broker's PUBACK, never before. What the broker has kept is asked for again
 * with each connection.
 * LIMITS: INCOMING_MAX messages wait to be looked at; one more ends the connection, and the next one asks again for the
 * newest of each box, so that what is dropped are words that were overtaken. Orders go out PUBLISH_AT_ONCE at a time.
 */
import { randomBytes } from 'node:crypto';
import { Backoff } from '../../../agent/base/backoff.ts';
import type { Clock } from '../../../agent/base/clock.ts';
import { AgentError } from '../../../agent/base/errors.ts';
import type { MqttConfig } from '../../../agent/contract/config.ts';
import { CONFIG_ORDER_BYTES_MAX } from '../../../agent/contract/update.ts';
import { readCredentials } from '../../../agent/mqtt/credentials.ts';
import { DeliveryError } from '../../../agent/mqtt/faults.ts';
import { openSession, type Session } from '../../../agent/mqtt/session.ts';

const CONNECT_TIMEOUT_MS = 10_000;
const KEEPALIVE_S = 60;
/** A broker with more retained messages than it queues gives the rest only to who takes that many at once. */
const WINDOW = 65_535;
const INCOMING_MAX = 50_000;
const PUBLISH_AT_ONCE = 200;
/** What is retained comes in one go; a pause of this length is its end. */
const QUIET_MS = 400;
const LEARN_WITHIN_MS = 60_000;
/** Who waits for nobody loses nothing by it; the broker has its own troubles then. */
const BACKOFF = { firstMs: 500, maxMs: 30_000 };
const FILTERS = ['status', 'update/reported', 'update/desired', 'config/desired'].map(
  (tail) => `vigie/+/+/${tail}`,
);

export interface Incoming {
  readonly site: string;
  readonly box: string;
  /** Below the box: `status`, `update/reported` … */
  readonly branch: string;
  readonly payload: Buffer;
}

export interface Outgoing {
  readonly topic: string;
  /** Empty: nothing is kept there any more. */
  readonly payload: string;
}

export interface FleetLinkOptions {
  readonly config: MqttConfig;
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
  #wake: (() => void) | undefined;

  constructor(options: FleetLinkOptions) {
    this.#options = options;
  }

  /** Messages since the start, for who waits for one. */
  get received(): number {
    return this.#received;
  }

  get connected(): boolean {
    return this.#session !== undefined;
  }

  /** Connects, and returns when all that the broker has kept is there. Throws DeliveryError. */
  async connect(signal: AbortSignal): Promise<void> {
    const { config, clock } = this.#options;
    const session = await openSession(
      {
        config,
        credentials: readCredentials(config),
        clientId: `fleet.${randomBytes(8).toString('hex')}`,
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
    void session.closed.then(() => {
      if (this.#session === session) this.#session = undefined;
      this.#wake?.();
    });
    for (const filter of FILTERS) await session.subscribe(filter);
    await this.#quiet(signal);
    this.#backoff.reset();
  }

  /** As `connect`, again and again while the broker is only away. */
  async reconnect(signal: AbortSignal): Promise<void> {
    let told = false;
    while (!signal.aborted) {
      try {
        await this.connect(signal);
        return;
      } catch (error) {
        if (!(error instanceof AgentError) || error.kind !== 'unavailable') throw error;
        if (!told) this.#options.warn(`${error.message}; trying again`);
        told = true;
      }
      await sleepMs(this.#backoff.nextMs(), signal);
    }
  }

  /** What has come since the last time, in its order. */
  take(): Incoming[] {
    const taken = this.#incoming;
    this.#incoming = [];
    return taken;
  }

  /** Calls once when something comes, or the connection goes; at once where something is there. */
  onWake(wake: () => void): void {
    this.#wake = wake;
    if (this.#incoming.length > 0) wake();
  }

  /** Retained, QoS 1. `sent` is called for each with its PUBACK; throws DeliveryError when one is refused or the connection goes. */
  async publish<O extends Outgoing>(
    messages: readonly O[],
    sent: (messages: readonly O[]) => void,
  ): Promise<void> {
    for (let at = 0; at < messages.length; at += PUBLISH_AT_ONCE) {
      const some = messages.slice(at, at + PUBLISH_AT_ONCE);
      const results = await Promise.allSettled(some.map((message) => this.#publish(message)));
      sent(some.filter((_, i) => results[i]?.status === 'fulfilled'));
      const refused = results.find((result) => result.status === 'rejected');
      if (refused !== undefined) throw refused.reason;
    }
  }

  async stop(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    await session?.end(1000);
  }

  async #publish({ topic, payload }: Outgoing): Promise<void> {
    const session = this.#session;
    if (session === undefined)
      throw new DeliveryError('unreachable', 'the connection to the broker is gone', 'it is tried again');
    const answered = new Promise<DeliveryError | undefined>((resolve) =>
      session.publish({ topic, payload, qos: 1, retain: true, contentType: 'application/json' }, resolve),
    );
    const fault = await Promise.race([answered, session.closed]);
    if (fault !== undefined) throw fault;
  }

  #took(topic: string, payload: Buffer): void {
    const [, site = '', box = '', ...rest] = topic.split('/');
    this.#received += 1;
    this.#lastMs = performance.now();
    if (this.#incoming.length >= INCOMING_MAX) {
      this.#options.warn(
        `more than ${INCOMING_MAX} messages wait; the newest of each box are asked for again`,
      );
      this.#incoming = [];
      this.#session?.destroy();
      return;
    }
    this.#incoming.push({ site, box, branch: rest.join('/'), payload });
    this.#wake?.();
  }

  async #quiet(signal: AbortSignal): Promise<void> {
    this.#lastMs = performance.now();
    const until = this.#lastMs + LEARN_WITHIN_MS;
    while (!signal.aborted && performance.now() < until && performance.now() - this.#lastMs < QUIET_MS)
      await sleepMs(QUIET_MS / 8, signal);
  }
}

/** Of this machine, also where the clock of a rollout is another's. */
function sleepMs(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done, { once: true });
  });
}
