/**
 * Browser tests of the console under faults: a hanging connection, an unavailable database, a stale tab, a logout in
 * another tab. Also checks what each role sees.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser } from 'puppeteer-core';
import sharp from 'sharp';
import t, { type Test } from 'tap';
import { type Action, may, ROLES, type Role } from '../../scripts/programs/room/contract/roles.ts';
import type { Sql } from '../../scripts/programs/room/database/sql.ts';
import { browserMissing } from '../lib/browser.ts';
import { enter, fullConsole, readStream, roomDatabase } from '../lib/console.ts';
import { addIncidents } from '../lib/console-rows.ts';
import { DATABASES } from '../lib/databases.ts';
import { scratch } from '../lib/paths.ts';
import { waitUntil } from '../lib/room.ts';
import {
  type AppRoom,
  appRoom,
  contextOf,
  PEOPLE,
  type Setup,
  type Tab,
  tabOf,
} from '../lib/room-browser.ts';
import { evening, numbered } from '../lib/room-evening.ts';
import { openBrowser } from '../page/phone.ts';

/** Speeds up the page's timers by the factor `hurry`, while it is above 1. */
const HURRY = `globalThis.hurry = 1;
  for (const name of ['setTimeout', 'setInterval']) {
    const own = globalThis[name];
    globalThis[name] = (then, ms, ...more) => own(then, ms / globalThis.hurry, ...more);
  }`;
const LIVE = 'document.querySelector(".link-live") !== null';

const inQueue = (...nos: number[]) => ({
  fill: (db: Sql) =>
    addIncidents(
      db,
      nos.map((no) => numbered(no)),
    ),
});

const withoutNumber = (seed: number) => {
  const { no: _, ...row } = numbered(seed);
  return row;
};

async function openApp(
  t: Test,
  browser: Browser,
  { userName = 'Nadia', path = '/', ...setup }: Setup & { userName?: string; path?: string },
): Promise<Tab & { room: AppRoom; another: (path: string) => Promise<Tab> }> {
  const room = await appRoom(t, setup);
  const context = await contextOf(t, browser, room.home, userName);
  const openAnother = (to: string) =>
    tabOf(context, room.home, { path: to, before: HURRY, excused: /status of (4|503)/ });
  const tab = await openAnother(path);
  await tab.waitUntil(LIVE);
  return { ...tab, room, another: openAnother };
}

t.test('the console handles faults in a browser', { skip: browserMissing(), timeout: 240_000 }, async (t) => {
  const browser = await openBrowser(join(scratch(t), 'profile'));
  t.teardown(() => browser.close());
  const { url } = await fullConsole(t, await roomDatabase(t, (await DATABASES.sqlite(t)).address));
  const quiet = readStream(t, url, await enter(url, 'operator'));
  await t.test('a connection that hangs without an error is reported', (t) => checkHang(t, browser));
  await t.test('the console reports an unavailable database and recovers with it', (t) =>
    databaseOutage(t, browser),
  );
  await t.test('a supervisor reassigns and reopens an incident', (t) => checkSupervisor(t, browser));
  await t.test('a claim is renewed while its incident is open, and not afterwards', (t) =>
    checkRenewal(t, browser),
  );
  await t.test('a stale tab gets the current state before it acts', (t) => checkStaleTab(t, browser));
  await t.test('a logout in one tab ends the session in the other', (t) => checkLogout(t, browser));
  await t.test('each role sees and does what its rights allow', (t) => checkRoles(t, browser));
  await waitUntil(t, 'an idle stream sends heartbeats', () => quiet.names().includes('beat'), 20_000);
});

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
    fill: (db) => addIncidents(db, [1, 2].map(withoutNumber)),
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

