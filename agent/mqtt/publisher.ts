/**
 * Publishes everything besides the rows of the outbox: status, heads of the journal, notices for other systems,
 * replies.
 *
 * INVARIANTS:
 * - For an unreachable broker, only the newest retained messages are stored. The caller of any other learns that it was
 *   not sent.
 * - All messages go through the session and share its window with the rows.
 *
 * LIMITS: one health report and one checkpoint are stored. In flight are at most NOTICES_MAX notices of
 * NOTICE_BYTES_MAX together, and REPLIES_MAX replies; further ones are refused.
 */
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import { RepeatedLine } from '../base/repeated-line.ts';
import type { Notice } from '../contract/bridge.ts';
import { REPLY_EXPIRY_S } from '../contract/command.ts';
import type { HealthReport, StatusReport } from '../contract/health.ts';
import type { Topics } from '../contract/topics.ts';
import type { LearntLimits } from './learnt-limits.ts';
import { type Message, packetBytes } from './publish-packet.ts';
import type { Refusals } from './refusals.ts';
import type { Session } from './session.ts';

/** Maximum age in ms of a report sent on a new connection; the next one arrives within 30 s. */
const HEALTH_AGE_MAX_MS = 60_000;

/**
 * Maximum number of bridge notices not yet taken by the socket. A bridge retains and removes that many for 64 rules
 * when a connection is opened.
 */
const NOTICES_MAX = 512;
/** Their maximum size together: seven of the largest stills, on a slow connection. */
const NOTICE_BYTES_MAX = 1024 * 1024;
/** Maximum number of replies without an acknowledgement, equal to that of waiting commands. */
const REPLIES_MAX = 64;

const TOO_LARGE_EVERY_MS = 60_000;

const JSON_TYPE = 'application/json';
const NOTE_TYPE = 'text/plain; charset=utf-8';

/** Time limit in ms; systemd gives the complete agent 5 s. */
const STOPPED_WITHIN_MS = 1500;

/** Key of all replies among the refusals: each reply has its own topic, and is not sent again. */
const REPLIES = 'replies';

export interface PublisherOptions {
  readonly topics: Topics;
  readonly boot: string;
  readonly learnt: LearntLimits;
  readonly refusals: Refusals;
  readonly clock: Clock;
  readonly log: Logger;
}

