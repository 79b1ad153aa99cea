/**
 * Receives the messages of boxes, stores them in the archive, and sends each box its acknowledgements and verdicts.
 *
 * INVARIANTS:
 * - A message is acknowledged to the broker, and its number to the box, only after its transaction is durable.
 * - A number is acknowledged only if the database holds all numbers before it.
 * - Of several archives on one database only the holder of the lease is connected, and each transaction confirms that
 *   lease.
 * LIMITS:
 * - BATCH_MAX messages unacknowledged at the broker. Further ones wait in its session, up to the broker's own limits,
 *   or in the boxes' outboxes.
 * - Messages of a box with `ack: broker` are lost if they are sent before any archive was ever connected, or while all
 *   were disconnected for longer than the session lasts.
 * - Unacknowledged reports are dropped while REPORTS_MAX messages wait; the next report comes within 30 s.
 */
import type { Duplex } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import type { IPublishPacket } from 'mqtt';
import { DatabaseUnavailable, DataRefused } from '../database/sql.ts';
import { LeaseLost } from '../database/watched-lease.ts';
import { Admission } from './admission.ts';
import type { Archive } from './archive.ts';
import type { LaneProgress, MovedLane, Stored } from './batch.ts';
import { Connection, puback, textOf } from './connection.ts';
import { Duty } from './duty.ts';
import { FloodGuard } from './flood.ts';
import { type Arrival, arrivalOf } from './message.ts';
import { pause } from './pause.ts';
import type { Register } from './register.ts';
import type { VerdictDelivery } from './verdicts.ts';

/** Messages per transaction. Mosquitto sends 20 unless its max_inflight_messages is higher. */
const BATCH_MAX = 200;

const REPORTS_MAX = 2000;

/** Number of refused or unreadable messages that are reported individually. */
const TOLD_EACH = 10;

/**
 * Delay of acknowledgements in ms. Boxes send 1,000 numbers ahead, so this allows 10,000 messages a second for each.
 */
const ACK_EVERY_MS = 100;

/** Retry delays in ms while the archive is unavailable; the delay doubles. */
const RETRY_MS = { first: 100, max: 5000 };

export interface RoomOptions {
  readonly url: string;
  /** PEM; undefined for a broker without TLS. */
  readonly tls: { readonly ca: Buffer; readonly cert: Buffer; readonly key: Buffer } | undefined;
  readonly archive: Archive;
  /** Undefined: all boxes are accepted. */
  readonly register: Register | undefined;
  /** Called after each connection and subscription. */
  onReady?(): void;
  /** Receives the new arrivals, without duplicates. */
  onStored(newArrivals: readonly Arrival[]): void;
  /** Describes a connection error in one line for a person: broker, problem and fix. */
  brokerProblem(error: unknown): string;
  /** Receives a line for a person about a fault or its end. */
  onNotice(line: string): void;
  /** Receives a line for a person that is not a fault: this archive waits for another one or follows it. */
  onStandby(line: string): void;
}

export interface RoomCounters {
  events: number;
  snapshots: number;
  /** Repeated messages that were already stored. */
  duplicates: number;
  /** Stored although unreadable. */
  unread: number;
  /** Not stored: not from a box's outbox, or from a program too old to number its messages. */
  refusals: number;
  /** Reports that came while the archive was unavailable for long. */
  droppedReports: number;
  /** Messages of a box that floods; a regular box would keep them. */
  limited: number;
  /** Messages of boxes that are not enrolled at this site. */
  fromUnknownSenders: number;
  /** Messages beyond the daily share of a box; a regular box would keep them. */
  leftOut: number;
  /** Messages that neither the database nor their box has any more. */
  missing: number;
  /** Connections that ended because another program connected with a certificate of the archive. */
  readonly takenOver: number;
}

interface Pending {
  readonly arrival: Arrival;
  readonly messageId: number | undefined;
  /** Connection of the message; message ids of different connections are unrelated. */
  readonly stream: Duplex;
}

export class Room {
  readonly counters: RoomCounters;
  readonly #options: RoomOptions;
  readonly #pending: Pending[] = [];
  /** Acknowledgements to be published, by topic and epoch. */
  readonly #due = new Map<string, { box: string; topic: string; ack: Record<string, number | string> }>();
  /** Number of times that messages were missing. */
  #holes = 0;
  /** Time since which nothing waits to be stored. */
  #idleSinceMs = 0;
  readonly #floods = new FloodGuard();
  readonly #stopping = new AbortController();
  readonly #duty: Duty;
  readonly #connection: Connection;
  /** Aborts when this archive stops being active: nothing is received, stored or acknowledged afterwards. */
  #term = new AbortController();
  #verdicts: VerdictDelivery | undefined;
  #admission: Admission | undefined;
  #storing: Promise<void> | undefined;
  #ackTimer: NodeJS.Timeout | undefined;

