/**
 * Delivers the messages of one webhook.
 *
 * INVARIANTS:
 * - Messages are delivered at least once: the position is stored only after the receiver has accepted the message.
 * - Messages are sent in the order of `rev`, in sequence. Several changes before delivery are sent as one message with
 *   the current state.
 * - Only one of several consoles delivers a webhook at a time.
 * - A repeated message has the same id.
 * - A message contains no action that can still be undone (webhook-changes.ts).
 * - Logs contain no secret, and of a receiver's answer only the status.
 * LIMITS:
 * - ANSWER_WITHIN_MS for an answer.
 * - A message that is not accepted is retried indefinitely, at intervals of at most RETRY.maxMs. One that is refused by
 *   its content is set aside after REFUSALS_MAX answers (refused-messages.ts), and sent again when a person says so.
 * - The queue is the table of incidents, which the room's retention deletes.
 * - The clocks of consoles that share a database must agree within LEASE_MS.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Webhook } from 'standardwebhooks';
import { Backoff } from '../../../../agent/base/backoff.ts';
import { messageOf } from '../../../../agent/base/errors.ts';
import { type Logger, withoutSecret } from '../../../../agent/base/log.ts';
import type { WebhookType } from '../contract/webhook.ts';
import { DatabaseUnavailable, iso, type Sql } from '../database/sql.ts';
import { closeWindows } from '../database/undo-window.ts';
import { addRefused, dueMessages, endResend } from './refused-messages.ts';
import { finalChangesSince } from './webhook-changes.ts';
import { type CameraRev, type Message, type Place, stepsOf } from './webhook-messages.ts';

/** Webhook entry of the console's settings. */
export interface WebhookSettings {
  /** Key under which the room stores the progress. */
  readonly name: string;
  readonly url: string;
  /** `whsec_` and base64. */
  readonly secret: string;
  readonly types: readonly WebhookType[];
  /** Patrols whose incidents alone it reports; undefined for everything. */
  readonly patrols: readonly string[] | undefined;
}

export interface WebhookCounts {
  deliveries: number;
  /** Attempts that failed. */
  failures: number;
  /** Messages that were set aside. */
  setAside: number;
}

/** Time limit of an answer in ms. Standard Webhooks recommends 15 to 30 s; a room should notice failures earlier. */
const ANSWER_WITHIN_MS = 10_000;
/**
 * Duration of the lease in ms, after which another console replaces a dead one; more than twice the time of an answer.
 */
const LEASE_MS = 30_000;
/** The lease is renewed before a message whose answer might outlast it, in ms. */
const LEASE_LEFT_MS = 2 * ANSWER_WITHIN_MS;
/** Interval of the check for a dead console without a notification, in ms. */
const CHECK_EVERY_MS = 10_000;
/** Time in ms within which changes are combined, because a receiver is not a screen. */
const COALESCE_MS = 200;
const RETRY = { firstMs: 1000, maxMs: 300_000 };

/** Answers about the content of a message. Others (401, 404, 429, 503 …) are about the receiver, which can recover. */
const CONTENT_REFUSALS: readonly number[] = [400, 413, 422];

/** Answers after which a message is set aside, some seconds after the first: a receiver may have erred once. */
const REFUSALS_MAX = 3;

export class WebhookSender {
  readonly #db: Sql;
  readonly #settings: WebhookSettings;
  readonly #log: Logger;
  readonly #counts: WebhookCounts;
  readonly #webhook: Webhook;
  /** Unique id of this sender among those of all consoles. */
  readonly #instanceId = randomUUID();
  readonly #backoff = new Backoff(RETRY);
  readonly #ending = new AbortController();
  /** Incidents beyond the stored position, delivered before an older one. */
  readonly #deliveredNos = new Set<number>();
  #running: Promise<void> | undefined;
  #woken = true;
  #wake: () => void = () => undefined;
  /** Time of the monotonic clock. For others the lease ends by their wall clocks. */
  #leaseEndsMs = 0;
  /** Refusals of the current message. */
  #refusal: { readonly subject: string; count: number } | undefined;
  /** Consecutive failures; the first is logged, the others are only counted. */
  #inARow = 0;

