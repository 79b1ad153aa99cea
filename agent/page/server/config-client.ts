/**
 * Client of root's helper for configurations: one request a connection, one at a time.
 *
 * INVARIANT: an answer counts only if it matches its schema.
 * LIMITS: ANSWER_WITHIN_MS. QUEUE_MAX requests wait, and a further one is refused. A reading is reused for READ_MS, a
 * failed one for AGAIN_MS. Otherwise two phones that poll every two seconds would start root's program each time.
 */
import { Value } from '@sinclair/typebox/value';
import type { Clock } from '../../base/clock.ts';
import { AgentError, messageOf, rethrowBug } from '../../base/errors.ts';
import { jsonOf } from '../../base/json.ts';
import { exchangeLine } from '../../base/line-exchange.ts';
import { CONFIG_REPLY_BYTES_MAX, ConfigReply, type ConfigRequest } from '../../contract/config-trial.ts';

/** Covers a program that starts on a busy Raspberry Pi and checks the whole configuration. */
const ANSWER_WITHIN_MS = 15_000;
const QUEUE_MAX = 8;
const READ_MS = 10_000;
const AGAIN_MS = 3000;

export interface ConfigClientOptions {
  readonly socket: string;
  readonly clock: Pick<Clock, 'nowMs'>;
}

export class ConfigClient {
  readonly #options: ConfigClientOptions;
  #last: { readonly reply: ConfigReply; readonly atMs: number } | undefined;
  #failed: { readonly error: AgentError; readonly atMs: number } | undefined;
  #reading: Promise<ConfigReply> | undefined;
  #before: Promise<unknown> = Promise.resolve();
  #queued = 0;

  constructor(options: ConfigClientOptions) {
    this.#options = options;
  }

  /**
   * Returns the installed configuration and the state of a trial. Rejects with `unavailable`, `exhausted` or `corrupt`.
   */
  read(): Promise<ConfigReply> {
    const cachedReply = this.#cachedReply();
    if (cachedReply !== undefined) return Promise.resolve(cachedReply);
    const { clock } = this.#options;
    if (this.#failed !== undefined && clock.nowMs() - this.#failed.atMs < AGAIN_MS)
      return Promise.reject(this.#failed.error);
    this.#reading ??= this.ask({ op: 'read' })
      .catch((error: unknown) => {
        rethrowBug(error);
        this.#failed = { error, atMs: clock.nowMs() };
        throw error;
      })
      .finally(() => {
        this.#reading = undefined;
      });
    return this.#reading;
  }

  /** Rejects with `unavailable`, `exhausted` or `corrupt`. */
  async ask(request: ConfigRequest): Promise<ConfigReply> {
    if (this.#queued >= QUEUE_MAX)
      throw new AgentError('exhausted', `${QUEUE_MAX} questions wait for the configuration helper already`);
    this.#queued += 1;
    const before = this.#before;
    const asking = (async () => {
      await before;
      return this.#ask(request);
    })();
    // The next request waits for any outcome of this one, whose own caller gets the error.
    this.#before = asking.then(
      () => undefined,
      () => undefined,
    );
    try {
      const reply = await asking;
      this.#last = { reply: { ...reply, problems: [], refused: null }, atMs: this.#options.clock.nowMs() };
      return reply;
    } finally {
      this.#queued -= 1;
    }
  }

  /** Returns the last reply while it is valid, with the present remaining time of a trial. */
  #cachedReply(): ConfigReply | undefined {
    if (this.#last === undefined) return undefined;
    const { reply, atMs } = this.#last;
    const passedMs = this.#options.clock.nowMs() - atMs;
    if (passedMs >= READ_MS) return undefined;
    if (reply.trial === null) return reply;
    const leftS = reply.trial.leftS - passedMs / 1000;
    return leftS > 0 ? { ...reply, trial: { ...reply.trial, leftS } } : undefined;
  }

  async #ask(request: ConfigRequest): Promise<ConfigReply> {
    const { socket } = this.#options;
    // Anything that may have changed is read again.
    if (request.op !== 'read') this.#last = undefined;
    let text: string;
    try {
      const limits = { withinMs: ANSWER_WITHIN_MS, bytesMax: CONFIG_REPLY_BYTES_MAX };
      text = await exchangeLine(socket, JSON.stringify(request), limits);
    } catch (error) {
      throw new AgentError('unavailable', unanswered(socket, error), error);
    }
    const reply = jsonOf(text);
    if (Value.Check(ConfigReply, reply)) return reply;
    throw new AgentError('corrupt', `${socket}: unexpected answer; check that the versions match`);
  }
}

function unanswered(socket: string, error: unknown): string {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT')
    return `a configuration is tried by vigie-root, which is not here (${socket} is missing): install it, or systemctl start vigie-config.socket`;
  const fix = 'systemctl status vigie-config.socket';
  return `the configuration helper does not answer (${socket}: ${messageOf(error)}); ${fix}`;
}
