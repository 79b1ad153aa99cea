/**
 * Text from a box, a broker or a file, made fit for a terminal, a log or a page: what would move the cursor, begin
 * another line, turn the direction of text or hide is shown as what it is.
 */

/** Controls (C0, DEL, C1), formats (direction, no width), half surrogates, line ends, what is drawn as nothing. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;

/** Some screens full; what is longer is cut. */
const LINE_CHARS_MAX = 4000;

/** `\x1b`, `\u202e`, `\u{e0041}` */
function shown(character: string): string {
  const hex = (character.codePointAt(0) ?? 0).toString(16);
  if (hex.length <= 2) return `\\x${hex.padStart(2, '0')}`;
  return hex.length <= 4 ? `\\u${hex.padStart(4, '0')}` : `\\u{${hex}}`;
}

/** The characters of `kept` stay as they are. */
export function withoutControls(text: string, kept = ''): string {
  return text.replace(UNPRINTABLE, (character) => (kept.includes(character) ? character : shown(character)));
}

/** A line of output as a whole, at the place where it is written. */
export function printableLine(line: string): string {
  return withoutControls(cut(line, LINE_CHARS_MAX));
}

/**
 * A piece of text from elsewhere within a line: white space is one space, so that it cannot pass for another column,
 * nor for another line where a terminal wraps.
 */
export function printable(text: string, charsMax = 200): string {
  return withoutControls(cut(text.replace(/[^\S\r\n\u2028\u2029\ufeff]+/g, ' '), charsMax));
}

/** JSON in which the same is escaped, as JSON does it: the value is the same. */
export function printableJson(value: unknown, indent?: number): string {
  return escapedInJson(JSON.stringify(value, null, indent));
}

/** For text that is JSON already; line ends between its parts stay. */
export function escapedInJson(json: string): string {
  return json.replace(UNPRINTABLE, (character) =>
    character === '\n'
      ? character
      : character
          .split('')
          .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
          .join(''),
  );
}

function cut(text: string, charsMax: number): string {
  return text.length <= charsMax ? text : `${text.slice(0, charsMax)}…`;
}
