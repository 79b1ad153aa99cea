/** The text form of the caps of raw video, as far as it is read here. */

/** Frames a second; 0 where the caps tell none, undefined for those of a pipeline that is down. */
export function frameRateOf(caps: unknown): number | undefined {
  if (typeof caps !== 'string' || caps === 'NULL') return undefined;
  const [, over, under] = /\bframerate=\(fraction\)(\d+)\/(\d+)/.exec(caps) ?? [];
  return over === undefined || Number(under) === 0 ? 0 : Number(over) / Number(under);
}
