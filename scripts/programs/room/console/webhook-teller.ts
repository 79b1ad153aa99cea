/**
 * Tells one webhook.
 *
 * INVARIANTS: a message is told before the room remembers that it is: at least once. The messages come in the order of
 * `rev`, one after the other; what changes again before it is told is told once, as it is then. Of several consoles one
 * tells a webhook at a time. A message that comes again has the same id. No secret, and nothing of what a receiver answers
 * but its status, gets into a log.
 * LIMITS: ANSWER_WITHIN_MS for an answer; a receiver that does not take a message is tried again at most every
 * RETRY.maxMs, for ever; the queue is the incidents themselves, which go by the retention of the room. Clocks of machines
 * whose consoles share a database must agree within LEASE_MS.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Webhook } from 'standardwebhooks';
import { Backoff } from '../../../../agent/base/backoff.ts';
import { messageOf } from '../../../../agent/base/errors.ts';
import { type Logger, withoutSecret } from '../../../../agent/base/log.ts';
import type { WebhookType } from '../contract/webhook.ts';
import { DatabaseAway, iso, type Queries, type Sql } from '../database/sql.ts';
import { type CameraRev, type Changes, type Message, type Place, stepsOf } from './webhook-messages.ts';

/** Of the console's settings. */
export interface WebhookSettings {
  /** Under it the room remembers how far it has told. */
  readonly name: string;
  readonly url: string;
  /** `whsec_` and base64. */
  readonly secret: string;
  readonly types: readonly WebhookType[];
}

/** What has changed after `rev`, in its order, as far as the answer's `rev`. */
export type ChangesSince = (db: Queries, rev: number, nowMs: number) => Promise<Changes>;

export interface WebhookCounts {
  sent: number;
  /** Tries that were not taken. */
  failures: number;
}

/** Standard Webhooks asks for 15 to 30 s; a room would rather know. */
const ANSWER_WITHIN_MS = 10_000;
/** Whoever tells and has died is followed by another after so long; more than twice an answer's time. */
const LEASE_MS = 30_000;
/** A lease is taken again before a message whose answer might outlast it. */
const LEASE_LEFT_MS = 2 * ANSWER_WITHIN_MS;
/** Whether somebody else has died is looked at this often, when nothing calls. */
const LOOK_EVERY_MS = 10_000;
/** What changes within so long is told once; a receiver is no screen. */
const COALESCE_MS = 200;
const RETRY = { firstMs: 1000, maxMs: 300_000 };
export class Teller {
  readonly #db: Sql;
  readonly #settings: WebhookSettings;
  readonly #changesSince: ChangesSince;
  readonly #log: Logger;
  readonly #counts: WebhookCounts;
  readonly #webhook: Webhook;
  /** Of this teller among those of all consoles. */
  readonly #holder = randomUUID();
  readonly #backoff = new Backoff(RETRY);
  readonly #ending = new AbortController();
  /** Incidents beyond the place that is kept, of which it was told before an older one. */
  readonly #told = new Set<number>();
  #running: Promise<void> | undefined;
  #woken = true;
  #wake: () => void = () => undefined;
  /** By the steady clock; a lease ends on the others' clocks. */
  #leaseEndsMs = 0;
  /** Failures in a row; the first is told, the others are counted. */
  #inARow = 0;

  constructor(
    db: Sql,
    settings: WebhookSettings,
    changesSince: ChangesSince,
    log: Logger,
    counts: WebhookCounts,
  ) {
    this.#db = db;
    this.#settings = settings;
    this.#changesSince = changesSince;
    this.#log = log;
    this.#counts = counts;
    this.#webhook = new Webhook(settings.secret);
  }

  start(): void {
    this.#running = this.#run();
  }

  wake(): void {
    this.#woken = true;
    this.#wake();
  }

  async stop(): Promise<void> {
    this.#ending.abort();
    this.#wake();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#ending;
    while (!signal.aborted) {
      let pauseMs = COALESCE_MS;
      try {
        this.#woken = false;
        const isTold = await this.#tell();
        this.#recovered();
        if (isTold) await this.#called();
      } catch (error) {
        this.#failed(error);
        pauseMs = this.#backoff.nextMs();
      }
      await pause(pauseMs, signal);
    }
    await this.#letGo();
  }

  /** Until something has changed, or it is time to look. */
  async #called(): Promise<void> {
    if (this.#woken || this.#ending.signal.aborted) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, LOOK_EVERY_MS);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = () => undefined;
  }

