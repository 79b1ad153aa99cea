/** What answers a call of the room's interface: plain functions by the names of ROUTES, which know nothing of HTTP. */
import type { Static, TSchema } from '@sinclair/typebox';
import type { ROUTES, RouteName } from '../contract/api.ts';
import type { Incident } from '../contract/incident.ts';
import type { Role } from '../contract/roles.ts';

export interface Account {
  readonly name: string;
  readonly role: Role;
  /** It came with a token of the settings and not from a screen; the record says so. */
  readonly isProgram: boolean;
}

type Part<R, K extends string> = R extends Record<K, infer S extends TSchema> ? Static<S> : undefined;

/** A call whose parts fit the route's schemas, of somebody who may make it. */
export interface Call<N extends RouteName> {
  readonly who: Account;
  readonly params: Part<(typeof ROUTES)[N], 'params'>;
  readonly query: Part<(typeof ROUTES)[N], 'query'>;
  readonly body: Part<(typeof ROUTES)[N], 'body'>;
  /** The header Idempotency-Key, where the route asks for it. */
  readonly key: string;
  /** The room's clock. */
  readonly nowMs: number;
}

/** JSON by the route's schema; bytes or text of its media type; or text in parts, for what may be long. */
type Answer<R> = R extends { readonly gives: infer G }
  ? G extends TSchema
    ? Static<G>
    : G extends 'text/csv'
      ? AsyncIterable<string>
      : Buffer | string
  : never;

export type Handler<N extends RouteName> = (call: Call<N>) => Promise<Answer<(typeof ROUTES)[N]>>;
export type Handlers = { readonly [N in RouteName]: Handler<N> };

/** To be told to whoever called: one line, and an HTTP status. `incident`: what is true now, with 409. */
export class CallError extends Error {
  readonly status: 400 | 401 | 403 | 404 | 409 | 413 | 429 | 503;
  readonly incident: Incident | undefined;

  constructor(status: CallError['status'], line: string, incident?: Incident) {
    super(line);
    this.status = status;
    this.incident = incident;
  }
}
