/**
 * Serves the room's enrolment over HTTPS as in RFC 7030 (Enrollment over Secure Transport).
 *
 * - cacerts
 * - simpleenroll with a one-time token or through the waiting list
 * - simplereenroll and page/simpleenroll with the box's own certificate
 *
 * INVARIANTS:
 * - Each request writes one log line of fixed words and validated names, without tokens or raw input.
 * - Answers use TLS 1.3 only.
 * LIMITS: see LIMITS below. Clients that send too much, too slowly or too often are disconnected or told to wait, also
 * before TLS (ConnectionGuard).
 */
import { constants } from 'node:crypto';
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { TLSSocket } from 'node:tls';
import { addressKey } from '../../../../agent/base/address-key.ts';
import { ConnectionGuard } from '../../../../agent/base/connection-guard.ts';
import { AgentError, messageOf } from '../../../../agent/base/errors.ts';
import { printableLine } from '../../../../agent/base/printable.ts';
import { type BucketLimits, TokenBuckets } from '../../../../agent/base/token-bucket.ts';
import { ALL_BOXES } from '../../../../agent/contract/command.ts';
import type { Authority, Profile } from './authority.ts';
import { certsOnly, readRequest, type SigningRequest } from './request.ts';
import type { Asking, Enrolled, EnrolStore } from './store.ts';

export interface Limits {
  readonly bodyBytes: number;
  readonly headersMs: number;
  readonly requestMs: number;
  readonly connections: number;
  /** Connections per address: many boxes may share one, behind a proxy or a mobile network. */
  readonly connectionsOfOne: number;
  /** Rate per address of requests that need no proof. */
  readonly perAddress: BucketLimits;
  /** Rate per box of requests with its certificate. It renews twice a year, and tries again within hours. */
  readonly perBox: BucketLimits;
}

const LIMITS: Limits = {
  bodyBytes: 16 * 1024,
  headersMs: 8000,
  requestMs: 20_000,
  connections: 512,
  connectionsOfOne: 128,
  perAddress: { burst: 20, perS: 0.5 },
  perBox: { burst: 20, perS: 1 / 60 },
};
const HEADER_BYTES_MAX = 8 * 1024;
/** Connections per address without a restriction, for boxes that reconnect together after a power failure. */
const CONNECTIONS_FREE = 32;
const COUNTS_EVERY_MS = 600_000;
/** Retry delay in s of a box without a token; it grows with the number of waiting boxes. */
const PENDING_S = { min: 30, max: 300 } as const;
const BUSY_S = 300;
const BASE = '/.well-known/est/';

export interface ServerOptions {
  readonly authority: Authority;
  readonly store: EnrolStore;
  /** The server's own key and certificate, PEM. */
  readonly tls: { readonly cert: string; readonly key: string };
  readonly days: number;
  readonly limits?: Partial<Limits>;
  readonly clock: { nowMs(): number; wallMs(): number };
  /** Called when a box obtains a certificate. If it throws, the answer is withheld and the box retries. */
  onEnrolled(): void;
  log(line: string): void;
}

interface Answer {
  readonly status: number;
  readonly text: string;
  /** PEM, sent as a certs-only message. */
  readonly pem?: string;
  readonly retryAfterS?: number;
  /** Validated name for the log. */
  readonly box?: string;
}

const answer = (status: number, text: string, more: Partial<Answer> = {}): Answer => ({
  status,
  text,
  ...more,
});

export class EnrolServer {
  readonly #options: ServerOptions;
  readonly #limits: Limits;
  readonly #addresses: TokenBuckets;
  readonly #boxes: TokenBuckets;
  readonly #server: Server;
  readonly #guard: ConnectionGuard;
  #counting: NodeJS.Timeout | undefined;
  #lastReport = '';

