/**
 * One MQTT 5 connection, from CONNECT to its end; it never reconnects.
 * MQTT.js is used without its own reconnection and queues: each connection has a new client and a clean session. The
 * drain, the only module that repeats messages, sends unacknowledged messages again.
 *
 * INVARIANTS: it sends nothing that the broker has declared unsupported:
 * - no more unacknowledged QoS 1 messages than its Receive Maximum,
 * - no packet beyond its Maximum Packet Size,
 * - no retained message if it does not retain.
 *
 * LIMITS: WAITING_MAX messages wait for space in that window; further ones are refused.
 */
import mqtt, { type MqttClient, type Packet } from 'mqtt';
import constants from 'mqtt-packet/constants.js';
import type { Clock } from '../base/clock.ts';
import { withoutSecret } from '../base/log.ts';
import { TO_BOX_PACKET_BYTES_MAX } from '../contract/broker-connection.ts';
import type { MqttConfig } from '../contract/config.ts';
import {
  closedError,
  DeliveryError,
  deliveryError,
  deliveryErrorOf,
  tooLargeError,
} from './connection-errors.ts';
import type { Credentials } from './credentials.ts';
import { type LearntLimits, PACKET_TOO_LARGE } from './learnt-limits.ts';
import { type Message, packetBytes, publishOptions } from './publish-packet.ts';

/** Default of MQTT 5 if CONNACK names none (MQTT 5.0, 3.2.2.3.3). */
const RECEIVE_MAXIMUM_DEFAULT = 65_535;

/** MQTT 5.0, 2.4. */
const QOS_NOT_SUPPORTED = 155;

/**
 * Brokers also use this code in a PUBACK, although MQTT 5 has 149 for DISCONNECT alone (3.4.2.1). The codec of MQTT.js
 * would treat that PUBACK as malformed, and the refused message would be unknown.
 */
constants.MQTT5_PUBACK_PUBREC_CODES[PACKET_TOO_LARGE] = 'Packet too large';

/**
 * Number of QoS 1 messages that a broker may have in flight to the box, so that a flood waits there and not in memory
 * here.
 */
const INCOMING_WINDOW = 20;

/** A witness replies to 1,500 boxes whose journals grow at the same time. */
const WAITING_MAX = 2000;

/** Reply properties of a message (MQTT 5.0, 4.10). */
export interface AnswerProperties {
  readonly responseTopic?: string | undefined;
  readonly correlationData?: Buffer | undefined;
}

export interface SessionOptions {
  readonly config: MqttConfig;
  readonly credentials: Credentials;
  readonly clientId: string;
  readonly will?: Message;
  readonly keepaliveS: number;
  readonly connectTimeoutMs: number;
  readonly clock: Clock;
  /** Largest accepted message, in bytes. */
  readonly incomingBytesMax?: number;
  /**
   * Number of QoS 1 messages that may be in flight to this client. A broker with more retained messages than it queues
   * drops the rest.
   */
  readonly incomingWindow?: number;
  /** Limits learnt from earlier connections to this broker; also learns from this one. */
  readonly learnt?: LearntLimits;
  onMessage(topic: string, payload: Buffer, answer: AnswerProperties): void;
  /** Called after a PUBACK, if the window has space and nothing waits for it. */
  onRoom?(): void;
}

interface Waiting {
  readonly message: Message;
  onDone(refusal?: DeliveryError): void;
}

interface SentMessage {
  readonly bytes: number;
}

/** Opens a session. Resolves when the broker has accepted the connection; rejects with DeliveryError. */
export async function openSession(options: SessionOptions, signal: AbortSignal): Promise<Session> {
  let abort: (() => void) | undefined;
  try {
    const session = new Session(options);
    abort = () => session.destroy();
    signal.addEventListener('abort', abort, { once: true });
    await session.open();
    return session;
  } catch (error) {
    // MQTT.js and TLS throw synchronously for an unusable URL or key.
    throw deliveryError(error, options.config.url);
  } finally {
    if (abort !== undefined) signal.removeEventListener('abort', abort);
  }
}

