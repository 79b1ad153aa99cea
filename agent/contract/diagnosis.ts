/**
 * What the room asks of a box that is unwell, by signed commands: lines of its log (`logs`), what its doctor finds
 * (`doctor`), a new certificate (`renew-certificate`).
 */
import { type Static, Type } from '@sinclair/typebox';

const strict = { additionalProperties: false } as const;
const Count = Type.Integer({ minimum: 0 });
const Reason = Type.String({ maxLength: 500 });

/** Where the agent asks for lines of the system's journal, which it cannot read; of vigie-logs.socket. */
export const LOGS_SOCKET = '/run/vigie/logs.sock';

/** Of the text that is asked for; it travels packed. */
export const LOGS_BYTES_MAX = 1_000_000;
/** Base64; with it a reply is within the 300,000 bytes that the broker allows for pictures (docs/guide/broker.md). */
export const LOGS_PACKED_CHARS_MAX = 262_144;

/** Of `logs`, and what is asked at LOGS_SOCKET. */
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
    /** Of the text. */
    bytes: Count,
    /** There are older lines, which were left out. */
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

/** A line of JSON that comes back from LOGS_SOCKET. */
export const LogsAnswer = Type.Union([LogsResult, Type.Object({ refused: Reason }, strict)]);
export type LogsAnswer = Static<typeof LogsAnswer>;

/** As many checks as `vigie doctor` makes, and some rules more. */
export const CHECKS_MAX = 128;

export const DoctorResult = Type.Object(
  {
    checks: Type.Array(
      Type.Object(
        {
          name: Type.String({ maxLength: 64 }),
          state: Type.Union((['ok', 'failed', 'unknown'] as const).map((state) => Type.Literal(state))),
          detail: Reason,
          /** What a person must do; null where there is nothing to do. */
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

/** In the agent's state folder: the room's command to renew, as signed, for root to judge by itself. */
export const RENEW_FILE = 'renew-certificate.dsse.json';

/** Answer to `renew-certificate`: it was given to root, whose log says what came of it. */
export const RenewResult = Type.Object({ given: Type.Literal(true) }, strict);
export type RenewResult = Static<typeof RenewResult>;
