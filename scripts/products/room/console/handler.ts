/** Defines the handlers of the room's interface: plain functions named as in ROUTES, independent of HTTP. */
import type { Static, TSchema } from '@sinclair/typebox';
import type { ROUTES, RouteName } from '../contract/api.ts';
import type { Incident } from '../contract/incident.ts';
import type { Role } from '../contract/roles.ts';
import type { RefusalReason } from '../contract/terms.ts';

export interface Account {
  readonly name: string;
  readonly role: Role;
  /** True if the call used a token of the settings instead of a session; the audit log says so. */
  readonly isProgram: boolean;
}

type Part<R, K extends string> = R extends Record<K, infer S extends TSchema> ? Static<S> : undefined;

/** A validated call by an authorised account. */
export interface Call<N extends RouteName> {
  readonly account: Account;
  readonly params: Part<(typeof ROUTES)[N], 'params'>;
  readonly query: Part<(typeof ROUTES)[N], 'query'>;
  readonly body: Part<(typeof ROUTES)[N], 'body'>;
  /** Value of the header Idempotency-Key, if the route requires it. */
  readonly key: string;
  /** Current time of the room's clock. */
  readonly nowMs: number;
}

/** JSON by the route's schema, bytes or text of its media type, or text in parts for long answers. */
type Answer<R> = R extends { readonly gives: infer G }
  ? G extends TSchema
    ? Static<G>
    : G extends 'text/csv'
      ? AsyncIterable<string>
      : Buffer | string
  : never;

export type Handler<N extends RouteName> = (call: Call<N>) => Promise<Answer<(typeof ROUTES)[N]>>;
export type Handlers = { readonly [N in RouteName]: Handler<N> };

/** Error for the caller: one line and an HTTP status. With 409, `incident` is its current state, `reason` for a screen. */
export class CallError extends Error {
  readonly status: 400 | 401 | 403 | 404 | 409 | 413 | 429 | 503;
  readonly incident: Incident | undefined;
  readonly reason: RefusalReason | undefined;

  constructor(status: CallError['status'], line: string, incident?: Incident, reason?: RefusalReason) {
    super(line);
    this.status = status;
    this.incident = incident;
    this.reason = reason;
  }
}

/** Limits of an account. The server counts what each has refused. */
export const LIMITED = ['calls', 'exports', 'notes', 'claims', 'suppressions', 'closings'] as const;
export type Limited = (typeof LIMITED)[number];

export const noneLimited = (): Record<Limited, number> =>
  Object.fromEntries(LIMITED.map((limit) => [limit, 0])) as Record<Limited, number>;

/** Error for a caller that has reached a limit of its account: 429 if a new try can succeed after `retryS`, else 409. */
export class LimitError extends CallError {
  readonly limit: Limited;
  readonly retryS: number | undefined;

  constructor(limit: Limited, line: string, retryS?: number) {
    super(retryS === undefined ? 409 : 429, line);
    this.limit = limit;
    this.retryS = retryS;
  }
}

/** Error for a caller that has asked too often. `retryS` is the time in s after which a new try can succeed. */
export class TooOftenError extends CallError {
  readonly retryS: number;

  constructor(line: string, retryS: number) {
    super(429, line);
    this.retryS = retryS;
  }
}
