/**
 * A month of a whole city in PostgreSQL, made by the database itself: rows as the room's archive writes them, with the
 * spread that a city has. 10 million events take some minutes, 100,000 a second or two.
 */
import pg from 'pg';
import type { VigieEvent } from '../../agent/contract/event.ts';
import { partitionOf } from '../../scripts/programs/room/database/partitions.ts';
import { iso } from '../../scripts/programs/room/database/sql.ts';
import { eventText } from './events.ts';

export interface City {
  readonly boxes: number;
  readonly events: number;
  readonly incidents: number;
  /** Of these the newest are open: what ten operators have before them. */
  readonly open: number;
  /** The last moment that something came in; the month before it is filled. */
  readonly nowMs: number;
  /** For days and hours of figures, as the database has it. */
  readonly timeZone: string;
}

/** 1,500 boxes at 200 events a day. */
export const CITY = { boxes: 1500, events: 10_000_000, incidents: 1_000_000, open: 150 } as const;

/** The same city with a hundredth of what happens in it. */
export const SMALL_CITY = { ...CITY, events: 100_000, incidents: 10_000 } as const;

const DAYS = 30;

/** A statement that makes an index on 10 million rows may take a minute. */
const MEMORY = "SET maintenance_work_mem = '1GB'; SET synchronous_commit = off; SET timezone = 'UTC'";

/** While it is filled the server need not survive a crash. */
const FAST = { fsync: 'off', full_page_writes: 'off', max_wal_size: "'4GB'", autovacuum: 'off' } as const;

export const siteOf = (no: number): string => `ville-${no % 15}`;
export const boxOf = (no: number): string => `cam-${String(no).padStart(4, '0')}`;
const SITE = "'ville-' || (n % 15)";
const BOX = "'cam-' || lpad(n::text, 4, '0')";

/** Kinds of rules, the usual ones first. */
const KINDS = `ARRAY['illegal-parking', 'loitering', 'line-crossing', 'vehicle-in-pedestrian-zone', 'wrong-way',
  'illegal-dumping', 'crowd-gathering', 'graffiti']`;
const SYSTEM_KINDS = "ARRAY['stream-lost', 'too-dark', 'moved', 'frozen']";

/** As a box publishes it, some 900 bytes; a database that changes members of one is three times as fast as one that reads each. */
const { data: DATA, ...EVENT } = JSON.parse(
  eventText({ site: 'ville-1', box: 'cam-0001', id: 'e-1', seq: 1, bytes: 850 }),
) as VigieEvent;
const json = (value: unknown): string => `'${JSON.stringify(value).replaceAll("'", "''")}'::jsonb`;

/** Fills tables that are there and empty. `said` hears how long each part took. */
export async function fillCity(where: string, city: City, said: (line: string) => void): Promise<void> {
  const timed = async (what: string, act: () => Promise<unknown>): Promise<void> => {
    const beganMs = performance.now();
    await act();
    said(`${what}: ${((performance.now() - beganMs) / 1000).toFixed(1)} s`);
  };
  await withClients(where, async (one, other) => {
    await configure(
      one,
      Object.entries(FAST).map(([name, value]) => `SET ${name} = ${value}`),
    );
    const restore = {
      event: await withoutIndexes(one, 'event'),
      incident: await withoutIndexes(one, 'incident'),
      snapshot: await withoutIndexes(one, 'snapshot'),
    };
    const [before = NO_MONTH, newest = NO_MONTH] = monthsOf(city);
    await Promise.all([
      timed('events of the newest month', () => fillEvents(one, city, newest)),
      timed('all else', async () => {
        await fillEvents(other, city, before);
        await fillCameras(other, city);
        await fillIncidents(other, city);
        await fillSnapshots(other, city);
      }),
    ]);
    const make = async (client: pg.Client, statements: readonly string[]): Promise<void> => {
      for (const statement of statements) await client.query(statement);
    };
    await timed('indexes', () =>
      Promise.all([make(one, restore.event), make(other, [...restore.incident, ...restore.snapshot])]),
    );
    await timed('figures and notes', () => fillRest(one, city));
    await configure(
      one,
      Object.keys(FAST).map((name) => `RESET ${name}`),
    );
    await timed('vacuum', async () => {
      await one.query('VACUUM ANALYZE');
      await one.query('CHECKPOINT');
    });
  });
}

