/** What is wrong with a case's number or reason that a person has typed, in words for its field. */
import { holdsUnseen, isReadable } from '../../../../../agent/contract/case.ts';
import { viewWords } from '../words/views.ts';

export function numberProblem(text: string): string | undefined {
  return holdsUnseen(text) ? viewWords.value.search.unseen : reasonProblem(text);
}

export function reasonProblem(text: string): string | undefined {
  return isReadable(text) ? undefined : viewWords.value.search.needed;
}
