/** Browser tests of the alarm. Started tones and notifications are recorded; the browser's own classes make them. */
import type { Browser, Page } from 'puppeteer-core';
import t, { type Test } from 'tap';
import { iso } from '../../scripts/products/room/database/sql.ts';
import { browserMissing, FULL_CHROMIUM } from '../lib/browser.ts';
import { addIncidents, type Columns } from '../lib/console-rows.ts';
import {
  appRoom,
  browserOf,
  contextOf,
  enterAs,
  LIVE,
  type OpenConsole,
  type Opening,
  problemsOf,
  type Tab,
  type TabOptions,
  tabOf,
} from '../lib/room-browser.ts';
import { numbered } from '../lib/room-evening.ts';

const HOUR_MS = 3_600_000;

/** Records what the browser is asked to do. */
const RECORDER = `
  window.tones = 0;
  const start = OscillatorNode.prototype.start;
  OscillatorNode.prototype.start = function (...given) { window.tones += 1; return start.apply(this, given); };
  window.notices = [];
  window.closedTags = [];
  window.asked = 0;
  const Shown = window.Notification;
  const ask = Shown.requestPermission.bind(Shown);
  window.Notification = class extends Shown {
    static requestPermission() { window.asked += 1; return ask(); }
    constructor(title, options) {
      super(title, options);
      window.notices.push({ title, ...options });
      window.lastNotice = this;
    }
    close() { window.closedTags.push(this.tag); super.close(); }
  };`;

/** Makes 30 s of silence pass at once. */
const IMPATIENT = `
  const wait = window.setTimeout;
  window.setTimeout = (then, ms, ...given) => wait(then, ms === 30000 ? 0 : ms, ...given);`;

const isOn = (on: boolean): string => `document.querySelector("#alarm.on") ${on ? '!==' : '==='} null`;
/** True once this browser has a tab that decides and one that plays. */
const IS_READY = `navigator.locks.query().then(({ held }) =>
  ['vigie-alarm', 'vigie-alarm-sound'].every((name) => held.some((lock) => lock.name === name)))`;
const row = (no: number): string => `document.querySelector("[data-no='${no}']") !== null`;
/** Time in which an alarm would have sounded: changes are collected for 250 ms. */
const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 600));

const WRONG_WAY = { priority: 1, kind: 'wrong-way', rule: 'one-way', place: 'line/rue-neuve' };

/** True if the element is within the screen. */
const IN_VIEW = `(element) => {
  const { top, left, bottom, right } = element.getBoundingClientRect();
  return element.checkVisibility() && top >= 0 && left >= 0 && bottom <= innerHeight && right <= innerWidth;
}`;

interface Desk extends OpenConsole {
  /** Adds alerts of priority 1 of one moment, ten minutes after the ones before. */
  urgent(nos: readonly number[], change?: Columns): Promise<void>;
}

async function desk(t: Test, browser: Browser, opening: Opening = {}): Promise<Desk> {
  const room = await appRoom(t, { fill: (db) => addIncidents(db, [numbered(1)]) });
  const context = await contextOf(t, browser, room.home, 'Nadia');
  await context.overridePermissions(room.home, ['notifications']);
  let receivedMs = Date.now() - 20 * HOUR_MS;
  const another = (options?: TabOptions) => tabOf(context, room.home, { before: RECORDER, ...options });
  const tab = await another(opening);
  return {
    ...tab,
    room,
    context,
    another,
    urgent: async (nos, change = {}) => {
      receivedMs += 600_000;
      const received = iso(receivedMs);
      await addIncidents(
        room.db,
        nos.map((no) => numbered(no, { ...WRONG_WAY, received, ...change })),
      );
    },
  };
}

/** Messages of a tab, without Chromium's own about a blocked sound and a cut connection. */
const errorsOf = (...tabs: readonly Tab[]): string[] =>
  tabs.flatMap(({ pageErrors }) => pageErrors.filter((line) => !/AudioContext|net::ERR_/.test(line)));

t.test(
  'the alarm works in a browser',
  { skip: browserMissing(FULL_CHROMIUM), timeout: 180_000 },
  async (t) => {
    const browser = await browserOf(t, { program: FULL_CHROMIUM });
    await t.test('an alert sounds once, and its notification ends with its claim', (t) =>
      checkAlarm(t, browser),
    );
    await t.test('two tabs, a reload and a lost connection sound nothing twice', (t) =>
      checkTwice(t, browser),
    );
    await t.test('a browser that blocks the sound says so on a phone', (t) => checkBlocked(t, browser));
    await t.test('each account of a desk has its own alarm', (t) => checkAccounts(t, browser));
  },
);

