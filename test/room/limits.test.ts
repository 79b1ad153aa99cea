/** Tests the limits of one hostile box: storage, names and removal, on real databases. */
import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import type { Archive } from '../../scripts/products/room/archive/archive.ts';
import type { Arrival, EventArrival } from '../../scripts/products/room/archive/message.ts';
import { Register } from '../../scripts/products/room/archive/register.ts';
import { Withdrawal } from '../../scripts/products/room/archive/withdrawal.ts';
import { camerasOf } from '../../scripts/products/room/console/cameras.ts';
import { handOverOf } from '../../scripts/products/room/console/hand-over.ts';
import { detailOf, pageOf } from '../../scripts/products/room/console/incidents.ts';
import { changesSince, queueOf } from '../../scripts/products/room/console/queue.ts';
import { reopen } from '../../scripts/products/room/console/reopening.ts';
import { iso, type Sql } from '../../scripts/products/room/database/sql.ts';
import { callOf, refusalOf } from '../lib/console-room.ts';
import {
  addIncident,
  addIncidents,
  addManyIncidents,
  addVerdict,
  countOf,
  DAY_MS,
  putCamera,
  putCameras,
  recordsOf,
} from '../lib/console-rows.ts';
import { onEachDatabase, TIME_ZONE } from '../lib/databases.ts';
import { enrolled, revoked, writeBoxes } from '../lib/enrolled-boxes.ts';
import { scratch } from '../lib/paths.ts';
import { waitUntil } from '../lib/room.ts';
import { eventArrival, statusArrival } from '../lib/room-alerts.ts';
import { ALL, FULL } from '../lib/run.ts';

const NOW = Date.parse('2026-11-24T14:00:00.000Z');

const alertOf = (site: string, box: string, seq?: number): EventArrival =>
  eventArrival({ site, box, ...(seq !== undefined && { seq }) }, NOW);
const statusOf = (site: string, box: string): Arrival => statusArrival(site, box, NOW);

/** Stores in batches, as the archive does. */
async function storeAll(archive: Archive, arrivals: Parameters<Archive['store']>[0]): Promise<void> {
  for (let at = 0; at < arrivals.length; at += 200) await archive.store(arrivals.slice(at, at + 200));
}

onEachDatabase('one box under many invented sites hides no other', async (t, { open, sql }) => {
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

onEachDatabase('a box stores no more than its daily quota', async (t, { open, sql, read }) => {
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

onEachDatabase('repeated messages use no quota', async (t, { open, sql }) => {
  const archive = await open(() => NOW, { dailyQuota: { messages: 250, bytes: 10_000_000 } });
  const alerts = Array.from({ length: 100 }, (_, at) => alertOf('lyon', 'b-1', at + 1));
  for (let round = 0; round < 5; round += 1) t.equal((await archive.store(alerts)).leftOut.length, 0);
  t.match(await sql().all('SELECT messages, left_out FROM box_share'), [{ messages: 100, left_out: 0 }]);
});

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

async function untilDone(db: Sql): Promise<void> {
  const open = "box = 'thief' AND state <> 'closed' AND severity = 'alert'";
  while ((await countOf(db, `incident WHERE ${open}`)) > 0) await sleep(10);
  while ((await countOf(db, "camera WHERE box = 'thief' AND NOT is_removed")) > 0) await sleep(10);
}

/** Open alerts of a revoked box: 5, 30 or 100 batches. */
const MANY_ALERTS = FULL ? 100_000 : ALL ? 30_000 : 5000;

onEachDatabase('a revoked box leaves queue and list at once', async (t, { open, sql }) => {
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
  await untilDone(db);
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
  await untilDone(db);
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

onEachDatabase(`a box with ${MANY_ALERTS} open alerts is removed in batches`, async (t, { prepared }) => {
  const db = await prepared(NOW);
  await addManyIncidents(db, MANY_ALERTS, { nowMs: NOW }, { box: "'thief'" });
  await putCameras(
    db,
    Array.from({ length: 2500 }, (_, site) => ({ box: 'thief', site: `s-${site}`, last_report: iso(NOW) })),
  );
  const { register } = listsOf(t, revoked('lyon', 'thief'));
  let transactions = 0;
  const watched: Sql = {
    dialect: db.dialect,
    all: (text, values) => db.all(text, values),
    run: (text, values) => db.run(text, values),
    listen: (onChange) => db.listen(onChange),
    scrub: (isNight, limits) => db.scrub(isNight, limits),
    close: () => db.close(),
    transaction: (action) => {
      transactions += 1;
      return db.transaction(action);
    },
  };
  startWithdrawal(t, watched, register);
  await untilDone(db);
  t.match(await recordsOf(db, 'box-revoked'), [{ more: { closed: MANY_ALERTS } }]);
  t.ok(transactions >= MANY_ALERTS / 1000, `${transactions} transactions, others are served between`);
  const duplicates = await db.all(
    'SELECT rev FROM (SELECT rev FROM incident UNION ALL SELECT rev FROM camera) AS every GROUP BY rev HAVING count(*) > 1',
  );
  t.same(duplicates, [], 'each change has a number of its own');
});

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
