/** Makes JSON from external sources storable in both databases: PostgreSQL's jsonb refuses some valid JSON. */

/**
 * Maximum nesting depth. SQLite accepts 1,000 levels, PostgreSQL as many as its stack holds; no message of Vigie has
 * more than ten.
 */
const DEPTH_MAX = 64;

/**
 * Returns the value to store in a JSON column for a text from an external source.
 *
 * Replaces characters that PostgreSQL text cannot hold (NUL, unpaired surrogates). Text that is not JSON, or is nested
 * too deeply, becomes a string.
 */
export function documentIn(text: string): unknown {
  try {
    const value = storable(JSON.parse(text), 0);
    // A NOT NULL column treats JSON null as missing, and infinite numbers are serialised as null.
    const isNone = value === null || value === Infinity || value === -Infinity;
    return isNone ? clean(text) : value;
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof RangeError)) throw error;
    return clean(text);
  }
}

/** Serialises a trusted value for a JSON column. */
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
