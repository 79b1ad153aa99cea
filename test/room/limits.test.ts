/** Tests the limits of one hostile box: storage, names and removal, on real databases. */
import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { Archive } from '../../scripts/programs/room/archive/archive.ts';
import { arrivalOf, type EventArrival } from '../../scripts/programs/room/archive/message.ts';
import { Register } from '../../scripts/programs/room/archive/register.ts';
import { Withdrawal } from '../../scripts/programs/room/archive/withdrawal.ts';
import { camerasOf } from '../../scripts/programs/room/console/cameras.ts';
import { handOverOf } from '../../scripts/programs/room/console/hand-over.ts';
import { detailOf, pageOf } from '../../scripts/programs/room/console/incidents.ts';
import { changesSince, queueOf } from '../../scripts/programs/room/console/queue.ts';
import { reopen } from '../../scripts/programs/room/console/reopening.ts';
import { iso, type Sql } from '../../scripts/programs/room/database/sql.ts';
import { callOf, refusalOf } from '../lib/console-room.ts';
import { addIncident, addIncidents, putCamera, putCameras } from '../lib/console-rows.ts';
import { DATABASES, TIME_ZONE } from '../lib/databases.ts';
import { enrolled, revoked, writeBoxes } from '../lib/enrolled-boxes.ts';
import { eventText } from '../lib/events.ts';
import { FULL } from '../lib/run.ts';
import { scratch } from '../lib/paths.ts';
import { waitUntil } from '../lib/room.ts';
import { addVerdict, countOf, recordsOf } from '../lib/room-rows.ts';

const NOW = Date.parse('2026-11-24T14:00:00.000Z');
const DAY_MS = 86_400_000;

let seq = 0;

function alertOf(site: string, box: string, number = ++seq): EventArrival {
  const id = `e-${box}-${number}`;
  const arrival = arrivalOf(
    {
      cmd: 'publish',
      qos: 1,
      dup: false,
      retain: false,
      topic: `vigie/${site}/${box}/evt/alert/loitering`,
      payload: eventText({ site, box, id, seq: number, time: iso(NOW - 1000) }),
      properties: { userProperties: { seq: String(number), first: '1', lane: 'alert', epoch: 'e1' } },
    },
    NOW,
  );
  if (arrival.kind !== 'event') throw new Error('no event');
  return arrival;
}

function statusOf(site: string, box: string) {
  const body = JSON.stringify({ state: 'online', boot: 'b', time: iso(NOW) });
  return { kind: 'report', site, box, topic: 'status', body, isRetained: false } as const;
}

/** Stores in batches, as the archive does. */
async function storeAll(archive: Archive, arrivals: Parameters<Archive['store']>[0]): Promise<void> {
  for (let at = 0; at < arrivals.length; at += 200) await archive.store(arrivals.slice(at, at + 200));
}

