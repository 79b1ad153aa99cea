/** The room's console in a real browser: by keyboard alone, in a storm, in two tabs, in both languages, by day and night. */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import axe from 'axe-core';
import type { Browser, BrowserContext, Page } from 'puppeteer-core';
import sharp from 'sharp';
import t, { type Test } from 'tap';
import { browserMissing } from '../lib/browser.ts';
import { ROOT, scratch } from '../lib/paths.ts';
import { beginning, violations } from '../page/in-page.ts';
import { openBrowser } from '../page/phone.ts';
import { AppServer, incidentOf } from './room-app-server.ts';

const SCREENS_DIR = join(ROOT, '.cache/console-screens');
/** All that a browser loads, gzip. */
const WEIGHT_KB_MAX = 60;
/** WCAG 2.2 A and AA. */
const WCAG = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];
/** A verdict is on the screen within this, whatever the server does. */
const VERDICT_MS = 100;
/** From the key to the frame after the one in which the verdict stands, ms; inside the page. */
const VERDICT_TIME = `
  globalThis.verdictMs = undefined;
  addEventListener('keydown', () => {
    const beganMs = performance.now();
    const look = () => {
      if (document.querySelector('.incident .mark.closed') === null) return requestAnimationFrame(look);
      requestAnimationFrame(() => { globalThis.verdictMs = performance.now() - beganMs; });
    };
    look();
  }, { capture: true, once: true });`;
const STORM = 36_000;
const skip = browserMissing();

type Look = readonly [language: 'fr' | 'en', scheme: 'light' | 'dark'];

t.test('the app weighs little, and brings no schema library', async (t) => {
  const files = ['index.html', 'app.js', 'style.css'].map((name) =>
    readFileSync(join(ROOT, 'dist/scripts/programs/room/app', name)),
  );
  const kB = files.reduce((sum, file) => sum + gzipSync(file).length, 0) / 1000;
  t.comment(`${kB.toFixed(1)} kB gzip`);
  t.ok(kB <= WEIGHT_KB_MAX, `${kB} kB`);
  t.notMatch(files.join(''), /TypeBox|https?:\/\/(?!www\.w3\.org)/);
});

t.test('in a browser', { skip, timeout: 240_000 }, async (t) => {
  const jpeg = await sharp(join(ROOT, 'docs/alert.jpg')).jpeg({ quality: 60 }).toBuffer();
  const browser = await openBrowser(join(scratch(t), 'profile'));
  t.teardown(() => browser.close());
  mkdirSync(SCREENS_DIR, { recursive: true });
  const room = { browser, jpeg };
  for (const look of [
    ['fr', 'light'],
    ['en', 'dark'],
  ] as const)
    await t.test(`every screen, ${look.join(', ')}`, (t) => everyScreen(t, room, look));
  await t.test('a shift by keyboard alone', (t) => shift(t, room));
  await t.test('somebody else was first', (t) => conflict(t, room));
  await t.test('a session that ends in mid-verdict', (t) => expired(t, room));
  await t.test('an auditor', (t) => auditor(t, room));
  await t.test('a hostile box', (t) => hostile(t, room));
  await t.test('two tabs, one stream', (t) => tabs(t, room));
  await t.test('a storm', (t) => storm(t, room));
});

interface Room {
  readonly browser: Browser;
  readonly jpeg: Buffer;
}

interface Opened {
  readonly server: AppServer;
  readonly home: string;
  readonly context: BrowserContext;
  readonly page: Page;
  readonly complaints: string[];
}

interface Opening {
  readonly look?: Look;
  readonly fill?: (server: AppServer) => void;
  readonly path?: string;
}

async function opened(
  t: Test,
  room: Room,
  { look = ['en', 'light'], fill, path = '/' }: Opening = {},
): Promise<Opened> {
  const server = new AppServer(room.jpeg);
  const home = await server.start();
  fill?.(server);
  const context = await room.browser.createBrowserContext();
  const complaints: string[] = [];
  const page = await tab(context, home + path, look, complaints);
  t.teardown(async () => {
    await context.close();
    await server.stop();
  });
  return { server, home, context, page, complaints };
}

async function tab(context: BrowserContext, url: string, look: Look, complaints: string[]): Promise<Page> {
  const page = await context.newPage();
  await page.setViewport({ width: 1600, height: 900 });
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: look[1] }]);
  await page.evaluateOnNewDocument(beginning(look[0]));
  page.on('pageerror', (error) => complaints.push(`error: ${String(error)}`));
  page.on('console', (message) => {
    const where = message.location().url ?? '';
    if (/status of 4/.test(message.text()) && /\/api\/|favicon\.ico$/.test(where)) return;
    if (['error', 'warn'].includes(message.type())) complaints.push(`${message.text()} ${where}`);
  });
  page.on('request', (request) => {
    if (!request.url().startsWith(new URL(url).origin)) complaints.push(`request: ${request.url()}`);
  });
  await page.goto(url, { waitUntil: 'load' });
  return page;
}

