/**
 * Sends signed commands to one box over one connection, in sequence.
 *
 * INVARIANTS: counters of commands are strictly increasing. Only this box's answer to the open command counts.
 * LIMITS: WAITS_MAX pauses that the box requests in one command, none longer than WAIT_S_MAX.
 */
import type { KeyObject } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Value } from '@sinclair/typebox/value';
import { systemClock } from '../../../agent/base/clock.ts';
import { AgentError } from '../../../agent/base/errors.ts';
import { jsonOf } from '../../../agent/base/json.ts';
import { printable } from '../../../agent/base/printable.ts';
import { COMMAND_BYTES_MAX, type CommandOp, CommandReply } from '../../../agent/contract/command.ts';
import {
  COMMANDS,
  type CommandArgs,
  type CommandResult,
  isResultOf,
} from '../../../agent/contract/commands.ts';
import type { Room } from './room-file.ts';
import { RoomLink } from './room-link.ts';
import { signedCommand } from './signed-command.ts';

const WAITS_MAX = 20;
/** A longer pause, such as a daily budget that is used up, counts as a refusal. */
const WAIT_S_MAX = 60;
/** Another command of the same key may overtake one of these; more often than this is not accidental. */
const OVERTAKEN_MAX = 3;
const OVERTAKEN_WAIT_MS = 200;
/** A box's message with a refusal has at most 500 characters. */
const REFUSAL_CHARS_MAX = 600;

export interface BoxSessionOptions {
  readonly room: Room;
  /** Signs each command; its public half is among the box's `commands.keys`. */
  readonly key: KeyObject;
  readonly box: string;
  /** Time limit for each answer, s. */
  readonly timeoutS: number;
  /** No pause that the box requests may end later than this after the start, ms. */
  readonly withinMs?: number;
  readonly signal: AbortSignal;
}

interface Waiting {
  readonly correlation: string;
  end(outcome: Buffer | Error): void;
}

export class BoxSession {
  readonly #options: BoxSessionOptions;
  readonly #link: RoomLink;
  readonly #untilMs: number;
  #counter = 0;
  #waiting: Waiting | undefined;
  /** Reason why no answer can come. */
  #error: Error | undefined;

