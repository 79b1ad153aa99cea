/**
 * What the box answers to whoever is on the box itself, over HTTP: on the loopback and on a socket in the state
 * directory, on no other address.
 *
 * INVARIANTS: it only tells; nothing that is sent to it has an effect. That it cannot listen is said and counted,
 * and stops nothing.
 * LIMITS: CONNECTIONS_MAX connections a listener, REQUEST_WITHIN_MS for a request.
 */
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';

const LOOPBACK = '127.0.0.1';
const CONNECTIONS_MAX = 8;
const REQUEST_WITHIN_MS = 5000;
/** unix(7); node cuts a longer path short without a word. */
const SOCKET_PATH_MAX = 107;

export interface Page {
  readonly contentType: string;
  readonly body: string;
}

export interface LocalServerOptions {
  /** 0 = not on the loopback. */
  readonly port: number;
  /** Path of the socket; whatever an earlier life left there is replaced. */
  readonly socket: string;
  /** By path. */
  readonly pages: Readonly<Record<string, () => Page>>;
  readonly log: Logger;
}

export class LocalServer {
  readonly #options: LocalServerOptions;
  readonly #servers: Server[] = [];
  #unserved = 0;

  constructor(options: LocalServerOptions) {
    this.#options = options;
  }

  /** Places where it should listen and does not. */
  get unserved(): number {
    return this.#unserved;
  }

  async start(): Promise<void> {
    const { port, socket } = this.#options;
    const unanswered = `${socket}: vigie status is not answered`;
    if (Buffer.byteLength(socket) > SOCKET_PATH_MAX) {
      this.#without(
        unanswered,
        `a socket’s path has at most ${SOCKET_PATH_MAX} bytes; take a shorter --state`,
      );
    } else {
      rmSync(socket, { force: true });
      await this.#listen({ path: socket }, unanswered);
    }
    if (port === 0) return;
    const where = `metrics.port ${port}: no metrics on ${LOOPBACK}:${port}`;
    await this.#listen({ host: LOOPBACK, port }, where);
  }

  /** Idempotent. */
  async stop(): Promise<void> {
    for (const server of this.#servers.splice(0)) {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    }
  }

  async #listen(
    at: { readonly path: string } | { readonly host: string; readonly port: number },
    without: string,
  ): Promise<void> {
    const limits = { requestTimeout: REQUEST_WITHIN_MS, headersTimeout: REQUEST_WITHIN_MS };
    const server = createServer(limits, (request, response) => this.#answer(request, response));
    server.maxConnections = CONNECTIONS_MAX;
    server.maxHeadersCount = 32;
    try {
      server.listen(at);
      await once(server, 'listening');
    } catch (error) {
      const taken = error instanceof Error && 'code' in error && error.code === 'EADDRINUSE';
      const port = 'another program listens there; name a free port, or 0 for none';
      this.#without(without, taken ? port : messageOf(error));
      return;
    }
    server.on('error', (error) => this.#options.log.warn({ reason: messageOf(error) }, 'local page'));
    this.#servers.push(server);
  }

  #without(what: string, reason: string): void {
    this.#unserved += 1;
    this.#options.log.warn({}, `${what}: ${reason}; the agent runs on`);
  }

  #answer({ method, url = '' }: IncomingMessage, response: ServerResponse): void {
    const { pages, log } = this.#options;
    const page = Object.hasOwn(pages, url) ? pages[url] : undefined;
    try {
      if (method !== 'GET') say(response.setHeader('allow', 'GET'), 405, 'only GET\n');
      else if (page === undefined) say(response, 404, `one of: ${Object.keys(pages).join(' ')}\n`);
      else say(response, 200, page());
    } catch (error) {
      log.warn({ reason: messageOf(error), page: url }, 'a local page could not be made');
      say(response, 500, `${messageOf(error)}\n`);
    }
  }
}

function say(response: ServerResponse, status: number, page: Page | string): void {
  const { contentType, body } =
    typeof page === 'string' ? { contentType: 'text/plain; charset=utf-8', body: page } : page;
  response.writeHead(status, { 'content-type': contentType, 'cache-control': 'no-store' }).end(body);
}