function until(page: Page, condition: string, timeout = 8000): Promise<unknown> {
  return page.waitForFunction(condition, { timeout, polling: 10 }).catch(async () => {
    const shown = await page.$eval('body', (body) => body.textContent ?? '');
    throw new Error(`not so: ${condition}\n${shown.slice(0, 1500)}`);
  });
}

/** Its picture into .cache/console-screens; what axe says against it. */
async function checked(page: Page, name: string, look: Look): Promise<string[]> {
  await page.screenshot({ path: join(SCREENS_DIR, `${name}-${look.join('-')}.png`) as `${string}.png` });
  if (!(await page.evaluate('"axe" in window'))) await page.evaluate(axe.source);
  const faults = (await page.evaluate(violations(WCAG))) as string[];
  return faults.map((fault) => `${name}: ${fault}`);
}

const ago = (s: number): string => new Date(Date.now() - s * 1000).toISOString();

/** A queue as it is on a busy evening. */
function evening(server: AppServer): void {
  const taken = {
    state: 'claimed',
    claimedBy: 'Nadia',
    claimedUntil: new Date(Date.now() + 90_000).toISOString(),
  } as const;
  server.put(
    incidentOf(1, {
      received: ago(140),
      box: 'cam-bourse-3',
      priority: 1,
      kind: 'wrong-way',
      rule: 'one-way',
      place: 'line/rue-neuve',
      cause: { headingDeg: 180 },
    }),
    incidentOf(2, { received: ago(75), box: 'cam-tram-12' }),
    incidentOf(3, {
      received: ago(22),
      box: 'cam-grand-place',
      priority: 1,
      kind: 'crowd-gathering',
      rule: 'crowd',
      place: 'zone/steps',
      cause: { count: 14, stayedS: 45 },
      objects: [
        { label: 'person', track: 1 },
        { label: 'person', track: 2 },
      ],
    }),
    incidentOf(4, {
      received: ago(9),
      kind: 'illegal-dumping',
      rule: 'dump',
      place: 'zone/quay',
      cause: { unattendedS: 61 },
      clockDoubt: true,
    }),
    incidentOf(5, {
      received: ago(300),
      severity: 'notice',
      priority: 3,
      kind: 'present-at-start',
      cause: { stoodS: 30 },
    }),
    incidentOf(6, {
      received: ago(260),
      kind: 'graffiti',
      rule: 'wall',
      place: 'zone/east-wall',
      cause: { besideS: 24 },
      ...taken,
    }),
    incidentOf(7, {
      received: ago(700),
      kind: 'loitering',
      rule: 'stays',
      place: 'zone/hall',
      cause: { stayedS: 190 },
      objects: [{ label: 'person', track: 94371 }],
      ...taken,
      claimedBy: 'Omar',
    }),
    incidentOf(8, {
      received: ago(1500),
      ...taken,
      state: 'dispatched',
      claimedBy: 'Omar',
      dispatchedBy: 'Omar',
      dispatchedAt: ago(900),
      ended: ago(200),
    }),
    incidentOf(9, {
      received: ago(30),
      kind: 'drone-overhead',
      rule: 'sky',
      cause: { reason: 'a newer box' },
    }),
  );
  for (let no = 20; no < 34; no++)
    server.put(
      incidentOf(no, {
        received: ago(50 - no),
        box: 'cam-gare-1',
        kind: 'line-crossing',
        rule: 'platform-edge',
        place: 'line/platform-2',
      }),
    );
}

