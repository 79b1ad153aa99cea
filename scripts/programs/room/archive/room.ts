/**
 * The room's end of the line: what boxes publish goes into the archive, and each box hears how far, and what became of its
 * alerts.
 *
 * INVARIANTS: a message is acknowledged to the broker, and its number to the box, only after the transaction
 * that holds it is on disk; a number is acknowledged only when all before it are there, by the database's word.
 * LIMITS: BATCH_MAX messages unacknowledged at the broker; what is beyond waits there, or in the boxes' outboxes.
 * Reports without acknowledgement are dropped while REPORTS_MAX messages wait: the next comes within 30 s.
 */
import type { Duplex } from 'node:stream';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import mqtt, { type IPublishPacket, type MqttClient } from 'mqtt';
import { DatabaseAway, DataRefused } from '../database/sql.ts';
import type { Archive } from './archive.ts';
import type { LaneThrough, Stored } from './batch.ts';
import { FloodGuard } from './flood.ts';
import { type Arrival, arrivalOf, isName } from './message.ts';
import type { Register } from './register.ts';
import type { Strangers } from './strangers.ts';
import type { VerdictDelivery } from './verdicts.ts';
import type { Withdrawal } from './withdrawal.ts';

/** In one transaction. Mosquitto sends 20 unless its max_inflight_messages says more. */
const BATCH_MAX = 200;

const REPORTS_MAX = 2000;

/** Of messages that are refused or kept unread. */
const TOLD_EACH = 10;

/** Boxes go on sending 1,000 numbers beyond an acknowledgement: this allows 10,000 messages a second each. */
const ACK_EVERY_MS = 100;

/** An archive that is away is tried again at this pace, the wait doubling. */
const RETRY_MS = { first: 100, max: 5000 };

/** How long a broker keeps what comes for an instance that is named and away. */
const SESSION_KEPT_S = 86_400;

/** Far beyond what a box sends (256 kB); a broker keeps larger ones to itself. */
const MESSAGE_BYTES_MAX = 1_048_576;

const END_WITHIN_MS = 2000;

/** MQTT 5.0, 3.14.2.1. */
const SESSION_TAKEN_OVER = 142;

/** Tells MQTT.js that it is not to acknowledge; see `handleMessage`. */
const NOT_YET = new Error('acknowledged when it is stored');

export interface RoomOptions {
  readonly url: string;
  /** PEM, absent for a broker without TLS. */
  readonly tls?: { readonly ca: Buffer; readonly cert: Buffer; readonly key: Buffer };
  /** Several rooms of one group share the events and snapshots among them. */
  readonly share?: string;
  /** With a name of its own the broker keeps what comes while this room is away. */
  readonly clientId?: string;
  readonly archive: Archive;
  /** Absent: every box is taken as known. */
  readonly register?: Register;
  /** What is new in the archive, duplicates left out. */
  onStored(fresh: readonly Arrival[]): void;
  /** An error of the connection as one line for a person: which broker, what is wrong, what would be right. */
  brokerFault(error: unknown): string;
  /** One line for a person: a fault, or its end. */
  onNotice(line: string): void;
  /** This room cannot go on. */
  onFatal(line: string): void;
}

export interface RoomCounters {
  events: number;
  snapshots: number;
  /** Came again, and were known. */
  duplicates: number;
  /** Kept although they could not be read. */
  unread: number;
  /** Not of a box's outbox, or from a program too old to say so: not kept. */
  refused: number;
  /** Reports that came while the archive was away for long. */
  dropped: number;
  /** Of a box that floods; one of ours would keep them. */
  limited: number;
  /** Of boxes that are not enrolled at this site. */
  strangers: number;
  /** Beyond what a box may have stored in a day; one of ours would keep them. */
  leftOut: number;
}

interface Pending {
  readonly arrival: Arrival;
  readonly messageId: number | undefined;
  /** The connection that it came on: a number of another one means another message. */
  readonly stream: Duplex;
}

