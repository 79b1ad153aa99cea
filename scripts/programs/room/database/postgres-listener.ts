/**
 * A connection to PostgreSQL that listens for NOTIFY, made again whenever it is lost.
 *
 * LIMITS: a server that does not answer within PROBE_WITHIN_MS, asked every PROBE_EVERY_MS, counts as gone. A machine that
 * vanishes closes no connection, and one that is silent looks like one on which nothing changes.
 */
import pg from 'pg';
import { prepareSession } from './postgres-session.ts';

/** The connection is tried again at this pace. */
const AGAIN_MS = 500;

const PROBE_EVERY_MS = 5000;
const PROBE_WITHIN_MS = 5000;

export interface ListenerOptions {
  readonly config: pg.ClientConfig;
  readonly channel: string;
  /** Called for each NOTIFY, and after each connection that was made: something may have been missed before it. */
  onChange(): void;
  /** Hears of a connection that is lost; once, until there is another. */
  onBroken(error: Error): void;
}

export class PostgresListener {
  readonly #options: ListenerOptions;
  #client: pg.Client | undefined;
  #again: NodeJS.Timeout | undefined;
  #probe: NodeJS.Timeout | undefined;
  #isBroken = false;
  #hasEnded = false;

  constructor(options: ListenerOptions) {
    this.#options = options;
  }

  /** Throws where the first connection cannot be made; then nothing is tried again. */
  async start(): Promise<void> {
    try {
      await this.#connect();
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Idempotent. */
  async stop(): Promise<void> {
    this.#hasEnded = true;
    clearTimeout(this.#again);
    clearInterval(this.#probe);
    const client = this.#client;
    this.#client = undefined;
    await client?.end();
  }

  async #connect(): Promise<void> {
    const { config, channel, onChange } = this.#options;
    const patient = { ...config, query_timeout: PROBE_WITHIN_MS };
    const client = new pg.Client(patient);
    this.#client = client;
    // More than one error may come of one connection, and one that nobody hears ends the process.
    client.on('error', (error) => this.#lost(client, error));
    client.on('notification', onChange);
    await client.connect();
    await prepareSession(client);
    await client.query(`LISTEN ${channel}`);
    // Lost or stopped meanwhile: whoever did that takes care of the rest.
    if (this.#client !== client) return;
    this.#isBroken = false;
    this.#probe = setInterval(() => {
      client.query('SELECT 1').catch((error: unknown) => this.#lost(client, error));
    }, PROBE_EVERY_MS);
    onChange();
  }

  #lost(client: pg.Client, error: unknown): void {
    if (this.#client !== client) return;
    this.#client = undefined;
    clearInterval(this.#probe);
    const { onBroken } = this.#options;
    // A server that does not answer does not answer this either: not waited for.
    client.end().catch(onBroken);
    if (!this.#isBroken) onBroken(error instanceof Error ? error : new Error(String(error)));
    this.#isBroken = true;
    if (this.#hasEnded) return;
    this.#again = setTimeout(() => {
      const connecting = this.#connect();
      const mine = this.#client;
      connecting.catch((fault: unknown) => {
        if (mine !== undefined) this.#lost(mine, fault);
      });
    }, AGAIN_MS);
  }
}
