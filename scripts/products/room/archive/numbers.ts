/** Tracks which numbers of a lane are stored: all up to one, and ranges beyond it. */

export type Range = readonly [from: number, to: number];

export interface Progress {
  /** Highest number up to which everything is stored or no longer needed. */
  readonly contiguousSeq: number;
  /** Stored ranges beyond `contiguousSeq`, sorted and disjoint. */
  readonly laterRanges: readonly Range[];
}

export const NOTHING: Progress = { contiguousSeq: 0, laterRanges: [] };

/**
 * Maximum number of ranges. A box sends at most 1,000 numbers ahead; ranges dropped here are sent again and recognised
 * by their id.
 */
const LATER_RANGES_MAX = 10_000;

/** Adds stored ranges. `first` is the oldest number that the box still stores; `stored` are the new ranges. */
export function advance(
  { contiguousSeq: before, laterRanges }: Progress,
  first: number,
  stored: readonly Range[],
): Progress {
  let upTo = Math.max(before, first - 1);
  const ranges: [number, number][] = [];
  for (const [from, to] of [...laterRanges, ...stored].sort((a, b) => a[0] - b[0])) {
    const last = ranges.at(-1);
    if (last !== undefined && from <= last[1] + 1) last[1] = Math.max(last[1], to);
    else if (from > upTo + 1) ranges.push([from, to]);
    else upTo = Math.max(upTo, to);
  }
  return { contiguousSeq: upTo, laterRanges: ranges.slice(0, LATER_RANGES_MAX) };
}

/**
 * Returns the number of messages that neither the room nor the box has any more. The database was restored from a backup,
 * or the broker has lost them. It is 0 for a lane that is new to the room, whose earlier messages may be in another one.
 */
export function missingOf(before: Progress, first: number, stored: readonly Range[]): number {
  // Nearly always the box still has what follows the last stored number.
  if (before.contiguousSeq === 0 || first <= before.contiguousSeq + 1) return 0;
  const { contiguousSeq, laterRanges } = advance(before, 1, stored);
  const storedCount = laterRanges
    .map(([from, to]) => Math.min(to, first - 1) - from + 1)
    .reduce((sum, count) => sum + Math.max(0, count), 0);
  return Math.max(0, first - 1 - contiguousSeq - storedCount);
}
