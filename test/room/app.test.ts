/**
 * Browser tests of the console with the real server: keyboard only, alert storms, two tabs, both languages and both
 * themes.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { Browser, Page } from 'puppeteer-core';
import sharp from 'sharp';
import t, { type Test } from 'tap';
import { iso } from '../../scripts/programs/room/database/sql.ts';
import { browserMissing } from '../lib/browser.ts';
import { BUILT_APP } from '../lib/console.ts';
import { addIncident, addIncidents, insert } from '../lib/console-rows.ts';
import { FULL } from '../lib/run.ts';
import { ROOT, scratch } from '../lib/paths.ts';
import { waitUntil } from '../lib/room.ts';
import { type AppRoom, appRoom, contextOf, LOOKS, type Setup, type Tab, tabOf } from '../lib/room-browser.ts';
import { evening, numbered } from '../lib/room-evening.ts';
import { sampled } from '../lib/sampled.ts';
import { VERDICT_TIME, violations } from '../page/in-page.ts';
import { type Look, openBrowser, savePicture } from '../page/phone.ts';

const SCREENS_DIR = join(ROOT, '.cache/console-screens');
/** Maximum size of the files that a browser loads for the queue, gzip. */
const FIRST_LOAD_KB_MAX = 75;
/** Maximum size of all files, with every screen, gzip. */
const WHOLE_KB_MAX = 140;
/** Maximum time until a verdict is on the screen, independent of the server's answer. */
const VERDICT_MS = 100;
/** Number of alerts in a storm: several times the 2,000 that a screen holds. */
const STORM = FULL ? 36_000 : 6000;

/** The built file, and every file that it imports before it runs. */
function withImports(name: string): string[] {
  const text = readFileSync(join(BUILT_APP, name), 'utf8');
  const imported = [...text.matchAll(/(?:from|import)\s*"\.\/([^"]+)"/g)].map(([, path = '']) =>
    join(dirname(name), path),
  );
  return [...new Set([name, ...imported.flatMap(withImports)])];
}

t.test('the first load and the whole app are small, without a schema library', (t) => {
  const checkSize = (name: string, files: readonly string[], maxKB: number): void => {
    const kB =
      files.reduce((sum, file) => sum + gzipSync(readFileSync(join(BUILT_APP, file))).length, 0) / 1000;
    t.comment(`${name}: ${kB.toFixed(1)} kB gzip in ${files.length} files`);
    t.ok(kB <= maxKB, `${name}: ${kB} kB`);
  };
  const firstNames = ['index.html', 'style.css', ...withImports('app.js')];
  const chunks = readdirSync(join(BUILT_APP, 'chunks')).map((chunk) => join('chunks', chunk));
  const allNames = ['index.html', 'style.css', 'views.css', 'app.js', ...chunks];
  t.ok(
    firstNames.length < allNames.length && firstNames.every((name) => allNames.includes(name)),
    firstNames.join(' '),
  );
  checkSize('first load', firstNames, FIRST_LOAD_KB_MAX);
  checkSize('whole', allNames, WHOLE_KB_MAX);
  const texts = allNames.map((name) => readFileSync(join(BUILT_APP, name), 'utf8'));
  t.notMatch(texts.join(''), /TypeBox|https?:\/\/(?!www\.w3\.org)/);
  t.end();
});

t.test('the console works in a browser', { skip: browserMissing(), timeout: 240_000 }, async (t) => {
  const jpeg = await sharp(join(ROOT, 'docs/alert.jpg')).jpeg({ quality: 60 }).toBuffer();
  const browser = await openBrowser(join(scratch(t), 'profile'));
  t.teardown(() => browser.close());
  for (const look of sampled(t, 'looks', LOOKS, 2))
    await t.test(`every screen passes axe, ${look.join(', ')}`, (t) => everyScreen(t, browser, jpeg, look));
  await t.test('an operator works a whole shift by keyboard alone', (t) => checkShift(t, browser));
  await t.test('keys pressed faster than the screen is drawn act on the right element', (t) =>
    checkQuickKeys(t, browser),
  );
  await t.test('an action that another operator took first is reported as a conflict', (t) =>
    checkConflict(t, browser),
  );
  await t.test('a session that ends during a verdict sends it for no other user', (t) =>
    checkExpiry(t, browser),
  );
  await t.test('an auditor sees incidents but no picture', (t) => checkAuditor(t, browser));
  await t.test('text of a hostile box is shown as text', (t) => checkHostileBox(t, browser));
  await t.test('two tabs share one stream', (t) => checkTwoTabs(t, browser));
  await t.test('a storm is grouped, and alerts beyond the limit are counted', (t) => checkStorm(t, browser));
});