export class Session {
  /** Resolves with the reason when the connection has ended, whatever the cause. */
  readonly closed: Promise<DeliveryError>;
  readonly #client: MqttClient;
  readonly #options: SessionOptions;
  #error: DeliveryError | undefined;
  #over = false;
  #receiveMaximum = RECEIVE_MAXIMUM_DEFAULT;
  #packetBytesMax = Number.POSITIVE_INFINITY;
  #retain = true;
  /** Messages without an acknowledgement. */
  readonly #sentMessages = new Set<SentMessage>();
  readonly #waiting: Waiting[] = [];
  /** Largest packet of QoS 0, which is never acknowledged. */
  #qos0BytesMax = 0;
  #lastPubackMs = 0;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#client = mqtt.connect(options.config.url, { ...clientOptions(options), manualConnect: true });
    const { url } = options.config;
    const context = `broker ${withoutSecret(url)}`;
    // The listener is never removed, because MQTT.js may emit errors after the end, and an error event without a
    // listener ends the process.
    this.#client.on('error', (error) => {
      this.#ends(deliveryError(error, url));
      // After an unreadable packet MQTT.js stays connected but receives nothing more.
      this.#client.stream?.destroy();
    });
    this.#client.on('disconnect', ({ reasonCode }) => this.#ends(deliveryErrorOf(reasonCode ?? 0, context)));
    this.#client.on('message', (topic, payload, { properties }) =>
      options.onMessage(topic, payload, properties ?? {}),
    );
    this.closed = new Promise((resolve) => {
      this.#client.on('close', () => {
        this.#over = true;
        resolve(this.#error ?? closedError(url));
      });
    });
  }

  /**
   * Connects.
   * @throws DeliveryError if the broker refuses, or does not support what a box sends
   */
  async open(): Promise<void> {
    const context = `broker ${withoutSecret(this.#options.config.url)}`;
    const accepted = new Promise<DeliveryError | undefined>((resolve) => {
      this.#client.once('connect', ({ properties }) => {
        this.#receiveMaximum = properties?.receiveMaximum ?? RECEIVE_MAXIMUM_DEFAULT;
        this.#packetBytesMax = properties?.maximumPacketSize ?? Number.POSITIVE_INFINITY;
        this.#retain = properties?.retainAvailable !== false;
        resolve(properties?.maximumQoS === 0 ? deliveryErrorOf(QOS_NOT_SUPPORTED, context) : undefined);
      });
    });
    this.#client.connect();
    const refusal = await Promise.race([accepted, this.closed]);
    if (refusal === undefined) return;
    this.destroy();
    throw refusal;
  }

  /** Number of QoS 1 messages without an acknowledgement. */
  get inFlight(): number {
    return this.#sentMessages.size;
  }

  /** Number of QoS 1 messages that would be sent immediately; 0 while some wait. */
  get room(): number {
    return this.#waiting.length > 0 ? 0 : Math.max(0, this.#receiveMaximum - this.#sentMessages.size);
  }

  /** Maximum number of unacknowledged messages, as declared by the broker. */
  get receiveMaximum(): number {
    return this.#receiveMaximum;
  }

  /** Size of the largest packet in bytes that the broker accepts, as far as declared or learnt. */
  get packetBytesMax(): number {
    return Math.min(this.#packetBytesMax, this.#options.learnt?.packetBytesMax ?? Number.POSITIVE_INFINITY);
  }

  /** Reports whether the broker retains messages; if not, they are sent unretained. */
  get retain(): boolean {
    return this.#retain && this.#options.learnt?.retain !== false;
  }

  /** Monotonic time in ms since which the broker owes a PUBACK; undefined if it owes none. */
  get owedSinceMs(): number | undefined {
    return this.#sentMessages.size === 0 ? undefined : this.#lastPubackMs;
  }

  /**
   * Sends immediately or, with QoS 1, when the window has space. The function `onDone` is called at most once, and
   * never after the connection has ended. It is called on PUBACK (QoS 1), when written (QoS 0), or immediately with a
   * refusal for an unsupported message.
   */
  publish(message: Message, onDone: (refusal?: DeliveryError) => void): void {
    const bytes = packetBytes(message);
    const context = `publishing to ${message.topic}`;
    if (bytes > this.packetBytesMax) onDone(tooLargeError(context, bytes, this.packetBytesMax));
    else if (message.qos === 0) {
      this.#qos0BytesMax = Math.max(this.#qos0BytesMax, bytes);
      this.#client.publish(message.topic, message.payload, this.#publishOptions(message), () => {
        if (!this.#over) onDone();
      });
    } else if (this.room > 0) this.#sendCounted(message, bytes, onDone);
    else if (this.#waiting.length < WAITING_MAX) this.#waiting.push({ message, onDone });
    else
      onDone(new DeliveryError('unreachable', `${context}: too many messages wait`, 'see the broker’s log'));
  }

  /** Resolves on SUBACK; rejects with DeliveryError if the broker refuses or the connection ends. */
  async subscribe(topic: string): Promise<void> {
    try {
      await this.#client.subscribeAsync(topic, { qos: 1 });
    } catch (error) {
      throw deliveryError(error, this.#options.config.url);
    }
  }

  /** Resolves on UNSUBACK; rejects like `subscribe`. */
  async unsubscribe(topic: string): Promise<void> {
    try {
      await this.#client.unsubscribeAsync(topic);
    } catch (error) {
      throw deliveryError(error, this.#options.config.url);
    }
  }

  /** Ends with a DISCONNECT, which prevents the Last Will; closes by force after the time limit. */
  async end(withinMs: number): Promise<void> {
    const { clock } = this.#options;
    const force = new AbortController();
    this.#over = true;
    // MQTT.js would first wait for every PUBACK. Unacknowledged rows stay in the outbox.
    for (const id of Object.keys(this.#client.outgoing)) this.#client.removeOutgoingMessage(Number(id));
    this.#client.end();
    await Promise.race([this.closed, clock.sleep(withinMs, force.signal)]);
    force.abort();
    this.destroy();
  }

  /** Drops the connection without a DISCONNECT; the broker sends the Last Will. */
  destroy(error?: DeliveryError): void {
    this.#error ??= error;
    this.#over = true;
    this.#client.end(true);
    this.#client.stream?.destroy();
  }

  #sendCounted(message: Message, bytes: number, onDone: Waiting['onDone']): void {
    const { clock, learnt } = this.#options;
    if (this.#sentMessages.size === 0) this.#lastPubackMs = clock.nowMs();
    const sentMessage = { bytes };
    this.#sentMessages.add(sentMessage);
    this.#client.publish(message.topic, message.payload, this.#publishOptions(message), (error) => {
      const code = error != null && 'code' in error ? error.code : undefined;
      // An error without a reason code means that the connection has ended, which `closed` reports.
      if (this.#over || (error != null && typeof code !== 'number')) return;
      this.#sentMessages.delete(sentMessage);
      this.#lastPubackMs = clock.nowMs();
      const refusal =
        typeof code === 'number' ? deliveryErrorOf(code, `publishing to ${message.topic}`) : undefined;
      if (refusal !== undefined) learnt?.learn(refusal, bytes);
      onDone(refusal);
      this.#sendWaiting();
    });
  }

  #sendWaiting(): void {
    while (!this.#over && this.#sentMessages.size < this.#receiveMaximum) {
      const next = this.#waiting.shift();
      if (next === undefined) {
        this.#options.onRoom?.();
        return;
      }
      this.#sendCounted(next.message, packetBytes(next.message), next.onDone);
    }
  }

  #publishOptions(message: Message): ReturnType<typeof publishOptions> {
    return publishOptions(this.retain ? message : { ...message, retain: false });
  }

  /** Records why the connection ends or fails. The first reason is the cause; later ones are its consequences. */
  #ends(error: DeliveryError): void {
    this.#error ??= error;
    const bytes = [...this.#sentMessages].map((message) => message.bytes);
    this.#options.learnt?.learn(error, Math.max(this.#qos0BytesMax, ...bytes));
  }
}

/**
 * Disables the store in which MQTT.js would keep a second copy of everything in flight, to send it again automatically.
 * The outbox has it.
 */
class NoStore extends mqtt.Store {
  override put(_packet: Packet, stored: (error?: Error) => void): this {
    stored();
    return this;
  }

  override del(_packet: Pick<Packet, 'messageId'>, removed: (error?: Error) => void): this {
    removed();
    return this;
  }
}

function clientOptions(options: SessionOptions): mqtt.IClientOptions {
  const { credentials, clientId, will, keepaliveS, connectTimeoutMs, incomingBytesMax, incomingWindow } =
    options;
  const { ca, cert, key } = credentials;
  return {
    // Under 3.1.1, a publish denied by the ACL returns success.
    protocolVersion: 5,
    clientId,
    clean: true,
    reconnectPeriod: 0,
    resubscribe: false,
    queueQoSZero: false,
    outgoingStore: new NoStore(),
    incomingStore: new NoStore(),
    keepalive: keepaliveS,
    // Acknowledgements count as answers to a ping, because on a slow line the ping itself waits behind events.
    reschedulePings: true,
    connectTimeout: connectTimeoutMs,
    rejectUnauthorized: true,
    properties: {
      maximumPacketSize: incomingBytesMax ?? TO_BOX_PACKET_BYTES_MAX,
      receiveMaximum: incomingWindow ?? INCOMING_WINDOW,
    },
    ...(ca && { ca }),
    ...(cert && { cert }),
    ...(key && { key }),
    ...(will && {
      will: {
        topic: will.topic,
        payload: Buffer.from(will.payload),
        qos: will.qos,
        retain: will.retain,
        properties: { contentType: will.contentType },
      },
    }),
  };
}
