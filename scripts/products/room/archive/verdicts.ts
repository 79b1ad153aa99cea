/**
 * Delivers the operators' verdicts to the boxes: `vigie/<site>/<box>/verdict`, QoS 1.
 *
 * INVARIANTS:
 * - A verdict leaves the table only after the broker had a subscriber for it (PUBACK without "no matching
 *   subscribers"), in one transaction with its audit entry.
 * - Verdicts of a box are sent in order and in sequence.
 * - The reviewer's name is not known here.
 * - A verdict that can still be undone is not sent (database/undo-window.ts); later ones of its box wait behind it.
 * - Of several archives on one database, the holder of the archive's lease delivers.
 * - Verdicts are delivered at least once: after a crash between PUBACK and commit one is repeated. A box treats
 *   repeated verdicts as one.
 * LIMITS:
 * - FLIGHT_MAX verdicts in flight. One that the broker does not acknowledge within ANSWER_WITHIN_MS stays due.
 * - A box without a subscription is retried after AGAIN_MS, doubling, or as soon as its state changes.
 */
import { Value } from '@sinclair/typebox/value';
import type { IClientPublishOptions, MqttClient } from 'mqtt';
import { printable } from '../../../../agent/base/printable.ts';
import { topicsOf } from '../../../../agent/contract/topics.ts';
import { Verdict } from '../../../../agent/contract/verdict.ts';
import { record } from '../database/audit.ts';
import { iso, type Queries, type Sql } from '../database/sql.ts';
import { closeWindows } from '../database/undo-window.ts';
import type { WatchedLease } from '../database/watched-lease.ts';
import { pause } from './pause.ts';

/**
 * Maximum number of verdicts in flight. Mosquitto itself queues more than its receive maximum of 20, and a hundred
 * operators are not faster than this.
 */
const FLIGHT_MAX = 100;

/**
 * Wait for a PUBACK in ms. A broker in the same city answers within milliseconds, and a lost connection is restored
 * within this time.
 */
const ANSWER_WITHIN_MS = 30_000;

/**
 * Retry delays in ms for a box that is online without a subscription: while it starts, or always with an old program.
 */
const AGAIN_MS = { first: 2000, max: 60_000 };

/** Interval of retries in ms. New verdicts trigger a database notification instead. */
const CHECK_EVERY_MS = 2000;

/** Minimum interval between two checks in ms, however often the database changes. */
const CHECKS_APART_MS = 100;

/** MQTT 5.0, 3.4.2.1: received, but without a subscriber. */
const NO_MATCHING_SUBSCRIBERS = 0x10;

/** The part of an MQTT.js client used here; tests use a substitute. */
export type Publisher = Pick<MqttClient, 'publish' | 'on' | 'off' | 'connected'>;

export interface VerdictOptions {
  readonly db: Sql;
  readonly client: Publisher;
  readonly lease: WatchedLease;
  readonly nowMs?: () => number;
  /** Receives one line for a person. */
  log(line: string): void;
}

interface Due {
  readonly no: number;
  readonly site: string;
  readonly box: string;
  readonly episode: string;
  readonly verdict: string;
  readonly time: string;
  /** Change number of the camera's row; it changes with the box's state. */
  readonly rev: number;
}

type Outcome = 'told' | 'unheard' | 'failed' | 'unfit';

interface Silent {
  readonly rev: number;
  readonly waitMs: number;
  readonly untilMs: number;
}

export class VerdictDelivery {
  /** `unheard` counts attempts; `unfit` counts verdicts on episodes whose names no box accepts. */
  readonly counters: Record<Outcome, number> = { told: 0, unheard: 0, failed: 0, unfit: 0 };
  readonly #options: VerdictOptions;
  readonly #nowMs: () => number;
  readonly #stopping = new AbortController();
  readonly #silent = new Map<string, Silent>();
  /** Packet ids without a subscriber, until MQTT.js reports their verdict; at most 65,535. */
  readonly #nobody = new Set<number>();
  #wake = new AbortController();
  #running: Promise<void> | undefined;
  #problem: string | undefined;

