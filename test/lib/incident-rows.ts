/** Incidents and cameras in a room's database, as its archive leaves them; and what the console reads of them. */
import type { Camera } from '../../scripts/programs/room/contract/camera.ts';
import type { Incident } from '../../scripts/programs/room/contract/incident.ts';
import { next } from '../../scripts/programs/room/database/counters.ts';
import { iso, type Queries, type Sql } from '../../scripts/programs/room/database/sql.ts';

const AT = '2026-05-04T10:00:00.000Z';

/** Another incident; its number. */
export function addIncident(
  db: Sql,
  changes: Readonly<Record<string, string | number | boolean | null>> = {},
) {
  return db.transaction(async (transaction) => {
    const rev = await next(transaction, 'rev');
    const row = {
      ...{ rev, revision: 0, site: 'lyon', box: 'b-12', episode: `e-${rev}`, entry: 1, severity: 'alert' },
      ...{
        priority: 2,
        kind: 'abandoned-object',
        rule: 'bag',
        place: 'zone/square',
        started: AT,
        ended: null,
      },
      ...{ received: AT, clock_doubt: false, objects: '[]', cause: '{"seconds":60}', events: 1, newest: AT },
      ...{ still: null, detail: '{}', state: 'new', ...changes },
    };
    const names = Object.keys(row);
    const [added] = await transaction.all<{ no: number }>(
      `INSERT INTO incident (${names.join(', ')}) VALUES (${names.map((_, i) => `$${i + 1}`).join(', ')}) RETURNING no`,
      Object.values(row),
    );
    await told(db, transaction);
    return added?.no ?? 0;
  });
}

export function changeIncident(
  db: Sql,
  no: number,
  changes: Readonly<Record<string, string | null>> = {},
): Promise<void> {
  return db.transaction(async (transaction) => {
    const rev = await next(transaction, 'rev');
    const sets = Object.keys(changes).map((name, i) => `, ${name} = $${i + 3}`);
    await transaction.run(`UPDATE incident SET rev = $2, events = events + 1${sets.join('')} WHERE no = $1`, [
      no,
      rev,
      ...Object.values(changes),
    ]);
    await told(db, transaction);
  });
}

export function setCamera(db: Sql, box: string, state: string): Promise<void> {
  return db.transaction(async (transaction) => {
    const rev = await next(transaction, 'rev');
    await transaction.run(
      `INSERT INTO camera (site, box, rev, state, mode, conditions, heard) VALUES ('lyon', $1, $2, $3, 'watching', '[]', $4)
       ON CONFLICT (site, box) DO UPDATE SET rev = $2, state = $3`,
      [box, rev, state, iso(Date.now())],
    );
    await told(db, transaction);
  });
}

async function told(db: Sql, transaction: Queries): Promise<void> {
  if (db.dialect.changed !== undefined) await transaction.run(db.dialect.changed);
}

interface Row extends Record<string, unknown> {
  readonly no: number;
  readonly rev: number;
}

/** At most so many of each at once, so that a burst takes several turns. */
const AT_ONCE = 50;

export async function changesSince(db: Queries, after: number) {
  const [counter] = await db.all<{ value: number }>("SELECT value FROM counter WHERE name = 'rev'");
  const select = (table: string): Promise<Row[]> =>
    db.all<Row>(`SELECT * FROM ${table} WHERE rev > $1 AND rev <= $2 ORDER BY rev LIMIT ${AT_ONCE}`, [
      ...[after, counter?.value ?? 0],
    ]);
  const [incidents, cameras] = [await select('incident'), await select('camera')];
  const ends = [incidents, cameras].flatMap((rows) => (rows.length < AT_ONCE ? [] : [rows.at(-1)?.rev ?? 0]));
  const rev = Math.min(counter?.value ?? 0, ...ends);
  const within = (row: Row): boolean => row.rev <= rev;
  return {
    rev,
    incidents: incidents.filter(within).map(incidentOf),
    cameras: cameras.filter(within).map(cameraOf),
  };
}

function incidentOf(row: Row): Incident {
  const { claimed_by: claimedBy, claimed_until: claimedUntil, dispatched_by: dispatchedBy, ...rest } = row;
  const { dispatched_at: dispatchedAt, verdict_at: verdictAt, closed_at: closedAt } = rest;
  const { no, rev, revision, site, box, episode, severity, priority, kind, rule, place, started, ended } =
    rest;
  const { received, clock_doubt: clockDoubt, objects, cause, events, still, state, verdict, reopens } = rest;
  return {
    ...{
      no,
      rev,
      revision,
      site,
      box,
      episode,
      severity,
      priority,
      kind,
      rule,
      place,
      started,
      ended,
      received,
    },
    ...{ clockDoubt: Boolean(clockDoubt), objects: JSON.parse(String(objects)) as Incident['objects'] },
    ...{
      cause: JSON.parse(String(cause)) as Incident['cause'],
      events,
      still,
      state,
      claimedBy,
      claimedUntil,
    },
    ...{ dispatchedBy, dispatchedAt, verdict, verdictAt, closedAt, reopens },
  } as Incident;
}

function cameraOf({ site, box, state, mode, heard }: Row): Camera {
  return {
    ...{ site, box, condition: state === 'online' ? 'well' : 'offline', reasons: [], state, mode, heard },
    ...{ lastAlert: null, blindS: 0, certificateEnds: null, orderEnds: null, version: null },
  } as Camera;
}
