/**
 * Signed commands and their replies: DSSE envelopes (https://github.com/secure-systems-lab/dsse) on `…/cmd`, replies on
 * `…/reply/<token>`.
 */
import { type Static, Type } from '@sinclair/typebox';
import { AgentError, type ErrorKind } from '../base/errors.ts';
import { Time } from './time.ts';

const strict = { additionalProperties: false } as const;
const Name = Type.String({ pattern: '^[a-z0-9-]{1,32}$' });
const Base64 = (maxLength: number) => Type.String({ pattern: '^[A-Za-z0-9+/]+={0,2}$', maxLength });

/** The DSSE payload type of a command. */
export const COMMAND_TYPE = 'application/vnd.vigie.command+json';

/** Maximum size in bytes. A search with all its lists full takes 5 kB. */
export const COMMAND_BYTES_MAX = 16_384;

/** Message expiry of a reply in s; no client waits longer. */
export const REPLY_EXPIRY_S = 300;

/** Box name that addresses every box of the site. No box may have this name. */
export const ALL_BOXES = 'all';

/** Operations that a command may request. A key in the configuration lists the ones that it may sign. */
export const COMMAND_OPS = [
  'search',
  'suspend',
  'resume',
  'unseal',
  'reset-time',
  'open-hotspot',
  'unlock-pairing',
  'logs',
  'doctor',
  'renew-certificate',
  'read-configuration',
  'tracks',
] as const;
export type CommandOp = (typeof COMMAND_OPS)[number];
/** Permissions of a key: commands, and the orders of contract/update.ts. */
export const PERMISSIONS = [...COMMAND_OPS, 'update', 'configure'] as const;

/**
 * Schema of an envelope with an exact number of signatures, each with its key id. Fields outside the signature are
 * checked strictly.
 */
export const envelopeOf = (bytesMax: number, signatures: number) =>
  Type.Object(
    {
      payloadType: Type.String({ minLength: 1, maxLength: 128 }),
      payload: Base64(bytesMax),
      signatures: Type.Array(
        Type.Object({ keyid: Type.String({ pattern: '^[0-9a-f]{64}$' }), sig: Base64(128) }, strict),
        { minItems: signatures, maxItems: signatures },
      ),
    },
    strict,
  );
export const Envelope = envelopeOf(COMMAND_BYTES_MAX, 1);
export type Envelope = Static<typeof Envelope>;

/** The signed content. */
export const Command = Type.Object(
  {
    site: Name,
    box: Type.String({ pattern: '^([a-z0-9-]{1,32}|\\*)$', description: 'a box, or * for all of the site' }),
    counter: Type.Integer({
      minimum: 1,
      maximum: Number.MAX_SAFE_INTEGER,
      description: 'per key, larger than any before; the time in ms does',
    }),
    notBefore: Time,
    notAfter: Time,
    op: Type.String({ pattern: '^[a-z-]{1,32}$' }),
    args: Type.Record(Type.String(), Type.Unknown()),
  },
  strict,
);
export type Command = Static<typeof Command>;

/** Command whose signature, box, time, permission and counter are valid. */
export interface SignedCommand {
  readonly op: CommandOp;
  /** Not checked yet (see commands.ts). */
  readonly args: Readonly<Record<string, unknown>>;
  readonly counter: number;
  /** Name of its key in the configuration. */
  readonly key: string;
  /** Envelope as signed, so that root can verify it independently. */
  readonly envelope: Uint8Array;
}

export const REFUSALS = [
  'malformed',
  'unknown-key',
  'bad-signature',
  'wrong-box',
  'not-yet-valid',
  'expired',
  'not-permitted',
  'replayed',
  'bad-arguments',
  'rate-limited',
  'unavailable',
] as const;
export type RefusalCode = (typeof REFUSALS)[number];

const KINDS: Partial<Record<RefusalCode, ErrorKind>> = {
  malformed: 'corrupt',
  'rate-limited': 'exhausted',
  unavailable: 'unavailable',
};

/** Error that refuses a command; its message is safe for the reply. */
export class CommandRefused extends AgentError {
  readonly code: RefusalCode;
  /** Seconds after which to retry. */
  readonly retryAfterS: number | undefined;

  constructor(code: RefusalCode, message: string, details: { retryAfterS?: number; cause?: unknown } = {}) {
    super(KINDS[code] ?? 'denied', message, details.cause);
    this.code = code;
    this.retryAfterS = details.retryAfterS;
  }
}

export const CommandReply = Type.Object(
  {
    site: Name,
    box: Name,
    time: Time,
    op: Type.Optional(Type.String()),
    counter: Type.Optional(Type.Integer()),
    result: Type.Optional(Type.Unknown({ description: 'present when the command was obeyed' })),
    refused: Type.Optional(
      Type.Object(
        {
          code: Type.Union(REFUSALS.map((code) => Type.Literal(code))),
          message: Type.String({ maxLength: 500 }),
          retryAfterS: Type.Optional(Type.Number({ minimum: 0 })),
        },
        strict,
      ),
    ),
  },
  strict,
);
export type CommandReply = Static<typeof CommandReply>;

/** Command as received, not yet verified. */
export interface IncomingCommand {
  readonly payload: Uint8Array;
  /** Received on the topic of all boxes, so the replies are spread over time. */
  readonly broadcast: boolean;
  /**
   * Sends the reply; returns false without a connection. Undefined if the message named no reply topic below the box's
   * own topics.
   */
  readonly reply: ((payload: string) => boolean) | undefined;
}
