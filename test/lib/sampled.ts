/** What the ordinary run takes of a long list; VIGIE_TEST_FULL=1 takes all of it. */
import type { Test } from 'tap';

const FULL = process.env['VIGIE_TEST_FULL'] === '1';

/** Every `oneIn`-th, always the same ones; what is left out is told as a skip. */
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
