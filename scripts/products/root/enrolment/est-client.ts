/**
 * Sends one request to the room's enrolment, as RFC 7030 (Enrollment over Secure Transport) defines it.
 *
 * LIMITS:
 * - A response has at most ANSWER_BYTES_MAX and arrives within ANSWER_WITHIN_MS.
 * - Only the given authority is trusted. TLS 1.3 or later is required. Redirections are not followed.
 */
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { withDeadline } from '../../../../agent/base/deadline.ts';
import { AgentError, messageOf } from '../../../../agent/base/errors.ts';
import { printable } from '../../../../agent/base/printable.ts';

const ANSWER_BYTES_MAX = 64 * 1024;
const ANSWER_WITHIN_MS = 30_000;

export const EST = {
  enrol: '/.well-known/est/simpleenroll',
  renew: '/.well-known/est/simplereenroll',
  /** Issues the certificate of the technician's page, under a label of ours (RFC 7030, 3.2.2). */
  page: '/.well-known/est/page/simpleenroll',
} as const;

export interface EstRequest {
  /** Address in the form https://host[:port]. */
  readonly url: string;
  readonly path: (typeof EST)[keyof typeof EST];
  /** Request in PKCS #10, DER. */
  readonly csr: Uint8Array;
  /** PEM of the authority that must have issued the server's certificate. */
  readonly ca: Uint8Array;
  readonly login?: { readonly user: string; readonly password: string };
  /** PEM of the client certificate and key, if the box authenticates by certificate. */
  readonly pair?: { readonly cert: Uint8Array; readonly key: Uint8Array };
  readonly signal: AbortSignal;
}

export type EstAnswer = {
  /** Time of the server's clock; undefined if it sends none. */
  readonly dateMs: number | undefined;
  /** Delay that the server asks for. */
  readonly retryAfterMs: number | undefined;
} & (
  | { readonly state: 'issued'; readonly body: string }
  | { readonly state: 'pending' }
  /** `reason` is one printable line. */
  | { readonly state: 'refused' | 'busy'; readonly reason: string }
);

/** @throws AgentError `unavailable`: no response arrives, or none from the room */
export async function askRoom(estRequest: EstRequest): Promise<EstAnswer> {
  const { url, path, signal } = estRequest;
  try {
    const deadline = withDeadline(ANSWER_WITHIN_MS, signal);
    const response = await send(estRequest, deadline);
    return answerOf(response, await bodyOf(response));
  } catch (error) {
    const host = new URL(url).host;
    throw new AgentError('unavailable', `${host}${path}: ${hintFor(error)}`, error);
  }
}

function send(
  { url, path, csr, ca, login, pair }: EstRequest,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const clientRequest = request(new URL(path, url), {
      method: 'POST',
      ca: Buffer.from(ca),
      minVersion: 'TLSv1.3',
      agent: false,
      signal,
      ...(login && { auth: `${login.user}:${login.password}` }),
      ...(pair && { cert: Buffer.from(pair.cert), key: Buffer.from(pair.key) }),
      headers: { 'content-type': 'application/pkcs10', 'content-transfer-encoding': 'base64' },
    });
    clientRequest.on('response', resolve);
    clientRequest.on('error', reject);
    clientRequest.end(Buffer.from(csr).toString('base64'));
  });
}

async function bodyOf(response: IncomingMessage): Promise<string> {
  let body = '';
  for await (const chunk of response.setEncoding('latin1')) {
    body += String(chunk);
    if (body.length > ANSWER_BYTES_MAX) throw new Error(`the answer has more than ${ANSWER_BYTES_MAX} bytes`);
  }
  return body;
}

function answerOf(response: IncomingMessage, body: string): EstAnswer {
  const { statusCode = 0, headers } = response;
  const dateMs = Date.parse(headers.date ?? '');
  const seconds = /^\d{1,6}$/.exec(headers['retry-after'] ?? '')?.[0];
  const all = {
    dateMs: Number.isNaN(dateMs) ? undefined : dateMs,
    retryAfterMs: seconds === undefined ? undefined : Number(seconds) * 1000,
  };
  if (statusCode === 200) return { ...all, state: 'issued', body };
  if (statusCode === 202) return { ...all, state: 'pending' };
  const message = printable(body.trim().split('\n')[0] ?? '');
  const reason = `${statusCode}${message === '' ? '' : ` ${message}`}`;
  return { ...all, state: statusCode === 429 || statusCode >= 500 ? 'busy' : 'refused', reason };
}

/** Explains the most frequent errors for a person on site. */
function hintFor(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const hints: Readonly<Record<string, string>> = {
    CERT_NOT_YET_VALID: 'the room’s certificate is not valid yet: the clock of this box is behind',
    CERT_HAS_EXPIRED: 'the room’s certificate has ended, or the clock of this box is ahead',
    ERR_TLS_CERT_ALTNAME_INVALID: 'the room’s certificate is for another name than `url` in enrol.json',
    ABORT_ERR: `no answer within ${ANSWER_WITHIN_MS / 1000} s`,
    ENOTFOUND: 'the name leads to no address',
  };
  const several = error instanceof AggregateError ? error.errors.map(messageOf).join('; ') : messageOf(error);
  const plain = printable(several);
  const foreign = /self-signed|unable to (?:verify|get)/.test(plain)
    ? `${plain}: its certificate is not of the authority in pki/ca.crt`
    : plain;
  return hints[code] ?? foreign;
}
