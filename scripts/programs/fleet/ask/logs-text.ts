/** The answer to `logs` as text; what comes from a box is bounded and printable, whoever has taken that box over. */
import { gunzipSync } from 'node:zlib';
import { AgentError } from '../../../../agent/base/errors.ts';
import { printableLine } from '../../../../agent/base/printable.ts';
import { LOGS_BYTES_MAX, type LogsResult } from '../../../../agent/contract/diagnosis.ts';

/** Lines, oldest first. Throws AgentError `corrupt` for what is not packed as it should be. */
export function logLines({ gzip }: LogsResult): string[] {
  let text: string;
  try {
    text = gunzipSync(Buffer.from(gzip, 'base64'), { maxOutputLength: LOGS_BYTES_MAX }).toString('utf8');
  } catch (error) {
    throw new AgentError('corrupt', 'the lines cannot be unpacked, or are more than was asked for', error);
  }
  return text.split('\n').slice(0, -1).map(printableLine);
}