/** Both of them, one for each core that the tests may count on. */
async function withClients(
  where: string,
  act: (one: pg.Client, other: pg.Client) => Promise<void>,
): Promise<void> {
  const clients = [new pg.Client(where), new pg.Client(where)] as const;
  try {
    for (const client of clients) {
      await client.connect();
      await client.query(MEMORY);
    }
    await act(...clients);
  } finally {
    for (const client of clients) await client.end();
  }
}

async function configure(client: pg.Client, changes: readonly string[]): Promise<void> {
  for (const change of changes) await client.query(`ALTER SYSTEM ${change}`);
  await client.query('SELECT pg_reload_conf()');
}

/** Drops keys and indexes, which are made many times faster afterwards; returns what makes them again. */
async function withoutIndexes(client: pg.Client, table: string): Promise<string[]> {
  const { rows: keys } = await client.query<{ name: string; definition: string }>(
    `SELECT conname AS name, pg_get_constraintdef(pg_constraint.oid) AS definition
     FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid WHERE contype IN ('p', 'u') AND relname = $1`,
    [table],
  );
  for (const { name } of keys) await client.query(`ALTER TABLE ${table} DROP CONSTRAINT ${name}`);
  const { rows: indexes } = await client.query<{ name: string; definition: string }>(
    'SELECT indexname AS name, indexdef AS definition FROM pg_indexes WHERE tablename = $1',
    [table],
  );
  for (const { name } of indexes) await client.query(`DROP INDEX ${name}`);
  return [
    ...keys.map(({ name, definition }) => `ALTER TABLE ${table} ADD CONSTRAINT ${name} ${definition}`),
    ...indexes.map(({ definition }) => definition.replace(' ON ONLY ', ' ON ')),
  ];
}

interface Month {
  /** As the partitions end. */
  readonly name: string;
  /** `TIMESTAMPTZ` literals. */
  readonly from: string;
  readonly to: string;
}

const NO_MONTH: Month = { name: '', from: '', to: '' };

/** The two in which the days lie. */
function monthsOf({ nowMs }: City): Month[] {
  return [nowMs - DAYS * 86_400_000, nowMs - 1].map((ms) => {
    const { name, fromMs, toMs } = partitionOf('event', ms);
    return { name: name.slice('event'.length), from: iso(fromMs), to: iso(toMs) };
  });
}

/**
 * One transaction: what is written into a table that it has emptied itself needs no log of the server (wal_level
 * minimal, https://www.postgresql.org/docs/current/populate.html).
 */
async function intoEmpty(client: pg.Client, table: string, insert: string): Promise<void> {
  await client.query('BEGIN');
  await client.query(`TRUNCATE ${table}`);
  await client.query(insert);
  await client.query('COMMIT');
}

/** Some boxes see much more than others: the busiest tenth has a quarter of all. */
const boxNo = (boxes: number, what: string): string =>
  `floor(${boxes} * power(((hashint8(${what}) & 2147483647) % 100003) / 100003::float8, 1.4::float8))::int`;

/** From the oldest to the newest, as they came. */
const timeOf = (city: City, rows: number): string =>
  `to_timestamp(${(city.nowMs / 1000).toFixed(3)}) - (${rows} - i) * interval '${((DAYS * 86_400) / rows).toFixed(6)} s'`;

