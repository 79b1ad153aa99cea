/** The console's screens beside the queue, in a real browser: every one in both languages and themes, by key, at 1,500 cameras. */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import axe from 'axe-core';
import { build } from 'esbuild';
import type { Browser, Page } from 'puppeteer-core';
import t, { type Test } from 'tap';
import { browserMissing } from '../lib/browser.ts';
import { ROOT, scratch } from '../lib/paths.ts';
import { CannedRoom, city, cityMapFile, HOSTILE, SEARCH } from '../lib/room-desk.ts';
import { beginning, violations } from '../page/in-page.ts';
import { type Look, openBrowser } from '../page/phone.ts';

const APP_DIR = join(ROOT, 'scripts/programs/room/app');
const SCREENS_DIR = join(ROOT, '.cache/room-desk-screens');
const WCAG = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];
/** What these screens add to the console, gzip. */
const WEIGHT_KB_MAX = 25;
/** 1,500 tiles. */
const DRAWN_MS_MAX = 25;
const LOOKS: readonly Look[] = [
  ['fr', 'light'],
  ['en', 'dark'],
  ['en', 'light'],
  ['fr', 'dark'],
];
const SCREENS = ['cameras', 'plan', 'search', 'figures', 'hand-over', 'audit'];
const WITHOUT = `import { render } from 'preact';
import { path } from './router.ts'; import { session, took, startClock } from './session.ts'; import { startTheme } from './theme.ts';
import { cameras } from './stream.ts'; import { get } from './api.ts'; import { startKeys } from './keys.ts';
import { language } from '../../../../agent/kit/words.ts'; import * as kit from '../../../../agent/kit/controls.tsx';
console.log(render, path, session, took, startClock, startTheme, cameras, get, startKeys, language, kit);`;
const ENTRY = `import { h, render } from 'preact';
import { get } from './api.ts'; import { go, path, startRouter } from './router.ts';
import { startClock, took } from './session.ts'; import { startTheme } from './theme.ts'; import { cameras } from './stream.ts'; import { startKeys } from './keys.ts';
import { fleet } from './desk/fleet.ts';
import { AuditScreen } from './screens/audit.tsx'; import { CamerasScreen } from './screens/cameras.tsx';
import { FiguresScreen } from './screens/figures.tsx'; import { HandOverScreen } from './screens/hand-over.tsx';
import { PlanScreen } from './screens/plan.tsx'; import { SearchScreen } from './screens/search.tsx';
const screens = { '/cameras': CamerasScreen, '/plan': PlanScreen, '/search': SearchScreen, '/figures': FiguresScreen,
  '/hand-over': HandOverScreen, '/audit': AuditScreen };
function App() { const Screen = screens[path.value]; return h('div', { class: 'frame' }, h('header', { class: 'top' }, h('p', { class: 'brand' }, 'Vigie')), h('main', { class: 'screen' }, Screen ? h(Screen) : h('p', null, path.value))); }
startTheme(); startRouter(); startClock(); startKeys();
took(await get('/api/session'));
globalThis.desk = { go, cameras, fleet };
render(h(App), document.getElementById('app'));`;

async function bundled(contents: string): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: APP_DIR, loader: 'ts' },
    ...{ bundle: true, write: false, minify: true, format: 'esm', target: 'es2022' },
    ...{ jsx: 'automatic', jsxImportSource: 'preact', legalComments: 'none' },
  });
  return outputFiles[0]?.text ?? '';
}

async function styles(file: string): Promise<string> {
  const { outputFiles } = await build({
    ...{ entryPoints: [join(APP_DIR, file)], bundle: true, write: false, minify: true },
  });
  return outputFiles[0]?.text ?? '';
}

interface Parts {
  readonly browser: Browser;
  readonly script: string;
  readonly style: string;
}

interface Shown {
  readonly page: Page;
  readonly room: CannedRoom;
  readonly complaints: string[];
  show(screen: string): Promise<void>;
  text(selector?: string): Promise<string>;
  until(condition: string): Promise<void>;
}

