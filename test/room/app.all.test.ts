/**
 * Browser tests of the console with the real server: hanging connections, an unavailable database, other tabs and other
 * operators, and an empty queue.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Browser } from 'puppeteer-core';
import t, { type Test } from 'tap';
import type { Sql } from '../../scripts/products/room/database/sql.ts';
import { browserMissing } from '../lib/browser.ts';
import { enter, fullConsole, readStream, roomDatabase } from '../lib/console.ts';
import { addIncidents, changeIncident, putCamera } from '../lib/console-rows.ts';
import { DATABASES } from '../lib/databases.ts';
import { waitUntil } from '../lib/room.ts';
import {
  appRoom,
  browserOf,
  contextOf,
  LIVE,
  type OpenConsole,
  type Opening,
  openConsole,
  tabOf,
} from '../lib/room-browser.ts';
import { numbered } from '../lib/room-evening.ts';

/** Speeds up the page's timers by the factor `hurry`, while it is above 1. */
const HURRY = `globalThis.hurry = 1;
  for (const name of ['setTimeout', 'setInterval']) {
    const own = globalThis[name];
    globalThis[name] = (then, ms, ...more) => own(then, ms / globalThis.hurry, ...more);
  }`;
const FAULTY = { before: HURRY, excused: /status of (4|503)/ };

const inQueue = (...nos: number[]) => ({
  fill: (db: Sql) =>
    addIncidents(
      db,
      nos.map((no) => numbered(no)),
    ),
});

const openApp = (t: Test, browser: Browser, opening: Opening): Promise<OpenConsole> =>
  openConsole(t, browser, { ...FAULTY, ...opening });

t.test('the console handles faults in a browser', { skip: browserMissing(), timeout: 240_000 }, async (t) => {
  const browser = await browserOf(t);
  const { url } = await fullConsole(t, await roomDatabase(t, (await DATABASES.sqlite(t)).address));
  const quiet = readStream(t, url, await enter(url, 'operator'));
  await t.test('keys pressed faster than the screen is drawn act on the right element', (t) =>
    checkQuickKeys(t, browser),
  );
  await t.test('an action that another operator took first is reported as a conflict', (t) =>
    checkConflict(t, browser),
  );
  await t.test('a connection that hangs without an error is reported', (t) => checkHang(t, browser));
  await t.test('the console reports an unavailable database and recovers with it', (t) =>
    databaseOutage(t, browser),
  );
  await t.test('a claim is renewed while its incident is open, and not afterwards', (t) =>
    checkRenewal(t, browser),
  );
  await t.test('one notice names all claims that expire together', (t) => checkEndedClaims(t, browser));
  await t.test('a colleague’s unread note is shown before a verdict', (t) => checkUnreadNote(t, browser));
  await t.test('two tabs share one stream, and a logout in one ends the session in the other', (t) =>
    checkTwoTabs(t, browser),
  );
  await t.test('an empty queue says whether an alert can come', (t) => checkQuiet(t, browser));
  await waitUntil(t, 'an idle stream sends heartbeats', () => quiet.names().includes('beat'), 20_000);
});

/** Presses keys in sequence before the page draws their effect, and returns the focused or open element. */
const QUICK = `(async () => {
  globalThis.requestAnimationFrame = () => 0;
  const press = async (key) => {
    document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));
    for (let turn = 0; turn < 20; turn += 1) await undefined;
  };
  const later = () => new Promise((resolve) => setTimeout(resolve, 300));
  const focused = () => document.activeElement.className || document.activeElement.id;
  const seen = [];
  await press('Escape');
  await press('/');
  seen.push(focused());
  await later();
  seen.push(focused());
  await press('Enter');
  await press('j');
  await press('Enter');
  await press('n');
  seen.push(document.querySelector('dialog[open] textarea') !== null, document.activeElement.tagName);
  await later();
  seen.push(document.activeElement.tagName);
  return seen;
})()`;

async function checkQuickKeys(t: Test, browser: Browser): Promise<void> {
  const { page, posts, pageErrors } = await openApp(t, browser, { ...inQueue(1, 2), path: '/incidents/1' });
  await page.waitForSelector('.incident .act');
  t.strictSame(await page.evaluate(QUICK), ['filter', 'filter', true, 'TEXTAREA', 'TEXTAREA']);
  t.strictSame(posts, [], 'keys typed into a field neither claim nor review');
  t.strictSame(pageErrors, []);
}

