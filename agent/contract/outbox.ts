/**
 * Outbox of messages accepted for publication and not yet acknowledged.
 * It has two lanes, each with its own sequence.
 *
 * INVARIANTS:
 * - Every number of a lane is covered by exactly one message or by one gap record, which states the loss and its
 *   reason.
 * - A number is never used twice, including across restarts.
 */
import { type Static, Type } from '@sinclair/typebox';
import { GAP_SCHEMA_URI } from './event.ts';
import type { RedactedJpeg } from './redacted-jpeg.ts';
import { Time } from './time.ts';

/** `alert` carries alerts and their snapshots, `bulk` everything else. Neither waits for the other. */
export const LANES = ['alert', 'bulk'] as const;
export type Lane = (typeof LANES)[number];

/** Order of removal when the store is full, from the left. */
export const RANKS = ['snapshot', 'notice', 'alert'] as const;
export type Rank = (typeof RANKS)[number];

interface ItemBase {
  readonly lane: Lane;
  /** Full MQTT topic. */
  readonly topic: string;
  /** Lifetime after `append`, in s. After it, the item is neither stored nor delivered. */
  readonly expiryS?: number;
}

/** Text message. `body` receives the number that the message will carry. */
export interface TextItem extends ItemBase {
  readonly rank: Exclude<Rank, 'snapshot'>;
  readonly contentType: `application/${string}`;
  body(seq: number): string;
}

/** Picture message. The type admits only a redacted picture. */
export interface PictureItem extends ItemBase {
  readonly rank: 'snapshot';
  readonly contentType: 'image/jpeg';
  readonly jpeg: RedactedJpeg;
}

export type OutboxItem = TextItem | PictureItem;

/** Maximum length of an epoch (user property `epoch`), in characters. */
export const EPOCH_CHARS_MAX = 32;

const Seq = (description: string) => Type.String({ pattern: '^[1-9][0-9]{0,15}$', description });

/** MQTT 5 user properties of every message from the outbox. */
export const NumberedProperties = Type.Object({
  lane: Type.Union(LANES.map((lane) => Type.Literal(lane))),
  seq: Seq('per box and lane'),
  first: Seq('the box still holds the lane from this number on; earlier rows are stored or deleted'),
  epoch: Type.String({
    minLength: 1,
    maxLength: EPOCH_CHARS_MAX,
    description: 'which counting `seq` is of',
  }),
  boot: Type.String({ minLength: 1, maxLength: 64, description: 'start of the agent' }),
});

/**
 * Maximum size of a text body in bytes; larger ones are refused. Pictures have their own limit (SNAPSHOT_BYTES_MAX).
 */
export const BODY_BYTES_MAX = 262_144;

export const GAP_REASONS = ['overflow', 'expired', 'store-lost', 'too-large'] as const;
export type GapReason = (typeof GAP_REASONS)[number];

const DroppedCount = Type.Optional(Type.Integer({ minimum: 1, description: 'number of messages' }));

/** The numbers `from` to `to` of a lane will not be delivered, unless they already were. */
export const GapRecord = Type.Object(
  {
    lane: Type.Union(LANES.map((lane) => Type.Literal(lane))),
    from: Type.Integer({ minimum: 1, description: 'first number of the lane that will not come' }),
    to: Type.Integer({ minimum: 1, description: 'last number that will not come' }),
    reasons: Type.Array(Type.Union(GAP_REASONS.map((reason) => Type.Literal(reason))), { minItems: 1 }),
    dropped: Type.Object(
      { snapshot: DroppedCount, notice: DroppedCount, alert: DroppedCount },
      { description: 'how many of each class are known to have gone', additionalProperties: false },
    ),
    since: Type.String({ description: 'when the oldest of them was accepted' }),
    until: Type.String({ description: 'when the newest of them was accepted' }),
  },
  { additionalProperties: false },
);
export type GapRecord = Static<typeof GapRecord>;

