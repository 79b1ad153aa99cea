/** Case and reason, which every search and every request for a sealed still must state. */

/** Letter or digit of any script. Spaces and invisible characters alone carry no information. */
const LETTER_OR_DIGIT = /[\p{L}\p{N}]/u;

export const CASE_RULE = 'must hold at least one letter or digit';

/** Reports whether a person can read something in the text. */
export const isReadable = (text: string): boolean => LETTER_OR_DIGIT.test(text);

/** Returns the field that holds nothing readable, or undefined. */
export function unreadableOf(request: {
  readonly case: string;
  readonly reason: string;
}): 'case' | 'reason' | undefined {
  if (!isReadable(request.case)) return 'case';
  return isReadable(request.reason) ? undefined : 'reason';
}
