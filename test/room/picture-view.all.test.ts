/** Browser tests of the picture of an incident: its place on the screen, full size, zoom, and the pictures before it. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Browser, Page } from 'puppeteer-core';
import sharp from 'sharp';
import t, { type Test } from 'tap';
import { iso, type Sql } from '../../scripts/programs/room/database/sql.ts';
import { browserMissing } from '../lib/browser.ts';
import { addIncidents, addStill } from '../lib/console-rows.ts';
import { ROOT } from '../lib/paths.ts';
import {
  type AppRoom,
  appRoom,
  browserOf,
  DESK,
  type OpenConsole,
  type Opening,
  openConsole,
  PHONE,
} from '../lib/room-browser.ts';
import { evening, numbered } from '../lib/room-evening.ts';

/** Incidents of the evening: with three pictures, with one of the test, and with none. */
const [THREE, ONE] = [2, 50];
/** Size of a still, in px. */
const STILL = { width: 1280, height: 960 };

t.test(
  'the picture of an incident is the screen',
  { skip: browserMissing(), timeout: 180_000 },
  async (t) => {
    const { width, height } = STILL;
    const jpeg = await sharp(join(ROOT, 'docs/alert.jpg')).resize(width, height).jpeg().toBuffer();
    const browser = await browserOf(t);
    const room = await appRoom(t, { fill: (db) => fill(db, jpeg) });
    for (const language of ['en', 'fr'] as const) {
      await t.test(`picture, facts and actions are on one screen of 1280 × 800, ${language}`, (t) =>
        checkDesk(t, browser, room, language),
      );
      await t.test(`the picture comes first on a phone, with the actions on the screen, ${language}`, (t) =>
        checkPhone(t, browser, room, language),
      );
    }
    await t.test('the keyboard and the mouse open, zoom, move and close the full size', (t) =>
      checkFull(t, browser, room),
    );
    await t.test('one key shows the pictures before the alert, each with its time', (t) =>
      checkMoments(t, browser, room),
    );
    await t.test('a demonstration whose clocks are all in doubt states it once', (t) =>
      checkDoubt(t, browser),
    );
  },
);

/** Adds the evening, and an incident with one picture, whose alert is at the right. */
async function fill(db: Sql, jpeg: Buffer): Promise<void> {
  await evening(db, jpeg);
  const sha256 = createHash('sha256').update(jpeg).digest('hex');
  const stills = [{ moment: 'snapshot', name: 'one.jpg', time: iso(Date.now() - 20_000), sha256 }];
  const detail = JSON.stringify({ stills, timeZone: 'Europe/Paris', location: [0.8, 0.4, 0.9, 0.6] });
  await addIncidents(db, [numbered(ONE, { box: 'cam-one', detail })]);
  await addStill(db, { name: 'one.jpg' }, jpeg, Date.now(), { site: 'centre', box: 'cam-one' });
}

async function open(
  t: Test,
  browser: Browser,
  room: AppRoom,
  no: number,
  opening: Opening = {},
): Promise<OpenConsole> {
  const tab = await openConsole(t, browser, { room, path: `/incidents/${no}`, ...opening });
  await tab.waitUntil(`document.querySelector('.pictures img:not([hidden])')?.naturalWidth > 0`);
  await tab.waitUntil(`document.querySelector('.facts') !== null`);
  return tab;
}

/** Names of the elements that are not entirely on the screen, with their places. */
const OFF_SCREEN = `(...selectors) => selectors.filter((selector) => {
  const found = [...document.querySelectorAll(selector)];
  return found.length === 0 || found.some((element) => {
    const { left, top, right, bottom, width } = element.getBoundingClientRect();
    return width === 0 || left < 0 || top < 0 || right > innerWidth || bottom > innerHeight;
  });
})`;

/** Visible targets that are too small for a thumb, and the page if it scrolls sideways. */
const SMALL_TARGETS = `[
  ...[...document.querySelectorAll('.top button, .top a, .incident button, .incident .back, dialog button')]
    .map((target) => [target.outerHTML.slice(0, 60), target.getBoundingClientRect()])
    .filter(([, { width, height }]) => width > 0 && (width < 44 || height < 44))
    .map(([html, { width, height }]) => html + ' is ' + width + ' by ' + height),
  ...(document.documentElement.scrollWidth > innerWidth ? ['the page scrolls sideways'] : []),
]`;

