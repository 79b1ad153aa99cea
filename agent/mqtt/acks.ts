/** Validates the room's cumulative acknowledgement when it arrives. */
import { TypeCompiler } from '@sinclair/typebox/compiler';
import { AgentError } from '../base/errors.ts';
import { ACK_BYTES_MAX, Ack } from '../contract/ack.ts';

const ackCheck = TypeCompiler.Compile(Ack);

/**
 * Parses an acknowledgement.
 * @throws AgentError `corrupt` if it is invalid
 */
export function parseAck(payload: Buffer): Ack {
  if (payload.length > ACK_BYTES_MAX) throw refusalOf(`${payload.length} bytes`);
  let ack: unknown;
  try {
    ack = JSON.parse(payload.toString('utf8'));
  } catch (error) {
    throw refusalOf('not JSON', error);
  }
  if (!ackCheck.Check(ack)) throw refusalOf('not {"alert": <number>, "bulk": <number>}');
  const { alert, bulk, epoch } = ack;
  return {
    ...(alert !== undefined && { alert }),
    ...(bulk !== undefined && { bulk }),
    ...(epoch !== undefined && { epoch }),
  };
}

function refusalOf(problem: string, cause?: unknown): AgentError {
  return new AgentError('corrupt', `acknowledgement refused: ${problem}`, cause);
}
