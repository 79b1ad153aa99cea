/** Tracks which numbers of a lane are stored: all up to one, and ranges beyond it. */

export type Range = readonly [from: number, to: number];

export interface Progress {
  /** Highest number up to which everything is stored or no longer needed. */
  readonly through: number;
  /** Stored ranges beyond `through`, sorted and disjoint. */
  readonly ahead: readonly Range[];
}

export const NOTHING: Progress = { through: 0, ahead: [] };

/**
 * Maximum number of ranges. A box sends at most 1,000 numbers ahead; ranges dropped here are sent again and recognised
 * by their id.
 */
const AHEAD_MAX = 10_000;

/** Adds stored ranges. `first` is the oldest number that the box still stores; `stored` are the new ranges. */
export function advance(
  { through: before, ahead }: Progress,
  first: number,
  stored: readonly Range[],
): Progress {
  let upTo = Math.max(before, first - 1);
  const ranges: [number, number][] = [];
  for (const [from, to] of [...ahead, ...stored].sort((a, b) => a[0] - b[0])) {
    const last = ranges.at(-1);
    if (last !== undefined && from <= last[1] + 1) last[1] = Math.max(last[1], to);
    else if (from > upTo + 1) ranges.push([from, to]);
    else upTo = Math.max(upTo, to);
  }
  return { through: upTo, ahead: ranges.slice(0, AHEAD_MAX) };
}
