/**
 * Tests what the archive promises on either database: batches, its lease, incidents, cameras, statistics and receipts of
 * installations. Tables of another layout are refused.
 */

import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { IPublishPacket } from 'mqtt';
import t from 'tap';
import type { VigieEvent } from '../../agent/contract/event.ts';
import { SNAPSHOT_BYTES_MAX } from '../../agent/contract/redacted-jpeg.ts';
import type { LaneProgress } from '../../scripts/products/room/archive/batch.ts';
import {
  type Arrival,
  arrivalOf,
  type EventArrival,
  type Place,
  type ReportArrival,
  type SnapshotArrival,
} from '../../scripts/products/room/archive/message.ts';
import { stillOf } from '../../scripts/products/room/console/stills.ts';
import { callOf } from '../lib/console-room.ts';
import { onEachDatabase, type Row } from '../lib/databases.ts';
import { eventText } from '../lib/events.ts';
import { healthOf } from '../lib/fleet-reports.ts';
import { picture } from '../lib/outbox.ts';
import { eventArrival, packet } from '../lib/room-alerts.ts';

/** Time by the control room's clock at which these tests store. */
const NOW = Date.parse('2026-11-24T23:30:00.000Z');
const at = (seconds: number): string => new Date(NOW + seconds * 1000).toISOString();
const PLACE: Place = { site: 'lyon', box: 'b-1', epoch: 'e1', lane: 'alert', from: 1, seq: 1, first: 1 };
const conformance = { conformance: true };

function event(seq: number, change: Partial<Place> = {}, id = `a1-${seq}`): EventArrival {
  const place = { ...PLACE, seq, from: seq, ...change };
  const body = eventText({ ...place, id, seq });
  return { kind: 'event', place, id, type: 'vigie.loitering.v1', time: '2026-11-24T14:00:00.000Z', body };
}

function still(seq: number): SnapshotArrival {
  const jpeg = Buffer.from(picture(1000).bytes);
  return { kind: 'snapshot', place: { ...PLACE, seq, from: seq }, name: `a1-${seq}`, jpeg };
}

function report(topic: ReportArrival['topic'], body: unknown, isRetained = false): ReportArrival {
  return { kind: 'report', site: 'lyon', box: 'b-1', topic, body: JSON.stringify(body), isRetained };
}

/** PostgreSQL's driver has already parsed it. */
const jsonIn = (body: unknown): unknown => (typeof body === 'string' ? JSON.parse(body) : body);
const parseField = (row: Row | undefined, name: string): unknown => JSON.parse(String(row?.[name]));

const throughOf = (lanes: readonly LaneProgress[], lane = 'alert', epoch = 'e1'): number | undefined =>
  lanes.find((one) => one.lane === lane && one.epoch === epoch)?.contiguous_seq;

