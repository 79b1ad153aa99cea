/** Browser tests of the list of closed incidents: by keyboard, in both languages, on a desk and on a phone. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Browser } from 'puppeteer-core';
import sharp from 'sharp';
import t, { type Test } from 'tap';
import { iso, type Sql } from '../../scripts/programs/room/database/sql.ts';
import { browserMissing } from '../lib/browser.ts';
import { addIncidents, addStill, type Columns } from '../lib/console-rows.ts';
import { ROOT, scratch } from '../lib/paths.ts';
import { type AppRoom, appRoom, contextOf, type Tab, tabOf } from '../lib/room-browser.ts';
import { numbered } from '../lib/room-evening.ts';
import { violations } from '../page/in-page.ts';
import { type Look, openBrowser, savePicture } from '../page/phone.ts';

const SCREENS_DIR = join(ROOT, '.cache/room-desk-screens');
const DESK = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 844 };
/** Two pages and a part of a third. */
const CLOSED = 120;
/** Number of the incident that was closed last. */
const LAST_NO = 900;

t.test(
  'closed incidents are found and reopened in a browser',
  { skip: browserMissing(), timeout: 120_000 },
  async (t) => {
    const browser = await openBrowser(join(scratch(t), 'profile'));
    t.teardown(() => browser.close());
    const jpeg = await sharp(join(ROOT, 'docs/alert.jpg')).jpeg({ quality: 60 }).toBuffer();
    await t.test('the list passes axe and is worked by keyboard', (t) => checkDesk(t, browser, jpeg));
    await t.test('the list fits a phone', (t) => checkPhone(t, browser, jpeg));
    await t.test('a refused reopening states its reason', (t) => checkRefusals(t, browser, jpeg));
    await t.test('an operator finds its own closed incidents', (t) => checkOperator(t, browser, jpeg));
  },
);

async function fill(db: Sql, jpeg: Buffer): Promise<void> {
  const closed = (no: number, minute: number, more: Columns): Columns =>
    numbered(no, {
      received: iso(Date.now() - 86_400_000),
      state: 'closed',
      verdict: 'false-alarm',
      verdict_by: 'Nadia',
      closed_at: iso(Date.now() - minute * 60_000),
      ...more,
    });
  const still = { moment: 'snapshot', name: 'one.jpg', time: iso(Date.now() - 86_400_000) };
  const sha256 = createHash('sha256').update(jpeg).digest('hex');
  await addIncidents(db, [
    closed(LAST_NO, 1, {
      kind: 'graffiti',
      verdict: 'confirmed',
      detail: JSON.stringify({ stills: [{ ...still, sha256 }], timeZone: 'Europe/Paris' }),
    }),
    closed(LAST_NO + 1, 2, { verdict: 'unclear', verdict_by: 'Ben' }),
    closed(LAST_NO + 2, 3, { verdict: null, verdict_by: null, closed_reason: 'box-revoked' }),
    ...Array.from({ length: CLOSED - 3 }, (_, index) => closed(index + 1, 10 + index, {})),
  ]);
  await addStill(db, still, jpeg, Date.now(), { site: 'centre', box: `cam-${LAST_NO % 7}` });
}

interface OpenList extends Tab {
  readonly room: AppRoom;
}

async function openList(
  t: Test,
  browser: Browser,
  jpeg: Buffer,
  { look = ['en', 'light'] as Look, view = DESK, path = '/queue', user = 'Omar' } = {},
): Promise<OpenList> {
  const room = await appRoom(t, { fill: (db) => fill(db, jpeg) });
  const context = await contextOf(t, browser, room.home, user);
  const tab = await tabOf(context, room.home, { look, path });
  await tab.page.setViewport(view);
  await tab.waitUntil('document.querySelector(".link-live") !== null');
  return { ...tab, room };
}

const COUNT = 'document.querySelectorAll(".closed-list .row").length';
const CHOSEN_NO = 'document.querySelector(".closed-list [aria-selected=true]")?.dataset.no';
const PICTURE = 'document.querySelector(".incident img")?.complete === true';

