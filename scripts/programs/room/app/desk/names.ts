/** Lists of names that a person types: of zones, lines and boxes. */

/** As in the contract. */
const NAME = /^[a-z0-9-]{1,32}$/;

export function names(text: string): string[] {
  return [...new Set(text.split(/[\s,;]+/).filter((name) => name !== ''))];
}

/** Those that are none. */
export function badNames(text: string): string[] {
  return names(text).filter((name) => !NAME.test(name));
}
