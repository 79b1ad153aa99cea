/** Browser tests of the console's views at 1,500 cameras. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser } from 'puppeteer-core';
import sharp from 'sharp';
import t, { type Test } from 'tap';
import { sha256Of } from '../../agent/base/sha256.ts';
import type { Sql } from '../../scripts/products/room/database/sql.ts';
import { browserMissing } from '../lib/browser.ts';
import { addIncident, addStill, putCamera, putCameras } from '../lib/console-rows.ts';
import { scratch } from '../lib/paths.ts';
import {
  appRoom,
  browserOf,
  contextOf,
  type OpenConsole,
  type Opening,
  openConsole,
  type Tab,
  tabOf,
} from '../lib/room-browser.ts';
import { city, cityMapFile, ENTRIES, HOSTILE } from '../lib/room-city.ts';
import { violations } from '../page/in-page.ts';

interface OpenView extends OpenConsole {
  show(screen: string): Promise<void>;
}

/** The browser's last request to that path. */
const lastOf = ({ requestedPaths }: Tab, path: string): string =>
  requestedPaths.findLast((one) => one.startsWith(`GET ${path}`)) ?? '';

/** The request to that path that `act` causes, once answered; an action shows nothing before. */
async function askedBy({ page }: Tab, path: string, action: () => Promise<unknown>): Promise<string> {
  const [answer] = await Promise.all([
    page.waitForResponse((response) => new URL(response.url()).pathname === path),
    action(),
  ]);
  const { pathname, search } = new URL(answer.url());
  return `GET ${pathname}${search}`;
}

/** Opens the console of a city as a supervisor. */
async function openView(t: Test, browser: Browser, opening: Opening = {}): Promise<OpenView> {
  const plan = join(scratch(t), 'city.geojson');
  writeFileSync(plan, JSON.stringify(cityMapFile()));
  const tab = await openConsole(t, browser, {
    user: 'Omar',
    size: { width: 1440, height: 900 },
    fill: (db) => city(db),
    settings: { plan, signer: 'unused' },
    ...opening,
  });
  return {
    ...tab,
    show: async (screen) => {
      await tab.page.evaluate(`document.querySelector('nav a[href="/${screen}"]').click()`);
      await tab.waitUntil(`document.querySelector('[data-screen="${screen}"]') !== null`);
      await tab.waitUntil(`document.querySelector('main [role=status]')?.textContent !== 'Loading…'`);
      await tab.waitUntil(READY[screen] ?? 'true');
    },
  };
}

const READY: Readonly<Record<string, string>> = {
  cameras: 'document.querySelectorAll("[role=option]").length === 1500',
  figures: 'document.querySelector(".d-precision") !== null',
  'hand-over': 'document.querySelector(".d-sums") !== null',
  audit: 'document.querySelector(".d-hash") !== null',
};

t.test('the views work in a browser', { skip: browserMissing(), timeout: 180_000 }, async (t) => {
  const browser = await browserOf(t);
  await t.test('a tile of 1,500 changes with its camera', (t) => changedTile(t, browser));
  await t.test('statistics, shift report and audit log show the server’s data', (t) => papers(t, browser));
  await t.test('a screen that cannot be loaded is reported, and loaded by the next try', (t) =>
    unloadedScreen(t, browser),
  );
  await t.test('a changed audit log is shown as broken', (t) => broken(t, browser));
  await t.test('a camera shows its receipt and removed masks on a phone, in French', (t) =>
    receipt(t, browser),
  );
});

async function changedTile(t: Test, browser: Browser): Promise<void> {
  const view = await openView(t, browser);
  await view.show('cameras');
  const conditions = JSON.stringify(['covered', HOSTILE.slice(0, 40)]);
  const change = { site: 'bellecour', box: 'cam-0000', last_report: new Date().toISOString(), conditions };
  await putCameras(view.room.db, [change]);
  await view.waitUntil(
    `document.getElementById('camera-${change.site}/${change.box}').className === 'd-shape blind'`,
  );
  t.match(await view.text('.desk-aside'), '<img src=x', 'a reason from a box is text');
  t.same(await view.page.$$('img'), []);
  t.same(view.pageErrors, []);
}

const DAY_MS = 86_400_000;

function spanOf(request: string): { from: string; to: string; by: string | null } {
  const { searchParams } = new URL(request.replace(/^GET /, ''), 'http://room');
  const [from, to] = [searchParams.get('from') ?? '', searchParams.get('to') ?? ''];
  return { from, to, by: searchParams.get('by') };
}

const inParis = (iso: string): string =>
  new Intl.DateTimeFormat('en-GB', {
    dateStyle: 'medium',
    timeStyle: 'short',
    timeZone: 'Europe/Paris',
  }).format(Date.parse(iso));

async function papers(t: Test, browser: Browser): Promise<void> {
  const view = await openView(t, browser);
  await view.show('figures');
  t.match(await view.text('tbody tr'), /cam-0012\/quay412.*93%90%–96%323301/);
  const period = spanOf(await askedBy(view, '/api/figures', () => view.page.select('[name=by]', 'hour')));
  t.ok(Math.abs(Date.now() - 30 * DAY_MS - Date.parse(period.from)) < 600_000, period.from);
  t.match(period, { from: /:00\.000Z$/, by: 'hour' });
  t.match(await view.page.$eval('a[download]', (link) => link.getAttribute('href')), '&by=hour');
  await view.show('hand-over');
  const shift = spanOf(lastOf(view, '/api/hand-over'));
  t.equal(Date.parse(shift.to) - Date.parse(shift.from), 8 * 3_600_000);
  t.match(
    await view.text('article'),
    new RegExp(`${inParis(shift.from)} CES?T to ${inParis(shift.to)} CES?T`),
    'the room’s time zone',
  );
  t.match(await view.text('.d-notes'), '<img src=x onerror=alert(1)>');
  t.notMatch(await view.text('.d-notes'), /\p{Cc}|\p{Cf}/u);
  await view.show('audit');
  t.match(await view.text('.notice'), 'Audit log intact');
  const [{ newest } = { newest: 0 }] = await view.room.db.all<{ newest: number }>(
    'SELECT max(no) AS newest FROM audit',
  );
  t.ok(newest > ENTRIES);
  const older = await askedBy(view, '/api/audit', () => view.page.click('.d-pages .button'));
  t.equal(older, `GET /api/audit?before=${newest - 99}`);
  t.same(view.pageErrors, []);
}

