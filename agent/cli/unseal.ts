/** `vigie unseal`: asks one box, by a signed command, for the sealed still of an event, and writes it to a file. */

import { existsSync, writeFileSync } from 'node:fs';
import { AgentError, messageOf } from '../base/errors.ts';
import { sha256Of } from '../base/sha256.ts';
import { argsFault } from '../contract/commands.ts';
import { isAgeFile, type UnsealArgs, type UnsealResult } from '../contract/sealed-evidence.ts';
import { print } from './print.ts';
import { type Asked, askBox } from './room/box-session.ts';
import { assertBox, type Room, type RoomOptions, roomOf } from './room/room-file.ts';
import { signingKey } from './signing-key.ts';

export interface UnsealOptions extends RoomOptions {
  readonly sign: string;
  readonly case: string;
  readonly reason: string;
  readonly box: string;
  readonly event: string;
  readonly out: string;
  readonly timeout: number;
}

/** Throws AgentError, one line. */
export async function unseal(options: UnsealOptions): Promise<void> {
  const room = roomOf(options);
  const key = signingKey(options.sign);
  const args = unsealArgs(options);
  // Looked at first: a file that cannot be written would have been asked for in vain, and journaled.
  if (existsSync(options.out)) throw new AgentError('config', `--out: ${options.out} is there already`);
  const { box, timeout: timeoutS } = options;
  const file = await sealedFile(room, { args, box, key, timeoutS });
  try {
    writeFileSync(options.out, file, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    throw new AgentError('config', `--out: ${options.out} cannot be written (${messageOf(error)})`, error);
  }
  print(
    `${options.out}: ${file.length} bytes, SHA-256 ${sha256Of(file)}`,
    `the box has put case ${options.case} into its journal; who holds the authority's key opens the file with:`,
    `  age --decrypt -i KEY -o still.jpg ${options.out}`,
  );
}

/** Of which box, and by whose key. */
export type SealedAsked = Omit<Asked<'unseal'>, 'op'>;

/** The sealed still as the box holds it. Throws AgentError, one line. */
export async function sealedFile(room: Room, asked: SealedAsked): Promise<Buffer> {
  const { box, args } = asked;
  return fileIn(await askBox(room, { ...asked, op: 'unseal' }), box, args.event);
}

/** Throws AgentError `config`, one line. */
export function unsealArgs({
  case: number,
  reason,
  event,
  box,
}: Pick<UnsealOptions, 'case' | 'reason' | 'event' | 'box'>): UnsealArgs {
  assertBox(box);
  const args = { case: number, reason, event };
  const fault = argsFault('unseal', args);
  if (fault === undefined) return args;
  throw new AgentError('config', `--${fault.path.slice(1)}: ${fault.message}`);
}

/** Believed only when it is what it says. */
function fileIn(result: UnsealResult, box: string, event: string): Buffer {
  const file = Buffer.from(result.file, 'base64');
  if (result.event === event && sha256Of(file) === result.sha256 && isAgeFile(file)) return file;
  throw new AgentError('corrupt', `what ${box} sent is not the sealed still of ${event}`);
}
