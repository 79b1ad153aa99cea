/** Tests that no account stops the others: claims that expire, and limits of notes and of calls at once. */
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { endClaims } from '../../scripts/products/room/console/acts.ts';
import { handOverOf } from '../../scripts/products/room/console/hand-over.ts';
import { detailOf, notesOf } from '../../scripts/products/room/console/incidents.ts';
import { partsOf } from '../../scripts/products/room/console/parts.ts';
import { changesSince, openOf, QueueReader, queueOf } from '../../scripts/products/room/console/queue.ts';
import { demoSettings } from '../../scripts/products/room/console/settings.ts';
import { NOTES_OF_ONE_MAX, NOTES_PAGE } from '../../scripts/products/room/contract/terms.ts';
import { iso, type Sql } from '../../scripts/products/room/database/sql.ts';
import { ask, enter, fullConsole, roomDatabase, TIME_ZONE } from '../lib/console.ts';
import { refusalOf } from '../lib/console-room.ts';
import { addIncidents, recordsOf } from '../lib/console-rows.ts';
import { DATABASES, onEachDatabase } from '../lib/databases.ts';
import { auditLines, type Person, personIn } from '../lib/room-acts.ts';

const NOW = Date.parse('2026-11-27T12:00:00.000Z');

/** A person, whose clock starts at `NOW`. */
const as = (db: Sql, name: string): Person => personIn(db, name, NOW);

onEachDatabase('one account does not stop the others', async (t, database) => {
  const [db, other] = [await database.prepared(NOW), await database.prepared(NOW)];
  const consoles = [db, other];

  await t.test('an expired claim is ended once, and its incident waits again', async (t) => {
    const nos = await addIncidents(
      db,
      [1, 2, 3, 4].map((index) => ({ received: iso(NOW - index * 60_000), box: 'b-claims', rule: 'r-ends' })),
    );
    const [first = 0, second = 0, dispatched = 0, later = 0] = nos;
    const openNos = async () =>
      (await openOf(db, ['new'])).incidents.flatMap(({ no }) => (nos.includes(no) ? [no] : []));
    for (const no of nos.slice(0, 3)) await as(db, 'anna').claim(no);
    await as(db, 'anna').dispatch(dispatched, { revision: 1, key: 'sent' });
    await as(db, 'ben').claim(later, { atS: 60 });
    const { revision } = await as(db, 'anna').claim(first, { atS: 20 });
    const endDue = (atS: number) => Promise.all(consoles.map((one) => endClaims(one, NOW + atS * 1000)));
    await endDue(119);
    t.same(await openNos(), [], 'not before');
    const { rev } = await changesSince(db, 0, NOW);
    await endDue(120);
    t.same(await openNos(), [first, second], 'they wait, and the report lists them as such');
    const report = await handOverOf(db, { from: iso(NOW - 600_000), to: iso(NOW + 600_000) }, NOW);
    t.match(
      report.open.filter(({ incident }) => incident.rule === 'r-ends'),
      [
        { count: 2, incident: { state: 'new', claimedBy: null } },
        { count: 1, incident: { state: 'claimed', claimedBy: 'ben' } },
      ],
    );
    t.match(
      (await changesSince(db, rev, NOW)).incidents.filter(({ no }) => nos.includes(no)),
      [
        { no: first, state: 'new', claimedBy: null, claimedUntil: null, revision },
        { no: second, state: 'new' },
      ],
      'screens hear that, and what a person has seen still holds',
    );
    t.match(await as(db, 'ben').claim(first, { atS: 121 }), { claimedBy: 'ben', state: 'claimed' });
    await endDue(-3600);
    t.same(await openNos(), [first, second, later], 'the clock was set back: every claim was too long');
    await as(db, 'ben').claim(second, { atS: 300 });
    await partsOf(db, demoSettings('unused', '127.0.0.1:0'), TIME_ZONE, Date.now).changesSince(0, 2000, true);
    t.ok((await openNos()).includes(second), 'screens’ queries end them');
    t.same(await auditLines(db, first), ['anna claim', 'room claim-ended', 'ben claim', 'room claim-ended']);
    t.same(
      (await auditLines(db, second)).slice(0, 3),
      ['anna claim', 'room claim-ended', 'ben claim'],
      'once, by one of two consoles',
    );
    t.same(
      (await recordsOf(db, 'claim-ended')).flatMap(({ incident, more }) =>
        nos.includes(incident ?? 0) ? [[incident, more]] : [],
      ),
      [
        [first, { owner: 'anna' }],
        [second, { owner: 'anna' }],
        [first, { owner: 'ben' }],
        [later, { owner: 'ben' }],
        [second, { owner: 'ben' }],
      ],
    );
    t.same(await auditLines(db, dispatched), ['anna claim', 'anna dispatch'], 'a dispatch does not expire');
  });

  await t.test('notes of one account stop no verdict of another, and are limited', async (t) => {
    const nos = await addIncidents(
      db,
      Array.from({ length: 40 }, () => ({ received: iso(NOW) })),
    );
    for (const no of nos) await as(db, 'ben').note(no, 'x', { key: `n-${no}` });
    const { results } = await as(db, 'anna').reviewAll(
      nos.map((no) => ({ no, revision: 0 })),
      'unclear',
    );
    t.same(new Set(results.map(({ problem }) => problem)), new Set([null]), 'all 40 are closed');
    const [no = 0] = nos;
    for (let index = 1; index < NOTES_OF_ONE_MAX; index += 1)
      await as(db, 'ben').note(no, 'y'.repeat(1000), { key: `more-${index}` });
    const refusal = await refusalOf(as(db, 'ben').note(no, 'one more', { key: 'beyond' }));
    const line = `incident ${no}: ben has 20 notes on it, which is the most`;
    t.match([refusal.status, refusal.message], [409, line]);
    for (const person of ['anna', 'cleo'])
      for (let index = 0; index < NOTES_OF_ONE_MAX; index += 1)
        await as(other, person).note(no, 'z', { key: `${no} ${index}` });
    const detail = await detailOf(db, no, { timeZone: TIME_ZONE, nowMs: NOW });
    t.equal(detail.notes.notes.length, NOTES_PAGE, 'the newest are sent with the incident');
    t.equal(detail.incident.lastNote, detail.notes.notes.at(-1)?.no);
    const earlier = await notesOf(db, no, detail.notes.next ?? 0);
    t.same([earlier.notes.length, earlier.next], [10, null]);
    const texts = [...earlier.notes, ...detail.notes.notes].map(({ no: number }) => number);
    t.same(
      texts,
      [...new Set(texts)].sort((a, b) => a - b),
      'each once, in order',
    );
  });

  await t.test('the queue is built once between two changes, and only from what has changed', async (t) => {
    const [keptNo = 0, changedNo = 0] = await addIncidents(db, [{ rule: 'r-kept' }, { rule: 'r-changed' }]);
    const reader = new QueueReader(db);
    const ofBoth = async (atMs = NOW) => {
      const queue = await reader.read(atMs);
      return { queue, both: [keptNo, changedNo].map((no) => queue.incidents.find((one) => one.no === no)) };
    };
    const first = await ofBoth();
    t.equal((await ofBoth()).queue, first.queue, 'the same answer for all');
    t.not((await ofBoth(NOW + 5000)).queue, first.queue, 'for five seconds, in case one was deleted');
    await as(db, 'anna').claim(changedNo);
    const second = await ofBoth();
    t.match(second.both[1], { state: 'claimed', claimedBy: 'anna' });
    t.equal(second.both[0], first.both[0]);
    await as(db, 'anna').review(changedNo, 'unclear', { revision: 1 });
    t.same((await ofBoth()).both, [first.both[0], undefined]);
    t.same((await ofBoth()).queue, await queueOf(db), 'as without memory');
  });
});

