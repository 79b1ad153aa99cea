/**
 * Text of other programs, fit to leave the box: what log.ts takes out of each of our own lines, and what others write in
 * their ways. Too much is taken out rather than too little.
 */
import { scrubbed } from './log.ts';

const SECRETS: readonly (readonly [RegExp, string])[] = [
  // Of a camera's URL all to the last @ of the line: its password may hold anything, and be written in any way.
  [/(rtsps?:\\?\/\\?\/)[^\n]{0,2000}@/gi, '$1***@'],
  [/(%3a%2f%2f)[^\s"'<>]{0,2000}%40/gi, '$1***%40'],
  // Of a URL, whatever a camera takes for its login: the query, and what follows a user's name in the path.
  [/([a-z][a-z0-9+.-]{1,15}:\/\/[^\s"'<>\\?#]{1,2000})[?#][^\s"'<>\\]+/gi, '$1?***'],
  [/((?:\b|_)(?:user(?:name)?|login)=)[^\s"'<>\\&/]+/gi, '$1***'],
  [/(\bauthorization\\?["']?\s{0,2}[:=])[^\n]{1,2000}/gi, '$1 ***'],
  // `password: x`, `"token":"x"` and the same within a text that is JSON itself; in quotes to their end.
  [
    /((?:\b|_)(?:pass\w{0,16}|pwd|secret|token|api[-_]?key)["']?\s{0,2}[:=]\s{0,2})(?:"(?:[^"\\\n]|\\.){0,2000}"|'[^'\n]{0,2000}')/gi,
    '$1***',
  ],
  [
    /((?:\b|_)(?:pass\w{0,16}|pwd|secret|token|api[-_]?key)\\?["']?\s{0,2}[:=]\s{0,2}\\?["']?)[^\s"'\\,;&)]+/gi,
    '$1***',
  ],
  [/(--(?:pass\w{0,16}|pwd|secret|token)\s)\S+/gi, '$1***'],
  [/AGE-SECRET-KEY-1[A-Z0-9]+/gi, '(key)'],
];

/** Lines stay lines; what a terminal would obey is escaped. */
export function redactedText(text: string): string {
  return scrubbed(SECRETS.reduce((rest, [pattern, instead]) => rest.replace(pattern, instead), text));
}