interface OpenApp extends Tab {
  readonly room: AppRoom;
  /** Opens another tab of the same browser. */
  another(path: string, look: Look): Promise<Tab>;
}

interface Opening extends Setup {
  readonly look?: Look;
  readonly path?: string;
  readonly userName?: string | undefined;
}

async function openApp(t: Test, browser: Browser, opening: Opening): Promise<OpenApp> {
  const { look = ['en', 'light'], path = '/' } = opening;
  const room = await appRoom(t, opening);
  const context = await contextOf(t, browser, room.home, 'userName' in opening ? opening.userName : 'Nadia');
  const tab = await tabOf(context, room.home, { look, path });
  return { ...tab, room, another: (to, as) => tabOf(context, room.home, { look: as, path: to }) };
}

/** Writes a screenshot into .cache/console-screens and returns what axe finds. */
async function screenProblems(page: Page, name: string, look: Look): Promise<string[]> {
  await savePicture(page, join(SCREENS_DIR, `${name}-${look.join('-')}.png`));
  const problems = await violations(page);
  return problems.map((problem) => `${name}: ${problem}`);
}

async function everyScreen(t: Test, browser: Browser, jpeg: Buffer, look: Look): Promise<void> {
  const {
    page,
    pageErrors,
    waitUntil: untilTrue,
  } = await openApp(t, browser, {
    look,
    userName: undefined,
    fill: (db) => evening(db, jpeg),
  });
  await page.waitForSelector('[data-account]');
  const problems = await screenProblems(page, '1-login', look);
  await page.click('[data-account=Omar]');
  await page.waitForSelector('.row');
  await untilTrue('document.querySelector(".link-live") !== null');
  await page.keyboard.press('j');
  problems.push(...(await screenProblems(page, '2-queue', look)));
  t.match(await page.title(), /^\(\d+\) Vigie$/);
  const first = await page.$$eval('.row', (rows) =>
    rows.slice(0, 3).map((row) => row.getAttribute('data-no')),
  );
  t.strictSame(first.slice(0, 2), ['1', '2'], 'overdue alerts come first, by priority');
  await page.click('[data-no="2"]');
  await untilTrue(
    '[...document.images].length === 1 && [...document.images].every((image) => image.complete)',
  );
  await untilTrue('document.activeElement.id === "incident-title"');
  problems.push(...(await screenProblems(page, '3-incident', look)));
  await page.setViewport({ width: 900, height: 900 });
  problems.push(...(await screenProblems(page, '4-narrow', look)));
  await page.setViewport({ width: 1600, height: 900 });
  await page.keyboard.press('?');
  await page.waitForSelector('dialog[open]');
  problems.push(...(await screenProblems(page, '5-keys', look)));
  await page.keyboard.press('Escape');
  await page.keyboard.press('n');
  await page.waitForSelector('textarea');
  problems.push(...(await screenProblems(page, '6-note', look)));
  t.strictSame(problems, []);
  t.strictSame(pageErrors, []);
}