for (const name of ['sqlite', 'postgres'] as const) {
  void t.test(`one box under many invented sites hides no other (${name})`, async (t) => {
    const { open, sql } = await DATABASES[name](t);
    const archive = await open(() => NOW);
    const honest = alertOf('lyon', 'zebra');
    await archive.store([honest, statusOf('lyon', 'zebra')]);
    const thief = Array.from({ length: 25 }, (_, site) =>
      Array.from({ length: 100 }, () => alertOf(`site-${site}`, 'thief')),
    ).flat();
    await storeAll(archive, thief);
    await storeAll(
      archive,
      Array.from({ length: 6000 }, (_, site) => statusOf(`a-${site}`, 'thief')),
    );
    const db = sql();
    const queue = await queueOf(db);
    t.ok(
      queue.incidents.some(({ box }) => box === 'zebra'),
      'the alert of the honest box is in the queue',
    );
    t.equal(queue.incidents.length + queue.more, 2501, 'all are counted');
    const { cameras, more } = await camerasOf(db, NOW);
    t.ok(
      cameras.some(({ box }) => box === 'zebra'),
      'its camera is on the list',
    );
    t.equal(cameras.length + more, 6026, 'cameras beyond the list are counted');
    t.equal((await handOverOf(db, { from: iso(NOW - DAY_MS), to: iso(NOW) }, NOW)).camerasMore, more);
  });

  void t.test(`a box stores no more than its daily quota (${name})`, async (t) => {
    const { open, sql, read } = await DATABASES[name](t);
    const notices: string[] = [];
    const clock = { ms: NOW };
    const dailyQuota = { messages: 300, bytes: 10_000_000 };
    const options = { dailyQuota, onNotice: (line: string) => notices.push(line) };
    const first = await open(() => clock.ms, options);
    const alerts = Array.from({ length: 1000 }, (_, at) => alertOf('lyon', 'thief', at + 1));
    await first.store([statusOf('lyon', 'thief'), statusOf('lyon', 'zebra')]);
    let leftOutCount = 0;
    let lastThrough = 0;
    for (let at = 0; at < 400; at += 100) {
      const { leftOut, lanes } = await first.store(alerts.slice(at, at + 100));
      leftOutCount += leftOut.length;
      lastThrough = lanes[0]?.contiguous_seq ?? lastThrough;
    }
    t.equal(leftOutCount, 100);
    t.equal(lastThrough, 300, 'a dropped message is not acknowledged');
    await first.store(alerts.slice(0, 100));
    // Opens it as after a restart, or as another archive that takes over.
    const second = await open(() => clock.ms, options);
    // Another site name, but the same box.
    const { leftOut } = await second.store([
      ...alerts.slice(400, 500),
      alertOf('nice', 'thief'),
      alertOf('lyon', 'zebra'),
    ]);
    t.equal(leftOut.length, 101, 'another archive knows how much it was, and the others are stored');
    t.equal(notices.length, 1, 'reported once');
    t.match(notices[0], /box lyon\/thief has had 300 messages/);
    const db = sql();
    const stored = await db.all('SELECT box, messages, left_out FROM box_share ORDER BY box');
    t.match(stored, [
      { box: 'thief', messages: 300, left_out: 101 + 100 + 100 },
      { box: 'zebra', messages: 1, left_out: 0 },
    ]);
    const { cameras } = await camerasOf(db, clock.ms);
    t.match(
      cameras.map(({ box, condition, reasons }) => ({ box, condition, reasons })),
      [
        { box: 'thief', condition: 'impaired', reasons: ['storage-share'] },
        { box: 'zebra', reasons: [] },
      ],
      'people see it at the camera',
    );
    clock.ms += DAY_MS;
    const { newArrivals } = await second.store(alerts.slice(300, 500));
    t.equal(newArrivals.length, 200, 'on the day after it is stored');
    const [camera] = (await camerasOf(db, clock.ms)).cameras;
    t.notOk(camera?.reasons.includes('storage-share'));
    t.equal(Number((await read("SELECT count(*) AS n FROM event WHERE box = 'thief'"))[0]?.['n']), 500);
    const large = await open(() => clock.ms, {
      ...options,
      dailyQuota: { messages: 10_000, bytes: 200_000 },
    });
    const bytes = await large.store(alerts.slice(500, 700));
    t.ok(bytes.leftOut.length > 50, 'bytes count as well');
  });

  void t.test(`repeated messages use no quota (${name})`, async (t) => {
    const { open, sql } = await DATABASES[name](t);
    const archive = await open(() => NOW, { dailyQuota: { messages: 250, bytes: 10_000_000 } });
    const alerts = Array.from({ length: 100 }, (_, at) => alertOf('lyon', 'b-1', at + 1));
    for (let round = 0; round < 5; round += 1) t.equal((await archive.store(alerts)).leftOut.length, 0);
    t.match(await sql().all('SELECT messages, left_out FROM box_share'), [{ messages: 100, left_out: 0 }]);
  });
}

interface Lists {
  readonly register: Register;
  set(...boxes: Parameters<typeof writeBoxes>[1]): void;
}

function listsOf(t: Test, ...boxes: Parameters<typeof writeBoxes>[1]): Lists {
  const file = join(scratch(t), 'boxes.json');
  writeBoxes(file, boxes);
  const register = new Register(file, (line) => t.comment(line));
  return {
    register,
    set: (...now) => {
      writeBoxes(file, now);
      register.refresh();
    },
  };
}

function startWithdrawal(t: Test, db: Sql, register: Register): { started: Withdrawal; notices: string[] } {
  const notices: string[] = [];
  const started = new Withdrawal({
    db,
    register,
    instanceId: randomUUID(),
    nowMs: () => NOW,
    log: (line) => {
      notices.push(line);
      t.comment(line);
    },
  });
  t.teardown(() => started.stop());
  started.start();
  return { started, notices };
}

const isDone = async (db: Sql): Promise<boolean> => {
  const [open] = await db.all<{ n: number }>(
    "SELECT count(*) AS n FROM incident WHERE box = 'thief' AND state <> 'closed' AND severity = 'alert'",
  );
  const [camera] = await db.all<{ n: number }>(
    "SELECT count(*) AS n FROM camera WHERE box = 'thief' AND NOT is_removed",
  );
  return (open?.n ?? 0) + (camera?.n ?? 0) === 0;
};

async function untilDone(t: Test, db: Sql): Promise<void> {
  let isOver = false;
  let pendingCheck: Promise<void> | undefined;
  await waitUntil(
    t,
    'the box is taken out',
    () => {
      pendingCheck ??= isDone(db).then((now) => {
        isOver = now;
        pendingCheck = undefined;
      });
      return isOver;
    },
    120_000,
  );
  await pendingCheck;
}