/** Published form of a gap record (CloudEvents 1.0, like every other event). */
export const GapEvent = Type.Object(
  {
    specversion: Type.Literal('1.0'),
    id: Type.String({
      minLength: 1,
      maxLength: 64,
      description: 'unique within `source`; the same when the same numbers are named again',
    }),
    source: Type.String({
      pattern: '^urn:vigie:[a-z0-9-]{1,32}:[a-z0-9-]{1,32}$',
      description: 'urn:vigie:<site>:<box>',
    }),
    type: Type.Literal('vigie.outbox-gap.v1'),
    subject: Type.String({ pattern: '^outbox/(alert|bulk)$', description: 'outbox/<lane>' }),
    time: { ...Time, description: 'when it was sent, by the box’s clock' },
    datacontenttype: Type.Literal('application/json'),
    dataschema: Type.Literal(GAP_SCHEMA_URI),
    sequence: Type.String({ pattern: '^\\d{10}$', description: 'the number `to` with leading zeros' }),
    data: GapRecord,
  },
  { additionalProperties: false },
);
export type GapEvent = Static<typeof GapEvent>;

interface RowBase {
  /** Number of the row; for a gap, the last number it covers. */
  readonly seq: number;
  /** Boot in which the row was accepted. */
  readonly boot: string;
}

export interface MessageRow extends RowBase {
  readonly kind: 'message';
  readonly topic: string;
  readonly contentType: string;
  readonly body: Uint8Array;
  /** Remainder of the item's `expiryS`, at least 1; null = no limit. */
  readonly expiryS: number | null;
}

export interface GapRow extends RowBase {
  readonly kind: 'gap';
  readonly gap: GapRecord;
}

export type OutboxRow = MessageRow | GapRow;

/** `first` = oldest number not yet released (`last` + 1 if the lane is empty), `last` = newest issued. */
export interface SeqRange {
  readonly first: number;
  readonly last: number;
}

export interface LaneCounters {
  readonly rows: number;
  /** Size of the bodies in bytes. */
  readonly bytes: number;
  readonly lastSeq: number;
  /** Counters since the start of the process. */
  readonly appended: number;
  readonly released: number;
  readonly dropped: Readonly<Record<Rank, number>>;
  readonly expired: number;
  /** Rows dropped because the broker does not accept messages of their size. */
  readonly tooLarge: Readonly<Record<Rank, number>>;
}

export interface OutboxCounters {
  /** `memory`: the disk refuses writes, so newly accepted rows do not survive the process. */
  readonly store: 'disk' | 'memory';
  /** Number of damaged files moved aside since the start of the process. */
  readonly damaged: number;
  readonly lanes: Readonly<Record<Lane, LaneCounters>>;
}

/**
 * Notes stored beside the messages, by key: the text to store, or null to delete it. They change in the same
 * transaction as their messages.
 */
export type Notes = Readonly<Record<string, string | null>>;

export interface Outbox {
  start(): void;
  stop(): Promise<void>;
  /**
   * Epoch to which the numbers belong. It changes whenever used numbers may be issued again (a new file, or a period in
   * memory), so that consumers can tell them apart.
   */
  readonly epoch: string;
  /**
   * Accepts items and notes in one transaction, durable on return, and returns the items' numbers. A full store is not
   * an error: the lowest class is dropped.
   * @throws AgentError `bug` for a body beyond BODY_BYTES_MAX
   */
  append(items: readonly OutboxItem[], notes?: Notes): number[];
  /** Returns the notes whose key begins with `prefix`, sorted by key. */
  notes(prefix: string): { key: string; text: string }[];
  /** Returns rows of a lane with a number above `afterSeq`, in order. */
  peek(lane: Lane, afterSeq: number, limit: number): OutboxRow[];
  range(lane: Lane): SeqRange;
  /** Deletes the rows with exactly these numbers and returns how many existed. */
  release(lane: Lane, seqs: readonly number[]): number;
  /** Deletes every row through `seq`. */
  releaseThrough(lane: Lane, seq: number): number;
  /**
   * Turns the message with this number into a gap, `too-large`. Returns false if there is none, or while the disk that
   * holds it refuses writes.
   */
  dropTooLarge(lane: Lane, seq: number): boolean;
  readonly counters: OutboxCounters;
}

/** Returns a sequence number in CloudEvents form: ten digits, so that text order is number order. */
export function sequenceText(seq: number): string {
  return String(seq).padStart(10, '0');
}