async function checkConflict(t: Test, browser: Browser): Promise<void> {
  const { page, room, waitUntil: untilTrue } = await openApp(t, browser, inQueue(1, 2));
  /** Sends Omar's action to the server first, and to Nadia's screen after her own action. */
  const before = async (path: string, body: unknown, key: string): Promise<void> => {
    room.link.hold(false, true);
    t.equal((await room.postAs('Omar', path, body)).status, 200);
    await page.keyboard.press('j');
    await page.keyboard.press(key as 't');
    await sleep(100);
    room.link.hold(false, false);
  };
  await before('/api/incidents/1/verdict', { revision: 0, verdict: 'false-alarm' }, 't');
  await untilTrue('document.querySelector(".toast.bad")?.textContent.includes("closed as false alarm")');
  await untilTrue('document.querySelectorAll(".row").length === 1');
  await before('/api/incidents/2/claim', {}, 'c');
  await untilTrue(
    '[...document.querySelectorAll(".toast.bad")].some(({ textContent }) => textContent.includes("Omar has claimed it"))',
  );
  await untilTrue('document.querySelector(".row .owner b")?.textContent === "Omar"');
  t.strictSame(await room.record('judge', 'claim'), [
    { account: 'Omar', act: 'judge', incident: 1 },
    { account: 'Omar', act: 'claim', incident: 2 },
  ]);
}

async function checkHang(t: Test, browser: Browser): Promise<void> {
  const { page, room, pageErrors, waitUntil: untilTrue } = await openApp(t, browser, inQueue(1));
  await page.evaluate('hurry = 20');
  // From now on the stream is silent. In this page 40 s pass in two.
  await addIncidents(room.db, [numbered(2)]);
  await untilTrue('document.querySelector("[data-no=\\"2\\"]") !== null');
  room.link.hold(true, true);
  await addIncidents(room.db, [numbered(3)]);
  t.ok(await page.evaluate(LIVE), 'no error came');
  await untilTrue('document.querySelector(".link.disconnected") !== null');
  t.match(
    await page.$eval('.connection', ({ textContent }) => textContent),
    'No connection to the control room',
  );
  await page.evaluate('hurry = 1');
  t.equal(await page.$('[data-no="3"]'), null);
  room.link.hold(false, false);
  await untilTrue(LIVE);
  await untilTrue('document.querySelector("[data-no=\\"3\\"]") !== null');
  t.same(pageErrors, []);
}

async function databaseOutage(t: Test, browser: Browser): Promise<void> {
  const { address, server } = await DATABASES.postgres(t);
  const {
    page,
    room,
    pageErrors,
    waitUntil: untilTrue,
  } = await openApp(t, browser, {
    address,
    // PostgreSQL assigns the numbers: 1 and 2.
    fill: (db) => addIncidents(db, [{ received: '2026-01-01T00:00:00.000Z' }, {}]),
  });
  await page.waitForSelector('.row');
  await server?.kill();
  await untilTrue('document.querySelector(".link.unavailable") !== null', 15_000);
  t.match(await page.$eval('.connection', ({ textContent }) => textContent), 'database does not answer');
  await page.keyboard.press('j');
  await page.keyboard.press('t');
  await untilTrue('document.querySelector(".toast.bad") !== null', 30_000);
  t.equal((await page.$$('.row.closed')).length, 0, 'an action that failed is undone on the screen');
  t.equal((await page.$$('.row')).length, 2, 'and the rows are still there');
  await server?.start();
  await untilTrue(LIVE, 15_000);
  await untilTrue('document.querySelector(".connection").textContent === ""');
  await page.keyboard.press('t');
  await untilTrue('document.querySelectorAll(".row").length === 1');
  t.same(await room.record('judge'), [{ account: 'Nadia', act: 'judge', incident: 1 }]);
  t.same(pageErrors, []);
}

async function checkRenewal(t: Test, browser: Browser): Promise<void> {
  const { page, room, posts, waitUntil: untilTrue } = await openApp(t, browser, inQueue(1));
  const claimedUntil = async (): Promise<number> => {
    const [row] = await room.db.all<{ claimed_until: string }>('SELECT claimed_until FROM incident');
    return Date.parse(row?.claimed_until ?? '');
  };
  await page.keyboard.press('j');
  await page.keyboard.press('c');
  await untilTrue('document.querySelector(".row.claimed") !== null');
  // One second in this page is a minute, but at the server a minute stays a minute.
  await page.evaluate('hurry = 60');
  const before = await claimedUntil();
  await page.keyboard.press('Enter');
  await page.waitForSelector('.incident .act.release');
  for (let minutes = 1; minutes <= 2; minutes += 1) {
    room.console.clock.aheadMs += 60_000;
    // The next minute ends the claim unless this renewal is stored.
    while ((await claimedUntil()) < before + minutes * 60_000) await sleep(20);
  }
  t.same(await room.record('claim'), [{ account: 'Nadia', act: 'claim', incident: 1 }], 'recorded once');
  await page.keyboard.press('Escape');
  await untilTrue('document.querySelector(".incident") === null');
  const { length } = posts;
  await sleep(2500);
  t.equal(posts.length, length, 'not when it is closed');
}