async function fillCameras(client: pg.Client, { boxes, nowMs }: City): Promise<void> {
  await client.query(
    `INSERT INTO camera SELECT ${SITE}, ${BOX}, n + 1, CASE WHEN n % 75 = 0 THEN 'offline' ELSE 'online' END, 'watching',
       CASE WHEN n % 100 = 7 THEN '["too-dark"]' ELSE '[]' END::jsonb, to_timestamp($2::float8) + (n % 400) * interval '1 day',
       to_timestamp($2::float8) + (n % 300) * interval '1 day', '0.1.0', to_timestamp($2::float8) - n * interval '1 s',
       to_timestamp($2::float8) - (n % 30) * interval '1 s' FROM generate_series(0, $1 - 1) n`,
    [boxes, nowMs / 1000],
  );
}

async function fillEvents(client: pg.Client, city: City, { name, from, to }: Month): Promise<void> {
  const perIncident = Math.max(1, Math.round(city.events / city.incidents));
  await intoEmpty(
    client,
    `event${name}`,
    `INSERT INTO event${name} (site, box, epoch, lane, seq, id, type, time, at, body, unread, received)
     SELECT site, box, 'e1', lane, i, id, 'vigie.' || kind || '.v1', at, at, ${json(EVENT)} || jsonb_build_object(
       'id', id, 'source', 'urn:vigie:' || site || ':' || box, 'type', 'vigie.' || kind || '.v1', 'time', at,
       'data', ${json(DATA)} || jsonb_build_object('episode', 'ep-' || i / ${perIncident})), NULL, at + interval '1 s'
     FROM (SELECT i, at, ${SITE} AS site, ${BOX} AS box, md5(i::text) AS id,
         CASE WHEN i % 3 = 0 THEN 'bulk' ELSE 'alert' END AS lane, (${KINDS})[1 + (i / ${perIncident}) % 8] AS kind
       FROM (SELECT i, ${boxNo(city.boxes, `i / ${perIncident}`)} AS n, ${timeOf(city, city.events)} AS at
         FROM generate_series(0::bigint, ${city.events - 1}) i) made WHERE at >= '${from}' AND at < '${to}') named`,
  );
}

/** What a room without orders keeps of them: DEFAULT of retention/orders.ts. */
const STILLS_DAYS = 7;

/** Of each alert one, small: the picture itself lies apart from its row, and no question of a list reads it. */
async function fillSnapshots(client: pg.Client, { nowMs }: City): Promise<void> {
  await client.query(
    `INSERT INTO snapshot (site, box, epoch, lane, seq, name, sha256, jpeg, received)
     SELECT site, box, 'e1', 'alert', no, still, still || still, decode(repeat('ff', 64), 'hex'), received
     FROM incident WHERE still IS NOT NULL AND received >= '${iso(nowMs - STILLS_DAYS * 86_400_000)}'`,
  );
}

/**
 * The newest alerts are open, a few of them claimed or on their way; most of the rest are judged. Notices and what boxes say
 * of themselves are left as they came, as by everybody; but the newest have ended by themselves.
 */
