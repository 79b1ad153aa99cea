/**
 * Keeps the box connected to the room and its outbox draining, for years.
 *
 * INVARIANTS: one connection at a time; never in plaintext unless configured so; nothing here waits for the
 * broker but its own loop, so that frames and rules never do.
 * LIMITS: attempts are spread with jitter up to 60 s, after an identity conflict from 60 s to 15 min; every
 * wait for the broker is bounded (timing below); one health report is held, the newest, and one checkpoint.
 */
import { Backoff, type BackoffLimits } from '../base/backoff.ts';
import type { Clock } from '../base/clock.ts';
import { AgentError, assert, messageOf, rethrowBug } from '../base/errors.ts';
import { type Logger, withoutSecret } from '../base/log.ts';
import type { Notice } from '../contract/bridge.ts';
import type { MqttConfig } from '../contract/config.ts';
import type { DeliveryState, HealthReport, StatusReport } from '../contract/health.ts';
import type { Lane, Outbox } from '../contract/outbox.ts';
import { topicsOf } from '../contract/topics.ts';
import { parseAck } from './acks.ts';
import type { Inbox } from './command-inbox.ts';
import { readCredentials } from './credentials.ts';
import { Drain } from './drain.ts';
import { DeliveryError, deliveryError } from './faults.ts';
import { messageOfRow } from './messages.ts';
import { type AnswerProperties, type Message, openSession, type Session } from './session.ts';

export interface DeliveryTiming {
  /** A half-open link is seen after 1.5 × this. */
  readonly keepaliveS: number;
  readonly connectTimeoutMs: number;
  readonly reconnect: BackoffLimits;
  /** After another client has taken the name over: both waiting for ever would be as bad as ping-pong. */
  readonly conflict: BackoffLimits;
  /** A lane that has not moved for this long is sent again from its first row. */
  readonly stallMs: number;
  /** A broker that owes a PUBACK for this long is left: 256 kB take 20 s at 100 kbit/s. */
  readonly pubackTimeoutMs: number;
}

export const DELIVERY_TIMING: DeliveryTiming = {
  keepaliveS: 30,
  connectTimeoutMs: 10_000,
  reconnect: { firstMs: 1000, maxMs: 60_000 },
  // The first wait is at least half of firstMs: 60 s.
  conflict: { firstMs: 120_000, maxMs: 900_000 },
  stallMs: 3000,
  pubackTimeoutMs: 30_000,
};

const TICK_MS = 250;

/** The two steps of a clean end; systemd gives the whole agent 5 s. */
const STOPPED_WITHIN_MS = 1500;
const END_WITHIN_MS = 1000;

/** A report older than this is not sent on a new connection: the next one comes within 30 s. */
const HEALTH_FRESH_MS = 60_000;

/** Notices of the bridges that the socket has not taken yet; beyond them they are lost. */
const NOTICES_MAX = 256;

const JSON_TYPE = 'application/json';
const NOTE_TYPE = 'text/plain; charset=utf-8';

/** Nobody waits longer for an answer. */
const REPLY_EXPIRY_S = 300;

export interface DeliveryOptions {
  readonly config: MqttConfig;
  readonly site: string;
  readonly box: string;
  readonly outbox: Outbox;
  readonly boot: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly timing?: Partial<DeliveryTiming>;
  /** The broker has the message with this number; must not throw. */
  onPuback?(lane: Lane, seq: number): void;
}

