/**
 * Notifies other programs of changes in the room, by signed webhooks (https://www.standardwebhooks.com).
 *
 * INVARIANTS:
 * - Logs contain no secret.
 * - Messages are sent over TLS only, except to this machine.
 * LIMITS: one sender for each webhook; webhook-sender.ts states its limits.
 */
import { AgentError } from '../../../../agent/base/errors.ts';
import type { Logger } from '../../../../agent/base/log.ts';
import type { Sql } from '../database/sql.ts';
import { isSafeUrl } from './settings.ts';
import { type WebhookCounts, WebhookSender, type WebhookSettings } from './webhook-sender.ts';

/** Standard Webhooks: 24 to 64 bytes. */
const SECRET = /^whsec_([A-Za-z0-9+/]{32,88}={0,2})$/;

const noCounts = (): WebhookCounts => ({ deliveries: 0, failures: 0, setAside: 0 });

export class Webhooks {
  readonly #db: Sql;
  readonly #settings: readonly WebhookSettings[];
  readonly #log: Logger;
  /** Counters by webhook name. */
  readonly counts: Readonly<Record<string, WebhookCounts>>;
  #senders: WebhookSender[] = [];
  #unlisten: (() => Promise<void>) | undefined;

  constructor(db: Sql, settings: readonly WebhookSettings[], log: Logger) {
    this.#db = db;
    this.#settings = settings;
    this.#log = log;
    this.counts = Object.fromEntries(settings.map(({ name }) => [name, noCounts()]));
  }

  /**
   * Starts delivery. A new webhook receives changes from now on.
   * @throws {AgentError} `config`, with one line, for invalid settings
   * @throws {DatabaseUnavailable}
   */
  async start(): Promise<void> {
    validate(this.#settings);
    if (this.#settings.length === 0) return;
    for (const { name } of this.#settings) {
      if (await remember(this.#db, name)) {
        this.#log.warn(
          { webhook: name },
          'the database is older than the last delivery of this webhook; it continues from now',
        );
      }
    }
    this.#unlisten = await this.#db.listen(() => {
      for (const sender of this.#senders) sender.wake();
    });
    this.#senders = this.#settings.map((settings) => {
      const counts = this.counts[settings.name] ?? noCounts();
      return new WebhookSender(this.#db, settings, this.#log, counts);
    });
    for (const sender of this.#senders) sender.start();
  }

  /** Stops delivery. Resolves once the current messages are answered and another console may continue. Idempotent. */
  async stop(): Promise<void> {
    const [unlisten, senders] = [this.#unlisten, this.#senders];
    this.#unlisten = undefined;
    await Promise.all([unlisten?.(), ...senders.map((sender) => sender.stop())]);
    this.#senders = [];
  }
}

function validate(settings: readonly WebhookSettings[]): void {
  for (const [index, { name, url, secret }] of settings.entries()) {
    const wrong = (line: string): AgentError => new AgentError('config', `webhook ${name}: ${line}`);
    if (settings.findIndex((other) => other.name === name) !== index) throw wrong('the name is used twice');
    if (!isSafeUrl(url)) {
      throw wrong('url must be https://… (http://… for this machine only), without a user or a password');
    }
    const bytes = Buffer.from(SECRET.exec(secret)?.[1] ?? '', 'base64').length;
    if (bytes < 24 || bytes > 64) {
      throw wrong(
        'the secret must be whsec_ and 24 to 64 bytes in base64: echo whsec_$(openssl rand -base64 32)',
      );
    }
  }
}

/**
 * Creates the position of a new webhook at the current number.
 *
 * Returns true if the stored position was ahead of the room, because an older database was restored. It is then set to
 * the current number, so that later changes are delivered again.
 */
async function remember(db: Sql, name: string): Promise<boolean> {
  return await db.transaction(async (transaction) => {
    await transaction.run(
      `INSERT INTO webhook (name, rev, incident)
       SELECT $1, value, (SELECT coalesce(max(no), 0) FROM incident) FROM counter WHERE name = 'rev'
       ON CONFLICT (name) DO NOTHING`,
      [name],
    );
    const aheadCount = await transaction.run(
      `UPDATE webhook SET rev = (SELECT value FROM counter WHERE counter.name = 'rev'),
         incident = (SELECT coalesce(max(no), 0) FROM incident)
       WHERE name = $1 AND rev > (SELECT value FROM counter WHERE counter.name = 'rev')`,
      [name],
    );
    return aheadCount > 0;
  });
}