  constructor(options: ServerOptions) {
    this.#options = options;
    this.#limits = { ...LIMITS, ...options.limits };
    const { headersMs, requestMs, connections, connectionsOfOne, perAddress, perBox } = this.#limits;
    this.#addresses = new TokenBuckets(perAddress);
    this.#boxes = new TokenBuckets(perBox);
    const server = createServer(
      {
        ...this.#secureContext(options.tls),
        requestCert: true,
        // A client without a certificate gets a readable answer instead of a failed handshake.
        rejectUnauthorized: false,
        handshakeTimeout: headersMs,
        headersTimeout: headersMs,
        requestTimeout: requestMs,
        connectionsCheckingInterval: Math.min(headersMs, 1000),
        maxHeaderSize: HEADER_BYTES_MAX,
      },
      (request, response) => void this.#serve(request, response),
    );
    server.maxRequestsPerSocket = 10;
    server.setTimeout(requestMs, (socket) => socket.destroy());
    server.on('clientError', (_error, socket) => socket.destroy());
    server.on('tlsClientError', (_error, socket) => socket.destroy());
    this.#guard = new ConnectionGuard(server, {
      max: connections,
      ofOneMax: connectionsOfOne,
      freeOfOne: CONNECTIONS_FREE,
      askWithinMs: headersMs,
    });
    this.#server = server;
  }

  /** Starts to listen. Resolves with the port. */
  start(port: number, host: string): Promise<number> {
    this.#counting = setInterval(() => this.#tellCounts(), COUNTS_EVERY_MS).unref();
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, () => {
        const address = this.#server.address();
        resolve(typeof address === 'object' && address !== null ? address.port : port);
      });
    });
  }

  /** Switches to a new certificate of the server. */
  use(tls: ServerOptions['tls']): void {
    this.#server.setSecureContext(this.#secureContext(tls));
  }

  async stop(): Promise<void> {
    clearInterval(this.#counting);
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#guard.cutAll();
    });
    this.#tellCounts();
  }

  /** Logs the numbers of refused connections and requests if they have grown. */
  #tellCounts(): void {
    const { crowded, ofOne, silent } = this.#guard.counters;
    const tooOften = this.#addresses.refusedCount + this.#boxes.refusedCount;
    const counts = `${crowded} for newcomers, ${ofOne} too many of one address, ${silent} that asked nothing; requests refused: ${tooOften}`;
    if (counts === this.#lastReport || crowded + ofOne + silent + tooOften === 0) return;
    this.#lastReport = counts;
    const time = new Date(this.#options.clock.wallMs()).toISOString();
    this.#options.log(`${time} - connections cut since the start: ${counts}`);
  }

  #secureContext({ cert, key }: ServerOptions['tls']) {
    const ca = this.#options.authority.certificate;
    // No session tickets: each connection must present its certificate again.
    return { cert, key, ca, minVersion: 'TLSv1.3' as const, secureOptions: constants.SSL_OP_NO_TICKET };
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const address = request.socket.remoteAddress ?? '-';
    const path = request.url?.startsWith(BASE) === true ? request.url.slice(BASE.length) : '';
    let result: Answer;
    let body = '';
    try {
      result = await this.#answer(request, path, address);
      body = result.pem === undefined ? `${result.text}\n` : await certsOnly(result.pem);
    } catch (error) {
      const isTheirs = error instanceof AgentError && error.kind === 'corrupt';
      result = isTheirs
        ? answer(400, error.message)
        : answer(500, `this room has failed: ${messageOf(error)}`);
      body = `${result.status === 400 ? result.text : 'the room has failed; its log says why'}\n`;
    }
    const { status, text, box, pem, retryAfterS } = result;
    const label = PATHS.has(path) ? path : 'other';
    const time = new Date(this.#options.clock.wallMs()).toISOString();
    this.#options.log(printableLine(`${time} ${address} ${label} ${status} ${box ?? '-'} ${text}`));
    const type =
      pem === undefined ? 'text/plain; charset=utf-8' : 'application/pkcs7-mime; smime-type=certs-only';
    const headers: OutgoingHttpHeaders = {
      'content-type': type,
      'content-length': Buffer.byteLength(body),
      'cache-control': 'no-store',
      ...(pem !== undefined && { 'content-transfer-encoding': 'base64' }),
      ...(retryAfterS !== undefined && { 'retry-after': String(retryAfterS) }),
      ...(status === 401 && { 'www-authenticate': 'Basic realm="enrolment"' }),
      // The rest of an oversized body is not read.
      ...(status === 413 && { connection: 'close' }),
    };
    response.writeHead(status, headers).end(body);
  }

  async #answer(request: IncomingMessage, path: string, address: string): Promise<Answer> {
    if (!PATHS.has(path)) return answer(404, 'no such thing here');
    const { store, clock } = this.#options;
    const isList = path === 'cacerts';
    if (request.method !== (isList ? 'GET' : 'POST'))
      return answer(405, `must be ${isList ? 'GET' : 'POST'}`);
    if (isList) return answer(200, 'authority', { pem: this.#options.authority.certificate });
    const byCertificate = path !== 'simpleenroll';
    const own = byCertificate ? ownCertificate(request.socket as TLSSocket) : undefined;
    if (byCertificate && own === undefined) {
      return answer(403, 'must come with the box’s certificate, of this authority, not ended');
    }
    const waitS = own === undefined ? this.#addresses.take(addressKey(address)) : this.#boxes.take(own.box);
    if (waitS > 0) {
      const sender = own === undefined ? 'address' : 'box';
      return answer(429, `too many requests of this ${sender}`, { retryAfterS: Math.ceil(waitS) });
    }
    // Before openssl, which takes a hundred times as long.
    const refusal = own && store.renewalRefusal(own.serial, own.box, clock.wallMs());
    if (refusal !== undefined) return this.#answerFor(refusal, own?.box ?? '');
    const body = await this.#bodyOf(request);
    if (body === undefined) return answer(413, `must have at most ${this.#limits.bodyBytes} bytes`);
    const signing = await readRequest(body);
    if (own !== undefined) return this.#renew(path, own, signing);
    return this.#first(request, address, signing);
  }

  /** Handles a box without a certificate. */
  #first({ headers }: IncomingMessage, address: string, signing: SigningRequest): Answer {
    const { commonName: box } = signing;
    if (!/^[a-z0-9-]{1,32}$/.test(box) || box === ALL_BOXES) return answer(400, 'CN is not a valid box name');
    const asking = this.#asking(signing, box, 'client');
    if (headers.authorization === undefined) {
      return this.#answerFor(this.#options.store.byHand(addressKey(address), asking), box);
    }
    const [, base64 = ''] = /^Basic ([A-Za-z0-9+/]+={0,2})$/.exec(headers.authorization) ?? [];
    const [, user, token = ''] = /^([^:]*):(.*)$/s.exec(Buffer.from(base64, 'base64').toString()) ?? [];
    if (user !== box) return answer(401, 'the user must be the box, as in CN', { box });
    return this.#answerFor(this.#options.store.byToken(token, asking), box, 401);
  }

  /** Handles a box with a certificate: a renewal, or a certificate for its page. */
  #renew(path: string, own: { box: string; serial: string }, signing: SigningRequest): Answer {
    const { box, serial } = own;
    const use = path === 'simplereenroll' ? 'client' : 'server';
    const name = use === 'client' ? box : `${box}.local`;
    if (signing.commonName !== name) return answer(403, 'CN must be the name of the same box', { box });
    return this.#answerFor(
      this.#options.store.byCertificate(serial, use, this.#asking(signing, box, use)),
      box,
    );
  }

  #asking({ csr, key, commonName }: SigningRequest, box: string, use: Profile['use']): Asking {
    const { authority, clock, days } = this.#options;
    const nowMs = clock.wallMs();
    const names = use === 'server' ? { names: [`DNS:${commonName}`] } : {};
    return { box, key, nowMs, issue: () => authority.issue(csr, { use, commonName, days, ...names }, nowMs) };
  }

  #answerFor(enrolled: Enrolled, box: string, refusalStatus = 403): Answer {
    if (enrolled.state === 'issued') {
      this.#options.onEnrolled();
      return answer(200, 'issued', { box, pem: enrolled.pem });
    }
    if (enrolled.state === 'pending') {
      const retryAfterS = Math.min(PENDING_S.max, PENDING_S.min + this.#options.store.waiting.count);
      return answer(202, 'waits to be accepted', { box, retryAfterS });
    }
    const retryAfterS = BUSY_S;
    if (enrolled.state === 'full')
      return answer(503, 'too many boxes wait to be accepted', { box, retryAfterS });
    const { state, reason } = enrolled;
    return state === 'busy'
      ? answer(429, reason, { box, retryAfterS })
      : answer(refusalStatus, reason, { box });
  }

  /** Reads the body. Returns undefined if it is too long. */
  async #bodyOf(request: IncomingMessage): Promise<string | undefined> {
    const { bodyBytes } = this.#limits;
    // An announced excess gets an answer; an unannounced one is cut off.
    if (Number(request.headers['content-length'] ?? 0) > bodyBytes) return undefined;
    const chunks: Buffer[] = [];
    let bytes = 0;
    try {
      for await (const chunk of request as AsyncIterable<Buffer>) {
        bytes += chunk.length;
        if (bytes > bodyBytes) return undefined;
        chunks.push(chunk);
      }
    } catch (error) {
      throw new AgentError('corrupt', 'the request was cut off', error);
    }
    return Buffer.concat(chunks).toString('latin1');
  }
}

const PATHS = new Set(['cacerts', 'simpleenroll', 'simplereenroll', 'page/simpleenroll']);

/** Returns box name and serial of a valid client certificate of this authority. */
function ownCertificate(socket: TLSSocket): { box: string; serial: string } | undefined {
  if (!socket.authorized) return undefined;
  const { subject, serialNumber } = socket.getPeerCertificate();
  const box: unknown = subject?.CN;
  if (typeof box !== 'string' || !/^[a-z0-9-]{1,32}$/.test(box)) return undefined;
  return { box, serial: serialNumber.toUpperCase().replace(/^0+/, '') };
}
