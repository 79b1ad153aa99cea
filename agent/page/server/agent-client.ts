/**
 * The page's end of the agent's socket: requests with their answers, and pictures that arrive unrequested.
 *
 * INVARIANTS:
 * - Every message is checked against its schema (LinkEnd), and a link that breaks it is closed.
 * - Each request is answered, refused or timed out exactly once.
 * LIMITS: ASKED_MAX requests at a time, ANSWER_WITHIN_MS each. An unreachable agent is retried with backoff.
 */
import { createConnection, type Socket } from 'node:net';
import { Backoff } from '../../base/backoff.ts';
import type { Clock } from '../../base/clock.ts';
import { AgentError, messageOf } from '../../base/errors.ts';
import { LinkEnd } from '../../base/link-end.ts';
import type { Logger } from '../../base/log.ts';
import { RepeatedLine } from '../../base/repeated-line.ts';
import { encodeFromPage } from '../../contract/page-frames.ts';
import { type PageAsk, ToPage } from '../../contract/page-link.ts';

const ANSWER_WITHIN_MS = 5000;
const ASKED_MAX = 64;
const RETRY_BACKOFF = { firstMs: 500, maxMs: 10_000 };
const ERROR_EVERY_MS = 600_000;

export type Answer = Extract<ToPage, { kind: 'answer' }>;
export type Picture = Extract<ToPage, { kind: 'picture' }>;
export type NoPictureMessage = Extract<ToPage, { kind: 'no-picture' }>;

export interface AgentEvents {
  onPicture(picture: Picture, jpeg: Uint8Array): void;
  onNoPicture(message: NoPictureMessage): void;
  onUnlock(): void;
  onConnected(): void;
  /** Called when the agent is unreachable and the shown picture must be removed. */
  onUnavailable(): void;
}

export interface AgentClientOptions {
  readonly socket: string;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly log: Logger;
  readonly events: AgentEvents;
}

interface Waiting {
  /** Still that precedes the answer. */
  still: Uint8Array | undefined;
  resolve(answer: { readonly answer: Answer; readonly still: Uint8Array | undefined }): void;
  reject(error: AgentError): void;
  readonly timer: NodeJS.Timeout;
}

export class AgentClient {
  readonly #options: AgentClientOptions;
  readonly #backoff = new Backoff(RETRY_BACKOFF);
  readonly #errorLine: RepeatedLine;
  readonly #waiting = new Map<number, Waiting>();
  #end: LinkEnd<typeof ToPage> | undefined;
  #socket: Socket | undefined;
  #retry: NodeJS.Timeout | undefined;
  #requestCount = 0;
  #stopped = false;
  #reason = 'not connected yet';

  constructor(options: AgentClientOptions) {
    this.#options = options;
    this.#errorLine = new RepeatedLine(ERROR_EVERY_MS, options.clock);
  }

  start(): void {
    this.#connect();
  }

  /** Idempotent. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#retry);
    this.#socket?.destroy();
    this.#giveUp('the page stops');
  }

  /** Rejects with `unavailable` if the agent is unreachable or silent, `exhausted` if too many requests wait. */
  async ask(session: string, ask: PageAsk): Promise<Answer> {
    return (await this.#request(session, ask)).answer;
  }

  /** Returns the still of the newest receipt; undefined if the agent has none. Rejects like `ask`. */
  async receiptStill(session: string): Promise<Uint8Array | undefined> {
    return (await this.#request(session, { op: 'receipt-still' })).still;
  }

  #request(session: string, ask: PageAsk): Promise<Parameters<Waiting['resolve']>[0]> {
    const end = this.#end;
    if (end === undefined)
      return Promise.reject(new AgentError('unavailable', `the agent does not answer: ${this.#reason}`));
    if (this.#waiting.size >= ASKED_MAX)
      return Promise.reject(new AgentError('exhausted', `${ASKED_MAX} questions wait for the agent already`));
    this.#requestCount += 1;
    const request = this.#requestCount;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(request);
        reject(new AgentError('unavailable', `the agent has not answered in ${ANSWER_WITHIN_MS / 1000} s`));
      }, ANSWER_WITHIN_MS);
      this.#waiting.set(request, { still: undefined, resolve, reject, timer });
      if (end.send(encodeFromPage({ kind: 'ask', request, session, ask }))) return;
      clearTimeout(timer);
      this.#waiting.delete(request);
      reject(new AgentError('unavailable', 'the agent does not read requests'));
    });
  }

  #connect(): void {
    if (this.#stopped) return;
    const socket = createConnection(this.#options.socket);
    this.#socket = socket;
    const end = new LinkEnd(socket, ToPage, {
      onMessage: ({ message, binary }) => this.#take(message, binary),
      onClosed: (error) => this.#closed(error),
    });
    socket.on('connect', () => {
      this.#end = end;
      this.#backoff.reset();
      this.#options.log.info({}, 'the agent answers');
      this.#options.events.onConnected();
    });
  }

  #take(message: ToPage, binary: Uint8Array): void {
    const { events } = this.#options;
    if (message.kind === 'picture') events.onPicture(message, binary);
    if (message.kind === 'no-picture') events.onNoPicture(message);
    if (message.kind === 'unlock-pairing') events.onUnlock();
    if (message.kind !== 'answer' && message.kind !== 'still') return;
    const waiting = this.#waiting.get(message.request);
    // An answer that came too late was already timed out.
    if (waiting === undefined) return;
    if (message.kind === 'still') {
      waiting.still = Buffer.from(binary);
      return;
    }
    clearTimeout(waiting.timer);
    this.#waiting.delete(message.request);
    waiting.resolve({ answer: message, still: waiting.still });
  }

  #closed(error: Error | undefined): void {
    const { log, events, socket } = this.#options;
    const was = this.#end !== undefined;
    this.#end = undefined;
    this.#reason = error === undefined ? 'it has closed the connection' : messageOf(error);
    this.#giveUp(this.#reason);
    if (was) events.onUnavailable();
    if (this.#stopped) return;
    this.#errorLine.due((leftOut) =>
      log.warn({ socket, reason: this.#reason, leftOut }, 'the agent does not answer; tried again'),
    );
    this.#retry = setTimeout(() => this.#connect(), this.#backoff.nextMs());
  }

  #giveUp(reason: string): void {
    for (const { timer, reject } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(new AgentError('unavailable', `the agent does not answer: ${reason}`));
    }
    this.#waiting.clear();
  }
}
