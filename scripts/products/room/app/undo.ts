/** Takes back this person's actions, and returns to the incidents that they changed. */
import type { UndoAnswer } from '../contract/undo.ts';
import { reasonOf } from './acts.ts';
import { ApiProblem, post } from './api.ts';
import { selectOnly } from './queue/selection.ts';
import { restore, reveal } from './queue/store.ts';
import { go, openNo } from './router.ts';
import { tell } from './toasts.ts';
import { takeUndoable } from './undo-offers.ts';
import { plain } from './words/plain.ts';
import { words } from './words/words.ts';

/** Takes back the action of a message, by default the newest action. */
export async function undo(toast?: number): Promise<void> {
  const texts = words.value.undo;
  const undoable = await takeUndoable(toast);
  if (undoable === undefined) {
    tell('good', texts.nothing);
    return;
  }
  try {
    const { results } = await post<UndoAnswer>('/api/undo', { acts: undoable.acts });
    for (const { incident } of results) if (incident !== null) restore(incident);
    const refusedResults = results.filter(({ problem }) => problem !== null);
    if (refusedResults.length < results.length) tell('good', texts.done(undoable.text));
    const [first] = refusedResults;
    if (first !== undefined) tell('bad', texts.partly(refusedResults.length, plain(first.problem ?? '')));
    show(undoable.nos);
  } catch (error) {
    if (!(error instanceof ApiProblem)) throw error;
    if (error.incident !== undefined) restore(error.incident);
    tell('bad', texts.refused(error.reason === 'undo-over' ? texts.over : reasonOf(error)));
  }
}

/** Returns to the incident, or selects the incidents again. */
function show(nos: readonly number[]): void {
  const [no] = nos;
  if (no === undefined) return;
  reveal(no);
  if (nos.length > 1) selectOnly(nos);
  else if (openNo.value !== undefined) go(`/incidents/${no}`, { replaces: true });
}
