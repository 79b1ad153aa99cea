/**
 * One MQTT 5 connection, from CONNECT to its end; it never comes back by itself.
 *
 * MQTT.js is used without its own reconnection and queues: a new client for each connection, a clean
 * session, and what was in flight is sent again by the drain, the only place that repeats anything.
 */
import mqtt, { type IClientPublishOptions, type MqttClient, type Packet } from 'mqtt';
import type { Clock } from '../base/clock.ts';
import { withoutSecret } from '../base/log.ts';
import type { MqttConfig } from '../contract/config.ts';
import type { Credentials } from './credentials.ts';
import { closedError, type DeliveryError, deliveryError, deliveryErrorOf } from './faults.ts';

/** The MQTT 5 default where CONNACK names none is 65,535 (MQTT 5.0, 3.2.2.3.3). */
const RECEIVE_MAXIMUM_DEFAULT = 65_535;

/** Largest message taken from the room; acknowledgements have 50 bytes, later signed commands a few kB. */
const INCOMING_BYTES_MAX = 65_536;

export interface Message {
  readonly topic: string;
  readonly payload: string | Buffer;
  readonly qos: 0 | 1;
  readonly retain: boolean;
  readonly contentType: string;
  readonly expiryS?: number;
  readonly userProperties?: Readonly<Record<string, string>>;
  readonly correlation?: Uint8Array;
  readonly responseTopic?: string;
}

/** What a message says of its answer (MQTT 5.0, 4.10). */
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
  /** Largest message that is taken. */
  readonly incomingBytesMax?: number;
  onMessage(topic: string, payload: Buffer, answer: AnswerProperties): void;
}

/** Resolves when the broker has accepted the connection; rejects with DeliveryError. */
export async function openSession(options: SessionOptions, signal: AbortSignal): Promise<Session> {
  let abort: (() => void) | undefined;
  try {
    const session = new Session(options);
    abort = () => session.destroy();
    signal.addEventListener('abort', abort, { once: true });
    await session.open();
    return session;
  } catch (error) {
    // MQTT.js and TLS throw at once for a URL or a key that they cannot use.
    throw deliveryError(error, options.config.url);
  } finally {
    if (abort !== undefined) signal.removeEventListener('abort', abort);
  }
}

export class Session {
  /** Messages with QoS 1 that may be unacknowledged at once, as the broker says. */
  receiveMaximum = RECEIVE_MAXIMUM_DEFAULT;
  /** Resolves, with the reason, once the connection is gone for whatever cause. */
  readonly closed: Promise<DeliveryError>;
  readonly #client: MqttClient;
  readonly #options: SessionOptions;
  #fault: DeliveryError | undefined;
  #over = false;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#client = mqtt.connect(options.config.url, { ...clientOptions(options), manualConnect: true });
    const { url } = options.config;
    const where = `broker ${withoutSecret(url)}`;
    // The first error says most: what follows is its consequence. The listener stays for ever, since
    // MQTT.js may emit errors after the end, and an error event without a listener ends the process.
    this.#client.on('error', (error) => {
      this.#fault ??= deliveryError(error, url);
    });
    this.#client.on('disconnect', ({ reasonCode }) => {
      this.#fault ??= deliveryErrorOf(reasonCode ?? 0, where);
    });
    this.#client.on('message', (topic, payload, { properties }) =>
      options.onMessage(topic, payload, properties ?? {}),
    );
    this.closed = new Promise((resolve) => {
      this.#client.on('close', () => {
        this.#over = true;
        resolve(this.#fault ?? closedError(url));
      });
    });
  }

  async open(): Promise<void> {
    const accepted = new Promise<void>((resolve) => {
      this.#client.once('connect', ({ properties }) => {
        this.receiveMaximum = properties?.receiveMaximum ?? RECEIVE_MAXIMUM_DEFAULT;
        resolve();
      });
    });
    this.#client.connect();
    const refusal = await Promise.race([accepted, this.closed]);
    if (refusal === undefined) return;
    this.destroy();
    throw refusal;
  }

  /** `done` is called at most once, on PUBACK (QoS 1) or when written (QoS 0); never after the connection is gone. */
  publish(message: Message, done: (refusal?: DeliveryError) => void): void {
    this.#client.publish(message.topic, message.payload, publishOptions(message), (error) => {
      if (this.#over) return;
      done(error == null ? undefined : this.#refusal(error, message.topic));
    });
  }

  /** Resolves on SUBACK; rejects with DeliveryError when the broker refuses or the connection goes. */
  async subscribe(topic: string): Promise<void> {
    try {
      await this.#client.subscribeAsync(topic, { qos: 1 });
    } catch (error) {
      throw deliveryError(error, this.#options.config.url);
    }
  }

  /** Ends with a DISCONNECT, which keeps the Last Will from being sent; by force when that takes too long. */
  async end(withinMs: number): Promise<void> {
    const { clock } = this.#options;
    const force = new AbortController();
    this.#over = true;
    // MQTT.js would wait for every PUBACK first; what is not acknowledged stays in the outbox.
    for (const id of Object.keys(this.#client.outgoing)) this.#client.removeOutgoingMessage(Number(id));
    this.#client.end();
    await Promise.race([this.closed, clock.sleep(withinMs, force.signal)]);
    force.abort();
    this.destroy();
  }

  /** Drops the connection without a word; the broker sends the Last Will. */
  destroy(fault?: DeliveryError): void {
    this.#fault ??= fault;
    this.#over = true;
    this.#client.end(true);
    this.#client.stream?.destroy();
  }

  #refusal(error: Error, topic: string): DeliveryError {
    const code = 'code' in error ? error.code : undefined;
    const where = `publishing to ${topic}`;
    return typeof code === 'number'
      ? deliveryErrorOf(code, where)
      : deliveryError(error, this.#options.config.url);
  }
}

/** MQTT.js would keep a second copy of everything in flight, to send it again by itself. The outbox has it. */
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
  const { credentials, clientId, will, keepaliveS, connectTimeoutMs, incomingBytesMax } = options;
  const { ca, cert, key } = credentials;
  return {
    // Under 3.1.1 a publish that the ACL denies returns success.
    protocolVersion: 5,
    clientId,
    clean: true,
    reconnectPeriod: 0,
    resubscribe: false,
    queueQoSZero: false,
    outgoingStore: new NoStore(),
    incomingStore: new NoStore(),
    keepalive: keepaliveS,
    connectTimeout: connectTimeoutMs,
    rejectUnauthorized: true,
    properties: { maximumPacketSize: incomingBytesMax ?? INCOMING_BYTES_MAX },
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

function publishOptions(message: Message): IClientPublishOptions {
  const { qos, retain, contentType, expiryS, userProperties, correlation, responseTopic } = message;
  return {
    qos,
    retain,
    properties: {
      contentType,
      ...(expiryS !== undefined && { messageExpiryInterval: expiryS }),
      ...(userProperties && { userProperties: { ...userProperties } }),
      ...(responseTopic !== undefined && { responseTopic }),
      ...(correlation && { correlationData: Buffer.from(correlation) }),
    },
  };
}
