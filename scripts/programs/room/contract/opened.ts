/** Opens schemas for members of later versions. */
import { TIME_PATTERN } from '../../../../agent/contract/time.ts';

/** The digits of a time, which may be no moment that exists. */
const TIME_FORM = '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}\\.\\d{3}Z$';

/**
 * The schema, of TypeBox or as JSON, without what forbids further members: a box may be newer than its reader. A time deep
 * inside that does not exist keeps no alert from the screen either: `isTime` tells for whoever uses one.
 */
export function opened<S extends object>(schema: S): S {
  return open(schema) as S;
}

function open(part: unknown): unknown {
  if (Array.isArray(part)) return part.map(open);
  if (typeof part !== 'object' || part === null) return part;
  // With the symbols by which TypeBox knows its kinds.
  const copy: Record<string, unknown> = { ...part };
  if (copy['additionalProperties'] === false) delete copy['additionalProperties'];
  if (copy['pattern'] === TIME_PATTERN) copy['pattern'] = TIME_FORM;
  for (const key of Object.keys(copy)) copy[key] = open(copy[key]);
  return copy;
}

const TIME = new RegExp(TIME_PATTERN);

export const isTime = (text: string): boolean => TIME.test(text);
