/** JSON from elsewhere, in a form that both databases take: PostgreSQL's jsonb refuses what JSON itself allows. */

/** SQLite takes 1,000 levels and PostgreSQL what its stack holds; no message of ours has more than ten. */
const DEPTH_MAX = 64;

/**
 * What a JSON column is to hold of a text from elsewhere. Characters that no text of PostgreSQL can hold (NUL, half of a
 * surrogate pair) are replaced; what is no JSON, or too deep, becomes a string with what came.
 */
export function documentIn(text: string): unknown {
  try {
    const value = storable(JSON.parse(text), 0);
    // A column that is not null takes JSON's null for none, and as that a number beyond all is written.
    const isNone = value === null || value === Infinity || value === -Infinity;
    return isNone ? clean(text) : value;
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof RangeError)) throw error;
    return clean(text);
  }
}

/** The text of a JSON column, of a value that is known. */
export const documentOf = (value: unknown): string => JSON.stringify(storable(value, 0));

export function clean(text: string): string {
  return text.toWellFormed().replaceAll('\0', '\ufffd');
}

function storable(value: unknown, depth: number): unknown {
  if (depth > DEPTH_MAX) throw new RangeError('too deep');
  if (typeof value === 'string') return clean(value);
  if (Array.isArray(value)) return value.map((one) => storable(one, depth + 1));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, one]) => [clean(key), storable(one, depth + 1)]),
  );
}
