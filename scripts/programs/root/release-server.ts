/**
 * One GET to the server of releases: TLS with the box's own certificate, no redirect, nothing without TLS but on this
 * machine. What the server says is not trusted here; whoever reads it holds it against what was signed.
 *
 * LIMITS: a server that sends nothing for STALL_MS is left.
 */
import { readFile } from 'node:fs/promises';
import { request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { AgentError, messageOf } from '../../../agent/base/errors.ts';
import { printable } from '../../../agent/base/printable.ts';

/** PEM files: whom the server's certificate must be from, and who this box is. */
export interface TlsFiles {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

export interface ReleaseServer {
  /** https://host[:port][/folder]/ ; below it lie metadata/ and targets/. */
  readonly url: string;
  /** Undefined: no certificate of ours, and the authorities of the system. */
  readonly tls: TlsFiles | undefined;
  /** Default STALL_MS; tests have less patience. */
  readonly stallMs?: number;
}

/** As long as a cell of a mobile network may be away with the connection kept. */
const STALL_MS = 60_000;

/**
 * Where something lies on the server.
 *
 * @throws AgentError config for an address that is not taken
 */
export function addressOf({ url }: ReleaseServer, folder: 'metadata' | 'targets', name = ''): URL {
  const base = URL.canParse(url) ? new URL(url) : undefined;
  const local = /^(127\.\d+\.\d+\.\d+|localhost|\[::1\])$/.test(base?.hostname ?? '');
  if (base?.protocol !== 'https:' && !(base?.protocol === 'http:' && local))
    throw new AgentError(
      'config',
      `url: ${printable(url)} must be https://HOST/… (http: on this machine only)`,
    );
  if (base.username !== '' || base.password !== '' || base.search !== '' || base.hash !== '')
    throw new AgentError('config', `url: ${base.host}: no user, password, ? or # belongs in it`);
  if (!base.pathname.endsWith('/')) base.pathname += '/';
  return new URL(`${folder}/${encodeURIComponent(name)}`, base);
}

/**
 * Asks, and returns the answer's head; its body is to be read by `chunksOf`, or destroyed.
 *
 * @param headers of the request, beside the usual
 * @throws AgentError unavailable where no answer comes; config where the PEM files cannot be used
 */
export async function get(
  address: URL,
  { tls, stallMs = STALL_MS }: Omit<ReleaseServer, 'url'>,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const options: RequestOptions = { agent: false, headers: { ...headers, 'accept-encoding': 'identity' } };
  const pem = address.protocol === 'https:' && tls !== undefined ? await pemOf(tls) : {};
  const response = await mapped(address, () => answer(address, { ...options, ...pem, signal }, stallMs));
  const { statusCode = 0 } = response;
  const encoding = response.headers['content-encoding'] ?? 'identity';
  if (statusCode < 300 && encoding === 'identity') return response;
  response.destroy();
  if (statusCode >= 300 && statusCode < 400)
    throw unavailable(address, `answers with a redirect (${statusCode}), which is not followed`);
  if (statusCode < 300) throw unavailable(address, `sends it encoded (${printable(encoding, 40)})`);
  return response;
}

/**
 * What comes of the body, as it comes.
 *
 * @throws AgentError unavailable for a cut, for a stall of STALL_MS, and when the signal aborts
 */
export async function* chunksOf(
  response: IncomingMessage,
  address: URL,
  { stallMs = STALL_MS }: Pick<ReleaseServer, 'stallMs'>,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const chunks = response[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  const abort = (): void => void response.destroy(signal.reason as Error);
  signal.addEventListener('abort', abort);
  try {
    for (;;) {
      signal.throwIfAborted();
      const { done, value } = await mapped(address, () =>
        stallable(response, address, stallMs, () => chunks.next()),
      );
      if (done === true) return;
      yield value;
    }
  } catch (error) {
    throw failureOf(address, error);
  } finally {
    signal.removeEventListener('abort', abort);
    response.destroy();
  }
}

/** `NAME on HOST` and what is wrong with it. */
export function unavailable(address: URL, what: string, cause?: unknown): AgentError {
  return new AgentError('unavailable', `${placeOf(address)}: the server ${what}`, cause);
}

export function placeOf(address: URL): string {
  return `${address.host}${address.pathname}`;
}

function answer(address: URL, options: RequestOptions, stallMs: number): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const ask = address.protocol === 'https:' ? httpsRequest : httpRequest;
    const sent = ask(address, options, resolve);
    sent.setTimeout(stallMs, () => sent.destroy(stalled(address, stallMs)));
    sent.on('error', reject);
    sent.end();
  });
}

/** Only while bytes are waited for: whoever reads may take their time. */
async function stallable<T>(
  response: IncomingMessage,
  address: URL,
  stallMs: number,
  next: () => Promise<T>,
): Promise<T> {
  response.socket.setTimeout(0);
  const timer = setTimeout(() => response.destroy(stalled(address, stallMs)), stallMs);
  try {
    return await next();
  } finally {
    clearTimeout(timer);
  }
}

function stalled(address: URL, stallMs: number): AgentError {
  return unavailable(address, `has sent nothing for ${stallMs / 1000} s`);
}

async function pemOf({ ca, cert, key }: TlsFiles): Promise<object> {
  const read = (file: string): Promise<Buffer> =>
    readFile(file).catch((error: unknown) => {
      throw new AgentError('config', `${file} cannot be read: ${messageOf(error)}`, error);
    });
  return { ca: await read(ca), cert: await read(cert), key: await read(key), minVersion: 'TLSv1.2' };
}

async function mapped<T>(address: URL, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    throw failureOf(address, error);
  }
}

function failureOf(address: URL, error: unknown): AgentError {
  if (error instanceof AgentError) return error;
  const { name, code = '', cause } = error as Error & { readonly code?: string };
  const what = placeOf(address);
  if (cause instanceof AgentError) return cause;
  if (name === 'TimeoutError')
    return new AgentError('unavailable', `${what}: not answered within the time given`, error);
  if (name === 'AbortError') return new AgentError('unavailable', `${what}: given up, as was asked`, error);
  if (/^ERR_OSSL_(PEM|ASN1|X509|EVP|UNSUPPORTED)/.test(code))
    return new AgentError(
      'config',
      `the certificate or key for ${address.host} is no PEM file that fits: ${messageOf(error)}`,
      error,
    );
  return new AgentError('unavailable', `${what}: ${printable(messageOf(error))}`, error);
}
