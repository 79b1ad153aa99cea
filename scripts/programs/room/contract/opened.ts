/** What a box says may be of a newer program than this one. */
import type { TSchema } from '@sinclair/typebox';

/** The schema without what forbids further members: a box may be newer than this program. */
export function opened<S extends TSchema>(schema: S): S {
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