onEachDatabase(
  'a message is stored once, and acknowledged when all before it are',
  async (t, database) => {
    const archive = await database.open();
    const throughAfter = async (one: Arrival): Promise<number | undefined> =>
      throughOf((await archive.store([one])).lanes);
    const count = async (table: string): Promise<number> =>
      Number((await database.read(`SELECT count(*) AS n FROM ${table}`))[0]?.['n']);

    const batch: Arrival[] = [event(1), still(2), event(1, { lane: 'bulk' }, 'n-1')];
    const first = await archive.store(batch);
    t.same(first.newArrivals, batch, 'all of it is new');
    t.same([throughOf(first.lanes), throughOf(first.lanes, 'bulk')], [2, 1], 'each lane for itself');
    const repeated = await archive.store([event(1), still(2)]);
    t.same(repeated.newArrivals, [], 'the same again changes nothing');
    t.equal(throughOf(repeated.lanes), 2, 'and is acknowledged again');
    const duplicated = await archive.store([event(3), event(3)]);
    t.equal(duplicated.newArrivals.length, 1, 'the same twice in one batch is one');

    t.equal(await throughAfter(event(6)), 3, 'a number ahead waits');
    const gap = { ...event(5, { from: 4 }, 'gap-1'), type: 'vigie.outbox-gap.v1' };
    t.equal(await throughAfter(gap), 6, 'a gap record covers its numbers');
    t.equal(await throughAfter(event(9, { first: 9 })), 9, 'messages that the box no longer has');
    const { lanes } = await archive.store([event(1, { epoch: 'e2' }, 'b2-1')]);
    t.equal(throughOf(lanes, 'alert', 'e2'), 1, 'a new epoch is counted from its start');
    t.equal(await count("event WHERE seq = 1 AND lane = 'alert'"), 2, 'and its number 1 is a new event');
    const big = 3_000_000_000;
    t.equal(await throughAfter(event(big, { first: big })), big, 'numbers from a clock');

    const [row] = await database.read("SELECT jpeg, seq FROM snapshot WHERE name = 'a1-2'");
    t.same(row?.['jpeg'], still(2).jpeg, 'a still is there, byte for byte');
    const [stored] = await database.read("SELECT body FROM event WHERE id = 'a1-1'");
    t.same(jsonIn(stored?.['body']), JSON.parse(event(1).body), 'and an event, whole');
    await archive.store([report('status', 1), report('status', 2)]);
    t.same((await archive.store([report('status', 3)])).lanes, []);
    t.equal(
      jsonIn((await database.read('SELECT body FROM report'))[0]?.['body']),
      3,
      'of reports the newest',
    );
    t.same(await archive.store([]), { newArrivals: [], leftOut: [], lanes: [] });

    const events = await count('event');
    const broken = { ...still(20), jpeg: null as unknown as Buffer };
    await t.rejects(archive.store([event(10), broken]), 'what the database refuses');
    t.equal(await count('event'), events, 'leaves nothing behind');
    t.equal(await throughAfter(event(11)), big, 'and the archive goes on');
  },
  conformance,
);

onEachDatabase(
  'several archives share one database',
  async (t, database) => {
    const archives = await Promise.all([1, 2, 3].map(() => database.open()));
    // The 600 numbers of two boxes in random order; every third one goes to two instances.
    const all = Array.from({ length: 600 }, (_, i) =>
      event((i >> 1) + 1, { box: `b-${i & 1}` }, `a${i & 1}-${i >> 1}`),
    );
    all.sort((a, b) => ((a.place.seq * 7919) % 601) - ((b.place.seq * 7919) % 601));
    let newCount = 0;
    const lanes: LaneProgress[] = [];
    for (let i = 0; i < all.length; i += 30) {
      const hands = archives.map((archive, k) =>
        archive.store(all.slice(i, i + 30).filter((_, n) => n % 3 === k || (n + 1) % 3 === k)),
      );
      for (const stored of await Promise.all(hands)) {
        newCount += stored.newArrivals.length;
        lanes.push(...stored.lanes);
      }
    }
    t.equal(newCount, 600, 'each is new to one of them');
    for (const box of ['b-0', 'b-1']) {
      const throughs = lanes.filter((lane) => lane.box === box).map(({ contiguous_seq: seq }) => seq);
      t.equal(Math.max(...throughs), 300, `${box}: the last to store knows that all are there`);
    }
  },
  conformance,
);

const LEASE_LOST = { message: 'another archive has taken over' };

onEachDatabase(
  'the lease has one holder, and only its holder stores',
  async (t, database) => {
    const [one, two] = [await database.open(), await database.open()];
    t.equal(await one.lease.read(), undefined, 'at first it has no holder');
    t.ok(await one.lease.take(undefined));
    t.notOk(await two.lease.take(undefined), 'of two that found it free one gets it');
    const first = await two.lease.read();
    t.match([first, await one.lease.read()], [{ isOurs: false }, { isOurs: true }]);
    await sleep(2);
    t.ok(await one.lease.renew());
    t.notOk(await two.lease.take(first), 'a lease renewed after the look is not taken');
    t.notOk(await two.lease.renew(), 'and only the holder renews it');
    await one.store([event(1)], one.lease);
    await t.rejects(two.store([event(2)], two.lease), LEASE_LOST, 'a standby stores nothing');

    t.ok(await two.lease.take(await two.lease.read()), 'an unchanged lease is taken over');
    t.notOk(await one.lease.renew());
    await t.rejects(one.store([event(2)], one.lease), LEASE_LOST, 'nor does a delayed holder');
    await one.lease.release();
    t.match(await two.lease.read(), { isOurs: true }, 'and lets go of nothing that is not his');
    await two.store([event(2)], two.lease);
    t.equal((await database.read('SELECT 1 FROM event')).length, 2);
    await two.lease.release();
    t.equal(await one.lease.read(), undefined);
  },
  conformance,
);

