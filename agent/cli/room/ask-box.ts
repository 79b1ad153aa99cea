/** One signed command from the room to one box, and its answer. */
import type { KeyObject } from 'node:crypto';
import { Value } from '@sinclair/typebox/value';
import { systemClock } from '../../base/clock.ts';
import { AgentError } from '../../base/errors.ts';
import { jsonOf } from '../../base/json.ts';
import { printable } from '../../base/printable.ts';
import { type CommandOp, CommandReply } from '../../contract/command.ts';
import { type CommandArgs, type CommandResult, isResultOf } from '../../contract/commands.ts';
import { RoomLink } from '../../mqtt/room-link.ts';
import { NAME, type Room } from './room-file.ts';
import { signedCommand } from './signed-command.ts';

export interface Asked<K extends CommandOp> {
  readonly op: K;
  readonly args: CommandArgs<K>;
  readonly box: string;
  /** Signs the command; its public half is among the box's `commands.keys`. */
  readonly key: KeyObject;
  readonly timeoutS: number;
}

/** Throws AgentError `config` for what is no name of a box. */
export function assertBox(box: string): void {
  if (NAME.test(box)) return;
  throw new AgentError('config', `--box: "${box}" is no name; 1 to 32 of a-z, 0-9 and - are`);
}

/**
 * Returns the result. Throws AgentError, one line: `denied` where the box refuses, `unavailable` where it does not answer,
 * `corrupt` where what it answers is no result of this command.
 */
export async function askBox<K extends CommandOp>(
  room: Room,
  { op, args, box, key, timeoutS }: Asked<K>,
): Promise<CommandResult<K>> {
  const counter = systemClock.wallMs();
  const envelope = signedCommand({ site: room.site, box, counter, op, args }, key, counter);
  const { result, refused } = await answered(room, op, box, `${counter}`, envelope, timeoutS);
  if (refused === undefined) {
    if (isResultOf(op, result)) return result;
    throw new AgentError('corrupt', `the answer of ${box} has another form; is it of another version?`);
  }
  throw new AgentError('denied', `refused by ${box}: ${refused.code}: ${printable(refused.message, 600)}`);
}

async function answered(
  room: Room,
  op: CommandOp,
  box: string,
  correlation: string,
  envelope: string,
  timeoutS: number,
): Promise<CommandReply> {
  const stop = new AbortController();
  let fault: Error | undefined;
  let answer: Buffer | undefined;
  const end = (error?: Error): void => {
    fault ??= error;
    stop.abort();
  };
  const interrupt = (): void => end(new AgentError('unavailable', `${op} interrupted`));
  const link = new RoomLink({
    config: room.mqtt,
    site: room.site,
    onStatus: () => undefined,
    onReply: (from, payload, given) => {
      if (from !== box || given !== correlation) return;
      answer = payload;
      end();
    },
  });
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  try {
    await link.start(stop.signal);
    void link.closed.then((error) => end(error));
    link.ask(box, envelope, correlation, end);
    await systemClock.sleep(timeoutS * 1000, stop.signal);
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
    await link.stop();
  }
  if (answer === undefined)
    throw fault ?? new AgentError('unavailable', `no answer from ${box} within ${timeoutS} s`);
  const reply = jsonOf(answer.toString());
  if (Value.Check(CommandReply, reply)) return reply;
  throw new AgentError('corrupt', `what ${box} answered is no reply; is it of another version?`);
}
