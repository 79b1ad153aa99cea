/**
 * Decides which requests are answered at all.
 *
 * INVARIANTS:
 * - The host must be one of the box's own names. A foreign page that was led here by DNS sends its own name.
 * - Writes must come from the page itself, as the browser states: the cookie alone is not enough.
 * - An ambiguous request is refused.
 */
import type { IncomingMessage } from 'node:http';
import { RefusalError } from './http.ts';
import type { OwnNames } from './own-names.ts';

const TARGET_CHARS_MAX = 1024;
/** Visible ASCII; browsers escape anything else. */
const TARGET = /^\/[\x21-\x7e]*$/;
const READS = ['GET', 'HEAD'];

export interface Target {
  /** GET for HEAD as well. */
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
}

/** Throws RefusalError: 400, 405, 421. */
export function targetOf(
  request: IncomingMessage,
  names: OwnNames,
  port: number,
  box: string | undefined,
): Target {
  const { method = '', url = '', headers, rawHeaders } = request;
  const hosts = rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === 'host');
  if (hosts.length !== 1) throw new RefusalError(400, { error: 'malformed', reason: 'one Host, please' });
  if (!names.isOwn(headers.host ?? '', port, box))
    throw new RefusalError(421, {
      error: 'not-this-box',
      reason: 'ask under the name on the label, or by address',
    });
  if (!TARGET.test(url) || url.length > TARGET_CHARS_MAX)
    throw new RefusalError(400, { error: 'malformed', reason: 'no such form of a path' });
  if (method !== 'POST' && !READS.includes(method))
    throw new RefusalError(405, { error: 'no-such-method' }, { Allow: 'GET, HEAD, POST' });
  const bodiless = headers['transfer-encoding'] === undefined && Number(headers['content-length'] ?? 0) === 0;
  if (READS.includes(method) && !bodiless)
    throw new RefusalError(400, { error: 'malformed', reason: `${method} must not have a body` });
  const [path = '', query = ''] = url.split('?', 2);
  return { method: method === 'HEAD' ? 'GET' : method, path, query: new URLSearchParams(query) };
}

/**
 * Throws RefusalError 403. A write must name its origin (RFC 6454), and the origin must equal the requested host. The
 * browser's statement of the relation (Fetch Metadata) counts if it is present.
 */
export function fromOwnPage({ method, headers }: IncomingMessage): void {
  const site = headers['sec-fetch-site'];
  const own = READS.includes(method ?? '')
    ? site === undefined || site === 'same-origin' || site === 'none'
    : headers.origin === `https://${headers.host}` && (site === undefined || site === 'same-origin');
  if (!own) throw new RefusalError(403, { error: 'cross-site', reason: 'only from the page of this box' });
}