const phase =
  (name: VigieEvent['data']['phase'], seconds: number, cause: Record<string, unknown> = {}) =>
  (event: VigieEvent): void => {
    event.data.phase = name;
    event.time = at(seconds);
    event.data.cause = cause;
  };

/** An event of the episode `ep-1`, unless the change names another. */
const arrival = (change: (event: VigieEvent) => unknown = () => undefined): EventArrival =>
  eventArrival(
    {
      change: (event) => {
        event.data.episode = 'ep-1';
        change(event);
      },
    },
    NOW,
  );

onEachDatabase(
  'events become incidents',
  async (t, database) => {
    const archive = await database.open(() => NOW);
    const db = database.sql();
    const incidents = (): Promise<Row[]> => db.all('SELECT * FROM incident ORDER BY no');

    await t.test('the events of one episode become one incident, in any order of arrival', async (t) => {
      const end = arrival(phase('end', 30, { durationS: 30 }));
      const start = arrival(phase('start', 0, { durationS: 0, dwellS: 10 }));
      const update = arrival(phase('update', 10, { durationS: 10, dwellS: 20 }));
      await archive.store([end]);
      const [late] = await incidents();
      t.match(late, { started_at: at(0), ended_at: at(30), events: 1 }, 'by how long it stood');
      await archive.store([update, start]);
      const rows = await incidents();
      const times = { started_at: at(0), ended_at: at(30) };
      t.match(rows, [{ ...times, episode: 'ep-1', events: 3, state: 'new', priority: 2 }]);
      t.same(parseField(rows[0], 'cause'), { durationS: 30 }, 'the newest by its own time');
      t.match(parseField(rows[0], 'detail'), { event: start.id, purpose: 'public-order' });
      t.ok(Number(rows[0]?.['rev']) > Number(late?.['rev']), 'each change has a number of its own');
      await archive.store([end, update]);
      t.match(await incidents(), [{ events: 3, rev: rows[0]?.['rev'] }], 'a repeated event changes nothing');
    });

    await t.test('alerts are counted by day and hour of the room’s time zone', async (t) => {
      const time = { day: '2026-11-25', hour: 0 };
      const rule = { site: 'lyon', box: 'b-1', rule: 'waiting', kind: 'loitering' };
      t.match(await db.all('SELECT * FROM day_figure'), [{ ...time, ...rule, alerts: 1 }]);
    });

    await t.test('an event with an impossible time is stored once', async (t) => {
      const all = Object.entries({ ahead: '2199-01-01T00:00:00.000Z', old: '1970-01-01T00:00:12.000Z' }).map(
        ([episode, time]) =>
          arrival((event) => {
            event.data.episode = episode;
            event.time = time;
            event.data.clock.synced = episode === 'ahead';
          }),
      );
      await archive.store(all);
      await archive.store(all);
      const rows = await db.all("SELECT * FROM incident WHERE episode IN ('ahead', 'old') ORDER BY episode");
      const expected = { started_at: at(0), received: at(0), events: 1 };
      t.match(rows, [expected, expected]);
      t.ok(rows.every((row) => Boolean(row['clock_doubt'])));
      t.equal((await db.all('SELECT 1 AS there FROM event')).length, 5, 'no row is stored twice');
    });

    await t.test('hostile or unknown contents are stored as text', async (t) => {
      const strange = arrival((event) => {
        event.data.episode = 'strange';
        event.type = 'vigie.from-the-future.v1';
        event.data.rule.kind = 'from-the-future';
        Object.assign(event.data, { unheardOf: { deep: [1] } });
        event.data.cause = {
          durationS: 0,
          reason: `\u0000\ud800<img src=x>${'x'.repeat(200_000)}`,
          list: [1, 2],
          ...Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`k${i}`, i])),
        };
      });
      t.equal(strange.unread, undefined, 'unknown fields of a newer agent hide no incident');
      const deep = `${'['.repeat(5000)}${']'.repeat(5000)}`;
      const rubbish: Arrival[] = ['{', '"\\ud800\\u0000"', deep, '1e999'].map((body, index) => ({
        ...arrival(),
        body,
        id: `unread-${index}`,
        time: '',
        type: '',
        unread: 'rubbish',
        event: undefined as never,
      }));
      await archive.store([strange, ...rubbish]);
      const [row] = await db.all("SELECT * FROM incident WHERE episode = 'strange'");
      t.match(row, { kind: 'from-the-future', state: 'new' });
      const cause = parseField(row, 'cause') as Record<string, unknown>;
      t.ok(Object.keys(cause).length <= 16 && String(cause['reason']).length <= 300);
      const unread = await db.all<{ body: string }>(
        "SELECT body FROM event WHERE unread = 'rubbish' ORDER BY id",
      );
      t.equal(unread.length, 4, 'unreadable messages are stored');
      t.equal(JSON.parse(unread[0]?.body ?? ''), '{', 'as text if it is not JSON');
    });
    // Both readers see one order of changes.
    const revs = (await incidents()).map((row) => Number(row['rev']));
    t.equal(new Set(revs).size, revs.length);
  },
  conformance,
);

