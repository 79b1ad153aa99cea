/**
 * Dispatches signed commands from the room to their handlers and returns the replies.
 *
 * INVARIANTS:
 * - No incoming message causes an exception.
 * - Arguments are checked here, before the handler receives them.
 * - A command without a reply topic is not executed.
 * - Every refusal is counted, and its reason is reported within the limit below.
 *
 * LIMITS: REFUSALS_TOLD replies and log lines about refused commands, so that clients without a key cannot load the
 * box. At most WAITING_MAX replies to broadcasts wait for their time.
 */
import type { Clock } from '../base/clock.ts';
import type { Counters } from '../base/counters.ts';
import { rethrowBug } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { TokenBucket } from '../base/token-bucket.ts';
import {
  type CommandOp,
  CommandRefused,
  type CommandReply,
  type IncomingCommand,
  type SignedCommand,
} from '../contract/command.ts';
import { type CommandHandler, type CommandHandlers, checkedCommand } from '../contract/commands.ts';
import type { CommandVerifier } from './verifier.ts';

const REFUSALS_TOLD = { burst: 20, perS: 1 };

/** Period in ms over which replies to a broadcast are spread: 1,500 boxes then send 750 a second. */
const SPREAD_MS = 2000;
const WAITING_MAX = 64;

const MESSAGE_CHARS_MAX = 500;

export interface CommandDispatcherOptions {
  readonly site: string;
  readonly box: string;
  readonly verifier: CommandVerifier;
  readonly handlers: CommandHandlers;
  readonly clock: Clock;
  readonly log: Logger;
}

type Answer = Pick<CommandReply, 'op' | 'counter' | 'result' | 'refused'>;

export class CommandDispatcher {
  readonly #options: CommandDispatcherOptions;
  readonly #unsignedReplies: TokenBucket;
  readonly #stopping = new AbortController();
  readonly #waiting = new Set<Promise<void>>();
  #accepted = 0;
  #refusals = 0;
  #repliesLost = 0;

  constructor(options: CommandDispatcherOptions) {
    this.#options = options;
    this.#unsignedReplies = new TokenBucket(REFUSALS_TOLD, options.clock);
  }

  get counters(): Counters {
    return {
      commands_accepted: this.#accepted,
      commands_refused: this.#refusals,
      command_replies_lost: this.#repliesLost,
    };
  }

  /** Executes a valid command, and replies whenever a reply is possible. */
  hear(incoming: IncomingCommand): void {
    const { verifier, clock } = this.#options;
    try {
      if (incoming.reply === undefined) {
        const message = 'no response topic below reply/ of this box or of all boxes';
        throw new CommandRefused('malformed', message);
      }
      if (this.#waiting.size >= WAITING_MAX) {
        throw new CommandRefused('rate-limited', 'too many commands are waiting; retry later', {
          retryAfterS: 5,
        });
      }
      const command = verifier.open(incoming.payload);
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

  /** Sends the waiting replies immediately. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    // A reply that waited for its time may now wait for its result.
    while (this.#waiting.size > 0) await Promise.all(this.#waiting);
  }

  #obey(command: SignedCommand, incoming: IncomingCommand): void {
    const { op, counter, key } = command;
    try {
      const result = this.#result(op, command);
      const obeyed = (value: unknown): void => {
        this.#accepted += 1;
        this.#options.log.info({ op, counter, key }, 'command obeyed');
        this.#reply(incoming, { op, counter, result: value });
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

  /** @throws CommandRefused */
  #result<K extends CommandOp>(op: K, command: SignedCommand): ReturnType<CommandHandler<K>> {
    return this.#options.handlers[op](checkedCommand(op, command));
  }

  #refuse(error: unknown, incoming: IncomingCommand, about: Pick<Answer, 'op' | 'counter'>): void {
    rethrowBug(error);
    this.#refusals += 1;
    // A client that can sign always receives the reason.
    if (about.op === undefined && this.#unsignedReplies.take() > 0) return;
    const { code, retryAfterS } =
      error instanceof CommandRefused ? error : { code: 'unavailable' as const, retryAfterS: undefined };
    const message = error.message.slice(0, MESSAGE_CHARS_MAX);
    this.#options.log.warn({ code, reason: message }, 'command refused');
    const refusal = { code, message, ...(retryAfterS !== undefined && { retryAfterS }) };
    this.#reply(incoming, { ...about, refused: refusal });
  }

  #reply({ reply }: IncomingCommand, answer: Answer): void {
    if (reply === undefined) return;
    const { site, box, clock } = this.#options;
    const time = new Date(clock.wallMs()).toISOString();
    const commandReply: CommandReply = { site, box, time, ...answer };
    if (!reply(JSON.stringify(commandReply))) this.#repliesLost += 1;
  }
}

export interface CommandParts {
  readonly search: { readonly answer: CommandHandler<'search'> };
  readonly sealed: { readonly answer: CommandHandler<'unseal'> };
  readonly tracks: { readonly answer: CommandHandler<'tracks'> };
  readonly restraint: {
    readonly suspend: CommandHandler<'suspend'>;
    readonly resume: CommandHandler<'resume'>;
    readonly resetTime: CommandHandler<'reset-time'>;
  };
  readonly technician: { readonly unlockPairing: CommandHandler<'unlock-pairing'> };
  readonly diagnosis: {
    readonly logs: CommandHandler<'logs'>;
    readonly doctor: CommandHandler<'doctor'>;
    readonly renew: CommandHandler<'renew-certificate'>;
    readonly readConfiguration: CommandHandler<'read-configuration'>;
  };
  readonly openHotspot: CommandHandler<'open-hotspot'>;
}

export function commandHandlers(parts: CommandParts): CommandHandlers {
  const { search, sealed, tracks, restraint, technician, diagnosis, openHotspot } = parts;
  return {
    search: (command) => search.answer(command),
    suspend: (command) => restraint.suspend(command),
    resume: (command) => restraint.resume(command),
    unseal: (command) => sealed.answer(command),
    'reset-time': (command) => restraint.resetTime(command),
    'open-hotspot': openHotspot,
    'unlock-pairing': (command) => technician.unlockPairing(command),
    logs: (command) => diagnosis.logs(command),
    doctor: (command) => diagnosis.doctor(command),
    'renew-certificate': (command) => diagnosis.renew(command),
    'read-configuration': (command) => diagnosis.readConfiguration(command),
    tracks: (command) => tracks.answer(command),
  };
}
