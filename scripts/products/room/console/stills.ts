/**
 * Returns one picture to one person.
 *
 * INVARIANTS:
 * - The access is committed to the audit log, and as a view of the account, before the picture is sent.
 * - A picture that differs from the one named by the event is never sent.
 */
import { sha256Of } from '../../../../agent/base/sha256.ts';
import { record } from '../database/audit.ts';
import type { Sql } from '../database/sql.ts';
import { type Call, CallError } from './handler.ts';
import { incidentRowOf, storedDetail } from './incidents.ts';
import { rememberView } from './looking.ts';
import { actorOf } from './rows.ts';

/**
 * Returns the picture.
 * @throws {CallError} 404 with the reason
 */
export async function stillOf(
  db: Sql,
  { account, params: { no, moment }, nowMs }: Pick<Call<'still'>, 'account' | 'params' | 'nowMs'>,
): Promise<Buffer> {
  const { site, box, detail } = await incidentRowOf(db, no);
  const { stills, absent } = storedDetail(detail);
  const still = stills.find((one) => one.moment === moment);
  if (still === undefined) {
    throw new CallError(
      404,
      `incident ${no}: picture '${moment}' does not exist${absent ? `: ${absent}` : ''}`,
    );
  }
  const { name, sha256 } = still;
  // Prefers the announced picture if several are stored under one name.
  const came = await db.all<{ sha256: string; jpeg: Buffer }>(
    `SELECT sha256, jpeg FROM snapshot WHERE site = $1 AND box = $2 AND name = $3
     ORDER BY CASE WHEN sha256 = $4 THEN 0 ELSE 1 END LIMIT 1`,
    [site, box, name, sha256],
  );
  const [picture] = came;
  if (picture === undefined) {
    throw new CallError(404, `incident ${no}: the picture '${moment}' has not come, or is no longer kept`);
  }
  if (sha256Of(picture.jpeg) !== sha256) {
    throw new CallError(
      404,
      `incident ${no}: the received picture '${moment}' is not the one that the event names`,
    );
  }
  await db.transaction(async (transaction) => {
    await rememberView(transaction, account, { incident: no, sha256 });
    const draft = {
      act: 'see-still',
      site,
      box,
      incident: no,
      more: { moment, picture: name, sha256 },
    } as const;
    await record(transaction, Object.assign(actorOf(account), draft), nowMs);
  });
  return picture.jpeg;
}
