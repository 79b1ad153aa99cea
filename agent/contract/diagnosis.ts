/**
 * Commands by which the room diagnoses an unhealthy box: log lines (`logs`), doctor findings (`doctor`) and certificate
 * renewal (`renew-certificate`).
 */
import { type Static, Type } from '@sinclair/typebox';

const strict = { additionalProperties: false } as const;
const Count = Type.Integer({ minimum: 0 });
const Reason = Type.String({ maxLength: 500 });

/** Socket of vigie-logs.socket, where the agent requests lines of the system journal, which it cannot read itself. */
export const LOGS_SOCKET = '/run/vigie/logs.sock';

/** Maximum size of the requested text, in bytes before compression. */
export const LOGS_BYTES_MAX = 1_000_000;
/**
 * Maximum length in Base64. With it, a reply fits the 300,000 bytes that the broker allows for pictures
 * (docs/guide/broker.md).
 */
export const LOGS_PACKED_CHARS_MAX = 262_144;

/** Arguments of `logs`, also sent to LOGS_SOCKET. */
export const LogsArgs = Type.Object(
  {
    sinceS: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 31 * 86_400,
        description: 'how far back; a day where it is absent',
      }),
    ),
    bytesMax: Type.Optional(
      Type.Integer({ minimum: 1000, maximum: LOGS_BYTES_MAX, description: 'bytes of text at most' }),
    ),
  },
  strict,
);
export type LogsArgs = Static<typeof LogsArgs>;

export const LogsResult = Type.Object(
  {
    lines: Count,
    /** Size of the uncompressed text. */
    bytes: Count,
    /** Older lines exist and were left out. */
    cut: Type.Boolean(),
    gzip: Type.String({
      maxLength: LOGS_PACKED_CHARS_MAX,
      pattern: '^[A-Za-z0-9+/]*={0,2}$',
      description: 'the text, newest line last, without logins, keys and pictures: gzip (RFC 1952) in Base64',
    }),
  },
  strict,
);
export type LogsResult = Static<typeof LogsResult>;

/** Reply line of JSON from LOGS_SOCKET. */
export const LogsAnswer = Type.Union([LogsResult, Type.Object({ refused: Reason }, strict)]);
export type LogsAnswer = Static<typeof LogsAnswer>;

/** Maximum number of checks: those of `vigie doctor`, with room for more rules. */
export const CHECKS_MAX = 128;

export const DoctorResult = Type.Object(
  {
    checks: Type.Array(
      Type.Object(
        {
          name: Type.String({ maxLength: 64 }),
          state: Type.Union((['ok', 'failed', 'unknown'] as const).map((state) => Type.Literal(state))),
          detail: Reason,
          /** Action that a person must take; null if none is needed. */
          remedy: Type.Union([Reason, Type.Null()]),
        },
        strict,
      ),
      { maxItems: CHECKS_MAX },
    ),
  },
  strict,
);
export type DoctorResult = Static<typeof DoctorResult>;

/**
 * File in the agent's state folder with the room's renewal command as signed, so that root can verify it independently.
 */
export const RENEW_FILE = 'renew-certificate.dsse.json';

/** Reply to `renew-certificate`: the command was passed to root, whose log reports the outcome. */
export const RenewResult = Type.Object({ given: Type.Literal(true) }, strict);
export type RenewResult = Static<typeof RenewResult>;
