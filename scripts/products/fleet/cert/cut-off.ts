/**
 * Ends a box's connection, and listens whether it comes back.
 *
 * LIMITS: messages that still arrive from the box are reported, and then only a restart of the broker helps. SITES_MAX
 * sites.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../../../../agent/base/clock.ts';
import { AgentError } from '../../../../agent/base/errors.ts';
import { jsonOf } from '../../../../agent/base/json.ts';
import type { MqttConfig } from '../../../../agent/contract/config.ts';
import { topicsOf } from '../../../../agent/contract/topics.ts';
import { readCredentials } from '../../../../agent/mqtt/credentials.ts';
import { openSession, type Session } from '../../../../agent/mqtt/session.ts';

const CONNECT_TIMEOUT_MS = 10_000;
const KEEPALIVE_S = 30;
/** Pause that ends the retained messages, ms; they arrive together. */
const QUIET_MS = 400;
/** Time limit for a box that never pauses, ms. */
const LEARN_WITHIN_MS = 5000;
const POLL_MS = 200;
const END_MS = 1000;
/** Maximum size of a message; the largest of a box has 256 KiB. */
const BYTES_MAX = 1_048_576;
const SITES_MAX = 16;
const NAME = /^[a-z0-9-]{1,32}$/;
/** Number of attempts. The broker reads its files again only after a while, and a box may have reconnected before. */
const TRIES = 2;

export interface CutOffOptions {
  readonly config: MqttConfig;
  readonly box: string;
  /** Ends the connection of the box. */
  displace(): Promise<void>;
  /** Known sites of the box; sites of its retained messages are added. */
  readonly sites: readonly string[];
  readonly watchMs: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  say(line: string): void;
}

/**
 * Removes the retained orders of the box, ends its connection, and listens. Returns the topics on which the box is
 * still sending; none means that it is out.
 *
 * @throws DeliveryError the broker cannot be used
 * @throws AgentError unavailable: stopped before the result is known
 */
export async function cutOff(options: CutOffOptions): Promise<string[]> {
  const { box, watchMs, signal, say } = options;
  const listening = new Listening(box);
  const session = await open(options, listening);
  try {
    await session.subscribe(`vigie/+/${box}/#`);
    const learnUntilMs = performance.now() + LEARN_WITHIN_MS;
    while (listening.quietMs < QUIET_MS && performance.now() < learnUntilMs && !signal.aborted) {
      await sleep(POLL_MS / 4);
    }
    const sites = [...new Set([...options.sites, ...listening.sites])].slice(0, SITES_MAX);
    for (const site of sites) await takeBack(session, site, box);
    for (let attemptsLeft = TRIES; attemptsLeft > 0; attemptsLeft -= 1) {
      await options.displace();
      say(`${box}: its connection is ended; looking for it for ${Math.round(watchMs / 1000)} s`);
      listening.begin();
      const untilMs = performance.now() + watchMs;
      let isOver = false;
      void session.closed.then(() => (isOver = true));
      while (performance.now() < untilMs && listening.live.length === 0 && !signal.aborted && !isOver)
        await sleep(POLL_MS);
      if (isOver) throw await session.closed;
      if (signal.aborted) {
        throw new AgentError('unavailable', `${box}: ended before it was known whether the box reconnects`);
      }
      if (listening.live.length === 0) return [];
    }
    return listening.live;
  } finally {
    await session.end(END_MS);
  }
}

class Listening {
  readonly sites = new Set<string>();
  readonly #box: string;
  #live: string[] | undefined;
  #lastMs = performance.now();

  constructor(box: string) {
    this.#box = box;
  }

  get quietMs(): number {
    return performance.now() - this.#lastMs;
  }

  get live(): string[] {
    return this.#live ?? [];
  }

  /** Messages from now on come from a connected client. */
  begin(): void {
    this.#live = [];
  }

  take(topic: string, payload: Buffer): void {
    this.#lastMs = performance.now();
    const [, site = '', , ...rest] = topic.split('/');
    if (NAME.test(site)) this.sites.add(site);
    if (this.#live === undefined || this.#live.includes(topic)) return;
    const { updateDesired, configDesired, command, ack, verdict } = topicsOf(site, this.#box);
    // Topics of the room, and the Last Will, which the broker sends.
    if ([updateDesired, configDesired, command, ack, verdict].includes(topic)) return;
    if (rest.join('/') === 'journal/cosigned') return;
    if (rest.join('/') === 'status' && isOffline(payload)) return;
    this.#live.push(topic);
  }
}

function isOffline(payload: Buffer): boolean {
  const status = jsonOf(payload.toString());
  return typeof status === 'object' && status !== null && 'state' in status && status.state === 'offline';
}

/** Removes the retained orders: anyone who connects in the box's name could read them. */
async function takeBack(session: Session, site: string, box: string): Promise<void> {
  const { updateDesired, configDesired } = topicsOf(site, box);
  for (const topic of [updateDesired, configDesired]) {
    const message = { topic, payload: '', qos: 1, retain: true, contentType: 'application/json' } as const;
    const answered = new Promise<Error | undefined>((resolve) => session.publish(message, resolve));
    const error = await Promise.race([answered, session.closed]);
    if (error !== undefined) throw error;
  }
}

function open({ config, clock, signal }: CutOffOptions, listening: Listening): Promise<Session> {
  return openSession(
    {
      config,
      credentials: readCredentials(config),
      clientId: `fleet.revoke-${process.pid}-${Date.now()}`,
      keepaliveS: KEEPALIVE_S,
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
      clock,
      incomingBytesMax: BYTES_MAX,
      onMessage: (topic, payload) => listening.take(topic, payload),
    },
    signal,
  );
}
