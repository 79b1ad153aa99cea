/** Browser tests of the tracks screen: search by mouse and keyboard, list, time bar and replay, in each language. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'puppeteer-core';
import sharp from 'sharp';
import t, { type Test } from 'tap';
import { TRACK_APPROVAL_TYPE } from '../../agent/contract/track-approval.ts';
import { CallError } from '../../scripts/products/room/console/handler.ts';
import type { DataHandlers } from '../../scripts/products/room/console/routes.ts';
import type { TrackAnswer, TrackRequest } from '../../scripts/products/room/contract/tracks.ts';
import { browserMissing } from '../lib/browser.ts';
import { putCamera } from '../lib/console-rows.ts';
import { ROOT, scratch } from '../lib/paths.ts';
import {
  browserOf,
  DESK,
  LOOKS,
  type OpenConsole,
  type Opening,
  openConsole,
  problemsOf,
} from '../lib/room-browser.ts';
import { CASE, trackAnswer, VIEW } from '../lib/room-tracks.ts';

const SIGNATURE = { keyid: 'a'.repeat(64), sig: `${'A'.repeat(86)}==` };
const SIZE = { width: 1366, height: 768 };

/** Stand-in for the server's part. */
interface Box {
  readonly requests: TrackRequest[];
  /** Changes to the next answer. */
  change: Partial<TrackAnswer>;
  refusal: string | undefined;
}

interface OpenScreen extends OpenConsole {
  readonly box: Box;
  tabTo(selector: string): Promise<void>;
  submit(): Promise<void>;
  /** Submits the form and asks for the tracks. */
  ask(): Promise<void>;
}

let jpeg: Buffer;

async function openScreen(
  t: Test,
  browser: Browser,
  { isMoving = false, ...opening }: Opening & { readonly isMoving?: boolean } = {},
): Promise<OpenScreen> {
  const box: Box = { requests: [], change: {}, refusal: undefined };
  const tab = await openConsole(t, browser, {
    handlers: handlersOf(box),
    size: SIZE,
    user: 'Omar',
    settings: { signer: 'unused' },
    fill: async (db) => {
      for (const name of ['cam-1', 'cam-2', 'square-1']) await putCamera(db, name, Date.now());
    },
    ...opening,
  });
  const { page } = tab;
  await page.emulateMediaFeatures([
    { name: 'prefers-color-scheme', value: opening.look?.[1] ?? 'light' },
    { name: 'prefers-reduced-motion', value: isMoving ? 'no-preference' : 'reduce' },
  ]);
  const screen: OpenScreen = {
    ...tab,
    box,
    tabTo: async (selector) => {
      for (let i = 0; i < 120; i++) {
        if (await page.evaluate(`document.activeElement?.matches(${JSON.stringify(selector)})`)) return;
        await page.keyboard.press('Tab');
      }
      throw new Error(`Tab does not lead to ${selector}`);
    },
    submit: async () => {
      await page.type('[name=box]', 'square-1');
      await page.type('[name=case]', CASE);
      await page.type('[name=reason]', 'theft of a bicycle');
      // Like a choice in the calendar.
      for (const [end, wall] of [
        ['from', '2026-11-12T22:00'],
        ['to', '2026-11-12T22:20'],
      ])
        await page.evaluate(`(() => {
          const field = document.querySelector('.d-interval [name=${end}]');
          field.value = '${wall}';
          field.dispatchEvent(new Event('change', { bubbles: true }));
        })()`);
      await page.click('.t-form [type=submit]');
      await tab.waitUntil('document.querySelector(".t-drawing .stage-shapes") !== null');
    },
    ask: async () => {
      await screen.submit();
      await page.click('#ask-tracks');
      await tab.waitUntil('document.querySelector(".t-result") !== null');
    },
  };
  await page.evaluate(`document.querySelector('nav a[href="/tracks"]').click()`);
  await tab.waitUntil('document.querySelector("[data-screen=tracks]") !== null');
  return screen;
}

/** The server's part, as the box of the test answers. */
const handlersOf = (box: Box): Partial<DataHandlers> => ({
  tracks: async ({ body }) => {
    box.requests.push(body);
    if (box.refusal !== undefined) throw new CallError(409, box.refusal);
    return trackAnswer(body, box.change);
  },
  still: async () => jpeg,
});

/** Maps points of the picture to the screen. */
async function frameOf(page: Page, selector: string): Promise<(x: number, y: number) => [number, number]> {
  const [left, top, width, height] = (await page.evaluate(`(() => {
    const element = document.querySelector('${selector}');
    element.scrollIntoView({ block: 'center' });
    const { left, top, width, height } = element.getBoundingClientRect();
    return [left, top, width, height];
  })()`)) as [number, number, number, number];
  return (x, y) => [left + x * width, top + y * height];
}