/** Open alerts of a revoked box: 30 batches, and 100 in the full run. */
const MANY_ALERTS = FULL ? 100_000 : 30_000;

for (const name of ['sqlite', 'postgres'] as const) {
  void t.test(`a revoked box leaves queue and list at once (${name})`, async (t) => {
    const { open, sql } = await DATABASES[name](t);
    const archive = await open(() => NOW);
    const db = sql();
    const { register, set } = listsOf(t, enrolled('lyon', 'thief'), enrolled('lyon', 'zebra'));
    const { started, notices } = startWithdrawal(t, db, register);
    await putCamera(db, 'thief', NOW);
    await putCamera(db, 'zebra', NOW);
    const quietNo = await addIncident(db, NOW, { box: 'zebra' });
    const [claimedNo = 0] = await addIncidents(db, [
      {
        received: iso(NOW),
        box: 'thief',
        state: 'claimed',
        claimed_by: 'anna',
        claimed_until: iso(NOW + 60_000),
      },
      { received: iso(NOW), box: 'thief', state: 'dispatched', dispatched_by: 'anna' },
      // A camera under an invented site.
      { received: iso(NOW), box: 'thief', site: 'nice' },
    ]);
    const lasting = await addIncident(db, NOW, { box: 'thief', severity: 'system', kind: 'covered' });
    await addVerdict(db, { site: 'lyon', box: 'thief' }, 'e-x', 'confirmed', NOW);
    const { rev } = await changesSince(db, 0, NOW);
    set(revoked('lyon', 'thief'), enrolled('lyon', 'zebra'));
    started.wake();
    await untilDone(t, db);
    const queue = await queueOf(db);
    t.same(
      queue.incidents.map(({ no }) => no),
      [quietNo],
      'only other boxes’ incidents are open',
    );
    const { cameras } = await camerasOf(db, NOW);
    t.same(
      cameras.map(({ box }) => box),
      ['zebra'],
    );
    const changes = await changesSince(db, rev, NOW);
    t.equal(changes.incidents.length, 4, 'every screen hears of each');
    t.same(changes.removedCameras, [{ site: 'lyon', box: 'thief' }]);
    t.same(changes.cameras, []);
    const { incident } = await detailOf(db, claimedNo, { timeZone: TIME_ZONE, nowMs: NOW });
    t.match(incident, {
      state: 'closed',
      closedReason: 'box-revoked',
      closedAt: iso(NOW),
      verdict: null,
      claimedBy: null,
      endedAt: iso(NOW),
      revision: 1,
    });
    t.equal(
      (await pageOf(db, { site: 'lyon', box: 'thief' })).incidents.length,
      3,
      'they are found all the same',
    );
    const [lastingRow] = await db.all<{ ended_at: string | null }>(
      'SELECT ended_at FROM incident WHERE no = $1',
      [lasting],
    );
    t.equal(lastingRow?.ended_at, iso(NOW), 'and a lasting incident has ended');
    t.equal(await countOf(db, 'verdict_due'), 0);
    t.match(await recordsOf(db, 'box-revoked'), [
      {
        site: 'lyon',
        box: 'thief',
        more: { closed: 3, verdicts: 1, revokedAt: revoked('lyon', 'thief').changedAt },
      },
    ]);
    t.equal((await recordsOf(db, 'box-revoked')).length, 1);
    t.same(notices, ['box lyon/thief is revoked: 3 open alerts of it are closed']);
    const shift = await handOverOf(db, { from: iso(NOW - 1000), to: iso(NOW + 1000) }, NOW);
    t.match(shift, { closed: 0, withdrawn: 3 });
    const reopening = callOf<'reopen'>('sup', NOW, {
      params: { no: claimedNo },
      body: { revision: 1 },
      key: 'k-1',
    });
    t.match((await refusalOf(reopen(db, reopening))).message, /its box thief was revoked/);
    // Messages that were in flight when the box was revoked.
    await archive.store([alertOf('lyon', 'thief'), statusOf('lyon', 'thief')]);
    started.wake();
    await untilDone(t, db);
    t.equal((await recordsOf(db, 'box-revoked')).length, 1, 'it is one act');
    set(enrolled('lyon', 'thief'), enrolled('lyon', 'zebra'));
    await archive.store([statusOf('lyon', 'thief')]);
    started.wake();
    const newCamera = (await camerasOf(db, NOW)).cameras.find(({ box }) => box === 'thief');
    t.match(newCamera, { state: 'online', lastAlert: null }, 'it starts empty after a new enrolment');
    t.equal((await reopen(db, reopening)).state, 'new');
    const past = callOf<'reopen'>('sup', NOW, { params: { no: 1 }, body: { revision: 0 }, key: 'k-2' });
    t.not((await refusalOf(reopen(db, past))).message, '');
  });

  void t.test(`a box with ${MANY_ALERTS} open alerts is removed in batches (${name})`, async (t) => {
    const { open, sql } = await DATABASES[name](t);
    await open(() => NOW);
    const db = sql();
    const numbers =
      name === 'postgres'
        ? `generate_series(1, ${MANY_ALERTS}) AS n`
        : `(WITH RECURSIVE up(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < ${MANY_ALERTS}) SELECT n FROM up)`;
    await db.run(
      `INSERT INTO incident (rev, revision, site, box, episode, entry, severity, priority, kind, rule, place, started_at,
         received, clock_doubt, objects, cause, events, newest, detail, state)
       SELECT 10 + n, 0, 'lyon', 'thief', 'm-' || n, 1, 'alert', 1, 'crowd-gathering', 'r-1', 'zone/z', $1, $1, false,
         '[]', '{}', 1, $1, '{}', 'new' FROM ${numbers}`,
      [iso(NOW)],
    );
    await db.run("UPDATE counter SET value = $1 WHERE name = 'rev'", [MANY_ALERTS + 10]);
    // As autovacuum does after a minute; a plan without statistics reads the whole table for each row.
    await db.run('ANALYZE');
    await putCameras(
      db,
      Array.from({ length: 2500 }, (_, site) => ({ box: 'thief', site: `s-${site}`, last_report: iso(NOW) })),
    );
    const { register } = listsOf(t, revoked('lyon', 'thief'));
    let longestMs = 0;
    const watched: Sql = {
      dialect: db.dialect,
      all: (text, values) => db.all(text, values),
      run: (text, values) => db.run(text, values),
      listen: (onChange) => db.listen(onChange),
      scrub: (isNight, limits) => db.scrub(isNight, limits),
      close: () => db.close(),
      transaction: async (action) => {
        const beganMs = performance.now();
        try {
          return await db.transaction(action);
        } finally {
          longestMs = Math.max(longestMs, performance.now() - beganMs);
        }
      },
    };
    const beganMs = performance.now();
    startWithdrawal(t, watched, register);
    await untilDone(t, db);
    const tookMs = performance.now() - beganMs;
    t.comment(`${Math.round(tookMs)} ms, the longest transaction ${Math.round(longestMs)} ms`);
    t.match(await recordsOf(db, 'box-revoked'), [{ more: { closed: MANY_ALERTS } }]);
    t.ok(longestMs < tookMs / 4, 'other requests are served between the batches');
    const duplicates = await db.all(
      'SELECT rev FROM (SELECT rev FROM incident UNION ALL SELECT rev FROM camera) AS every GROUP BY rev HAVING count(*) > 1',
    );
    t.same(duplicates, [], 'each change has a number of its own');
  });
}

