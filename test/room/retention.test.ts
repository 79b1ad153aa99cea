/** Tests the retention of data from boxes: limits by the authority's authorisations, and deletion in both databases. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { GENESIS } from '../../scripts/programs/room/contract/audit.ts';
import { hashOf } from '../../scripts/programs/room/database/audit.ts';
import { hold } from '../../scripts/programs/room/database/lease.ts';
import { partitionsOf } from '../../scripts/programs/room/database/partitions.ts';
import { iso, type Sql } from '../../scripts/programs/room/database/sql.ts';
import { Authorisations } from '../../scripts/programs/room/retention/orders.ts';
import { Purge, type PurgeOptions } from '../../scripts/programs/room/retention/purge.ts';
import { AUTHORITY, MAYOR, PREFECT, signedAuthorisation, testKey } from '../lib/authority.ts';
import { DATABASES } from '../lib/databases.ts';
import { scratch } from '../lib/paths.ts';
import { waitUntil } from '../lib/room.ts';
import {
  addEvent,
  addIncident,
  addNote,
  addSnapshot,
  addVerdict,
  countOf,
  DAY_MS,
  recordsOf,
  roomDatabase,
} from '../lib/room-rows.ts';

const NOW = Date.parse('2026-11-27T12:00:00.000Z');
const SITE = 'marseille-1';
const A = { site: SITE, box: 'a' };
const B = { site: SITE, box: 'b' };

/** The tested fields of an authorisation; the rest has usual values. */
interface Change {
  readonly box?: string;
  readonly order?: string;
  readonly from?: number;
  readonly untilMs?: number;
  readonly events?: number;
  readonly snapshots?: number;
}

function authorisationWith({
  box = 'a',
  order = '2026-77',
  from = NOW - DAY_MS,
  untilMs = NOW + DAY_MS,
  events = 366,
  snapshots = 30,
}: Change) {
  return {
    order,
    authority: 'Ville de Test',
    site: SITE,
    box,
    camera: 'rtsp://camera/1',
    rules: [{ kind: 'loitering', zones: 'all', purpose: 'safety', legalBasis: 'Code de test, art. L. 1' }],
    notBefore: iso(from),
    notAfter: iso(untilMs),
    retention: { eventsDays: events, snapshotsDays: snapshots, sealedDays: 1 },
    resumeKeys: [
      { name: 'prefect', publicKey: PREFECT.line },
      { name: 'mayor', publicKey: MAYOR.line },
    ],
  };
}