async function opened(t: Test, { browser, script, style }: Parts, [language, theme]: Look): Promise<Shown> {
  const room = new CannedRoom(script, style);
  const home = await room.start();
  const context = await browser.createBrowserContext();
  const page = await context.newPage();
  t.teardown(async () => {
    await context.close();
    await room.stop();
  });
  await page.setViewport({ width: 1440, height: 900 });
  await page.evaluateOnNewDocument(beginning(language));
  await page.evaluateOnNewDocument(`localStorage.setItem('theme', '${theme}')`);
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error' && !/status of [45]|favicon/.test(message.text()))
      complaints.push(message.text());
  });
  page.on('dialog', (dialog) => complaints.push(`dialog: ${dialog.message()}`));
  page.on('request', (request) => {
    // Chromium draws the calendar of a date by a picture of its own.
    if (!request.url().startsWith(home) && !request.url().startsWith('data:image/svg+xml;base64,'))
      complaints.push(`request: ${request.url()}`);
  });
  await page.goto(home, { waitUntil: 'load' });
  const until = async (condition: string): Promise<void> => {
    await page.waitForFunction(condition, { timeout: 8000 }).catch(async () => {
      throw new Error(`not so: ${condition}\n${await page.$eval('body', (body) => body.textContent ?? '')}`);
    });
  };
  await until('globalThis.desk !== undefined');
  return {
    ...{ page, room, complaints, until },
    show: async (screen) => {
      await page.evaluate(`desk.go('/${screen}')`);
      await until(`document.querySelector('[data-screen="${screen}"]') !== null`);
      await until(`document.querySelector('[role=status]')?.textContent !== 'Loading…'`);
    },
    text: (selector = 'main') => page.$eval(selector, (element) => element.textContent ?? ''),
  };
}

const READY: Readonly<Record<string, string>> = {
  cameras: 'document.querySelectorAll("[role=option]").length === 1500',
  plan: 'document.querySelectorAll(".d-marker.offline").length > 0 && document.querySelector(".d-alarm") !== null',
  search: 'document.querySelector("form") !== null',
  figures: 'document.querySelector(".d-precision") !== null',
  'hand-over': 'document.querySelector(".d-sums") !== null',
  audit: 'document.querySelector(".d-hash") !== null',
};

t.test('these screens weigh little', async (t) => {
  const [all, without] = await Promise.all([bundled(ENTRY), bundled(WITHOUT)]);
  const kB =
    (gzipSync(all).length - gzipSync(without).length + gzipSync(await styles('desk.css')).length) / 1000;
  t.comment(`${kB.toFixed(1)} kB gzip`);
  t.ok(kB <= WEIGHT_KB_MAX, `${kB} kB`);
  t.notMatch(all, /TypeBox|https?:\/\/(?!www\.w3\.org)/);
});

t.test('in a browser', { skip: browserMissing(), timeout: 180_000 }, async (t) => {
  const browser = await openBrowser(join(scratch(t), 'profile'));
  t.teardown(() => browser.close());
  rmSync(SCREENS_DIR, { recursive: true, force: true });
  mkdirSync(SCREENS_DIR, { recursive: true });
  const parts = { browser, script: await bundled(ENTRY), style: await styles('style.css') };
  for (const look of LOOKS)
    await t.test(`every screen, ${look.join(', ')}`, (t) => everyScreen(t, parts, look));
  await t.test('1,500 tiles', (t) => tiles(t, parts));
  await t.test('cameras by key', (t) => camerasByKey(t, parts));
  await t.test('the plan by hand and key', (t) => plan(t, parts));
  await t.test('a map that is none', (t) => hostileMaps(t, parts));
  await t.test('a search, with the server away in the midst of it', (t) => search(t, parts));
  await t.test('figures, hand-over and audit', (t) => papers(t, parts));
});

async function everyScreen(t: Test, parts: Parts, look: Look): Promise<void> {
  const shown = await opened(t, parts, look);
  const faults: string[] = [];
  const check = async (name: string): Promise<void> => {
    const file = join(SCREENS_DIR, `${name}-${look.join('-')}.png`);
    await shown.page.screenshot({ path: file as `${string}.png` });
    if (!(await shown.page.evaluate('"axe" in window'))) await shown.page.evaluate(axe.source);
    const found = (await shown.page.evaluate(violations(WCAG))) as string[];
    const wide = await shown.page.evaluate('document.documentElement.scrollWidth > innerWidth');
    faults.push(
      ...found.map((fault) => `${name}: ${fault}`),
      ...(wide === true ? [`${name} is too wide`] : []),
    );
  };
  for (const screen of SCREENS) {
    await shown.show(screen);
    await shown.until(READY[screen] ?? 'true');
    await check(screen);
    if (screen === 'cameras') {
      await shown.page.click('[role=option].blind');
      await shown.until('document.querySelectorAll(".d-rows.d-links li").length > 0');
      await check('cameras-chosen');
    } else if (screen === 'search') {
      await shown.page.type('[name=case]', '2026/1432');
      await shown.page.type('[name=reason]', 'theft of a bicycle');
      await shown.page.click('[type=submit]');
      await shown.until('document.querySelector("table") !== null');
      await check('search-found');
    } else if (screen === 'hand-over') {
      await shown.page.emulateMediaType('print');
      await check('hand-over-print');
      await shown.page.emulateMediaType('screen');
    }
  }
  t.same(faults, []);
  t.same(shown.complaints, []);
}

