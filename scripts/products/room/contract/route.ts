/** Defines the shape of a route of the room's interface. */
import type { TSchema } from '@sinclair/typebox';
import type { Action } from './roles.ts';

/** Media types of an answer. */
export type Media =
  | 'application/json'
  | 'text/csv'
  | 'application/vnd.apache.parquet'
  | 'image/jpeg'
  | 'text/event-stream'
  | 'application/geo+json';

export interface Route {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly summary: string;
  /** Undefined: any logged-in person or program. `open`: no login needed. */
  readonly action?: Action | 'open';
  readonly params?: TSchema;
  readonly query?: TSchema;
  readonly body?: TSchema;
  /** Schema or media type of the answer with status 200. */
  readonly gives: TSchema | Media;
  /** Refusals besides those that follow from the other members (openapi.ts). */
  readonly refusals?: readonly (404 | 409 | 413)[];
  /** Requires the header Idempotency-Key: a repeated key returns the same answer and has no effect. */
  readonly idempotent?: true;
}
