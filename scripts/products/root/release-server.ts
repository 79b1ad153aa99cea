/**
 * Sends one GET request to the release server: TLS with the box's own certificate, no redirection, and no plain HTTP
 * except on this machine. Responses are not trusted here; the caller checks them against signed data.
 *
 * LIMITS
 * - One time limit for the whole request (server-patience.ts): connection, informational responses, head and body.
 * - INFORMATIONAL_MAX informational responses (100, 102, 103), each of which would otherwise restart the wait.
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

/** PEM files: the authority of the server's certificate, and this box's certificate and key. */
export interface TlsFiles {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

export interface ReleaseServer {
  /** Base address https://host[:port][/folder]/ with metadata/ and targets/ below it. */
  readonly url: string;
  /** Undefined: no client certificate, and the system's authorities are trusted. */
  readonly tls: TlsFiles | undefined;
  /** PATIENCE by default; tests use shorter limits. */
  readonly patience?: Partial<PatienceLimits> | undefined;
}

/**
 * Maximum number of informational responses. A file server sends 100 at most once, 102 while it works, and 103 with a
 * list of links.
 */
const INFORMATIONAL_MAX = 8;

/** A response of the server. The caller reads its body with `chunks`, or closes it. */
export interface ServerAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /**
   * Yields the chunks of the body.
   *
   * @throws AgentError unavailable: the connection broke, the server is silent or too slow, or the signal aborts
   */
  chunks(): AsyncGenerator<Buffer>;
  close(): void;
}

/**
 * Returns the address of a file on the server.
 *
 * @throws AgentError config: the address is not accepted
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
 * Sends the request and returns the head of the response.
 *
 * @param headers additional request headers
 * @throws AgentError unavailable if no response arrives, config if the PEM files cannot be used
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
          (reason) => unavailable(address, reason),
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

/** Returns the error `NAME on HOST`, with what is wrong. */
export function unavailable(address: URL, problem: string): AgentError {
  return new AgentError('unavailable', `${placeOf(address)}: the server ${problem}`);
}

export function placeOf(address: URL): string {
  return `${address.host}${address.pathname}`;
}

function head(address: URL, options: RequestOptions, patience: ServerPatience): Promise<IncomingMessage> {
  const ask = address.protocol === 'https:' ? httpsRequest : httpRequest;
  const clientRequest = ask(address, options);
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    let informational = 0;
    clientRequest.on('information', () => {
      informational += 1;
      if (informational > INFORMATIONAL_MAX)
        clientRequest.destroy(
          unavailable(address, `has sent ${informational} informational answers, and no other`),
        );
    });
    // The socket has been detached from the request, which can no longer fail by it.
    clientRequest.on('upgrade', (_, socket) => {
      socket.destroy();
      reject(unavailable(address, 'wants to speak another protocol'));
    });
    clientRequest.on('response', resolve);
    clientRequest.on('error', reject);
    clientRequest.end();
  });
  return patience.wait(
    'head',
    () => answered,
    (error) => void clientRequest.destroy(error),
    (reason) => unavailable(address, reason),
  );
}

async function pemOf({ ca, cert, key }: TlsFiles): Promise<object> {
  const read = (file: string): Promise<Buffer> =>
    readFile(file).catch((error: unknown) => {
      throw new AgentError('config', `${file} cannot be read: ${messageOf(error)}`, error);
    });
  return { ca: await read(ca), cert: await read(cert), key: await read(key), minVersion: 'TLSv1.2' };
}

async function mapped<T>(address: URL, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    throw failureOf(address, error);
  }
}

function failureOf(address: URL, error: unknown): AgentError {
  if (error instanceof AgentError) return error;
  const { name, code = '', cause } = error as Error & { readonly code?: string };
  const place = placeOf(address);
  if (cause instanceof AgentError) return cause;
  if (name === 'TimeoutError')
    return new AgentError('unavailable', `${place}: not answered within the time given`, error);
  if (name === 'AbortError') return new AgentError('unavailable', `${place}: download cancelled`, error);
  if (/^ERR_OSSL_(PEM|ASN1|X509|EVP|UNSUPPORTED)/.test(code))
    return new AgentError(
      'config',
      `the certificate or key for ${address.host} is not a matching PEM file: ${messageOf(error)}`,
      error,
    );
  return new AgentError('unavailable', `${place}: ${printable(messageOf(error))}`, error);
}
