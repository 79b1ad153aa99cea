/**
 * The console's HTTP server: TLS is a proxy's in front of it.
 *
 * LIMITS: CONNECTIONS_MAX connections, and ASK_WITHIN_MS until one has asked something (ConnectionGuard), BODY_BYTES_MAX of a body, REQUEST_WITHIN_MS until a request has come whole.
 */
import cookie from '@fastify/cookie';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { ConnectionGuard } from '../../../../agent/base/connection-guard.ts';
import { AgentError, messageOf } from '../../../../agent/base/errors.ts';
import type { TokenBuckets } from '../../../../agent/base/token-bucket.ts';
import { iso, type Sql } from '../database/sql.ts';
import { textAsked } from './asked.ts';
import { Entry } from './entry.ts';
import { Guard } from './guard.ts';
import { CallError } from './handler.ts';
import { refuse, refuseError } from './problem.ts';
import type { RoleCheck } from './role-check.ts';
import { type Caller, type DataHandlers, type OwnHandler, type OwnName, registerRoutes } from './routes.ts';
import { Sessions } from './sessions.ts';
import type { Settings } from './settings.ts';
import { type StaticFiles, serveStatic } from './static-files.ts';
import { type ChangesSince, Pump } from './stream.ts';

/** A search that names 1,500 boxes is 30 kB. */
const BODY_BYTES_MAX = 64 * 1024;

/** Ten people, their streams, programs, and a proxy that keeps connections. */
const CONNECTIONS_MAX = 1000;

/** A proxy asks at once; what a browser opens in advance it opens again. */
const ASK_WITHIN_MS = 10_000;

/** As nginx has it: client_body_timeout 60 s, and half of it is enough for 64 kB. */
const REQUEST_WITHIN_MS = 30_000;

const HEALTH_PATH = '/healthz';

export interface ConsoleOptions {
  readonly settings: Settings;
  readonly db: Sql;
  /** One that is missing answers 503. */
  readonly handlers: Partial<DataHandlers>;
  readonly changesSince: ChangesSince;
  readonly app: StaticFiles;
  /** IANA. */
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
  #guard: ConnectionGuard | undefined;
  /** What a browser has in front of the path; known when it listens, since the port may be any. */
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

  /** Resolves with the URL of the address that is listened on. Throws AgentError `config` where it cannot listen, DatabaseAway. */
  async start(): Promise<string> {
    const { settings, db } = this.#options;
    const { host, port } = settings.listen;
    const [counter] = await db.all<{ value: number }>("SELECT value FROM counter WHERE name = 'rev'");
    const app = fastify({
      bodyLimit: BODY_BYTES_MAX,
      requestTimeout: REQUEST_WITHIN_MS,
      forceCloseConnections: true,
      exposeHeadRoutes: false,
      // Whose address it is, as a proxy on this machine says; nobody else is believed.
      trustProxy: 'loopback',
      frameworkErrors: (error, _request, reply) => void refuseError(reply, error, this.#options.onNotice),
    });
    // All are of one address where a proxy is in front, as it should be: whose they are is the proxy's to count.
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

  /** Streams are ended, what is under way is answered. */
  async stop(): Promise<void> {
    await this.#roleCheck?.stop();
    await this.#pump.stop();
    await this.#app?.close();
  }

  /** What was refused or cut off for a limit, as a line; undefined where nothing was. */
  summary(): string | undefined {
    const { refused, unrecorded, full } = this.#sessions.counters;
    const { slow, refused: streams, displaced, resets, away } = this.#pump.counters;
    const counts = {
      'logins refused': refused,
      'of them not recorded': unrecorded,
      'sessions too many': full,
      'sessions ended for another role': this.#roleCheck?.counters.ended ?? 0,
      'times without the identity provider': this.#roleCheck?.counters.away ?? 0,
      'tries too often': this.#limits.reduce((sum, limits) => sum + limits.refused, 0),
      'streams too many': streams,
      'streams ended for somebody with fewer': displaced,
      'slow screens cut off': slow,
      'queues loaded again': resets,
      'times without the database': away,
      'connections too many': this.#guard?.counters.crowded ?? 0,
      'connections that asked nothing': this.#guard?.counters.silent ?? 0,
    };
    const told = Object.entries(counts).flatMap(([what, count]) => (count > 0 ? [`${count} ${what}`] : []));
    return told.length === 0 ? undefined : told.join(', ');
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
      // Whoever asks whether it lives asks by an address; there is nothing to be learnt.
      const refusal = request.url === HEALTH_PATH ? undefined : guard.judge(request);
      return refusal === undefined ? undefined : refuse(reply, refusal.status, refusal.line);
    });
    app.setErrorHandler((error, _request, reply) => refuseError(reply, error, onNotice));
    app.get(HEALTH_PATH, async (_request, reply) => {
      await db.all('SELECT 1 AS well');
      return reply.type('text/plain; charset=utf-8').send('well\n');
    });
    entry.register(app);
    const own = ownHandlers(entry, sessions, this.#pump, guard);
    const { handlers } = this.#options;
    const callerOf = (request: FastifyRequest, isUse: boolean) => entry.callerOf(request, isUse);
    const { refused } = registerRoutes(app, { db, handlers, own, callerOf, nowMs });
    this.#limits = [entry.tries, refused];
    serveStatic(app, files, (request, reply) =>
      refuse(reply, 404, `${request.method} ${request.url}: is not here`),
    );
  }
}

/** On the loopback it has three names; otherwise the one of the settings. */
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
  const known = (caller: Caller | undefined): Caller => {
    if (caller === undefined)
      throw new AgentError('bug', 'a route that needs a caller was called without one');
    return caller;
  };
  return {
    login: async (_call, request) => entry.login(request),
    enter: ({ body }, request, reply) => entry.enter(request, reply, String(body['name'])),
    session: ({ caller }) => entry.view(known(caller)),
    logout: ({ caller }, _request, reply) => entry.leave(reply, known(caller)),
    sessions: async ({ nowMs }) => ({ now: iso(nowMs), people: await sessions.present(nowMs) }),
    endSessions: async ({ caller, body, nowMs }) => ({
      ended: await sessions.endAll(textAsked('user', String(body['user'])), known(caller).who, nowMs),
    }),
    stream: async ({ caller, query }, request, reply) => {
      const { who, session } = known(caller);
      const after = lastId(request) ?? (query['after'] as number | undefined);
      // One name may be an account's and a token's.
      const owner = `${session === undefined ? 'the token ' : ''}${who.name}`;
      pump.admit(owner);
      openStream(reply, guard.headers);
      pump.add({ session: session?.id, owner, after, response: reply.raw });
      return undefined;
    },
  };
}

/** Of a browser that comes back by itself: newer than what is in its URL. */
function lastId({ headers }: FastifyRequest): number | undefined {
  const id = headers['last-event-id'];
  if (id === undefined || id === '') return undefined;
  if (typeof id === 'string' && /^\d{1,15}$/.test(id)) return Number(id);
  throw new CallError(400, 'Last-Event-ID: must be the id of an event of this stream, a whole number');
}

function openStream(reply: FastifyReply, headers: Guard['headers']): void {
  reply.hijack();
  // nginx would keep what comes until a buffer is full.
  const more = { 'content-type': 'text/event-stream; charset=utf-8', 'x-accel-buffering': 'no' };
  reply.raw.writeHead(200, { ...headers, ...more });
  reply.raw.flushHeaders();
}
