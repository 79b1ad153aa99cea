/**
 * Renders the console's metrics for Prometheus: what limits have refused, and how much one account closes. They name no
 * account.
 */
import { counter, exposition, gauge, one } from '../../../../agent/base/exposition.ts';
import type { Queries } from '../database/sql.ts';
import { mostClosings } from './account-limits.ts';
import { LIMITED, type Limited } from './handler.ts';
import { refusedCounts } from './refused-messages.ts';

export async function metricsPage(
  db: Queries,
  limited: Readonly<Record<Limited, number>>,
  nowMs: number,
): Promise<string> {
  return exposition([
    counter(
      'console_refused',
      'Calls that a limit of an account has refused',
      LIMITED.map((limit) => one(limited[limit], { limit })),
    ),
    gauge('console_closings_of_one', 'Incidents that one account has closed in 5 minutes, the most of all', [
      one(await mostClosings(db, nowMs)),
    ]),
    gauge(
      'console_webhook_refused',
      'Messages that the receiver of a webhook has refused by their content',
      Object.entries(await refusedCounts(db)).map(([webhook, count]) => one(count, { webhook })),
    ),
  ]);
}