/** From the moment the data is there to a layout that is done, and to the frame after it. */
const DRAW = `(async () => {
  desk.go('/elsewhere');
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done, 30)));
  const from = performance.now();
  desk.go('/cameras');
  while (document.querySelectorAll('[role=option]').length < 1500) await Promise.resolve();
  document.body.getBoundingClientRect();
  const laid = performance.now() - from;
  await new Promise((done) => requestAnimationFrame(() => { const c = new MessageChannel(); c.port1.onmessage = done; c.port2.postMessage(0); }));
  return [laid, performance.now() - from];
})()`;

async function tiles(t: Test, parts: Parts): Promise<void> {
  const shown = await opened(t, parts, ['en', 'light']);
  await shown.show('cameras');
  await shown.until(READY['cameras'] ?? '');
  const runs: [number, number][] = [];
  for (let i = 0; i < 15; i++) runs.push((await shown.page.evaluate(DRAW)) as [number, number]);
  const inOrder = (of: 0 | 1) => runs.map((run) => run[of]).sort((a, b) => a - b);
  const [laid, painted] = [inOrder(0), inOrder(1)].map(
    (all) => `${all[0]?.toFixed(1)} (median ${all[7]?.toFixed(1)})`,
  );
  t.comment(`laid out ${laid} ms, painted ${painted} ms`);
  // Other programs of this machine only add to it.
  t.ok((inOrder(0)[0] ?? Number.NaN) <= DRAWN_MS_MAX, `${laid} ms`);
  const change = { ...city().cameras[0], condition: 'offline', reasons: ['silent', HOSTILE.slice(0, 40)] };
  await shown.page.evaluate(
    `desk.cameras.value = new Map([['${change.site}/${change.box}', ${JSON.stringify(change)}]])`,
  );
  await shown.until(
    `document.getElementById('camera-${change.site}/${change.box}').className === 'd-shape offline'`,
  );
  t.match(await shown.text('.desk-aside'), '<img src=x', 'a reason from a box is text');
  t.same(await shown.page.$$('img'), []);
  t.same(shown.complaints, []);
}