void t.test('the list of enrolled boxes is validated, and the last valid one stays active', async (t) => {
  const file = join(scratch(t), 'boxes.json');
  t.throws(() => new Register(file, () => undefined), /--boxes: .*boxes.json: cannot be read/);
  writeFileSync(
    file,
    '{"version":1,"boxes":[{"site":"lyon","box":"B 1","state":"enrolled","changedAt":"now"}]}',
  );
  t.throws(
    () => new Register(file, () => undefined),
    /--boxes: .*: \/boxes\/0\/box: .*; name the boxes.json/,
  );
  writeBoxes(file, [enrolled('lyon', 'b-1'), enrolled('nice', 'b-1')]);
  t.throws(() => new Register(file, () => undefined), /the box b-1 is listed twice/);
  writeBoxes(file, [enrolled('lyon', 'b-1'), revoked('lyon', 'b-2')]);
  const notices: string[] = [];
  const register = new Register(file, (line) => notices.push(line));
  t.teardown(() => register.stop());
  t.ok(register.isEnrolled('lyon', 'b-1'));
  t.notOk(register.isEnrolled('nice', 'b-1'), 'at this very site');
  t.notOk(register.isEnrolled('lyon', 'b-2'));
  t.notOk(register.isEnrolled('lyon', 'b-3'));
  t.ok(register.isRevoked('b-2'));
  let changes = 0;
  register.start(() => {
    changes += 1;
  });
  writeFileSync(file, '{"version":1,');
  await waitUntil(t, 'it is reported', () => notices.length > 0);
  register.refresh();
  register.refresh();
  t.equal(notices.length, 1, 'once');
  t.match(notices[0], /cannot be read .*the list of before counts/);
  t.ok(register.isEnrolled('lyon', 'b-1'), 'the last good list counts');
  t.equal(changes, 0);
  writeBoxes(file, [revoked('lyon', 'b-1')]);
  await waitUntil(t, 'it is read again', () => register.isRevoked('b-1'));
  t.equal(changes, 1);
  t.match(notices[1], /is read again/);
});
