/**
 * A process with many boxes as the broker sees them. Each has its own TLS connection, certificate, Last Will and
 * subscriptions, by the agent's own session. They hold unacknowledged messages in memory and send them again after a
 * lost connection.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '../../agent/base/clock.ts';
import { KEEPALIVE_S } from '../../agent/contract/broker-connection.ts';
import { EVENT_CONTENT_TYPE } from '../../agent/contract/event.ts';
import { topicsOf } from '../../agent/contract/topics.ts';
import type { Message } from '../../agent/mqtt/publish-packet.ts';
import { openSession, type Session } from '../../agent/mqtt/session.ts';
import { eventText } from './events.ts';
import { healthOf } from './fleet-reports.ts';
import { type LoadAsk, loadName, loadSite, noCounts, STILL_BYTES } from './load-protocol.ts';

const CONNECT_WITHIN_MS = 120_000;
const AGAIN_MS = 2000;
/** Interval of health reports, in ms, as in agent/mqtt/publisher.ts. */
const HEALTH_EVERY_MS = 30_000;
const TICK_MS = 20;
const TOLD_EVERY_MS = 250;

const JSON_TYPE = 'application/json';
const epoch = `load-${process.pid}`;
const still = Buffer.alloc(STILL_BYTES, 0x5a);
const counts = noCounts();

class LoadBox {
  readonly #no: number;
  readonly #topics;
  /** Unacknowledged messages by number, the oldest first. */
  readonly #unacknowledged = new Map<number, Message>();
  #session: Session | undefined;
  #seq = 0;
  #acknowledgedThrough = 0;

  constructor(no: number) {
    this.#no = no;
    this.#topics = topicsOf(loadSite(no), loadName(no));
  }

  /** Resolves when it is connected for the first time; from then on it reconnects. */
  async connect(url: string, dir: string): Promise<void> {
    for (;;) {
      try {
        const session = await this.#open(url, dir);
        void session.closed.then(async () => {
          counts.connected -= 1;
          counts.failed += 1;
          this.#session = undefined;
          await sleep(AGAIN_MS);
          await this.connect(url, dir);
        });
        return;
      } catch (error) {
        counts.failed += 1;
        if (counts.failed === 1) process.stderr.write(`${String(error)}\n`);
        await sleep(AGAIN_MS);
      }
    }
  }

  async #open(url: string, dir: string): Promise<Session> {
    const name = loadName(this.#no);
    const topics = this.#topics;
    const session = await openSession(
      {
        config: { url, ack: 'archive' },
        credentials: {
          ca: readFileSync(join(dir, 'ca.crt')),
          cert: readFileSync(join(dir, `${name}.crt`)),
          key: readFileSync(join(dir, 'box.key')),
          certificate: undefined,
        },
        clientId: name,
        will: this.#status('offline'),
        keepaliveS: KEEPALIVE_S,
        connectTimeoutMs: CONNECT_WITHIN_MS,
        clock: systemClock,
        onMessage: (topic, payload) => {
          if (topic === topics.ack) this.#acknowledged(payload);
        },
      },
      new AbortController().signal,
    );
    const { ack, verdict, journalWitnessed, updateDesired, configDesired, command, commandAll } = topics;
    for (const topic of [ack, verdict, journalWitnessed, updateDesired, configDesired, command, commandAll]) {
      await session.subscribe(topic);
    }
    this.#session = session;
    this.#publish(this.#status('online'));
    for (const message of this.#unacknowledged.values()) this.#publish(message);
    counts.connected += 1;
    return session;
  }

  tellHealth(): void {
    counts.health += 1;
    const names = { site: loadSite(this.#no), box: loadName(this.#no), n: this.#no };
    const payload = JSON.stringify(healthOf(names, Date.now()));
    this.#publish({ topic: this.#topics.health, payload, qos: 0, retain: true, contentType: JSON_TYPE });
  }

  /** Sends an event, or the still of the previous one. */
  tell(isStill: boolean): void {
    this.#seq += 1;
    const [site, box, seq] = [loadSite(this.#no), loadName(this.#no), this.#seq];
    const id = `${epoch}-${box}-${isStill ? seq - 1 : seq}`;
    const userProperties = {
      lane: 'alert',
      seq: String(seq),
      first: String(this.#acknowledgedThrough + 1),
      epoch,
      boot: epoch,
    };
    const base = { qos: 1, retain: false, userProperties } as const;
    counts.sentCount += 1;
    const payload = (): string =>
      eventText({ site, box, id, seq, time: new Date().toISOString(), bytes: 900 });
    const message: Message = isStill
      ? { ...base, topic: this.#topics.snapshot(id), contentType: 'image/jpeg', payload: still }
      : {
          ...base,
          topic: this.#topics.event('alert', 'loitering'),
          contentType: EVENT_CONTENT_TYPE,
          payload: payload(),
        };
    this.#unacknowledged.set(seq, message);
    this.#publish(message);
  }

  #status(state: 'online' | 'offline'): Message {
    const payload = JSON.stringify({ state, boot: epoch, time: new Date().toISOString() });
    return { topic: this.#topics.status, payload, qos: 1, retain: true, contentType: JSON_TYPE };
  }

  #publish(message: Message): void {
    this.#session?.publish(message, (refusal) => {
      if (refusal !== undefined) counts.refusedCount += 1;
    });
  }

  #acknowledged(payload: Buffer): void {
    const { alert = 0 } = JSON.parse(payload.toString()) as { alert?: number };
    for (const seq of this.#unacknowledged.keys()) {
      if (seq > alert) break;
      this.#unacknowledged.delete(seq);
      counts.stored += 1;
    }
    this.#acknowledgedThrough = Math.max(this.#acknowledgedThrough, alert);
  }
}

let boxes: LoadBox[] = [];
let rate: { perS: number; stills: boolean; sinceMs: number; count: number } | undefined;
let next = 0;
let nextHealth = 0;
let healthSinceMs: number | undefined;

async function connectAll({
  url,
  dir,
  first,
  count,
  perS,
}: Extract<LoadAsk, { do: 'connect' }>): Promise<void> {
  const beganMs = performance.now();
  boxes = Array.from({ length: count }, (_, i) => new LoadBox(first + i));
  await Promise.all(
    boxes.map(async (box, i) => {
      await sleep(Math.max(0, beganMs + (i * 1000) / perS - performance.now()));
      await box.connect(url, dir);
    }),
  );
  healthSinceMs = performance.now();
}

setInterval(() => {
  const nowMs = performance.now();
  if (healthSinceMs !== undefined) {
    const due = ((nowMs - healthSinceMs) * boxes.length) / HEALTH_EVERY_MS;
    for (; nextHealth < due; nextHealth += 1) boxes[nextHealth % boxes.length]?.tellHealth();
  }
  if (rate === undefined) return;
  const due = ((nowMs - rate.sinceMs) * rate.perS) / 1000;
  for (; rate.count < due; rate.count += 1) {
    // Two events and a still, of the same box.
    const isStill = rate.stills && rate.count % 3 === 2;
    boxes[next % boxes.length]?.tell(isStill);
    if (!rate.stills || isStill) next += 1;
  }
}, TICK_MS);

setInterval(() => process.send?.(counts), TOLD_EVERY_MS);

process.on('message', (ask: LoadAsk) => {
  if (ask.do === 'connect') void connectAll(ask);
  else rate = ask.perS === 0 ? undefined : { ...ask, sinceMs: performance.now(), count: 0 };
});
// Ends with its parent.
process.once('disconnect', () => process.exit(0));
