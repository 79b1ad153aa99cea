/** Tests what one user of the control room can do to others: streams, sessions and roles. */
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { signerHandlers } from '../../scripts/programs/room/console/searches.ts';
import { SignerClient } from '../../scripts/programs/room/console/signer-client.ts';
import { ask, cookieOf, enter, from, readStream, startConsole } from '../lib/console.ts';
import { callOf, refusalOf } from '../lib/console-room.ts';
import { addIncident } from '../lib/console-rows.ts';
import { DATABASES } from '../lib/databases.ts';
import { waitUntil } from '../lib/room.ts';
import { recordsOf } from '../lib/room-rows.ts';

const NOW = Date.parse('2026-11-24T14:00:00.000Z');

/** Maximum number of streams that the console accepts for one account, and for one session. */
const SESSIONS = 16;
const STREAMS = 8;

void t.test('two users with all their sessions and streams do not shut out a third', async (t) => {
  const db = await (await DATABASES.sqlite(t)).prepared();
  const { url, server } = await startConsole(t, db);
  const readers = [];
  for (const name of ['operator', 'operator-2']) {
    for (let session = 0; session < SESSIONS; session += 1) {
      // From several addresses, since one address may not open as many sessions in a minute.
      const headers = { ...from(url), 'x-forwarded-for': `192.0.2.${session}` };
      const entered = await ask(`${url}/api/login`, { method: 'POST', headers, body: { name } });
      const cookie = cookieOf(entered);
      for (let at = 0; at < STREAMS; at += 1) readers.push(readStream(t, url, cookie));
      const lastReaders = readers.slice(-STREAMS);
      await waitUntil(t, 'all are answered', () => lastReaders.every(({ status }) => status !== 0));
    }
  }
  const supervisor = readStream(t, url, await enter(url, 'supervisor'));
  await waitUntil(t, 'the supervisor is answered', () => supervisor.status !== 0);
  t.equal(supervisor.status, 200, 'is let in');
  await addIncident(db);
  await waitUntil(t, 'and reported', () => supervisor.names().includes('incidents'));
  const open = readers.filter(({ status, isOver }) => status === 200 && !isOver);
  t.equal(open.length, 2 * 24, 'of one person 24');
  t.equal(readers.filter(({ status }) => status === 429).length, 2 * (SESSIONS * STREAMS - 24));
  open[0]?.close();
  await sleep(100);
  const reconnected = readStream(t, url, await enter(url, 'operator'));
  await waitUntil(t, 'one that was closed is free again', () => reconnected.status === 200);
  t.match(server.summary(), /208 streams too many/);
});

void t.test('a user with few streams gets one of the user with most when all are taken', async (t) => {
  const db = await (await DATABASES.sqlite(t)).prepared();
  const accounts = Array.from({ length: 12 }, (_, n) => ({ name: `person-${n}`, role: 'operator' as const }));
  const { url, server } = await startConsole(t, db, { settings: { accounts } });
  const readers = new Map<string, ReturnType<typeof readStream>[]>();
  for (const { name } of accounts.slice(0, 11)) {
    const cookie = await enter(url, name);
    const own = Array.from({ length: 24 }, () => readStream(t, url, cookie));
    readers.set(name, own);
    await waitUntil(t, 'all are answered', () => own.every(({ status }) => status !== 0));
  }
  const late = readStream(t, url, await enter(url, 'person-11'));
  await waitUntil(t, 'the last one is answered', () => late.status !== 0);
  t.equal(late.status, 200);
  const open = (name: string): number =>
    readers.get(name)?.filter(({ status, isOver }) => status === 200 && !isOver).length ?? 0;
  await waitUntil(
    t,
    'one user has one fewer',
    () => accounts.slice(0, 11).reduce((sum, { name }) => sum + open(name), 0) === 255,
  );
  t.ok(open('person-10') >= 20, 'earlier users got theirs from others');
  t.match(server.summary(), /streams ended for a person with fewer/);
});

