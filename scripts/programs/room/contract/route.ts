/** The form of a route of the room's interface. */
import type { TSchema } from '@sinclair/typebox';
import type { Act } from './roles.ts';

/** What `body` and `given` of a route may be besides JSON. */
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
  /** Undefined: whoever is logged in; `open`: everybody. */
  readonly act?: Act | 'open';
  readonly params?: TSchema;
  readonly query?: TSchema;
  readonly body?: TSchema;
  /** Of 200. */
  readonly gives: TSchema | Media;
  /** The header Idempotency-Key is asked for: the same key again gives the same answer and does nothing. */
  readonly idempotent?: true;
}
