/**
 * The outbox: what has been accepted for publication and is not yet acknowledged.
 *
 * Two lanes, each with its own sequence. Every number of a lane is covered by exactly one message or by
 * a gap record that says what went and why; a number is never used twice, restarts included.
 */
import { type Static, Type } from '@sinclair/typebox';
import { GAP_SCHEMA_URI } from './event.ts';
import type { RedactedJpeg } from './redacted-jpeg.ts';
import { Time } from './time.ts';

/** `alert` carries alerts and their snapshots, `bulk` everything else; neither waits for the other. */
export const LANES = ['alert', 'bulk'] as const;
export type Lane = (typeof LANES)[number];

/** What goes first when the store is full: from the left. */
export const RANKS = ['snapshot', 'notice', 'alert'] as const;
export type Rank = (typeof RANKS)[number];

interface ItemBase {
  readonly lane: Lane;
  /** Full MQTT topic. */
  readonly topic: string;
  /** Neither kept nor delivered longer than this after `append`, s. */
  readonly expiryS?: number;
}

/** A message of text; `body` receives the number that the message will carry. */
export interface TextItem extends ItemBase {
  readonly rank: Exclude<Rank, 'snapshot'>;
  readonly contentType: `application/${string}`;
  body(seq: number): string;
}

/** A picture: only a redacted one can be given. */
export interface PictureItem extends ItemBase {
  readonly rank: 'snapshot';
  readonly contentType: 'image/jpeg';
  readonly jpeg: RedactedJpeg;
}

export type OutboxItem = TextItem | PictureItem;

/** Of the name of a counting (user property `epoch`), characters. */
export const EPOCH_CHARS_MAX = 32;

const Seq = (description: string) => Type.String({ pattern: '^[1-9][0-9]{0,15}$', description });

/** MQTT 5 user properties of every message from the outbox. */
export const NumberedProperties = Type.Object({
  lane: Type.Union(LANES.map((lane) => Type.Literal(lane))),
  seq: Seq('per box and lane'),
  first: Seq('the lane is still held by the box from this number on; what is before it is stored or gone'),
  epoch: Type.String({
    minLength: 1,
    maxLength: EPOCH_CHARS_MAX,
    description: 'which counting `seq` is of',
  }),
  boot: Type.String({ minLength: 1, maxLength: 64, description: 'start of the agent' }),
});

/** Text is refused beyond this; pictures have a limit of their own (SNAPSHOT_BYTES_MAX). */
export const BODY_BYTES_MAX = 262_144;

export const GAP_REASONS = ['overflow', 'expired', 'store-lost', 'too-large'] as const;
export type GapReason = (typeof GAP_REASONS)[number];

const Gone = Type.Optional(Type.Integer({ minimum: 1 }));

/** The numbers `from` to `to` of a lane will not be delivered, unless they already were. */
export const GapRecord = Type.Object(
  {
    lane: Type.Union(LANES.map((lane) => Type.Literal(lane))),
    from: Type.Integer({ minimum: 1 }),
    to: Type.Integer({ minimum: 1 }),
    reasons: Type.Array(Type.Union(GAP_REASONS.map((reason) => Type.Literal(reason))), { minItems: 1 }),
    dropped: Type.Object(
      { snapshot: Gone, notice: Gone, alert: Gone },
      { description: 'how many of each class are known to have gone', additionalProperties: false },
    ),
    since: Type.String({ description: 'when the oldest of them was accepted' }),
    until: Type.String({ description: 'when the newest of them was accepted' }),
  },
  { additionalProperties: false },
);
export type GapRecord = Static<typeof GapRecord>;

/** The published form of a gap record (CloudEvents 1.0, as every other event). */
export const GapEvent = Type.Object(
  {
    specversion: Type.Literal('1.0'),
    id: Type.String({ minLength: 1, maxLength: 64 }),
    source: Type.String({ pattern: '^urn:vigie:[a-z0-9-]{1,32}:[a-z0-9-]{1,32}$' }),
    type: Type.Literal('vigie.outbox-gap.v1'),
    subject: Type.String({ pattern: '^outbox/(alert|bulk)$' }),
    time: Time,
    datacontenttype: Type.Literal('application/json'),
    dataschema: Type.Literal(GAP_SCHEMA_URI),
    sequence: Type.String({ pattern: '^\\d{10}$' }),
    data: GapRecord,
  },
  { additionalProperties: false },
);
export type GapEvent = Static<typeof GapEvent>;

interface RowBase {
  /** The row's number; for a gap the last number it covers. */
  readonly seq: number;
  /** The boot in which the row was accepted. */
  readonly boot: string;
}

export interface MessageRow extends RowBase {
  readonly kind: 'message';
  readonly topic: string;
  readonly contentType: string;
  readonly body: Uint8Array;
  /** What is left of the item's `expiryS`, at least 1; null = no limit. */
  readonly expiryS: number | null;
}

export interface GapRow extends RowBase {
  readonly kind: 'gap';
  readonly gap: GapRecord;
}

export type OutboxRow = MessageRow | GapRow;

/** `first` = oldest number not yet released (`last` + 1 when the lane is empty), `last` = newest given out. */
export interface SeqRange {
  readonly first: number;
  readonly last: number;
}

export interface LaneCounters {
  readonly rows: number;
  /** Bytes of the bodies. */
  readonly bytes: number;
  readonly lastSeq: number;
  /** Since the start of the process. */
  readonly appended: number;
  readonly released: number;
  readonly dropped: Readonly<Record<Rank, number>>;
  readonly expired: number;
  /** Let go since the broker does not take messages of their size. */
  readonly tooLarge: Readonly<Record<Rank, number>>;
}

export interface OutboxCounters {
  /** `memory`: the disk refuses writes, what is accepted now does not survive the process. */
  readonly store: 'disk' | 'memory';
  /** Times that a damaged file was moved aside since the start of the process. */
  readonly damaged: number;
  readonly lanes: Readonly<Record<Lane, LaneCounters>>;
}

/**
 * What is to be remembered beside the messages, by key: text to keep, or null to forget it. It changes in the same
 * transaction as the messages that it belongs to.
 */
export type Notes = Readonly<Record<string, string | null>>;

export interface Outbox {
  start(): void;
  stop(): Promise<void>;
  /**
   * Which counting the numbers belong to: it changes where numbers may be given out that were used before
   * (a new file, a spell in memory), so that nobody takes the new ones for the old.
   */
  readonly epoch: string;
  /**
   * Accepts items and notes in one transaction, durable on return; returns the items' numbers.
   * Throws `bug` for a body beyond BODY_BYTES_MAX. A full store is no error: the lowest class goes.
   */
  append(items: readonly OutboxItem[], notes?: Notes): number[];
  /** The notes whose key begins with `prefix`, in the order of their keys. */
  notes(prefix: string): { key: string; text: string }[];
  /** Rows of a lane with a number above `afterSeq`, in order. */
  peek(lane: Lane, afterSeq: number, limit: number): OutboxRow[];
  range(lane: Lane): SeqRange;
  /** Deletes the rows with just these numbers; returns how many there were. */
  release(lane: Lane, seqs: readonly number[]): number;
  /** Deletes every row through `seq`. */
  releaseThrough(lane: Lane, seq: number): number;
  /**
   * Makes the message with this number a gap, `too-large`. False where there is none, or while the disk that holds it
   * refuses writes.
   */
  dropTooLarge(lane: Lane, seq: number): boolean;
  readonly counters: OutboxCounters;
}

/** A sequence number as CloudEvents carries it: ten digits, so that text order is number order. */
export function sequenceText(seq: number): string {
  return String(seq).padStart(10, '0');
}
