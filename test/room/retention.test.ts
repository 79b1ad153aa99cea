/** Tests the retention of data from boxes: limits by the authority's authorisations, and deletion in both databases. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { verifyChain } from '../../scripts/products/room/console/audit.ts';
import { hold } from '../../scripts/products/room/database/lease.ts';
import { partitionsOf } from '../../scripts/products/room/database/partitions.ts';
import { iso, type Sql } from '../../scripts/products/room/database/sql.ts';
import { Authorisations } from '../../scripts/products/room/retention/orders.ts';
import { Purge, type PurgeOptions } from '../../scripts/products/room/retention/purge.ts';
import { AUTHORITY, MAYOR, PREFECT, signedAuthorisation, testKey } from '../lib/authority.ts';
import {
  addEvent,
  addIncident,
  addStill,
  addVerdict,
  countOf,
  DAY_MS,
  insert,
  recordsOf,
} from '../lib/console-rows.ts';
import { DATABASES, onEachDatabase } from '../lib/databases.ts';
import { scratch } from '../lib/paths.ts';
import { waitUntil } from '../lib/room.ts';
import { unlessAll } from '../lib/run.ts';

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

function endedSession(db: Sql, id: string, at: string): Promise<number> {
  const times = { started_at: at, last_used_at: at, ends: at, checked_at: at };
  return insert(db, 'session', { id, account: 'ada', role: 'operator', method: 'local', ...times });
}

/** Waits until a run has deleted the expired sessions, which it deletes last. */
async function untilSessionsAreGone(db: Sql): Promise<void> {
  while ((await countOf(db, 'session')) > 0) await sleep(20);
}

function purgeOf(t: Test, db: Sql, options: Partial<PurgeOptions>): { purge: Purge; lines: string[] } {
  const lines: string[] = [];
  const all = { instanceId: 'one', keys: [AUTHORITY.publicKey], nowMs: () => NOW, ...options };
  const purge = new Purge(db, all, (line) => lines.push(line));
  t.teardown(() => purge.stop());
  return { purge, lines };
}

/** Runs one complete deletion at a given time. */
async function purgeAt(t: Test, db: Sql, nowMs: number, folder: string): Promise<string[]> {
  await endedSession(db, `s-${nowMs}`, iso(nowMs - 1));
  const { purge, lines } = purgeOf(t, db, { nowMs: () => nowMs, folder });
  purge.start();
  await untilSessionsAreGone(db);
  await purge.stop();
  return lines;
}

