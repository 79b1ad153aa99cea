/** Tests that no account stops the others: claims that expire, and limits of notes and of calls at once. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Value } from '@sinclair/typebox/value';
import t from 'tap';
import { mostClosings } from '../../scripts/products/room/console/account-limits.ts';
import { endClaims } from '../../scripts/products/room/console/acts.ts';
import { handOverOf } from '../../scripts/products/room/console/hand-over.ts';
import type { LimitError } from '../../scripts/products/room/console/handler.ts';
import { detailOf, notesOf } from '../../scripts/products/room/console/incidents.ts';
import { partsOf } from '../../scripts/products/room/console/parts.ts';
import { changesSince, openOf, QueueReader, queueOf } from '../../scripts/products/room/console/queue.ts';
import { demoSettings } from '../../scripts/products/room/console/settings.ts';
import {
  CLAIMS_OF_ONE_MAX,
  CLOSINGS_OF_ONE_MAX,
  NOTES_OF_ONE_MAX,
  NOTES_PAGE,
  SUPPRESSIONS_OF_ONE_MAX,
} from '../../scripts/products/room/contract/terms.ts';
import { BulkAnswer } from '../../scripts/products/room/contract/undo.ts';
import { iso, type Sql } from '../../scripts/products/room/database/sql.ts';
import { ask, enter, fullConsole, roomDatabase, TIME_ZONE } from '../lib/console.ts';
import { callOf, refusalOf } from '../lib/console-room.ts';
import { addIncidents, insert, putCameras, recordsOf } from '../lib/console-rows.ts';
import { DATABASES, onEachDatabase } from '../lib/databases.ts';
import { ROOT } from '../lib/paths.ts';
import { auditLines, handlersOf, type Person, personIn, stateOf } from '../lib/room-acts.ts';

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

  await t.test('an account holds 20 claims and 5 suppressions, whatever its colleagues hold', async (t) => {
    const nos = await addIncidents(
      db,
      Array.from({ length: 22 }, (_, index) => ({ received: iso(NOW), box: 'b-held', rule: `r-${index}` })),
    );
    const [first = 0, second = 0] = nos;
    const last = nos.at(-1) ?? 0;
    for (const no of nos.slice(0, CLAIMS_OF_ONE_MAX)) await as(db, 'dora').claim(no, { atS: 10_000 });
    const refusal = await refusalOf(as(other, 'dora').claim(last, { atS: 10_001 }));
    const line = 'dora has claimed 20 incidents, which is the most; release or close one first';
    t.match([refusal.status, refusal.message], [409, line]);
    t.match(await as(db, 'dora').claim(first, { atS: 10_060 }), { claimedBy: 'dora' }, 'a claim is renewed');
    t.match(await as(db, 'ben').claim(nos[20] ?? 0, { atS: 10_060 }), { claimedBy: 'ben' });
    await as(db, 'dora').dispatch(second, { atS: 10_061, revision: 1, key: 'held' });
    t.match(
      await as(db, 'dora').claim(last, { atS: 10_061 }),
      { claimedBy: 'dora' },
      'a dispatch does not count',
    );
    t.ok(await as(db, 'dora').release(last, { atS: 10_062 }));
    await as(db, 'dora').claim(last, { atS: 10_125 });
    t.same((await openOf(db, ['claimed'])).incidents.filter(({ box }) => box === 'b-held').length, 21);

    const handlers = handlersOf(db);
    const suppressed = (user: string, rule: string) =>
      handlers.suppress(callOf(user, NOW, { body: { site: 'lyon', box: 'b-held', rule, reason: 'sun' } }));
    const own = [];
    for (let index = 0; index < SUPPRESSIONS_OF_ONE_MAX; index += 1)
      own.push(await suppressed('dora', `r-${index}`));
    const sixthRefusal = await refusalOf(suppressed('dora', 'r-10'));
    const moreLine = 'suppressions: 5 of dora run, which is the most; end one first';
    t.match([sixthRefusal.status, sixthRefusal.message], [409, moreLine]);
    t.match(await suppressed('ben', 'r-10'), { account: 'ben' });
    const answers = [];
    for (const { no } of own.slice(0, 2))
      answers.push(await handlers.unsuppress(callOf('dora', NOW, { params: { no } })));
    await suppressed('dora', 'r-11');
    const undo = await as(db, 'dora').undo(answers.flatMap(({ undo: { acts } }) => acts));
    t.same(
      undo.results.map(({ problem }) => problem),
      [moreLine, null],
      'an undo brings back no more than that; the later one comes first',
    );
  });

  await t.test(
    'an account closes 500 in 5 minutes; one act reopens them, and one undo closes them',
    async (t) => {
      const rows = Array.from({ length: CLOSINGS_OF_ONE_MAX + 2 }, () => ({
        received: iso(NOW),
        box: 'b-mass',
      }));
      const nos = await addIncidents(db, rows);
      const seenOf = (from: number, to: number, revision = 0) =>
        nos.slice(from, to).map((no) => ({ no, revision }));
      const eve = (atS: number) => ({ atS: 20_000 + atS, withoutLooking: true });
      const undone = await as(db, 'eve').reviewAll(seenOf(0, 10), 'unclear', eve(0));
      await as(db, 'eve').undo(undone.undo.acts, eve(1));
      t.equal(await mostClosings(db, NOW + 20_001_000), 0, 'what was undone does not count');
      await as(db, 'eve').reviewAll(seenOf(10, 500), 'false-alarm', eve(2));
      await as(other, 'eve').reviewAll(seenOf(0, 10, 2), 'false-alarm', eve(60));
      t.equal(await mostClosings(other, NOW + 20_060_000), 500);
      for (const acting of [eve(62), eve(301)]) {
        const refusal = await refusalOf(as(other, 'eve').review(nos[500] ?? 0, 'unclear', acting));
        const waitS = 302 - ((acting.atS ?? 0) - 20_000);
        const line = `eve: has closed 500, and 500 in 5 min are the most; close these 1 in ${waitS} s`;
        t.match([refusal.status, refusal.message], [429, line]);
        t.equal((refusal as LimitError).retryS, waitS);
      }
      t.match(
        await as(db, 'ben').review(nos[501] ?? 0, 'unclear', eve(62)),
        { state: 'closed' },
        'a colleague',
      );
      t.match(await as(db, 'eve').review(nos[500] ?? 0, 'unclear', eve(302)), { state: 'closed' });

      const [stale = 0, open = 0, revoked = 0] = [
        ...nos.slice(0, 1),
        ...(await addIncidents(db, [{}, { box: 'b-gone' }])),
      ];
      await as(db, 'eve').review(revoked, 'unclear', eve(400));
      await putCameras(db, [{ box: 'b-gone', last_report: iso(NOW), is_removed: 1 }]);
      const supervisor = as(db, 'supervisor');
      const before = await stateOf(db);
      const incidents = [
        { no: stale, revision: 0 },
        { no: open, revision: 0 },
        { no: revoked, revision: 1 },
        ...seenOf(1, 10, 3),
        ...seenOf(10, 497, 1),
        { no: 999_999_999, revision: 1 },
      ];
      const { results, undo } = await supervisor.reopenAll(incidents, { atS: 20_500 });
      t.ok(Value.Check(BulkAnswer, { results, undo }), 'the answer fits its schema');
      t.match(
        [...results.slice(0, 3), ...results.slice(-1)].map(({ problem }) => problem),
        [/has changed since/, /still open/, /b-gone was revoked/, /does not exist/],
      );
      const reopened = results.filter(({ problem }) => problem === null);
      t.equal(reopened.length, 496);
      t.ok(reopened.every(({ no, incident }) => incident?.reopens === no && incident.state === 'new'));
      t.same(undo.acts.length, 496);
      const repeated = await supervisor.reopenAll(seenOf(10, 12, 1), { atS: 20_501 });
      const [entry] = repeated.results;
      const newNo = reopened.find(({ no }) => no === entry?.no)?.incident?.no ?? 0;
      t.match(entry, {
        incident: { no: newNo },
        problem: `incident ${entry?.no}: it was reopened already, as incident ${newNo}`,
      });
      t.same(await auditLines(db, newNo), ['supervisor reopen']);
      await supervisor.undo(undo.acts, { atS: 20_505 });
      const withdrawn = await db.all('SELECT no FROM incident WHERE reopens IS NOT NULL AND entry > 0');
      t.same(withdrawn, [], 'one undo withdraws all');
      t.same(await stateOf(db), before);
    },
  );

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
  const metrics = (forwarded: Record<string, string>) => ask(`${url}/metrics`, { headers: forwarded });
  const { text } = await metrics({});
  t.match(text, 'vigie_console_refused_total{limit="calls"} 8\n');
  t.match(text, 'vigie_console_closings_of_one 0\n');
  const byProxy = await metrics({ 'x-forwarded-for': '192.0.2.7' });
  t.match(
    [byProxy.status, byProxy.json],
    [404, { title: 'only on the room’s machine' }],
    'not through the proxy',
  );
  t.equal((await ask(`${url}/api/queue`, { headers })).status, 200);
});

void t.test('the rules for the console name its metrics', async (t) => {
  const db = await roomDatabase(t, (await DATABASES.sqlite(t)).address);
  await insert(db, 'webhook_refused', { webhook: 'city', id: 'x', at: iso(NOW), status: 400, body: '{}' });
  const { url } = await fullConsole(t, db);
  const { text } = await ask(`${url}/metrics`);
  t.match(text, 'vigie_console_webhook_refused{webhook="city"} 1\n');
  const rules = readFileSync(join(ROOT, 'scripts/products/room/failover/prometheus-rules.yaml'), 'utf8');
  const names = [...rules.matchAll(/\bvigie_\w+/g)].map(([name]) => name);
  t.ok(names.length >= 2);
  for (const name of names) t.match(text, `# TYPE ${name} `);
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
