/** The console's screens beside the queue, in a real browser and with the real server: every one in both languages and themes, by key, at 1,500 cameras. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import type { Browser } from 'puppeteer-core';
import t, { type Test } from 'tap';
import { CallError } from '../../scripts/programs/room/console/handler.ts';
import type { SearchRequest, SearchState } from '../../scripts/programs/room/contract/api.ts';
import type { Sql } from '../../scripts/programs/room/database/sql.ts';
import { browserMissing } from '../lib/browser.ts';
import { putCameras } from '../lib/console-rows.ts';
import { passMs } from '../lib/cpu-time.ts';
import { ROOT, scratch } from '../lib/paths.ts';
import { type AppRoom, appRoom, contextOf, LOOKS, type Setup, type Tab, tabOf } from '../lib/room-browser.ts';
import { city, cityMapFile, ENTRIES, HOSTILE, SEARCH } from '../lib/room-city.ts';
import { sampled } from '../lib/sampled.ts';
import { violations } from '../page/in-page.ts';
import { type Look, openBrowser, pictured } from '../page/phone.ts';

const APP_DIR = join(ROOT, 'scripts/programs/room/app');
const SCREENS_DIR = join(ROOT, '.cache/room-desk-screens');
/** What these screens add to the console, gzip. */
const WEIGHT_KB_MAX = 50;
/** To lay out 1,500 tiles, in passes over a frame: some 25 ms where a pass takes .3. */
const DRAWN_PASSES_MAX = 80;
/** Cameras of the screens that axe looks at, which takes its time for each: some of every condition. */
const LOOKED_AT = process.env['VIGIE_TEST_FULL'] === '1' ? 1500 : 450;
const SCREENS = ['cameras', 'plan', 'search', 'tracks', 'figures', 'hand-over', 'audit'];
const WITHOUT = `import { render } from 'preact';
import { path } from './router.ts'; import { session, took, startClock } from './session.ts'; import { startTheme } from './theme.ts';
import { cameras } from './stream.ts'; import { get } from './api.ts'; import { explain } from './acts.ts'; import { sentence } from './words/sentence.ts'; import { startKeys } from './keys.ts';
import { language } from '../../../../agent/kit/words.ts'; import * as kit from '../../../../agent/kit/controls.tsx';
console.log(render, explain, sentence, path, session, took, startClock, startTheme, cameras, get, startKeys, language, kit);`;
const WITH = `import { VIEWS } from './screens/views.ts'; console.log(VIEWS); ${WITHOUT}`;

async function bundled(contents: string): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: APP_DIR, loader: 'ts' },
    bundle: true,
    write: false,
    minify: true,
    format: 'esm',
    target: 'es2022',
    jsx: 'automatic',
    jsxImportSource: 'preact',
    legalComments: 'none',
  });
  return outputFiles[0]?.text ?? '';
}

async function styles(file: string): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [join(APP_DIR, file)],
    bundle: true,
    write: false,
    minify: true,
  });
  return outputFiles[0]?.text ?? '';
}

interface Shown extends Tab {
  readonly room: AppRoom;
  show(screen: string): Promise<void>;
}

/** What the browser asked for last of that path. */
const lastOf = ({ asked }: Tab, path: string): string =>
  asked.findLast((one) => one.startsWith(`GET ${path}`)) ?? '';

/** What is asked for of that path because of what `act` does, when the answer is there; an act shows nothing by itself. */
async function askedBy({ page }: Tab, path: string, act: () => Promise<unknown>): Promise<string> {
  const [answer] = await Promise.all([
    page.waitForResponse((response) => new URL(response.url()).pathname === path),
    act(),
  ]);
  const { pathname, search } = new URL(answer.url());
  return `GET ${pathname}${search}`;
}

interface Opening extends Setup {
  readonly cameras?: number;
  readonly look?: Look;
  readonly excused?: RegExp;
}

/** A supervisor at the console of a city. */
async function opened(t: Test, browser: Browser, opening: Opening = {}): Promise<Shown> {
  const { cameras = 1500, look = ['en', 'light'], excused = /status of 4/ } = opening;
  const plan = join(scratch(t), 'city.geojson');
  writeFileSync(plan, JSON.stringify(cityMapFile(cameras)));
  const room = await appRoom(t, {
    fill: (db) => city(db, cameras),
    settings: { plan, signer: 'unused' },
    handlers: signer().handlers,
    ...opening,
  });
  const context = await contextOf(t, browser, room.home, 'Omar');
  const before = `localStorage.setItem('theme', '${look[1]}')`;
  const tab = await tabOf(context, room.home, { look, before, width: 1440, excused });
  await tab.until('document.querySelector(".link-live") !== null');
  return {
    ...tab,
    room,
    show: async (screen) => {
      await tab.page.evaluate(`document.querySelector('nav a[href="/${screen}"]').click()`);
      await tab.until(`document.querySelector('[data-screen="${screen}"]') !== null`);
      await tab.until(`document.querySelector('main [role=status]')?.textContent !== 'Loading…'`);
    },
  };
}

