/** Samples a long list for the ordinary run; VIGIE_TEST_RUN=full takes all of it. */
import type { Test } from 'tap';
import { FULL } from './run.ts';

/** Takes every `oneIn`-th item, always the same ones; the omitted ones are reported as a skip. */
export function sampled<T>(
  t: Pick<Test, 'pass'>,
  label: string,
  all: readonly T[],
  oneIn: number,
): readonly T[] {
  if (FULL) return all;
  const sample = all.filter((_, index) => index % oneIn === 0);
  t.pass(`${all.length - sample.length} of ${all.length} ${label}`, {
    skip: 'set VIGIE_TEST_RUN=full for all',
  });
  return sample;
}
