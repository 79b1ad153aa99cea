/** Case and reason, without which nobody searches or asks for a sealed still. */

/** Of any script; a space, or a character that nobody sees, tells nothing. */
const LETTER_OR_DIGIT = /[\p{L}\p{N}]/u;

export const CASE_RULE = 'must hold at least one letter or digit';

/** Whether a person can read something in it. */
export const isReadable = (text: string): boolean => LETTER_OR_DIGIT.test(text);

/** Which of the two tells nothing. */
export function unreadableOf(asked: {
  readonly case: string;
  readonly reason: string;
}): 'case' | 'reason' | undefined {
  if (!isReadable(asked.case)) return 'case';
  return isReadable(asked.reason) ? undefined : 'reason';
}
