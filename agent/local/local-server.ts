/**
 * HTTP server for users of the box itself, only on the loopback and on a socket in the state directory.
 *
 * INVARIANTS:
 * - It is read-only; no request has an effect.
 * - If it cannot listen, whatever the disk does, this is logged and counted, and the agent continues.
 * - Only the agent's user and root may use the socket. The port, which every user of the box can reach, serves only
 *   `onPort`, and not to a browser page that reached it under another name.
 *
 * LIMITS: CONNECTIONS_MAX connections per listener, one request on each (one-request.ts), a page generated once in
 * MADE_EVERY_MS.
 */
import { once } from 'node:events';
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import type { Clock } from '../base/clock.ts';
import { hasCode, messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { RepeatedLine } from '../base/repeated-line.ts';
import { type Answer, answerOnce, type Request } from './one-request.ts';

const LOOPBACK = '127.0.0.1';
const CONNECTIONS_MAX = 8;
const PAGE_EVERY_MS = 1000;
const ERROR_EVERY_MS = 60_000;
/** unix(7); node truncates a longer path silently. */
const SOCKET_PATH_MAX = 107;
const SOCKET_MODE = 0o600;

const TEXT = 'text/plain; charset=utf-8';

export interface Page {
  readonly contentType: string;
  readonly body: string;
}

export interface LocalServerOptions {
  /** 0 = not on the loopback. */
  readonly port: number;
  /** Path of the socket; replaces anything that an earlier run left there. */
  readonly socket: string;
  /** Pages by path. */
  readonly pages: Readonly<Record<string, () => Page>>;
  /** Paths that the port serves as well. */
  readonly onPort: readonly string[];
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly log: Logger;
}

interface Place {
  readonly at: { readonly path: string } | { readonly host: string; readonly port: number };
  readonly paths: readonly string[];
  /** Host names to which it replies. If undefined, it replies to any. */
  readonly hosts?: readonly string[];
  /** Consequence of its absence, for the log. */
  readonly consequence: string;
}

export class LocalServer {
  readonly #options: LocalServerOptions;
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #answers = new Map<string, { readonly answer: Answer; readonly atMs: number }>();
  readonly #errorLine: RepeatedLine;
  #unserved = 0;
  #refusals = 0;

  constructor(options: LocalServerOptions) {
    this.#options = options;
    this.#errorLine = new RepeatedLine(ERROR_EVERY_MS, options.clock);
  }

  /** Number of listeners that failed. */
  get unserved(): number {
    return this.#unserved;
  }

  /** Connections beyond the limit, and requests that were too slow, too long, unreadable or under another name. */
  get refusals(): number {
    return this.#refusals;
  }

  /** Starts to listen. Never throws because of the disk or another program. */
  async start(): Promise<void> {
    const { port, socket, pages, onPort } = this.#options;
    await this.#listenOnSocket({
      at: { path: socket },
      paths: Object.keys(pages),
      consequence: `${socket}: vigie status is not answered`,
    });
    if (port === 0) return;
    await this.#listen({
      at: { host: LOOPBACK, port },
      paths: onPort,
      // A browser on the box can be led here under a foreign name (DNS rebinding); its request then has that name.
      hosts: [LOOPBACK, 'localhost', '[::1]'].map((host) => `${host}:${port}`),
      consequence: `metrics.port ${port}: no metrics on ${LOOPBACK}:${port}`,
    });
  }

  /** Closes all listeners. Idempotent. */
  async stop(): Promise<void> {
    for (const server of this.#servers.splice(0)) {
      const closed = once(server, 'close');
      server.close();
      for (const socket of this.#sockets) socket.destroy();
      await closed;
    }
  }

  async #listenOnSocket(place: Place): Promise<void> {
    const { socket } = this.#options;
    if (Buffer.byteLength(socket) > SOCKET_PATH_MAX) {
      const reason = `a socket’s path has at most ${SOCKET_PATH_MAX} bytes; take a shorter --state`;
      this.#goWithout(place, reason);
      return;
    }
    try {
      rmSync(socket, { force: true });
    } catch (error) {
      this.#goWithout(place, `the file of an earlier start cannot be removed (${messageOf(error)})`);
      return;
    }
    await this.#listen(place);
  }

  async #listen(place: Place): Promise<void> {
    const server = createServer((socket) => this.#serve(socket, place));
    server.maxConnections = CONNECTIONS_MAX;
    server.on('drop', () => {
      this.#refusals += 1;
    });
    try {
      server.listen(place.at);
      await once(server, 'listening');
      if ('path' in place.at) chmodSync(place.at.path, SOCKET_MODE);
    } catch (error) {
      server.close();
      const isPortTaken = hasCode(error, 'EADDRINUSE');
      const port = 'another program listens there; name a free port, or 0 for none';
      this.#goWithout(place, isPortTaken ? port : messageOf(error));
      return;
    }
    server.on('error', (error) => this.#options.log.warn({ reason: messageOf(error) }, 'local page'));
    this.#servers.push(server);
  }

  #goWithout({ consequence }: Place, reason: string): void {
    this.#unserved += 1;
    this.#options.log.warn({}, `${consequence}: ${reason}; the agent runs on`);
  }

  #serve(socket: Socket, place: Place): void {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    answerOnce(
      socket,
      (request) => this.#answer(request, place),
      () => {
        this.#refusals += 1;
      },
    );
  }

  #answer(request: Request | undefined, { paths, hosts }: Place): Answer {
    if (request === undefined) return this.#refuse(400, 'not a request, or too long a one\n');
    const { method, target, host } = request;
    if (hosts !== undefined && !hosts.includes(host)) {
      return this.#refuse(421, `this is ${hosts.join(' or ')}\n`);
    }
    if (method !== 'GET') return textAnswer(405, 'only GET\n');
    return paths.includes(target) ? this.#page(target) : textAnswer(404, `one of: ${paths.join(' ')}\n`);
  }

  #refuse(status: number, body: string): Answer {
    this.#refusals += 1;
    return textAnswer(status, body);
  }

  /** Returns the page, generated at most once per interval. */
  #page(path: string): Answer {
    const nowMs = this.#options.clock.nowMs();
    const before = this.#answers.get(path);
    if (before !== undefined && nowMs - before.atMs < PAGE_EVERY_MS) return before.answer;
    const answer = this.#make(path);
    this.#answers.set(path, { answer, atMs: nowMs });
    return answer;
  }

  #make(path: string): Answer {
    const { pages, log } = this.#options;
    try {
      const page = pages[path]?.();
      return page === undefined ? textAnswer(404, 'no such page\n') : { status: 200, ...page };
    } catch (error) {
      const reason = messageOf(error);
      this.#errorLine.due((leftOut) =>
        log.warn({ reason, page: path, leftOut }, 'a local page could not be made'),
      );
      return textAnswer(500, `${reason}\n`);
    }
  }
}

function textAnswer(status: number, body: string): Answer {
  return { status, contentType: TEXT, body };
}
