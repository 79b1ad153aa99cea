/** Browser tests of the picture of an incident: full size, zoom, and the pictures before it. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Browser, Page } from 'puppeteer-core';
import sharp from 'sharp';
import t, { type Test } from 'tap';
import { iso, type Sql } from '../../scripts/products/room/database/sql.ts';
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
} from '../lib/room-browser.ts';
import { evening, numbered } from '../lib/room-evening.ts';

/** Incidents of the evening: with three pictures, and with one of the test. */
const [THREE, ONE] = [2, 50];
/** Size of a still, in px. */
const STILL = { width: 1280, height: 960 };

t.test('the pictures of an incident are viewed', { skip: browserMissing(), timeout: 180_000 }, async (t) => {
  const { width, height } = STILL;
  const jpeg = await sharp(join(ROOT, 'docs/alert.jpg')).resize(width, height).jpeg().toBuffer();
  const browser = await browserOf(t);
  const room = await appRoom(t, { fill: (db) => fill(db, jpeg) });
  await t.test('the keyboard and the mouse open, zoom, move and close the full size', (t) =>
    checkFull(t, browser, room),
  );
  await t.test('one key shows the pictures before the alert, each with its time', (t) =>
    checkMoments(t, browser, room),
  );
});

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