async function everyScreen(t: Test, room: Room, look: Look): Promise<void> {
  const { page, server, complaints } = await opened(t, room, { look, fill: evening });
  server.user = undefined;
  await page.reload();
  await page.waitForSelector('[data-account]');
  const faults = await checked(page, '1-login', look);
  await page.click('[data-account=Omar]');
  await page.waitForSelector('.row');
  await until(page, 'document.querySelector(".link-live") !== null');
  await page.keyboard.press('j');
  faults.push(...(await checked(page, '2-queue', look)));
  t.match(await page.title(), /^\(\d+\) Vigie$/);
  const first = await page.$$eval('.row', (rows) =>
    rows.slice(0, 3).map((row) => row.getAttribute('data-no')),
  );
  t.strictSame(first.slice(0, 2), ['1', '2'], 'what waits too long comes first, the urgent before');
  await page.click('[data-no="2"]');
  await until(
    page,
    '[...document.images].length === 3 && [...document.images].every((image) => image.complete)',
  );
  await until(page, 'document.activeElement.id === "incident-title"');
  faults.push(...(await checked(page, '3-incident', look)));
  await page.setViewport({ width: 900, height: 900 });
  faults.push(...(await checked(page, '4-narrow', look)));
  await page.setViewport({ width: 1600, height: 900 });
  await page.keyboard.press('?');
  await page.waitForSelector('dialog[open]');
  faults.push(...(await checked(page, '5-keys', look)));
  await page.keyboard.press('Escape');
  await page.keyboard.press('n');
  await page.waitForSelector('textarea');
  faults.push(...(await checked(page, '6-note', look)));
  t.strictSame(faults, []);
  t.strictSame(complaints, []);
}

async function shift(t: Test, room: Room): Promise<void> {
  const { page, server, complaints } = await opened(t, room, {
    fill: (server) => server.put(incidentOf(1), incidentOf(2), incidentOf(3)),
  });
  const { keyboard } = page;
  await page.waitForSelector('.row');
  await keyboard.press('j');
  await keyboard.press('c');
  await until(page, 'document.querySelector(".row.claimed[data-no=\\"1\\"]") !== null');
  await keyboard.press('Enter');
  await page.waitForSelector('[data-incident="1"] figure img');
  await keyboard.press('n');
  await page.waitForSelector('dialog[open] textarea');
  await keyboard.type('Looked twice; t and f are letters here.');
  await keyboard.press('Enter');
  await until(page, 'document.querySelector(".toast.good") !== null');
  await keyboard.press('d');
  await page.waitForSelector('dialog[open]');
  await keyboard.press('Enter');
  await until(page, 'document.querySelector(".incident .mark.dispatched") !== null');
  server.answerMs = 1500;
  await page.evaluate(VERDICT_TIME);
  await keyboard.press('t');
  await until(page, 'verdictMs !== undefined');
  const verdictMs = (await page.evaluate('verdictMs')) as number;
  t.ok(verdictMs <= VERDICT_MS, `${verdictMs.toFixed(1)} ms from the key to the frame that shows it`);
  await until(page, 'document.querySelectorAll(".row").length === 2');
  server.answerMs = 0;
  await keyboard.press('j');
  await until(page, 'document.querySelector("[data-incident=\\"2\\"]") !== null');
  await keyboard.press('Escape');
  await until(page, 'document.querySelector(".incident") === null');
  await keyboard.press('/');
  await keyboard.type('cam-3');
  await until(page, 'document.querySelectorAll(".row").length === 1');
  await keyboard.press('Enter');
  await keyboard.press('j');
  await keyboard.press('f');
  await until(page, 'document.querySelectorAll(".row").length === 0');
  t.strictSame(
    server.posts.map(({ path }) => path.replace('/api/incidents/', '')),
    ['1/claim', '1/note', '1/dispatch', '1/verdict', '3/verdict'],
  );
  t.strictSame(complaints, []);
}

async function conflict(t: Test, room: Room): Promise<void> {
  const { page, server } = await opened(t, room, {
    fill: (server) => server.put(incidentOf(1), incidentOf(2)),
  });
  await page.waitForSelector('.row');
  server.answerMs = 100;
  server.first = incidentOf(1, { state: 'closed', verdict: 'false', revision: 4, closedAt: ago(0) });
  await page.keyboard.press('j');
  await page.keyboard.press('t');
  await until(page, 'document.querySelector(".toast.bad")?.textContent.includes("closed as false")');
  await until(page, 'document.querySelectorAll(".row").length === 1');
  server.first = incidentOf(2, { state: 'claimed', claimedBy: 'Omar', revision: 1, claimedUntil: ago(-60) });
  await page.keyboard.press('j');
  await page.keyboard.press('c');
  await until(
    page,
    '[...document.querySelectorAll(".toast.bad")].some(({ textContent }) => textContent.includes("Omar has it"))',
  );
  t.equal(await page.$eval('.row .owner b', (name) => name.textContent), 'Omar');
}

