/** Numbers in the order of commits. A sequence gives them in the order of asking: who reads on from one misses rows. */
import type { Queries } from './sql.ts';

/**
 * The next `count` numbers, the first of them. Whoever has them is alone with what they are for until the transaction
 * ends: they are taken before the rows are looked at. Order for everybody: lanes, reports, `rev`, incidents, `audit`.
 */
export async function next(transaction: Queries, name: 'rev' | 'audit', count = 1): Promise<number> {
  const [row] = await transaction.all<{ value: number }>(
    'UPDATE counter SET value = value + $2 WHERE name = $1 RETURNING value',
    [name, count],
  );
  if (row === undefined) throw new Error(`the counter ${name} is missing`);
  return row.value - count + 1;
}