function put(folder: string, name: string, change: Change, key = AUTHORITY): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${name}.dsse.json`), signedAuthorisation(authorisationWith(change), key));
}

void t.test('the retention of each box follows its valid authorisations', async (t) => {
  const folder = scratch(t);
  const lines: string[] = [];
  const other = testKey();
  const keys = [AUTHORITY.publicKey, other.publicKey];
  const authorisations = new Authorisations({ folder, keys, log: (line) => lines.push(line) });
  const daysOf = async (box: string, nowMs = NOW) => {
    const { eventsDays, snapshotsDays, reason } = (await authorisations.read(nowMs)).of({ site: SITE, box });
    return [eventsDays, snapshotsDays, reason];
  };
  t.same(await daysOf('a'), [30, 7, 'default'], 'no order');
  put(folder, 'a', { events: 90, snapshots: 20 });
  put(folder, 'b', { box: 'b', order: 'b-1', events: 3, snapshots: 2 }, other);
  t.same(await daysOf('a'), [90, 20, '2026-77']);
  t.same(await daysOf('b'), [3, 2, 'b-1'], 'by the key of another authority that was given');
  t.same((await authorisations.read(NOW)).longest, { eventsDays: 90, snapshotsDays: 20 });
  t.same(await daysOf('a', NOW + 40 * DAY_MS), [90, 20, '2026-77'], 'an expired one still counts');

  put(folder, 'a-2', {
    order: '2026-78',
    from: NOW + 2 * DAY_MS,
    untilMs: NOW + 9 * DAY_MS,
    events: 10,
    snapshots: 5,
  });
  t.same(await daysOf('a'), [90, 20, '2026-77'], 'a future one does not count');
  t.same(await daysOf('a', NOW + 3 * DAY_MS), [10, 5, '2026-78'], 'the valid one counts');
  t.same(await daysOf('a', NOW + 30 * DAY_MS), [10, 5, '2026-78'], 'of those that have ended the last');
  put(folder, 'a-3', { order: '2026-79', events: 20, snapshots: 30 });
  t.same(await daysOf('a'), [20, 20, '2026-77 and 2026-79'], 'the stricter one of two valid ones counts');
  rmSync(join(folder, 'a-3.dsse.json'));
  t.same(lines, [], 'nothing was wrong');

  put(folder, 'c', { box: 'c', events: 300 }, testKey());
  t.same(await daysOf('c'), [30, 7, 'default'], 'signed by another key');
  put(folder, 'a-4', { events: 1, snapshots: 1 }, testKey());
  t.same(
    await daysOf('a'),
    [30, 7, 'default'],
    'a doubtful file shortens to the default, and to nothing that it says',
  );
  rmSync(join(folder, 'a-4.dsse.json'));
  t.match(
    lines[0],
    /c\.dsse\.json: signed by [0-9a-f]{16}…, which is not a key of a configured authority; marseille-1\/c has the default/,
  );
  t.equal(lines.length, 2, 'each is reported once');

  writeFileSync(join(folder, 'b.dsse.json'), 'torn');
  t.same(await daysOf('b'), [3, 2, 'b-1'], 'a file’s previous content still counts');
  t.match(
    lines.at(-1),
    /b\.dsse\.json: not a signed authorisation \(the envelope is not JSON in UTF-8\); .*; what it said before counts/,
  );
  rmSync(join(folder, 'b.dsse.json'));
  t.same(await daysOf('b'), [3, 2, 'b-1'], 'a short order that is gone does not make the days longer');
  writeFileSync(join(folder, 'a.dsse.json'), 'x'.repeat(600_000));
  t.same(await daysOf('a'), [30, 7, 'default'], 'a long one that cannot be read any more: the default');
  t.match(lines.at(-1), /more than 524288 bytes; not an authorisation/);
  rmSync(folder, { recursive: true });
  t.same(await daysOf('b'), [3, 2, 'b-1'], 'without the folder all counts on that was known');
  t.match(lines.at(-1), /cannot be read \(ENOENT/);
});

/** Runs one complete deletion at a given time; the expired session is deleted last. */
async function purgeAt(
  t: Test,
  db: Sql,
  nowMs: number,
  options: Partial<PurgeOptions> = {},
): Promise<string[]> {
  const lines: string[] = [];
  await db.run(
    `INSERT INTO session (id, account, role, method, started_at, last_used_at, ends, checked_at)
       VALUES ($1, 'ada', 'operator', 'local', $2, $2, $2, $2)`,
    [`s-${nowMs}`, iso(nowMs - 1)],
  );
  const purge = new Purge(
    db,
    { instanceId: 'one', keys: [AUTHORITY.publicKey], nowMs: () => nowMs, ...options },
    (line) => lines.push(line),
  );
  purge.start();
  let remaining = 1;
  const pollTimer = setInterval(() => void countOf(db, 'session').then((count) => (remaining = count)), 20);
  await waitUntil(t, 'the run is over', () => remaining === 0, 60_000);
  clearInterval(pollTimer);
  await purge.stop();
  return lines;
}

for (const name of ['sqlite', 'postgres'] as const) {
  void t.test(`expired rows are deleted in ${name}`, async (t) => {
    const { address } = await DATABASES[name](t);
    const db = await roomDatabase(t, address, NOW);
    const folder = join(scratch(t), 'orders');
    put(folder, 'b', { box: 'b', order: 'b-1', events: 60, snapshots: 3 });

    await addEvent(db, A, 'a-edge', NOW - 30 * DAY_MS);
    await addEvent(db, A, 'a-old', NOW - 30 * DAY_MS - 1);
    await addEvent(db, A, 'a-late', NOW - 31 * DAY_MS, NOW - DAY_MS);
    await addEvent(db, A, 'a-ahead', NOW - 29.5 * DAY_MS, NOW - 30.1 * DAY_MS);
    await addEvent(db, B, 'b-kept', NOW - 45 * DAY_MS);
    await addEvent(db, B, 'b-old', NOW - 60 * DAY_MS - 1);
    await addSnapshot(db, A, 'a-edge', NOW - 7 * DAY_MS);
    await addSnapshot(db, A, 'a-old', NOW - 7 * DAY_MS - 1);
    await addSnapshot(db, B, 'b-old', NOW - 3 * DAY_MS - 1);
    const expired = await addIncident(db, A, 'ep-old', NOW - 30 * DAY_MS - 1);
    const retained = await addIncident(db, A, 'ep-edge', NOW - 30 * DAY_MS);
    for (const no of [expired, expired, retained]) await addNote(db, no, NOW - DAY_MS);
    await addVerdict(db, A, 'ep-old', 'confirmed', NOW - 31 * DAY_MS);
    await addVerdict(db, A, 'ep-edge', 'confirmed', NOW - DAY_MS);
    await db.run(
      "INSERT INTO completed_action (key, account, incident, at) VALUES ('k-1', 'ada', 1, $1), ('k-2', 'ada', 1, $2)",
      [iso(NOW - DAY_MS - 1), iso(NOW - DAY_MS)],
    );
    for (const [rule, endsMs] of [
      ['old', NOW - 30 * DAY_MS - 1],
      ['edge', NOW - 30 * DAY_MS],
    ] as const) {
      await db.run(
        `INSERT INTO suppression (rev, site, box, rule, reason, account, started_at, ends_at, ended_at)
         VALUES (1, $1, $2, $3, 'low sun', 'ada', $4, $4, $4)`,
        [A.site, A.box, rule, iso(endsMs)],
      );
    }
    // 366 days before noon of 27 November in Paris.
    for (const day of ['2025-11-25', '2025-11-26']) {
      await db.run("INSERT INTO day_figure VALUES ($1, 0, 's', 'b', 'r', 'k', 1, 0, 0, 0, 0, 0, 0, 0, 0)", [
        day,
      ]);
    }

    const lines = await purgeAt(t, db, NOW, { folder });
    const idsIn = async (table: string, column: string): Promise<unknown[]> =>
      (await db.all<{ id: string }>(`SELECT ${column} AS id FROM ${table} ORDER BY 1`)).map(({ id }) => id);
    t.same(await idsIn('event', 'id'), ['a-edge', 'b-kept'], 'at the very end of its days it is still there');
    t.same(await idsIn('snapshot', 'name'), ['a-edge']);
    t.same(await idsIn('incident', 'episode'), ['ep-edge']);
    t.same(await idsIn('note', 'incident'), [retained], 'notes go with their incident');
    t.same(await idsIn('verdict_due', 'episode'), ['ep-edge']);
    t.same(await idsIn('suppression', 'rule'), ['edge']);
    t.same(await idsIn('completed_action', 'key'), ['k-2']);
    t.same(await idsIn('day_figure', 'day'), ['2025-11-26']);
    t.match(lines, [/^purge: deleted 4 of event, 2 of snapshot, 1 of incident, 2 of note/]);

    const records = await recordsOf(db, 'purge');
    t.match(records[0]?.more, {
      counts: { event: 4 },
      from: iso(NOW - 60 * DAY_MS - 1),
      to: iso(NOW - 29.5 * DAY_MS),
      reasons: [
        { reason: 'default, 30 days', boxes: { 'marseille-1/a': 3 } },
        { reason: 'b-1, 60 days', boxes: { 'marseille-1/b': 1 } },
      ],
    });
    t.match(
      records.find(({ more }) => 'incident' in (more['counts'] as object)),
      { ...A, more: { counts: { incident: 1, note: 2 } } },
    );
    t.match(records.at(-1)?.more, {
      counts: { completed_action: 1, session: 1, day_figure: 1 },
      reason: 'expired',
    });
    await purgeAt(t, db, NOW + 1, { folder });
    t.same(await idsIn('event', 'id'), ['b-kept'], 'a millisecond later it goes');

    put(folder, 'b', { box: 'b', order: 'b-2', events: 40, snapshots: 3 });
    await purgeAt(t, db, NOW + 2, { folder });
    t.equal(await countOf(db, 'event'), 0, 'a shorter retention applies to older rows too');
    t.match((await recordsOf(db, 'purge')).at(-2), { more: { reasons: [{ reason: 'b-2, 40 days' }] }, ...B });
    await checkIntact(t, db);
  });

  void t.test(`two programs delete many rows despite a crash in ${name}`, async (t) => {
    const { address } = await DATABASES[name](t);
    const db = await roomDatabase(t, address, NOW);
    const rows = 12_001;
    await manyEvents(db, rows);
    // As autovacuum does after a minute: a plan without statistics compares each row with each other.
    await db.run('ANALYZE');
    await db.run(
      `INSERT INTO session (id, account, role, method, started_at, last_used_at, ends, checked_at)
       VALUES ('s', 'ada', 'operator', 'local', $1, $1, $1, $1)`,
      [iso(NOW - 1)],
    );

    t.ok(await hold(db, { name: 'lease-purge', instanceId: 'killed', forMs: 60_000 }, NOW));
    let nowMs = NOW;
    const options = { keys: [], nowMs: () => nowMs, everyMs: 30 };
    const purges = ['one', 'two'].map(
      (instanceId) => new Purge(db, { ...options, instanceId }, (line) => t.comment(line)),
    );
    t.teardown(() => Promise.all(purges.map((purge) => purge.stop())));
    for (const purge of purges) purge.start();
    await new Promise((resolve) => setTimeout(resolve, 300));
    t.equal(await countOf(db, 'event'), rows, 'no row is deleted while another has the lease');
    nowMs = NOW + 60_001;
    let remaining = rows;
    const pollTimer = setInterval(() => void countOf(db, 'session').then((count) => (remaining = count)), 50);
    t.teardown(() => clearInterval(pollTimer));
    await waitUntil(t, 'the successor deletes the rest', () => remaining === 0, 60_000);
    clearInterval(pollTimer);
    await Promise.all(purges.map((purge) => purge.stop()));
    t.equal(await countOf(db, 'event'), 0);
    const counts = (await recordsOf(db, 'purge')).flatMap(
      ({ more }) => (more['counts'] as { event?: number }).event ?? [],
    );
    t.same(counts, [5000, 5000, 2001], 'slice by slice, each recorded, none by both');
    await checkIntact(t, db);
  });

  void t.test(`a failed slice is deleted later in ${name}`, async (t) => {
    const { address } = await DATABASES[name](t);
    const db = await roomDatabase(t, address, NOW);
    await manyEvents(db, 10);
    await db.run('ALTER TABLE audit RENAME TO away');
    const lines: string[] = [];
    const purge = new Purge(db, { instanceId: 'one', keys: [], nowMs: () => NOW, everyMs: 50 }, (line) =>
      lines.push(line),
    );
    t.teardown(() => purge.stop());
    purge.start();
    await waitUntil(t, 'it says so', () => lines.length > 0);
    t.match(lines[0], /^purge: .*audit.*; the rest is deleted in the next run$/);
    t.equal(await countOf(db, 'event'), 10, 'nothing goes without its record');
    await db.run('ALTER TABLE away RENAME TO audit');
    await waitUntil(t, 'it goes on', () => lines.some((line) => /deleted 10 of event/.test(line)));
    await purge.stop();
  });
}

async function manyEvents(db: Sql, rows: number): Promise<void> {
  const old = iso(NOW - 40 * DAY_MS);
  const ids = JSON.stringify(Array.from({ length: rows }, (_, index) => ({ id: `e-${index}` })));
  await db.run(
    `INSERT INTO event (site, box, epoch, lane, seq, id, type, time, at, body, unread, received)
     SELECT 's', 'b', 'e1', 'alert', 1, id, 'vigie.loitering.v1', NULL, $2, '{}', NULL, $2
     FROM ${db.dialect.rows('$1', 'new', { id: 'text' })}`,
    [ids, old],
  );
}

/** Checks that every entry holds the hash of the previous one. */
async function checkIntact(t: Test, db: Sql): Promise<void> {
  const entries = await db.all<Parameters<typeof hashOf>[0] & { hash: string; more: unknown }>(
    'SELECT * FROM audit ORDER BY no',
  );
  let previous = GENESIS;
  for (const { hash, ...entry } of entries) {
    const details = JSON.parse(String(entry.more)) as Record<string, unknown>;
    const isIntact = entry.previous === previous && hashOf({ ...entry, more: details }) === hash;
    if (!isIntact) t.fail(`the record breaks at ${entry.no}`);
    previous = hash;
  }
  t.pass(`${entries.length} records, one chain`);
}

void t.test('expired months in PostgreSQL are dropped as whole partitions', async (t) => {
  const { address } = await DATABASES.postgres(t);
  const db = await roomDatabase(t, address, Date.parse('2026-08-10T00:00:00.000Z'));
  const names = async (): Promise<string[]> => (await partitionsOf(db)).map((month) => month.name);
  t.match(await names(), [
    'event_2026_07',
    'event_2026_08',
    'event_2026_09',
    'event_2026_10',
    'snapshot_2026_07',
  ]);
  const folder = join(scratch(t), 'orders');
  put(folder, 'a', { events: 90, snapshots: 10, untilMs: NOW - 1 });
  const lastOfAugust = Date.parse('2026-08-31T23:59:59.999Z');
  for (const at of [lastOfAugust - 9 * DAY_MS, lastOfAugust]) await addEvent(db, A, `a-${at}`, at);
  await addSnapshot(db, A, 'a-1', lastOfAugust);
  await addEvent(db, B, 'long ago', Date.parse('2019-01-01T00:00:00.000Z'));

  // 90 days after the end of August have passed with 29 November.
  await purgeAt(t, db, Date.parse('2026-11-29T23:59:59.999Z'), { folder });
  t.ok((await names()).includes('event_2026_08'), 'a millisecond of the month may be kept');
  t.notOk(
    (await names()).includes('event_2026_07'),
    'a month that is past for all is gone, an empty one too',
  );
  t.notOk((await names()).includes('snapshot_2026_08'));
  t.ok((await names()).includes('event_2027_01'), 'the months to come are made');
  t.same(
    (await db.all<{ id: string }>('SELECT id FROM event')).map(({ id }) => id),
    [`a-${lastOfAugust}`],
  );

  const blocked = await blockedPurge(t, db, address, folder);
  t.match(blocked, [
    /event_2026_08: in use for more than 2 s; retried in the next run/,
    /deleted 1 of event/,
  ]);
  t.ok(
    (await names()).includes('event_2026_08'),
    'the month stays, its rows go at their ceiling all the same',
  );
  await purgeAt(t, db, Date.parse('2026-11-30T00:00:00.001Z'), { folder });
  t.notOk((await names()).includes('event_2026_08'));
  const dropEntries = (await recordsOf(db, 'purge')).filter(({ more }) => 'partition' in more);
  t.match(dropEntries.at(-1)?.more, {
    partition: 'event_2026_08',
    counts: { event: 0, partition: 1 },
    from: '2026-08-01T00:00:00.000Z',
    to: '2026-09-01T00:00:00.000Z',
  });
  t.match(dropEntries.find(({ more }) => more['partition'] === 'snapshot_2026_08')?.more, {
    counts: { snapshot: 1 },
  });
});

/** Deletes during a long read: dropping a partition must not block the queries behind it. */
async function blockedPurge(t: Test, db: Sql, url: string, folder: string): Promise<string[]> {
  const reader = await roomDatabase(t, url, Date.parse('2026-11-30T00:00:00.000Z'));
  const lines: string[] = [];
  const nowMs = Date.parse('2026-11-30T00:00:00.000Z');
  const purge = new Purge(
    db,
    { instanceId: 'one', keys: [AUTHORITY.publicKey], folder, nowMs: () => nowMs },
    (line) => lines.push(line),
  );
  await reader.transaction(async (transaction) => {
    await transaction.all('SELECT count(*) FROM event');
    purge.start();
    await waitUntil(t, 'it has given up', () => lines.length > 0, 20_000);
  });
  await waitUntil(t, 'the rest is done', () => lines.length > 1, 20_000);
  await purge.stop();
  return lines;
}