async function drag(page: Page, from: [number, number], to: [number, number]): Promise<void> {
  await page.mouse.move(...from);
  await page.mouse.down();
  await page.mouse.move(...to, { steps: 6 });
  await page.mouse.up();
}

const press = (page: Page, text: string): Promise<unknown> =>
  page.evaluate(
    `[...document.querySelectorAll('button')].find((one) => one.textContent.trim().startsWith('${text}')).click()`,
  );

/** Counts the drawn points of the canvas, and those in the colour of a figure. */
const STATISTICS = `(() => {
  const canvas = document.querySelector('canvas');
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  let [n, { data }] = [0, copy.getImageData(0, 0, canvas.width, canvas.height)];
  for (let i = 0; i < data.length; i += 4) if (data[i] > 240 && data[i + 1] > 140 && data[i + 1] < 175 && data[i + 2] < 80) n++;
  return n;
})()`;
const CLOCK = 'document.querySelector(".t-clock").textContent';

t.test('the tracks screen works in a browser', { skip: browserMissing(), timeout: 240_000 }, async (t) => {
  jpeg = await sharp(join(ROOT, 'docs/alert.jpg')).resize(1280, 720, { fit: 'cover' }).jpeg().toBuffer();
  const browser = await browserOf(t);
  await t.test('a question is drawn and sent by mouse', (t) => byMouse(t, browser));
  await t.test('a question is drawn and sent by keyboard alone', (t) => byKey(t, browser));
  await t.test('list, time bar and replay show the answer', (t) => replayed(t, browser));
  await t.test('a second person’s approval is added to a question', (t) => approved(t, browser));
  for (const [look, size] of LOOKS)
    await t.test(`looks, ${look.join(', ')}, ${size.width} px`, (t) =>
      looks(t, browser, { look, size: size === DESK ? SIZE : size }),
    );
});

async function byMouse(t: Test, browser: Browser): Promise<void> {
  const screen = await openScreen(t, browser);
  const { page, box, waitUntil } = screen;
  await page.click('.t-form [type=submit]');
  await waitUntil('document.querySelectorAll(".t-form [aria-invalid=true]").length === 3');
  t.same(box.requests, [], 'no question is sent without camera, case and reason');
  await screen.submit();
  t.equal(box.requests.length, 1);
  t.match(box.requests[0], {
    box: 'square-1',
    case: CASE,
    reason: 'theft of a bicycle',
    question: { answer: 'coverage', from: '2026-11-12T21:00:00.000Z', to: '2026-11-12T21:20:00.000Z' },
  });
  t.notOk('where' in (box.requests[0]?.question ?? {}));
  t.match(await screen.text('.t-sight'), /analysed in 71(\.\d)?%.*3 gaps/);
  t.match(await screen.text('.t-still-note'), /Still from 11 Nov 2026/);

  await press(page, 'Line');
  await waitUntil('document.querySelector(".t-shape") !== null');
  const at = await frameOf(page, '.stage-frame');
  await drag(page, at(0.2, 0.5), at(0.8, 0.75));
  await page.select('[name=direction]', 'right');
  await waitUntil('document.querySelectorAll(".t-arrow").length === 1');
  t.equal(await page.$eval('.t-arrow', (arrow) => arrow.getAttribute('data-side')), 'right');
  await drag(page, at(0.8, 0.75), at(0.8, 0.5));
  await page.click('[name=colour-white]');
  await page.click('#ask-tracks');
  await waitUntil('document.querySelector(".t-result") !== null');
  const line = box.requests.at(-1)?.question.where as { line: [number, number][] } | undefined;
  t.match(box.requests.at(-1)?.question, { answer: 'tracks', view: VIEW, colours: ['white'] });
  t.match(line, { direction: 'right' });
  const marks = await page.$$eval('.t-list li', (rows) =>
    rows.map((row) => row.querySelector('.t-wanted') !== null),
  );
  t.ok(
    marks[0] === true && !marks.slice(marks.indexOf(false)).includes(true),
    'white ones come first, marked',
  );
  t.match(await screen.text('.t-list li'), 'colour asked for');
  for (const [i, [x, y]] of (
    [
      [0.2, 0.5],
      [0.8, 0.5],
    ] as const
  ).entries())
    t.ok(Math.hypot((line?.line[i]?.[0] ?? 9) - x, (line?.line[i]?.[1] ?? 9) - y) < 0.01, `end ${i}`);

  t.same(screen.pageErrors, []);
}