  constructor(options: RoomOptions) {
    const { archive, onStandby, onNotice } = options;
    this.#options = options;
    const connection = new Connection({
      url: options.url,
      tls: options.tls,
      window: BATCH_MAX,
      onPacket: (packet, stream) => this.#take(packet, stream),
      onReady: () => {
        options.onReady?.();
        this.#acknowledge();
      },
      isForeign: () => this.#duty.confirmed(),
      brokerProblem: (error) => options.brokerProblem(error),
      onNotice,
    });
    this.#connection = connection;
    this.#duty = new Duty({
      lease: archive.lease,
      onStandby,
      onNotice,
      onBegin: () => this.#begin(),
      onLost: () => this.#dropPending(),
    });
    this.counters = {
      events: 0,
      snapshots: 0,
      duplicates: 0,
      unread: 0,
      refusals: 0,
      droppedReports: 0,
      limited: 0,
      fromUnknownSenders: 0,
      leftOut: 0,
      missing: 0,
      get takenOver() {
        return connection.takenOver;
      },
    };
  }

  /** Opens the archive, and connects once the lease is ours. Unavailable parts are retried indefinitely. */
  async start(): Promise<void> {
    if (!(await this.#openArchive()) || this.#stopping.signal.aborted) return;
    const { register, archive } = this.#options;
    this.#admission = register === undefined ? undefined : new Admission(register, archive);
    this.#admission?.start();
    this.#duty.start();
  }

  /** Stops. Received messages are stored and acknowledged first, unless the archive is unavailable. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#storing;
    await this.#verdicts?.stop();
    await this.#admission?.stop();
    this.#acknowledge();
    await this.#connection.close(false);
    // Last, so that the next holder finds no one connected.
    await this.#duty.stop();
    await this.#options.archive.close();
  }

  #begin(): void {
    if (this.#stopping.signal.aborted) return;
    this.#term = new AbortController();
    this.#verdicts = this.#options.archive.verdictDelivery(this.#connection.open());
    this.#verdicts.start();
  }

  /** Drops messages that are not stored yet: the broker or the box sends them to the next holder. */
  async #dropPending(): Promise<void> {
    this.#term.abort();
    await this.#connection.close(true);
    this.#pending.length = 0;
    await this.#storing;
    this.#due.clear();
    await this.#verdicts?.stop();
  }

  #take(packet: IPublishPacket, stream: Duplex): void {
    const { messageId, topic } = packet;
    if (this.#isOver) return;
    const [, site = '', box = ''] = topic.split('/', 3);
    // Identifies the box by its name, which its certificate proves; the site is only a claim.
    if (this.#floods.leavesOut(box, packet.payload.length)) {
      this.counters.limited += 1;
      this.#tell(
        this.counters.limited,
        `left out a message of ${site}/${box}: it waits for no acknowledgement`,
      );
      puback(messageId, stream);
      return;
    }
    const refusal = this.#admission?.refusal(site, box, packet.payload.length);
    if (refusal !== undefined) {
      this.counters.fromUnknownSenders += 1;
      this.#tell(this.counters.fromUnknownSenders, `left out a message of ${site}/${box}: ${refusal}`);
      puback(messageId, stream);
      return;
    }
    if (packet.qos === 0 && this.#pending.length >= REPORTS_MAX) {
      this.counters.droppedReports += 1;
      return;
    }
    try {
      this.#pending.push({ arrival: arrivalOf(packet, Date.now()), messageId, stream });
    } catch (error) {
      this.counters.refusals += 1;
      this.#tell(this.counters.refusals, `refused a message on ${topic}: ${textOf(error)}`);
      puback(messageId, stream);
      return;
    }
    this.#storing ??= this.#storeAll().finally(() => {
      this.#storing = undefined;
      this.#idleSinceMs = performance.now();
    });
  }

  get #isOver(): boolean {
    return this.#stopping.signal.aborted || this.#term.signal.aborted;
  }

  async #storeAll(): Promise<void> {
    // Lets all messages that the broker sent together form one batch.
    await setImmediate();
    while (this.#pending.length > 0) {
      const batch = this.#pending.slice(0, BATCH_MAX);
      if (!(await this.#store(batch.map(({ arrival }) => arrival)))) return;
      this.#pending.splice(0, batch.length);
      for (const { messageId, stream } of batch) puback(messageId, stream);
    }
  }

  async #openArchive(): Promise<boolean> {
    const isOpen = await this.#insist(
      () => this.#options.archive.open().then(() => true),
      (error) => error instanceof DatabaseUnavailable,
    );
    return isOpen === true;
  }

  /** Stores a batch. Returns false if the period ends before the archive has accepted it. */
  async #store(batch: readonly Arrival[]): Promise<boolean> {
    const { archive, onStored } = this.#options;
    let stored: Stored | undefined;
    try {
      stored = await this.#insist(
        () => archive.store(batch, archive.lease),
        (error) => !(error instanceof DataRefused || error instanceof LeaseLost),
      );
    } catch (error) {
      if (error instanceof LeaseLost) {
        this.#duty.lose();
        return false;
      }
      if (!(error instanceof DataRefused)) throw error;
      return this.#storeApart(batch, error);
    }
    if (stored === undefined) return false;
    const { newArrivals, leftOut, lanes } = stored;
    this.counters.leftOut += leftOut.length;
    this.#count(batch.length - leftOut.length, newArrivals);
    for (const lane of lanes) {
      this.#owe(lane);
      if (lane.missing > 0) this.#miss(lane);
    }
    onStored(newArrivals);
    return true;
  }

  /**
   * Splits a refused batch to find the message that the database refuses, and stores that one as unreadable. One
   * message must not block those of others.
   */
  async #storeApart(batch: readonly Arrival[], refusal: DataRefused): Promise<boolean> {
    const [only] = batch;
    if (batch.length > 1) {
      const half = batch.length >> 1;
      return (await this.#store(batch.slice(0, half))) && (await this.#store(batch.slice(half)));
    }
    if (only?.kind !== 'event' || only.body.startsWith('"')) {
      // Its number is not acknowledged, so the box keeps and resends it: nothing is lost, and the fault is reported.
      this.counters.refusals += 1;
      this.#tell(this.counters.refusals, `refused a message: ${refusal.message}`);
      return true;
    }
    const { kind, place, body } = only;
    const { epoch, lane, seq } = place;
    const unread = `the database does not take it: ${refusal.message}`;
    const unreadable = { kind, place, id: `unread-${epoch}-${lane}-${seq}`, type: '', time: '', unread };
    return this.#store([{ ...unreadable, body: JSON.stringify(body) }]);
  }

  #miss({ site, box, missing }: MovedLane): void {
    this.counters.missing += missing;
    this.#holes += 1;
    const line = `${missing} messages of ${site}/${box} are neither in this database nor on the box`;
    this.#tell(this.#holes, `${line}: it was restored from a backup, or the broker has lost them`);
  }

  /** Repeats an operation of the archive until it succeeds. Returns undefined if the period ends before. */
  async #insist<T>(
    operation: () => Promise<T>,
    canRetry: (error: unknown) => boolean,
  ): Promise<T | undefined> {
    const { onNotice } = this.#options;
    let failures = 0;
    for (let waitMs = RETRY_MS.first; ; waitMs = Math.min(2 * waitMs, RETRY_MS.max)) {
      try {
        const result = await operation();
        if (failures > 0) onNotice(`archive: works again, after ${failures} failures`);
        return result;
      } catch (error) {
        if (!canRetry(error)) throw error;
        if (failures === 0) onNotice(`archive: ${textOf(error)}; tried again until it works`);
        failures += 1;
      }
      if (this.#isOver) return undefined;
      await pause(waitMs, AbortSignal.any([this.#stopping.signal, this.#term.signal]));
    }
  }

  #count(takenCount: number, newArrivals: readonly Arrival[]): void {
    this.counters.duplicates += takenCount - newArrivals.length;
    for (const arrival of newArrivals) {
      if (arrival.kind === 'event') this.counters.events += 1;
      if (arrival.kind === 'snapshot') this.counters.snapshots += 1;
      if (arrival.kind !== 'event' || arrival.unread === undefined) continue;
      this.counters.unread += 1;
      const { site, box } = arrival.place;
      this.#tell(this.counters.unread, `kept unread, a message of ${site}/${box}: ${arrival.unread}`);
    }
  }

  /**
   * Reports the first TOLD_EACH occurrences, then one in ten, one in a hundred, …, so that a flood does not bury other
   * lines.
   */
  #tell(count: number, line: string): void {
    if (count <= TOLD_EACH) this.#options.onNotice(line);
    else if (/^\d0+$/.test(String(count))) this.#options.onNotice(`${line} (${count} so far)`);
  }

  #owe({ site, box, epoch, lane, contiguous_seq: contiguousSeq }: LaneProgress): void {
    const key = `${site}/${box}/${epoch}`;
    const ack = this.#due.get(key)?.ack ?? { epoch };
    const topic = `vigie/${site}/${box}/ack`;
    this.#due.set(key, { box, topic, ack: { ...ack, [lane]: contiguousSeq } });
    this.#ackTimer ??= setTimeout(() => this.#acknowledge(), ACK_EVERY_MS);
  }

  #acknowledge(): void {
    clearTimeout(this.#ackTimer);
    this.#ackTimer = undefined;
    // Without a connection, the newest acknowledgement of each box waits.
    if (!this.#connection.isConnected) return;
    const idleMs = this.#storing === undefined ? performance.now() - this.#idleSinceMs : 0;
    for (const [key, { box, topic, ack }] of this.#due) {
      if (!this.#stopping.signal.aborted && this.#floods.holds(box, idleMs)) continue;
      this.#due.delete(key);
      this.#connection.publish(topic, JSON.stringify(ack));
    }
    if (this.#due.size > 0) this.#ackTimer = setTimeout(() => this.#acknowledge(), ACK_EVERY_MS);
  }
}
