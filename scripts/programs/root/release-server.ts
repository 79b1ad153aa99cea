/**
 * One GET to the server of releases: TLS with the box's own certificate, no redirect, nothing without TLS but on this
 * machine. What the server says is not trusted here; whoever reads it holds it against what was signed.
 *
 * LIMITS
 * - One patience for the whole request (server-patience.ts): connection, informational answers, head, and body.
 * - INFORMATIONAL_MAX informational answers (100, 102, 103), each of which would otherwise start the wait again.
 */
import { readFile } from 'node:fs/promises';
import {
  request as httpRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type RequestOptions,
} from 'node:http';
import { request as httpsRequest } from 'node:https';
import { AgentError, messageOf } from '../../../agent/base/errors.ts';
import { printable } from '../../../agent/base/printable.ts';
import { PATIENCE, type PatienceLimits, ServerPatience } from './server-patience.ts';

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
  /** Default PATIENCE; tests have less. */
  readonly patience?: Partial<PatienceLimits> | undefined;
}

/** 100 comes once where at all, 102 while a server works, 103 with a list of links: no server of files sends more. */
const INFORMATIONAL_MAX = 8;

/** An answer of the server; its body is to be read by `chunks`, or the answer closed. */
export interface ServerAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /**
   * What comes of the body, as it comes.
   *
   * @throws AgentError unavailable for a cut, for a server that is silent or too slow, and when the signal aborts
   */
  chunks(): AsyncGenerator<Buffer>;
  close(): void;
}

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
 * Asks, and returns the answer's head.
 *
 * @param headers of the request, beside the usual
 * @throws AgentError unavailable where no answer comes; config where the PEM files cannot be used
 */
export async function get(
  address: URL,
  { tls, patience: limits }: Omit<ReleaseServer, 'url'>,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<ServerAnswer> {
  const options: RequestOptions = { agent: false, headers: { ...headers, 'accept-encoding': 'identity' } };
  const pem = address.protocol === 'https:' && tls !== undefined ? await pemOf(tls) : {};
  const allowed = { ...PATIENCE, ...limits };
  const patience = new ServerPatience(allowed);
  const response = await mapped(address, () => head(address, { ...options, ...pem, signal }, patience));
  const { statusCode: status = 0 } = response;
  const encoding = response.headers['content-encoding'] ?? 'identity';
  if (status >= 400 || (status < 300 && encoding === 'identity'))
    return {
      status,
      headers: response.headers,
      chunks: () => chunksOf(response, address, patience, signal),
      close: () => void response.destroy(),
    };
  response.destroy();
  if (status >= 300) throw unavailable(address, `answers with a redirect (${status}), which is not followed`);
  throw unavailable(address, `sends it encoded (${printable(encoding, 40)})`);
}

async function* chunksOf(
  response: IncomingMessage,
  address: URL,
  patience: ServerPatience,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const chunks = response[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  const give = (error: Error): void => void response.destroy(error);
  const abort = (): void => give(signal.reason as Error);
  signal.addEventListener('abort', abort);
  try {
    for (;;) {
      signal.throwIfAborted();
      const { done, value } = await mapped(address, () =>
        patience.wait(
          'body',
          () => chunks.next(),
          give,
          (why) => unavailable(address, why),
        ),
      );
      if (done === true) return;
      patience.received(value.length);
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
export function unavailable(address: URL, what: string): AgentError {
  return new AgentError('unavailable', `${placeOf(address)}: the server ${what}`);
}

export function placeOf(address: URL): string {
  return `${address.host}${address.pathname}`;
}

function head(address: URL, options: RequestOptions, patience: ServerPatience): Promise<IncomingMessage> {
  const ask = address.protocol === 'https:' ? httpsRequest : httpRequest;
  const sent = ask(address, options);
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    let informational = 0;
    sent.on('information', () => {
      informational += 1;
      if (informational > INFORMATIONAL_MAX)
        sent.destroy(unavailable(address, `has sent ${informational} informational answers, and no other`));
    });
    // The socket has left the request then, which can no longer fail by it.
    sent.on('upgrade', (_, socket) => {
      socket.destroy();
      reject(unavailable(address, 'wants to speak another protocol'));
    });
    sent.on('response', resolve);
    sent.on('error', reject);
    sent.end();
  });
  return patience.wait(
    'head',
    () => answered,
    (error) => void sent.destroy(error),
    (why) => unavailable(address, why),
  );
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