/** Changes the tables behind the program's back. */
async function unloadedScreen(t: Test, browser: Browser): Promise<void> {
  const { page, requestedPaths, waitUntil, text } = await openView(t, browser, { fill: (db) => city(db, 1) });
  // A queue that is empty when it is first drawn loads its own statistics.
  const loaded = (): string[] =>
    requestedPaths.filter((path) => /chunks\/(?!chunk-|quiet-queue-)/.test(path));
  t.strictSame(loaded(), [], 'the queue loads no other screen');
  let isRefused = true;
  await page.setRequestInterception(true);
  page.on('request', (request) => {
    if (isRefused && request.url().includes('/chunks/')) void request.respond({ status: 404, body: '' });
    else void request.continue();
  });
  await page.evaluate(`document.querySelector('nav a[href="/audit"]').click()`);
  await waitUntil('document.querySelector("main .notice.bad button") !== null');
  t.equal(await text(), 'This screen could not be loaded. Try again');
  t.strictSame(await violations(page), []);
  await page.evaluate('globalThis.isSamePage = true');
  // A newer server does not have the files that this page asks for, so the page itself is loaded again.
  await page.click('main .notice.bad button');
  await waitUntil(
    'globalThis.isSamePage === undefined && document.querySelector("main .notice.bad") !== null',
  );
  isRefused = false;
  await page.click('main .notice.bad button');
  await waitUntil('document.querySelector(".d-hash") !== null');
  t.equal(await page.evaluate('document.activeElement.tagName'), 'H1', 'the focus is on the title');
  const links = await page.$$eval('link[rel=stylesheet]', (all) =>
    all.map((link) => link.getAttribute('href')),
  );
  t.strictSame(links, ['/views.css', '/style.css'], 'styles of the page override those of a screen');
}

async function broken(t: Test, browser: Browser): Promise<void> {
  const fill = async (db: Sql): Promise<void> => {
    await city(db);
    await db.run("UPDATE audit SET account = 'Nobody' WHERE no = 17");
  };
  const view = await openView(t, browser, { fill });
  await view.show('audit');
  await view.page.type('[name=account]', 'Camille');
  await view.page.type('[name=incident]', '12');
  const narrowed = await askedBy(view, '/api/audit', () => view.page.keyboard.press('Enter'));
  t.equal(narrowed, 'GET /api/audit?account=Camille&incident=12');
  await view.waitUntil('document.querySelector("main [role=alert]") !== null');
  t.match(await view.text('main [role=alert]'), 'Audit log altered');
  t.match(await view.text('main [role=alert]'), 'entry 17');
  t.same(view.pageErrors, []);
}

/** Facts of an installation, as its receipt gives them to the room. */
const RECEIPT = {
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

async function receipt(t: Test, browser: Browser): Promise<void> {
  const jpeg = await sharp({ create: { width: 64, height: 48, channels: 3, background: '#678' } })
    .jpeg()
    .toBuffer();
  const receivedMs = Date.now() - 60_000;
  const detail = {
    stills: [
      { moment: 'snapshot', name: 'r-1', time: new Date(receivedMs).toISOString(), sha256: sha256Of(jpeg) },
    ],
  };
  const system = { severity: 'system', priority: 3, rule: 'built-in', place: 'camera' };
  const room = await appRoom(t, {
    fill: async (db) => {
      await putCamera(db, 'b-1', Date.now());
      await addIncident(db, receivedMs, {
        ...system,
        kind: 'installed',
        cause: JSON.stringify(RECEIPT),
        still: 'r-1',
        detail: JSON.stringify(detail),
      });
      await addStill(db, { name: 'r-1' }, jpeg, receivedMs);
      const cause = JSON.stringify({ removed: 'windows', smaller: '', by: 'technician' });
      await addIncident(db, receivedMs, { ...system, kind: 'mask-removed', cause });
    },
  });
  const context = await contextOf(t, browser, room.home, 'Nadia');
  const tab = await tabOf(context, room.home, {
    look: ['fr', 'dark'],
    before: `localStorage.setItem('theme', 'dark')`,
    size: { width: 390, height: 900 },
    path: '/cameras',
  });
  await tab.waitUntil('document.querySelector("[role=option]") !== null');
  await tab.page.click('[role=option]');
  await tab.waitUntil('document.querySelector("#installation #receipt-still") !== null');
  const text = await tab.text('#installation');
  for (const part of [
    'Masque de confidentialité retiré : windows par un technicien',
    'NON CONFORME',
    'stays 4/5',
  ])
    t.match(text, part);
  t.strictSame(await room.record('see-still'), [], 'no picture is loaded unasked');
  await tab.page.click('#receipt-still');
  await tab.waitUntil('document.querySelector("#installation img")?.naturalWidth > 0');
  t.match(await room.record('see-still'), [{ account: 'Nadia' }]);
  t.strictSame(await violations(tab.page), []);
  t.equal(await tab.page.evaluate('document.documentElement.scrollWidth > innerWidth'), false);
  t.strictSame(tab.pageErrors, []);
}
