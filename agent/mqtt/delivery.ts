/**
 * Keeps the box connected to the room and drains its outbox, for years.
 *
 * INVARIANTS:
 * - At most one connection exists at a time.
 * - It is never in plaintext unless configured so.
 * - Only its own loop waits for the broker; frames and rules never do.
 *
 * LIMITS: attempts are spread with jitter up to 60 s, after an identity conflict from 60 s to 15 min. Every wait for
 * the broker is bounded (timing below). A repeated fault is reported once until the next connection.
 */
import { Backoff, type BackoffLimits } from '../base/backoff.ts';
import type { Clock } from '../base/clock.ts';
import { AgentError, assert, messageOf, rethrowBug } from '../base/errors.ts';
import { type Logger, withoutSecret } from '../base/log.ts';
import { KEEPALIVE_S } from '../contract/broker-connection.ts';
import type { MqttConfig } from '../contract/config.ts';
import type { DeliveryState } from '../contract/health.ts';
import type { Lane, Outbox } from '../contract/outbox.ts';
import { type Topics, topicsOf } from '../contract/topics.ts';
import { parseAck } from './acks.ts';
import { DeliveryError, deliveryError } from './connection-errors.ts';
import { type Credentials, settledCredentials } from './credentials.ts';
import { Drain } from './drain.ts';
import { type Inbox, Incoming } from './incoming.ts';
import { LearntLimits, RETAIN_NOT_SUPPORTED } from './learnt-limits.ts';
import { messageOfRow } from './messages.ts';
import { Publisher } from './publisher.ts';
import { Refusals } from './refusals.ts';
import { openSession, type Session } from './session.ts';

export interface DeliveryTiming {
  /** Keep-alive in seconds. A half-open connection is detected after 1.5 × this. */
  readonly keepaliveS: number;
  readonly connectTimeoutMs: number;
  readonly reconnect: BackoffLimits;
  /**
   * Used after another client has taken over the name. Two clients that both wait indefinitely would be as bad as two
   * that keep displacing each other.
   */
  readonly conflict: BackoffLimits;
  /** Time in ms without progress after which a lane is sent again from its first row. */
  readonly stallMs: number;
  /** See DrainOptions. */
  readonly refusedRetryMs: number;
  /** Time in ms for which a flooded topic is unsubscribed. */
  readonly deafMs: number;
  /** Time in ms after which a broker that owes a PUBACK is disconnected: 256 kB take 20 s at 100 kbit/s. */
  readonly pubackTimeoutMs: number;
}

export const DELIVERY_TIMING: DeliveryTiming = {
  keepaliveS: KEEPALIVE_S,
  connectTimeoutMs: 10_000,
  reconnect: { firstMs: 1000, maxMs: 60_000 },
  // The first wait is at least half of firstMs: 60 s.
  conflict: { firstMs: 120_000, maxMs: 900_000 },
  stallMs: 3000,
  refusedRetryMs: 60_000,
  deafMs: 60_000,
  pubackTimeoutMs: 30_000,
};

const TICK_MS = 250;

/** Time limit in ms, after STOPPED_WITHIN_MS of the publisher; systemd gives the complete agent 5 s. */
const END_WITHIN_MS = 1000;

export interface DeliveryOptions {
  readonly config: MqttConfig;
  readonly site: string;
  readonly box: string;
  readonly outbox: Outbox;
  readonly boot: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly timing?: Partial<DeliveryTiming>;
  /** Called when the broker has the message with this number; must not throw. */
  onPuback?(lane: Lane, seq: number): void;
}

export class Delivery {
  /** Publishes everything that does not come from the outbox. */
  readonly publisher: Publisher;
  readonly #options: DeliveryOptions;
  readonly #timing: DeliveryTiming;
  readonly #drain: Drain;
  readonly #incoming: Incoming;
  readonly #learnt: LearntLimits;
  readonly #refusals = new Refusals(() => this.#refusalsChanged());
  readonly #reconnect: Backoff;
  readonly #conflict: Backoff;
  #phase: DeliveryState['phase'] = 'stopped';
  #sinceWallMs: number;
  /** Reason why there is no connection. */
  #error: DeliveryError | undefined;
  #reportedMessage: string | undefined;
  /** Last reported refusal, while it is active. */
  #refusal: DeliveryError | undefined;
  #sessions = 0;
  #sessionsTaken = 0;
  /** Aborts when the credentials must be read again, and at the stop. */
  #renewal = new AbortController();
  #wakeAsked = false;
  #stopping: AbortController | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(options: DeliveryOptions) {
    const { site, box, boot, clock, log } = options;
    this.#options = options;
    this.#timing = { ...DELIVERY_TIMING, ...options.timing };
    const topics = topicsOf(site, box);
    this.#sinceWallMs = clock.wallMs();
    this.#reconnect = new Backoff(this.#timing.reconnect);
    this.#conflict = new Backoff(this.#timing.conflict);
    this.#learnt = new LearntLimits(clock);
    const [learnt, refusals] = [this.#learnt, this.#refusals];
    this.publisher = new Publisher({ topics, boot, learnt, refusals, clock, log });
    this.#drain = this.#makeDrain(topics);
    this.#incoming = new Incoming({ topics, deafMs: this.#timing.deafMs, clock, log });
    if (options.config.ack !== 'archive') return;
    this.#incoming.hear(new Map([[topics.ack, (payload) => this.#acknowledged(payload)]]));
  }

