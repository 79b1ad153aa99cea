/** HTTP GET from a program on this machine that listens on a Unix socket. */
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { AgentError, messageOf } from './errors.ts';

const ANSWER_WITHIN_MS = 5000;
const ANSWER_BYTES_MAX = 1_048_576;

/**
 * Returns the body.
 * @throws AgentError `unavailable` if no program listens or the response is invalid
 */
export async function getLocal(socketPath: string, path: string): Promise<string> {
  const asking = request({ socketPath, path, timeout: ANSWER_WITHIN_MS });
  asking.on('timeout', () => asking.destroy(new Error(`no answer within ${ANSWER_WITHIN_MS / 1000} s`)));
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
    throw new AgentError('unavailable', `${socketPath}: ${messageOf(error)}`, error);
  } finally {
    asking.destroy();
  }
}
