/** Room's end of commands: receives the status of boxes, publishes commands and receives the answers. */
import { randomBytes } from 'node:crypto';
import { systemClock } from '../../../agent/base/clock.ts';
import { ALL_BOXES } from '../../../agent/contract/command.ts';
import type { MqttConfig } from '../../../agent/contract/config.ts';
import type { DeliveryError } from '../../../agent/mqtt/connection-errors.ts';
import { readCredentials } from '../../../agent/mqtt/credentials.ts';
import { openSession, type Session } from '../../../agent/mqtt/session.ts';

/** Covers a page of a search (128 KiB), one event (at most 256 KiB) and a sealed still (700 kB in Base64). */
const REPLY_BYTES_MAX = 1_048_576;
const CONNECT_TIMEOUT_MS = 10_000;
const KEEPALIVE_S = 30;

export interface RoomLinkOptions {
  readonly config: MqttConfig;
  readonly site: string;
  /** Called with a box's retained status, unparsed. */
  onStatus(box: string, payload: Buffer): void;
  /** Called with a box's answer, unparsed. */
  onReply(box: string, payload: Buffer, correlation: string): void;
}

export class RoomLink {
  readonly #options: RoomLinkOptions;
  readonly #token = randomBytes(12).toString('hex');
  #session: Session | undefined;

  constructor(options: RoomLinkOptions) {
    this.#options = options;
  }

  /** Connects and subscribes; throws DeliveryError (one line for the user). Resolves when answers can come. */
  async start(signal: AbortSignal): Promise<void> {
    const { config, site } = this.#options;
    this.#session = await openSession(
      {
        config,
        credentials: readCredentials(config),
        clientId: `search.${this.#token}`,
        keepaliveS: KEEPALIVE_S,
        connectTimeoutMs: CONNECT_TIMEOUT_MS,
        clock: systemClock,
        incomingBytesMax: REPLY_BYTES_MAX,
        onMessage: (topic, payload, { correlationData }) => this.#received(topic, payload, correlationData),
      },
      signal,
    );
    await this.#session.subscribe(`vigie/${site}/+/reply/${this.#token}`);
    await this.#session.subscribe(`vigie/${site}/+/status`);
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
    await this.#session?.end(1000);
  }

  get #openSession(): Session {
    if (this.#session === undefined) throw new Error('the link to the room is not open');
    return this.#session;
  }

  #received(topic: string, payload: Buffer, correlation: Buffer | undefined): void {
    const [, , box = '', branch] = topic.split('/');
    if (branch === 'status') this.#options.onStatus(box, payload);
    if (branch === 'reply') this.#options.onReply(box, payload, correlation?.toString() ?? '');
  }
}
