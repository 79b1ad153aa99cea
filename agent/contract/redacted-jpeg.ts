/**
 * Redacted picture, the only picture that may leave the vision process.
 * The brand can be given in two places: where the picture is redacted (agent/vision/redact), and where the link
 * delivers it (agent/contract/link.ts). The link carries no other unencrypted binary. A test bans the cast everywhere
 * else.
 */
import { type Static, Type } from '@sinclair/typebox';

const strict = { additionalProperties: false } as const;
const Ratio = { minimum: 0, maximum: 1 } as const;

/** Parts of a snapshot that differ from the camera's picture of that moment. */
export const Redaction = Type.Object(
  {
    figures: Type.Integer({ minimum: 0, description: 'figures drawn, one for each detected person' }),
    cleanPlate: Type.Object(
      {
        ratio: Type.Number({
          ...Ratio,
          description: 'ratio of the picture that shows the clean plate (hatched)',
        }),
        maxAgeS: Type.Number({
          minimum: 0,
          description: 'age of its oldest part, in seconds before the picture; 0 if there is none',
        }),
      },
      strict,
    ),
    mosaicShare: Type.Number({
      ...Ratio,
      description:
        'ratio that is filled with blocks in the surrounding colours, because the clean plate is unknown there',
    }),
    masks: Type.Integer({ minimum: 0, description: 'privacy masks drawn black' }),
  },
  strict,
);
export type Redaction = Static<typeof Redaction>;

declare const redacted: unique symbol;

export interface RedactedJpeg {
  readonly bytes: Uint8Array;
  /** Lower-case hex. */
  readonly sha256: string;
  readonly widthPx: number;
  readonly heightPx: number;
  /** Media time of the still, ms. */
  readonly atMs: number;
  readonly redaction: Redaction;
  readonly [redacted]: true;
}

/** Maximum size of a snapshot: 1280 px on the long side, 150 kB. */
export const SNAPSHOT_LONG_SIDE_PX_MAX = 1280;
export const SNAPSHOT_BYTES_MAX = 150_000;
