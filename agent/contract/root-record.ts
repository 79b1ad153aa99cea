/**
 * What the agent, and commands on the box, ask of root's record: a line of JSON each way over a Unix socket, one question
 * a connection. The record takes no one's word: a suspension is kept whoever says so, its end only by signatures, the
 * journal's head only if it continues the one before.
 */
import { type Static, Type } from '@sinclair/typebox';
import { Time } from './time.ts';

const strict = { additionalProperties: false } as const;

/** A signed resume has some kB, a proof of a head less. */
export const ROOT_REQUEST_BYTES_MAX = 65_536;
export const ROOT_REPLY_BYTES_MAX = 4096;

/** Where it listens (vigie-restraint.socket). */
export const ROOT_RECORD_SOCKET = '/run/vigie/restraint.sock';
/** Where it is kept, root's, for everybody to read. */
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
  /** `envelope`: what two keys have signed (contract/mode.ts). */
  Type.Object({ op: Type.Literal('resume'), envelope: Type.String({ maxLength: 32_768 }) }, strict),
  /** `provenHead`: the head with the proof that it continues the one that the record has. */
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