export class Publisher {
  /**
   * Messages refused by the broker (`refusals`), and messages sent without being retained as they should (`unretained`).
   */
  readonly counters = { refusals: 0, unretained: 0 };
  readonly #options: PublisherOptions;
  readonly #tooLargeLine: RepeatedLine;
  #session: Session | undefined;
  #health: { readonly payload: string; readonly atMs: number } | undefined;
  #journalHead: { readonly note: string; readonly provenHead: string } | undefined;
  #notices = 0;
  #noticeBytes = 0;
  #replies = 0;
  #unretainedTold = false;

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#tooLargeLine = new RepeatedLine(TOO_LARGE_EVERY_MS, options.clock);
  }

  /** Sends everything through this session from now on, beginning with the stored messages. */
  attach(session: Session): void {
    this.#session = session;
    this.#notices = 0;
    this.#noticeBytes = 0;
    this.#replies = 0;
    this.#options.refusals.settle(REPLIES);
    if (session.retain) this.#unretainedTold = false;
    this.#send(this.#status('online'));
    this.#sendHealth();
    this.#sendJournalHead();
  }

  detach(): void {
    this.#session = undefined;
  }

  /** Message that the broker publishes for a box that disconnected without notice. */
  get will(): Message {
    return { ...this.#status('offline'), retain: this.#options.learnt.retain };
  }

  /** Publishes the health report, retained: immediately if connected, otherwise on the next connection. */
  health(report: HealthReport): void {
    this.#health = { payload: JSON.stringify(report), atMs: this.#options.clock.nowMs() };
    this.#sendHealth();
  }

  /**
   * Publishes a checkpoint of the journal, retained, and the same with its proof for a witness: immediately if
   * connected, and on every further connection.
   */
  journalHead(note: string, provenHead: string): void {
    this.#journalHead = { note, provenHead };
    this.#sendJournalHead();
  }

  /** Publishes the mode, retained, if connected; without a connection the caller must try again. */
  mode(payload: string): void {
    this.#send({ topic: this.#options.topics.mode, payload, qos: 1, retain: true, contentType: JSON_TYPE });
  }

  /** Publishes the running version and the progress of updates, in the same way as `mode`. */
  updateReport(payload: string): void {
    const topic = this.#options.topics.updateReported;
    this.#send({ topic, payload, qos: 1, retain: true, contentType: JSON_TYPE });
  }

  /** Publishes a notice with QoS 0 if connected; returns false if it is lost. */
  notice({ payload, ...rest }: Notice): boolean {
    const message = { ...rest, payload: bodyOf(payload), qos: 0 } as const;
    const bytes = packetBytes(message);
    if (this.#notices >= NOTICES_MAX || this.#noticeBytes + bytes > NOTICE_BYTES_MAX) return false;
    if (!this.#fits(message)) return false;
    this.#notices += 1;
    this.#noticeBytes += bytes;
    this.#send(message, () => {
      this.#notices -= 1;
      this.#noticeBytes -= bytes;
    });
    return true;
  }

  /** Replies to a command; returns false if the reply is lost, and the requester will ask again. */
  reply(topic: string, payload: string, correlation: Uint8Array | undefined): boolean {
    const base = { topic, payload, qos: 1, retain: false, contentType: JSON_TYPE } as const;
    const message = { ...base, expiryS: REPLY_EXPIRY_S, ...(correlation && { correlation }) };
    if (this.#replies >= REPLIES_MAX || !this.#fits(message)) return false;
    this.#replies += 1;
    const answered = (): void => {
      this.#replies -= 1;
    };
    this.#send(message, answered, REPLIES);
    return true;
  }

  /** Resolves when the broker knows that the box is stopping, or after a time limit. */
  async sayStopped(): Promise<void> {
    const session = this.#session;
    if (session === undefined) return;
    const enough = new AbortController();
    this.#send(this.#status('stopped'), () => enough.abort());
    void session.closed.then(() => enough.abort());
    await this.#options.clock.sleep(STOPPED_WITHIN_MS, enough.signal);
  }

  /** Reports whether there is a connection that accepts this message, which is not sent again. */
  #fits(message: Message): boolean {
    const session = this.#session;
    if (session === undefined) return false;
    const [bytes, bytesMax] = [packetBytes(message), session.packetBytesMax];
    if (bytes <= bytesMax) return true;
    this.#tooLargeLine.due((leftOut) =>
      this.#options.log.error(
        { topic: message.topic, bytes, bytesMax, leftOut },
        'an answer or a notice is larger than the broker takes, and is lost; allow larger messages at the broker',
      ),
    );
    return false;
  }

  #sendHealth(): void {
    const { topics, clock } = this.#options;
    if (this.#health === undefined || clock.nowMs() - this.#health.atMs > HEALTH_AGE_MAX_MS) return;
    const { payload } = this.#health;
    this.#send({ topic: topics.health, payload, qos: 0, retain: true, contentType: JSON_TYPE });
  }

  #sendJournalHead(): void {
    if (this.#journalHead === undefined) return;
    const { topics } = this.#options;
    const { note, provenHead } = this.#journalHead;
    const base = { qos: 1, retain: true, contentType: NOTE_TYPE } as const;
    this.#send({ ...base, topic: topics.journalHead, payload: note });
    this.#send({ ...base, topic: topics.journalProvenHead, payload: provenHead });
  }

  #status(state: StatusReport['state']): Message {
    const { topics, boot, clock } = this.#options;
    const status: StatusReport = { state, boot, time: new Date(clock.wallMs()).toISOString() };
    const payload = JSON.stringify(status);
    return { topic: topics.status, payload, qos: 1, retain: true, contentType: JSON_TYPE };
  }

  /**
   * Sends a message; does nothing without a connection. `answered`: called when the broker accepts or refuses it on
   * this connection.
   */
  #send(message: Message, answered?: () => void, subject = message.topic): void {
    const session = this.#session;
    if (session === undefined) return;
    const { refusals } = this.#options;
    if (message.retain && !session.retain) this.#unretained();
    session.publish(message, (refusal) => {
      if (this.#session !== session) return;
      answered?.();
      if (refusal === undefined) {
        refusals.settle(subject);
        return;
      }
      this.counters.refusals += 1;
      refusals.add(subject, refusal);
    });
  }

  #unretained(): void {
    this.counters.unretained += 1;
    if (this.#unretainedTold) return;
    this.#unretainedTold = true;
    this.#options.log.error(
      {},
      'the broker keeps no retained messages: clients that connect later do not receive the state of this box; allow retained messages at the broker',
    );
  }
}

function bodyOf(payload: Notice['payload']): string | Buffer {
  if (typeof payload === 'string') return payload;
  const { buffer, byteOffset, byteLength } = payload.bytes;
  return Buffer.from(buffer, byteOffset, byteLength);
}