const offScreen = (page: Page, ...selectors: string[]): Promise<unknown> =>
  page.evaluate(`(${OFF_SCREEN})(...${JSON.stringify(selectors)})`);

async function checkDesk(t: Test, browser: Browser, room: AppRoom, language: 'en' | 'fr'): Promise<void> {
  for (const user of ['Nadia', 'Omar']) {
    const { page, pageErrors } = await open(t, browser, room, THREE, { look: [language, 'light'], user });
    t.strictSame(
      await offScreen(
        page,
        '.pictures img:not([hidden])',
        '.facts dt',
        '.facts dd',
        '.incident .act',
        '#full-size',
        '.queue',
      ),
      [],
      'all of it is visible',
    );
    const places = (await page.evaluate(`(() => {
      const at = (selector) => document.querySelector(selector).getBoundingClientRect();
      const [queue, picture, facts] = [at('.queue'), at('.pictures img:not([hidden])'), at('.facts')];
      return { queue: queue.right, from: picture.left, to: picture.right, wide: picture.width, facts: facts.left };
    })()`)) as Record<'queue' | 'from' | 'to' | 'wide' | 'facts', number>;
    t.ok(
      places.queue <= places.from && places.to <= places.facts,
      'queue, picture and facts are side by side',
    );
    t.ok(places.wide >= 500, `the picture is ${places.wide} px wide`);
    t.strictSame(pageErrors, []);
  }
}

async function checkPhone(t: Test, browser: Browser, room: AppRoom, language: 'en' | 'fr'): Promise<void> {
  const { page, pageErrors } = await open(t, browser, room, THREE, {
    look: [language, 'light'],
    size: PHONE,
  });
  t.strictSame(
    await offScreen(page, '.pictures img:not([hidden])', '.incident .act', '#full-size', '#incident-title'),
    [],
    'the whole picture and every action are visible',
  );
  const [picture = 0, title = 0] = (await page.evaluate(
    `['.pictures', '#incident-title'].map((one) => document.querySelector(one).getBoundingClientRect().top)`,
  )) as number[];
  t.ok(picture < title, 'the picture is first');
  t.strictSame(await page.evaluate(SMALL_TARGETS), []);
  await page.touchscreen.tap(200, picture + 60);
  await page.waitForSelector('dialog.picture-dialog[open]');
  await page.waitForFunction(
    `document.querySelector('.picture-stage canvas').style.visibility === 'visible'`,
  );
  t.strictSame(await page.evaluate(SMALL_TARGETS), [], 'targets of the full size');
  t.strictSame(pageErrors, []);
}

interface Drawing {
  readonly scale: number;
  readonly x: number;
  readonly y: number;
  readonly stage: { readonly width: number; readonly height: number };
}

/** Place and factor of the picture in the open dialog. */
async function drawingOf(page: Page): Promise<Drawing> {
  return (await page.evaluate(`(() => {
    const stage = document.querySelector('.picture-stage').getBoundingClientRect();
    const image = document.querySelector('.picture-stage canvas');
    const { left, top, width } = image.getBoundingClientRect();
    return {
      scale: width / image.width, x: left - stage.left, y: top - stage.top,
      stage: { width: stage.width, height: stage.height },
    };
  })()`)) as Drawing;
}

const FULL = `document.querySelector('.picture-dialog[open] .picture-stage canvas')?.style.visibility === 'visible'`;
const FULL_GONE = `document.querySelector('.picture-dialog') === null`;

