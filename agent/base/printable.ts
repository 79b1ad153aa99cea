/**
 * Makes text from a box, a broker or a file safe for a terminal, a log or a page. Characters that move the cursor,
 * begin another line, change the text direction or are invisible are shown as escapes.
 */

/** Controls (C0, DEL, C1), formats (direction, zero width), lone surrogates, line ends, and invisible characters. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;

/** Maximum length of a line, some screens full; longer ones are cut. */
const LINE_CHARS_MAX = 4000;

/** Returns an escape: `\x1b`, `\u202e`, `\u{e0041}`. */
function escapeOf(character: string): string {
  const hex = (character.codePointAt(0) ?? 0).toString(16);
  if (hex.length <= 2) return `\\x${hex.padStart(2, '0')}`;
  return hex.length <= 4 ? `\\u${hex.padStart(4, '0')}` : `\\u{${hex}}`;
}

/** Escapes unprintable characters except those in `exceptions`. */
export function withoutControls(text: string, exceptions = ''): string {
  return text.replace(UNPRINTABLE, (character) =>
    exceptions.includes(character) ? character : escapeOf(character),
  );
}

/** Makes a complete line of output printable, at the point where it is written. */
export function printableLine(line: string): string {
  return withoutControls(truncateText(line, LINE_CHARS_MAX));
}

/**
 * Makes a foreign text within a line printable. White space becomes one space, so that it cannot imitate another
 * column, or another line where a terminal wraps.
 */
export function printable(text: string, charsMax = 200): string {
  return withoutControls(truncateText(text.replace(/[^\S\r\n\u2028\u2029\ufeff]+/g, ' '), charsMax));
}

/** Formats JSON with the same characters escaped in JSON form; the value is unchanged. */
export function printableJson(value: unknown, indent?: number): string {
  return escapedInJson(JSON.stringify(value, null, indent));
}

/** Escapes text that is already JSON; line ends between its parts stay. */
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

function truncateText(text: string, charsMax: number): string {
  return text.length <= charsMax ? text : `${text.slice(0, charsMax)}…`;
}