async function checkAlarm(t: Test, browser: Browser): Promise<void> {
  const tab = await desk(t, browser);
  const { page, room, urgent, waitUntil } = tab;
  await waitUntil(LIVE);
  await urgent([10]);
  await waitUntil(row(10));
  await settled();
  t.same(await page.evaluate('[tones, notices.length, asked]'), [0, 0, 0], 'off at first');
  await page.click('#alarm');
  await waitUntil(isOn(true));
  await waitUntil('tones === 2');
  await settled();
  t.same(await page.evaluate('[tones, notices.length]'), [2, 0], 'it is counts once, and 10 is known');

  await urgent([11], { box: 'cam-bourse-3' });
  await waitUntil('tones === 4');
  const [title, body] = ['Wrong way', 'centre/cam-bourse-3, line rue-neuve'];
  t.strictSame(await page.evaluate('notices'), [
    { title, body, tag: 'vigie-11', silent: true, requireInteraction: true },
  ]);
  t.equal((await room.postAs('Omar', '/api/incidents/11/claim', {})).status, 200);
  await waitUntil('closedTags.join() === "vigie-11"');

  await urgent([12], { box: 'cam-7' });
  await waitUntil('tones === 6');
  await page.evaluate('lastNotice.onclick()');
  await waitUntil('location.pathname === "/incidents/12"');
  await waitUntil('closedTags.includes("vigie-12")');

  await urgent([13], { priority: 2 });
  await urgent([14], { state: 'claimed', claimed_by: 'Omar' });
  await waitUntil(row(14));
  await urgent(
    Array.from({ length: 68 }, (_, at) => 100 + at),
    { box: 'cam-storm' },
  );
  await waitUntil('tones === 8');
  await settled();
  t.same(await page.evaluate('[tones, notices.length]'), [8, 3], 'a storm of 68 sounds once');
  await page.click('#alarm');
  await waitUntil(isOn(false));
  await urgent([15]);
  await waitUntil('document.title.startsWith("(")');
  await settled();
  t.same(await page.evaluate('[tones, notices.length]'), [8, 3], 'off again');
  t.strictSame(errorsOf(tab), []);
}

async function checkTwice(t: Test, browser: Browser): Promise<void> {
  const first = await desk(t, browser);
  const { room, urgent } = first;
  await first.waitUntil(LIVE);
  await first.page.click('#alarm');
  await first.waitUntil('tones === 2');
  const second = await first.another({ look: ['fr', 'dark'] });
  await second.waitUntil(isOn(true));
  await second.page.click('#content');
  const counts = async (): Promise<unknown> => {
    // The timers of a hidden tab run once a second.
    for (let time = 0; time < 3; time += 1) await settled();
    const all = [];
    for (const { page } of [first, second]) all.push(await page.evaluate('tones + 100 * notices.length'));
    return all;
  };
  await urgent([20]);
  await second.waitUntil(row(20));
  t.same(await counts(), [104, 0], 'one tab sounds');

  room.link.cutConnections();
  room.link.hold(true, true);
  await urgent([21], { box: 'cam-21' });
  await first.waitUntil('document.querySelector(".link-disconnected") !== null', 20_000);
  room.link.hold(false, false);
  await first.waitUntil(row(21), 20_000);
  t.same(await counts(), [206, 0], 'an alert that came meanwhile sounds once');

  await first.page.reload();
  await first.waitUntil(LIVE);
  await first.waitUntil(row(21));
  t.same(await counts(), [0, 0], 'a reload sounds nothing again');
  t.notOk(await first.page.$('#enable-sound'), 'the other tab has taken over');
  await urgent([22], { box: 'cam-22' });
  await second.waitUntil('tones === 2');
  const [ofFirst, ofSecond] = (await counts()) as [number, number];
  t.equal(ofFirst + ofSecond, 102);
  t.strictSame(errorsOf(first, second), []);
}

/** Waits without puppeteer's evaluate, which counts as a gesture of the user, and so allows the sound. */
async function untilBlocked(page: Page): Promise<void> {
  const devtools = await page.createCDPSession();
  const isShown = 'document.querySelector("#enable-sound") !== null';
  const expression = `new Promise((resolve) => { setInterval(() => { if (${isShown}) resolve(); }, 50); })`;
  await devtools.send('Runtime.evaluate', { expression, awaitPromise: true });
}

async function checkBlocked(t: Test, browser: Browser): Promise<void> {
  const before = `${RECORDER} localStorage.setItem('alarm of Nadia', 'on');`;
  const tab = await desk(t, browser, { before, size: { width: 390, height: 844 }, look: ['fr', 'light'] });
  const { page, urgent, waitUntil } = tab;
  await untilBlocked(page);
  await urgent([30]);
  await waitUntil('notices.length === 1');
  t.equal(await page.evaluate('tones'), 0);
  for (const selector of ['#alarm', '#enable-sound'])
    t.ok(
      await page.evaluate(`(${IN_VIEW})(document.querySelector('${selector}'))`),
      `${selector} is in view`,
    );
  t.strictSame(await problemsOf(tab, 'blocked-fr'), []);
  await page.click('#enable-sound');
  await waitUntil('document.querySelector("#enable-sound") === null');
  await waitUntil('tones === 2');
  await urgent([31], { box: 'cam-31' });
  await waitUntil('tones === 4');
  t.strictSame(errorsOf(tab), []);
}

async function checkAccounts(t: Test, browser: Browser): Promise<void> {
  const tab = await desk(t, browser, { before: RECORDER + IMPATIENT });
  const { page, room, context, waitUntil } = tab;
  await waitUntil(LIVE);
  await page.click('#alarm');
  await waitUntil(isOn(true));
  const as = async (user: string): Promise<void> => {
    await enterAs(context, room.home, user);
    await page.reload();
    await waitUntil(LIVE);
  };
  await as('Omar');
  await waitUntil('document.querySelector("#alarm") !== null');
  t.ok(await page.evaluate(isOn(false)), 'another person has it off');
  await as('Anna');
  t.notOk(await page.$('#alarm'), 'an auditor has none');
  await as('Nadia');
  await waitUntil(isOn(true));
  await page.click('#content');
  // The silence counts as 30 s at once here, so the click must have taken effect before it.
  await waitUntil(IS_READY);
  t.equal((await room.postAs('Omar', '/api/sessions/end', { user: 'Nadia' })).status, 200);
  await waitUntil('tones === 2');
  const [title, body] = ['No new alerts arrive', 'Log in again, or check the connection.'];
  t.match(await page.evaluate('notices'), [{ title, body }], 'an alarm that hears nothing says so');
  t.strictSame(errorsOf(tab), []);
}
