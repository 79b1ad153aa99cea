/**
 * Registers the routes of the room's interface. Each request is checked against the route's schemas and the caller's
 * role before its handler runs. The audit log records refused actions.
 */
import { Readable } from 'node:stream';
import type { TSchema } from '@sinclair/typebox';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { printable } from '../../../../agent/base/printable.ts';
import { type BucketLimits, TokenBuckets } from '../../../../agent/base/token-bucket.ts';
import { ROUTES, type Route, type RouteName } from '../contract/api.ts';
import { type Action, may } from '../contract/roles.ts';
import { record } from '../database/audit.ts';
import type { Sql } from '../database/sql.ts';
import { AccountGate } from './account-gate.ts';
import { problemOf } from './fault.ts';
import {
  type Account,
  type Call,
  CallError,
  type Handlers,
  LimitError,
  type Limited,
  noneLimited,
  TooOftenError,
} from './handler.ts';
import type { Session } from './sessions.ts';

/** Routes that the server handles itself, because they concern the connection. */
export const OWN = ['login', 'enter', 'session', 'logout', 'sessions', 'endSessions', 'stream'] as const;
export type OwnName = (typeof OWN)[number];
export type DataHandlers = Omit<Handlers, OwnName>;

/** Caller of a route; `session` is undefined for a program. */
export interface Caller {
  readonly account: Account;
  readonly session: Session | undefined;
}

export type OwnHandler = (
  call: Omit<Call<RouteName>, 'account' | 'query' | 'body'> & {
    readonly caller: Caller | undefined;
    readonly query: Readonly<Record<string, unknown>>;
    readonly body: Readonly<Record<string, unknown>>;
  },
  request: FastifyRequest,
  reply: FastifyReply,
) => Promise<unknown>;

export interface RoutesOptions {
  readonly db: Sql;
  readonly handlers: Partial<DataHandlers>;
  readonly own: Readonly<Record<OwnName, OwnHandler>>;
  /**
   * Identifies the caller. `isUse` prolongs the session.
   * @throws {CallError} for an unknown token
   */
  readonly callerOf: (request: FastifyRequest, isUse: boolean) => Promise<Caller | undefined>;
  readonly nowMs: () => number;
}

/**
 * Rate of refused actions per account. A screen does not offer forbidden actions, so a refusal comes from a program or
 * an attack.
 */
const REFUSED_ACTIONS: BucketLimits = { burst: 60, perS: 1 };

/**
 * Form of the header Idempotency-Key (draft-ietf-httpapi-idempotency-key-header): visible ASCII. A UUID has 36
 * characters.
 */
const KEY = /^[\x21-\x7e]{1,64}$/;

/** Accepts up to 15 digits, which a double represents exactly. No row has a larger number. */
const DIGITS = /^\d{1,15}$/;

type Values = Readonly<Record<string, unknown>>;

/**
 * Registers all routes. Returns the rate limit whose counter holds the refused actions that were not recorded, and the
 * number of calls that each limit of an account has refused.
 */
export function registerRoutes(
  app: FastifyInstance,
  options: RoutesOptions,
): { readonly refusals: TokenBuckets; readonly limited: Readonly<Record<Limited, number>> } {
  const refusals = new TokenBuckets(REFUSED_ACTIONS);
  const limited = noneLimited();
  const gate = new AccountGate();
  const callers = new WeakMap<FastifyRequest, Caller>();
  for (const name of Object.keys(ROUTES) as RouteName[]) {
    const route: Route = ROUTES[name];
    app.route({
      method: route.method,
      url: route.path,
      // Runs before the body is read, so an unauthorised client cannot send one.
      onRequest: async (request) => {
        if (route.action === 'open') return;
        const caller = await options.callerOf(request, name !== 'stream');
        if (caller === undefined)
          throw new CallError(401, 'not logged in, or the session has ended; log in again');
        callers.set(request, caller);
        if (route.action === undefined || may(caller.account.role, route.action)) return;
        await refuseAction(options, refusals, caller.account, route.action, request);
      },
      handler: async (request, reply) => {
        const nowMs = options.nowMs();
        const parts = {
          params: fitting('path', route.params, request.params),
          query: fitting('query', route.query, request.query),
          body: route.method === 'POST' ? fitting('body', route.body, request.body ?? {}) : undefined,
        };
        const key = route.idempotent === true ? keyOf(request) : '';
        const caller = callers.get(request);
        if (isOwn(name)) {
          const { query = {}, body = {} } = parts;
          const call = { ...parts, query, body, key, nowMs, caller } as Parameters<OwnHandler>[0];
          return answer(reply, route, await options.own[name](call, request, reply), name);
        }
        const handler = options.handlers[name] as ((call: unknown) => Promise<unknown>) | undefined;
        if (handler === undefined) throw new CallError(503, `${name}: this console does not have it`);
        try {
          const account = caller?.account ?? NOBODY;
          const run = async (): Promise<FastifyReply> =>
            answer(reply, route, await handler({ ...parts, key, nowMs, account }), name);
          if (awaitsBoxes(route)) return await run();
          const lane = isExport(route) ? 'exports' : 'calls';
          return await gate.run(account, { reply: reply.raw, lane }, run);
        } catch (error) {
          if (error instanceof LimitError) limited[error.limit] += 1;
          throw error;
        }
      },
    });
  }
  return { refusals, limited };
}

