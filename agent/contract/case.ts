/**
 * Number of a case and its reason, which every search, every question to a log of tracks and every request for a sealed
 * still must state.
 *
 * INVARIANT: one number has one text. The room writes what a person types in the normal form (`normalCase`), and a box
 * accepts that form only. Two texts that look the same would else have two budgets.
 */

/** Maximum length of a number in its normal form, in UTF-16 units. */
export const CASE_CHARS_MAX = 64;
/** Description of the field in schemas. */
export const CASE_ABOUT = 'number of the case: in NFKC, with single blanks, and without unseen characters';

/** Letter or digit of any script. Spaces and invisible characters alone carry no information. */
const LETTER_OR_DIGIT = /[\p{L}\p{N}]/u;

/**
 * Control, format, private, unassigned and unpaired characters, line separators, and what fonts draw as nothing: fillers,
 * variation selectors, and the blank of Braille.
 */
const UNSEEN = /[\p{C}\p{Zl}\p{Zp}\p{DI}\u2800]/u;

const CASE_RULE = 'must hold at least one letter or digit';
const UNSEEN_RULE = 'holds a character that cannot be seen or stored, such as a line break; type it again';

/** Reports whether a person can read something in the text. */
export const isReadable = (text: string): boolean => LETTER_OR_DIGIT.test(text);

/** Reports whether the text holds a character that a number of a case must not have. */
export const holdsUnseen = (text: string): boolean => UNSEEN.test(text);

/**
 * Returns the number in its normal form: NFKC, so a full-width slash is a slash, with single blanks inside and none at
 * the ends. Unseen characters stay, for `caseProblem` to refuse.
 */
export function normalCase(text: string): string {
  return text
    .normalize('NFKC')
    .replaceAll(/\p{Zs}+/gu, ' ')
    .replaceAll(/^ | $/g, '');
}

/** Returns the first of the two fields that a box would refuse, and why; undefined if it accepts both. */
export function caseProblem(request: {
  readonly case: string;
  readonly reason: string;
}): { readonly field: 'case' | 'reason'; readonly message: string } | undefined {
  const number = normalCase(request.case);
  if (holdsUnseen(request.case)) return { field: 'case', message: UNSEEN_RULE };
  if (!isReadable(number)) return { field: 'case', message: CASE_RULE };
  if (number.length > CASE_CHARS_MAX)
    return { field: 'case', message: `must have at most ${CASE_CHARS_MAX} characters` };
  if (number !== request.case) return { field: 'case', message: `must be written "${number}"` };
  return isReadable(request.reason) ? undefined : { field: 'reason', message: CASE_RULE };
}
