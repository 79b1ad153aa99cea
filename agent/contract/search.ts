/** Search a posteriori in a box's archive: query and result. */
import { type Static, Type } from '@sinclair/typebox';
import { CASE_ABOUT, CASE_CHARS_MAX } from './case.ts';
import { VigieEvent } from './event.ts';
import type { Lane } from './outbox.ts';
import type { UnsealRecord } from './sealed-evidence.ts';
import { Time } from './time.ts';
import type { TrackRecord } from './track-log.ts';

const strict = { additionalProperties: false } as const;

/** Maximum number of events in one page. With the byte limit below, a page is a small message for every broker. */
export const PAGE_EVENTS_MAX = 200;
export const PAGE_BYTES_MAX = 131_072;

export const SearchQuery = Type.Object(
  {
    from: Type.String({ ...Time, description: 'start of the interval, inclusive' }),
    to: Type.String({ ...Time, description: 'end of the interval, exclusive' }),
    kinds: Type.Optional(
      Type.Array(Type.String({ pattern: '^[a-z-]{1,40}$' }), { minItems: 1, maxItems: 32 }),
    ),
    zones: Type.Optional(
      Type.Array(Type.String({ pattern: '^[a-z0-9-]{1,32}$' }), {
        minItems: 1,
        maxItems: 64,
        description: 'ids of zones or lines',
      }),
    ),
  },
  strict,
);
export type SearchQuery = Static<typeof SearchQuery>;

/** Arguments of the command `search`. */
export const SearchArgs = Type.Object(
  {
    case: Type.String({ minLength: 1, maxLength: CASE_CHARS_MAX, description: CASE_ABOUT }),
    reason: Type.String({ minLength: 1, maxLength: 200 }),
    query: SearchQuery,
    cursor: Type.Optional(
      Type.String({ pattern: '^\\d{1,15}\\.\\d{1,15}$', description: '`next` of the page before' }),
    ),
  },
  strict,
);
export type SearchArgs = Static<typeof SearchArgs>;

export const SearchResult = Type.Object(
  {
    events: Type.Array(VigieEvent, { maxItems: PAGE_EVENTS_MAX, description: 'sorted by time' }),
    matches: Type.Integer({ minimum: 0, description: 'of the complete query, all pages' }),
    next: Type.Union([Type.String(), Type.Null()], { description: 'cursor of the next page' }),
    kept: Type.Object(
      {
        days: Type.Integer({ description: 'how long the box keeps events' }),
        oldest: Type.Union([Time, Type.Null()], { description: 'time of its oldest event' }),
      },
      strict,
    ),
  },
  strict,
);
export type SearchResult = Static<typeof SearchResult>;

/** Event with its position in the outbox, from which the archive can be completed after a crash. */
export interface ArchivedEvent {
  readonly lane: Lane;
  readonly seq: number;
  readonly event: VigieEvent;
}

/** Journal record of a purge. */
export const PurgeRecord = Type.Object(
  {
    record: Type.Literal('purge'),
    at: Time,
    what: Type.Union([Type.Literal('events'), Type.Literal('sealed'), Type.Literal('tracks')]),
    count: Type.Integer({ minimum: 1 }),
    from: Type.String({ ...Time, description: 'time of the oldest that went' }),
    to: Type.String({ ...Time, description: 'time of the newest that went' }),
    why: Type.Union([Type.Literal('retention'), Type.Literal('limit'), Type.Literal('authorisation')], {
      description: '`authorisation`: the authorisation has expired, or no longer allows it',
    }),
    days: Type.Integer({ description: 'retention at that time' }),
  },
  strict,
);
export type PurgeRecord = Static<typeof PurgeRecord>;

export const SearchRecord = Type.Object(
  {
    record: Type.Literal('search'),
    at: Time,
    key: Type.String({ description: 'name of the key that signed' }),
    counter: Type.Integer(),
    case: Type.String(),
    reason: Type.String(),
    query: SearchQuery,
    cursor: Type.Union([Type.String(), Type.Null()]),
    matches: Type.Integer({ minimum: 0 }),
    given: Type.Integer({ minimum: 0, description: 'events in this answer' }),
  },
  strict,
);
export type SearchRecord = Static<typeof SearchRecord>;
export type RestraintRecord = PurgeRecord | SearchRecord | UnsealRecord | TrackRecord;
