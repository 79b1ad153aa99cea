/**
 * Connects the archive to the broker. All archives of a room use the same client id: the broker allows one connection
 * at a time, and stores unacknowledged messages for the next archive.
 *
 * INVARIANT: a connection that is lost or taken over is re-established until `close`. The broker takes the id from the
 * certificate, so only a holder of the archive's own key can take it over. Such a holder delays the storing until
 * `revoke-program archive.room`.
 * LIMITS: one attempt each RECONNECT_MS. After a takeover the delay is TAKEN_BACK_MS, doubling, until a connection has
 * lasted STEADY_MS.
 */
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import mqtt, { type IPublishPacket, type MqttClient } from 'mqtt';
import { ARCHIVE } from '../contract/terms.ts';

const RECONNECT_MS = 1000;

/**
 * Delays after a takeover in ms: another client that repeatedly takes the id causes little load and keeps this one away
 * for at most this time.
 */
const TAKEN_BACK_MS = { first: 500, max: 2000 };

/** Time in ms after which a connection no longer counts as part of a contest for the id. */
const STEADY_MS = 60_000;

/**
 * Time in s for which the broker keeps the session, with QoS 1 messages that arrive while no archive is connected.
 *
 * A takeover needs 15 s of it. The rest is for boxes with `ack: broker`, which store nothing themselves: an evening
 * until someone fixes the archive, and the night. It is not longer because the broker of an abandoned room should not
 * collect messages indefinitely. The broker's own queue limits (max_queued_messages, max_queued_bytes) apply first.
 */
const SESSION_KEPT_S = 86_400;

/** Maximum message size in bytes, far beyond what a box sends (256 kB). The broker withholds larger messages. */
const MESSAGE_BYTES_MAX = 1_048_576;

const END_WITHIN_MS = 2000;

/** Status and health are retained, so each subscription receives those of all boxes. */
const TOPICS = ['vigie/+/+/evt/#', 'vigie/+/+/snap/+', 'vigie/+/+/status', 'vigie/+/+/health'];

/** MQTT 5.0, 3.14.2.1. */
const SESSION_TAKEN_OVER = 142;

/** Makes MQTT.js withhold its acknowledgement; see `handleMessage`. */
const NOT_YET = new Error('acknowledged when it is stored');

export interface ConnectionOptions {
  readonly url: string;
  /** PEM; undefined for a broker without TLS. */
  readonly tls: { readonly ca: Buffer; readonly cert: Buffer; readonly key: Buffer } | undefined;
  /** Maximum number of messages in flight that are not yet acknowledged to the broker. */
  readonly window: number;
  /** Receives a message. `stream` is its connection, for `puback`. */
  onPacket(packet: IPublishPacket, stream: Duplex): void;
  /** Called when connected and subscribed. */
  onReady(): void;
  /**
   * Called when another client connected under the same id. Returns true if it is not one of our archives; this class
   * then reports and counts it.
   */
  isForeign(): Promise<boolean>;
  brokerProblem(error: unknown): string;
  onNotice(line: string): void;
}

