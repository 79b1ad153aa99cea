/**
 * Removes secrets from the text of other programs, so that it may leave the box. It covers the patterns of log.ts and
 * the notations of other programs, and prefers to remove too much.
 */
import { scrubbed } from './log.ts';

const SECRETS: readonly (readonly [RegExp, string])[] = [
  // Everything up to the last @ in the line after a camera's URL scheme: its password may contain anything, in any
  // notation.
  [/(rtsps?:\\?\/\\?\/)[^\n]{0,2000}@/gi, '$1***@'],
  [/(%3a%2f%2f)[^\s"'<>]{0,2000}%40/gi, '$1***%40'],
  // Every form of login in a camera's URL: the query, and the rest of the path after a user's name.
  [/([a-z][a-z0-9+.-]{1,15}:\/\/[^\s"'<>\\?#]{1,2000})[?#][^\s"'<>\\]+/gi, '$1?***'],
  [/((?:\b|_)(?:user(?:name)?|login)=)[^\s"'<>\\&/]+/gi, '$1***'],
  [/(\bauthorization\\?["']?\s{0,2}[:=])[^\n]{1,2000}/gi, '$1 ***'],
  // `password: x`, `"token":"x"` and the same within a text that is JSON itself; quoted values up to their end.
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

/** Redacts a text. Lines are kept; terminal control characters are escaped. */
export function redactedText(text: string): string {
  return scrubbed(SECRETS.reduce((rest, [pattern, replacement]) => rest.replace(pattern, replacement), text));
}