async function checkFull(t: Test, browser: Browser, room: AppRoom): Promise<void> {
  const { page, press, posts, requestedPaths, pageErrors, waitUntil } = await open(t, browser, room, ONE);
  await press('v');
  await waitUntil(FULL);
  const first = await drawingOf(page);
  t.equal(first.scale, 1, 'natural size');
  await press('+');
  const larger = await drawingOf(page);
  t.equal(larger.scale, 1.5);
  await press('ArrowRight');
  t.ok((await drawingOf(page)).x < larger.x, 'an arrow moves the view to the right');
  await press('0', 'b');
  await waitUntil(
    `document.querySelector('.picture-bar .picture-note').textContent.includes('only this picture')`,
  );
  const top = DESK.height - first.stage.height;
  await page.mouse.move(300, top + 200);
  await page.mouse.wheel({ deltaY: -300 });
  await page.waitForFunction(`document.querySelector('.picture-title').textContent.includes('182')`);
  const from = await drawingOf(page);
  await page.mouse.down();
  await page.mouse.move(220, top + 150, { steps: 4 });
  await page.mouse.up();
  const to = await drawingOf(page);
  t.strictSame([to.x - from.x, to.y - from.y].map(Math.round), [-80, -50], 'a drag moves the picture');
  await page.mouse.click(300, top + 200);
  const smallest = await drawingOf(page);
  t.ok(smallest.scale * STILL.height <= first.stage.height + 0.5, 'a click shows the whole picture');
  await press('t', 'f', 'c', 'Escape');
  await waitUntil(FULL_GONE);
  t.equal(await page.evaluate('document.activeElement.id'), 'incident-title', 'the focus is where it was');
  await page.click('.pictures');
  await waitUntil(FULL);
  await page.click('.picture-bar .main');
  await waitUntil(FULL_GONE);
  t.equal(
    requestedPaths.filter((path) => path.includes('/stills/')).length,
    1,
    'the full size counts as the same viewing',
  );
  t.strictSame(posts, [], 'no key of the full size is a verdict');
  t.strictSame(pageErrors, []);
}

async function checkMoments(t: Test, browser: Browser, room: AppRoom): Promise<void> {
  const { page, press, requestedPaths, waitUntil, pageErrors } = await open(t, browser, room, THREE);
  const stillsAsked = () =>
    requestedPaths.filter((path) => path.includes('/stills/')).map((path) => path.split('/').at(-1));
  t.notOk(
    stillsAsked().includes('before'),
    'a picture that is not shown is not requested, and so not audited',
  );
  const pressed = () => page.$eval('.moments [aria-pressed=true]', ({ textContent }) => textContent);
  const titles = [await pressed()];
  for (const moment of ['before', 'deposit', 'snapshot']) {
    await page.keyboard.press('b');
    await waitUntil(`document.querySelector('.pictures.${moment} img:not([hidden])')?.naturalWidth > 0`);
    titles.push(await pressed());
  }
  const time = String.raw`(\d+ \w+ \d{4}, )?\d\d:\d\d:\d\d GMT\+4$`;
  const names = ['At the alert', 'Before', 'When it appeared', 'At the alert'];
  for (const [at, name] of names.entries()) t.match(titles[at], new RegExp(`^${name} ${time}`));
  await press('v');
  await waitUntil(FULL);
  await press('+', 'b');
  await waitUntil(`/^Before /.test(document.querySelector('.picture-title').textContent)`);
  t.equal((await drawingOf(page)).scale, 1.5, 'the next picture keeps the zoom, to compare');
  await page.keyboard.press('Escape');
  await waitUntil(FULL_GONE);
  t.strictSame(pageErrors, []);
}

async function checkDoubt(t: Test, browser: Browser): Promise<void> {
  const { room, text, waitUntil } = await openConsole(t, browser, {
    fill: (db) =>
      addIncidents(
        db,
        [1, 2].map((no) => numbered(no, { clock_doubt: true })),
      ),
    path: '/incidents/2',
  });
  await waitUntil(`document.querySelector('.demo-clock') !== null`);
  await waitUntil(`document.querySelector('.no-picture') !== null`);
  t.notMatch(await text('.work'), /clock/, 'no incident repeats it');
  await addIncidents(room.db, [numbered(3)]);
  await waitUntil(`document.querySelector('.demo-clock') === null`);
  t.match(
    await text('.incident'),
    /box’s clock is not reliable/,
    'with a good clock in the room, its own incidents state it',
  );
}
