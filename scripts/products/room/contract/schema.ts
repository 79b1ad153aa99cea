/** Building blocks of all schemas of the room's interface. */
import { type TSchema, Type } from '@sinclair/typebox';
import { TIME_PATTERN } from '../../../../agent/contract/time.ts';

export const strict = { additionalProperties: false } as const;
export const Name = Type.String({ pattern: '^[a-z0-9-]{1,32}$' });
/** Text of at most `maxLength` characters. */
export const Text = (maxLength: number, description?: string) =>
  Type.String({ maxLength, ...(description !== undefined && { description }) });
export const Time = Type.String({
  pattern: TIME_PATTERN,
  description: 'ISO 8601, UTC, with milliseconds',
});
/** Time given by a caller (RFC 3339, 5.6). console/request-params.ts parses it. */
export const AskedTime = Type.String({
  pattern:
    '^\\d{4}-\\d{2}-\\d{2}[Tt]([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d{1,9})?([Zz]|[+-]([01]\\d|2[0-3]):[0-5]\\d)$',
  description:
    'a time of RFC 3339, as 2026-11-24T13:03:12Z or 2026-11-24T14:03:12.5+01:00 (in a URL + is written %2B)',
});
export const Count = Type.Integer({ minimum: 0 });
export const Ratio = Type.Number({ minimum: 0, maximum: 1 });
/** A union with null, which OpenAPI 3.1 and TypeBox both understand. */
export const Nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);
export const OneOf = <T extends string>(values: readonly T[]) =>
  Type.Union(values.map((value) => Type.Literal(value)));
