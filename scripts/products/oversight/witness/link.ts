/** Connects the witness to the broker: receives the heads of a site's boxes, and publishes the cosigned ones. */
import { randomBytes } from 'node:crypto';
import { Backoff } from '../../../../agent/base/backoff.ts';
import type { Clock } from '../../../../agent/base/clock.ts';
import { rethrowBug } from '../../../../agent/base/errors.ts';
import type { MqttConfig } from '../../../../agent/contract/config.ts';
import { topicsOf } from '../../../../agent/contract/topics.ts';
import { type DeliveryError, deliveryError } from '../../../../agent/mqtt/connection-errors.ts';
import { readCredentials } from '../../../../agent/mqtt/credentials.ts';
import { openSession, type Session } from '../../../../agent/mqtt/session.ts';

const CONNECT_TIMEOUT_MS = 10_000;
const KEEPALIVE_S = 30;
const RECONNECT = { firstMs: 1000, maxMs: 60_000 } as const;
const END_WITHIN_MS = 1000;

export interface WitnessLinkOptions {
  readonly config: MqttConfig;
  readonly site: string;
  readonly clock: Clock;
  /** Called with a box's head and its proof, unchanged. */
  onProvenHead(box: string, text: string): void;
  onConnected(): void;
  /** Called if the connection ends or cannot be made; it is tried again. */
  onError(error: DeliveryError): void;
}

export class WitnessLink {
  readonly #options: WitnessLinkOptions;
  readonly #clientId = `witness.${randomBytes(6).toString('hex')}`;
  #session: Session | undefined;

  constructor(options: WitnessLinkOptions) {
    this.#options = options;
  }

  /** Runs until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, onError } = this.#options;
    const backoff = new Backoff(RECONNECT);
    while (!signal.aborted) {
      const error = await this.#live(signal, backoff);
      if (signal.aborted) return;
      onError(error);
      await clock.sleep(backoff.nextMs(), signal);
    }
  }

  /** Publishes a retained note; an empty note removes the present one. */
  tell(box: string, note: string): void {
    const topic = topicsOf(this.#options.site, box).journalWitnessed;
    const base = { qos: 1, retain: true, contentType: 'text/plain; charset=utf-8' } as const;
    this.#session?.publish({ ...base, topic, payload: note }, (refusal) => {
      if (refusal !== undefined) this.#options.onError(refusal);
    });
  }

  async #live(signal: AbortSignal, backoff: Backoff): Promise<DeliveryError> {
    const { config, site, clock, onConnected, onProvenHead } = this.#options;
    try {
      const session = await openSession(
        {
          config,
          credentials: readCredentials(config),
          clientId: this.#clientId,
          keepaliveS: KEEPALIVE_S,
          connectTimeoutMs: CONNECT_TIMEOUT_MS,
          clock,
          onMessage: (topic, payload) => onProvenHead(topic.split('/')[2] ?? '', payload.toString()),
        },
        signal,
      );
      this.#session = session;
      await session.subscribe(topicsOf(site, '+').journalProvenHead);
      backoff.reset();
      onConnected();
      const abortion = new Promise<void>((resolve) =>
        signal.addEventListener('abort', () => resolve(), { once: true }),
      );
      await Promise.race([session.closed, abortion]);
      if (signal.aborted) await session.end(END_WITHIN_MS);
      return await session.closed;
    } catch (error) {
      rethrowBug(error);
      return deliveryError(error, config.url);
    } finally {
      this.#session?.destroy();
      this.#session = undefined;
    }
  }
}