  constructor(db: Sql, settings: WebhookSettings, log: Logger, counts: WebhookCounts) {
    this.#db = db;
    this.#settings = settings;
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
        const nextEndMs = await closeWindows(this.#db, Date.now());
        const isTold = (await this.#tell()) && (await this.#resend());
        this.#recovered();
        if (isTold) await this.#called(Math.min(CHECK_EVERY_MS, nextEndMs ?? CHECK_EVERY_MS));
      } catch (error) {
        this.#failed(error);
        pauseMs = this.#backoff.nextMs();
      }
      await pause(pauseMs, signal);
    }
    await this.#letGo();
  }

  /** Waits for a change, or for the given time. */
  async #called(withinMs: number): Promise<void> {
    if (this.#woken || this.#ending.signal.aborted) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, withinMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = () => undefined;
  }

  /**
   * Delivers the pending messages. Returns true if this or another console has delivered everything.
   *
   * Writes nothing if there is nothing to deliver, because in SQLite every write wakes all listeners.
   * @throws if a message could not be delivered
   */
  async #tell(): Promise<boolean> {
    const place = await this.#pendingPlace();
    if (place === undefined) return true;
    // Read before the changes themselves: a camera that changes in between is sent again.
    const revs = await this.#db.all<CameraRev>('SELECT site, box, rev FROM camera WHERE rev > $1', [
      place.rev,
    ]);
    const nowMs = Date.now();
    const changes = await finalChangesSince(this.#db, place.rev, nowMs);
    if (changes.rev <= place.rev) return true;
    const leased = await this.#lease();
    if (leased === undefined) return true;
    if (leased.rev !== place.rev || leased.incident !== place.incident) return false;
    const [row] = await this.#db.all<{ no: number | null }>(
      `SELECT min(no) AS no FROM incident WHERE no > $1
         AND (rev > $2 OR no IN (SELECT incident FROM undo_window WHERE name = 'reopen'))`,
      [place.incident, changes.rev],
    );
    const delivery = { place, deliveredNos: this.#deliveredNos, later: row?.no ?? undefined };
    for (const step of stepsOf(changes, revs, delivery, this.#settings.types, iso(nowMs))) {
      for (const message of step.messages) {
        if (!this.#isWanted(message)) continue;
        if (this.#ending.signal.aborted) return true;
        const isLate = performance.now() > this.#leaseEndsMs - LEASE_LEFT_MS;
        if (isLate && (await this.#lease()) === undefined) return true;
        await this.#sendOrSetAside(message);
      }
      if (step.no !== undefined) this.#deliveredNos.add(step.no);
      // The position of changes without messages is stored with the next message, or at the end.
      const isWritten = step.messages.length > 0 || step.place.rev === changes.rev;
      if (isWritten && !(await this.#remember(step.place))) return true;
    }
    return false;
  }

  /** Sends a message, or sets it aside if the receiver has refused it by its content REFUSALS_MAX times. */
  async #sendOrSetAside(message: Message): Promise<void> {
    try {
      await this.#send(message);
    } catch (error) {
      if (!(error instanceof RefusedByContent)) throw error;
      const { name: webhook } = this.#settings;
      // A message about the same subject has another id once that has changed.
      const subject = message.id.replace(/\d+(?=-[a-z]+$)|\d+$/, '');
      if (this.#refusal?.subject !== subject) this.#refusal = { subject, count: 0 };
      this.#refusal.count += 1;
      const { status } = error;
      if (this.#refusal.count < REFUSALS_MAX) throw error;
      if (!(await addRefused(this.#db, { webhook, message, status }, Date.now()))) throw error;
      this.#counts.failures += 1;
      this.#counts.setAside += 1;
      this.#log.warn({ webhook, message: message.id, status }, 'a webhook message was refused and set aside');
    }
    this.#refusal = undefined;
  }

  /** Sends refused messages again, each once. Returns true if this or another console has sent them. */
  async #resend(): Promise<boolean> {
    const { name } = this.#settings;
    const messages = await dueMessages(this.#db, name);
    if (messages.length === 0) return true;
    for (const message of messages) {
      if (this.#ending.signal.aborted || (await this.#lease()) === undefined) return true;
      try {
        await this.#send(message);
        await endResend(this.#db, name, message);
      } catch (error) {
        if (!(error instanceof RefusedByContent)) throw error;
        this.#counts.failures += 1;
        await endResend(this.#db, name, message, error.status);
      }
    }
    return false;
  }

  /** A webhook of patrols reports only the incidents to which they are dispatched. */
  #isWanted({ body }: Message): boolean {
    const { patrols } = this.#settings;
    if (patrols === undefined) return true;
    return 'patrol' in body.data && body.data.patrol !== null && patrols.includes(body.data.patrol);
  }

  /** Returns the position if something is undelivered and no other console delivers it. */
  async #pendingPlace(): Promise<Place | undefined> {
    const [row] = await this.#db.all<Place>(
      `SELECT rev, incident FROM webhook
       WHERE name = $1 AND rev < (SELECT value FROM counter WHERE counter.name = 'rev')
         AND (holder IS NULL OR holder = $2 OR until < $3)`,
      [this.#settings.name, this.#instanceId, iso(Date.now())],
    );
    return row;
  }

  /** Takes the lease. Returns the position, or undefined if another console delivers. */
  async #lease(): Promise<Place | undefined> {
    const [nowMs, steadyMs] = [Date.now(), performance.now()];
    const place = await this.#db.transaction(async (transaction) => {
      const [row] = await transaction.all<Place>(
        `UPDATE webhook SET holder = $2, until = $3
         WHERE name = $1 AND (holder IS NULL OR holder = $2 OR until < $4) RETURNING rev, incident`,
        [this.#settings.name, this.#instanceId, iso(nowMs + LEASE_MS), iso(nowMs)],
      );
      return row;
    });
    if (place !== undefined) this.#leaseEndsMs = steadyMs + LEASE_MS;
    return place;
  }

  /** Stores the position. Returns false if another console has the lease by now and its own position. */
  async #remember({ rev, incident }: Place): Promise<boolean> {
    const [leaseEnd, steadyMs] = [iso(Date.now() + LEASE_MS), performance.now()];
    const rows = await this.#db.run(
      'UPDATE webhook SET rev = $3, incident = $4, until = $5 WHERE name = $1 AND holder = $2',
      [this.#settings.name, this.#instanceId, rev, incident, leaseEnd],
    );
    if (rows === 0) return false;
    this.#leaseEndsMs = steadyMs + LEASE_MS;
    for (const no of this.#deliveredNos) if (no <= incident) this.#deliveredNos.delete(no);
    return true;
  }

  async #letGo(): Promise<void> {
    try {
      await this.#db.run('UPDATE webhook SET holder = NULL, until = NULL WHERE name = $1 AND holder = $2', [
        this.#settings.name,
        this.#instanceId,
      ]);
    } catch (error) {
      // Another console waits until the lease expires.
      this.#log.warn(
        { webhook: this.#settings.name, reason: messageOf(error) },
        'a webhook lease was not released',
      );
    }
  }

  /**
   * Sends one message.
   * @throws {NotTaken} if the receiver does not accept it
   */
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
      // A redirect could lead a signed message to any host.
      redirect: 'manual',
      signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
    }).catch((error: unknown) => {
      throw new NotTaken(whyNot(error));
    });
    // The answer is not read and may be long.
    await answer.body?.cancel();
    if (CONTENT_REFUSALS.includes(answer.status)) throw new RefusedByContent(answer.status);
    if (!answer.ok)
      throw new NotTaken(`answers ${answer.status}${answer.status < 400 ? ', a redirect' : ''}`);
    this.#counts.deliveries += 1;
    this.#backoff.reset();
  }

  #failed(error: unknown): void {
    if (error instanceof NotTaken) this.#counts.failures += 1;
    this.#inARow += 1;
    if (this.#inARow > 1) return;
    const isOurs = !(error instanceof NotTaken || error instanceof DatabaseUnavailable);
    const fields = {
      webhook: this.#settings.name,
      url: withoutSecret(this.#settings.url),
      ...(isOurs ? { err: error } : { reason: messageOf(error) }),
    };
    const line = 'a webhook delivery failed; retrying until it succeeds';
    if (isOurs) this.#log.error(fields, line);
    else this.#log.warn(fields, line);
  }

  #recovered(): void {
    this.#backoff.reset();
    if (this.#inARow > 0) {
      this.#log.info(
        { webhook: this.#settings.name, failures: this.#inARow },
        'webhook delivery works again',
      );
    }
    this.#inARow = 0;
  }
}

/** Failure of a delivery, with one line for a log. */
class NotTaken extends Error {}

/** Refusal of one message, whatever the state of the receiver. */
class RefusedByContent extends NotTaken {
  readonly status: number;

  constructor(status: number) {
    super(`answers ${status}`);
    this.status = status;
  }
}

/** Returns the reason. `fetch` puts it into the cause, which may only have a code. */
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
