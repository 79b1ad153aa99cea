/**
 * The only picture that may leave the vision process. The brand can be given in two places: where the
 * picture is redacted (agent/vision/redact) and where the link hands it over (agent/contract/link.ts,
 * which carries nothing else that is binary). A test bans the cast everywhere else.
 */
import { type Static, Type } from '@sinclair/typebox';

/** What was made unrecognisable in a snapshot. */
export const RedactionCounts = Type.Object(
  {
    persons: Type.Integer({ minimum: 0, description: 'person boxes pixelated' }),
    plates: Type.Integer({ minimum: 0, description: 'plate regions of vehicles pixelated' }),
    moving: Type.Integer({ minimum: 0, description: 'regions pixelated only because something moved there' }),
    masks: Type.Integer({ minimum: 0, description: 'privacy masks drawn black' }),
  },
  { additionalProperties: false },
);
export type RedactionCounts = Static<typeof RedactionCounts>;

declare const redacted: unique symbol;

export interface RedactedJpeg {
  readonly bytes: Uint8Array;
  /** Lower-case hex. */
  readonly sha256: string;
  readonly widthPx: number;
  readonly heightPx: number;
  /** Media time of the still, ms. */
  readonly atMs: number;
  readonly redaction: RedactionCounts;
  readonly [redacted]: true;
}

/** A snapshot is at most this large: 1280 px on the long side, 150 kB. */
export const SNAPSHOT_LONG_SIDE_PX_MAX = 1280;
export const SNAPSHOT_BYTES_MAX = 150_000;