/** True for calls that wait for an answer of boxes, some of them for seconds; the signer limits them. */
const awaitsBoxes = ({ action }: Route): boolean =>
  action === 'search' || action === 'ask-tracks' || action === 'request-sealed';

/** True for answers of any length. */
const isExport = ({ gives }: Route): boolean =>
  gives === 'text/csv' || gives === 'application/vnd.apache.parquet';

/** Caller of routes that need no login. */
const NOBODY: Account = { name: '', role: 'auditor', isProgram: true };

const isOwn = (name: RouteName): name is OwnName => (OWN as readonly string[]).includes(name);

async function refuseAction(
  { db, nowMs }: RoutesOptions,
  refusals: TokenBuckets,
  { name, role, isProgram }: Account,
  action: Action,
  request: FastifyRequest,
): Promise<never> {
  const waitS = refusals.take(name);
  if (waitS > 0)
    throw new TooOftenError(`${action}: refused too often; again in ${Math.ceil(waitS)} s`, waitS);
  const { no } = request.params as { no?: string };
  const incident = no !== undefined && DIGITS.test(no) && Number(no) > 0 ? { incident: Number(no) } : {};
  await db.transaction((transaction) =>
    record(
      transaction,
      {
        account: name,
        role: isProgram ? 'program' : role,
        act: 'refused',
        more: { act: action },
        ...incident,
      },
      nowMs(),
    ),
  );
  throw new CallError(403, `${action}: the role ${role} may not`);
}

/**
 * Validates a part of a request. Returns undefined if the route has no such part.
 * @throws {CallError} 400
 */
function fitting(
  part: 'path' | 'query' | 'body',
  schema: TSchema | undefined,
  input: unknown,
): Values | undefined {
  const values = part === 'body' ? input : withNumbers(schema, input as Values);
  if (schema === undefined) {
    const [unknown] = Object.keys((values ?? {}) as Values);
    if (unknown === undefined) return undefined;
    throw new CallError(400, `${part}: ${printable(unknown, 100)} is not known here; no fields are accepted`);
  }
  const problem = problemOf(schema, values);
  if (problem !== undefined) throw new CallError(400, `${part}: ${problem}`);
  return values as Values;
}

/**
 * Converts decimal digits in paths and queries to numbers where the schema requires integers, and adds default values.
 */
function withNumbers(schema: TSchema | undefined, input: Values): Values {
  const properties = Object.entries((schema?.['properties'] ?? {}) as Readonly<Record<string, TSchema>>);
  const numbers = properties.flatMap(([name, { type, default: standard }]) => {
    const value = input[name];
    if (value === undefined && standard !== undefined) return [[name, standard]];
    return type === 'integer' && typeof value === 'string' && DIGITS.test(value)
      ? [[name, Number(value)]]
      : [];
  });
  return { ...input, ...Object.fromEntries(numbers) };
}

function keyOf({ headers }: FastifyRequest): string {
  const key = headers['idempotency-key'];
  if (typeof key === 'string' && KEY.test(key)) return key;
  throw new CallError(
    400,
    'Idempotency-Key: required, 1 to 64 visible characters, a new one for each action',
  );
}

/** JSON of answers. The queue's is the same for all who ask between two changes. */
const jsonTexts = new WeakMap<object, string>();

function jsonOf(result: object): string {
  const text = jsonTexts.get(result) ?? JSON.stringify(result);
  jsonTexts.set(result, text);
  return text;
}

function answer(reply: FastifyReply, { gives }: Route, result: unknown, name: RouteName): FastifyReply {
  if (reply.sent) return reply;
  if (typeof gives !== 'string') {
    return reply.type('application/json; charset=utf-8').send(jsonOf(result as object));
  }
  if (gives !== 'text/csv') return reply.type(gives).send(result);
  const file = name.replace(/Csv$/, '');
  return reply
    .type('text/csv; charset=utf-8')
    .header('content-disposition', `attachment; filename="vigie-${file}.csv"`)
    .send(Readable.from(result as AsyncIterable<string>));
}
