/** Converts the answer to `logs` to text. The result is bounded and printable, even from a compromised box. */
import { gunzipSync } from 'node:zlib';
import { AgentError } from '../../../../agent/base/errors.ts';
import { printableLine } from '../../../../agent/base/printable.ts';
import { LOGS_BYTES_MAX, type LogsResult } from '../../../../agent/contract/diagnosis.ts';

/** Returns the lines, oldest first. Throws AgentError `corrupt` if they cannot be unpacked. */
export function logLines({ gzip }: LogsResult): string[] {
  let text: string;
  try {
    text = gunzipSync(Buffer.from(gzip, 'base64'), { maxOutputLength: LOGS_BYTES_MAX }).toString('utf8');
  } catch (error) {
    throw new AgentError('corrupt', 'the lines cannot be unpacked, or exceed the requested size', error);
  }
  return text.split('\n').slice(0, -1).map(printableLine);
}