onEachDatabase('expired rows are deleted', async (t, { prepared }) => {
  const db = await prepared(NOW);
  const folder = join(scratch(t), 'orders');
  put(folder, 'b', { box: 'b', order: 'b-1', events: 60, snapshots: 3 });

  await addEvent(db, A, 'a-edge', NOW - 30 * DAY_MS);
  await addEvent(db, A, 'a-old', NOW - 30 * DAY_MS - 1);
  await addEvent(db, A, 'a-late', NOW - 31 * DAY_MS, NOW - DAY_MS);
  await addEvent(db, A, 'a-ahead', NOW - 29.5 * DAY_MS, NOW - 30.1 * DAY_MS);
  await addEvent(db, B, 'b-kept', NOW - 45 * DAY_MS);
  await addEvent(db, B, 'b-old', NOW - 60 * DAY_MS - 1);
  await addStill(db, { name: 'a-edge' }, Buffer.from('jpeg'), NOW - 7 * DAY_MS, A);
  await addStill(db, { name: 'a-old' }, Buffer.from('jpeg'), NOW - 7 * DAY_MS - 1, A);
  await addStill(db, { name: 'b-old' }, Buffer.from('jpeg'), NOW - 3 * DAY_MS - 1, B);
  const expired = await addIncident(db, NOW - 30 * DAY_MS - 1, { ...A, episode: 'ep-old' });
  const retained = await addIncident(db, NOW - 30 * DAY_MS, { ...A, episode: 'ep-edge' });
  for (const no of [expired, expired, retained])
    await insert(db, 'note', { incident: no, at: iso(NOW - DAY_MS), account: 'ada', text: 'seen' });
  await addVerdict(db, A, 'ep-old', 'confirmed', NOW - 31 * DAY_MS);
  await addVerdict(db, A, 'ep-edge', 'confirmed', NOW - DAY_MS);
  for (const [key, ms] of [
    ['k-1', NOW - DAY_MS - 1],
    ['k-2', NOW - DAY_MS],
  ] as const)
    await insert(db, 'completed_action', { key, account: 'ada', incident: 1, at: iso(ms) });
  for (const [rule, ms] of [
    ['old', NOW - 30 * DAY_MS - 1],
    ['edge', NOW - 30 * DAY_MS],
  ] as const) {
    const times = { started_at: iso(ms), ends_at: iso(ms), ended_at: iso(ms) };
    await insert(db, 'suppression', { rev: 1, ...A, rule, reason: 'low sun', account: 'ada', ...times });
  }
  // 366 days before noon of 27 November in Paris.
  for (const day of ['2025-11-25', '2025-11-26'])
    await db.run("INSERT INTO day_figure VALUES ($1, 0, 's', 'b', 'r', 'k', 1, 0, 0, 0, 0, 0, 0, 0, 0)", [
      day,
    ]);

  const lines = await purgeAt(t, db, NOW, folder);
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
  const ofIncident = records.find(({ more }) => 'incident' in (more['counts'] as object));
  t.match(ofIncident, { ...A, more: { counts: { incident: 1, note: 2 } } });
  const counts = { completed_action: 1, session: 1, day_figure: 1 };
  t.match(records.at(-1)?.more, { counts, reason: 'expired' });
  await purgeAt(t, db, NOW + 1, folder);
  t.same(await idsIn('event', 'id'), ['b-kept'], 'a millisecond later it goes');

  put(folder, 'b', { box: 'b', order: 'b-2', events: 40, snapshots: 3 });
  await purgeAt(t, db, NOW + 2, folder);
  t.equal(await countOf(db, 'event'), 0, 'a shorter retention applies to older rows too');
  t.match((await recordsOf(db, 'purge')).at(-2), { more: { reasons: [{ reason: 'b-2, 40 days' }] }, ...B });
  t.match(await verifyChain(db), { problem: null }, 'the audit log is intact');
});

onEachDatabase('two programs delete many rows despite a crash', async (t, { prepared }) => {
  const db = await prepared(NOW);
  const rows = 12_001;
  await manyEvents(db, rows);
  await endedSession(db, 's', iso(NOW - 1));
  t.ok(await hold(db, { name: 'lease-purge', instanceId: 'killed', forMs: 60_000 }, NOW));
  let nowMs = NOW;
  const both = ['one', 'two'].map((instanceId) =>
    purgeOf(t, db, { instanceId, keys: [], nowMs: () => nowMs, everyMs: 30 }),
  );
  for (const { purge } of both) purge.start();
  await sleep(300);
  t.equal(await countOf(db, 'event'), rows, 'no row is deleted while another has the lease');
  nowMs = NOW + 60_001;
  await untilSessionsAreGone(db);
  await Promise.all(both.map(({ purge }) => purge.stop()));
  t.equal(await countOf(db, 'event'), 0, 'the successor deletes the rest');
  const counts = (await recordsOf(db, 'purge')).flatMap(
    ({ more }) => (more['counts'] as { event?: number }).event ?? [],
  );
  t.same(counts, [5000, 5000, 2001], 'slice by slice, each recorded, none by both');
  t.match(await verifyChain(db), { problem: null }, 'the audit log is intact');
});

onEachDatabase('a failed slice is deleted later', async (t, { prepared }) => {
  const db = await prepared(NOW);
  await manyEvents(db, 10);
  await db.run('ALTER TABLE audit RENAME TO away');
  const { purge, lines } = purgeOf(t, db, { keys: [], everyMs: 50 });
  purge.start();
  await waitUntil(t, 'it says so', () => lines.length > 0);
  t.match(lines[0], /^purge: .*audit.*; the rest is deleted in the next run$/);
  t.equal(await countOf(db, 'event'), 10, 'nothing goes without its record');
  await db.run('ALTER TABLE away RENAME TO audit');
  await waitUntil(t, 'it goes on', () => lines.some((line) => /deleted 10 of event/.test(line)));
  await purge.stop();
});