export class Delivery {
  readonly #options: DeliveryOptions;
  readonly #timing: DeliveryTiming;
  readonly #topics;
  readonly #drain: Drain;
  readonly #reconnect: Backoff;
  readonly #conflict: Backoff;
  #phase: DeliveryState['phase'] = 'stopped';
  #sinceWallMs: number;
  #fault: DeliveryError | undefined;
  #sessions = 0;
  #session: Session | undefined;
  #health: { payload: string; atMs: number } | undefined;
  #journalHead: { note: string; growth: string } | undefined;
  #notices = 0;
  #wakeAsked = false;
  #inbox: Inbox = new Map();
  #stopping: AbortController | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(options: DeliveryOptions) {
    const { site, box, config, outbox, clock, log } = options;
    this.#options = options;
    this.#timing = { ...DELIVERY_TIMING, ...options.timing };
    this.#topics = topicsOf(site, box);
    this.#sinceWallMs = clock.wallMs();
    this.#reconnect = new Backoff(this.#timing.reconnect);
    this.#conflict = new Backoff(this.#timing.conflict);
    this.#drain = new Drain({
      outbox,
      ack: config.ack,
      stallMs: this.#timing.stallMs,
      clock,
      log,
      messageOf: (lane, row, first) =>
        messageOfRow({ lane, first, epoch: outbox.epoch }, row, { site, box }, this.#topics, clock.wallMs()),
      onRefusal: (refusal) => this.#refusal(refusal),
      onPuback: (lane, seq) => options.onPuback?.(lane, seq),
    });
  }

  get state(): DeliveryState {
    const fault = this.#fault;
    return {
      phase: this.#phase,
      since: new Date(this.#sinceWallMs).toISOString(),
      fault: fault === undefined ? null : { code: fault.code, message: fault.message.slice(0, 500) },
      reconnects: Math.max(0, this.#sessions - 1),
      ...this.#drain.counters,
    };
  }

  /** Connections that were opened since the start. */
  get connections(): number {
    return this.#sessions;
  }

  /**
   * Begins to connect and goes on for ever; a broker that is away or refuses is no error here. `inbox`: further topics
   * to hear, at QoS 1, and who takes their messages; must not throw for what a message holds.
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
    this.#inbox = inbox;
    this.#stopping = new AbortController();
    this.#running = this.#run(this.#stopping.signal);
  }

  /** The outbox has new rows; they go out without delay. */
  wake(): void {
    if (this.#wakeAsked) return;
    this.#wakeAsked = true;
    setImmediate(() => {
      this.#wakeAsked = false;
      this.#drain.pump();
    });
  }

  /** Publishes retained, now when connected, else on the next connection. */
  publishHealth(report: HealthReport): void {
    this.#health = { payload: JSON.stringify(report), atMs: this.#options.clock.nowMs() };
    if (this.#phase === 'online') this.#sendHealth();
  }

  /**
   * Publishes a checkpoint of the journal retained, and the same with its proof for a witness, now when connected
   * and on every further connection.
   */
  publishJournalHead(note: string, growth: string): void {
    this.#journalHead = { note, growth };
    if (this.#phase === 'online') this.#sendJournalHead();
  }

  /** Publishes retained when connected; without a connection it is for the caller to come again. */
  publishMode(payload: string): void {
    if (this.#phase !== 'online') return;
    const base = { topic: this.#topics.mode, qos: 1, retain: true, contentType: JSON_TYPE } as const;
    this.#session?.publish({ ...base, payload }, (refusal) => this.#refusal(refusal));
  }

  /** Publishes with QoS 0 when connected; false = it is lost. */
  publishNotice({ topic, payload, contentType, retain }: Notice): boolean {
    const session = this.#session;
    if (session === undefined || this.#phase !== 'online' || this.#notices >= NOTICES_MAX) return false;
    this.#notices += 1;
    session.publish({ topic, payload, contentType, retain, qos: 0 }, () => {
      if (this.#session === session) this.#notices -= 1;
    });
    return true;
  }

  /** Answers a command; false when there is no connection: whoever asked will ask again. */
  reply(topic: string, payload: string, correlation: Uint8Array | undefined): boolean {
    if (this.#phase !== 'online' || this.#session === undefined) return false;
    const base = {
      topic,
      payload,
      qos: 1,
      retain: false,
      contentType: JSON_TYPE,
      expiryS: REPLY_EXPIRY_S,
    } as const;
    const message = { ...base, ...(correlation && { correlation }) };
    this.#session.publish(message, (refusal) => this.#refusal(refusal));
    return true;
  }

  /** Says `stopped` and ends cleanly (no Last Will), within 2.5 s; what is not delivered stays in the outbox. */
  async stop(): Promise<void> {
    this.#stopping?.abort();
    await this.#running;
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
    while (!signal.aborted) {
      this.#enter('connecting');
      const fault = await this.#live(signal);
      if (signal.aborted) break;
      const conflict = fault.code === 'identity-conflict';
      const waitMs = (conflict ? this.#conflict : this.#reconnect).nextMs();
      this.#enter('waiting', fault);
      const fields = { code: fault.code, waitMs: Math.round(waitMs) };
      // A person must act on these; the others mend themselves.
      const urgent = fault.code !== 'unreachable' && fault.code !== 'protocol';
      log[urgent ? 'error' : 'warn'](fields, fault.message);
      await clock.sleep(waitMs, signal);
    }
    this.#enter('stopped', undefined);
  }

  /** One connection, from its first packet to its end; returns why it ended. */
  async #live(signal: AbortSignal): Promise<DeliveryError> {
    const { config, site, box, clock } = this.#options;
    const { keepaliveS, connectTimeoutMs } = this.#timing;
    try {
      const session = await openSession(
        {
          config,
          credentials: readCredentials(config),
          clientId: `${site}.${box}`,
          will: this.#status('offline'),
          keepaliveS,
          connectTimeoutMs,
          clock,
          onMessage: (topic, payload, answer) => this.#received(topic, payload, answer),
        },
        signal,
      );
      this.#session = session;
      this.#notices = 0;
      return await this.#serve(session, signal);
    } catch (error) {
      rethrowBug(error);
      return deliveryError(error, config.url);
    } finally {
      this.#drain.detach();
      this.#session?.destroy();
      this.#session = undefined;
    }
  }

  async #serve(session: Session, signal: AbortSignal): Promise<DeliveryError> {
    const { config, clock, log } = this.#options;
    let over: DeliveryError | undefined;
    void session.closed.then((fault) => {
      over = fault;
    });
    const openedMs = clock.nowMs();
    if (config.ack === 'archive') {
      session.subscribe(this.#topics.ack).catch((fault: DeliveryError) => session.destroy(fault));
    }
    this.#openInbox(session);
    session.publish(this.#status('online'), (refusal) => this.#refusal(refusal));
    this.#sessions += 1;
    this.#enter('online');
    log.info({ url: withoutSecret(config.url) }, 'connected to the broker');
    this.#sendHealth();
    this.#sendJournalHead();
    const acknowledgedBefore = this.#drain.counters.acknowledged;
    this.#drain.attach(session);
    while (over === undefined && !signal.aborted) {
      await clock.sleep(TICK_MS, signal);
      this.#tick(session);
      // A connection that was of use, or that held, lets the next attempt come soon.
      const heldMs = clock.nowMs() - openedMs;
      const useful = this.#drain.counters.acknowledged > acknowledgedBefore;
      if (useful || heldMs > this.#timing.reconnect.maxMs) this.#reconnect.reset();
      if (heldMs > this.#timing.conflict.maxMs) this.#conflict.reset();
    }
    if (over !== undefined) return over;
    this.#drain.detach();
    await this.#sayStopped(session);
    await session.end(END_WITHIN_MS);
    return session.closed;
  }

  #tick(session: Session): void {
    const { clock, config, log } = this.#options;
    try {
      this.#drain.tick();
    } catch (error) {
      if (!(error instanceof AgentError)) throw error;
      log.warn({ reason: error.message }, 'the outbox does not answer; it is tried again');
    }
    const owedSinceMs = this.#drain.owedSinceMs;
    if (owedSinceMs !== undefined && clock.nowMs() - owedSinceMs > this.#timing.pubackTimeoutMs) {
      const reason = `broker ${withoutSecret(config.url)}: messages are not acknowledged`;
      session.destroy(
        new DeliveryError('unreachable', reason, 'the box connects again; see the broker’s log'),
      );
    }
  }

  async #sayStopped(session: Session): Promise<void> {
    const enough = new AbortController();
    session.publish(this.#status('stopped'), () => enough.abort());
    void session.closed.then(() => enough.abort());
    await this.#options.clock.sleep(STOPPED_WITHIN_MS, enough.signal);
  }

  /** Alerts go out whether or not the broker lets the box hear these. */
  #openInbox(session: Session): void {
    for (const topic of this.#inbox.keys()) {
      session.subscribe(topic).catch((fault: DeliveryError) => {
        this.#options.log.warn({ topic, reason: fault.message }, 'not subscribed on this connection');
      });
    }
  }

  #received(topic: string, payload: Buffer, answer: AnswerProperties): void {
    this.#inbox.get(topic)?.(payload, answer);
    if (topic !== this.#topics.ack) return;
    try {
      this.#drain.acknowledged(parseAck(payload));
    } catch (error) {
      if (!(error instanceof AgentError)) throw error;
      if (error.kind === 'corrupt') this.#drain.counters.badAcks += 1;
      this.#options.log.warn({ topic, reason: messageOf(error) }, 'message from the room ignored');
    }
  }

  #sendHealth(): void {
    const health = this.#health;
    const session = this.#session;
    if (health === undefined || session === undefined) return;
    if (this.#options.clock.nowMs() - health.atMs > HEALTH_FRESH_MS) return;
    const { payload } = health;
    const message: Message = {
      topic: this.#topics.health,
      payload,
      qos: 0,
      retain: true,
      contentType: JSON_TYPE,
    };
    session.publish(message, (refusal) => this.#refusal(refusal));
  }

  #sendJournalHead(): void {
    if (this.#journalHead === undefined) return;
    const { note, growth } = this.#journalHead;
    const base = { qos: 1, retain: true, contentType: NOTE_TYPE } as const;
    for (const [topic, payload] of [
      [this.#topics.journalHead, note],
      [this.#topics.journalGrowth, growth],
    ] as const) {
      this.#session?.publish({ ...base, topic, payload }, (refusal) => this.#refusal(refusal));
    }
  }

  #status(state: StatusReport['state']): Message {
    const { boot, clock } = this.#options;
    const status: StatusReport = { state, boot, time: new Date(clock.wallMs()).toISOString() };
    const payload = JSON.stringify(status);
    return { topic: this.#topics.status, payload, qos: 1, retain: true, contentType: JSON_TYPE };
  }

  #refusal(refusal: DeliveryError | undefined): void {
    if (this.#phase !== 'online' || refusal?.code === this.#fault?.code) return;
    if (refusal !== undefined) this.#options.log.error({ code: refusal.code }, refusal.message);
    this.#enter('online', refusal);
  }

  /** `fault` undefined clears it, except while trying: the last reason stands until there is a connection. */
  #enter(phase: DeliveryState['phase'], fault?: DeliveryError): void {
    if (phase !== this.#phase) this.#sinceWallMs = this.#options.clock.wallMs();
    this.#phase = phase;
    if (phase !== 'connecting') this.#fault = fault;
  }
}
