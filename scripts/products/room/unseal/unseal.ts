/** Fetches the sealed still of an event from its box, and writes it to a file. */
import { existsSync, writeFileSync } from 'node:fs';
import { AgentError, messageOf } from '../../../../agent/base/errors.ts';
import { sha256Of } from '../../../../agent/base/sha256.ts';
import { print } from '../../../../agent/cli/print.ts';
import { signingKey } from '../../../../agent/cli/signing-key.ts';
import { type RoomOptions, roomOf } from '../../../lib/room-link/room-file.ts';
import { type StillAsked, sealedFile, unsealArgs } from '../questions/sealed-still.ts';

export interface UnsealOptions extends RoomOptions, StillAsked {
  readonly sign: string;
  readonly out: string;
  readonly timeout: number;
}

/**
 * Fetches and writes the still.
 * @throws {AgentError} one line
 */
export async function unseal(options: UnsealOptions): Promise<void> {
  const room = roomOf(options);
  const key = signingKey(options.sign);
  const args = unsealArgs(options);
  // Checked first: a file that cannot be written would be requested, and recorded in the journal, in vain.
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
    `the box has put case ${args.case} into its journal; who holds the authority's key opens the file with:`,
    `  age --decrypt -i KEY -o still.jpg ${options.out}`,
  );
}