async function checkDesk(t: Test, browser: Browser, jpeg: Buffer): Promise<void> {
  const { page, room, pageErrors, waitUntil, text } = await openList(t, browser, jpeg);
  const { keyboard } = page;
  await keyboard.press('g');
  await keyboard.press('l');
  await waitUntil(`${COUNT} === 50`);
  t.equal(await page.title(), 'Vigie');
  t.equal(await page.evaluate('document.activeElement.tagName'), 'H1');
  t.match(await text('.closed-list .row'), /Graffiti.*Nadia.*confirmed/s);
  await keyboard.press('j');
  await waitUntil(`${CHOSEN_NO} === "${LAST_NO}"`);
  await savePicture(page, join(SCREENS_DIR, 'closed-en-light.png'));
  t.strictSame(await violations(page), []);

  await keyboard.press('Enter');
  await waitUntil(PICTURE);
  t.equal(await page.evaluate('location.pathname'), `/closed/${LAST_NO}`);
  await savePicture(page, join(SCREENS_DIR, 'closed-open-en-light.png'));
  t.strictSame(await violations(page), []);
  await keyboard.press('j');
  await waitUntil(`document.querySelector('[data-incident="${LAST_NO + 1}"]') !== null`);
  await keyboard.press('Escape');
  await waitUntil('document.querySelector(".incident") === null');

  await page.select('select[name=verdict]', 'false-alarm');
  await waitUntil('document.querySelector(".closed-list .row").dataset.no === "1"');
  await page.select('select[name=kind]', 'illegal-parking');
  t.equal(await page.evaluate('location.search'), '?verdict=false-alarm&kind=illegal-parking');
  await keyboard.press('k');
  for (let line = 0; line < 50; line += 1) await keyboard.press('j');
  await waitUntil(`${CHOSEN_NO} === "51"`);
  await keyboard.press('k');
  await waitUntil(`${CHOSEN_NO} === "50"`);
  await page.reload();
  await waitUntil(
    `${COUNT} === 50 && document.querySelector('select[name=verdict]').value === 'false-alarm'`,
  );
  t.match(
    await page.$eval('.closed-list a[download]', (link) => link.getAttribute('href')),
    /^\/api\/closed\.csv\?kind=/,
  );
  await keyboard.press('/');
  t.equal(await page.evaluate('document.activeElement.name'), 'camera');
  await keyboard.type('cam-5');
  await keyboard.press('Tab');
  await waitUntil(`location.search.endsWith('&camera=cam-5') && ${COUNT} < 20`);
  t.equal(await page.evaluate('document.activeElement.name'), 'kind', 'the focus stays in the filters');
  await page.click('.closed-filters .button');
  await waitUntil(`document.querySelector(".closed-list .row").dataset.no === "${LAST_NO}"`);

  await keyboard.press('j');
  await keyboard.press('o');
  await waitUntil('location.pathname.startsWith("/incidents/")');
  const [entry] = await room.db.all<{ no: number }>('SELECT no FROM incident WHERE reopens IS NOT NULL');
  t.equal(await page.evaluate('location.pathname'), `/incidents/${entry?.no}`);
  t.strictSame(await room.record('reopen'), [{ account: 'Omar', act: 'reopen', incident: entry?.no }]);
  t.strictSame(pageErrors, []);
}

async function checkPhone(t: Test, browser: Browser, jpeg: Buffer): Promise<void> {
  const { page, pageErrors, waitUntil, text } = await openList(t, browser, jpeg, {
    look: ['fr', 'dark'],
    view: PHONE,
    path: '/closed?camera=centre/cam-4',
  });
  await waitUntil(`${COUNT} > 10 && ${COUNT} < 50`);
  t.match(await text('.closed-list h1'), 'Signalements clôturés');
  await savePicture(page, join(SCREENS_DIR, 'closed-phone-fr-dark.png'));
  t.strictSame(await violations(page), []);
  t.ok(
    await page.evaluate('document.documentElement.scrollWidth <= innerWidth'),
    'the screen is as wide as the phone',
  );
  t.equal(await page.$eval('.closed-filters summary', (summary) => summary.textContent), 'Filtres (1) /');
  await page.click('.closed-filters summary');
  await page.type('input[name=camera]', '!');
  await waitUntil('document.querySelector(".closed-filters .fault") !== null');
  await page.click(`[data-no="${LAST_NO}"]`);
  await waitUntil(PICTURE);
  await savePicture(page, join(SCREENS_DIR, 'closed-open-phone-fr-dark.png'));
  await page.click('.incident .back');
  await waitUntil(`location.pathname === '/closed' && ${COUNT} > 10`);
  t.equal(await page.evaluate('location.search'), '?camera=centre/cam-4');
  t.strictSame(pageErrors, []);
}

async function checkRefusals(t: Test, browser: Browser, jpeg: Buffer): Promise<void> {
  const { page, room, waitUntil, text } = await openList(t, browser, jpeg, { path: '/closed' });
  await waitUntil(`${COUNT} === 50`);
  await page.keyboard.press('j');
  await waitUntil(`${CHOSEN_NO} === "${LAST_NO}"`);
  const { json } = await room.postAs('Omar', `/api/incidents/${LAST_NO}/reopen`, { revision: 0 }, 'k-1');
  await page.keyboard.press('o');
  await waitUntil('document.querySelector(".toast.bad") !== null');
  t.match(await text('.toast.bad'), `Action refused: it was reopened as incident ${json.no}.`);
  await page.click('.toast.bad button');
  await page.reload();
  await waitUntil('document.querySelector(".closed-list .tag.doubt") !== null');
  t.equal(await text('.closed-list .tag.doubt'), `reopened as ${json.no}`);
  await page.keyboard.press('j');
  await waitUntil(`${CHOSEN_NO} === "${LAST_NO}"`);
  t.equal(await page.$('.closed-bar [aria-keyshortcuts=o]'), null, 'it is not offered again');

  await page.keyboard.press('j');
  await room.db.run(
    "INSERT INTO camera (site, box, rev, conditions, last_report, is_removed) VALUES ('centre', $1, 1, '[]', $2, TRUE)",
    [`cam-${(LAST_NO + 1) % 7}`, iso(Date.now())],
  );
  await page.keyboard.press('o');
  await waitUntil('document.querySelector(".toast.bad") !== null');
  t.match(await text('.toast.bad'), 'its box was revoked');
}

async function checkOperator(t: Test, browser: Browser, jpeg: Buffer): Promise<void> {
  const { page, room, waitUntil, text } = await openList(t, browser, jpeg, {
    path: '/closed',
    user: 'Nadia',
  });
  await waitUntil(`${COUNT} === 50`);
  t.notMatch(await text('.closed-list'), /Ben/, 'the names of others are not shown');
  t.equal(await page.$('.closed-list a[download], input[name=by]'), null);
  await page.keyboard.press('j');
  await page.keyboard.press('o');
  await page.click('.closed-filters .check input');
  await waitUntil(
    `location.search === '?mine=1' && document.querySelector('[data-no="${LAST_NO + 1}"]') === null`,
  );
  t.match(await text('.closed-list .row .owner'), 'you');
  t.strictSame(await room.record('reopen', 'refused'), []);
}
