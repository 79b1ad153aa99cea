/** Loads data for a screen. The last valid answer stays while a newer one is loading or fails. */
import { type ReadonlySignal, useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { explain } from '../acts.ts';
import { ApiProblem, get } from '../api.ts';

interface Loaded<T> {
  readonly data: ReadonlySignal<T | undefined>;
  readonly problem: ReadonlySignal<string | undefined>;
  /** HTTP status of the last failed request; 0 without an answer. */
  readonly status: ReadonlySignal<number | undefined>;
  readonly isAsking: ReadonlySignal<boolean>;
  readonly reload: () => void;
}

/** Loads at the first render and whenever the path changes. */
export function useLoad<T>(path: string): Loaded<T> {
  const data = useSignal<T | undefined>(undefined);
  const problem = useSignal<string | undefined>(undefined);
  const status = useSignal<number | undefined>(undefined);
  const isAsking = useSignal(false);
  const turn = useSignal(0);
  useEffect(() => {
    let isWanted = true;
    const ask = async () => {
      isAsking.value = true;
      try {
        const got = await get<T>(path);
        if (!isWanted) return;
        data.value = got;
        problem.value = undefined;
        status.value = undefined;
      } catch (error) {
        if (!isWanted) return;
        problem.value = explain(error);
        status.value = error instanceof ApiProblem ? error.status : 0;
      }
      isAsking.value = false;
    };
    void ask();
    return () => {
      isWanted = false;
    };
  }, [path, turn.value]);
  return { data, problem, status, isAsking, reload: () => turn.value++ };
}
