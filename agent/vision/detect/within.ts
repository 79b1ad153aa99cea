/** Waits for a result, but not longer than a time limit. */
import type { Clock } from '../../base/clock.ts';

/** Resolves to undefined if nothing has come within the limit; what is late is ignored. */
export async function within<T>(
  clock: Pick<Clock, 'sleep'>,
  limitMs: number,
  coming: Promise<T>,
): Promise<{ readonly result: T } | undefined> {
  const passed = new AbortController();
  const late = clock.sleep(limitMs, passed.signal).then(() => undefined);
  try {
    return await Promise.race([coming.then((result) => ({ result })), late]);
  } finally {
    passed.abort();
  }
}