async function checkSupervisor(t: Test, browser: Browser): Promise<void> {
  const {
    page,
    room,
    pageErrors,
    waitUntil: untilTrue,
    text,
  } = await openApp(t, browser, {
    ...inQueue(1),
    userName: 'Omar',
    path: '/incidents/1',
  });
  await page.waitForSelector('.act.claim');
  t.equal(await page.$('.give'), null, 'an unclaimed incident offers the claim');
  await page.keyboard.press('c');
  await page.waitForSelector('.give');
  t.same(await page.$$eval('.give option', (all) => all.map(({ textContent }) => textContent).slice(1)), [
    'Nadia',
  ]);
  await page.select('.give', 'Nadia');
  await untilTrue('document.querySelector(".toasts").textContent.includes("Reassigned to Nadia")');
  await untilTrue('document.querySelector(".row .owner b")?.textContent === "Nadia"');
  t.equal(await page.$('.act.release'), null, 'no longer his to release');
  await page.keyboard.press('f');
  await page.waitForSelector('#reopen');
  await page.click('#reopen');
  await untilTrue('location.pathname === "/incidents/2"');
  await untilTrue('document.querySelector(".incident .mark.new, .incident .mark.late") !== null');
  t.match(await text('.incident'), 'Reopens');
  t.same(await room.record('claim', 'reassign', 'judge', 'reopen'), [
    { account: 'Omar', act: 'claim', incident: 1 },
    { account: 'Omar', act: 'reassign', incident: 1 },
    { account: 'Omar', act: 'judge', incident: 1 },
    { account: 'Omar', act: 'reopen', incident: 2 },
  ]);
  t.same(await room.db.all('SELECT no, state, verdict, reopens FROM incident ORDER BY no'), [
    { no: 1, state: 'closed', verdict: 'false-alarm', reopens: null },
    { no: 2, state: 'new', verdict: null, reopens: 1 },
  ]);
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
  for (const renewed of [2, 3]) {
    room.console.clock.aheadMs += 60_000;
    await waitUntil(t, 'the claim is renewed', () => posts.length >= renewed);
  }
  const extensionMs = (await claimedUntil()) - before;
  t.ok(extensionMs >= 60_000, `${extensionMs} ms longer`);
  t.same(await room.record('claim'), [{ account: 'Nadia', act: 'claim', incident: 1 }], 'recorded once');
  await page.keyboard.press('Escape');
  await untilTrue('document.querySelector(".incident") === null');
  const { length } = posts;
  await new Promise((resolve) => setTimeout(resolve, 2500));
  t.equal(posts.length, length, 'not when it is closed');
}

async function checkStaleTab(t: Test, browser: Browser): Promise<void> {
  const { room, another } = await openApp(t, browser, inQueue(1));
  const old = await another('/incidents/1');
  await old.waitUntil(LIVE);
  await old.page.waitForSelector('.act.confirmed');
  // The tab receives no change by others, like one that the browser has suspended.
  room.link.hold(false, true);
  t.equal((await room.postAs('Omar', '/api/incidents/1/claim', {})).status, 200);
  t.equal((await room.postAs('Omar', '/api/incidents/1/release', {})).status, 200);
  await old.page.keyboard.press('t');
  await new Promise((resolve) => setTimeout(resolve, 100));
  room.link.hold(false, false);
  await old.waitUntil(
    'document.querySelector(".toast.bad")?.textContent.includes("it is waiting again and unclaimed")',
  );
  await old.waitUntil('document.querySelector(".incident .mark.closed") === null');
  t.same(await room.record('judge'), []);
  await old.page.keyboard.press('t');
  await old.waitUntil('document.querySelector(".toast.good") !== null');
  t.same(old.posts, [{ path: '/api/incidents/1/verdict', body: { revision: 2, verdict: 'confirmed' } }]);
  t.same(await room.record('judge'), [{ account: 'Nadia', act: 'judge', incident: 1 }]);
}

async function checkLogout(t: Test, browser: Browser): Promise<void> {
  const { page, room, another, waitUntil: untilTrue } = await openApp(t, browser, inQueue(1, 2));
  const other = await another('/incidents/2');
  await other.page.waitForSelector('.act.confirmed');
  // Chromium draws nothing in a background tab, and a click waits for a frame.
  await page.bringToFront();
  await page.click('#logout');
  await untilTrue('document.querySelector("[data-account=Nadia]") !== null');
  await other.waitUntil('document.querySelector("[data-account=Nadia]") !== null');
  t.match(await other.text('.login'), 'The session of Nadia has expired');
  t.equal(
    await other.page.$eval('.frame', (frame) => frame.hasAttribute('hidden')),
    true,
    'nothing can be read',
  );
  await waitUntil(t, 'no stream is open', () => room.streams.openCount === 0);
  await other.page.bringToFront();
  await other.page.click('[data-account=Nadia]');
  await other.waitUntil('document.querySelector(".incident .act.confirmed")?.checkVisibility() === true');
  await other.page.keyboard.press('u');
  await other.waitUntil('document.querySelector(".toast.good") !== null');
  t.same(await room.record('logout', 'judge').then((all) => all.map(({ act }) => act)), ['logout', 'judge']);
}

