/** Requests the sealed still of an event from one box, by a signed command that the box records in its journal. */
import { AgentError } from '../../../../agent/base/errors.ts';
import { sha256Of } from '../../../../agent/base/sha256.ts';
import { normalCase } from '../../../../agent/contract/case.ts';
import { argsProblem } from '../../../../agent/contract/commands.ts';
import { isAgeFile, type UnsealArgs, type UnsealResult } from '../../../../agent/contract/sealed-evidence.ts';
import { askBox, type BoxRequest } from '../../../lib/room-link/box-session.ts';
import { assertBox, type Room } from '../../../lib/room-link/room-file.ts';

/** Requested still, case and reason, as typed. */
export interface StillAsked {
  readonly case: string;
  readonly reason: string;
  readonly box: string;
  readonly event: string;
}

/**
 * Validates the arguments of the command.
 * @throws {AgentError} `config`, one line
 */
export function unsealArgs({ case: number, reason, event, box }: StillAsked): UnsealArgs {
  assertBox(box);
  const args = { case: normalCase(number), reason, event };
  const problem = argsProblem('unseal', args);
  if (problem === undefined) return args;
  throw new AgentError('config', `--${problem.path.slice(1)}: ${problem.message}`);
}

/** Box, arguments and signing key of a request. */
export type SealedAsked = Omit<BoxRequest<'unseal'>, 'op'>;

/**
 * Fetches the sealed still as the box stores it.
 * @throws {AgentError} one line
 */
export async function sealedFile(room: Room, request: SealedAsked): Promise<Buffer> {
  const { box, args } = request;
  return fileIn(await askBox(room, { ...request, op: 'unseal' }), box, args.event);
}

/** Returns the file after checking its event, its hash and its form. */
function fileIn(result: UnsealResult, box: string, event: string): Buffer {
  const file = Buffer.from(result.file, 'base64');
  if (result.event === event && sha256Of(file) === result.sha256 && isAgeFile(file)) return file;
  throw new AgentError('corrupt', `${box}: the received file is not the sealed still of ${event}`);
}