/** Answers of the server to one path that are others than its own, until they are taken away. */
async function instead({ page }: Tab): Promise<Map<string, { status: number; body: string }>> {
  const answers = new Map<string, { status: number; body: string }>();
  await page.setRequestInterception(true);
  page.on('request', (request) => {
    const answer = answers.get(new URL(request.url()).pathname);
    if (answer === undefined) void request.continue();
    else void request.respond({ ...answer, contentType: 'application/json' });
  });
  return answers;
}

const away = (title: string): { status: number; body: string } => ({
  status: 503,
  body: JSON.stringify({ type: 'about:blank', title, status: 503 }),
});

const allShown = (cameras: number): string =>
  `document.querySelectorAll("[role=option]").length === ${cameras}`;

const READY: Readonly<Record<string, string>> = {
  cameras: allShown(1500),
  plan: 'document.querySelectorAll(".d-marker.offline").length > 0 && document.querySelector(".d-alarm") !== null',
  search: 'document.querySelector("form") !== null',
  tracks: 'document.querySelector("form") !== null',
  figures: 'document.querySelector(".d-precision") !== null',
  'hand-over': 'document.querySelector(".d-sums") !== null',
  audit: 'document.querySelector(".d-hash") !== null',
};

t.test('these screens weigh little', async (t) => {
  const [all, without] = await Promise.all([bundled(WITH), bundled(WITHOUT)]);
  const kB =
    (gzipSync(all).length - gzipSync(without).length + gzipSync(await styles('desk.css')).length) / 1000;
  t.comment(`${kB.toFixed(1)} kB gzip`);
  t.ok(kB <= WEIGHT_KB_MAX, `${kB} kB`);
  t.notMatch(all, /TypeBox|https?:\/\/(?!www\.w3\.org)/);
});

t.test('in a browser', { skip: browserMissing(), timeout: 180_000 }, async (t) => {
  const browser = await openBrowser(join(scratch(t), 'profile'));
  t.teardown(() => browser.close());
  for (const look of sampled(t, 'looks', LOOKS, 2))
    await t.test(`every screen, ${look.join(', ')}`, (t) => everyScreen(t, browser, look));
  await t.test('1,500 tiles', (t) => tiles(t, browser));
  await t.test('cameras by key', (t) => camerasByKey(t, browser));
  await t.test('the plan by hand and key', (t) => plan(t, browser));
  await t.test('a map that is none', (t) => hostileMaps(t, browser));
  await t.test('a search, with the server away in the midst of it', (t) => search(t, browser));
  await t.test('figures, hand-over and audit', (t) => papers(t, browser));
  await t.test('a record that somebody has changed', (t) => broken(t, browser));
});

