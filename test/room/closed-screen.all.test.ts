/** Browser tests of the list of closed incidents. */
import type { Browser } from 'puppeteer-core';
import t, { type Test } from 'tap';
import { iso, type Sql } from '../../scripts/programs/room/database/sql.ts';
import { browserMissing } from '../lib/browser.ts';
import { addIncidents, type Columns } from '../lib/console-rows.ts';
import { browserOf, type OpenConsole, openConsole } from '../lib/room-browser.ts';
import { numbered } from '../lib/room-evening.ts';

/** Two pages and a part of a third. */
const CLOSED = 120;
/** Number of the incident that was closed last. */
const LAST_NO = 900;

t.test('closed incidents are found in a browser', { skip: browserMissing(), timeout: 120_000 }, async (t) => {
  const browser = await browserOf(t);
  await t.test('the list is filtered and read by keyboard', (t) => checkDesk(t, browser));
  await t.test('a refused reopening states its reason', (t) => checkRefusals(t, browser));
  await t.test('an operator finds its own closed incidents', (t) => checkOperator(t, browser));
});

async function fill(db: Sql): Promise<void> {
  const closed = (no: number, minute: number, more: Columns): Columns =>
    numbered(no, {
      received: iso(Date.now() - 86_400_000),
      state: 'closed',
      verdict: 'false-alarm',
      verdict_by: 'Nadia',
      closed_at: iso(Date.now() - minute * 60_000),
      ...more,
    });
  await addIncidents(db, [
    closed(LAST_NO, 1, { kind: 'graffiti', verdict: 'confirmed' }),
    closed(LAST_NO + 1, 2, { verdict: 'unclear', verdict_by: 'Ben' }),
    closed(LAST_NO + 2, 3, { verdict: null, verdict_by: null, closed_reason: 'box-revoked' }),
    ...Array.from({ length: CLOSED - 3 }, (_, index) => closed(index + 1, 10 + index, {})),
  ]);
}

async function openList(t: Test, browser: Browser, user: string): Promise<OpenConsole> {
  const tab = await openConsole(t, browser, { fill, path: '/closed', user });
  await tab.waitUntil(`${COUNT} === 50`);
  return tab;
}

const COUNT = 'document.querySelectorAll(".closed-list .row").length';
const CHOSEN_NO = 'document.querySelector(".closed-list [aria-selected=true]")?.dataset.no';

async function checkDesk(t: Test, browser: Browser): Promise<void> {
  const { page, pageErrors, waitUntil, text } = await openList(t, browser, 'Omar');
  const { keyboard } = page;
  t.match(await text('.closed-list .row'), /Graffiti.*Nadia.*confirmed/s);
  await keyboard.press('j');
  await waitUntil(`${CHOSEN_NO} === "${LAST_NO}"`);
  await keyboard.press('Enter');
  await waitUntil(`location.pathname === '/closed/${LAST_NO}'`);
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

  t.strictSame(pageErrors, []);
}

async function checkRefusals(t: Test, browser: Browser): Promise<void> {
  const { page, room, waitUntil, text } = await openList(t, browser, 'Omar');
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
}

async function checkOperator(t: Test, browser: Browser): Promise<void> {
  const { page, room, waitUntil, text } = await openList(t, browser, 'Nadia');
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
