/** Converts a piece of a track to a row of the database, and back. */
import { AgentError } from '../base/errors.ts';
import type { ObservedTrack } from '../contract/observation.ts';
import { COLOURS, type Colour } from '../contract/track-log.ts';
import type { TrackPiece } from './recorder.ts';

/** Class labels by their number in the database. Never reorder; append new ones at the end. */
export const CLASSES = [
  'unknown',
  'person',
  'bicycle',
  'car',
  'motorcycle',
  'bus',
  'truck',
  'dog',
  'backpack',
  'handbag',
  'suitcase',
] as const satisfies readonly ObservedTrack['label'][];

/** Maximum number of starts within one tenth of a second. */
const STARTS_MAX = 4096;
const TENTH_MS = 100;

/** Bits of `kind`: class, two colours (0 is none) and marks, four bits each. */
export const CONTINUES = 1 << 12;
const GOES_ON = 1 << 13;
const CUT_FLAG = 1 << 14;
/** Marks of rows that are joined with others of their track. */
export const JOINED_MASK = CONTINUES | GOES_ON;

export interface TrackRow {
  readonly at: number;
  readonly duration: number;
  readonly track: number;
  readonly kind: number;
  readonly score: number;
  readonly stop: number;
  readonly path: Uint8Array;
  /** 0 if it shares no cell with the requested place. */
  readonly near: number;
}

/** First key of a tenth of a second. */
export function keyOf(ms: number): number {
  return Math.floor(ms / TENTH_MS) * STARTS_MAX;
}

/** Whole tenth of a second in which a row begins, ms since the epoch. */
export function startMsOf(at: number): number {
  return Math.floor(at / STARTS_MAX) * TENTH_MS;
}

export const KEYS_OF_A_TENTH = STARTS_MAX;

export function rowOf(piece: TrackPiece): Omit<TrackRow, 'at' | 'near'> & { readonly cells: bigint } {
  const { durationMs, track, score, stopS, cells, path } = piece;
  return {
    duration: Math.ceil(durationMs / TENTH_MS),
    track,
    kind: kindOf(piece),
    score: Math.round(score * 100),
    stop: stopS,
    cells,
    path,
  };
}

function kindOf({ label, colours, continues, goesOn, isCut }: TrackPiece): number {
  const [first, second] = colours.map((colour) => COLOURS.indexOf(colour) + 1);
  const marks = (continues ? CONTINUES : 0) | (goesOn ? GOES_ON : 0) | (isCut ? CUT_FLAG : 0);
  return CLASSES.indexOf(label) | ((first ?? 0) << 4) | ((second ?? 0) << 8) | marks;
}

/** Decodes the number. Throws AgentError `corrupt` for one that `rowOf` did not produce. */
export function readKind(
  kind: number,
): Pick<TrackPiece, 'label' | 'colours' | 'continues' | 'goesOn' | 'isCut'> {
  const label = CLASSES[kind & 15];
  if (label === undefined)
    throw new AgentError('corrupt', `the log of tracks has a row of class ${kind & 15}`);
  const colourNames = [(kind >> 4) & 15, (kind >> 8) & 15].map((number) => COLOURS[number - 1]);
  return {
    label,
    colours: colourNames.filter((colour): colour is Colour => colour !== undefined),
    continues: (kind & CONTINUES) !== 0,
    goesOn: (kind & GOES_ON) !== 0,
    isCut: (kind & CUT_FLAG) !== 0,
  };
}

/** Returns the numbers of classes in the database. */
export function numbersOf(classes: readonly ObservedTrack['label'][]): number[] {
  return classes.map((label) => CLASSES.indexOf(label));
}
