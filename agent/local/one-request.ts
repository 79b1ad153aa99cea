/**
 * Serves one HTTP request on a connection (RFC 9112) with one response, and closes it.
 *
 * It does not use node:http, which reads everything received and creates a response for each request in it. One write
 * of 62 kB would keep the agent busy for the time of a thousand responses.
 *
 * LIMITS: HEAD_BYTES_MAX for a request, WITHIN_MS for request and response unless the caller sets another limit. Data
 * after the request is read, so that the response arrives, and discarded up to IGNORED_BYTES_MAX.
 */
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';

const HEAD_BYTES_MAX = 8192;
const IGNORED_BYTES_MAX = 65_536;
const WITHIN_MS = 5000;

const HEAD_END = '\r\n\r\n';
const REQUEST_LINE = /^([A-Z]{1,16}) (\S+) HTTP\/1\.[01]$/;

export interface Request {
  readonly method: string;
  readonly target: string;
  /** Host name in lower case; empty if absent. */
  readonly host: string;
}

export interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

/**
 * Serves one request. The function `answerTo` is called at most once, and must not throw; its argument is undefined for
 * an unreadable request. The function `onLate` is called if no complete request arrived in time.
 */
export function answerOnce(
  socket: Socket,
  answerTo: (request: Request | undefined) => Answer,
  onLate: () => void,
  withinMs = WITHIN_MS,
): void {
  let head = '';
  let ignored = 0;
  let answered = false;
  const deadline = setTimeout(() => {
    if (!answered) onLate();
    socket.destroy();
  }, withinMs);
  socket.on('close', () => clearTimeout(deadline));
  // The other end has disconnected.
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk: Buffer) => {
    if (answered) {
      ignored += chunk.length;
      if (ignored > IGNORED_BYTES_MAX) socket.destroy();
      return;
    }
    head += chunk.toString('latin1', 0, HEAD_BYTES_MAX);
    const end = head.indexOf(HEAD_END);
    if (end === -1 && head.length < HEAD_BYTES_MAX) return;
    answered = true;
    socket.end(textOf(answerTo(end === -1 ? undefined : requestIn(head.slice(0, end)))));
  });
}

function requestIn(head: string): Request | undefined {
  const [first = '', ...fields] = head.split('\r\n');
  const [, method, target] = REQUEST_LINE.exec(first) ?? [];
  const hosts = fields.flatMap((field) => /^host:(.*)$/i.exec(field)?.[1]?.trim().toLowerCase() ?? []);
  if (method === undefined || target === undefined || hosts.length > 1) return undefined;
  return { method, target, host: hosts[0] ?? '' };
}

function textOf({ status, contentType, body }: Answer): string {
  return [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
    `Content-Type: ${contentType}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Cache-Control: no-store',
    'Connection: close',
    ...(status === 405 ? ['Allow: GET'] : []),
    '',
    body,
  ].join('\r\n');
}