  constructor(options: BoxSessionOptions) {
    const { room, box } = options;
    this.#options = options;
    this.#untilMs = performance.now() + (options.withinMs ?? Number.POSITIVE_INFINITY);
    this.#link = new RoomLink({
      config: room.mqtt,
      site: room.site,
      onStatus: (from, payload) => from === box && this.#status(payload),
      onReply: (from, payload, correlation) => {
        if (from === box && correlation === this.#waiting?.correlation) this.#waiting.end(payload);
      },
    });
  }

  /** Connects to the broker. Throws AgentError, one line. */
  async open(): Promise<void> {
    const { signal } = this.#options;
    await this.#link.start(signal);
    void this.#link.closed.then((error) => this.#end(error));
    signal.addEventListener('abort', () => this.#end(new AgentError('unavailable', 'interrupted')));
    if (signal.aborted) this.#end(new AgentError('unavailable', 'interrupted'));
  }

  async close(): Promise<void> {
    await this.#link.stop();
  }

  /**
   * Returns the result. Throws AgentError, one line: `denied` if the box refuses, `unavailable` if it does not answer,
   * `corrupt` if the answer is not a result of this command.
   */
  async ask<K extends CommandOp>(op: K, args: CommandArgs<K>): Promise<CommandResult<K>> {
    const { box, signal } = this.#options;
    for (let waits = 0, overtaken = 0; ; ) {
      const { result, refused: refusal } = await this.#sendOnce(op, args);
      if (refusal === undefined) {
        if (isResultOf(op, result)) return result;
        const error = Value.Errors(COMMANDS[op].result, result).First();
        const errorText = `${error?.path || '/'}: ${error?.message ?? ''}`;
        const form = `the answer of ${box} has another form, ${errorText}; is it of another version?`;
        throw new AgentError('corrupt', form);
      }
      const { code, message, retryAfterS = 1 } = refusal;
      const isShort = retryAfterS <= WAIT_S_MAX && performance.now() + retryAfterS * 1000 <= this.#untilMs;
      const mayWait = code === 'rate-limited' && isShort && waits < WAITS_MAX;
      const isOvertaken = code === 'replayed' && overtaken < OVERTAKEN_MAX;
      if (!mayWait && !isOvertaken) {
        const reason = printable(message, REFUSAL_CHARS_MAX);
        throw new AgentError('denied', `refused by ${box}: ${code}: ${reason}`);
      }
      if (mayWait) waits += 1;
      else overtaken += 1;
      await sleep(mayWait ? retryAfterS * 1000 : OVERTAKEN_WAIT_MS, undefined, { signal }).catch(
        () => undefined,
      );
    }
  }

  async #sendOnce<K extends CommandOp>(op: K, args: CommandArgs<K>): Promise<CommandReply> {
    const { room, box, key, timeoutS } = this.#options;
    const nowMs = systemClock.wallMs();
    this.#counter = Math.max(this.#counter + 1, nowMs);
    const correlation = `${this.#counter}`;
    const command = { site: room.site, box, counter: this.#counter, op, args };
    const envelope = signedCommand(command, key, nowMs);
    if (envelope.length > COMMAND_BYTES_MAX) {
      const right = 'say less: fewer corners, or fewer decimals';
      throw new AgentError(
        'config',
        `the command has ${envelope.length} bytes, a box reads ${COMMAND_BYTES_MAX}; ${right}`,
      );
    }
    const payload = await new Promise<Buffer>((resolve, reject) => {
      const silence = new AgentError('unavailable', `no answer from ${box} within ${timeoutS} s`);
      const timer = setTimeout(() => this.#waiting?.end(silence), timeoutS * 1000);
      const end = (outcome: Buffer | Error): void => {
        clearTimeout(timer);
        this.#waiting = undefined;
        if (outcome instanceof Error) reject(outcome);
        else resolve(outcome);
      };
      this.#waiting = { correlation, end };
      if (this.#error === undefined)
        this.#link.ask(box, envelope, correlation, (refusal) => this.#end(refusal));
      else end(this.#error);
    });
    const reply = jsonOf(payload.toString());
    if (Value.Check(CommandReply, reply) && reply.site === room.site && reply.box === box) return reply;
    throw new AgentError('corrupt', `${box}: unexpected reply; check that the versions match`);
  }

  /** Learns from its retained status that the box is offline, so that no answer can be expected. */
  #status(payload: Buffer): void {
    const { state, time } = Object(jsonOf(payload.toString())) as { state?: unknown; time?: unknown };
    if (state !== 'offline' && state !== 'stopped') return;
    const sinceText = Number.isNaN(Date.parse(String(time)))
      ? ''
      : ` since ${new Date(String(time)).toISOString()}`;
    const { box } = this.#options;
    this.#end(
      new AgentError(
        'unavailable',
        `${box} is not connected (${state}${sinceText}); ask again when it is back`,
      ),
    );
  }

  #end(error: Error): void {
    this.#error ??= error;
    this.#waiting?.end(error);
  }
}

/** Opens a session for `use`, and closes it in every case. */
export async function inSession<T>(
  options: BoxSessionOptions,
  use: (session: BoxSession) => Promise<T>,
): Promise<T> {
  const session = new BoxSession(options);
  try {
    await session.open();
    return await use(session);
  } finally {
    await session.close();
  }
}

export interface BoxRequest<K extends CommandOp> {
  readonly op: K;
  readonly args: CommandArgs<K>;
  readonly box: string;
  /** Signs the command; its public half is among the box's `commands.keys`. */
  readonly key: KeyObject;
  readonly timeoutS: number;
}

/**
 * Returns the result of one command, over a connection of its own; SIGINT and SIGTERM end it. Throws AgentError as
 * `ask`.
 */
export async function askBox<K extends CommandOp>(
  room: Room,
  { op, args, box, key, timeoutS }: BoxRequest<K>,
): Promise<CommandResult<K>> {
  const stop = new AbortController();
  const interrupt = (): void => stop.abort();
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  try {
    const options = { room, key, box, timeoutS, signal: stop.signal };
    return await inSession(options, (session) => session.ask(op, args));
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
  }
}
