/**
 * Listens for NOTIFY on a connection to PostgreSQL, and reconnects whenever it is lost.
 *
 * LIMITS: the server is probed every PROBE_EVERY_MS. It counts as lost if it does not answer within PROBE_WITHIN_MS. A
 * machine that vanishes closes no connection, and without a probe its silence looks like a lack of changes.
 */
import pg from 'pg';
import { prepareSession } from './postgres-session.ts';

/** Delay before each new attempt to connect, in ms. */
const AGAIN_MS = 500;

const PROBE_EVERY_MS = 5000;
const PROBE_WITHIN_MS = 5000;

export interface ListenerOptions {
  readonly config: pg.ClientConfig;
  readonly channel: string;
  /** Called for each NOTIFY, and after each new connection, because notifications may have been missed before it. */
  onChange(): void;
  /** Called once when the connection is lost, until there is another. */
  onBroken(error: Error): void;
}

export class PostgresListener {
  readonly #options: ListenerOptions;
  #client: pg.Client | undefined;
  #retryTimer: NodeJS.Timeout | undefined;
  #probe: NodeJS.Timeout | undefined;
  #isBroken = false;
  #hasEnded = false;

  constructor(options: ListenerOptions) {
    this.#options = options;
  }

  /**
   * Connects for the first time.
   * @throws if the first connection fails; it is not retried then
   */
  async start(): Promise<void> {
    try {
      await this.#connect();
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Closes the connection. Idempotent. */
  async stop(): Promise<void> {
    this.#hasEnded = true;
    clearTimeout(this.#retryTimer);
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
    // One connection may emit several errors, and an unhandled error event ends the process.
    client.on('error', (error) => this.#dropClient(client, error));
    client.on('notification', onChange);
    await client.connect();
    await prepareSession(client);
    await client.query(`LISTEN ${channel}`);
    // Lost or stopped meanwhile: the code that did so handles the rest.
    if (this.#client !== client) return;
    this.#isBroken = false;
    this.#probe = setInterval(() => {
      client.query('SELECT 1').catch((error: unknown) => this.#dropClient(client, error));
    }, PROBE_EVERY_MS);
    onChange();
  }

  #dropClient(client: pg.Client, error: unknown): void {
    if (this.#client !== client) return;
    this.#client = undefined;
    clearInterval(this.#probe);
    const { onBroken } = this.#options;
    // Not awaited: an unresponsive server does not answer this either.
    client.end().catch(onBroken);
    if (!this.#isBroken) onBroken(error instanceof Error ? error : new Error(String(error)));
    this.#isBroken = true;
    if (this.#hasEnded) return;
    this.#retryTimer = setTimeout(() => {
      const connecting = this.#connect();
      const ownClient = this.#client;
      connecting.catch((connectError: unknown) => {
        if (ownClient !== undefined) this.#dropClient(ownClient, connectError);
      });
    }, AGAIN_MS);
  }
}