  get state(): DeliveryState {
    const error = this.#phase === 'online' ? this.#refusals.oldest : this.#error;
    const { refusals, ...drained } = this.#drain.counters;
    const published = this.publisher.counters;
    return {
      phase: this.#phase,
      since: new Date(this.#sinceWallMs).toISOString(),
      fault: error === undefined ? null : { code: error.code, message: error.message.slice(0, 500) },
      reconnects: Math.max(0, this.#sessions - 1),
      ...drained,
      unacknowledgedS: this.#drain.unacknowledgedS,
      refused: refusals + published.refusals,
      unretained: published.unretained,
      limited: this.#incoming.limited,
    };
  }

  /**
   * Reports whether a connection was opened since the last call and is still open; the broker may then have lost its
   * state.
   */
  takeOpened(): boolean {
    if (this.#phase !== 'online' || this.#sessions === this.#sessionsTaken) return false;
    this.#sessionsTaken = this.#sessions;
    return true;
  }

  /**
   * Connects, and reconnects indefinitely. An unreachable or refusing broker is not an error here. The map `inbox`
   * contains further topics to subscribe at QoS 1, with their readers. A reader must not throw because of a message's
   * content.
   */
  start(inbox: Inbox = new Map()): void {
    assert(this.#stopping === undefined, 'a delivery starts once');
    const { config, log } = this.#options;
    if (!config.url.startsWith('mqtts:')) {
      log.warn(
        { url: withoutSecret(config.url) },
        'mqtt.url is not encrypted: for a broker on this machine only',
      );
    }
    this.#incoming.hear(inbox);
    this.#stopping = new AbortController();
    this.#running = this.#run(this.#stopping.signal);
  }

  /** Sends new rows of the outbox without delay. */
  wake(): void {
    if (this.#wakeAsked) return;
    this.#wakeAsked = true;
    setImmediate(() => {
      this.#wakeAsked = false;
      this.#drain.pump();
    });
  }

  /** Reconnects if the box's certificate differs from that of the connection, without any loss. */
  reload(): void {
    this.#renewal.abort();
  }

  /** Publishes `stopped` and disconnects cleanly (no Last Will) within 2.5 s. Undelivered rows stay in the outbox. */
  async stop(): Promise<void> {
    this.#stopping?.abort();
    this.#renewal.abort();
    await this.#running;
  }

  #makeDrain(topics: Topics): Drain {
    const { site, box, config, outbox, clock, log, onPuback } = this.#options;
    const { stallMs, refusedRetryMs } = this.#timing;
    return new Drain({
      outbox,
      ack: config.ack,
      stallMs,
      refusedRetryMs,
      clock,
      log,
      refusals: this.#refusals,
      messageOf: (lane, row, first) =>
        messageOfRow({ lane, first, epoch: outbox.epoch }, row, { site, box }, topics, clock.wallMs()),
      onPuback: (lane, seq) => onPuback?.(lane, seq),
    });
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    while (!signal.aborted) {
      this.#enter('connecting', this.#error);
      this.#renewal = new AbortController();
      const outcome = await this.#live(signal);
      if (signal.aborted) break;
      if (outcome === 'renewed') continue;
      const conflict = outcome.code === 'identity-conflict';
      const waitMs = (conflict ? this.#conflict : this.#reconnect).nextMs();
      this.#enter('waiting', outcome);
      this.#tell(outcome, waitMs);
      await clock.sleep(waitMs, this.#renewal.signal);
    }
    this.#enter('stopped', undefined);
  }

  #tell(error: DeliveryError, waitMs: number): void {
    const { code, message, reasonCode } = error;
    // The next connection takes it into account, and the publisher reports it with its fix.
    if (message === this.#reportedMessage || reasonCode === RETAIN_NOT_SUPPORTED) return;
    this.#reportedMessage = message;
    // A person must act on the others; unreachability resolves automatically.
    const level = code === 'unreachable' ? 'warn' : 'error';
    this.#options.log[level]({ code, waitMs: Math.round(waitMs) }, message);
  }

  /** Runs one connection from its first packet to its end; returns why it ended. */
  async #live(signal: AbortSignal): Promise<DeliveryError | 'renewed'> {
    const { config, box, clock } = this.#options;
    const { keepaliveS, connectTimeoutMs } = this.#timing;
    let session: Session | undefined;
    try {
      const credentials = await settledCredentials(config, clock, signal);
      session = await openSession(
        {
          config,
          credentials,
          clientId: box,
          will: this.publisher.will,
          keepaliveS,
          connectTimeoutMs,
          clock,
          learnt: this.#learnt,
          onMessage: (topic, payload, answer) => this.#incoming.received(topic, payload, answer),
          onRoom: () => this.#drain.pump(),
        },
        signal,
      );
      return await this.#serve(session, credentials, signal);
    } catch (error) {
      rethrowBug(error);
      return deliveryError(error, config.url);
    } finally {
      this.#drain.detach();
      this.publisher.detach();
      this.#incoming.detach();
      session?.destroy();
    }
  }

  async #serve(
    session: Session,
    credentials: Credentials,
    signal: AbortSignal,
  ): Promise<DeliveryError | 'renewed'> {
    const { config, clock, log } = this.#options;
    let over: DeliveryError | undefined;
    void session.closed.then((error) => {
      over = error;
    });
    const openedMs = clock.nowMs();
    this.#incoming.attach(session);
    this.publisher.attach(session);
    this.#sessions += 1;
    this.#reportedMessage = undefined;
    log.info({ url: withoutSecret(config.url) }, 'connected to the broker');
    this.#enter('online', undefined);
    const acknowledgedBefore = this.#drain.counters.acknowledged;
    this.#drain.attach(session);
    let renewed = false;
    while (over === undefined && !signal.aborted && !renewed) {
      await clock.sleep(TICK_MS, signal);
      this.#tick(session);
      renewed = this.#renewal.signal.aborted && (await this.#isRenewed(credentials, signal));
      // A useful or long connection makes the next attempt early.
      const connectedMs = clock.nowMs() - openedMs;
      const useful = this.#drain.counters.acknowledged > acknowledgedBefore;
      if (useful || connectedMs > this.#timing.reconnect.maxMs) this.#reconnect.reset();
      if (connectedMs > this.#timing.conflict.maxMs) this.#conflict.reset();
    }
    if (over !== undefined) return over;
    this.#drain.detach();
    if (renewed) {
      // No `stopped` message: the box is back within a second, and unacknowledged rows are sent again.
      await session.end(END_WITHIN_MS);
      return 'renewed';
    }
    await this.publisher.sayStopped();
    await session.end(END_WITHIN_MS);
    return session.closed;
  }

  /**
   * Reports whether the files contain another certificate than the connection's. Unusable files do not end the
   * connection.
   */
  async #isRenewed({ certificate }: Credentials, signal: AbortSignal): Promise<boolean> {
    const { config, clock, log } = this.#options;
    this.#renewal = new AbortController();
    try {
      const now = (await settledCredentials(config, clock, signal)).certificate;
      if (now?.fingerprint256 === certificate?.fingerprint256) return false;
      log.info({ notAfter: now?.validTo }, 'the certificate was renewed; connecting with it');
      return true;
    } catch (error) {
      rethrowBug(error);
      log.error({ reason: error.message }, 'the new certificate is not taken; the connection stays');
      return false;
    }
  }

  #tick(session: Session): void {
    const { clock, config, log } = this.#options;
    try {
      this.#drain.tick();
    } catch (error) {
      if (!(error instanceof AgentError)) throw error;
      log.warn({ reason: error.message }, 'the outbox does not answer; it is tried again');
    }
    this.#incoming.tick();
    const { owedSinceMs } = session;
    if (owedSinceMs !== undefined && clock.nowMs() - owedSinceMs > this.#timing.pubackTimeoutMs) {
      const reason = `broker ${withoutSecret(config.url)}: messages are not acknowledged`;
      session.destroy(
        new DeliveryError('unreachable', reason, 'the box connects again; see the broker’s log'),
      );
    }
  }

  #acknowledged(payload: Buffer): void {
    try {
      this.#drain.acknowledged(parseAck(payload));
    } catch (error) {
      if (!(error instanceof AgentError)) throw error;
      if (error.kind === 'corrupt')
        this.#drain.badAck({ reason: messageOf(error) }, 'an acknowledgement is ignored');
      else this.#options.log.warn({ reason: messageOf(error) }, 'an acknowledgement finds no outbox');
    }
  }

  /** Logs the oldest refusal when something becomes stuck, or is stuck for another reason. */
  #refusalsChanged(): void {
    const { oldest } = this.#refusals;
    const before = this.#refusal;
    this.#refusal = oldest;
    if (this.#phase !== 'online' || oldest?.code === before?.code) return;
    if (oldest !== undefined) this.#options.log.error({ code: oldest.code }, oldest.message);
  }

  /** `error` is the reason why there is no connection. The last one remains until there is a connection. */
  #enter(phase: DeliveryState['phase'], error: DeliveryError | undefined): void {
    if (phase !== this.#phase) this.#sinceWallMs = this.#options.clock.wallMs();
    this.#phase = phase;
    this.#error = error;
  }
}
