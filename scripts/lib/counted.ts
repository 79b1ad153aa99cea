/** Returns a count with its noun, such as `1 box` or `12 boxes`. */
export const counted = (count: number, one: string, several = `${one}s`): string =>
  `${count} ${count === 1 ? one : several}`;
