/**
 * Protocol between root's record and the agent or commands on the box.
 * Each side sends one line of JSON over a Unix socket, one request per connection. The record trusts no caller. It
 * stores a suspension from anyone, ends it only by signatures, and stores a journal head only if that continues the
 * previous one.
 */
import { type Static, Type } from '@sinclair/typebox';
import { Time } from './time.ts';

const strict = { additionalProperties: false } as const;

/** Maximum size in bytes. A signed resume has some kB, a proof of a head less. */
export const ROOT_REQUEST_BYTES_MAX = 65_536;
export const ROOT_REPLY_BYTES_MAX = 4096;

/** Socket of the record (vigie-restraint.socket). */
export const ROOT_RECORD_SOCKET = '/run/vigie/restraint.sock';
/** Folder of the record, owned by root and world-readable. */
export const ROOT_RECORD_DIR = '/var/lib/vigie-restraint';

export const RootRequest = Type.Union([
  Type.Object(
    {
      op: Type.Literal('suspend'),
      id: Type.String({ pattern: '^[0-9a-f]{16}$' }),
      since: Type.Union([Time, Type.Null()]),
      reason: Type.String({ maxLength: 500 }),
      by: Type.String({ maxLength: 100 }),
    },
    strict,
  ),
  /** `envelope`: signed by two keys (contract/mode.ts). */
  Type.Object({ op: Type.Literal('resume'), envelope: Type.String({ maxLength: 32_768 }) }, strict),
  /** `provenHead`: the head with the proof that it continues the recorded one. */
  Type.Object(
    {
      op: Type.Literal('keep-head'),
      verifierKey: Type.String({ maxLength: 256 }),
      provenHead: Type.String({ maxLength: 16_384 }),
    },
    strict,
  ),
  /** Answered when no vision process is left. */
  Type.Object({ op: Type.Literal('stop-vision') }, strict),
]);
export type RootRequest = Static<typeof RootRequest>;

export const RootReply = Type.Object(
  { refused: Type.Union([Type.String({ maxLength: 1000 }), Type.Null()]) },
  strict,
);
