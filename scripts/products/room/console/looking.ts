/**
 * Remembers which account has opened which picture, and finds incidents whose current picture it has not opened.
 *
 * A picture is identified by its hash. An incident needs no view if no picture is stored that could be opened.
 */
import type { Dialect, Queries } from '../database/sql.ts';
import type { Account } from './handler.ts';
import { storedDetail } from './incidents.ts';
import type { IncidentRow } from './rows.ts';

/** Remembers a view. Call it in the transaction of its audit entry, before the picture is sent. */
export async function rememberView(
  transaction: Queries,
  { name, isProgram }: Account,
  { incident, sha256 }: { readonly incident: number; readonly sha256: string },
): Promise<void> {
  await transaction.run(
    `INSERT INTO still_view (incident, account, is_program, picture) VALUES ($1, $2, $3, $4)
     ON CONFLICT DO NOTHING`,
    [incident, name, isProgram, sha256],
  );
}

const PICTURE = { asked_no: 'integer', site: 'text', box: 'text', name: 'text', sha256: 'text' } as const;

/** Returns the numbers of the incidents whose current picture the account has not opened. Takes two statements. */
export async function unseenOf(
  transaction: Queries,
  dialect: Dialect,
  { name, isProgram }: Account,
  incidents: readonly IncidentRow[],
): Promise<ReadonlySet<number>> {
  const pictured = incidents.filter(({ still }) => still !== null);
  if (pictured.length === 0) return new Set();
  const details = await transaction.all<{ no: number; detail: string }>(
    `SELECT no, detail FROM incident
     WHERE no IN (SELECT asked.asked_no FROM ${dialect.rows('$1', 'asked', { asked_no: 'integer' })})`,
    [JSON.stringify(pictured.map(({ no }) => ({ asked_no: no })))],
  );
  const detailOf = new Map(details.map(({ no, detail }) => [no, detail]));
  const pictures = pictured.flatMap(({ no, site, box, still }) => {
    const picture = storedDetail(detailOf.get(no) ?? '{}').stills.find((one) => one.name === still);
    return picture === undefined
      ? []
      : [{ asked_no: no, site, box, name: picture.name, sha256: picture.sha256 }];
  });
  const unseen = await transaction.all<{ no: number }>(
    `SELECT asked.asked_no AS no FROM ${dialect.rows('$1', 'asked', PICTURE)}
     WHERE EXISTS (SELECT 1 FROM snapshot WHERE snapshot.site = asked.site AND snapshot.box = asked.box
         AND snapshot.name = asked.name AND snapshot.sha256 = asked.sha256)
       AND NOT EXISTS (SELECT 1 FROM still_view WHERE still_view.incident = asked.asked_no
         AND still_view.account = $2 AND still_view.is_program = $3 AND still_view.picture = asked.sha256)`,
    [JSON.stringify(pictures), name, isProgram],
  );
  return new Set(unseen.map(({ no }) => no));
}
