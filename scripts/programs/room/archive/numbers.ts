/** Which numbers of a lane are stored: all through one, and ranges beyond it. */

export type Range = readonly [from: number, to: number];

export interface Progress {
  /** Everything up to here is stored, or settled in another way. */
  readonly through: number;
  /** Stored beyond that, in order and apart from each other. */
  readonly ahead: readonly Range[];
}

export const NOTHING: Progress = { through: 0, ahead: [] };

/** A box sends at most 1,000 numbers ahead; ranges left out here are sent again and known by their id. */
const AHEAD_MAX = 10_000;

/** `first` = the oldest number that the box still holds; `stored` = what has been added. */
export function advance(
  { through: before, ahead }: Progress,
  first: number,
  stored: readonly Range[],
): Progress {
  let through = Math.max(before, first - 1);
  const beyond: [number, number][] = [];
  for (const [from, to] of [...ahead, ...stored].sort((a, b) => a[0] - b[0])) {
    const last = beyond.at(-1);
    if (last !== undefined && from <= last[1] + 1) last[1] = Math.max(last[1], to);
    else if (from > through + 1) beyond.push([from, to]);
    else through = Math.max(through, to);
  }
  return { through, ahead: beyond.slice(0, AHEAD_MAX) };
}
