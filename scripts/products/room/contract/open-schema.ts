/** Opens schemas for members of later versions. */
import { TIME_PATTERN } from '../../../../agent/contract/time.ts';

/** Form of a time in digits. It also matches times that do not exist, such as a month 13. */
const TIME_FORM = '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}\\.\\d{3}Z$';

/**
 * Returns a copy of the schema (TypeBox or JSON) that allows further members, because a box may be newer than its
 * reader.
 *
 * Nested times are only checked for their form, so that an invalid one does not keep an alert from the screen. A reader
 * of such a time checks it with `isTime`.
 */
export function openSchema<S extends object>(schema: S): S {
  return open(schema) as S;
}

function open(part: unknown): unknown {
  if (Array.isArray(part)) return part.map(open);
  if (typeof part !== 'object' || part === null) return part;
  // Symbol keys are copied too: TypeBox identifies its kinds by them.
  const copy: Record<string, unknown> = { ...part };
  if (copy['additionalProperties'] === false) delete copy['additionalProperties'];
  if (copy['pattern'] === TIME_PATTERN) copy['pattern'] = TIME_FORM;
  for (const key of Object.keys(copy)) copy[key] = open(copy[key]);
  return copy;
}

const TIME = new RegExp(TIME_PATTERN);

export const isTime = (text: string): boolean => TIME.test(text);