const inQueue = (...nos: number[]) => ({
  fill: (db: Parameters<typeof addIncidents>[0]) =>
    addIncidents(
      db,
      nos.map((no) => numbered(no)),
    ),
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

async function checkShift(t: Test, browser: Browser): Promise<void> {
  const {
    page,
    room,
    posts,
    pageErrors,
    waitUntil: untilTrue,
  } = await openApp(t, browser, inQueue(1, 2, 3, 4, 5));
  const { keyboard } = page;
  await page.waitForSelector('.row');
  await keyboard.press('j');
  await keyboard.press('c');
  await untilTrue('document.querySelector(".row.claimed[data-no=\\"1\\"]") !== null');
  await keyboard.press('Enter');
  await page.waitForSelector('[data-incident="1"] .no-picture');
  await keyboard.press('n');
  await page.waitForSelector('dialog[open] textarea');
  await keyboard.type('Looked twice; t and f are letters here.');
  await keyboard.press('Enter');
  await untilTrue('document.querySelector(".toasts").textContent.includes("The note is saved")');
  await keyboard.press('d');
  await untilTrue('document.querySelector(".incident .mark.dispatched") !== null');
  await untilTrue('document.querySelector(".toasts").textContent.includes("Dispatched")');
  const drawnMs: number[] = [];
  for (const no of [1, 2, 3]) {
    await page.waitForSelector(`[data-incident="${no}"]`);
    // A row can disappear by the stream before the request is answered.
    await waitUntil(t, 'the action before is answered', () => posts.length === no + 2);
    room.link.hold(false, true);
    await page.evaluate(VERDICT_TIME);
    await keyboard.press('t');
    await untilTrue('verdictMs !== undefined');
    drawnMs.push((await page.evaluate('verdictMs')) as number);
    if (no === 1) await new Promise((resolve) => setTimeout(resolve, 1500));
    t.equal(posts.length, no + 2, 'the answer is not there yet');
    room.link.hold(false, false);
    await untilTrue(`document.querySelectorAll(".row").length === ${5 - no}`);
  }
  // Other tests share the processors, and can delay any one frame.
  t.ok(
    Math.min(...drawnMs) <= VERDICT_MS,
    `${drawnMs.map((ms) => ms.toFixed(0)).join(', ')} ms from the key to the frame that shows it`,
  );
  await page.waitForSelector('[data-incident="4"]');
  await keyboard.press('Escape');
  await untilTrue('document.querySelector(".incident") === null');
  await keyboard.press('/');
  await keyboard.type('cam-5');
  await untilTrue('document.querySelectorAll(".row").length === 1');
  await keyboard.press('Enter');
  await keyboard.press('j');
  await keyboard.press('f');
  await untilTrue('document.querySelectorAll(".row").length === 0');
  t.strictSame(
    posts.map(({ path }) => path.replace('/api/incidents/', '')),
    ['1/claim', '1/note', '1/dispatch', ...[1, 2, 3, 5].map((no) => `${no}/verdict`)],
  );
  t.strictSame(await room.record('claim', 'note', 'dispatch', 'judge'), [
    ...['claim', 'note', 'dispatch', 'judge'].map((action) => ({
      account: 'Nadia',
      act: action,
      incident: 1,
    })),
    ...[2, 3, 5].map((incident) => ({ account: 'Nadia', act: 'judge', incident })),
  ]);
  t.same(
    await room.db.all(
      'SELECT i.no, i.state, i.verdict, note.text FROM incident AS i LEFT JOIN note ON note.incident = i.no ORDER BY i.no',
    ),
    [
      { no: 1, state: 'closed', verdict: 'confirmed', text: 'Looked twice; t and f are letters here.' },
      { no: 2, state: 'closed', verdict: 'confirmed', text: null },
      { no: 3, state: 'closed', verdict: 'confirmed', text: null },
      { no: 4, state: 'new', verdict: null, text: null },
      { no: 5, state: 'closed', verdict: 'false-alarm', text: null },
    ],
  );
  t.strictSame(pageErrors, []);
}

async function checkConflict(t: Test, browser: Browser): Promise<void> {
  const { page, room, waitUntil: untilTrue } = await openApp(t, browser, inQueue(1, 2));
  await page.waitForSelector('.row');
  await untilTrue('document.querySelector(".link-live") !== null');
  /** Sends Omar's action to the server first, and to Nadia's screen after her own action. */
  const before = async (path: string, body: unknown, key: string): Promise<void> => {
    room.link.hold(false, true);
    t.equal((await room.postAs('Omar', path, body)).status, 200);
    await page.keyboard.press('j');
    await page.keyboard.press(key as 't');
    await new Promise((resolve) => setTimeout(resolve, 100));
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

async function checkExpiry(t: Test, browser: Browser): Promise<void> {
  const { page, room, posts, waitUntil: untilTrue } = await openApp(t, browser, inQueue(1, 2));
  await page.waitForSelector('.row');
  await room.db.run('DELETE FROM session');
  await page.keyboard.press('j');
  await page.keyboard.press('u');
  await page.waitForSelector('[data-account=Nadia]');
  t.equal(posts.length, 0);
  await page.click('[data-account=Nadia]');
  await untilTrue('document.querySelector(".toast.good") !== null');
  t.strictSame(posts, [{ path: '/api/incidents/1/verdict', body: { revision: 0, verdict: 'unclear' } }]);
  await untilTrue('document.querySelectorAll(".row").length === 1');
  await room.db.run('DELETE FROM session');
  await page.keyboard.press('t');
  await page.waitForSelector('[data-account=Omar]');
  await page.click('[data-account=Omar]');
  await untilTrue('document.querySelector(".toast.bad")?.textContent.includes("Nadia")');
  t.equal(posts.length, 1, 'no user sends another’s verdict');
  t.strictSame(await room.record('judge'), [{ account: 'Nadia', act: 'judge', incident: 1 }]);
}

async function checkAuditor(t: Test, browser: Browser): Promise<void> {
  const { page, room, requestedPaths, posts, text } = await openApp(t, browser, {
    ...inQueue(1),
    userName: 'Anna',
    path: '/incidents/1',
  });
  await page.waitForSelector('.no-picture');
  t.match(await text('.no-picture'), 'Auditors have no access to pictures');
  await page.keyboard.press('t');
  await page.keyboard.press('c');
  await page.waitForNetworkIdle({ idleTime: 100, concurrency: 1 });
  t.strictSame([requestedPaths.filter((one) => /stills|POST/.test(one)), posts], [[], []]);
  t.strictSame(await room.record('see-still', 'judge', 'claim', 'refused'), []);
  t.equal(await page.$('.act'), null);
}

async function checkHostileBox(t: Test, browser: Browser): Promise<void> {
  const line = '<img src=x onerror=alert(1)>\u001b[31m'.repeat(10).slice(0, 300);
  const { page, pageErrors, text } = await openApp(t, browser, {
    fill: async (db) => {
      const cause = JSON.stringify({ reason: line });
      await addIncidents(db, [
        numbered(1, { kind: '__proto__', place: `zone/${line}`.slice(0, 80), cause }),
        numbered(2, { kind: 'constructor', objects: JSON.stringify([{ label: 'toString', track: 1 }]) }),
      ]);
      await insert(db, 'note', { incident: 1, at: iso(Date.now()), account: 'Omar', text: line });
    },
    path: '/incidents/1',
  });
  await page.waitForSelector('.told .notes');
  t.match(await text('.sentence'), '<img src=x');
  t.equal(await page.$('[onerror]'), null);
  t.strictSame(pageErrors, []);
}

async function checkTwoTabs(t: Test, browser: Browser): Promise<void> {
  const first = await openApp(t, browser, inQueue(1));
  const { page, room, pageErrors } = first;
  await page.waitForSelector('.row');
  await first.waitUntil('document.querySelector(".link-live") !== null');
  const second = await first.another('/queue', ['fr', 'dark']);
  await second.page.waitForSelector('.row');
  await second.waitUntil('document.querySelector(".link-live") !== null');
  t.equal(room.streams.openCount, 1);
  await addIncidents(room.db, [numbered(2)]);
  await second.waitUntil('document.querySelector("[data-no=\\"2\\"]") !== null');
  await page.close();
  await waitUntil(
    t,
    'the other tab reads on',
    () => room.streams.openedCount === 2 && room.streams.openCount === 1,
  );
  await addIncidents(room.db, [numbered(3)]);
  await second.waitUntil('document.querySelector("[data-no=\\"3\\"]") !== null');
  t.strictSame([...pageErrors, ...second.pageErrors], []);
}

async function checkStorm(t: Test, browser: Browser): Promise<void> {
  const { page, room, pageErrors, waitUntil: untilTrue } = await openApp(t, browser, inQueue(1));
  await page.waitForSelector('.row');
  await untilTrue('document.querySelector(".link-live") !== null');
  const received = iso(Date.now());
  for (let no = 100; no < 100 + STORM; no += 200) {
    const rows = Array.from({ length: 200 }, (_, more) =>
      numbered(no + more, {
        received,
        site: `site-${no % 5}`,
        rule: `rule-${more % 97}`,
        kind: more % 2 ? 'loitering' : 'graffiti',
      }),
    );
    await addIncidents(room.db, rows);
    // The console runs in this process, unlike in production, so it needs time slices.
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  await addIncident(room.db, Date.now() - 100_000, { no: 99_999, priority: 1, kind: 'wrong-way' });
  const beganMs = Date.now();
  await untilTrue('document.querySelector("[data-no=\\"99999\\"]") !== null', 20_000);
  t.comment(`the last one ${Date.now() - beganMs} ms after it was committed`);
  const [drawnCount, merged, unheldCount] = (await page.evaluate(
    '[document.querySelectorAll(".row").length, document.querySelectorAll(".row.storm").length, document.querySelector(".more").textContent]',
  )) as [number, number, string];
  t.ok(drawnCount <= 60, `${drawnCount} drawn`);
  t.ok(merged > 0, `${merged} storms`);
  t.match(unheldCount, String(STORM + 2 - 2000), 'alerts beyond the limit are counted');
  await savePicture(page, join(SCREENS_DIR, '7-storm-en-light.png'));
  t.strictSame(pageErrors, []);
}