async function byKey(t: Test, browser: Browser): Promise<void> {
  const screen = await openScreen(t, browser);
  const { page, box, waitUntil, tabTo } = screen;
  const { keyboard } = page;
  const typed = async (selector: string, text: string): Promise<void> => {
    await tabTo(selector);
    await keyboard.type(text);
  };
  await typed('[name=box]', 'square-1');
  await typed('[name=case]', CASE);
  await typed('[name=reason]', 'theft of a bicycle');
  await keyboard.press('Enter');
  await waitUntil('document.querySelector(".t-drawing .stage-shapes") !== null');
  await tabTo('.t-place button:nth-child(2)');
  await keyboard.press('Enter');
  await waitUntil('document.querySelector(".t-line") !== null');
  // The picture comes before its controls.
  await keyboard.down('Shift');
  for (let i = 0; i < 40; i++) {
    if (await page.evaluate('document.activeElement.dataset.handle === "0"')) break;
    await keyboard.press('Tab');
  }
  await keyboard.up('Shift');
  t.match(await page.evaluate('document.activeElement.getAttribute("aria-label")'), 'End 1 of the line');
  for (let i = 0; i < 10; i++) await keyboard.press('ArrowUp');
  await keyboard.down('Shift');
  await keyboard.press('ArrowLeft');
  await keyboard.up('Shift');
  t.equal(
    await page.evaluate('document.activeElement.getAttribute("aria-valuetext")'),
    '33 % from the left, 65 % from the top',
  );
  await tabTo('[name=direction]');
  await keyboard.press('ArrowDown');
  await tabTo('#ask-tracks');
  await keyboard.press('Enter');
  await waitUntil('document.querySelector(".t-result") !== null');
  t.match(box.requests.at(-1)?.question.where, {
    line: [
      [0.325, 0.65],
      [0.65, 0.7],
    ],
    direction: 'left',
  });
  t.match(await page.evaluate('document.activeElement.className'), 't-sentence', 'the answer is read out');

  await keyboard.press('ArrowRight');
  await waitUntil('document.querySelector(".t-chosen-row") !== null');
  await tabTo('.t-row');
  await keyboard.press('End');
  await keyboard.press('Enter');
  await waitUntil('document.querySelector(".t-blank") !== null');
  t.match(await screen.text('.t-blank'), 'the camera showed another view');
  await tabTo('.t-seek');
  await keyboard.press('Home');
  await waitUntil('document.querySelector(".t-blank") === null');
  await keyboard.press('ArrowRight');
  t.match(
    await page.$eval('.t-seek', (bar) => bar.getAttribute('aria-valuetext')),
    /; [\d:]{8}–[\d:]{8}: \d/,
  );
  t.same(screen.pageErrors, []);
}

async function replayed(t: Test, browser: Browser): Promise<void> {
  const screen = await openScreen(t, browser, { isMoving: true });
  const { page, waitUntil } = screen;
  await screen.ask();
  t.match(await screen.text('.t-sentence'), /^34 passed: .*71.?%.*12.?%.*3 gaps \(17.?%\)/);
  const rows = (await page.$$eval('.t-list li', (all) => all.map(({ className }) => className))) as string[];
  t.equal(rows.length, 37);
  t.equal(rows.filter((name) => name === 't-gap-row').length, 3);
  t.ok(rows.indexOf('t-gap-row') > 2 && rows.indexOf('t-gap-row') < 30, 'a gap stands among the tracks');
  const first = await page.evaluate(CLOCK);
  await waitUntil(`${CLOCK} !== ${JSON.stringify(first)}`);
  await waitUntil(`${STATISTICS} > 40`);
  await page.keyboard.press(' ');
  await page.click('.t-list [data-track="4"] .t-row');
  await waitUntil('document.querySelector(".t-video") !== null');
  t.same(await page.$eval('.t-video a', (link) => ['target', 'rel'].map((name) => link.getAttribute(name))), [
    '_blank',
    'noopener noreferrer',
  ]);
  t.match(await screen.text('.t-video'), 'Range: clock=20261112T');
  t.same(await page.$$('.t-video img'), [], 'text of others stays text');
  const bar = await frameOf(page, '.t-bar svg');
  await page.mouse.move(...bar(300 / 1200, 0.5));
  await waitUntil('document.querySelector(".t-tip.t-in-gap") !== null');
  t.match(await screen.text('.t-tip'), 'the camera could not see');
  await page.mouse.click(...bar(300 / 1200, 0.3));
  await waitUntil('document.querySelector(".t-blank") !== null');
  t.equal(await page.evaluate(STATISTICS), 0, 'unseen parts are not drawn');
  await press(page, 'Hits together');
  await waitUntil('document.querySelector(".t-blank") === null');
  t.match(await page.$eval('canvas', (canvas) => canvas.getAttribute('aria-label')), /[1-8] figures/);
  const exports = await page.$$eval('a[download]', (links) => links.map((link) => link.getAttribute('href')));
  t.same(exports, ['/api/tracks/answer-tracks/tracks.csv', '/api/tracks/answer-tracks/tracks.mf.json']);
  t.same(screen.pageErrors, []);
}