void t.test('the audit log of a search names every queried box', async (t) => {
  const db = await (await DATABASES.sqlite(t)).prepared();
  const { search, sealed } = signerHandlers(new SignerClient('/nowhere/signer.sock'), db, Date.now);
  const boxes = Array.from({ length: 150 }, (_, n) => `box-${n}`);
  const body = {
    case: '17',
    reason: 'theft',
    from: '2026-11-01T00:00:00Z',
    to: '2026-11-02T00:00:00Z',
    boxes,
  };
  const startSearch = (change: object) =>
    search(callOf<'search'>('anna', NOW, { body: { ...body, ...change } }));
  // It is audited before the signer is queried.
  t.match((await refusalOf(startSearch({}))).message, /signer does not answer/);
  t.match(await recordsOf(db, 'search'), [{ more: { boxes, case: '17' } }]);
  const no = await addIncident(db, NOW, { detail: '{"sealed":true,"event":"e-1"}' });
  for (const blank of [' ', '\u200b', '\u2060', '–', '\u{1f600}']) {
    for (const change of [{ case: blank }, { reason: blank }]) {
      t.match(await refusalOf(startSearch(change)), { status: 400, message: /at least one letter or digit/ });
      const still = callOf<'sealed'>('sup', NOW, { params: { no }, body: { ...body, ...change } });
      t.match(await refusalOf(sealed(still)), { status: 400, message: /at least one letter or digit/ });
    }
  }
  for (const text of ['ü', '案件', '٣'])
    t.match((await refusalOf(startSearch({ case: text }))).message, /signer does not/, text);
  t.equal((await recordsOf(db, 'search')).length, 4, 'a refusal is not audited');
});

void t.test('a supervisor ends another user’s sessions', async (t) => {
  const db = await (await DATABASES.sqlite(t)).prepared();
  const { url } = await startConsole(t, db);
  const [one, two, boss] = [
    await enter(url, 'operator'),
    await enter(url, 'operator'),
    await enter(url, 'supervisor'),
  ];
  const streams = [readStream(t, url, one), readStream(t, url, two)];
  const otherStream = readStream(t, url, boss);
  await waitUntil(t, 'streams', () => [...streams, otherStream].every(({ status }) => status === 200));
  const headers = (cookie: string) => ({ cookie, ...from(url) });
  const present = await ask(`${url}/api/sessions`, { headers: { cookie: boss } });
  t.match(present.json.people, [
    { user: 'operator', role: 'operator', sessions: 2 },
    { user: 'supervisor', role: 'supervisor', sessions: 1 },
  ]);
  t.equal((await ask(`${url}/api/sessions`, { headers: { cookie: one } })).status, 403);
  const path = `${url}/api/sessions/end`;
  const body = { user: 'operator' };
  t.equal((await ask(path, { method: 'POST', headers: headers(one), body })).status, 403);
  const answer = await ask(path, { method: 'POST', headers: headers(boss), body });
  t.same(answer.json, { endedCount: 2 });
  await waitUntil(t, 'their streams end', () => streams.every(({ isOver }) => isOver));
  t.same(
    streams.map((stream) => stream.names().at(-1)),
    ['session', 'session'],
  );
  t.equal((await ask(`${url}/api/session`, { headers: { cookie: two } })).status, 401);
  t.notOk(otherStream.isOver, 'no other user’s');
  t.match(await recordsOf(db, 'end-sessions'), [{ more: { user: 'operator', endedCount: 2 } }]);
  t.same((await ask(path, { method: 'POST', headers: headers(boss), body })).json, { endedCount: 0 });
});

void t.test('a changed or removed account of the settings ends its sessions', async (t) => {
  const db = await (await DATABASES.sqlite(t)).prepared();
  const before = await startConsole(t, db);
  const cookies = [await enter(before.url, 'operator'), await enter(before.url, 'operator-2')];
  await before.server.stop();
  const accounts = [{ name: 'operator', role: 'auditor' as const }];
  const { url } = await startConsole(t, db, { settings: { accounts } });
  for (const cookie of cookies)
    t.equal((await ask(`${url}/api/session`, { headers: { cookie } })).status, 401);
  t.match(await recordsOf(db, 'session-ended'), [
    { more: { user: 'operator', role: 'operator', reason: 'the role is auditor now' } },
    { more: { user: 'operator-2', reason: 'the settings have no such account any more' } },
  ]);
});
