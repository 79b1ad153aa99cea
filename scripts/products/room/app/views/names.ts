/** Parses typed lists of names: zones, lines and boxes. */

/** Form of a name, as in the contract. */
const NAME = /^[a-z0-9-]{1,32}$/;

export function names(text: string): string[] {
  return [...new Set(text.split(/[\s,;]+/).filter((name) => name !== ''))];
}

/** Returns the invalid names. */
export function badNames(text: string): string[] {
  return names(text).filter((name) => !NAME.test(name));
}