  constructor(options: VerdictOptions) {
    this.#options = options;
    this.#nowMs = options.nowMs ?? Date.now;
  }

  start(): void {
    if (this.#running !== undefined) return;
    this.#options.client.on('packetreceive', this.#onPacket);
    this.#running = this.#run();
  }

  /** Stops. Verdicts in flight stay due. Idempotent. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#wake.abort();
    await this.#running;
    this.#options.client.off('packetreceive', this.#onPacket);
  }

  readonly #onPacket = (packet: { cmd: string; messageId?: number; reasonCode?: number }): void => {
    if (packet.cmd !== 'puback' || packet.messageId === undefined) return;
    if (packet.reasonCode === NO_MATCHING_SUBSCRIBERS) this.#nobody.add(packet.messageId);
    else this.#nobody.delete(packet.messageId);
  };

  async #run(): Promise<void> {
    const { db } = this.#options;
    const { signal } = this.#stopping;
    let unlisten: (() => Promise<void>) | undefined;
    while (!signal.aborted) {
      this.#wake = new AbortController();
      try {
        unlisten ??= await db.listen(() => this.#wake.abort());
        while (!signal.aborted && (await this.#round()) > 0);
      } catch (error) {
        this.#tellProblem(`verdicts: ${error instanceof Error ? error.message : String(error)}; tried again`);
      }
      await pause(CHECKS_APART_MS, signal);
      await pause(CHECK_EVERY_MS, this.#wake.signal);
    }
    await this.#end(unlisten);
  }

  async #end(unlisten: (() => Promise<void>) | undefined): Promise<void> {
    const { log } = this.#options;
    try {
      await unlisten?.();
    } catch (error) {
      log(`verdicts: ${error instanceof Error ? error.message : String(error)}`);
    }
    const counts = Object.entries(this.counters).filter(([, count]) => count > 0);
    if (counts.length > 0) log(`verdicts: ${counts.map(([name, count]) => `${count} ${name}`).join(', ')}`);
  }

  /** Delivers due verdicts. Returns the number that left the table; 0 means that there is nothing to do for now. */
  async #round(): Promise<number> {
    const { db, client, lease } = this.#options;
    await closeWindows(db, this.#nowMs());
    if (!client.connected) return 0;
    const due = await this.#due();
    if (due.length === 0 || !(await lease.read())?.isOurs) {
      if (this.#silent.size === 0) this.#problem = undefined;
      return 0;
    }
    const byBox = new Map<string, Due[]>();
    for (const one of due) byBox.set(topicOf(one), [...(byBox.get(topicOf(one)) ?? []), one]);
    const results = await Promise.all([...byBox.values()].map((those) => this.#tellBox(those)));
    const outcomes = results.flat();
    for (const { outcome } of outcomes) this.counters[outcome] += 1;
    const settled = outcomes.filter(({ outcome }) => outcome === 'told' || outcome === 'unfit');
    if (settled.length > 0) await db.transaction((transaction) => this.#settle(transaction, settled));
    return settled.length;
  }

  /** Returns the oldest due verdicts of boxes that are online, except those that recently had no subscription. */
  #due(): Promise<Due[]> {
    const { db } = this.#options;
    const nowMs = this.#nowMs();
    for (const [box, { untilMs, waitMs }] of this.#silent) {
      // Kept beyond the wait, so that the next wait can double.
      if (untilMs + waitMs < nowMs) this.#silent.delete(box);
    }
    const silent = [...this.#silent]
      .filter(([, { untilMs }]) => untilMs > nowMs)
      .map(([name, { rev }]) => ({ name, rev }));
    const rows = db.dialect.rows('$1', 'silent', { name: 'text', rev: 'integer' });
    return db.all<Due>(
      `SELECT due.no, due.site, due.box, due.episode, due.verdict, due.time, camera.rev FROM verdict_due due
       JOIN camera ON camera.site = due.site AND camera.box = due.box
       WHERE camera.state = 'online' AND NOT EXISTS (SELECT 1 FROM ${rows}
         WHERE silent.name = due.site || '/' || due.box AND silent.rev = camera.rev)
       AND NOT EXISTS (SELECT 1 FROM undo_window JOIN verdict_due held ON held.no = undo_window.verdict_due
         WHERE held.site = due.site AND held.box = due.box AND held.no <= due.no)
       ORDER BY due.no LIMIT ${FLIGHT_MAX}`,
      [JSON.stringify(silent)],
    );
  }

  /** Sends the verdicts of a box in order, up to the first that is not accepted. */
  async #tellBox(those: readonly Due[]): Promise<{ due: Due; outcome: Outcome }[]> {
    const outcomes: { due: Due; outcome: Outcome }[] = [];
    for (const due of those) {
      if (this.#stopping.signal.aborted) break;
      const outcome = await this.#tell(due);
      outcomes.push({ due, outcome });
      const name = `${due.site}/${due.box}`;
      if (outcome === 'told') this.#silent.delete(name);
      if (outcome === 'told' || outcome === 'unfit') continue;
      const before = this.#silent.get(name);
      const waitMs = before?.rev === due.rev ? Math.min(2 * before.waitMs, AGAIN_MS.max) : AGAIN_MS.first;
      this.#silent.set(name, { rev: due.rev, waitMs, untilMs: this.#nowMs() + waitMs });
      break;
    }
    return outcomes;
  }

  async #tell(due: Due): Promise<Outcome> {
    const { episode, verdict, time } = due;
    const message = { episode, verdict, time };
    if (!Value.Check(Verdict, message)) return 'unfit';
    const published = new Promise<Outcome>((resolve) => {
      this.#options.client.publish(topicOf(due), JSON.stringify(message), QOS_1, (error, packet) => {
        const messageId = packet !== undefined && 'messageId' in packet ? packet.messageId : undefined;
        if (error)
          this.#tellProblem(`verdicts: ${printable(topicOf(due))} cannot be published: ${error.message}`);
        if (error || messageId === undefined) resolve('failed');
        else resolve(this.#nobody.delete(messageId) ? 'unheard' : 'told');
      });
    });
    const late = new AbortController();
    const signal = AbortSignal.any([late.signal, this.#stopping.signal]);
    const outcome = await Promise.race([
      published,
      pause(ANSWER_WITHIN_MS, signal).then(() => 'failed' as const),
    ]);
    late.abort();
    return outcome;
  }

  async #settle(
    transaction: Queries,
    settled: readonly { readonly due: Due; readonly outcome: Outcome }[],
  ): Promise<void> {
    const nowMs = this.#nowMs();
    await this.#options.lease.confirm(transaction);
    for (const { due, outcome } of settled) {
      const { no, site, box, episode, verdict, time } = due;
      if ((await transaction.run('DELETE FROM verdict_due WHERE no = $1', [no])) === 0) continue;
      const [incident] = await transaction.all<{ no: number }>(
        'SELECT no FROM incident WHERE site = $1 AND box = $2 AND episode = $3 ORDER BY entry DESC LIMIT 1',
        [site, box, episode],
      );
      const unfit = outcome === 'unfit' && { isDelivered: false, reason: 'not in the form that a box takes' };
      const of = incident === undefined ? {} : { incident: incident.no };
      const details = { episode, verdict, time: iso(Date.parse(time)), ...unfit };
      await record(
        transaction,
        { account: 'room', role: 'room', act: 'verdict-delivered', site, box, ...of, more: details },
        nowMs,
      );
    }
  }

  /** Reports a fault once, until it is over. */
  #tellProblem(problem: string): void {
    if (problem !== this.#problem && !this.#stopping.signal.aborted) this.#options.log(problem);
    this.#problem = problem;
  }
}

const QOS_1: IClientPublishOptions = { qos: 1 };

const topicOf = ({ site, box }: Pick<Due, 'site' | 'box'>): string => topicsOf(site, box).verdict;
