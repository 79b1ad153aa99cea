/** Opens schemas for members of later versions. */

/** The schema, of TypeBox or as JSON, without what forbids further members: a box may be newer than its reader. */
export function opened<S extends object>(schema: S): S {
  return open(schema) as S;
}

function open(part: unknown): unknown {
  if (Array.isArray(part)) return part.map(open);
  if (typeof part !== 'object' || part === null) return part;
  // With the symbols by which TypeBox knows its kinds.
  const copy: Record<string, unknown> = { ...part };
  if (copy['additionalProperties'] === false) delete copy['additionalProperties'];
  for (const key of Object.keys(copy)) copy[key] = open(copy[key]);
  return copy;
}