onEachDatabase(
  'reports become cameras',
  async (t, database) => {
    let nowMs = NOW;
    const archive = await database.open(() => nowMs);
    const db = database.sql();
    const camera = async (): Promise<Row | undefined> => (await db.all('SELECT * FROM camera'))[0];
    const health = healthOf({ site: 'lyon', box: 'b-1', n: 1 } as never, NOW - 3_600_000);
    await archive.store([report('health', health, true)]);
    t.equal((await camera())?.['last_report'], at(-3600), 'a retained report is as old as its own time');
    nowMs = NOW + 1000;
    await archive.store([
      report('status', { state: 'online', boot: 'x', time: at(0) }),
      report('health', { ...health, conditions: ['covered'], time: at(0), newer: 'member' }),
    ]);
    const now = await camera();
    t.match(now, { state: 'online', last_report: at(1), mode: health.mode });
    t.same(parseField(now, 'conditions'), ['covered']);
    nowMs += 30_000;
    await archive.store([report('health', { ...health, conditions: ['covered'], time: at(30) })]);
    t.match(await camera(), { rev: now?.['rev'], last_report: at(31) }, 'a repetition is not a change');
    const uncovered = arrival((event) => {
      phase('end', 31)(event);
      event.data.severity = 'system';
      event.data.rule = { id: 'covered', kind: 'covered', params: {} };
      event.type = 'vigie.covered.v1';
      event.subject = 'camera';
    });
    await archive.store([uncovered]);
    t.same(parseField(await camera(), 'conditions'), []);
    await archive.store([report('status', { state: 'offline', boot: 'x', time: at(0) })]);
    const before = await camera();
    t.match(before, { state: 'offline' });
    await archive.store([report('health', 'rubbish'), report('status', { state: 'dancing' })]);
    const elses = { ...health, conditions: ['blinded'], time: at(60) };
    await archive.store([
      report('health', { ...elses, box: 'b-2' }),
      report('health', { ...elses, site: 'paris' }),
    ]);
    t.same(await camera(), before, 'neither rubbish nor a report in another box’s name changes it');
  },
  conformance,
);

onEachDatabase('tables of another layout are refused in one line', async (t, database) => {
  await database.open(() => NOW);
  const db = database.sql();
  await db.run("UPDATE setting SET value = '2' WHERE name = 'version'");
  const remedy = 'run the program that made it, or name another database';
  const message = `the database has tables of version 2, this program knows 8; ${remedy}`;
  await t.rejects(database.open(), { message });
  await db.run('DROP TABLE setting');
  await t.rejects(database.open(), { message: message.replace('version 2', 'version unknown') });
  t.same(await db.all('SELECT * FROM event'), [], 'the existing rows stay');
});