async function checkEndedClaims(t: Test, browser: Browser): Promise<void> {
  const { page, room, waitUntil: untilTrue } = await openApp(t, browser, inQueue(1, 2, 3));
  for (const [index, step] of (['j', 'k'] as const).entries()) {
    // A claimed line goes to the end, and stays selected.
    await page.keyboard.press(step);
    await page.keyboard.press('c');
    await untilTrue(`document.querySelectorAll(".row.claimed").length === ${index + 1}`);
  }
  const end = new Date(Date.now() + 1000).toISOString();
  const claimed = await room.db.all<{ no: number }>("SELECT no FROM incident WHERE state = 'claimed'");
  for (const { no } of claimed) await changeIncident(room.db, no, { claimed_until: end });
  await untilTrue('document.querySelectorAll(".row.claimed").length === 0', 15_000);
  await untilTrue('document.querySelector(".toast.bad") !== null', 15_000);
  const texts = '[...document.querySelectorAll(".toast.bad")].map(({ textContent }) => textContent)';
  const [text, ...otherTexts] = (await page.evaluate(texts)) as string[];
  t.match(text, /2 of your claims have expired. These incidents are waiting again: \d, \d\./);
  t.same(otherTexts, []);
}

async function checkUnreadNote(t: Test, browser: Browser): Promise<void> {
  const { page, room, waitUntil: untilTrue } = await openApp(t, browser, inQueue(1));
  const write = (text: string) => room.postAs('Omar', '/api/incidents/1/note', { text }, text);
  const readDialog = async (): Promise<string> => {
    await page.keyboard.press('t');
    await untilTrue('document.querySelector("dialog[open] .notes") !== null');
    return (await page.evaluate('document.querySelector("dialog[open]").textContent')) as string;
  };
  await page.keyboard.press('j');
  await write('first');
  await page.keyboard.press('Enter');
  await untilTrue('document.querySelector(".incident .notes") !== null');
  await write('second');
  await untilTrue('document.querySelectorAll(".incident .notes li").length === 2');
  const text = await readDialog();
  t.match(text, /Omar.*second/);
  t.notMatch(text, 'first', 'which was read when the incident was opened');
  await page.keyboard.press('Enter');
  t.same(await room.record('judge'), [], 'the first answer gives no verdict');
  await readDialog();
  await page.click('#judge-noted');
  await untilTrue('document.querySelector(".toast") !== null');
  t.match(await room.record('judge'), [{ account: 'Nadia', incident: 1 }], 'not refused');
}

async function checkTwoTabs(t: Test, browser: Browser): Promise<void> {
  const first = await openApp(t, browser, inQueue(1, 2));
  const { page, room, another } = first;
  const second = await another({ ...FAULTY, path: '/incidents/2', look: ['en', 'dark'] });
  await second.waitUntil(LIVE);
  t.equal(room.streams.openCount, 1);
  await addIncidents(room.db, [numbered(3)]);
  await second.waitUntil(`document.querySelector("[data-no='3']") !== null`);
  // Chromium draws nothing in a background tab, and a click waits for a frame.
  await page.bringToFront();
  await page.click('#logout');
  await second.waitUntil('document.querySelector("[data-account=Nadia]") !== null');
  t.match(await second.text('.login'), 'The session of Nadia has expired');
  t.ok(await second.page.$eval('.frame', (frame) => frame.hasAttribute('hidden')), 'nothing can be read');
  await waitUntil(t, 'no stream is open', () => room.streams.openCount === 0);
  await second.page.bringToFront();
  await second.page.click('[data-account=Nadia]');
  await second.waitUntil('document.querySelector(".incident .act.confirmed")?.checkVisibility() === true');
  await page.close();
  await waitUntil(t, 'the other tab reads on', () => room.streams.openCount === 1);
  await addIncidents(room.db, [numbered(4)]);
  await second.waitUntil(`document.querySelector("[data-no='4']") !== null`);
  t.strictSame([...first.pageErrors, ...second.pageErrors], []);
}

/** An empty queue tells an operator whether an alert can come, and if not, why. */
async function checkQuiet(t: Test, browser: Browser): Promise<void> {
  const { db, home } = await appRoom(t);
  const tab = await tabOf(await contextOf(t, browser, home, 'Omar'), home);
  const waitForText = (text: string) =>
    tab.waitUntil(`document.querySelector('.empty')?.textContent.includes(${JSON.stringify(text)})`);
  await waitForText('No alert can come: no camera has reported yet.');
  await putCamera(db, 'b-1', Date.now(), { mode: 'unauthorised', conditions: '["unauthorised"]' });
  await waitForText('No alert can come: the camera is not watching.');
  t.match(await tab.text('.empty'), /lyon\/b-1.*Suspended.*authorisation/i, 'with its reason');
  await putCamera(db, 'b-2', Date.now());
  await waitForText('No alert can come from 1 of 2 cameras, which is not watching.');
  await putCamera(db, 'b-1', Date.now());
  await tab.waitUntil(`document.querySelector('.empty li, .empty .cannot') === null`);
  t.same(tab.pageErrors, []);
}
