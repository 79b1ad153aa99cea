/** Formats numbers and hashes for the report. */
import { numberText } from '../../../../agent/base/site-time.ts';

export const short = (hash: string): string => `${hash.slice(0, 12)}…`;

export function counted(count: number, singular: string, plural: string): string {
  return `${numberText(count)} ${count === 1 ? singular : plural}`;
}