const JPEG = Buffer.from(picture(900).bytes);
const CAUSE = {
  passed: false,
  problems: 'clock, broker',
  order: '2026/1234',
  orderUntil: '2027-11-24T00:00:00.000Z',
  version: '0.1.0',
  configuration: 'a'.repeat(64),
  journalEntries: 1234,
  journalRoot: 'b'.repeat(43),
  zones: 2,
  lines: 1,
  masks: 1,
  rules: 'stays 4/5, passes –',
  reason: 'the final check has failed',
  session: '0123456789abcdef',
  durationS: 0,
};
const SHA256 = createHash('sha256').update(JPEG).digest('hex');

const inBulk = (topic: string, payload: string | Buffer, seq: number): IPublishPacket =>
  packet(`vigie/lyon/b-1/${topic}`, payload, { lane: 'bulk', seq: String(seq) });

function receiptText(source = 'urn:vigie:lyon:b-1'): string {
  const receiptEvent = JSON.parse(eventText({ site: 'lyon', box: 'b-1', id: 'r-1', seq: 1 })) as VigieEvent;
  const { zone: _zone, ...data } = receiptEvent.data;
  return JSON.stringify({
    ...receiptEvent,
    source,
    type: 'vigie.installed.v1',
    subject: 'camera',
    data: {
      ...data,
      severity: 'system',
      rule: { id: 'built-in', kind: 'installed', params: {} },
      cause: CAUSE,
      objects: [],
      evidence: {
        snapshot: {
          sha256: SHA256,
          bytes: JPEG.length,
          time: receiptEvent.time,
          redaction: { figures: 0, cleanPlate: { ratio: 0, maxAgeS: 0 }, mosaicShare: 0, masks: 1 },
        },
      },
    },
  });
}

onEachDatabase('the receipt of an installation is archived', async (t, database) => {
  const archive = await database.open(() => NOW);
  const arrivals = [
    arrivalOf(inBulk('evt/system/installed', receiptText(), 1), NOW),
    arrivalOf(inBulk('snap/r-1', JPEG, 2), NOW),
  ];
  const stored = await archive.store(arrivals);
  t.equal(stored.newArrivals.length, 2);
  t.equal((await archive.store(arrivals)).newArrivals.length, 0, 'a repeated one is stored once');
  const db = database.sql();
  const [row] = await db.all<{ no: number; kind: string; cause: string; still: string }>(
    "SELECT no, kind, cause, still FROM incident WHERE kind = 'installed'",
  );
  t.match(row, { kind: 'installed', still: 'r-1' });
  t.strictSame(JSON.parse(row?.cause ?? ''), CAUSE, 'every fact is kept');
  const params = { no: row?.no ?? 0, moment: 'snapshot' } as const;
  const jpeg = await stillOf(db, callOf<'still'>('operator', NOW, { params }));
  t.ok(jpeg.equals(JPEG), 'an operator gets the picture');
  t.match(
    await db.all("SELECT account, incident FROM audit WHERE act = 'see-still'"),
    [{ account: 'operator', incident: row?.no }],
    'and the audit log has the view',
  );

  const other = arrivalOf(inBulk('evt/system/installed', receiptText('urn:vigie:lyon:b-2'), 3), NOW);
  t.match(other, { unread: '/source: urn:vigie:lyon:b-2 on a topic of urn:vigie:lyon:b-1' });
  await archive.store([other]);
  t.equal((await db.all('SELECT no FROM incident')).length, 1, 'a receipt of another box is not shown');
});

void t.test('a picture above the limit is refused', async (t) => {
  const large = Buffer.alloc(SNAPSHOT_BYTES_MAX + 1);
  t.throws(() => arrivalOf(inBulk('snap/r-1', large, 1), NOW), /a picture of 150001 bytes; at most 150000/);
  t.ok(arrivalOf(inBulk('snap/r-1', large.subarray(1), 1), NOW));
});
