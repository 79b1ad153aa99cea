/** Parses the frame rate in the text form of raw video caps. */

/** Returns frames per second; 0 if the caps give none, undefined for those of a stopped pipeline. */
export function frameRateOf(caps: unknown): number | undefined {
  if (typeof caps !== 'string' || caps === 'NULL') return undefined;
  const [, over, under] = /\bframerate=\(fraction\)(\d+)\/(\d+)/.exec(caps) ?? [];
  return over === undefined || Number(under) === 0 ? 0 : Number(over) / Number(under);
}
