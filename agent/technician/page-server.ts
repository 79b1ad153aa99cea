/**
 * Serves the socket of the technician's page, a process of another user that may be compromised.
 *
 * INVARIANTS:
 * - Only members of the socket's group can connect.
 * - A message outside the contract ends its connection and has no other effect.
 * - A failure to listen is logged and counted, and stops nothing else.
 * LIMITS:
 * - CONNECTIONS_MAX connections; a further one is closed and counted.
 * - FROM_PAGE_BYTES_MAX per message.
 * - ASKS: messages above this rate are refused after decoding, and the connection pauses until there is room again
 *   (counted).
 * - A picture is skipped while the previous one is unread. An answer that cannot be sent ends the connection.
 */
import { once } from 'node:events';
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import type { Clock } from '../base/clock.ts';
import { type Counters, gauge } from '../base/counters.ts';
import { messageOf } from '../base/errors.ts';
import { LinkEnd } from '../base/link-end.ts';
import type { Logger } from '../base/log.ts';
import { RepeatedLine } from '../base/repeated-line.ts';
import { TokenBucket } from '../base/token-bucket.ts';
import { encodeToPage, FROM_PAGE_BYTES_MAX } from '../contract/page-frames.ts';
import { FromPage } from '../contract/page-link.ts';
import type { Screen } from './preview.ts';

/** One page, and its successor while the end of the first is not yet noticed. */
const CONNECTIONS_MAX = 2;
/** Covers two phones that request the state once a second, plus their taps. */
const ASKS = { burst: 40, perS: 10 } as const;
const ERROR_EVERY_MS = 60_000;

export interface PageServerOptions {
  /** Path of the socket; anything left there by an earlier run is replaced. */
  readonly socket: string;
  readonly mode: number;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly log: Logger;
  ask(message: FromPage, screen: Screen): void;
  onScreenClosed(screen: Screen): void;
}

export class PageServer {
  readonly #options: PageServerOptions;
  readonly #sockets = new Set<Socket>();
  readonly #screens = new Set<Screen>();
  readonly #errorLine: RepeatedLine;
  #server: Server | undefined;
  #unserved = 0;
  #refusedCount = 0;
  #limited = 0;

  constructor(options: PageServerOptions) {
    this.#options = options;
    this.#errorLine = new RepeatedLine(ERROR_EVERY_MS, options.clock);
  }

  get counters(): Counters {
    return {
      page_unserved: gauge(this.#unserved),
      page_refused: this.#refusedCount,
      page_limited: this.#limited,
    };
  }

  /** Never throws, whatever the disk does. */
  async start(): Promise<void> {
    const { socket: path, mode, log } = this.#options;
    const server = createServer((socket) => this.#serve(socket));
    server.maxConnections = CONNECTIONS_MAX;
    server.on('drop', () => {
      this.#refusedCount += 1;
    });
    try {
      rmSync(path, { force: true });
      server.listen({ path });
      await once(server, 'listening');
      chmodSync(path, mode);
    } catch (error) {
      server.close();
      this.#unserved = 1;
      log.warn({}, `${path}: no page for a technician (${messageOf(error)}); the agent runs on`);
      return;
    }
    server.on('error', (error) => log.warn({ reason: messageOf(error) }, 'socket of the page'));
    this.#server = server;
  }

  /** Idempotent. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    const closed = once(server, 'close');
    server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  /** Sends to every connected page; false if there is none. */
  tellAll(encoded: Buffer): boolean {
    for (const screen of this.#screens) screen.tell(encoded);
    return this.#screens.size > 0;
  }

  #serve(socket: Socket): void {
    const { clock, log, ask, onScreenClosed } = this.#options;
    const bucket = new TokenBucket(ASKS, clock);
    this.#sockets.add(socket);
    const screen: Screen = {
      show: (encoded) => socket.writableLength === 0 && link.send(encoded),
      tell: (encoded) => {
        if (!link.send(encoded)) link.destroy();
      },
    };
    const link = new LinkEnd(
      socket,
      FromPage,
      {
        onMessage: ({ message }) => {
          const waitS = bucket.take();
          if (waitS === 0) ask(message, screen);
          else this.#limit(socket, message, screen, waitS);
        },
        onClosed: (error) => {
          this.#sockets.delete(socket);
          this.#screens.delete(screen);
          onScreenClosed(screen);
          if (error === undefined) return;
          this.#refusedCount += 1;
          const reason = messageOf(error);
          this.#errorLine.due((leftOut) => log.warn({ reason, leftOut }, 'connection of the page ended'));
        },
      },
      FROM_PAGE_BYTES_MAX,
    );
    this.#screens.add(screen);
  }

  #limit(socket: Socket, { request }: FromPage, screen: Screen, waitS: number): void {
    this.#limited += 1;
    const refusal = { code: 'too-many', reason: 'asked too often; wait a second' };
    screen.tell(encodeToPage({ kind: 'answer', request, refused: refusal, state: null }));
    if (socket.isPaused()) return;
    socket.pause();
    setTimeout(() => socket.resume(), waitS * 1000).unref();
  }
}