/** Action of `roles.ts` that each screen requires. */
const SCREENS: Readonly<Record<string, Action>> = {
  queue: 'see-incidents',
  closed: 'see-incidents',
  cameras: 'see-cameras',
  plan: 'see-cameras',
  search: 'search',
  tracks: 'ask-tracks',
  figures: 'see-figures',
  week: 'see-figures',
  'hand-over': 'hand-over',
  audit: 'see-audit',
};
const BUTTONS: Readonly<Record<string, Action>> = {
  claim: 'claim',
  dispatch: 'dispatch',
  confirmed: 'judge',
  'false-alarm': 'judge',
  unclear: 'judge',
  note: 'note',
  suppress: 'suppress',
};
const KEYS = {
  claim: 'c',
  dispatch: 'd',
  confirmed: 't',
  'false-alarm': 'f',
  unclear: 'u',
  note: 'n',
  suppress: 's',
} as const;

async function checkRoles(t: Test, browser: Browser): Promise<void> {
  const plan = join(scratch(t), 'plan.geojson');
  writeFileSync(plan, JSON.stringify({ type: 'FeatureCollection', features: [] }));
  const grey = { width: 64, height: 36, channels: 3, background: '#808080' } as const;
  const jpeg = await sharp({ create: grey }).jpeg().toBuffer();
  for (const role of ROLES) {
    await t.test(role, async (t) => {
      const userName = PEOPLE.find((one) => one.role === role)?.name ?? '';
      const settings = { plan, signer: 'unused' };
      const fill = (db: Sql) => evening(db, jpeg);
      await checkScreens(
        t,
        role,
        await openApp(t, browser, { userName, settings, fill, path: '/incidents/2' }),
      );
    });
  }
}

async function checkScreens(t: Test, role: Role, tab: Tab & { room: AppRoom }): Promise<void> {
  const { page, room, posts, waitUntil: untilTrue } = tab;
  const allowed = (of: Readonly<Record<string, Action>>) =>
    Object.keys(of).filter((one) => may(role, of[one] ?? 'export'));
  const isThere = async (selector: string): Promise<boolean> => (await page.$(selector)) !== null;
  await untilTrue('document.querySelector(".told .notes") !== null');
  t.same(
    await page.$$eval('nav a', (links) => links.map((link) => link.getAttribute('href')?.slice(1))),
    allowed(SCREENS),
  );
  t.same(
    await page.$$eval('.incident .act', (all) => all.map(({ classList }) => classList[1])),
    allowed(BUTTONS),
  );
  t.equal(await isThere('.pictures img'), may(role, 'see-still'), 'pictures');
  const incidentText = String(await page.$eval('.incident', ({ textContent }) => textContent));
  const zones = [...incidentText.matchAll(/\d\d:\d\d:\d\d (\S{3,5})/g)].map(([, zone]) => zone);
  t.ok(zones.length > 3, 'every time of day names its zone');
  t.same([...new Set(zones)], ['GMT+4'], 'that of the site, not the room’s');
  t.equal(await isThere('.sealed'), may(role, 'request-sealed'), 'the sealed picture');
  const go = async (path: string, ready: string): Promise<void> => {
    await page.evaluate(
      `history.pushState(null, '', '${path}'); dispatchEvent(new PopStateEvent('popstate'))`,
    );
    await untilTrue(ready);
  };
  await go('/incidents/7', 'document.querySelector("[data-incident=\\"7\\"] .facts") !== null');
  t.equal(await isThere('.give'), may(role, 'reassign'), 'to reassign');
  await go('/incidents/10', 'document.querySelector("[data-incident=\\"10\\"] .facts") !== null');
  t.equal(await isThere('#reopen'), may(role, 'reopen'), 'to open again');
  for (const [screen, action] of Object.entries(SCREENS)) {
    if (screen === 'queue') continue;
    const is = may(role, action);
    const closed =
      'document.querySelector("main")?.textContent.includes("Your role has no access to this screen")';
    await go(`/${screen}`, is ? `document.querySelector('[data-screen="${screen}"]') !== null` : closed);
  }
  if (!may(role, 'judge')) {
    await go('/incidents/2', 'document.querySelector("[data-incident=\\"2\\"] .facts") !== null');
    for (const key of Object.values(KEYS)) await page.keyboard.press(key);
    await page.waitForNetworkIdle({ idleTime: 100, concurrency: 1 });
    t.equal(await isThere('dialog[open]'), false);
  }
  t.same(posts, [], 'nothing was done by looking');
  t.same(await room.record('refused'), [], 'and nothing was asked for that is refused');
  t.same(tab.pageErrors, []);
}
