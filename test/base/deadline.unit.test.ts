/** A deadline aborts its operation, whatever the garbage collector removes in the meantime. */
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import t from 'tap';
import { withDeadline } from '../../agent/base/deadline.ts';

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;

async function reasonsOf(signals: readonly AbortSignal[], ms: number): Promise<string[]> {
  const reasons: string[] = signals.map(() => 'none');
  for (const [i, signal] of signals.entries()) {
    signal.addEventListener('abort', () => {
      reasons[i] = (signal.reason as Error).name;
    });
  }
  // A weak reference is cleared only after the task that has made it.
  gc();
  await sleep(10);
  gc();
  await sleep(ms);
  return reasons;
}

void t.test('a deadline aborts after its time, also after a garbage collection', async (t) => {
  const stop = new AbortController();
  t.same(await reasonsOf([withDeadline(100, stop.signal), withDeadline(100)], 300), [
    'TimeoutError',
    'TimeoutError',
  ]);
});

void t.test('a deadline aborts with the given signal, and by its reason', async (t) => {
  const stop = new AbortController();
  const signal = withDeadline(60_000, stop.signal);
  stop.abort(new DOMException('stopped', 'AbortError'));
  t.equal((signal.reason as Error).name, 'AbortError');
  t.same(await reasonsOf([withDeadline(60_000)], 20), ['none'], 'not before its time');
});
