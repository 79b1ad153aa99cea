/**
 * Sends preview requests to vision and takes its answers.
 *
 * LIMITS: one request at a time; others wait. A request is answered here if vision does not answer within
 * ANSWER_WITHIN_MS or has ended.
 */
import type { Clock } from '../base/clock.ts';
import {
  type FromVision,
  type PreviewAnswer,
  type Received,
  receivedSnapshot,
  type ToVision,
} from '../contract/link.ts';

/** Pictures of an event come first: sixteen of them take some seconds on a slow board. */
const ANSWER_WITHIN_MS = 10_000;

export interface PreviewRequestsOptions {
  readonly clock: Pick<Clock, 'nowMs'>;
  send(message: ToVision): boolean;
}

interface Waiting {
  readonly request: number;
  readonly untilMs: number;
  answer(answer: PreviewAnswer): void;
}

export class PreviewRequests {
  readonly #options: PreviewRequestsOptions;
  #requests = 0;
  #waiting: Waiting | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: PreviewRequestsOptions) {
    this.#options = options;
  }

  /** Never rejects. */
  ask(): Promise<PreviewAnswer> {
    const request = this.#last.then(() => this.#send());
    this.#last = request;
    return request;
  }

  #send(): Promise<PreviewAnswer> {
    this.#requests += 1;
    const request = this.#requests;
    if (!this.#options.send({ kind: 'preview', request })) {
      return Promise.resolve({ picture: undefined, reason: 'there is no vision process' });
    }
    const untilMs = this.#options.clock.nowMs() + ANSWER_WITHIN_MS;
    return new Promise((resolve) => {
      this.#waiting = { request, untilMs, answer: resolve };
    });
  }

  /** Late answers are ignored. */
  receive({ message, binary }: Received<FromVision>): void {
    if (message.kind !== 'preview' && message.kind !== 'no-preview') return;
    if (message.request !== this.#waiting?.request) return;
    if (message.kind === 'no-preview') this.#answer({ picture: undefined, reason: message.reason });
    else this.#answer({ picture: receivedSnapshot(message, binary), tookMs: message.tookMs });
  }

  onVisionEnd(): void {
    this.#answer({ picture: undefined, reason: 'vision has ended' });
  }

  tick(): void {
    if (this.#waiting === undefined || this.#options.clock.nowMs() < this.#waiting.untilMs) return;
    this.#answer({ picture: undefined, reason: 'vision does not answer' });
  }

  #answer(answer: PreviewAnswer): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.answer(answer);
  }
}
