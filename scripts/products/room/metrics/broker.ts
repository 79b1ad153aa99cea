/** Connects to the room's broker to receive the messages of boxes. An unreachable broker is retried indefinitely. */
import { randomBytes } from 'node:crypto';
import mqtt, { type MqttClient } from 'mqtt';
import type { MqttConfig } from '../../../../agent/contract/config.ts';
import { roomBrokerProblem } from '../../../../agent/mqtt/connection-errors.ts';
import { readCredentials } from '../../../../agent/mqtt/credentials.ts';
import { ConnectionCounts, LOGS } from './client-connections.ts';
import { BRANCHES } from './messages.ts';

/**
 * Count of retained messages, which Mosquitto publishes every 10 s. A box may create any number of topics, and only a
 * count reveals it.
 */
const RETAINED_COUNT = '$SYS/broker/retained messages/count';
/** Maximum receive window: Mosquitto silently drops messages beyond the window and its queue. */
const WINDOW = 65_535;
/**
 * Maximum packet size in bytes, enough for the largest message of a box. Messages above MESSAGE_BYTES_MAX are refused
 * later and counted.
 */
const PACKET_BYTES_MAX = 1_048_576;
const RECONNECT_MS = 1000;
const KEEPALIVE_S = 30;
const END_WITHIN_MS = 1000;

export interface BrokerOptions {
  readonly config: MqttConfig;
  onMessage(topic: string, payload: Buffer, retained: boolean): void;
  /** Receives a line for a person about a fault or its end. */
  onNotice(line: string): void;
}

export class Broker {
  /** Number of messages that the broker retains; undefined until the broker has reported it. */
  retainedMessages: number | undefined;
  readonly connections = new ConnectionCounts();
  readonly #options: BrokerOptions;
  #client: MqttClient | undefined;
  #subscribed = false;
  #problem: string | undefined;

  constructor(options: BrokerOptions) {
    this.#options = options;
  }

  /** True if messages of boxes are received. */
  get connected(): boolean {
    return this.#subscribed && this.#client?.connected === true;
  }

  /**
   * Connects.
   * @throws {AgentError} `config` for unusable certificates
   */
  start(): void {
    const { config, onMessage } = this.#options;
    const { ca, cert, key } = readCredentials(config);
    const client = mqtt.connect(config.url, {
      protocolVersion: 5,
      clientId: `metrics.${randomBytes(6).toString('hex')}`,
      clean: true,
      resubscribe: false,
      reconnectPeriod: RECONNECT_MS,
      keepalive: KEEPALIVE_S,
      properties: { receiveMaximum: WINDOW, maximumPacketSize: PACKET_BYTES_MAX },
      ...(ca && { ca }),
      ...(cert && { cert }),
      ...(key && { key }),
    });
    this.#client = client;
    client.on('message', (topic, payload, { retain }) => {
      const logOf = LOGS.get(topic);
      if (logOf !== undefined) return this.connections.take(logOf, payload.toString());
      if (topic !== RETAINED_COUNT) return onMessage(topic, payload, retain);
      const count = Number(payload.toString());
      if (Number.isSafeInteger(count)) this.retainedMessages = count;
    });
    client.on('connect', () => void this.#subscribe(client));
    client.on('close', () => {
      this.#subscribed = false;
      this.#reportProblem('broker: the connection was closed; tried again until it is back');
    });
    client.on('error', (error) => {
      this.#reportProblem(roomBrokerProblem(error, config.url));
      // After an unparseable packet, MQTT.js would stay connected but receive nothing.
      client.stream?.destroy();
    });
  }

  /** Idempotent. */
  async stop(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    if (client === undefined) return;
    client.removeAllListeners('close');
    const force = setTimeout(() => client.end(true), END_WITHIN_MS);
    await client.endAsync();
    clearTimeout(force);
  }

  async #subscribe(client: MqttClient): Promise<void> {
    try {
      const ofBoxes = BRANCHES.map((branch) => `vigie/+/+/${branch}`);
      await client.subscribeAsync([...ofBoxes, RETAINED_COUNT, ...LOGS.keys()], { qos: 1 });
    } catch (error) {
      this.#reportProblem(roomBrokerProblem(error, this.#options.config.url));
      return;
    }
    this.#subscribed = true;
    if (this.#problem !== undefined) this.#options.onNotice('broker: connected again');
    this.#problem = undefined;
  }

  /** Reports a fault once, until it is over. */
  #reportProblem(line: string): void {
    if (this.#problem !== undefined || this.#client === undefined) return;
    this.#problem = line;
    this.#options.onNotice(line);
  }
}