async function camerasByKey(t: Test, parts: Parts): Promise<void> {
  const shown = await opened(t, parts, ['en', 'light']);
  await shown.show('cameras');
  await shown.until(READY['cameras'] ?? '');
  const { keyboard } = shown.page;
  await keyboard.press('/');
  await keyboard.type('stream cam-');
  await shown.until('document.querySelectorAll("[role=option]").length === 8');
  t.equal(
    await shown.page.$eval('input[type=search]', (input) => (input as unknown as { value: string }).value),
    'stream cam-',
  );
  await keyboard.press('Tab');
  await keyboard.press('ArrowRight');
  t.equal(await shown.page.evaluate('document.activeElement.className'), 'd-tiles');
  await shown.until('document.querySelector("[aria-selected=true]") !== null');
  const first = await shown.page.$eval('[aria-selected=true]', ({ id }) => id);
  await keyboard.press('ArrowRight');
  await shown.until(`document.querySelector("[aria-selected=true]").id !== "${first}"`);
  const second = await shown.page.$eval('[aria-selected=true]', ({ id }) => id);
  await keyboard.press('Enter');
  await shown.until('document.activeElement.id === "camera-title"');
  t.equal(`camera-${await shown.text('#camera-title')}`, second);
  t.match(await shown.text('.desk-aside'), /stream is lost[\s\S]*1 h \d\d \(\d+/);
  t.match(await shown.text('.desk-aside'), 'Certificate ends');
  await keyboard.press('Escape');
  await shown.until('document.querySelector("#camera-title") === null');
  await shown.page.click('.d-tally.offline');
  await shown.until('document.body.textContent.includes("No camera fits.")');
  t.same(await shown.page.$$eval('a[download]', (links) => links.map((link) => link.getAttribute('href'))), [
    '/api/cameras.csv',
  ]);
  shown.room.answers.set('/api/cameras', {
    status: 503,
    body: { type: 'about:blank', title: 'the database is away', status: 503 },
  });
  await shown.show('audit');
  await shown.show('cameras');
  await shown.until('document.querySelector("[role=alert]") !== null');
  t.match(await shown.text('[role=alert]'), 'Not up to date: the database is away');
  t.same(shown.complaints, []);
}

const VIEW = 'document.querySelector(".d-map svg").getAttribute("viewBox")';

async function plan(t: Test, parts: Parts): Promise<void> {
  const shown = await opened(t, parts, ['en', 'light']);
  await shown.show('plan');
  await shown.until(READY['plan'] ?? '');
  const views: unknown[] = [await shown.page.evaluate(VIEW)];
  const after = async (act: () => Promise<unknown>): Promise<void> => {
    await act();
    await shown.until(`${VIEW} !== ${JSON.stringify(views.at(-1))}`);
    views.push(await shown.page.evaluate(VIEW));
  };
  const { keyboard, mouse } = shown.page;
  await shown.page.$eval('.d-map svg', (map) => (map as unknown as { focus(): void }).focus());
  await after(() => keyboard.press('+'));
  await after(() => keyboard.press('ArrowRight'));
  await mouse.move(400, 450);
  await after(() => mouse.wheel({ deltaY: -300 }));
  await after(async () => {
    await mouse.down();
    await mouse.move(480, 500, { steps: 4 });
    await mouse.up();
  });
  t.equal(await shown.page.evaluate('location.pathname'), '/plan', 'a drag is no click');
  await after(() => keyboard.press('0'));
  t.equal(views.at(-1), views[0]);
  await shown.page.evaluate(`document.querySelector('.d-alarm .d-ring').dispatchEvent(new PointerEvent('pointerdown', { bubbles: true, button: 0 }));
    document.querySelector('.d-alarm .d-ring').dispatchEvent(new PointerEvent('pointerup', { bubbles: true, button: 0 }))`);
  await shown.until('/^\\/incidents\\/\\d+$/.test(location.pathname)');
  await shown.show('plan');
  await shown.until(READY['plan'] ?? '');
  await shown.page.click('.d-rows a.d-row-button');
  await shown.until('document.querySelector("#camera-title") !== null');
  t.same(shown.complaints, []);
}

async function hostileMaps(t: Test, parts: Parts): Promise<void> {
  const shown = await opened(t, parts, ['en', 'light']);
  const point = (coordinates: unknown, properties: unknown = { name: HOSTILE }) => ({
    type: 'Feature',
    properties,
    geometry: { type: 'Point', coordinates },
  });
  const collection = (features: unknown[]) => ({ type: 'FeatureCollection', features });
  const line = async (body: unknown): Promise<string> => {
    shown.room.answers.set('/api/plan', { status: 200, body });
    await shown.page.evaluate(`desk.go('/elsewhere')`);
    await shown.show('plan');
    await shown.until('document.querySelector("[data-screen=plan] :is(.notice, svg)") !== null');
    return shown.text();
  };
  for (const none of [null, [], { type: 'Topology' }, { type: 'FeatureCollection' }])
    t.match(await line(none), 'not a GeoJSON FeatureCollection');
  t.match(await line(collection([])), 'no feature in it can be drawn');
  t.match(
    await line(collection([point([1e308, 1]), point(['4', 5]), point([null, Number.NaN]), null, 7])),
    'no feature',
  );
  t.match(
    await line(collection(Array.from({ length: 20_001 }, () => point([4, 45])))),
    'more than 20,000 features',
  );
  const nested = `{"type":"FeatureCollection","features":[{"type":"Feature","geometry":{"type":"Polygon","coordinates":${'['.repeat(3000)}${']'.repeat(3000)}}}]}`;
  t.match(await line(nested), 'no feature');
  const mixed = cityMapFile(3);
  const bad = [
    point([4.85, 1e308]),
    point([4.85, 45.75], { site: '__proto__', box: HOSTILE }),
    point([4.85, 45.75]),
  ];
  t.match(await line(collection([...mixed.features, ...bad])), '1 features of the map are left out');
  t.match(await line(collection([point([4.85, 45.75], { site: 'saxe', box: 'cam-1404' })])), /Plan/);
  t.notMatch(String(await shown.page.evaluate(VIEW)), /NaN|Infinity/);
  shown.room.answers.set('/api/plan', {
    status: 404,
    body: { type: 'about:blank', title: 'no map', status: 404 },
  });
  await shown.page.evaluate(`desk.go('/elsewhere')`);
  await shown.show('plan');
  await shown.until('document.body.textContent.includes("The room has no map")');
  t.same(await shown.page.$$('img'), []);
  t.same(shown.complaints, []);
}

async function search(t: Test, parts: Parts): Promise<void> {
  const shown = await opened(t, parts, ['en', 'light']);
  await shown.show('search');
  await shown.page.click('[type=submit]');
  t.match(await shown.text('form'), /Case number\s*Needed\./, 'without a case nothing is asked');
  await shown.page.type('[name=case]', '2026/1432');
  await shown.page.type('[name=reason]', 'theft of a bicycle');
  await shown.page.type('[name=boxes]', 'cam-0001, Cam_2');
  await shown.until('document.body.textContent.includes("“Cam_2” is no name")');
  await shown.page.$eval('[name=boxes]', (input) => (input as unknown as { select(): void }).select());
  await shown.page.type('[name=boxes]', 'cam-0001 cam-0002');
  shown.room.answers.set('/api/searches', {
    status: 503,
    body: { type: 'about:blank', title: 'the signer is away', status: 503 },
  });
  await shown.page.click('[type=submit]');
  await shown.until('document.querySelector("[role=alert]") !== null');
  t.match(await shown.text('[role=alert]'), 'the signer is away What you typed is kept.');
  await shown.show('audit');
  await shown.show('search');
  t.equal(
    await shown.page.$eval('[name=case]', (input) => (input as unknown as { value: string }).value),
    '2026/1432',
  );
  shown.room.answers.delete('/api/searches');
  await shown.page.click('[type=submit]');
  await shown.until('document.querySelector("table") !== null');
  const body = shown.room.posted.at(-1) as Record<string, unknown>;
  t.match(body, { case: '2026/1432', reason: 'theft of a bicycle', boxes: ['cam-0001', 'cam-0002'] });
  t.notOk('kinds' in body);
  t.match(await shown.text(), '1,371 of 1,500 boxes have answered');
  t.match(await shown.text('.d-missing'), '<img src=x onerror=alert(1)>');
  shown.room.answers.set('/api/searches/s-1', {
    status: 503,
    body: { type: 'about:blank', title: 'away', status: 503 },
  });
  await shown.until('document.body.textContent.includes("its state is asked for again")');
  shown.room.answers.set('/api/searches/s-1', {
    status: 200,
    body: { ...SEARCH, done: true, answered: 1497 },
  });
  await shown.until('document.body.textContent.includes("1,497 of 1,500")');
  t.match(await shown.text(), 'Done');
  t.equal(await shown.page.$eval('tbody a', (link) => link.getAttribute('href')), '/incidents/1');
  t.same(shown.complaints, []);
}

async function papers(t: Test, parts: Parts): Promise<void> {
  const shown = await opened(t, parts, ['en', 'light']);
  await shown.show('figures');
  await shown.until(READY['figures'] ?? '');
  t.match(await shown.text('tbody tr'), /cam-0012\/quay412.*93%90%–96%323301/);
  t.match(await shown.text(), 'few verdicts');
  t.match(await shown.text(), 'Held back');
  await shown.page.select('[name=by]', 'hour');
  await shown.page.waitForNetworkIdle({ idleTime: 100 });
  t.match(shown.room.asked.at(-1), /figures\?from=2026-10-28T14%3A0\d%3A00\.000Z&to=.*&by=hour$/);
  t.match(await shown.page.$eval('a[download]', (link) => link.getAttribute('href')), '&by=hour');
  await shown.show('hand-over');
  await shown.until(READY['hand-over'] ?? '');
  t.match(await shown.text('article'), '27 Nov 2026, 07:00 to 27 Nov 2026, 15:00', 'the room’s time zone');
  t.match(await shown.text('.d-notes'), '<img src=x onerror=alert(1)>');
  t.notMatch(await shown.text('.d-notes'), /\p{Cc}|\p{Cf}/u);
  await shown.page.evaluate('globalThis.print = () => { document.title = "printed"; }');
  await shown.page.click('.desk-acts .button');
  t.equal(await shown.page.title(), 'printed');
  await shown.show('audit');
  await shown.until(READY['audit'] ?? '');
  t.match(await shown.text('.notice'), 'The record is whole');
  await shown.page.click('.d-pages .button');
  await shown.page.waitForNetworkIdle({ idleTime: 100 });
  t.equal(shown.room.asked.at(-1), 'GET /api/audit?before=821');
  const broken = {
    entries: [],
    next: null,
    whole: false,
    fault: 'entry 17 does not hold the hash of entry 16',
  };
  shown.room.answers.set('/api/audit', { status: 200, body: broken });
  await shown.page.type('[name=who]', 'Camille');
  await shown.page.type('[name=incident]', '12');
  await shown.page.keyboard.press('Enter');
  await shown.until('document.querySelector("[role=alert]") !== null');
  t.equal(shown.room.asked.at(-1), 'GET /api/audit?who=Camille&incident=12');
  t.match(await shown.text('[role=alert]'), 'The record is broken');
  t.match(await shown.text('[role=alert]'), 'entry 17');
  t.same(shown.complaints, []);
}
