/** The counters of a part, as plain numbers. */
import type { Counting } from '../../agent/base/counters.ts';

export function counterValues({ counters }: Counting): Record<string, number> {
  return Object.fromEntries(
    Object.entries(counters).map(([name, value]) => [name, typeof value === 'object' ? value.gauge : value]),
  );
}

export function counterValue(part: Counting, name: string): number {
  const count = counterValues(part)[name];
  if (count === undefined) throw new Error(`there is no counter ${name}`);
  return count;
}
