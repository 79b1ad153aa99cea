/** Browser tests of suppressions and patrols: dialogs by keyboard. */
import type { Browser } from 'puppeteer-core';
import t, { type Test } from 'tap';
import type { Archive } from '../../scripts/programs/room/archive/archive.ts';
import type { Patrol } from '../../scripts/programs/room/console/patrol-settings.ts';
import { browserMissing } from '../lib/browser.ts';
import { DATABASES } from '../lib/databases.ts';
import { type AlertSource, alertOf } from '../lib/room-alerts.ts';
import { browserOf, type OpenConsole, type Opening, openConsole } from '../lib/room-browser.ts';

const PATROLS: readonly Patrol[] = [
  { name: 'Patrouille du port', sites: ['port'], webhook: undefined },
  { name: 'Îlotage centre', sites: ['centre'], webhook: undefined },
  { name: 'Équipage de nuit', sites: [], webhook: undefined },
];
/** Row of the rule whose storm is suppressed, and one of priority 1. */
const NOISY = { site: 'centre', box: 'cam-1', kind: 'loitering', rule: 'square' } as const;
const URGENT = { site: 'centre', box: 'cam-2', kind: 'wrong-way', rule: 'lane' } as const;

interface OpenRoom extends OpenConsole {
  readonly archive: Archive;
}

async function openRoom(
  t: Test,
  browser: Browser,
  alerts: readonly AlertSource[],
  opening: Opening = {},
): Promise<OpenRoom> {
  const { address, open } = await DATABASES.sqlite(t);
  const archive = await open();
  await archive.store(alerts.map((source) => alertOf(source, Date.now())));
  const settings = { patrols: PATROLS };
  return { ...(await openConsole(t, browser, { address, settings, ...opening })), archive };
}

const FOCUSED = 'document.activeElement.getAttribute("role") ?? document.activeElement.tagName';

t.test(
  'suppressions and patrols work in a browser',
  { skip: browserMissing(), timeout: 240_000 },
  async (t) => {
    const browser = await browserOf(t);
    await t.test('an operator suppresses a storm, and its incidents return after an hour', (t) =>
      checkSuppression(t, browser),
    );
    await t.test('a patrol is dispatched and answers, by digits and by arrows', (t) =>
      checkPatrol(t, browser),
    );
  },
);

async function checkSuppression(t: Test, browser: Browser): Promise<void> {
  const alerts = [...Array.from({ length: 5 }, () => NOISY), URGENT];
  const { page, room, archive, pageErrors, waitUntil } = await openRoom(t, browser, alerts);
  const { keyboard } = page;
  await page.waitForSelector('.row.storm');
  await keyboard.press('j');
  await waitUntil('document.querySelector(".row.p1[aria-selected=true]") !== null');
  await keyboard.press('s');
  t.equal(await page.$('dialog[open]'), null, 'priority 1 is never suppressed');
  await keyboard.press('j');
  await page.waitForSelector('.bar .suppress');
  await keyboard.press('s');
  await page.waitForSelector('dialog[open]');
  t.equal(await page.evaluate(FOCUSED), 'INPUT', 'the reason has the focus, no button');
  await keyboard.type('no');
  await keyboard.press('Enter');
  t.not(await page.$('dialog[open]'), null, 'a reason has three characters or more');
  await keyboard.type(' shade: low sun');
  await keyboard.press('Enter');
  await waitUntil('document.querySelector(".suppression")?.textContent.includes("no shade: low sun")');
  t.match(await page.$eval('.suppression', (one) => one.textContent), /centre\/cam-1 · square.*Nadia, until/);
  const rowCount = 'document.querySelectorAll(".row").length';
  const before = await page.evaluate(rowCount);
  await archive.store([alertOf(NOISY, Date.now())]);
  await waitUntil('document.querySelector(".suppression .small")?.textContent === "1 suppressed"');
  t.equal(await page.evaluate(rowCount), before, 'no row is added');
  await page.click('.suppression .small');
  await page.waitForSelector('.suppressed-list .near');
  await page.click('.suppressed-list .near');
  await waitUntil(
    'document.querySelector(".incident .notice.info")?.textContent.includes("Suppressed until")',
  );
  await keyboard.press('Escape');
  await room.db.run("UPDATE suppression SET ends_at = '2026-01-01T00:00:00.000Z'");
  await waitUntil('document.querySelector(".suppression") === null', 15_000);
  await waitUntil('document.querySelector(".counts")?.textContent.includes("7 open")');
  t.strictSame(
    (await room.record('suppress', 'suppression-ended')).map(({ account, act }) => [account, act]),
    [
      ['Nadia', 'suppress'],
      ['room', 'suppression-ended'],
    ],
  );
  t.strictSame(pageErrors, []);
}

const OPTIONS = '[...document.querySelectorAll(".option")].map(({ textContent }) => textContent)';
const FACTS = 'document.querySelector(".incident .facts").textContent';

async function checkPatrol(t: Test, browser: Browser): Promise<void> {
  const { page, room, posts, pageErrors, waitUntil } = await openRoom(t, browser, [NOISY, NOISY], {
    look: ['fr', 'light'],
    path: '/incidents/1',
  });
  const { keyboard } = page;
  await page.waitForSelector('.incident .act.dispatch');
  await keyboard.press('d');
  await page.waitForSelector('dialog[open] .option');
  t.equal(await page.evaluate(FOCUSED), 'listbox', 'the list has the focus, no button');
  t.strictSame(await page.evaluate(OPTIONS), [
    '1Îlotage centre',
    '2Équipage de nuit',
    '3Patrouille du portautre site',
    '0Autre équipage, non précisé',
  ]);
  await keyboard.press('Enter');
  t.not(await page.$('dialog[open]'), null, 'Enter alone does nothing');
  await keyboard.press('1');
  await waitUntil(`${FACTS}.includes("Îlotage centre, pas encore de réponse")`);
  await page.waitForSelector('.incident .act.answer');
  await keyboard.press('d');
  await page.waitForSelector('dialog[open] .option');
  t.strictSame(await page.evaluate(OPTIONS), ['1Acceptée, en route', '2Indisponible', '3Sur place']);
  await keyboard.press('ArrowDown');
  await keyboard.press('ArrowDown');
  await keyboard.press('Enter');
  await waitUntil(`${FACTS}.includes("indisponible")`);
  await page.waitForSelector('.incident .act.another');
  await keyboard.press('d');
  await page.waitForSelector('dialog[open] .option');
  await keyboard.press('2');
  await waitUntil(`${FACTS}.includes("Équipage de nuit, pas encore de réponse")`);
  await waitUntil(
    'document.querySelector(".toasts")?.textContent.includes("Engagement de Équipage de nuit")',
  );
  const report = { patrol: 'Équipage de nuit', answer: 'arrived' };
  t.equal((await room.postAs('Omar', '/api/incidents/1/patrol', report)).status, 200);
  await waitUntil(`/Équipage de nuit, sur place.*Délai d’arrivée\\d+ s/.test(${FACTS})`);
  t.equal(await page.$('.incident .act.answer'), null, 'no answer is left to report');
  t.match(
    posts.map(({ path, body }) => [path.replace('/api/incidents/1/', ''), body]),
    [
      ['claim', {}],
      ['dispatch', { patrol: 'Îlotage centre' }],
      ['patrol', { patrol: 'Îlotage centre', answer: 'declined' }],
      ['claim', {}],
      ['dispatch', { patrol: 'Équipage de nuit' }],
    ],
  );
  t.strictSame(pageErrors, []);
}
