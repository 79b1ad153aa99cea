/**
 * Serves the technician's page over HTTPS to a phone beside the box. It holds only sessions: the displayed data comes
 * from the agent, changes go to root's helper, and both check for themselves.
 *
 * INVARIANTS:
 * - TLS 1.3 and HTTP/1.1 only; every answer has the headers of http.ts.
 * - The log holds nothing of a request except the name of its route.
 * - An error in one request ends only that request.
 * LIMITS: PAGE_LIMITS for connections in total and by address (ConnectionGuard) and for time of head, request and
 * silence. Bodies as in http.ts. Anything beyond is closed and counted, and the counts are in the log.
 */
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { dirname, join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { ConnectionGuard } from '../../base/connection-guard.ts';
import { AgentError, messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { RepeatedLine } from '../../base/repeated-line.ts';
import { AddressLimits, type RateLimits } from './address-limits.ts';
import { AgentClient } from './agent-client.ts';
import { Cameras, type CamerasOptions } from './cameras.ts';
import { Certificate, FINGERPRINT_FILE } from './certificate.ts';
import { ConfigClient } from './config-client.ts';
import { ConfigMark } from './config-mark.ts';
import { fromOwnPage, targetOf } from './guard.ts';
import { RefusalError, type Reply, refusal, write } from './http.ts';
import { localName, OwnNames, ownAddresses } from './own-names.ts';
import { Pairing } from './pairing.ts';
import { Preview } from './preview.ts';
import { Routes } from './routes.ts';
import { Sessions } from './sessions.ts';
import { readStaticFiles, type StaticFile } from './static-files.ts';

export interface PageLimits extends RateLimits {
  /** Maximum for all phones together. */
  readonly connectionsMax: number;
  /** Maximum for one address, so that it cannot take all of them. */
  readonly connectionsOfOneMax: number;
  /** Time from the TCP connection to the end of a head, including TLS. */
  readonly headersMs: number;
  readonly requestMs: number;
  /** Time without a byte in either direction. */
  readonly silenceMs: number;
  readonly certificateEveryMs: number;
}

/** A phone opens six connections (HTTP/1.1) and sends a request once a second. */
export const PAGE_LIMITS: PageLimits = {
  connectionsMax: 32,
  connectionsOfOneMax: 16,
  headersMs: 5000,
  requestMs: 10_000,
  silenceMs: 20_000,
  certificateEveryMs: 30_000,
  connections: { burst: 40, perS: 4 },
  requests: { burst: 100, perS: 20 },
};

/** A browser opens six. */
const CONNECTIONS_FREE = 6;
const HEAD_BYTES_MAX = 8192;
const REQUESTS_A_CONNECTION = 200;
const TICK_MS = 1000;
const PAIRING_EVERY_MS = 60_000;
const COUNTS_EVERY_MS = 600_000;
const ERROR_EVERY_MS = 60_000;

export interface PageServerOptions {
  readonly listen:
    | { readonly host: string; readonly port: number }
    | { readonly fd: number; readonly port: number };
  readonly appDir: string;
  readonly stateDir: string;
  readonly setupCodeFile: string;
  readonly agentSocket: string;
  readonly configSocket: string;
  readonly enrolStatusFile: string;
  readonly version: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly cameras: CamerasOptions;
  readonly limits: PageLimits;
}

export class PageServer {
  readonly #options: PageServerOptions;
  readonly #names: OwnNames;
  readonly #limits: AddressLimits;
  readonly #certificate: Certificate;
  readonly #pairing: Pairing;
  readonly #sessions: Sessions;
  readonly #preview: Preview;
  readonly #agent: AgentClient;
  readonly #cameras: Cameras;
  readonly #routes: Routes;
  readonly #errorLine: RepeatedLine;
  readonly #countsLine: RepeatedLine;
  #files: ReadonlyMap<string, StaticFile> = new Map();
  #server: Server | undefined;
  #guard: ConnectionGuard | undefined;
  #port: number;
  #timers: NodeJS.Timeout[] = [];
  #tooFast = 0;
  #unreadable = 0;
  #lastLogged = '';

  constructor(options: PageServerOptions) {
    const { clock, log, stateDir, setupCodeFile, limits } = options;
    this.#options = options;
    this.#port = options.listen.port;
    this.#names = new OwnNames(clock);
    this.#limits = new AddressLimits(limits, clock);
    this.#errorLine = new RepeatedLine(ERROR_EVERY_MS, clock);
    this.#countsLine = new RepeatedLine(COUNTS_EVERY_MS, clock);
    const names = [
      localName(),
      'localhost',
      ...ownAddresses().map((address) => address.split('%')[0] ?? address),
    ];
    const roomDir = dirname(setupCodeFile);
    this.#certificate = new Certificate({ stateDir, roomDir, names: [...new Set(names)], log });
    const hasRunBefore = existsSync(join(stateDir, FINGERPRINT_FILE));
    this.#pairing = new Pairing({ stateDir, setupCodeFile, hasRunBefore, clock, log });
    this.#sessions = new Sessions({
      stateDir,
      clock,
      log,
      onEnded: (session) => this.#preview.end(session),
    });
    this.#agent = new AgentClient({
      socket: options.agentSocket,
      clock,
      log,
      events: {
        onPicture: (picture, jpeg) => this.#preview.show(picture, jpeg),
        onNoPicture: (message) => this.#preview.showNone(message),
        onUnlock: () => this.#pairing.unlock(),
        onConnected: () => this.#preview.connected(),
        onUnavailable: () => this.#preview.showUnavailable(),
      },
    });
    this.#preview = new Preview({ agent: this.#agent, clock });
    this.#cameras = new Cameras(options.cameras);
    this.#routes = new Routes({
      agent: this.#agent,
      config: new ConfigClient({ socket: options.configSocket, clock }),
      configMark: new ConfigMark({ stateDir, log }),
      cameras: this.#cameras,
      pairing: this.#pairing,
      sessions: this.#sessions,
      preview: this.#preview,
      clock,
      version: options.version,
      enrolStatusFile: options.enrolStatusFile,
    });
  }

  /** Port on which it listens. */
  get port(): number {
    return this.#port;
  }

  /** Rejects with `config` or `unavailable`: no app, no certificate, or the port is in use. */
  async start(): Promise<void> {
    const { appDir, listen, log } = this.#options;
    this.#files = readStaticFiles(appDir);
    this.#pairing.start();
    this.#sessions.start();
    const pair = await this.#certificate.load();
    const server = this.#makeServer(pair ?? {});
    this.#server = server;
    try {
      if ('fd' in listen) server.listen({ fd: listen.fd });
      else server.listen({ host: listen.host, port: listen.port });
      await once(server, 'listening');
    } catch (error) {
      const listenText =
        'fd' in listen ? `descriptor ${listen.fd}` : `--host ${listen.host} --port ${listen.port}`;
      throw new AgentError('config', `${listenText}: cannot listen there (${messageOf(error)})`, error);
    }
    server.on('error', (error) => log.warn({ reason: messageOf(error) }, 'page'));
    // For an inherited socket this program has not chosen a port.
    if (!('fd' in listen)) this.#port = (server.address() as AddressInfo).port;
    this.#agent.start();
    this.#every(TICK_MS, () => this.#tick());
    this.#every(PAIRING_EVERY_MS, () => this.#pairing.tick());
    this.#every(this.#options.limits.certificateEveryMs, () => void this.#renew());
    log.info({ port: this.#port, host: localName() }, 'the page is open');
  }

  /** Idempotent. */
  async stop(): Promise<void> {
    for (const timer of this.#timers.splice(0)) clearInterval(timer);
    this.#agent.stop();
    this.#cameras.stop();
    this.#preview.stop();
    this.#pairing.tick();
    this.#sessions.stop();
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    const closed = new Promise((resolve) => server.close(resolve));
    this.#guard?.cutAll();
    await closed;
    this.#tellCounts();
  }

  #makeServer(pair: { key?: string; cert?: string }): Server {
    const { limits } = this.#options;
    const server = createServer(
      {
        ...pair,
        minVersion: 'TLSv1.3',
        ALPNProtocols: ['http/1.1'],
        handshakeTimeout: limits.headersMs,
        headersTimeout: limits.headersMs,
        requestTimeout: limits.requestMs,
        keepAliveTimeout: limits.headersMs,
        connectionsCheckingInterval: Math.min(1000, limits.headersMs / 2),
        maxHeaderSize: HEAD_BYTES_MAX,
      },
      (request, response) => void this.#serve(request, response),
    );
    server.maxRequestsPerSocket = REQUESTS_A_CONNECTION;
    server.timeout = limits.silenceMs;
    server.on('connection', (socket: Socket) => {
      if (socket.destroyed || this.#limits.take('connections', socket.remoteAddress) === 0) return;
      this.#tooFast += 1;
      socket.destroy();
    });
    this.#guard = new ConnectionGuard(server, {
      max: limits.connectionsMax,
      ofOneMax: limits.connectionsOfOneMax,
      freeOfOne: CONNECTIONS_FREE,
      askWithinMs: limits.headersMs,
    });
    const unreadable = (_: Error, socket: { destroy(): void }): void => {
      this.#unreadable += 1;
      socket.destroy();
    };
    server.on('tlsClientError', unreadable);
    server.on('clientError', unreadable);
    return server;
  }

  /** Never rejects. */
  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // A client that disconnects early gets no answer.
    response.on('error', () => response.destroy());
    try {
      const reply = await this.#answer(request, response);
      if (reply !== undefined) write(response, reply);
    } catch (error) {
      write(response, refusal(this.#refusalOf(error)));
    }
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<Reply | undefined> {
    const waitS = Math.ceil(this.#limits.take('requests', request.socket.remoteAddress));
    if (waitS > 0) {
      this.#tooFast += 1;
      throw new RefusalError(429, { error: 'too-many-requests' }, { 'Retry-After': String(waitS) });
    }
    const { method, path, query } = targetOf(request, this.#names, this.#port, this.#routes.box);
    const file = method === 'GET' ? this.#files.get(path) : undefined;
    if (file !== undefined) return fileReply(request, file);
    fromOwnPage(request);
    return this.#routes.answer(method, path, { request, response, query });
  }

  #refusalOf(error: unknown): RefusalError {
    if (error instanceof RefusalError) return error;
    if (error instanceof AgentError) {
      const reason = error.message;
      if (error.kind === 'unavailable') return new RefusalError(503, { error: 'unavailable', reason });
      if (error.kind === 'exhausted')
        return new RefusalError(429, { error: 'busy', reason }, { 'Retry-After': '1' });
      if (error.kind === 'denied') return new RefusalError(400, { error: 'denied', reason });
      if (error.kind === 'corrupt') return new RefusalError(502, { error: 'unreadable', reason });
    }
    // Logs only the place of the error, because a message may contain typed text.
    const stack = error instanceof Error ? (error.stack ?? '').split('\n').slice(1, 6).join(' ') : '';
    this.#errorLine.due((leftOut) =>
      this.#options.log.error({ stack, leftOut }, 'a request failed because of a bug in the program'),
    );
    return new RefusalError(500, {
      error: 'failed',
      reason: 'a bug in the program; see the log of the box',
    });
  }

  #every(ms: number, action: () => void): void {
    this.#timers.push(setInterval(action, ms).unref());
  }

  #tick(): void {
    this.#sessions.prune();
    this.#preview.tick();
    this.#countsLine.due(() => this.#tellCounts());
  }

  /** A renewed certificate is used from the next connection on. */
  async #renew(): Promise<void> {
    try {
      const pair = await this.#certificate.load();
      if (pair !== undefined) this.#server?.setSecureContext({ ...pair, minVersion: 'TLSv1.3' });
    } catch (error) {
      this.#options.log.warn({ reason: messageOf(error) }, 'the page goes on with the certificate it has');
    }
  }

  #tellCounts(): void {
    const counts = {
      ...this.#guard?.counters,
      tooFast: this.#tooFast,
      unreadable: this.#unreadable,
      skippedPictures: this.#preview.skipped,
      stuckViewers: this.#preview.disconnectedCount,
    };
    const text = JSON.stringify(counts);
    if (text === this.#lastLogged || Object.values(counts).every((count) => count === 0)) return;
    this.#lastLogged = text;
    this.#options.log.info(counts, 'closed or left out since the start of the page');
  }
}

function fileReply({ headers }: IncomingMessage, { type, gzip, plain, etag }: StaticFile): Reply {
  // Revalidated each time, so that page and box have the same version, but not sent again.
  const common = { ETag: etag, 'Cache-Control': 'no-cache', Vary: 'Accept-Encoding' };
  if (headers['if-none-match'] === etag) return { status: 304, headers: common };
  if (!/\bgzip\b/.test(String(headers['accept-encoding'] ?? '')))
    return { status: 200, type, body: plain, headers: common };
  return { status: 200, type, body: gzip, headers: { ...common, 'Content-Encoding': 'gzip' } };
}
