/**
 * A month of a whole city in PostgreSQL, made by the database itself: rows as the room's archive writes them, with the
 * spread that a city has. 10 million events take some minutes, 100,000 a second or two.
 */
import pg from 'pg';

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

/** A statement of so many rows takes some ten seconds. */
const CHUNK = 500_000;

/** A statement that makes an index on 10 million rows may take a minute. */
const MEMORY = "SET maintenance_work_mem = '1GB'; SET synchronous_commit = off; SET timezone = 'UTC'";

/** While it is filled the server need not survive a crash. */
const FAST = { fsync: 'off', full_page_writes: 'off', max_wal_size: "'16GB'", autovacuum: 'off' } as const;

export const siteOf = (no: number): string => `ville-${no % 15}`;
export const boxOf = (no: number): string => `cam-${String(no).padStart(4, '0')}`;
const SITE = "'ville-' || (n % 15)";
const BOX = "'cam-' || lpad(n::text, 4, '0')";

/** Kinds of rules, the usual ones first. */
const KINDS = `ARRAY['illegal-parking', 'loitering', 'line-crossing', 'vehicle-in-pedestrian-zone', 'wrong-way',
  'illegal-dumping', 'crowd-gathering', 'graffiti']`;
const SYSTEM_KINDS = "ARRAY['stream-lost', 'too-dark', 'moved', 'frozen']";

/** Fills tables that are there and empty. `said` hears how long each part took. */
export async function fillCity(where: string, city: City, said: (line: string) => void): Promise<void> {
  const client = new pg.Client({ connectionString: where });
  await client.connect();
  const timed = async (what: string, act: () => Promise<void>): Promise<void> => {
    const beganMs = performance.now();
    await act();
    said(`${what}: ${((performance.now() - beganMs) / 1000).toFixed(1)} s`);
  };
  try {
    await configure(
      client,
      Object.entries(FAST).map(([name, value]) => `SET ${name} = ${value}`),
    );
    await client.query(MEMORY);
    const restore = await withoutIndexes(client, ['event', 'incident']);
    await timed('cameras', () => fillCameras(client, city));
    await timed('events', () =>
      inTwo(where, city.events, (one, from, to) => fillEvents(one, city, from, to)),
    );
    await timed('incidents', () =>
      inChunks(city.incidents, (from, to) => fillIncidents(client, city, from, to)),
    );
    await timed('indexes', async () => {
      for (const statement of restore) await client.query(statement);
    });
    await timed('figures and notes', () => fillRest(client, city));
    await configure(
      client,
      Object.keys(FAST).map((name) => `RESET ${name}`),
    );
    await timed('vacuum', async () => {
      await client.query('VACUUM ANALYZE');
      await client.query('CHECKPOINT');
    });
  } finally {
    await client.end();
  }
}

async function configure(client: pg.Client, changes: readonly string[]): Promise<void> {
  for (const change of changes) await client.query(`ALTER SYSTEM ${change}`);
  await client.query('SELECT pg_reload_conf()');
}

/** Drops keys and indexes, which are made many times faster afterwards; returns what makes them again. */
async function withoutIndexes(client: pg.Client, tables: readonly string[]): Promise<string[]> {
  const { rows: keys } = await client.query<{ table: string; name: string; definition: string }>(
    `SELECT relname AS table, conname AS name, pg_get_constraintdef(pg_constraint.oid) AS definition
     FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid WHERE contype IN ('p', 'u') AND relname = ANY($1)`,
    [tables],
  );
  for (const { table, name } of keys) await client.query(`ALTER TABLE ${table} DROP CONSTRAINT ${name}`);
  const { rows: indexes } = await client.query<{ name: string; definition: string }>(
    'SELECT indexname AS name, indexdef AS definition FROM pg_indexes WHERE tablename = ANY($1)',
    [tables],
  );
  for (const { name } of indexes) await client.query(`DROP INDEX ${name}`);
  return [
    ...keys.map(({ table, name, definition }) => `ALTER TABLE ${table} ADD CONSTRAINT ${name} ${definition}`),
    ...indexes.map(({ definition }) => definition.replace(' ON ONLY ', ' ON ')),
  ];
}

async function inChunks(rows: number, fill: (from: number, to: number) => Promise<void>): Promise<void> {
  for (let from = 0; from < rows; from += CHUNK) await fill(from, Math.min(from + CHUNK, rows) - 1);
}