void t.test('the calls of one account wait for each other, and beyond 32 they are refused', async (t) => {
  const db = await roomDatabase(t, (await DATABASES.sqlite(t)).address);
  let running = 0;
  let answer = (): void => undefined;
  const release = new Promise<void>((resolve) => {
    answer = resolve;
  });
  const cameras = async (): Promise<never> => {
    running += 1;
    await release;
    return [] as never;
  };
  const { url, server } = await fullConsole(t, db, {}, { cameras });
  const headers = { cookie: await enter(url, 'operator') };
  const calls = Array.from({ length: 40 }, () => ask(`${url}/api/cameras`, { headers }));
  const refusal = await Promise.race(calls);
  t.match([refusal.status, refusal.headers['retry-after']], [429, '1']);
  t.match(refusal.json, { title: 'operator: 32 calls at once, which is the most; wait for their answers' });
  t.equal(running, 2, 'two run');
  const otherHeaders = { cookie: await enter(url, 'supervisor') };
  t.equal(
    (await ask(`${url}/api/queue`, { headers: otherHeaders })).status,
    200,
    'a colleague is answered at once',
  );
  answer();
  const statuses = (await Promise.all(calls)).map(({ status }) => status);
  t.same(
    [statuses.filter((one) => one === 200).length, running],
    [32, 32],
    'each that was accepted is answered',
  );
  t.match(server.summary(), '8 calls too many at once');
  t.equal((await ask(`${url}/api/queue`, { headers })).status, 200);
});

void t.test('two exports of an account run until they are sent; its other calls go on', async (t) => {
  const db = await roomDatabase(t, (await DATABASES.sqlite(t)).address);
  let running = 0;
  let end = (): void => undefined;
  const release = new Promise<void>((resolve) => {
    end = resolve;
  });
  const auditCsv = async (): Promise<AsyncIterable<string>> => {
    running += 1;
    const isHeld = running <= 2;
    return (async function* () {
      yield 'no\r\n';
      if (isHeld) await release;
    })();
  };
  const { url, server } = await fullConsole(t, db, {}, { auditCsv });
  t.teardown(end);
  const headers = { cookie: await enter(url, 'supervisor') };
  const exported = () => ask(`${url}/api/audit.csv`, { headers });
  const answers = [exported(), exported()];
  // Longer than the time for which an ordinary answer counts.
  await sleep(1500);
  const refusal = await exported();
  t.match([refusal.status, refusal.headers['retry-after'], running], [429, '5', 2]);
  t.match(refusal.json, {
    title: 'supervisor: 2 exports at once, which is the most; wait for their answers',
  });
  t.equal((await ask(`${url}/api/queue`, { headers })).status, 200, 'its other calls go on');
  end();
  t.same(
    (await Promise.all(answers)).map(({ status, text }) => [status, text]),
    [
      [200, 'no\r\n'],
      [200, 'no\r\n'],
    ],
  );
  t.equal((await exported()).status, 200, 'then another one runs');
  t.match(server.summary(), '1 exports too many at once');
});
