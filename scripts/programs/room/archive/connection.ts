/**
 * The archive's connection to the broker. Every archive of a room has the same client id: the broker lets one be connected,
 * and keeps for the next what the one before has not acknowledged.
 *
 * INVARIANT: what is lost or taken over is connected again until `close`; nobody who connects under this id can end that.
 * LIMITS: an attempt each RECONNECT_MS; after a takeover TAKEN_BACK_MS, doubling, until a connection has held for STEADY_MS.
 */
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import mqtt, { type IPublishPacket, type MqttClient } from 'mqtt';

/** No box can have it: their names have no dot. */
const CLIENT_ID = 'room.archive';

const RECONNECT_MS = 1000;

/** Whoever takes the id again and again costs no more than a handshake in so long, and keeps us away no longer. */
const TAKEN_BACK_MS = { first: 500, max: 2000 };

/** A connection that has held for so long is no part of a quarrel over the id. */
const STEADY_MS = 60_000;

/**
 * How long the broker keeps the session, and with it what comes at QoS 1 while no archive is connected. A takeover needs
 * 15 s of it. The rest is for boxes with `ack: broker`, which keep nothing themselves: an evening until somebody comes and
 * mends it, and the night. Not longer: after a room was given up, its broker need not collect for nobody. The broker's own
 * limits of the queue (max_queued_messages, max_queued_bytes) count before this.
 */
const SESSION_KEPT_S = 86_400;

/** Far beyond what a box sends (256 kB); a broker keeps larger ones to itself. */
const MESSAGE_BYTES_MAX = 1_048_576;

const END_WITHIN_MS = 2000;

/** The states are those of all boxes: retained, and given at each subscribing. */
const TOPICS = ['vigie/+/+/evt/#', 'vigie/+/+/snap/+', 'vigie/+/+/status', 'vigie/+/+/health'];

/** MQTT 5.0, 3.14.2.1. */
const SESSION_TAKEN_OVER = 142;

/** Tells MQTT.js that it is not to acknowledge; see `handleMessage`. */
const NOT_YET = new Error('acknowledged when it is stored');

export interface ConnectionOptions {
  readonly url: string;
  /** PEM; undefined for a broker without TLS. */
  readonly tls: { readonly ca: Buffer; readonly cert: Buffer; readonly key: Buffer } | undefined;
  /** Messages that may be on their way, acknowledged neither to the broker nor given up. */
  readonly window: number;
  /** `stream` is the connection that it came on, for `puback`. */
  onPacket(packet: IPublishPacket, stream: Duplex): void;
  /** Connected and subscribed. */
  onReady(): void;
  /** Somebody connected under the same id. True where it was none of us: then it is told and counted here. */
  isForeign(): Promise<boolean>;
  brokerFault(error: unknown): string;
  onNotice(line: string): void;
}

export class Connection {
  /** How often somebody else connected under the archive's id. */
  takenOver = 0;
  readonly #options: ConnectionOptions;
  #client: MqttClient | undefined;
  #fault: string | undefined;
  /** Of one quarrel: since a connection last held for STEADY_MS. */
  #inARow = 0;
  #steady: NodeJS.Timeout | undefined;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  get isConnected(): boolean {
    return this.#client?.connected === true;
  }

  /** Begins to connect; what is away is tried again for ever. */
  open(): MqttClient {
    const { url, tls, window, onPacket, brokerFault } = this.#options;
    const client = mqtt.connect(url, {
      protocolVersion: 5,
      clientId: CLIENT_ID,
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
    client.on('error', (error) => this.faulty(brokerFault(error)));
    client.on('close', () => {
      clearTimeout(this.#steady);
      if (this.#inARow === 0) this.faulty('broker: the connection is gone; tried again each second');
    });
    client.on('disconnect', ({ reasonCode }) => {
      if (reasonCode === SESSION_TAKEN_OVER) void this.#takenOver(client);
    });
    return client;
  }

  /** Leaves the broker, which keeps the session. At once where `isLost`: then another one may be in it. */
  async close(isLost: boolean): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    clearTimeout(this.#steady);
    if (client === undefined) return;
    // MQTT.js would wait for ever for the acknowledgements of a broker that is away.
    if (!isLost) await Promise.race([client.endAsync(), sleep(END_WITHIN_MS)]);
    client.end(true);
    this.#fault = undefined;
    this.#inARow = 0;
  }

  /** At QoS 1; nothing where there is no connection. */
  publish(topic: string, payload: string): void {
    this.#client?.publish(topic, payload, { qos: 1 }, (error) => {
      if (error) this.faulty(`broker: ${topic} cannot be published: ${textOf(error)}`);
    });
  }

  /** Told once, until it is over. */
  faulty(line: string): void {
    if (this.#fault !== undefined || this.#client === undefined) return;
    this.#fault = line;
    this.#options.onNotice(line);
  }

  async #connected(client: MqttClient): Promise<void> {
    try {
      await client.subscribeAsync(TOPICS, { qos: 1 });
    } catch (error) {
      // One that was ended, or taken over, in between says so itself.
      if (this.#client === client && client.connected)
        this.faulty(`broker: subscribing failed: ${textOf(error)}`);
      return;
    }
    if (this.#client !== client) return;
    if (this.#inARow > 0) this.#steady = setTimeout(() => this.#hold(client), STEADY_MS);
    else this.#mended('broker: connected again');
    this.#options.onReady();
  }

  async #takenOver(client: MqttClient): Promise<void> {
    const { reconnectPeriod = RECONNECT_MS } = client.options;
    // Set before the connection is seen to be gone: MQTT.js reads it then.
    client.options.reconnectPeriod =
      this.#inARow === 0 ? TAKEN_BACK_MS.first : Math.min(2 * reconnectPeriod, TAKEN_BACK_MS.max);
    this.#inARow += 1;
    if (!(await this.#options.isForeign()) || this.#client !== client) return;
    this.takenOver += 1;
    this.faulty(
      `broker: another program connected under the archive's client id ${CLIENT_ID}; give that one an id of its own, ` +
        'or the same --database, so that one of the two stands by; this one connects again and again',
    );
  }

  #hold(client: MqttClient): void {
    client.options.reconnectPeriod = RECONNECT_MS;
    const times = this.#inARow;
    this.#inARow = 0;
    this.#mended(
      `broker: connected for ${STEADY_MS / 1000} s, after ${times} times that another program was in its place`,
    );
  }

  #mended(line: string): void {
    if (this.#fault !== undefined) this.#options.onNotice(line);
    this.#fault = undefined;
  }
}

/**
 * PUBACK of MQTT 5, as MQTT.js would send it from within `handleMessage`. There it would have to come before
 * the next message is handed over, and every message would be a transaction of its own.
 */
export function puback(messageId: number | undefined, stream: Duplex): void {
  if (messageId === undefined || !stream.writable) return;
  stream.write(Buffer.from([0x40, 2, messageId >> 8, messageId & 0xff]));
}

/** Several addresses of one host that all refuse are an error without a message of its own. */
export function textOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(textOf).join('; ');
  return error instanceof Error ? error.message : String(error);
}