async function everyScreen(t: Test, browser: Browser, look: Look): Promise<void> {
  const shown = await opened(t, browser, { look, cameras: LOOKED_AT });
  const faults: string[] = [];
  const check = async (name: string): Promise<void> => {
    await pictured(shown.page, join(SCREENS_DIR, `${name}-${look.join('-')}.png`));
    const found = await violations(shown.page);
    const wide = await shown.page.evaluate('document.documentElement.scrollWidth > innerWidth');
    faults.push(
      ...found.map((fault) => `${name}: ${fault}`),
      ...(wide === true ? [`${name} is too wide`] : []),
    );
  };
  for (const screen of SCREENS) {
    await shown.show(screen);
    await shown.until(screen === 'cameras' ? allShown(LOOKED_AT) : (READY[screen] ?? 'true'));
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
  document.querySelector('nav a[href="/search"]').click();
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done, 30)));
  const from = performance.now();
  document.querySelector('nav a[href="/cameras"]').click();
  while (document.querySelectorAll('[role=option]').length < 1500) await Promise.resolve();
  document.body.getBoundingClientRect();
  const laid = performance.now() - from;
  await new Promise((done) => requestAnimationFrame(() => { const c = new MessageChannel(); c.port1.onmessage = done; c.port2.postMessage(0); }));
  return [laid, performance.now() - from];
})()`;

async function tiles(t: Test, browser: Browser): Promise<void> {
  const shown = await opened(t, browser);
  await shown.show('cameras');
  await shown.until(READY['cameras'] ?? '');
  // Other programs of this machine only add to it: the quickest of some must hold the bar, and there are more while none does.
  const barMs = DRAWN_PASSES_MAX * passMs();
  const runs: [number, number][] = [];
  while (runs.length < 5 || (runs.length < 60 && runs.every(([laidMs]) => laidMs > barMs))) {
    runs.push((await shown.page.evaluate(DRAW)) as [number, number]);
  }
  const inOrder = (of: 0 | 1) => runs.map((run) => run[of]).sort((a, b) => a - b);
  const [laid, painted] = [inOrder(0), inOrder(1)].map(
    (all) => `${all[0]?.toFixed(1)} (median ${all[Math.floor(all.length / 2)]?.toFixed(1)})`,
  );
  t.comment(`laid out ${laid} ms, painted ${painted} ms`);
  const limitMs = Math.max(barMs, DRAWN_PASSES_MAX * passMs());
  t.ok(
    (inOrder(0)[0] ?? Number.NaN) <= limitMs,
    `${laid} ms of ${runs.length}; at most ${limitMs.toFixed(1)}`,
  );
  const conditions = JSON.stringify(['covered', HOSTILE.slice(0, 40)]);
  const change = { site: 'bellecour', box: 'cam-0000', heard: new Date().toISOString(), conditions };
  await putCameras(shown.room.db, [change]);
  await shown.until(
    `document.getElementById('camera-${change.site}/${change.box}').className === 'd-shape blind'`,
  );
  t.match(await shown.text('.desk-aside'), '<img src=x', 'a reason from a box is text');
  t.same(await shown.page.$$('img'), []);
  t.same(shown.complaints, []);
}

async function camerasByKey(t: Test, browser: Browser): Promise<void> {
  const shown = await opened(t, browser, { excused: /status of (4|503)/ });
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
  t.match(await shown.text('.desk-aside'), /stream lost[\s\S]*1 h \d\d min \(\d+/);
  t.match(await shown.text('.desk-aside'), 'Certificate expires');
  await keyboard.press('Escape');
  await shown.until('document.querySelector("#camera-title") === null');
  await shown.page.click('.d-tally.offline');
  await shown.until('document.body.textContent.includes("No camera matches.")');
  t.same(await shown.page.$$eval('a[download]', (links) => links.map((link) => link.getAttribute('href'))), [
    '/api/cameras.csv',
  ]);
  (await instead(shown)).set('/api/cameras', away('the database is away'));
  await shown.show('audit');
  await shown.show('cameras');
  await shown.until('document.querySelector("main [role=alert]") !== null');
  t.match(await shown.text('main [role=alert]'), 'Not up to date: the database is away');
  t.same(shown.complaints, []);
}

const VIEW = 'document.querySelector(".d-map svg").getAttribute("viewBox")';

async function plan(t: Test, browser: Browser): Promise<void> {
  const shown = await opened(t, browser);
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

async function hostileMaps(t: Test, browser: Browser): Promise<void> {
  const shown = await opened(t, browser);
  const answers = await instead(shown);
  const point = (coordinates: unknown, properties: unknown = { name: HOSTILE }) => ({
    type: 'Feature',
    properties,
    geometry: { type: 'Point', coordinates },
  });
  const collection = (features: unknown[]) => ({ type: 'FeatureCollection', features });
  const line = async (body: unknown): Promise<string> => {
    answers.set('/api/plan', { status: 200, body: typeof body === 'string' ? body : JSON.stringify(body) });
    await shown.show('search');
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
  answers.set('/api/plan', { status: 404, body: JSON.stringify({ title: 'no map', status: 404 }) });
  await shown.show('search');
  await shown.show('plan');
  await shown.until('document.body.textContent.includes("The control room has no map")');
  t.same(await shown.page.$$('img'), []);
  t.same(shown.complaints, []);
}

/** In the place of the signer, which is a program of its own: what it was asked, and what it says. */
function signer() {
  const asked: SearchRequest[] = [];
  const says: { fault: string | undefined; state: SearchState } = { fault: undefined, state: SEARCH };
  const state = async (): Promise<SearchState> => {
    if (says.fault !== undefined) throw new CallError(503, says.fault);
    return says.state;
  };
  const search = ({ body }: { readonly body: SearchRequest }): Promise<SearchState> => {
    asked.push(body);
    return state();
  };
  return { asked, says, handlers: { search, searchState: state } };
}

async function search(t: Test, browser: Browser): Promise<void> {
  const { asked, says, handlers } = signer();
  const shown = await opened(t, browser, { handlers, excused: /status of (4|503)/ });
  await shown.show('search');
  await shown.page.click('[type=submit]');
  t.match(await shown.text('form'), /Case number\s*Needed:/, 'without a case nothing is asked');
  await shown.page.type('[name=case]', '2026/1432');
  await shown.page.type('[name=reason]', 'theft of a bicycle');
  await shown.page.type('[name=boxes]', 'cam-0001, Cam_2');
  await shown.until('document.body.textContent.includes("“Cam_2” is no name")');
  await shown.page.$eval('[name=boxes]', (input) => (input as unknown as { select(): void }).select());
  await shown.page.type('[name=boxes]', 'cam-0001 cam-0002');
  says.fault = 'the signer is away';
  await shown.page.click('[type=submit]');
  await shown.until('document.querySelector("main [role=alert]") !== null');
  t.match(await shown.text('main [role=alert]'), 'Search refused: the signer is away. Your input is kept.');
  await shown.show('audit');
  await shown.show('search');
  t.equal(
    await shown.page.$eval('[name=case]', (input) => (input as unknown as { value: string }).value),
    '2026/1432',
  );
  says.fault = undefined;
  await shown.page.click('[type=submit]');
  await shown.until('document.querySelector("table") !== null');
  const body = asked.at(-1) ?? {};
  t.match(body, { case: '2026/1432', reason: 'theft of a bicycle', boxes: ['cam-0001', 'cam-0002'] });
  t.notOk('kinds' in body);
  t.match(await shown.text(), '1,371 of 1,500 boxes have answered');
  t.match(await shown.text('.d-missing'), '<img src=x onerror=alert(1)>');
  says.fault = 'away';
  await shown.until('document.body.textContent.includes("its state is asked for again")');
  says.fault = undefined;
  says.state = { ...SEARCH, done: true, answered: 1497 };
  await shown.until('document.body.textContent.includes("1,497 of 1,500")');
  t.match(await shown.text(), 'Done');
  t.equal(await shown.page.$eval('tbody a', (link) => link.getAttribute('href')), '/incidents/1');
  t.same(shown.complaints, []);
}

const DAY_MS = 86_400_000;

function spanOf(asked: string): { from: string; to: string; by: string | null } {
  const { searchParams } = new URL(asked.replace(/^GET /, ''), 'http://room');
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
  const shown = await opened(t, browser);
  await shown.show('figures');
  await shown.until(READY['figures'] ?? '');
  t.match(await shown.text('tbody tr'), /cam-0012\/quay412.*93%90%–96%323301/);
  t.match(await shown.text(), 'few verdicts');
  t.match(await shown.text(), 'Suppressed');
  const figures = spanOf(await askedBy(shown, '/api/figures', () => shown.page.select('[name=by]', 'hour')));
  t.ok(Math.abs(Date.now() - 30 * DAY_MS - Date.parse(figures.from)) < 600_000, figures.from);
  t.match(figures, { from: /:00\.000Z$/, by: 'hour' });
  t.match(await shown.page.$eval('a[download]', (link) => link.getAttribute('href')), '&by=hour');
  await shown.show('hand-over');
  await shown.until(READY['hand-over'] ?? '');
  const shift = spanOf(lastOf(shown, '/api/hand-over'));
  t.equal(Date.parse(shift.to) - Date.parse(shift.from), 8 * 3_600_000);
  t.match(
    await shown.text('article'),
    new RegExp(`${inParis(shift.from)} CES?T to ${inParis(shift.to)} CES?T`),
    'the room’s time zone',
  );
  t.match(await shown.text('.d-notes'), '<img src=x onerror=alert(1)>');
  t.notMatch(await shown.text('.d-notes'), /\p{Cc}|\p{Cf}/u);
  await shown.page.evaluate('globalThis.print = () => { document.title = "printed"; }');
  await shown.page.click('.desk-acts .button');
  t.equal(await shown.page.title(), 'printed');
  await shown.show('audit');
  await shown.until(READY['audit'] ?? '');
  t.match(await shown.text('.notice'), 'The record is whole');
  const [{ newest } = { newest: 0 }] = await shown.room.db.all<{ newest: number }>(
    'SELECT max(no) AS newest FROM audit',
  );
  t.ok(newest > ENTRIES);
  const older = await askedBy(shown, '/api/audit', () => shown.page.click('.d-pages .button'));
  t.equal(older, `GET /api/audit?before=${newest - 99}`);
  t.same(shown.complaints, []);
}

/** Somebody has changed the tables past the program. */
async function broken(t: Test, browser: Browser): Promise<void> {
  const fill = async (db: Sql): Promise<void> => {
    await city(db);
    await db.run("UPDATE audit SET who = 'Nobody' WHERE no = 17");
  };
  const shown = await opened(t, browser, { fill });
  await shown.show('audit');
  await shown.until(READY['audit'] ?? '');
  await shown.page.type('[name=who]', 'Camille');
  await shown.page.type('[name=incident]', '12');
  const narrowed = await askedBy(shown, '/api/audit', () => shown.page.keyboard.press('Enter'));
  t.equal(narrowed, 'GET /api/audit?who=Camille&incident=12');
  await shown.until('document.querySelector("main [role=alert]") !== null');
  t.match(await shown.text('main [role=alert]'), 'The record is broken');
  t.match(await shown.text('main [role=alert]'), 'entry 17');
  t.same(shown.complaints, []);
}