export class Room {
  readonly counters: RoomCounters = {
    events: 0,
    snapshots: 0,
    duplicates: 0,
    unread: 0,
    refused: 0,
    dropped: 0,
    limited: 0,
    strangers: 0,
    leftOut: 0,
  };
  readonly #options: RoomOptions;
  readonly #pending: Pending[] = [];
  /** Acknowledgements to be published, by topic and epoch. */
  readonly #due = new Map<string, { box: string; topic: string; ack: Record<string, number | string> }>();
  /** Since when nothing waits to be stored. */
  #idleSinceMs = 0;
  readonly #floods = new FloodGuard();
  readonly #stopping = new AbortController();
  #client: MqttClient | undefined;
  #verdicts: VerdictDelivery | undefined;
  #strangers: Strangers | undefined;
  #withdrawal: Withdrawal | undefined;
  #storing: Promise<void> | undefined;
  #ackTimer: NodeJS.Timeout | undefined;
  #fault: string | undefined;

  constructor(options: RoomOptions) {
    this.#options = options;
  }

  /** Opens the archive and begins to connect; what is away is tried again for ever. */
  async start(): Promise<void> {
    const { url, tls, clientId } = this.#options;
    if (!(await this.#opened()) || this.#stopping.signal.aborted) return;
    this.#watchRegister();
    const client = mqtt.connect(url, {
      protocolVersion: 5,
      ...(clientId !== undefined && { clientId }),
      clean: clientId === undefined,
      resubscribe: false,
      queueQoSZero: false,
      reconnectPeriod: 1000,
      keepalive: 15,
      properties: {
        receiveMaximum: BATCH_MAX,
        maximumPacketSize: MESSAGE_BYTES_MAX,
        ...(clientId !== undefined && { sessionExpiryInterval: SESSION_KEPT_S }),
      },
      ...tls,
    });
    this.#client = client;
    client.handleMessage = (packet, handled) => {
      this.#take(packet, client.stream);
      handled(packet.qos === 0 ? undefined : NOT_YET);
    };
    this.#verdicts = this.#options.archive.verdictDelivery(client);
    this.#verdicts.start();
    client.on('connect', () => void this.#connected(client));
    client.on('error', (error) => this.#faulty(this.#options.brokerFault(error)));
    client.on('close', () => this.#faulty('broker: the connection is gone; tried again each second'));
    client.on('disconnect', ({ reasonCode }) => {
      if (reasonCode !== SESSION_TAKEN_OVER) return;
      client.end(true);
      this.#options.onFatal('broker: another program uses the same --client-id; give each its own');
    });
  }

  /** What has arrived is stored and acknowledged first, unless the archive is away. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#storing;
    await this.#verdicts?.stop();
    this.#options.register?.stop();
    await this.#withdrawal?.stop();
    await this.#strangers?.stop();
    this.#acknowledge();
    const client = this.#client;
    if (client !== undefined) {
      // MQTT.js would wait for ever for the acknowledgements of a broker that is away.
      await Promise.race([client.endAsync(), sleep(END_WITHIN_MS)]);
      client.end(true);
    }
    await this.#options.archive.close();
  }

  async #connected(client: MqttClient): Promise<void> {
    const { share } = this.#options;
    const shared = share === undefined ? '' : `$share/${share}/`;
    // The states are for everybody: a broker sends no retained message to a shared subscription.
    const topics = [`${shared}vigie/+/+/evt/#`, `${shared}vigie/+/+/snap/+`];
    try {
      await client.subscribeAsync([...topics, 'vigie/+/+/status', 'vigie/+/+/health'], { qos: 1 });
    } catch (error) {
      this.#faulty(`broker: subscribing failed: ${textOf(error)}`);
      return;
    }
    if (this.#fault !== undefined) this.#options.onNotice('broker: connected again');
    this.#fault = undefined;
    this.#acknowledge();
  }

  #watchRegister(): void {
    const { register, archive } = this.#options;
    if (register === undefined) return;
    this.#strangers = archive.strangers();
    const withdrawal = archive.withdrawal(register);
    this.#withdrawal = withdrawal;
    withdrawal.start();
    register.start(() => withdrawal.wake());
  }

  /** Whether it is of no box that is enrolled; then it is counted, and the broker is told that it is done. */
  #isStranger({ messageId, payload }: IPublishPacket, site: string, box: string, stream: Duplex): boolean {
    const { register } = this.#options;
    // What no box can be called is refused as such.
    if (register === undefined || !isName(site) || !isName(box)) return false;
    if (register.isEnrolled(site, box)) return false;
    this.counters.strangers += 1;
    this.#strangers?.note(site, box, payload.length);
    const why = register.isRevoked(box) ? 'is revoked' : 'is not enrolled';
    this.#tell(this.counters.strangers, `left out a message of ${site}/${box}: the box ${why} there`);
    puback(messageId, stream);
    return true;
  }

  #take(packet: IPublishPacket, stream: Duplex): void {
    const { messageId, topic } = packet;
    if (this.#stopping.signal.aborted) return;
    const [, site = '', box = ''] = topic.split('/', 3);
    // Of several archives each sees a part of what a box sends, and none what the others acknowledge.
    const isAlone = this.#options.share === undefined;
    // By its name, which is its certificate's: a site is what it says.
    if (isAlone && this.#floods.leavesOut(box)) {
      this.counters.limited += 1;
      this.#tell(
        this.counters.limited,
        `left out a message of ${site}/${box}: it waits for no acknowledgement`,
      );
      puback(messageId, stream);
      return;
    }
    if (this.#isStranger(packet, site, box, stream)) return;
    if (packet.qos === 0 && this.#pending.length >= REPORTS_MAX) {
      this.counters.dropped += 1;
      return;
    }
    try {
      this.#pending.push({ arrival: arrivalOf(packet, Date.now()), messageId, stream });
    } catch (error) {
      this.counters.refused += 1;
      this.#tell(this.counters.refused, `refused a message on ${topic}: ${textOf(error)}`);
      puback(messageId, stream);
      return;
    }
    this.#storing ??= this.#storeAll().finally(() => {
      this.#storing = undefined;
      this.#idleSinceMs = performance.now();
    });
  }

  async #storeAll(): Promise<void> {
    // What the broker has sent in one go is one batch.
    await setImmediate();
    while (this.#pending.length > 0) {
      const batch = this.#pending.slice(0, BATCH_MAX);
      if (!(await this.#store(batch.map(({ arrival }) => arrival)))) return;
      this.#pending.splice(0, batch.length);
      for (const { messageId, stream } of batch) puback(messageId, stream);
    }
  }

  async #opened(): Promise<boolean> {
    const opened = await this.#insist(
      () => this.#options.archive.open().then(() => true),
      (error) => error instanceof DatabaseAway,
    );
    return opened === true;
  }

  /** False when told to stop before the archive took it. */
  async #store(batch: readonly Arrival[]): Promise<boolean> {
    const { archive, onStored } = this.#options;
    let stored: Stored | undefined;
    try {
      stored = await this.#insist(
        () => archive.store(batch),
        (error) => !(error instanceof DataRefused),
      );
    } catch (error) {
      if (!(error instanceof DataRefused)) throw error;
      return this.#storeApart(batch, error);
    }
    if (stored === undefined) return false;
    const { fresh, leftOut, lanes } = stored;
    this.counters.leftOut += leftOut.length;
    this.#count(batch.length - leftOut.length, fresh);
    for (const lane of lanes) this.#owe(lane);
    onStored(fresh);
    return true;
  }

  /** One message that the database does not take must not hold up those of everybody: it is found, and kept unread. */
  async #storeApart(batch: readonly Arrival[], why: DataRefused): Promise<boolean> {
    const [only] = batch;
    if (batch.length > 1) {
      const half = batch.length >> 1;
      return (await this.#store(batch.slice(0, half))) && (await this.#store(batch.slice(half)));
    }
    if (only?.kind !== 'event' || only.body.startsWith('"')) {
      // Its number is not acknowledged to the box, which keeps it and sends it again: nothing is lost, and it is told.
      this.counters.refused += 1;
      this.#tell(this.counters.refused, `refused a message: ${why.message}`);
      return true;
    }
    const { kind, place, body } = only;
    const { epoch, lane, seq } = place;
    const unread = `the database does not take it: ${why.message}`;
    const kept = { kind, place, id: `unread-${epoch}-${lane}-${seq}`, type: '', time: '', unread };
    return this.#store([{ ...kept, body: JSON.stringify(body) }]);
  }

  /** Does something with the archive until it works; undefined when told to stop before. */
  async #insist<T>(act: () => Promise<T>, again: (error: unknown) => boolean): Promise<T | undefined> {
    const { onNotice } = this.#options;
    let failures = 0;
    for (let waitMs = RETRY_MS.first; ; waitMs = Math.min(2 * waitMs, RETRY_MS.max)) {
      try {
        const result = await act();
        if (failures > 0) onNotice(`archive: works again, after ${failures} failures`);
        return result;
      } catch (error) {
        if (!again(error)) throw error;
        if (failures === 0) onNotice(`archive: ${textOf(error)}; tried again until it works`);
        failures += 1;
      }
      if (this.#stopping.signal.aborted) return undefined;
      await sleep(waitMs);
    }
  }

  #count(taken: number, fresh: readonly Arrival[]): void {
    this.counters.duplicates += taken - fresh.length;
    for (const arrival of fresh) {
      if (arrival.kind === 'event') this.counters.events += 1;
      if (arrival.kind === 'snapshot') this.counters.snapshots += 1;
      if (arrival.kind !== 'event' || arrival.unread === undefined) continue;
      this.counters.unread += 1;
      const { site, box } = arrival.place;
      this.#tell(this.counters.unread, `kept unread, a message of ${site}/${box}: ${arrival.unread}`);
    }
  }

  /** The first TOLD_EACH, then one in ten, one in a hundred, …: what comes in floods does not bury the rest. */
  #tell(count: number, line: string): void {
    if (count <= TOLD_EACH) this.#options.onNotice(line);
    else if (/^\d0+$/.test(String(count))) this.#options.onNotice(`${line} (${count} so far)`);
  }

  #owe({ site, box, epoch, lane, through }: LaneThrough): void {
    const key = `${site}/${box}/${epoch}`;
    const ack = this.#due.get(key)?.ack ?? { epoch };
    const topic = `vigie/${site}/${box}/ack`;
    this.#due.set(key, { box, topic, ack: { ...ack, [lane]: through } });
    this.#ackTimer ??= setTimeout(() => this.#acknowledge(), ACK_EVERY_MS);
  }

  #acknowledge(): void {
    clearTimeout(this.#ackTimer);
    this.#ackTimer = undefined;
    const client = this.#client;
    // Without a connection they wait: the newest of each box.
    if (client?.connected !== true) return;
    const idleMs = this.#storing === undefined ? performance.now() - this.#idleSinceMs : 0;
    for (const [key, { box, topic, ack }] of this.#due) {
      if (!this.#stopping.signal.aborted && this.#floods.holds(box, idleMs)) continue;
      this.#due.delete(key);
      client.publish(topic, JSON.stringify(ack), { qos: 1 }, (error) => {
        if (error) this.#faulty(`broker: ${topic} cannot be published: ${textOf(error)}`);
      });
    }
    if (this.#due.size > 0) this.#ackTimer = setTimeout(() => this.#acknowledge(), ACK_EVERY_MS);
  }

  /** Said once, until it is over. */
  #faulty(line: string): void {
    if (this.#fault !== undefined || this.#stopping.signal.aborted) return;
    this.#fault = line;
    this.#options.onNotice(line);
  }
}

/**
 * PUBACK of MQTT 5, as MQTT.js would send it from within `handleMessage`. There it would have to come before
 * the next message is handed over, and every message would be a transaction of its own.
 */
function puback(messageId: number | undefined, stream: Duplex): void {
  if (messageId === undefined || !stream.writable) return;
  stream.write(Buffer.from([0x40, 2, messageId >> 8, messageId & 0xff]));
}

/** Several addresses of one host that all refuse are an error without a message of its own. */
function textOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(textOf).join('; ');
  return error instanceof Error ? error.message : String(error);
}
