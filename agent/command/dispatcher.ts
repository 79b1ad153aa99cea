/**
 * Takes signed commands from the room to whoever obeys them, and the answer back.
 *
 * INVARIANTS: nothing that arrives makes it throw; a command without a place to answer is not obeyed; every
 * refusal is counted, and says why as far as the limit below lets it.
 * LIMITS: REFUSALS_TOLD replies and log lines about refused commands (who cannot sign must not make the box
 * busy); WAITING_MAX answers to broadcasts wait for their moment.
 */
import type { Clock } from '../base/clock.ts';
import { AgentError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { TokenBucket } from '../base/token-bucket.ts';
import {
  type AcceptedCommand,
  type CommandOp,
  CommandRefused,
  type CommandReply,
  type IncomingCommand,
} from '../contract/command.ts';
import type { CommandVerifier } from './verifier.ts';

const REFUSALS_TOLD = { burst: 20, perS: 1 };

/** Answers to a broadcast are spread over this: 1,500 boxes then send 750 a second. */
const SPREAD_MS = 2000;
const WAITING_MAX = 64;

const MESSAGE_CHARS_MAX = 500;

export interface CommandDispatcherOptions {
  readonly site: string;
  readonly box: string;
  readonly door: CommandVerifier;
  /** What each command does; returns the result of the reply (or a promise of it), or throws CommandRefused. */
  readonly ops: Readonly<Record<CommandOp, (command: AcceptedCommand) => unknown>>;
  readonly clock: Clock;
  readonly log: Logger;
  /** False when there is no connection. */
  reply(topic: string, payload: string, correlation: Uint8Array | undefined): boolean;
}

type Answer = Pick<CommandReply, 'op' | 'counter' | 'result' | 'refused'>;

export class CommandDispatcher {
  readonly counters = { accepted: 0, refused: 0, repliesLost: 0 };
  readonly #options: CommandDispatcherOptions;
  readonly #told: TokenBucket;
  readonly #stopping = new AbortController();
  readonly #waiting = new Set<Promise<void>>();

  constructor(options: CommandDispatcherOptions) {
    this.#options = options;
    this.#told = new TokenBucket(REFUSALS_TOLD, options.clock);
  }

  take(incoming: IncomingCommand): void {
    const { door, clock } = this.#options;
    try {
      if (incoming.replyTo === undefined) {
        const message = 'no response topic below reply/ of this box or of all boxes';
        throw new CommandRefused('malformed', message);
      }
      if (this.#waiting.size >= WAITING_MAX) {
        throw new CommandRefused('rate-limited', 'too many commands wait; come again', { retryAfterS: 5 });
      }
      const command = door.open(incoming.payload);
      if (!incoming.broadcast) {
        this.#obey(command, incoming);
        return;
      }
      const moment = clock.sleep(Math.random() * SPREAD_MS, this.#stopping.signal);
      const answered = moment
        .then(() => this.#obey(command, incoming))
        .finally(() => this.#waiting.delete(answered));
      this.#waiting.add(answered);
    } catch (error) {
      this.#refuse(error, incoming, {});
    }
  }

  /** Answers at once what still waits. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#waiting);
  }

  #obey(command: AcceptedCommand, incoming: IncomingCommand): void {
    const { op, counter, key } = command;
    try {
      const result = this.#options.ops[op](command);
      const obeyed = (done: unknown): void => {
        this.counters.accepted += 1;
        this.#options.log.info({ op, counter, key }, 'command obeyed');
        this.#reply(incoming, { op, counter, result: done });
      };
      if (!(result instanceof Promise)) {
        obeyed(result);
        return;
      }
      const answered: Promise<void> = result
        .then(obeyed, (error: unknown) => this.#refuse(error, incoming, { op, counter }))
        .finally(() => this.#waiting.delete(answered));
      this.#waiting.add(answered);
    } catch (error) {
      this.#refuse(error, incoming, { op, counter });
    }
  }

  #refuse(error: unknown, incoming: IncomingCommand, about: Pick<Answer, 'op' | 'counter'>): void {
    if (!(error instanceof AgentError) || error.kind === 'bug') throw error;
    this.counters.refused += 1;
    // Whoever could sign is always told why.
    if (about.op === undefined && this.#told.take() > 0) return;
    const { code, retryAfterS } =
      error instanceof CommandRefused ? error : { code: 'unavailable' as const, retryAfterS: undefined };
    const message = error.message.slice(0, MESSAGE_CHARS_MAX);
    this.#options.log.warn({ code, reason: message }, 'command refused');
    const refused = { code, message, ...(retryAfterS !== undefined && { retryAfterS }) };
    if (incoming.replyTo !== undefined) this.#reply(incoming, { ...about, refused });
  }

  #reply({ replyTo = '', correlation }: IncomingCommand, answer: Answer): void {
    const { site, box, clock, reply } = this.#options;
    const time = new Date(clock.wallMs()).toISOString();
    const whole: CommandReply = { site, box, time, ...answer };
    if (!reply(replyTo, JSON.stringify(whole), correlation)) this.counters.repliesLost += 1;
  }
}
