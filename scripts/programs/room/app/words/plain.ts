/** What a box or a person wrote: without what can turn, hide or break a line. JSX does the escaping. */
export function plain(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '\uFFFD');
}
