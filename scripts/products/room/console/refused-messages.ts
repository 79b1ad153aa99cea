/**
 * Stores the messages that the receiver of a webhook has refused by their content, so that one such message delays no
 * other. A person sends them again. They are deleted with their incidents.
 *
 * LIMITS: WEBHOOK_REFUSED_MAX of a webhook.
 */
import { WEBHOOK_REFUSED_MAX } from '../contract/terms.ts';
import type { RefusedMessages } from '../contract/webhook-routes.ts';
import { record } from '../database/audit.ts';
import { iso, type Queries, type Sql } from '../database/sql.ts';
import { tell } from './acting.ts';
import type { Call } from './handler.ts';
import { textAsked } from './request-params.ts';
import { actorOf } from './rows.ts';
import type { Message } from './webhook-messages.ts';

/** Adds a message, and returns false if the webhook has WEBHOOK_REFUSED_MAX. */
export function addRefused(
  db: Sql,
  {
    webhook,
    message,
    status,
  }: { readonly webhook: string; readonly message: Message; readonly status: number },
  nowMs: number,
): Promise<boolean> {
  const { id, body } = message;
  return db.transaction(async (transaction) => {
    const [stored] = await transaction.all<{ n: number }>(
      'SELECT count(*) AS n FROM webhook_refused WHERE webhook = $1',
      [webhook],
    );
    if ((stored?.n ?? 0) >= WEBHOOK_REFUSED_MAX) return false;
    await transaction.run(
      `INSERT INTO webhook_refused (webhook, id, at, status, incident, body) VALUES ($1, $2, $3, $4, $5, $6)
       ON CONFLICT (webhook, id) DO NOTHING`,
      [webhook, id, iso(nowMs), status, 'no' in body.data ? body.data.no : null, JSON.stringify(body)],
    );
    return true;
  });
}

/** Returns the messages of a webhook that a person sends again, the oldest first. */
export async function dueMessages(db: Queries, webhook: string): Promise<Message[]> {
  const rows = await db.all<{ id: string; body: string }>(
    'SELECT id, body FROM webhook_refused WHERE webhook = $1 AND is_due ORDER BY at, id',
    [webhook],
  );
  return rows.map(({ id, body }) => ({ id, body: JSON.parse(body) as Message['body'] }));
}

/** Removes a message that was sent, or keeps it with the status of its new refusal. */
export async function endResend(
  db: Queries,
  webhook: string,
  { id }: Message,
  refusalStatus?: number,
): Promise<void> {
  if (refusalStatus === undefined)
    await db.run('DELETE FROM webhook_refused WHERE webhook = $1 AND id = $2', [webhook, id]);
  else
    await db.run('UPDATE webhook_refused SET is_due = FALSE, status = $3 WHERE webhook = $1 AND id = $2', [
      ...[webhook, id, refusalStatus],
    ]);
}

/** Returns the refused messages of all webhooks, the newest first. */
export async function refusedMessages(db: Queries): Promise<RefusedMessages> {
  const rows = await db.all<
    Omit<RefusedMessages['messages'][number], 'isDue'> & { is_due: boolean | number }
  >(
    `SELECT webhook, id, at, status, incident, is_due FROM webhook_refused ORDER BY at DESC, id LIMIT ${WEBHOOK_REFUSED_MAX}`,
  );
  const counts = await refusedCounts(db);
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const messages = rows.map(({ is_due: isDue, ...row }) => ({ ...row, isDue: Boolean(isDue) }));
  return { messages, more: total - messages.length };
}

/** Returns the number of refused messages of each webhook that has some. */
export async function refusedCounts(db: Queries): Promise<Readonly<Record<string, number>>> {
  const rows = await db.all<{ webhook: string; n: number }>(
    'SELECT webhook, count(*) AS n FROM webhook_refused GROUP BY webhook',
  );
  return Object.fromEntries(rows.map(({ webhook, n }) => [webhook, n]));
}

/** Has the refused messages of a webhook sent again, and returns their number. */
export function resend(db: Sql, { account, body, nowMs }: Call<'resend'>): Promise<{ count: number }> {
  const webhook = textAsked('webhook', body.webhook);
  return db.transaction(async (transaction) => {
    const count = await transaction.run('UPDATE webhook_refused SET is_due = TRUE WHERE webhook = $1', [
      webhook,
    ]);
    if (count === 0) return { count };
    const draft = { ...actorOf(account), act: 'resend-webhooks', more: { webhook, count } } as const;
    await record(transaction, draft, nowMs);
    await tell(transaction, db);
    return { count };
  });
}
