/** Tests what one user of the control room can do to others: streams, sessions and roles. */
import t from 'tap';
import { signerHandlers } from '../../scripts/programs/room/console/searches.ts';
import { SignerClient } from '../../scripts/programs/room/console/signer-client.ts';
import { ask, enter, from, readStream, startConsole } from '../lib/console.ts';
import { callOf, refusalOf } from '../lib/console-room.ts';
import { addIncident } from '../lib/console-rows.ts';
import { DATABASES } from '../lib/databases.ts';
import { waitUntil } from '../lib/room.ts';
import { recordsOf } from '../lib/room-rows.ts';

const NOW = Date.parse('2026-11-24T14:00:00.000Z');

void t.test('a user has 24 streams, and one with few gets one of another’s when all are taken', async (t) => {
  const db = await (await DATABASES.sqlite(t)).prepared();
  const accounts = Array.from({ length: 12 }, (_, n) => ({ name: `person-${n}`, role: 'operator' as const }));
  const { url, server } = await startConsole(t, db, { settings: { accounts } });
  const readers = new Map<string, ReturnType<typeof readStream>[]>();
  for (const { name } of accounts.slice(0, 11)) {
    const cookie = await enter(url, name);
    const own = Array.from({ length: 24 }, () => readStream(t, url, cookie));
    readers.set(name, own);
    await waitUntil(t, 'all are answered', () => own.every(({ status }) => status !== 0));
    const surplus = readStream(t, url, cookie);
    await waitUntil(t, 'one too many', () => surplus.status === 429);
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
