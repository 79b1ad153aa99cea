/**
 * Stand-in for the room's archive, in memory and in the test's own process, that also records the order of arrival. The
 * real archive is scripts/room.
 */
import { readFileSync } from 'node:fs';
import mqtt, { type IPublishPacket, type MqttClient } from 'mqtt';
import { type GapEvent, LANES, type Lane } from '../../agent/contract/outbox.ts';
import type { KeyPair } from '../../scripts/lib/certificates.ts';
import { advance, NOTHING, type Progress } from '../../scripts/products/room/archive/numbers.ts';
import type { Contract } from '../../scripts/workshop/docs/contract.ts';

export interface Stored {
  readonly topic: string;
  readonly payload: Buffer;
  readonly packet: IPublishPacket;
  readonly boot: string;
}

export interface ArchiveOptions {
  readonly url: string;
  readonly tls?: KeyPair & { readonly ca: string };
  readonly site: string;
  readonly box: string;
  /** Called for a message that breaks the published contract. */
  onProblem(problem: string): void;
}

/** Made with the first archive that starts: many tests have a room whose archive is another one, or none. */
let contract: Promise<Contract> | undefined;

/** Compiles the schemas at once. At the first message it would stop the timers of a box in this process for a second. */
async function compiledContract(): Promise<Contract> {
  const { Contract } = await import('../../scripts/workshop/docs/contract.ts');
  const compiled = new Contract();
  compiled.eventProblems({});
  return compiled;
}

export class Archive {
  /** First copy of each event, by lane and number. */
  readonly stored: Record<Lane, Map<number, Stored>> = { alert: new Map(), bulk: new Map() };
  /** Event numbers in the order of their first arrival. */
  readonly arrived: Record<Lane, number[]> = { alert: [], bulk: [] };
  /** Last message of each retained topic. */
  readonly retained = new Map<string, unknown>();
  duplicates = 0;
  /** Time of the first duplicate, by performance.now(); NaN before. */
  firstDuplicateMs = Number.NaN;
  errors = 0;
  acking = true;
  readonly #options: ArchiveOptions;
  readonly #progress: Record<Lane, Progress> = { alert: NOTHING, bulk: NOTHING };
  #client: MqttClient | undefined;
  #timer: NodeJS.Timeout | undefined;
  #dirty = false;

  constructor(options: ArchiveOptions) {
    this.#options = options;
  }

  /** Returns the highest number up to which every event is stored or is recorded as lost. */
  storedThrough(lane: Lane): number {
    return this.#progress[lane].contiguousSeq;
  }

  /** Resolves when subscribed. */
  async start(): Promise<void> {
    const { url, tls, site, box } = this.#options;
    contract ??= compiledContract();
    const checked = await contract;
    this.#client = await mqtt.connectAsync(url, {
      protocolVersion: 5,
      clientId: 'archive',
      clean: false,
      properties: { sessionExpiryInterval: 3600 },
      reconnectPeriod: 100,
      keepalive: 5,
      ...(tls && { ca: readFileSync(tls.ca), cert: readFileSync(tls.cert), key: readFileSync(tls.key) }),
    });
    // The client reconnects automatically; these tests kill brokers.
    this.#client.on('error', () => {
      this.errors += 1;
    });
    this.#client.handleMessage = (packet, callback) => {
      for (const problem of checked.problems(packet)) this.#options.onProblem(problem);
      this.#store(packet);
      callback();
    };
    await this.#client.subscribeAsync(`vigie/${site}/${box}/#`, { qos: 1, rap: true });
    this.#timer = setInterval(() => this.#acknowledge(), 200);
  }

  /** Publishes as the room's MQTT user. */
  async publish(topic: string, payload: string): Promise<void> {
    await this.#client?.publishAsync(topic, payload, { qos: 1 });
  }

  /** Forgets everything, as for a box that was never seen. */
  forget(): void {
    for (const lane of LANES) {
      this.stored[lane].clear();
      this.arrived[lane].length = 0;
      this.#progress[lane] = NOTHING;
    }
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#client?.endAsync(true);
  }

  #store(packet: IPublishPacket): void {
    const { topic, properties, retain } = packet;
    const payload = Buffer.from(packet.payload);
    const { lane, seq, first, boot } = properties?.userProperties ?? {};
    if (lane !== 'alert' && lane !== 'bulk') {
      if (retain || /(status|health)$/.test(topic)) this.retained.set(topic, JSON.parse(payload.toString()));
      return;
    }
    const number = Number(seq);
    this.#dirty = true;
    if (this.stored[lane].has(number)) {
      if (this.duplicates === 0) this.firstDuplicateMs = performance.now();
      this.duplicates += 1;
      return;
    }
    this.arrived[lane].push(number);
    this.stored[lane].set(number, { topic, payload, packet, boot: String(boot) });
    const gap = topic.endsWith('/evt/system/outbox-gap')
      ? (JSON.parse(payload.toString()) as GapEvent).data
      : undefined;
    this.#progress[lane] = advance(this.#progress[lane], Number(first), [[gap?.from ?? number, number]]);
  }

  #acknowledge(): void {
    const { site, box } = this.#options;
    if (!this.#dirty || !this.acking || this.#client?.connected !== true) return;
    this.#dirty = false;
    const ack = Object.fromEntries(LANES.map((lane) => [lane, this.storedThrough(lane)]));
    this.#client.publish(`vigie/${site}/${box}/ack`, JSON.stringify(ack), { qos: 1 });
  }
}
