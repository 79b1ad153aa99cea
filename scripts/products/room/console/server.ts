/**
 * Runs the console's HTTP server. A proxy in front of it terminates TLS.
 *
 * LIMITS:
 * - CONNECTIONS_MAX connections.
 * - ASK_WITHIN_MS until a new connection has sent a request (ConnectionGuard).
 * - BODY_BYTES_MAX of a body.
 * - REQUEST_WITHIN_MS until a request is complete.
 */
import cookie from '@fastify/cookie';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { ConnectionGuard } from '../../../../agent/base/connection-guard.ts';
import { AgentError, messageOf } from '../../../../agent/base/errors.ts';
import { EXPOSITION_TYPE } from '../../../../agent/base/exposition.ts';
import type { TokenBuckets } from '../../../../agent/base/token-bucket.ts';
import { METRICS_PATH } from '../../../../agent/contract/local-status.ts';
import { iso, type Sql } from '../database/sql.ts';
import { Entry } from './entry.ts';
import { Guard } from './guard.ts';
import { CallError, type Limited, noneLimited } from './handler.ts';
import { metricsPage } from './metrics.ts';
import { refuse, refuseError } from './problem.ts';
import { textAsked } from './request-params.ts';
import type { RoleCheck } from './role-check.ts';
import { type Caller, type DataHandlers, type OwnHandler, type OwnName, registerRoutes } from './routes.ts';
import { Sessions } from './sessions.ts';
import type { Settings } from './settings.ts';
import { type StaticFiles, serveStatic } from './static-files.ts';
import { type ChangesSince, Pump } from './stream.ts';

/** A search may name 5,000 boxes with names of 32 characters, which take 175 kB. */
const BODY_BYTES_MAX = 192 * 1024;

/** Enough for ten people, their streams, programs, and a proxy that keeps connections open. */
const CONNECTIONS_MAX = 1000;

/** A proxy sends its request at once; a browser reopens a connection that it opened in advance. */
const ASK_WITHIN_MS = 10_000;

/** The default of nginx (client_body_timeout) is 60 s; half of it suffices for 192 kB. */
const REQUEST_WITHIN_MS = 30_000;

const HEALTH_PATH = '/healthz';

export interface ConsoleOptions {
  readonly settings: Settings;
  readonly db: Sql;
  /** A missing handler answers 503. */
  readonly handlers: Partial<DataHandlers>;
  readonly changesSince: ChangesSince;
  readonly app: StaticFiles;
  /** IANA time zone. */
  readonly timeZone: string;
  readonly onNotice: (line: string) => void;
  readonly nowMs: () => number;
}

export class ConsoleServer {
  readonly #options: ConsoleOptions;
  readonly #sessions: Sessions;
  readonly #pump: Pump;
  #roleCheck: RoleCheck | undefined;
  #app: FastifyInstance | undefined;
  #limits: readonly TokenBuckets[] = [];
  #limited: Readonly<Record<Limited, number>> = noneLimited();
  #guard: ConnectionGuard | undefined;
  /** Origins of the server, known once it listens because the port may be arbitrary. */
  #origins: readonly string[] = [];

