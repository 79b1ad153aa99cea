/** Questions of the page to its helper process for cameras, and the answers. */
import { type Static, Type } from '@sinclair/typebox';

const strict = { additionalProperties: false } as const;

/** More devices on one network cannot be chosen from on a phone. */
export const DEVICES_MAX = 64;

/** Characters of a stream's address. */
export const URI_CHARS_MAX = 2000;

export const CameraQuestion = Type.Union([
  Type.Object(
    {
      op: Type.Literal('find'),
      /** Names of interfaces; an empty list means all except the loopback. */
      interfaces: Type.Array(Type.String({ maxLength: 32 }), { maxItems: 16 }),
      waitMs: Type.Integer({ minimum: 1, maximum: 10_000 }),
    },
    strict,
  ),
  Type.Object(
    {
      op: Type.Literal('stream'),
      host: Type.String({ maxLength: 64 }),
      port: Type.Integer({ minimum: 1, maximum: 65_535 }),
      user: Type.String({ maxLength: 128 }),
      password: Type.String({ maxLength: 256 }),
    },
    strict,
  ),
]);
export type CameraQuestion = Static<typeof CameraQuestion>;

export const CameraAnswer = Type.Union([
  Type.Object(
    {
      cameras: Type.Array(
        Type.Object(
          { name: Type.String({ maxLength: 1000 }), address: Type.String({ maxLength: 100 }) },
          strict,
        ),
        { maxItems: DEVICES_MAX },
      ),
    },
    strict,
  ),
  Type.Object(
    {
      uri: Type.String({ maxLength: URI_CHARS_MAX }),
      /** Address of a second, smaller stream of the same camera; absent if it names none. */
      secondUri: Type.Optional(Type.String({ maxLength: URI_CHARS_MAX })),
    },
    strict,
  ),
  Type.Object({ refused: Type.String({ maxLength: 300 }) }, strict),
]);
export type CameraAnswer = Static<typeof CameraAnswer>;