async function fillIncidents(client: pg.Client, city: City): Promise<void> {
  const { incidents, open } = city;
  await intoEmpty(
    client,
    'incident',
    `INSERT INTO incident (rev, revision, site, box, episode, entry, severity, priority, kind, rule, place, started, ended,
       received, clock_doubt, objects, cause, events, newest, still, detail, state, claimed_by, claimed_until, claimed_first,
       dispatched_by, dispatched_at, verdict, verdict_at, verdict_by, closed_at, reopens)
     SELECT i + 1, CASE WHEN state = 'new' THEN 0 ELSE 3 END, ${SITE}, ${BOX}, 'ep-' || i, 1, severity,
       CASE WHEN severity <> 'alert' THEN 3 WHEN i % 8 IN (3, 4, 6) THEN 1 ELSE 2 END,
       CASE WHEN severity = 'system' THEN (${SYSTEM_KINDS})[1 + i % 4] ELSE (${KINDS})[1 + i % 8] END, 'r-' || i % 8,
       CASE WHEN severity = 'system' THEN 'camera' ELSE 'zone/z-' || i % 5 END, at,
       CASE WHEN state = 'closed' OR severity <> 'alert' AND i < ${incidents - open} THEN at + interval '4 min' END,
       at + interval '1 s', i % 500 = 0,
       '[{"label":"car","track":"t-1"}]', '{"stayedS":61}', ${Math.max(1, Math.round(city.events / incidents))},
       at + interval '4 min', CASE WHEN severity = 'alert' THEN md5((10 * i)::text) END, format(
       '{"stills":[{"moment":"now","name":"%1$s","time":"2026-11-01T00:00:00.000Z","sha256":"%1$s%1$s"}],"absent":null,'
       '"purpose":"safety","legalBasis":"Arrêté préfectoral 2026-77","validUntil":"2027-01-01T00:00:00.000Z","seen":[],'
       '"where":[0.41,0.32,0.47,0.44],"degraded":[],"event":"%1$s","sealed":false}', md5((10 * i)::text))::jsonb,
       state, CASE WHEN state <> 'new' AND severity <> 'system' THEN 'operator-' || i % 10 END,
       CASE WHEN state = 'claimed' THEN at + interval '2 min' END,
       CASE WHEN state <> 'new' AND severity <> 'system' THEN at + i % 90 * interval '1 s' END,
       CASE WHEN i % 6 = 0 AND state IN ('dispatched', 'closed') THEN 'operator-' || i % 10 END,
       CASE WHEN i % 6 = 0 AND state IN ('dispatched', 'closed') THEN at + interval '2 min' END,
       verdict, CASE WHEN verdict IS NOT NULL THEN at + interval '5 min' END,
       CASE WHEN verdict IS NOT NULL THEN 'operator-' || i % 10 END,
       CASE WHEN state = 'closed' THEN at + interval '5 min' END, NULL
     FROM (SELECT *, CASE WHEN state <> 'closed' OR severity <> 'alert' THEN NULL WHEN i % 10 < 6 THEN 'true'
         WHEN i % 10 < 9 THEN 'false' ELSE 'unclear' END AS verdict
       FROM (SELECT i, ${boxNo(city.boxes, 'i')} AS n, ${timeOf(city, incidents)} AS at,
         CASE WHEN i % 20 < 13 THEN 'alert' WHEN i % 20 < 17 THEN 'notice' ELSE 'system' END AS severity,
         CASE WHEN i % 20 >= 13 THEN 'new' WHEN i < ${incidents - open} THEN 'closed' WHEN i % 5 = 0 THEN 'claimed' WHEN i % 6 = 0 THEN 'dispatched'
           ELSE 'new' END AS state
         FROM generate_series(0::bigint, ${incidents - 1}) i) stood) judged`,
  );
}

async function fillRest(client: pg.Client, { incidents, timeZone }: City): Promise<void> {
  await client.query("UPDATE counter SET value = $1 WHERE name = 'rev'", [incidents]);
  await client.query(
    `INSERT INTO note (incident, at, who, text) SELECT no, received + interval '3 min', 'operator-1',
       'Patrouille prévenue, le véhicule est parti avant son arrivée.' FROM incident WHERE no % 50 = 0`,
  );
  await client.query(
    `INSERT INTO day_figure SELECT to_char(received AT TIME ZONE $1, 'YYYY-MM-DD'),
       extract(hour FROM received AT TIME ZONE $1)::int, site, box, rule, kind, count(*),
       count(*) FILTER (WHERE verdict = 'true'), count(*) FILTER (WHERE verdict = 'false'),
       count(*) FILTER (WHERE verdict = 'unclear'), count(claimed_first),
       coalesce(sum(extract(epoch FROM claimed_first - received)), 0)
     FROM incident WHERE severity = 'alert' GROUP BY 1, 2, 3, 4, 5, 6`,
    [timeZone],
  );
}