async function expired(t: Test, room: Room): Promise<void> {
  const { page, server } = await opened(t, room, {
    fill: (server) => server.put(incidentOf(1), incidentOf(2)),
  });
  await page.waitForSelector('.row');
  server.user = undefined;
  await page.keyboard.press('j');
  await page.keyboard.press('u');
  await page.waitForSelector('[data-account=Nadia]');
  t.equal(server.posts.length, 0);
  await page.click('[data-account=Nadia]');
  await until(page, 'document.querySelector(".toast.good") !== null');
  t.strictSame(server.posts, [
    { path: '/api/incidents/1/verdict', body: { revision: 0, verdict: 'unclear' } },
  ]);
  server.user = undefined;
  await until(page, 'document.querySelectorAll(".row").length === 1');
  await page.keyboard.press('t');
  await page.waitForSelector('[data-account=Omar]');
  await page.click('[data-account=Omar]');
  await until(page, 'document.querySelector(".toast.bad")?.textContent.includes("Nadia")');
  t.equal(server.posts.length, 1, 'nobody’s verdict is sent by another');
}

async function auditor(t: Test, room: Room): Promise<void> {
  const { page, server } = await opened(t, room, {
    fill: (server) => {
      server.user = { name: 'Anna', role: 'auditor' };
      server.put(incidentOf(1));
    },
    path: '/incidents/1',
  });
  await page.waitForSelector('.no-picture');
  t.match(await page.$eval('.no-picture', (text) => text.textContent), 'An auditor sees no picture');
  await page.keyboard.press('t');
  await page.keyboard.press('c');
  t.strictSame([server.stills, server.posts], [[], []]);
  t.equal(await page.$('.act'), null);
}

async function hostile(t: Test, room: Room): Promise<void> {
  const text = '<img src=x onerror=alert(1)>\u001b[31m'.repeat(10).slice(0, 300);
  const { page, complaints } = await opened(t, room, {
    fill: (server) =>
      server.put(
        incidentOf(1, { kind: '__proto__', place: `zone/${text}`.slice(0, 80), cause: { reason: text } }),
        incidentOf(2, { kind: 'constructor', objects: [{ label: 'toString' as 'car', track: 1 }] }),
      ),
    path: '/incidents/1',
  });
  await page.waitForSelector('.told .notes');
  t.match(await page.$eval('.sentence', (shown) => shown.textContent), '<img src=x');
  t.equal(await page.$('[onerror]'), null);
  t.strictSame(complaints, []);
}

async function tabs(t: Test, room: Room): Promise<void> {
  const { page, server, home, context, complaints } = await opened(t, room, {
    fill: (server) => server.put(incidentOf(1)),
  });
  await page.waitForSelector('.row');
  await until(page, 'document.querySelector(".link-live") !== null');
  const second = await tab(context, `${home}/queue`, ['fr', 'dark'], complaints);
  await second.waitForSelector('.row');
  await until(second, 'document.querySelector(".link-live") !== null');
  t.equal(server.streams.size, 1);
  server.put(incidentOf(2));
  await until(second, 'document.querySelector("[data-no=\\"2\\"]") !== null');
  await page.close();
  for (let waits = 0; waits < 200 && (server.opened < 2 || server.streams.size > 1); waits++)
    await new Promise((resolve) => setTimeout(resolve, 20));
  t.equal(server.streams.size, 1, 'the other tab reads on');
  server.put(incidentOf(3));
  await until(second, 'document.querySelector("[data-no=\\"3\\"]") !== null');
  t.strictSame(complaints, []);
}

async function storm(t: Test, room: Room): Promise<void> {
  const { page, server, complaints } = await opened(t, room, { fill: (server) => server.put(incidentOf(1)) });
  await page.waitForSelector('.row');
  await until(page, 'document.querySelector(".link-live") !== null');
  const received = new Date().toISOString();
  for (let no = 100; no < 100 + STORM; no += 200) {
    const rows = Array.from({ length: 200 }, (_, more) =>
      incidentOf(no + more, {
        received,
        site: `site-${no % 5}`,
        rule: `rule-${more % 97}`,
        kind: more % 2 ? 'loitering' : 'graffiti',
      }),
    );
    server.put(...rows);
    if (no % 2000 === 100) await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const last = incidentOf(99_999, { priority: 1, kind: 'wrong-way', received: ago(100) });
  server.put(last);
  const beganMs = Date.now();
  await until(page, 'document.querySelector("[data-no=\\"99999\\"]") !== null', 20_000);
  t.comment(`the last one ${Date.now() - beganMs} ms after it was sent`);
  const [drawn, merged, more] = (await page.evaluate(
    '[document.querySelectorAll(".row").length, document.querySelectorAll(".row.storm").length, document.querySelector(".more").textContent]',
  )) as [number, number, string];
  t.ok(drawn <= 60, `${drawn} drawn`);
  t.ok(merged > 0, `${merged} storms`);
  t.match(more, String(STORM + 2 - 2000), 'what is not held is counted');
  await page.screenshot({ path: join(SCREENS_DIR, '7-storm-en-light.png') as `${string}.png` });
  t.strictSame(complaints, []);
}