export class Connection {
  /** Number of takeovers by foreign clients. */
  takenOver = 0;
  readonly #options: ConnectionOptions;
  #client: MqttClient | undefined;
  #problem: string | undefined;
  /** Takeovers in the current contest, since a connection last lasted STEADY_MS. */
  #inARow = 0;
  #steady: NodeJS.Timeout | undefined;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  get isConnected(): boolean {
    return this.#client?.connected === true;
  }

  /** Starts to connect. An unreachable broker is retried indefinitely. */
  open(): MqttClient {
    const { url, tls, window, onPacket, brokerProblem } = this.#options;
    const client = mqtt.connect(url, {
      protocolVersion: 5,
      clientId: ARCHIVE,
      clean: false,
      resubscribe: false,
      queueQoSZero: false,
      reconnectPeriod: RECONNECT_MS,
      keepalive: 15,
      properties: {
        receiveMaximum: window,
        maximumPacketSize: MESSAGE_BYTES_MAX,
        sessionExpiryInterval: SESSION_KEPT_S,
      },
      ...tls,
    });
    this.#client = client;
    client.handleMessage = (packet, handled) => {
      onPacket(packet, client.stream);
      handled(packet.qos === 0 ? undefined : NOT_YET);
    };
    client.on('connect', () => void this.#connected(client));
    client.on('error', (error) => this.reportProblem(brokerProblem(error)));
    client.on('close', () => {
      clearTimeout(this.#steady);
      if (this.#inARow === 0) this.reportProblem('broker: the connection is gone; tried again each second');
    });
    client.on('disconnect', ({ reasonCode }) => {
      if (reasonCode === SESSION_TAKEN_OVER) void this.#takenOver(client);
    });
    return client;
  }

  /**
   * Disconnects; the broker keeps the session. With `isLost` it does so at once, because another archive may use the
   * session already.
   */
  async close(isLost: boolean): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    clearTimeout(this.#steady);
    if (client === undefined) return;
    // MQTT.js would wait indefinitely for acknowledgements of an unreachable broker.
    if (!isLost) await Promise.race([client.endAsync(), sleep(END_WITHIN_MS)]);
    client.end(true);
    this.#problem = undefined;
    this.#inARow = 0;
  }

  /** Publishes at QoS 1; does nothing without a connection. */
  publish(topic: string, payload: string): void {
    this.#client?.publish(topic, payload, { qos: 1 }, (error) => {
      if (error) this.reportProblem(`broker: ${topic} cannot be published: ${textOf(error)}`);
    });
  }

  /** Reports a fault once, until it is over. */
  reportProblem(line: string): void {
    if (this.#problem !== undefined || this.#client === undefined) return;
    this.#problem = line;
    this.#options.onNotice(line);
  }

  async #connected(client: MqttClient): Promise<void> {
    try {
      await client.subscribeAsync(TOPICS, { qos: 1 });
    } catch (error) {
      // A connection that was closed or taken over meanwhile is reported elsewhere.
      if (this.#client === client && client.connected)
        this.reportProblem(`broker: subscribing failed: ${textOf(error)}`);
      return;
    }
    if (this.#client !== client) return;
    if (this.#inARow > 0) this.#steady = setTimeout(() => this.#hold(client), STEADY_MS);
    else this.#recovered('broker: connected again');
    this.#options.onReady();
  }

  async #takenOver(client: MqttClient): Promise<void> {
    const { reconnectPeriod = RECONNECT_MS } = client.options;
    // Must be set before the connection closes, because MQTT.js reads it then.
    client.options.reconnectPeriod =
      this.#inARow === 0 ? TAKEN_BACK_MS.first : Math.min(2 * reconnectPeriod, TAKEN_BACK_MS.max);
    this.#inARow += 1;
    if (!(await this.#options.isForeign()) || this.#client !== client) return;
    this.takenOver += 1;
    this.reportProblem(
      `broker: another program connected with a certificate of ${ARCHIVE}; stop it, or give it the same --database, ` +
        'so that one of the two stands by; if it is not yours, revoke that name; this one connects again and again',
    );
  }

  #hold(client: MqttClient): void {
    client.options.reconnectPeriod = RECONNECT_MS;
    const times = this.#inARow;
    this.#inARow = 0;
    this.#recovered(
      `broker: connected for ${STEADY_MS / 1000} s, after ${times} times that another program was in its place`,
    );
  }

  #recovered(line: string): void {
    if (this.#problem !== undefined) this.#options.onNotice(line);
    this.#problem = undefined;
  }
}

/**
 * Sends a PUBACK of MQTT 5, as MQTT.js would within `handleMessage`. There it would have to precede the next message,
 * and every message would be its own transaction.
 */
export function puback(messageId: number | undefined, stream: Duplex): void {
  if (messageId === undefined || !stream.writable) return;
  stream.write(Buffer.from([0x40, 2, messageId >> 8, messageId & 0xff]));
}

/** Returns the message of an error. If all addresses of a host refuse, the error has no message itself. */
export function textOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(textOf).join('; ');
  return error instanceof Error ? error.message : String(error);
}