async function manyEvents(db: Sql, rows: number): Promise<void> {
  const old = iso(NOW - 40 * DAY_MS);
  const ids = JSON.stringify(Array.from({ length: rows }, (_, index) => ({ id: `e-${index}` })));
  await db.run(
    `INSERT INTO event (site, box, epoch, lane, seq, id, type, time, at, body, unread, received)
     SELECT 's', 'b', 'e1', 'alert', 1, id, 'vigie.loitering.v1', NULL, $2, '{}', NULL, $2
     FROM ${db.dialect.rows('$1', 'new', { id: 'text' })}`,
    [ids, old],
  );
  // As autovacuum does after a minute: a plan without statistics compares each row with each other.
  await db.run('ANALYZE');
}

void t.test(
  'expired months in PostgreSQL are dropped as whole partitions',
  { skip: unlessAll },
  async (t) => {
    const { prepared } = await DATABASES.postgres(t);
    const db = await prepared(Date.parse('2026-08-10T00:00:00.000Z'));
    const names = async (): Promise<string[]> => (await partitionsOf(db)).map((month) => month.name);
    const has = async (name: string): Promise<boolean> => (await names()).includes(name);
    t.match(await names(), [
      ...['event_2026_07', 'event_2026_08', 'event_2026_09', 'event_2026_10', 'snapshot_2026_07'],
    ]);
    const folder = join(scratch(t), 'orders');
    put(folder, 'a', { events: 90, snapshots: 10, untilMs: NOW - 1 });
    const lastOfAugust = Date.parse('2026-08-31T23:59:59.999Z');
    for (const at of [lastOfAugust - 9 * DAY_MS, lastOfAugust]) await addEvent(db, A, `a-${at}`, at);
    await addStill(db, { name: 'a-1' }, Buffer.from('jpeg'), lastOfAugust, A);
    await addEvent(db, B, 'long ago', Date.parse('2019-01-01T00:00:00.000Z'));

    // 90 days after the end of August have passed with 29 November.
    await purgeAt(t, db, Date.parse('2026-11-29T23:59:59.999Z'), folder);
    t.ok(await has('event_2026_08'), 'a millisecond of the month may be kept');
    t.notOk(await has('event_2026_07'), 'a month that is past for all is gone, an empty one too');
    t.notOk(await has('snapshot_2026_08'));
    t.ok(await has('event_2027_01'), 'the months to come are made');
    t.same(await db.all('SELECT id FROM event'), [{ id: `a-${lastOfAugust}` }]);

    // During a long read: dropping a partition must not block the queries behind it.
    const blockedMs = Date.parse('2026-11-30T00:00:00.000Z');
    const { purge, lines } = purgeOf(t, db, { folder, nowMs: () => blockedMs });
    await (await prepared(blockedMs)).transaction(async (transaction) => {
      await transaction.all('SELECT count(*) FROM event');
      purge.start();
      await waitUntil(t, 'it has given up', () => lines.length > 0);
    });
    await waitUntil(t, 'the rest is done', () => lines.length > 1);
    await purge.stop();
    const inUse = /event_2026_08: in use for more than 2 s; retried in the next run/;
    t.match(lines, [inUse, /deleted 1 of event/], 'its rows go at their ceiling all the same');
    t.ok(await has('event_2026_08'), 'the month stays');
    await purgeAt(t, db, blockedMs + 1, folder);
    t.notOk(await has('event_2026_08'));
    const dropEntries = (await recordsOf(db, 'purge')).filter(({ more }) => 'partition' in more);
    t.match(dropEntries.at(-1)?.more, {
      partition: 'event_2026_08',
      counts: { event: 0, partition: 1 },
      from: '2026-08-01T00:00:00.000Z',
      to: '2026-09-01T00:00:00.000Z',
    });
    const ofStills = dropEntries.find(({ more }) => more['partition'] === 'snapshot_2026_08');
    t.match(ofStills?.more, { counts: { snapshot: 1 } });
  },
);
