/**
 * Serves the metrics page over HTTP.
 *
 * INVARIANTS:
 * - The server is read-only.
 * - On the loopback address it accepts only loopback host names, because a browser on the machine can be led here under
 *   a foreign name (DNS rebinding).
 * LIMITS: CONNECTIONS_MAX connections, of which idle ones give way to new ones (ConnectionGuard). One request on each
 * (one-request.ts). A page is rendered at most once per MADE_EVERY_MS.
 */
import { once } from 'node:events';
import { type AddressInfo, createServer, isIPv6, type Socket } from 'node:net';
import { ConnectionGuard } from '../../../../agent/base/connection-guard.ts';
import { AgentError, messageOf } from '../../../../agent/base/errors.ts';
import { METRICS_PATH } from '../../../../agent/contract/local-status.ts';
import type { Page } from '../../../../agent/local/local-server.ts';
import { type Answer, answerOnce, type Request } from '../../../../agent/local/one-request.ts';

const CONNECTIONS_MAX = 64;
const CONNECTIONS_OF_ONE_MAX = 16;
/** Connections per address without a restriction. Prometheus opens one. */
const CONNECTIONS_FREE = 4;
const MADE_EVERY_MS = 1000;
/**
 * Time limit of an answer in ms: a page of some MB, rendered on a busy machine. Prometheus itself waits 10 s by
 * default.
 */
const WITHIN_MS = 30_000;
const LOOPBACK = ['127.0.0.1', '::1', 'localhost'];

export class MetricsServer {
  readonly #page: () => Page;
  readonly #server = createServer((socket) => this.#serve(socket));
  readonly #guard: ConnectionGuard;
  #hosts: readonly string[] | undefined;
  #cachedPage: { readonly page: Page; readonly atMs: number } | undefined;

  constructor(page: () => Page) {
    this.#page = page;
    this.#guard = new ConnectionGuard(this.#server, {
      max: CONNECTIONS_MAX,
      ofOneMax: CONNECTIONS_OF_ONE_MAX,
      freeOfOne: CONNECTIONS_FREE,
      askWithinMs: WITHIN_MS,
    });
  }

  /** Connections closed for new ones. */
  get displacedCount(): number {
    return this.#guard.counters.crowded + this.#guard.counters.ofOne;
  }

  /**
   * Starts to listen. Resolves with the URL of the page.
   * @throws {AgentError} `config` if it cannot listen
   */
  async start(host: string, port: number): Promise<string> {
    try {
      this.#server.listen({ host, port });
      await once(this.#server, 'listening');
    } catch (error) {
      throw new AgentError(
        'config',
        `--host ${host} --port ${port}: cannot be listened on (${messageOf(error)}); name an address of this machine and a free port`,
        error,
      );
    }
    const { port: bound } = this.#server.address() as AddressInfo;
    const hostWithPort = (name: string): string => `${isIPv6(name) ? `[${name}]` : name}:${bound}`;
    if (LOOPBACK.includes(host)) this.#hosts = LOOPBACK.map(hostWithPort);
    return `http://${hostWithPort(host)}${METRICS_PATH}`;
  }

  async stop(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#guard.cutAll();
    await closed;
  }

  #serve(socket: Socket): void {
    answerOnce(
      socket,
      (request) => this.#answer(request),
      () => undefined,
      WITHIN_MS,
    );
  }

  #answer(request: Request | undefined): Answer {
    if (request === undefined) return textAnswer(400, 'not a request, or too long a one\n');
    const { method, target, host } = request;
    if (this.#hosts?.includes(host) === false)
      return textAnswer(421, `this is ${this.#hosts.join(' or ')}\n`);
    if (method !== 'GET') return textAnswer(405, 'only GET\n');
    if (target !== METRICS_PATH) return textAnswer(404, `only ${METRICS_PATH}\n`);
    const nowMs = performance.now();
    if (this.#cachedPage === undefined || nowMs - this.#cachedPage.atMs >= MADE_EVERY_MS) {
      this.#cachedPage = { page: this.#page(), atMs: nowMs };
    }
    return { status: 200, ...this.#cachedPage.page };
  }
}

function textAnswer(status: number, body: string): Answer {
  return { status, contentType: 'text/plain; charset=utf-8', body };
}
