/** Text with which a box could take over a reader's terminal, and characters that no line of output may contain. */

/** Clears the screen, sets the title, forges a line, turns the direction of text, hides. */
export const HOSTILE =
  '\u001b[2J\u001b[H\u001b]0;owned\u0007\r\n14:03:12  ALERT   loitering: person #1 in zone square  [marseille-1/other]\n' +
  'vigie: all is well\u009b31m\u202egnp.\u2066\u200b\u2028\u2029\ufeff\u007f\u{e0041}';

/**
 * Ranges of forbidden code points: controls except line feed, zero-width characters, direction controls, line ends,
 * tags.
 */
const FORBIDDEN: readonly (readonly [number, number])[] = [
  [0x00, 0x09],
  [0x0b, 0x1f],
  [0x7f, 0x9f],
  [0x200b, 0x200f],
  [0x2028, 0x202e],
  [0x2060, 0x2069],
  [0xd800, 0xdfff],
  [0xfeff, 0xfeff],
  [0xe0000, 0xe007f],
];

/** Forbidden characters in the text, each with its line; line feeds are accepted. */
export function forbiddenIn(text: string): string[] {
  return text.split('\n').flatMap((line) => {
    const codes = Array.from(line, (character) => character.codePointAt(0) ?? 0);
    const matches = codes.filter((code) => FORBIDDEN.some(([from, to]) => code >= from && code <= to));
    if (matches.length === 0) return [];
    return [
      `${matches.map((code) => `U+${code.toString(16)}`).join(' ')} in ${JSON.stringify(line.slice(0, 200))}`,
    ];
  });
}
