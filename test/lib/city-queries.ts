/** What a screen of the console asks the database, at its plainest: by this the time in the database alone is measured. */
import { iso, type Queries, type Row } from '../../scripts/programs/room/database/sql.ts';

export interface CityQueries {
  /** What is open. */
  queue(): Promise<readonly Row[]>;
  /** One incident with its notes, its neighbours and the precision of its rule; undefined where there is none. */
  incident(no: number): Promise<readonly (readonly Row[])[]>;
  /** Of one box, the newest first. */
  search(site: string, box: string, fromMs: number, toMs: number): Promise<readonly Row[]>;
}

/** As the contract has it: Queue, Precision and Page in contract/. */
const QUEUE_MAX = 2000;
const PAGE_MAX = 500;
const NEARBY_MAX = 50;
const NEARBY_MS = 3_600_000;
const PRECISION_DAYS = 30;

export function plainQueries(db: Queries, nowMs: number): CityQueries {
  return {
    queue: () =>
      db.all(
        `SELECT * FROM incident WHERE state <> 'closed' AND severity <> 'system' ORDER BY received DESC LIMIT ${QUEUE_MAX}`,
      ),
    incident: async (no) => {
      const [row] = await db.all<{ site: string; box: string; rule: string; received: string }>(
        'SELECT * FROM incident WHERE no = $1',
        [no],
      );
      if (row === undefined) return [];
      const { site, box, rule } = row;
      const at = Date.parse(row.received);
      return Promise.all([
        Promise.resolve([row as unknown as Row]),
        db.all('SELECT at, who, text FROM note WHERE incident = $1 ORDER BY no', [no]),
        db.all(
          `SELECT * FROM incident WHERE site = $1 AND box = $2 AND received BETWEEN $3 AND $4
           ORDER BY received DESC, no DESC LIMIT ${NEARBY_MAX}`,
          [site, box, iso(at - NEARBY_MS), iso(at + NEARBY_MS)],
        ),
        db.all(
          `SELECT sum(alerts) AS alerts, sum(judged_true) AS judged_true, sum(judged_false) AS judged_false FROM day_figure
           WHERE day >= $1 AND site = $2 AND box = $3 AND rule = $4`,
          [iso(nowMs - PRECISION_DAYS * 86_400_000).slice(0, 10), site, box, rule],
        ),
      ]);
    },
    search: (site, box, fromMs, toMs) =>
      db.all(
        `SELECT * FROM incident WHERE site = $1 AND box = $2 AND received >= $3 AND received < $4
         ORDER BY received DESC, no DESC LIMIT ${PAGE_MAX}`,
        [site, box, iso(fromMs), iso(toMs)],
      ),
  };
}