async function approved(t: Test, browser: Browser): Promise<void> {
  const screen = await openScreen(t, browser);
  const { page, box, waitUntil } = screen;
  box.change = { grade: 'vehicles' };
  await screen.submit();
  t.equal(await page.$('[name=approval]'), null, 'it is hidden until the box requires it');
  box.refusal = 'the box refused it: a question about persons needs the approval of a second key';
  await page.click('#ask-tracks');
  await waitUntil('document.querySelector("[name=approval]") !== null');
  t.match(await screen.text('main [role=alert]'), 'Your input is kept.');
  const choose = async (name: string, content: object): Promise<void> => {
    const file = join(scratch(t), name);
    writeFileSync(file, JSON.stringify(content));
    const input = await page.$('[name=approval]');
    await (input as unknown as { uploadFile(path: string): Promise<void> }).uploadFile(file);
  };
  await choose('other.json', { nothing: 'of it' });
  await waitUntil('document.querySelector(".t-approval .fault") !== null');
  const signed = { payloadType: TRACK_APPROVAL_TYPE, payload: 'e30=', signatures: [SIGNATURE] };
  await choose('approval.json', signed);
  await waitUntil('document.querySelector(".t-approval").textContent.includes("approval.json")');
  box.refusal = undefined;
  await page.click('#ask-tracks');
  await waitUntil('document.querySelector(".t-result") !== null');
  t.match(box.requests.at(-1), { approval: signed });
  box.change = { stopped: 'refused by square-1: the budget is used up', more: 3 };
  await press(page, 'Change the question');
  await waitUntil('document.querySelector(".t-command code") !== null');
  const command = await screen.text('.t-command');
  t.match(command, /vigie-room tracks .* --approve approval\.json --box square-1 .*--to 2026/);
  await page.click('#ask-tracks');
  await waitUntil('document.querySelector(".t-result .notice") !== null');
  t.match(await screen.text('.t-result .notice'), '3 more are not shown here: refused by square-1');
  await press(page, 'Change the question');
  for (const [approvers, text] of [
    [['prosecutor', 'judge'], 'as the authorisation names them: prosecutor, judge'],
    [[], 'names no approvers, so the box answers no question about persons'],
  ] as const) {
    box.change = { approvers: [...approvers] };
    await page.click('.t-form [type=submit]');
    await waitUntil(`document.querySelector('.t-ask-side').textContent.includes('${text}')`);
  }
  // Neither a preset nor the rounding of a count asks for what lies ahead.
  await page.click('.d-presets button');
  await page.click('.t-form [type=submit]');
  await waitUntil('document.querySelector(".t-stale") === null');
  await page.click('.t-ask-side input[type=radio]:not(:checked)');
  await page.click('#ask-tracks');
  await waitUntil('document.querySelector(".t-result") !== null');
  const counted = box.requests.at(-1)?.question;
  t.equal(counted?.answer, 'count');
  t.ok(Date.parse(counted?.to ?? '') <= Date.now(), String(counted?.to));
  await press(page, 'Change the question');
  await page.$eval('[name=to]', (field) => {
    field.value = '2099-01-01T00:00';
    field.dispatchEvent(new Event('change', { bubbles: true }));
  });
  await waitUntil('document.querySelector(".d-interval .fault").textContent.includes("now is the latest")');
  t.same(screen.pageErrors, []);
}

async function looks(t: Test, browser: Browser, opening: Opening): Promise<void> {
  const screen = await openScreen(t, browser, opening);
  const { page, press, waitUntil } = screen;
  const problems: string[] = [];
  const check = async (name: string): Promise<void> =>
    void problems.push(...(await problemsOf(screen, `tracks-${name}-${String(opening.look)}`)));
  await screen.submit();
  await page.click('.t-place button:nth-child(2)');
  await waitUntil('document.querySelector(".t-shape") !== null');
  const at = await frameOf(page, '.stage-frame');
  await drag(page, at(0.3, 0.55), at(0.62, 0.92));
  await page.select('[name=direction]', 'left');
  await check('drawing');
  await page.click('#ask-tracks');
  await waitUntil('document.querySelector(".t-result") !== null');
  await page.click('.t-list [data-track="7"] .t-row');
  await waitUntil('document.querySelector(".t-video") !== null');
  await page.evaluate('document.querySelector(".t-controls").scrollIntoView()');
  await page.evaluate('document.querySelector(".screen").scrollTop = 0');
  await check('replay');
  await press('h', 't');
  await waitUntil('document.querySelector(".t-batch") !== null');
  await check('together');
  await press('t');
  await page.click('.t-gap-row .t-row');
  await waitUntil('document.querySelector(".t-blank") !== null');
  await check('gap');
  t.same(problems, []);
  t.same(screen.pageErrors, []);
}
