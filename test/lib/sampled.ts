/** Samples a long list for the ordinary run; VIGIE_TEST_FULL=1 takes all of it. */
import type { Test } from 'tap';

const FULL = process.env['VIGIE_TEST_FULL'] === '1';

/** Takes every `oneIn`-th item, always the same ones; the omitted ones are reported as a skip. */
export function sampled<T>(
  t: Pick<Test, 'pass'>,
  what: string,
  all: readonly T[],
  oneIn: number,
): readonly T[] {
  if (FULL) return all;
  const some = all.filter((_, index) => index % oneIn === 0);
  t.pass(`${all.length - some.length} of ${all.length} ${what}`, { skip: 'set VIGIE_TEST_FULL=1 for all' });
  return some;
}
