/** What a screen asks the server for: the last good answer stays while a newer one is on its way or fails. */
import { type ReadonlySignal, useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { ApiProblem, get } from '../api.ts';
import { desk } from '../words/desk.ts';
import { plain } from './say.ts';

/** One line for a person. What is no answer of the server's is a fault of ours, and thrown. */
export function explain(error: unknown): string {
  if (!(error instanceof ApiProblem)) throw error;
  return error.status === 0 || error.title === '' ? desk.value.away : plain(error.title);
}

interface Loaded<T> {
  readonly data: ReadonlySignal<T | undefined>;
  readonly fault: ReadonlySignal<string | undefined>;
  /** Of the last question that failed; 0 where nothing answered. */
  readonly status: ReadonlySignal<number | undefined>;
  readonly isAsking: ReadonlySignal<boolean>;
  readonly again: () => void;
}

/** Asks when it is first drawn, when the path changes, and every `everyMs` where that is given. */
export function useLoad<T>(path: string | undefined, everyMs?: number): Loaded<T> {
  const data = useSignal<T | undefined>(undefined);
  const fault = useSignal<string | undefined>(undefined);
  const status = useSignal<number | undefined>(undefined);
  const isAsking = useSignal(false);
  const turn = useSignal(0);
  useEffect(() => {
    if (path === undefined) return;
    let isWanted = true;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ask = async () => {
      isAsking.value = true;
      try {
        const got = await get<T>(path);
        if (!isWanted) return;
        data.value = got;
        fault.value = undefined;
        status.value = undefined;
      } catch (error) {
        if (!isWanted) return;
        fault.value = explain(error);
        status.value = error instanceof ApiProblem ? error.status : 0;
      }
      isAsking.value = false;
      if (everyMs !== undefined) timer = setTimeout(() => void ask(), everyMs);
    };
    void ask();
    return () => {
      isWanted = false;
      clearTimeout(timer);
    };
  }, [path, turn.value, everyMs]);
  return { data, fault, status, isAsking, again: () => turn.value++ };
}
