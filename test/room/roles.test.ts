/** Tests roles that the identity provider withdraws during a session. */
import t from 'tap';
import { freePort } from '../../scripts/lib/mosquitto.ts';
import { readStream } from '../lib/console.ts';
import { Browser, consoleWith, GROUPS, listening, provider } from '../lib/oidc-people.ts';
import { waitUntil } from '../lib/room.ts';

t.test('a withdrawn role or account loses its rights within minutes', async (t) => {
  const [port, idp] = [await freePort(), await freePort()];
  const { issuer, person, server, serve } = await provider(
    t,
    idp,
    `http://127.0.0.1:${port}/auth/back`,
    true,
  );
  const { url, db, clock, notices } = await consoleWith(t, port, issuer);
  const come = async (name: string): Promise<Browser> => {
    person.name = name;
    const browser = new Browser();
    const answer = await browser.get(await browser.wayBack(`${url}/auth/enter`));
    t.equal(answer.status, 200, answer.text);
    return browser;
  };
  GROUPS['lena'] = ['room-supervisors'];
  GROUPS['otto'] = ['room-operators'];
  GROUPS['paul'] = ['room-operators'];
  t.teardown(() => ['lena', 'otto', 'paul'].map((name) => delete GROUPS[name]));
  const [lena, otto, paul] = [await come('lena'), await come('otto'), await come('paul')];
  const status = async (browser: Browser): Promise<number> =>
    (await browser.get(`${url}/api/session`)).status;
  const rows = await db.all<{ renewal: string | null }>('SELECT renewal FROM session');
  t.equal(rows.filter(({ renewal }) => renewal !== null).length, 3);
  const cookie = `vigie=${paul.cookie(url, 'vigie')}`;
  const stream = readStream(t, url, cookie);
  await waitUntil(t, 'a stream', () => stream.status === 200);
  const endings = () =>
    db.all<{ more: string }>("SELECT more FROM audit WHERE act = 'session-ended' ORDER BY no");
  let endedRecords: string[] = [];
  const untilEnded = async (count: number): Promise<void> => {
    let isAsking = false;
    await waitUntil(t, `${count} are logged out`, () => {
      if (!isAsking) {
        isAsking = true;
        void endings().then((entries) => {
          endedRecords = entries.map(({ more }) => more);
          isAsking = false;
        });
      }
      return endedRecords.length === count;
    });
  };
  GROUPS['lena'] = ['room-operators'];
  delete GROUPS['paul'];
  clock.aheadMs = 6 * 60_000;
  await untilEnded(2);
  t.equal(await status(lena), 401, 'another role');
  t.equal(await status(paul), 401, 'no account');
  t.equal(await status(otto), 200, 'as before');
  t.ok(stream.names().includes('session'), 'and the stream has ended');
  t.match(endedRecords.join(), /"user":"lena","role":"supervisor","reason":"the role is operator now"/);
  // An unavailable provider ends no session.
  server.close().closeAllConnections();
  clock.aheadMs = 12 * 60_000;
  await waitUntil(t, 'it is reported', () =>
    notices.some((line) => /identity provider does not answer/.test(line)),
  );
  t.equal(await status(otto), 200);
  await listening(t, idp, serve);
  GROUPS['otto'] = ['staff'];
  clock.aheadMs = 18 * 60_000;
  await untilEnded(3);
  t.equal(await status(otto), 401, 'when it is back');
});

t.test('a session without a refresh token lasts an hour', async (t) => {
  const [port, idp] = [await freePort(), await freePort()];
  const { issuer } = await provider(t, idp, `http://127.0.0.1:${port}/auth/back`);
  const { url, clock } = await consoleWith(t, port, issuer);
  const browser = new Browser();
  await browser.get(await browser.wayBack(`${url}/auth/enter`));
  const { json } = await browser.get(`${url}/api/session`);
  t.ok(Date.parse(json.ends) - Date.parse(json.now) <= 3_600_000);
  // In use, but for longer.
  for (const minutes of [20, 40, 59]) {
    clock.aheadMs = minutes * 60_000;
    t.equal((await browser.get(`${url}/api/session`)).status, 200);
  }
  clock.aheadMs = 61 * 60_000;
  t.equal((await browser.get(`${url}/api/session`)).status, 401);
});
