/** HTTP GET from a program on this machine that listens on a Unix socket. */
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { withDeadline } from './deadline.ts';
import { AgentError, messageOf } from './errors.ts';

const ANSWER_WITHIN_MS = 5000;
const ANSWER_BYTES_MAX = 1_048_576;

/**
 * Returns the body. The time limit is for the whole answer, also from a program that sends a byte now and then.
 *
 * @throws AgentError `unavailable` if no program listens, if the answer is not complete in time, or if it is invalid
 */
export async function getLocal(socketPath: string, path: string): Promise<string> {
  const signal = withDeadline(ANSWER_WITHIN_MS);
  const asking = request({ socketPath, path, signal });
  asking.end();
  try {
    const [response] = (await once(asking, 'response')) as [IncomingMessage];
    let body = '';
    for await (const chunk of response.setEncoding('utf8')) {
      body += String(chunk);
      if (body.length > ANSWER_BYTES_MAX) throw new Error(`more than ${ANSWER_BYTES_MAX} characters came`);
    }
    if (response.statusCode === 200) return body;
    throw new Error(`${response.statusCode}: ${body.trim()}`);
  } catch (error) {
    const reason = signal.aborted ? `no answer within ${ANSWER_WITHIN_MS / 1000} s` : messageOf(error);
    throw new AgentError('unavailable', `${socketPath}: ${reason}`, error);
  } finally {
    asking.destroy();
  }
}
