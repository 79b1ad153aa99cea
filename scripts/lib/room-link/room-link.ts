/**
 * Room's end of commands: receives the status of boxes, publishes commands and receives the answers.
 *
 * All links of this process under one certificate share a connection, because the broker knows a client by its
 * certificate's name and admits it once.
 */
import { randomBytes } from 'node:crypto';
import { systemClock } from '../../../agent/base/clock.ts';
import { AgentError } from '../../../agent/base/errors.ts';
import { ALL_BOXES } from '../../../agent/contract/command.ts';
import type { MqttConfig } from '../../../agent/contract/config.ts';
import type { DeliveryError } from '../../../agent/mqtt/connection-errors.ts';
import { readCredentials } from '../../../agent/mqtt/credentials.ts';
import { openSession, type Session, type SessionOptions } from '../../../agent/mqtt/session.ts';

/** Covers a page of a search (128 KiB), one event (at most 256 KiB) and a sealed still (700 kB in Base64). */
const REPLY_BYTES_MAX = 1_048_576;
const CONNECT_TIMEOUT_MS = 10_000;
const KEEPALIVE_S = 30;
const END_WITHIN_MS = 1000;

export interface RoomLinkOptions {
  readonly config: MqttConfig;
  readonly site: string;
  /** Called with a box's retained status, unparsed. */
  onStatus(box: string, payload: Buffer): void;
  /** Called with a box's answer, unparsed. */
  onReply(box: string, payload: Buffer, correlation: string): void;
}

/** Connections in use, by address and certificate. */
const connections = new Map<string, Connection>();

/** A connection and the links that use it. It ends with the last of them. */
class Connection {
  readonly session: Promise<Session>;
  readonly links = new Set<RoomLink>();
  readonly #key: string;
  readonly #unused = new AbortController();

  private constructor(key: string, config: MqttConfig) {
    this.#key = key;
    const options: SessionOptions = {
      config,
      credentials: readCredentials(config),
      // For a broker without certificates; otherwise the broker takes the certificate's name.
      clientId: `desk.${randomBytes(12).toString('hex')}`,
      keepaliveS: KEEPALIVE_S,
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
      clock: systemClock,
      incomingBytesMax: REPLY_BYTES_MAX,
      onMessage: (topic, payload, { correlationData }) => {
        for (const link of this.links) link.received(topic, payload, correlationData);
      },
    };
    this.session = openSession(options, this.#unused.signal);
    const forget = (): void => this.#forget();
    this.session.then(({ closed }) => closed.then(forget), forget);
  }

  /** Returns the connection of this certificate, a new one if there is none. */
  static of(config: MqttConfig): Connection {
    const key = JSON.stringify([config.url, config.cert]);
    const connection = connections.get(key) ?? new Connection(key, config);
    connections.set(key, connection);
    return connection;
  }

  async leave(link: RoomLink): Promise<void> {
    this.links.delete(link);
    if (this.links.size > 0) return;
    this.#forget();
    this.#unused.abort();
    const session = await this.session.catch(() => undefined);
    await session?.end(END_WITHIN_MS);
  }

  #forget(): void {
    if (connections.get(this.#key) === this) connections.delete(this.#key);
  }
}

export class RoomLink {
  readonly #options: RoomLinkOptions;
  readonly #token = randomBytes(12).toString('hex');
  #connection: Connection | undefined;
  #session: Session | undefined;

  constructor(options: RoomLinkOptions) {
    this.#options = options;
  }

  /** Connects and subscribes; throws AgentError (one line for the user). Resolves when answers can come. */
  async start(signal: AbortSignal): Promise<void> {
    const { config, site } = this.#options;
    const connection = Connection.of(config);
    this.#connection = connection;
    connection.links.add(this);
    const end = (): void => void this.stop();
    signal.addEventListener('abort', end, { once: true });
    if (signal.aborted) end();
    try {
      const session = await connection.session;
      this.#session = session;
      await session.subscribe(this.#replies);
      await session.subscribe(`vigie/${site}/+/status`);
      if (this.#connection === undefined) throw new AgentError('unavailable', 'interrupted');
    } catch (error) {
      await this.stop();
      throw error;
    } finally {
      signal.removeEventListener('abort', end);
    }
  }

  get #replies(): string {
    return `vigie/${this.#options.site}/+/reply/${this.#token}`;
  }

  /** Resolves with the reason when the connection has ended. */
  get closed(): Promise<DeliveryError> {
    return this.#openSession.closed;
  }

  /** Sends a signed command to a box, or to all of the site. `onRefused` is called if the broker does not take it. */
  ask(
    box: string | undefined,
    envelope: string,
    correlation: string,
    onRefused: (error: DeliveryError) => void,
  ): void {
    const root = `vigie/${this.#options.site}/${box ?? ALL_BOXES}`;
    this.#openSession.publish(
      {
        topic: `${root}/cmd`,
        payload: envelope,
        qos: 1,
        retain: false,
        contentType: 'application/json',
        responseTopic: `${root}/reply/${this.#token}`,
        correlation: Buffer.from(correlation),
      },
      (refusal) => refusal && onRefused(refusal),
    );
  }

  async stop(): Promise<void> {
    const connection = this.#connection;
    this.#connection = undefined;
    // Another link may still use the connection, which may have ended.
    const session = this.#session;
    if (session !== undefined && (connection?.links.size ?? 0) > 1)
      await Promise.race([session.unsubscribe(this.#replies).catch(() => undefined), session.closed]);
    await connection?.leave(this);
  }

  get #openSession(): Session {
    if (this.#session === undefined) throw new Error('the link to the room is not open');
    return this.#session;
  }

  /** Takes a message of the connection. */
  received(topic: string, payload: Buffer, correlation: Buffer | undefined): void {
    const [, site, box = '', branch, token] = topic.split('/');
    if (site !== this.#options.site) return;
    if (branch === 'status') this.#options.onStatus(box, payload);
    if (branch === 'reply' && token === this.#token)
      this.#options.onReply(box, payload, correlation?.toString() ?? '');
  }
}