  /**
   * Whether all is told, by this console or by another. Throws what kept a message from being told. Nothing is written
   * where there is nothing to tell: in SQLite a write is what everybody is woken by.
   */
  async #tell(): Promise<boolean> {
    const place = await this.#behind();
    if (place === undefined) return true;
    // Asked for before what is told is read: a camera that changes in between is then told once more.
    const revs = await this.#db.all<CameraRev>('SELECT site, box, rev FROM camera WHERE rev > $1', [
      place.rev,
    ]);
    const nowMs = Date.now();
    const changes = await this.#changesSince(this.#db, place.rev, nowMs);
    if (changes.rev <= place.rev) return true;
    const leased = await this.#lease();
    if (leased === undefined) return true;
    if (leased.rev !== place.rev || leased.incident !== place.incident) return false;
    const [row] = await this.#db.all<{ no: number | null }>(
      'SELECT min(no) AS no FROM incident WHERE no > $1 AND rev > $2',
      [place.incident, changes.rev],
    );
    const told = { place, told: this.#told, later: row?.no ?? undefined };
    for (const step of stepsOf(changes, revs, told, this.#settings.types, iso(nowMs))) {
      for (const message of step.messages) {
        if (this.#ending.signal.aborted) return true;
        const isLate = performance.now() > this.#leaseEndsMs - LEASE_LEFT_MS;
        if (isLate && (await this.#lease()) === undefined) return true;
        await this.#send(message);
      }
      if (step.no !== undefined) this.#told.add(step.no);
      // What nobody asked for is passed over with the next that is sent, or at the end.
      const isWritten = step.messages.length > 0 || step.place.rev === changes.rev;
      if (isWritten && !(await this.#remember(step.place))) return true;
    }
    return false;
  }

  /** How far it is told, where something is left to tell and nobody else does. */
  async #behind(): Promise<Place | undefined> {
    const [row] = await this.#db.all<Place>(
      `SELECT rev, incident FROM webhook
       WHERE name = $1 AND rev < (SELECT value FROM counter WHERE counter.name = 'rev')
         AND (holder IS NULL OR holder = $2 OR until < $3)`,
      [this.#settings.name, this.#holder, iso(Date.now())],
    );
    return row;
  }

  /** How far it is told, for whoever may tell now; undefined: another console does. */
  async #lease(): Promise<Place | undefined> {
    const [nowMs, steadyMs] = [Date.now(), performance.now()];
    const place = await this.#db.transaction(async (transaction) => {
      const [row] = await transaction.all<Place>(
        `UPDATE webhook SET holder = $2, until = $3
         WHERE name = $1 AND (holder IS NULL OR holder = $2 OR until < $4) RETURNING rev, incident`,
        [this.#settings.name, this.#holder, iso(nowMs + LEASE_MS), iso(nowMs)],
      );
      return row;
    });
    if (place !== undefined) this.#leaseEndsMs = steadyMs + LEASE_MS;
    return place;
  }

  /** False: another console tells by now, and knows itself how far. */
  async #remember({ rev, incident }: Place): Promise<boolean> {
    const [until, steadyMs] = [iso(Date.now() + LEASE_MS), performance.now()];
    const rows = await this.#db.run(
      'UPDATE webhook SET rev = $3, incident = $4, until = $5 WHERE name = $1 AND holder = $2',
      [this.#settings.name, this.#holder, rev, incident, until],
    );
    if (rows === 0) return false;
    this.#leaseEndsMs = steadyMs + LEASE_MS;
    for (const no of this.#told) if (no <= incident) this.#told.delete(no);
    return true;
  }

  async #letGo(): Promise<void> {
    try {
      await this.#db.run('UPDATE webhook SET holder = NULL, until = NULL WHERE name = $1 AND holder = $2', [
        this.#settings.name,
        this.#holder,
      ]);
    } catch (error) {
      // Another console waits until the lease has ended.
      this.#log.warn({ webhook: this.#settings.name, reason: messageOf(error) }, 'a webhook was not let go');
    }
  }

  /** Throws when the receiver has not taken it. */
  async #send({ id, body }: Message): Promise<void> {
    const text = JSON.stringify(body);
    const at = new Date();
    const answer = await fetch(this.#settings.url, {
      method: 'POST',
      body: text,
      headers: {
        'content-type': 'application/json',
        'webhook-id': id,
        'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
        'webhook-signature': this.#webhook.sign(id, at, text),
      },
      // A redirect may lead a signed message to anybody.
      redirect: 'manual',
      signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
    }).catch((error: unknown) => {
      throw new NotTaken(whyNot(error));
    });
    // Nobody reads it, and it may be long.
    await answer.body?.cancel();
    if (!answer.ok)
      throw new NotTaken(`answers ${answer.status}${answer.status < 400 ? ', a redirect' : ''}`);
    this.#counts.sent += 1;
    this.#backoff.reset();
  }

  #failed(error: unknown): void {
    if (error instanceof NotTaken) this.#counts.failures += 1;
    this.#inARow += 1;
    if (this.#inARow > 1) return;
    const isOurs = !(error instanceof NotTaken || error instanceof DatabaseAway);
    const fields = {
      webhook: this.#settings.name,
      url: withoutSecret(this.#settings.url),
      ...(isOurs ? { err: error } : { reason: messageOf(error) }),
    };
    const line = 'a webhook cannot be told; it is tried again until it can';
    if (isOurs) this.#log.error(fields, line);
    else this.#log.warn(fields, line);
  }

  #recovered(): void {
    this.#backoff.reset();
    if (this.#inARow > 0) {
      this.#log.info({ webhook: this.#settings.name, failures: this.#inARow }, 'a webhook is told again');
    }
    this.#inARow = 0;
  }
}

/** One line for a log. */
class NotTaken extends Error {}

/** What `fetch` says is in its cause; a code is all that is known of some. */
function whyNot(error: unknown): string {
  if (!(error instanceof Error)) return 'no answer';
  if (error.name === 'TimeoutError') return `no answer within ${ANSWER_WITHIN_MS / 1000} s`;
  const cause: NodeJS.ErrnoException = error.cause instanceof Error ? error.cause : error;
  return `no answer (${cause.code ?? cause.message.slice(0, 200)})`;
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
}