/** Two connections, each with every other chunk. */
async function inTwo(
  where: string,
  rows: number,
  fill: (client: pg.Client, from: number, to: number) => Promise<void>,
): Promise<void> {
  const chunks: [number, number][] = [];
  await inChunks(rows, async (from, to) => void chunks.push([from, to]));
  const worker = async (): Promise<void> => {
    const client = new pg.Client({ connectionString: where });
    await client.connect();
    try {
      await client.query(MEMORY);
      for (let next = chunks.shift(); next !== undefined; next = chunks.shift()) await fill(client, ...next);
    } finally {
      await client.end();
    }
  };
  await Promise.all([worker(), worker()]);
}

/** Some boxes see much more than others: the busiest tenth has a quarter of all. */
const boxNo = (boxes: number, what: string): string =>
  `floor(${boxes} * power(((hashint8(${what}) & 2147483647) % 100003) / 100003.0, 1.4))::int`;

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

async function fillEvents(client: pg.Client, city: City, from: number, to: number): Promise<void> {
  const perIncident = Math.max(1, Math.round(city.events / city.incidents));
  await client.query(
    `INSERT INTO event (site, box, epoch, lane, seq, id, type, time, at, body, unread, received)
     SELECT ${SITE}, ${BOX}, 'e1', CASE WHEN i % 3 = 0 THEN 'bulk' ELSE 'alert' END, i, md5(i::text),
       'vigie.' || kind || '.v1', at, at, format('{"specversion":"1.0","id":"%s","source":"urn:vigie:%s:%s","type":"vigie.%s.v1",'
       '"time":"%s","data":{"episode":"ep-%s","severity":"alert","rule":"r-%s","zone":"z-1","phase":"ongoing",'
       '"objects":[{"label":"car","track":"t-%s","xyxyNorm":[0.41,0.32,0.47,0.44],"confidence":0.87}],"cause":{"stayedS":%s},'
       '"purpose":"safety","legalBasis":"Arrêté préfectoral 2026-77","degraded":[],"clock":"synchronised","latencyMs":182}}',
       md5(i::text), ${SITE}, ${BOX}, kind, at, i / ${perIncident}, kind, i % 997, i % 300)::jsonb, NULL, at + interval '1 s'
     FROM (SELECT i, ${boxNo(city.boxes, `i / ${perIncident}`)} AS n, (${KINDS})[1 + (i / ${perIncident}) % 8] AS kind,
       ${timeOf(city, city.events)} AS at FROM generate_series($1::bigint, $2::bigint) i) made`,
    [from, to],
  );
}

/** The newest are open, a few of them claimed or on their way; of the rest most alerts are judged. */
async function fillIncidents(client: pg.Client, city: City, from: number, to: number): Promise<void> {
  const { incidents, open } = city;
  await client.query(
    `INSERT INTO incident (rev, revision, site, box, episode, entry, severity, priority, kind, rule, place, started, ended,
       received, clock_doubt, objects, cause, events, newest, still, detail, state, claimed_by, claimed_until, claimed_first,
       dispatched_by, dispatched_at, verdict, verdict_at, verdict_by, closed_at, reopens)
     SELECT i + 1, CASE WHEN state = 'new' THEN 0 ELSE 3 END, ${SITE}, ${BOX}, 'ep-' || i, 1, severity,
       CASE WHEN severity <> 'alert' THEN 3 WHEN i % 8 IN (3, 4, 6) THEN 1 ELSE 2 END,
       CASE WHEN severity = 'system' THEN (${SYSTEM_KINDS})[1 + i % 4] ELSE (${KINDS})[1 + i % 8] END, 'r-' || i % 8,
       CASE WHEN severity = 'system' THEN 'camera' ELSE 'zone/z-' || i % 5 END, at,
       CASE WHEN state = 'closed' THEN at + interval '4 min' END, at + interval '1 s', i % 500 = 0,
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
         CASE WHEN i < ${incidents - open} THEN 'closed' WHEN i % 5 = 0 THEN 'claimed' WHEN i % 6 = 0 THEN 'dispatched'
           ELSE 'new' END AS state
         FROM generate_series($1::bigint, $2::bigint) i) stood) judged`,
    [from, to],
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
