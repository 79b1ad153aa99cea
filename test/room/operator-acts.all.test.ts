/**
 * Browser tests of the operators' actions with the real server: one verdict for many rows, by keyboard.
 */
import type { Browser } from 'puppeteer-core';
import sharp from 'sharp';
import t, { type Test } from 'tap';
import { iso, type Sql } from '../../scripts/products/room/database/sql.ts';
import { browserMissing } from '../lib/browser.ts';
import { addIncidents, addPictured, insert } from '../lib/console-rows.ts';
import { browserOf, type OpenConsole, type Opening, openConsole } from '../lib/room-browser.ts';
import { numbered } from '../lib/room-evening.ts';

const STORM = [20, 21, 22, 23, 24];
const LOADED = '[...document.images].some((image) => image.complete && image.naturalWidth > 0)';
const isOpen = (no: number): string => `document.querySelector('[data-incident="${no}"]') !== null`;

t.test('operators act in a browser', { skip: browserMissing(), timeout: 240_000 }, async (t) => {
  const picture = { width: 640, height: 360, channels: 3, background: '#567' } as const;
  const jpeg = await sharp({ create: picture }).jpeg().toBuffer();
  const browser = await browserOf(t);
  await t.test('one verdict closes the selected rows, and refused rows say why', (t) =>
    checkBulk(t, browser, jpeg),
  );
  await t.test('a supervisor reopens all that match a filter, and sends refused messages again', (t) =>
    checkSupervisor(t, browser, jpeg),
  );
});

/** A storm of five, a car with a picture (2) and one without (3). */
async function fill(db: Sql, jpeg: Buffer): Promise<void> {
  const box = 'cam-gare-1';
  const urgent = { priority: 1, kind: 'vehicle-in-pedestrian-zone', cause: '{"dwellS":12}' };
  const crossing = { kind: 'line-crossing', rule: 'platform-edge', place: 'line/platform-2' };
  await addIncidents(db, [numbered(3, { received: iso(Date.now() - 1000) })]);
  await addPictured(db, jpeg, 'centre', [
    { ...numbered(2, urgent), no: 2, box },
    ...STORM.map((no) => ({
      ...numbered(no, { ...crossing, received: iso(Date.now() - (50 - no) * 500) }),
      no,
      box,
    })),
  ]);
}

async function openApp(t: Test, browser: Browser, jpeg: Buffer, opening: Opening = {}): Promise<OpenConsole> {
  const tab = await openConsole(t, browser, { fill: (db) => fill(db, jpeg), ...opening });
  await tab.page.waitForSelector('.row');
  return tab;
}

const verdictsOf = (db: Sql) =>
  db.all<{ no: number; verdict: string | null }>('SELECT no, verdict FROM incident ORDER BY no');
const judgements = async (db: Sql): Promise<[number, boolean][]> => {
  const entries = await db.all<Record<'incident' | 'more', string>>(
    "SELECT incident, more FROM audit WHERE act = 'judge' ORDER BY no",
  );
  return entries.map((entry) => [Number(entry.incident), entry.more.includes('"unseen":true')]);
};

async function checkBulk(t: Test, browser: Browser, jpeg: Buffer): Promise<void> {
  const { page, room, pageErrors, waitUntil, text } = await openApp(t, browser, jpeg);
  const { keyboard } = page;
  await keyboard.press('j');
  await keyboard.press('j');
  await keyboard.press('x');
  await waitUntil('document.querySelector(".bulk") !== null');
  t.match(await text('.bulk-count'), '5 selected (5 unseen)', 'one key selects the storm');
  await keyboard.press('Enter');
  await keyboard.press('j');
  await keyboard.press('Enter');
  await waitUntil(isOpen(20));
  await waitUntil(LOADED);
  await waitUntil('document.querySelector(".bulk-count").textContent.includes("(4 unseen)")');
  await keyboard.press('Escape');
  await waitUntil('document.querySelector(".incident") === null');
  await keyboard.press('Escape');
  await waitUntil('document.querySelector(".bulk") === null');
  for (const key of ['K', 'J', 'J', 'J', 'J', 'K']) await keyboard.press(key as 'K');
  await waitUntil('document.querySelectorAll(".row[aria-checked=true]").length > 0');
  t.match(await text('.bulk-count'), '3 selected', 'a range shrinks where it turns');
  await keyboard.press('X');
  t.match(await text('.bulk-count'), '5 selected');
  // The browser learns of the claim only by the refusal.
  room.link.hold(false, true);
  t.equal((await room.postAs('Omar', '/api/incidents/22/claim', {})).status, 200);
  await keyboard.press('f');
  await page.waitForSelector('dialog[open]');
  t.match(await text('dialog'), '4 of the 5 selected');
  await page.click('#judge-unseen');
  await new Promise((resolve) => setTimeout(resolve, 100));
  room.link.hold(false, false);
  await waitUntil('document.querySelector(".refusal") !== null');
  t.match(await text('.refusal'), 'Omar has claimed it');
  t.match(await text('.toast.bad'), 'Not closed: 1 of 5');
  t.match(await text('.bulk-count'), '1 selected');
  t.same(await judgements(room.db), [
    [20, false],
    [21, true],
    [23, true],
    [24, true],
  ]);
  await keyboard.press('z');
  await waitUntil('document.querySelector(".bulk-count")?.textContent.includes("4 selected")');
  t.same(
    (await verdictsOf(room.db)).filter(({ verdict }) => verdict !== null),
    [],
    'one key takes all of them back',
  );
  t.same(pageErrors, []);
}

/** Clicks the button with this text. */
const clickOn = (text: string): string =>
  `[...document.querySelectorAll('.button')].find((button) => button.textContent === '${text}').click()`;

async function checkSupervisor(t: Test, browser: Browser, jpeg: Buffer): Promise<void> {
  const { page, room, pageErrors, waitUntil, text } = await openApp(t, browser, jpeg, { user: 'Omar' });
  const { db } = room;
  await db.run("UPDATE incident SET state = 'closed', verdict = 'unclear', closed_at = $1 WHERE no >= 20", [
    iso(Date.now()),
  ]);
  await page.evaluate(`document.querySelector('nav a[href="/closed"]').click()`);
  await page.waitForSelector('select[name=verdict]');
  await page.select('select[name=verdict]', 'unclear');
  await waitUntil('document.querySelectorAll(".row.closed").length === 5');
  await page.evaluate(clickOn('Reopen all that match'));
  await waitUntil('document.querySelectorAll(".row.closed .tag").length === 5');
  t.match(await text('.toast'), 'Reopened: 5 incidents.');
  await page.keyboard.press('z');
  await waitUntil('document.querySelector(".toast")?.textContent.includes("Undone")');
  t.same(await db.all('SELECT no FROM incident WHERE reopens IS NOT NULL AND entry > 0'), []);

  const message = {
    webhook: 'city',
    id: 'incident-2-7-received',
    at: iso(Date.now()),
    status: 422,
    body: '{}',
  };
  await insert(db, 'webhook_refused', message);
  await page.evaluate(`document.querySelector('nav a[href="/audit"]').click()`);
  await waitUntil('document.body.textContent.includes("Webhook city: one message was refused.")');
  t.match(await text('.desk'), 'incident-2-7-received (422)');
  await page.evaluate(clickOn('Send again'));
  await waitUntil('document.body.textContent.includes("One message is sent again.")');
  t.equal((await db.all('SELECT id FROM webhook_refused WHERE is_due')).length, 1);
  t.same(pageErrors, []);
}
