/** What all schemas of the room's interface are made of. */
import { type TSchema, Type } from '@sinclair/typebox';
import { TIME_PATTERN } from '../../../../agent/contract/time.ts';

export const strict = { additionalProperties: false } as const;
export const Name = Type.String({ pattern: '^[a-z0-9-]{1,32}$' });
/** Of a user, a key, a picture, as text of at most `max` characters. */
export const Text = (maxLength: number, description?: string) =>
  Type.String({ maxLength, ...(description !== undefined && { description }) });
export const Time = Type.String({
  pattern: TIME_PATTERN,
  description: 'ISO 8601, UTC, with milliseconds',
});
export const Count = Type.Integer({ minimum: 0 });
export const Share = Type.Number({ minimum: 0, maximum: 1 });
/** OpenAPI 3.1 and typebox agree on a union with null. */
export const Nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);
export const OneOf = <T extends string>(values: readonly T[]) =>
  Type.Union(values.map((value) => Type.Literal(value)));
