/** Texts for the fields of a case's number and reason, if a box would refuse what a person has typed. */
import { holdsUnseen, isReadable } from '../../../../../agent/contract/case.ts';
import { viewWords } from '../words/views.ts';

export function numberProblem(text: string): string | undefined {
  return holdsUnseen(text) ? viewWords.value.search.unseen : reasonProblem(text);
}

export function reasonProblem(text: string): string | undefined {
  return isReadable(text) ? undefined : viewWords.value.search.needed;
}