  constructor(options: ConsoleOptions) {
    this.#options = options;
    const { db, changesSince, onNotice, nowMs } = options;
    this.#sessions = new Sessions(db, (ids) => this.#pump.endSessions(ids));
    this.#pump = new Pump({
      changesSince,
      listen: (onChange) => db.listen(onChange),
      stillOpen: (ids) => this.#sessions.stillOpen(ids, nowMs()),
      onNotice,
    });
  }

  /**
   * Starts the server. Resolves with the URL of the address.
   * @throws {AgentError} `config` if it cannot listen
   * @throws {DatabaseUnavailable}
   */
  async start(): Promise<string> {
    const { settings, db } = this.#options;
    const { host, port } = settings.listen;
    const [counter] = await db.all<{ value: number }>("SELECT value FROM counter WHERE name = 'rev'");
    const app = fastify({
      bodyLimit: BODY_BYTES_MAX,
      requestTimeout: REQUEST_WITHIN_MS,
      forceCloseConnections: true,
      exposeHeadRoutes: false,
      // Trusts the client address that a proxy on this machine reports, and no other.
      trustProxy: 'loopback',
      frameworkErrors: (error, _request, reply) => void refuseError(reply, error, this.#options.onNotice),
    });
    // Behind a proxy all connections come from one address; limits per client are the proxy's task.
    this.#guard = new ConnectionGuard(app.server, {
      max: CONNECTIONS_MAX,
      ofOneMax: CONNECTIONS_MAX,
      freeOfOne: CONNECTIONS_MAX,
      askWithinMs: ASK_WITHIN_MS,
    });
    this.#app = app;
    await this.#register(app);
    await this.#pump.start(counter?.value ?? 0);
    try {
      await app.listen({ host, port });
    } catch (error) {
      await this.stop();
      throw new AgentError(
        'config',
        `listen: ${host} port ${port} cannot be listened on (${messageOf(error)}); name an address of this machine and a free port`,
        error,
      );
    }
    const address = app.server.address();
    const bound = typeof address === 'object' ? (address?.port ?? port) : port;
    this.#origins = originsOf(settings, bound);
    return `http://${host.includes(':') ? `[${host}]` : host}:${bound}`;
  }

  /** Ends streams and completes current requests. */
  async stop(): Promise<void> {
    await this.#roleCheck?.stop();
    await this.#pump.stop();
    await this.#app?.close();
  }

  /** Returns a line that counts what was refused or cut off by a limit, or undefined if nothing was. */
  summary(): string | undefined {
    const { refusals, unrecorded, full } = this.#sessions.counters;
    const { slow, refusals: streams, displaced, resets, unavailable } = this.#pump.counters;
    const counts = {
      'logins refused': refusals,
      'of them not recorded': unrecorded,
      'sessions too many': full,
      'sessions ended for another role': this.#roleCheck?.counters.endedSessions ?? 0,
      'times without the identity provider': this.#roleCheck?.counters.unavailable ?? 0,
      'tries too often': this.#limits.reduce((sum, limits) => sum + limits.refusedCount, 0),
      'calls too many at once': this.#limited.calls,
      'exports too many at once': this.#limited.exports,
      'notes too many': this.#limited.notes,
      'claims too many': this.#limited.claims,
      'suppressions too many': this.#limited.suppressions,
      'verdicts too many': this.#limited.closings,
      'streams too many': streams,
      'streams ended for a person with fewer': displaced,
      'slow screens cut off': slow,
      'queues loaded again': resets,
      'times without the database': unavailable,
      'connections too many': this.#guard?.counters.crowded ?? 0,
      'connections that asked nothing': this.#guard?.counters.silent ?? 0,
    };
    const texts = Object.entries(counts).flatMap(([label, count]) =>
      count > 0 ? [`${count} ${label}`] : [],
    );
    return texts.length === 0 ? undefined : texts.join(', ');
  }

  async #register(app: FastifyInstance): Promise<void> {
    const { settings, db, app: files, timeZone, nowMs, onNotice } = this.#options;
    const isSecure = settings.origin?.startsWith('https:') === true;
    const guard = new Guard(() => this.#origins, isSecure);
    const sessions = this.#sessions;
    const origin = (): string => this.#origins[0] ?? '';
    const entry = new Entry({ settings, db, sessions, isSecure, origin, timeZone, nowMs, onNotice });
    this.#roleCheck = entry.roleCheck;
    this.#roleCheck?.start();
    app.removeContentTypeParser('text/plain');
    await app.register(cookie);
    app.addHook('onRequest', async (request, reply) => {
      reply.headers(guard.headers);
      // Health checks and Prometheus use an IP address; the answers are numbers.
      const refusal = [HEALTH_PATH, METRICS_PATH].includes(request.url) ? undefined : guard.check(request);
      return refusal === undefined ? undefined : refuse(reply, refusal.status, refusal.line);
    });
    app.setErrorHandler((error, _request, reply) => refuseError(reply, error, onNotice));
    app.get(HEALTH_PATH, async (_request, reply) => {
      await db.all('SELECT 1 AS well');
      return reply.type('text/plain; charset=utf-8').send('well\n');
    });
    app.get(METRICS_PATH, async ({ ip }, reply) => {
      if (ip !== '127.0.0.1' && ip !== '::1') throw new CallError(404, 'only on the room’s machine');
      return reply.type(EXPOSITION_TYPE).send(await metricsPage(db, this.#limited, nowMs()));
    });
    entry.register(app);
    const own = ownHandlers(entry, sessions, this.#pump, guard);
    const { handlers } = this.#options;
    const callerOf = (request: FastifyRequest, isUse: boolean) => entry.callerOf(request, isUse);
    const { refusals, limited } = registerRoutes(app, { db, handlers, own, callerOf, nowMs });
    this.#limits = [entry.tries, refusals];
    this.#limited = limited;
    serveStatic(app, files, (request, reply) =>
      refuse(reply, 404, `${request.method} ${request.url}: is not here`),
    );
  }
}

/** Returns the origin of the settings, or the three names of the loopback address. */
function originsOf({ origin, listen }: Settings, port: number): string[] {
  if (origin !== undefined) return [origin];
  const names = ['127.0.0.1', '[::1]', 'localhost'];
  const first = listen.host.includes(':') ? '[::1]' : listen.host;
  return [...new Set([first, ...names])].map((name) => `http://${name}:${port}`);
}

function ownHandlers(
  entry: Entry,
  sessions: Sessions,
  pump: Pump,
  guard: Guard,
): Readonly<Record<OwnName, OwnHandler>> {
  const requireCaller = (caller: Caller | undefined): Caller => {
    if (caller === undefined)
      throw new AgentError('bug', 'a route that needs a caller was called without one');
    return caller;
  };
  return {
    login: async (_call, request) => entry.login(request),
    enter: ({ body }, request, reply) => entry.enter(request, reply, String(body['name'])),
    session: ({ caller }) => entry.view(requireCaller(caller)),
    logout: ({ caller }, _request, reply) => entry.leave(reply, requireCaller(caller)),
    sessions: async ({ nowMs }) => ({ now: iso(nowMs), people: await sessions.present(nowMs) }),
    endSessions: async ({ caller, body, nowMs }) => ({
      endedCount: await sessions.endAll(
        textAsked('user', String(body['user'])),
        requireCaller(caller).account,
        nowMs,
      ),
    }),
    stream: async ({ caller, query }, request, reply) => {
      const { account, session } = requireCaller(caller);
      const after = lastId(request) ?? (query['after'] as number | undefined);
      // An account and a token may have the same name.
      const owner = `${session === undefined ? 'the token ' : ''}${account.name}`;
      pump.admit(owner);
      openStream(reply, guard.headers);
      pump.add({ session: session?.id, owner, after, response: reply.raw });
      return undefined;
    },
  };
}

/** Returns the id that a reconnecting browser sends; it is newer than the one in the URL. */
function lastId({ headers }: FastifyRequest): number | undefined {
  const id = headers['last-event-id'];
  if (id === undefined || id === '') return undefined;
  if (typeof id === 'string' && /^\d{1,15}$/.test(id)) return Number(id);
  throw new CallError(400, 'Last-Event-ID: must be the id of an event of this stream, a whole number');
}

function openStream(reply: FastifyReply, headers: Guard['headers']): void {
  reply.hijack();
  // nginx would otherwise buffer the stream.
  const streamHeaders = { 'content-type': 'text/event-stream; charset=utf-8', 'x-accel-buffering': 'no' };
  reply.raw.writeHead(200, { ...headers, ...streamHeaders });
  reply.raw.flushHeaders();
}
