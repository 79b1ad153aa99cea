/**
 * Limits what one account may hold or close, so that it neither uses up what all share nor empties the queue unseen.
 *
 * The numbers follow from a person at a desk. Each is asked within a transaction that holds the counter `rev`.
 */
import {
  CLAIMS_OF_ONE_MAX,
  CLOCKS_APART_MS,
  CLOSINGS_OF_ONE_MAX,
  CLOSINGS_WITHIN_S,
  SUPPRESSIONS_OF_ONE_MAX,
} from '../contract/terms.ts';
import { iso, type Queries } from '../database/sql.ts';
import { claimBounds } from './acting.ts';
import { type Account, LimitError } from './handler.ts';

/** @throws {LimitError} if the account has CLAIMS_OF_ONE_MAX claims that are valid; what it dispatched does not count */
export async function limitClaims(transaction: Queries, { name }: Account, nowMs: number): Promise<void> {
  const { after, latest } = claimBounds(nowMs);
  const [own] = await transaction.all<{ n: number }>(
    `SELECT count(*) AS n FROM incident
     WHERE state = 'claimed' AND claimed_until > $1 AND claimed_until <= $2 AND claimed_by = $3`,
    [after, latest, name],
  );
  if ((own?.n ?? 0) < CLAIMS_OF_ONE_MAX) return;
  throw new LimitError(
    'claims',
    `${name} has claimed ${CLAIMS_OF_ONE_MAX} incidents, which is the most; release or close one first`,
  );
}

/** Returns a line if the account has SUPPRESSIONS_OF_ONE_MAX of the suppressions that run. */
export function suppressionsProblem(
  running: readonly { readonly account: string }[],
  name: string,
): string | undefined {
  if (running.filter(({ account }) => account === name).length < SUPPRESSIONS_OF_ONE_MAX) return undefined;
  return `suppressions: ${SUPPRESSIONS_OF_ONE_MAX} of ${name} run, which is the most; end one first`;
}

/**
 * Limits what an account closes in CLOSINGS_WITHIN_S, by single and bulk verdicts. What was undone does not count.
 * @throws {LimitError} if `count` more would be too many
 */
export async function limitClosings(
  transaction: Queries,
  { name }: Account,
  count: number,
  nowMs: number,
): Promise<void> {
  const { after, latest } = closingBounds(nowMs);
  const closings = await transaction.all<{ closed_at: string }>(
    `SELECT closed_at FROM incident
     WHERE verdict_by = $1 AND closed_at IS NOT NULL AND closed_at > $2 AND closed_at <= $3 ORDER BY closed_at`,
    [name, after, latest],
  );
  const excess = closings.length + count - CLOSINGS_OF_ONE_MAX;
  if (excess <= 0) return;
  const freeAtMs = Date.parse(closings[excess - 1]?.closed_at ?? '') + CLOSINGS_WITHIN_S * 1000;
  const retryS = Math.max(1, Math.ceil((freeAtMs - nowMs) / 1000));
  const limitText = `${CLOSINGS_OF_ONE_MAX} in ${CLOSINGS_WITHIN_S / 60} min are the most`;
  const line = `${name}: has closed ${closings.length}, and ${limitText}; close these ${count} in ${retryS} s`;
  throw new LimitError('closings', line, retryS);
}

/** Returns the greatest number of incidents that one account has closed in CLOSINGS_WITHIN_S. */
export async function mostClosings(db: Queries, nowMs: number): Promise<number> {
  const { after, latest } = closingBounds(nowMs);
  const [top] = await db.all<{ n: number | null }>(
    `SELECT max(n) AS n FROM (SELECT count(*) AS n FROM incident
       WHERE closed_at IS NOT NULL AND closed_at > $1 AND closed_at <= $2 AND verdict_by IS NOT NULL
       GROUP BY verdict_by) AS accounts`,
    [after, latest],
  );
  return top?.n ?? 0;
}

function closingBounds(nowMs: number): { readonly after: string; readonly latest: string } {
  return { after: iso(nowMs - CLOSINGS_WITHIN_S * 1000), latest: iso(nowMs + CLOCKS_APART_MS) };
}
