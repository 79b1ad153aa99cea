/**
 * Gives out numbers in commit order. A sequence gives them in request order, so a reader that continues from one would
 * miss rows.
 */
import type { Queries } from './sql.ts';

/**
 * Takes the next `count` numbers and returns the first.
 *
 * The counter stays locked until the transaction ends, so take the numbers before reading the rows they apply to. Lock
 * order for all programs: lanes, reports, `rev`, incidents, `audit`.
 */
export async function next(transaction: Queries, name: 'rev' | 'audit', count = 1): Promise<number> {
  const [row] = await transaction.all<{ value: number }>(
    'UPDATE counter SET value = value + $2 WHERE name = $1 RETURNING value',
    [name, count],
  );
  if (row === undefined) throw new Error(`the counter ${name} is missing`);
  return row.value - count + 1;
}
