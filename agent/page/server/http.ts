/** Common form of all answers of the page, and the reading of bodies. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Static, TSchema } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { jsonOf } from '../../base/json.ts';
import { printable } from '../../base/printable.ts';
import type { Refusal } from '../../contract/page-api.ts';
import { PROPOSAL_BYTES_MAX } from '../../contract/proposal.ts';

/** The largest body that a phone sends is a configuration. */
export const BODY_BYTES_MAX = PROPOSAL_BYTES_MAX;

/**
 * OWASP, HTTP Security Response Headers. Only the page's own scripts run, and no text becomes markup (Trusted Types).
 */
const HEADERS: Readonly<Record<string, string>> = {
  'Content-Security-Policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' blob:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; '),
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Permissions-Policy': 'camera=(), microphone=(), geolocation=(), usb=(), serial=(), payment=()',
  'Cache-Control': 'no-store',
};

/** A refusal. Any part of the server throws it; one place writes it. */
export class RefusalError extends Error {
  readonly status: number;
  readonly body: Refusal;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, body: Refusal, headers: Readonly<Record<string, string>> = {}) {
    super(body.error);
    this.status = status;
    this.body = body;
    this.headers = headers;
  }
}

export interface Reply {
  readonly status: number;
  readonly type?: string;
  readonly body?: string | Buffer;
  readonly headers?: Readonly<Record<string, string>>;
}

export function json(value: unknown, headers: Readonly<Record<string, string>> = {}): Reply {
  return { status: 200, body: JSON.stringify(value), headers };
}

export function refusal({ status, body, headers }: RefusalError): Reply {
  return { status, body: JSON.stringify(body), headers };
}

/** Writes an answer. A refusal closes its connection, so that nothing after it is read. */
export function write(response: ServerResponse, { status, type, body = '', headers }: Reply): void {
  if (response.destroyed || response.headersSent) return;
  if (status >= 400) response.shouldKeepAlive = false;
  response.writeHead(status, {
    ...HEADERS,
    ...(status !== 304 && {
      'Content-Type': type ?? 'application/json',
      'Content-Length': Buffer.byteLength(body),
    }),
    ...headers,
  });
  response.end(response.req.method === 'HEAD' || status === 304 ? undefined : body);
}

/** Writes the head of an answer that continues. */
export function begin(response: ServerResponse, type: string): void {
  response.shouldKeepAlive = false;
  response.writeHead(200, { ...HEADERS, 'Content-Type': type });
  response.flushHeaders();
}

/** Rejects with RefusalError: 415, 413, 400. Reads no further than the limit. */
export async function bodyOf<S extends TSchema>(request: IncomingMessage, schema: S): Promise<Static<S>> {
  if (!/^application\/json(?:\s*;\s*charset=utf-8)?$/i.test(request.headers['content-type'] ?? ''))
    throw new RefusalError(415, { error: 'not-json', reason: 'Content-Type must be application/json' });
  const tooLong = new RefusalError(413, { error: 'too-long', reason: `at most ${BODY_BYTES_MAX} bytes` });
  if (Number(request.headers['content-length'] ?? 0) > BODY_BYTES_MAX) throw tooLong;
  const content = jsonOf(await textOf(request, tooLong));
  if (content === undefined)
    throw new RefusalError(400, { error: 'malformed', reason: 'the body is not JSON' });
  if (Value.Check(schema, content)) return content;
  const first = Value.Errors(schema, content).First();
  const reason = printable(`${first?.path || '/'}: ${first?.message ?? 'does not fit'}`);
  throw new RefusalError(400, { error: 'malformed', reason });
}

function textOf(request: IncomingMessage, tooLong: RefusalError): Promise<string> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    let size = 0;
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= BODY_BYTES_MAX) return void parts.push(chunk);
      request.pause();
      reject(tooLong);
    });
    request.on('end', () => resolve(Buffer.concat(parts).toString('utf8')));
    // Too late or disconnected: Node has answered already, or no one is connected.
    const onClose = (): void => reject(new RefusalError(408, { error: 'incomplete' }));
    request.on('error', onClose);
    request.on('close', onClose);
  });
}
