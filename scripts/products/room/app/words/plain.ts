/** Replaces characters of foreign text that could turn, hide or break a line. JSX does the escaping. */
export function plain(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '\uFFFD');
}
