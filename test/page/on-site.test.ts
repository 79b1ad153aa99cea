/**
 * Tests the technician's app in the conditions of a site: a phone on its side, fingers on close corners, and a Wi-Fi
 * that ends in the middle of each step.
 */
import { join } from 'node:path';
import sharp from 'sharp';
import t, { type Test } from 'tap';
import { browserMissing } from '../lib/browser.ts';
import { ROOT, scratch } from '../lib/paths.ts';
import { INSTALLED } from './canned.ts';
import { type Look, openBrowser, type Phone } from './phone.ts';
import type { StandIn } from './stand-in.ts';
import { openApp, type Parts } from './ways.ts';

const LOOKS: readonly Look[] = [
  ['fr', 'light'],
  ['en', 'dark'],
];
const TRIAL = 'document.querySelector(".trial") !== null';
const UNSENT = 'document.querySelector("#unsent") !== null';
const ALL_SENT = 'document.querySelector("#unsent") === null';

t.test('the app works on site', { skip: browserMissing(), timeout: 180_000 }, async (t) => {
  const jpeg = await sharp(join(ROOT, 'docs/alert.jpg')).jpeg({ quality: 60 }).toBuffer();
  // A page that was left must not act from the browser's cache.
  const args = ['--disable-features=BackForwardCache'];
  const browser = await openBrowser(join(scratch(t), 'profile'), { args });
  t.teardown(() => browser.close());
  const parts = { browser, jpeg };
  for (const look of LOOKS) {
    await t.test(`the picture and its reasons are visible in ${look.join(', ')}`, (t) =>
      testPicture(t, parts, look),
    );
  }
  await t.test('two fingers zoom, and a loupe shows the corner under a finger', (t) => testZoom(t, parts));
  await t.test('a phone whose pairing was not answered is paired by the same attempt', (t) =>
    testLostPairing(t, parts),
  );
  await t.test('each step survives the loss of the network', (t) => testOfflineSteps(t, parts));
  await t.test('an act without an answer takes effect once', (t) => testLostAnswers(t, parts));
  await t.test('a decision outlives a reload, and one that is too late is named', (t) =>
    testReload(t, parts),
  );
});

/** Describes each part that is not entirely on the screen. */
const hiddenParts = (selectors: readonly string[]): string => `(() => {
  const bar = document.querySelector('.way').getBoundingClientRect();
  return ${JSON.stringify(selectors)}.flatMap((selector) => {
    const { left, top, right, bottom } = document.querySelector(selector).getBoundingClientRect();
    const isCovered = right > bar.left && bottom > bar.top && !document.querySelector(selector).closest('.way');
    const isVisible = left >= 0 && top >= 0 && right <= innerWidth && bottom <= innerHeight && !isCovered;
    return isVisible ? [] : [selector + ' at ' + [left, top, right, bottom].map(Math.round)];
  });
})()`;

async function testPicture(t: Test, parts: Parts, look: Look): Promise<void> {
  const { phone } = await openApp(t, parts, { look });
  const problems: string[] = [];
  const check = async (name: string): Promise<void> => void problems.push(...(await phone.check(name)));
  /** Turns the phone on its side, where picture and controls share the screen. */
  const side = async (name: string, ...controls: string[]): Promise<void> => {
    await phone.turn(true);
    await phone.picture();
    await check(name);
    t.same(await phone.page.evaluate(hiddenParts(['.stage-frame', ...controls])), [], name);
    await phone.turn(false);
  };
  await phone.go('aim');
  await phone.picture();
  await side('30-aim-side', '#zoom-in', '#next');
  await phone.go('zones');
  await phone.tap('[data-chip="zone/lawn"]');
  await side('31-zones-side', '#zoom-in', '#next');
  await phone.drag([0.2, 0.48], [0.8, 0.95]);
  await phone.untilTrue('a reason', 'document.querySelector("[data-reason=\'zone/lawn\']") !== null');
  t.match(await phone.text('[data-reason]'), look[0] === 'fr' ? 'Côtés croisés' : 'Sides cross');
  await check('32-reason');
  t.same(await phone.page.evaluate(REASON_FAULTS), []);
  await phone.tap('#undo');
  await phone.tap('[data-add=zone]');
  await phone.drag([0.3, 0.3], [0.1, 0.1]);
  await phone.untilTrue('a reason', 'document.querySelector("[data-reason=\'zone/square\']") !== null');
  t.match(await phone.text('[data-reason]'), look[0] === 'fr' ? 'Hors du contour' : 'Outside');
  t.same(await phone.page.evaluate(REASON_FAULTS), []);
  await phone.tap('#undo');
  await phone.go('try');
  await phone.tap('#try');
  await phone.untilTrue('a trial', TRIAL);
  t.notOk(await phone.page.$('[data-fate]'), 'a running trial has no outcome');
  t.notOk(await phone.page.$('#next'), 'no next step');
  const widths = (await phone.page.evaluate(
    '["#keep", "#revert"].map((one) => document.querySelector(one).getBoundingClientRect().width)',
  )) as [number, number];
  t.ok(widths[0] > widths[1], 'Apply is the large button');
  await check('33-trial');
  await side('34-trial-side', '#keep', '#revert', '.trial');
  await phone.tap('#keep');
  await phone.untilTrue('kept', 'document.querySelector("[data-fate=kept]") !== null');
  await phone.tap('#walk-start');
  await phone.untilTrue('a pass', 'document.querySelector("#walk[data-phase=watching]") !== null');
  await side('35-walk-side', '#next');
  t.same(problems, []);
  t.same(phone.pageErrors, []);
}

/** Faults of a reason: it must be large, on the picture, and within a finger's breadth of its shape. */
const REASON_FAULTS = `(() => {
  const reason = document.querySelector('[data-reason]');
  const place = (element) => element.getBoundingClientRect();
  const [sign, frame] = [place(reason), place(document.querySelector('.stage-frame'))];
  const shape = place(document.querySelector('[data-shape="' + reason.dataset.reason + '"] .stroke'));
  const text = place(reason.querySelector('text'));
  const gap = Math.max(sign.top - shape.bottom, shape.top - sign.bottom, 0);
  return [
    parseFloat(getComputedStyle(reason.querySelector('text')).fontSize) < 14 && 'small letters',
    (sign.left < frame.left - 1 || sign.right > frame.right + 1) && 'beside the picture',
    (sign.top < frame.top - 1 || sign.bottom > frame.bottom + 1) && 'above or below the picture',
    (text.left < sign.left || text.right > sign.right) && 'text wider than its sign',
    gap > 44 && 'far from its shape',
  ].filter(Boolean);
})()`;

async function testZoom(t: Test, parts: Parts): Promise<void> {
  const { phone } = await openApp(t, parts);
  await phone.go('zones');
  await phone.picture();
  await phone.tap('[data-chip="zone/lawn"]');
  const before = await phone.corners();
  const apartPx = async (): Promise<number> =>
    (await phone.page.evaluate(`(() => {
      const [a, b] = [3, 4].map((i) => document.querySelector('[data-handle="' + i + '"] .knob').getBoundingClientRect());
      return Math.hypot(a.left - b.left, a.top - b.top);
    })()`)) as number;
  const closePx = await apartPx();
  t.ok(closePx < 44, `${closePx.toFixed(1)} px apart`);
  t.match(await phone.text('main'), 'close together', 'zoom is offered');
  await phone.pinch(
    [
      [0.6, 0.6],
      [0.7, 0.7],
    ],
    [
      [0.3, 0.3],
      [0.95, 0.95],
    ],
  );
  await phone.untilTrue('enlarged', 'document.querySelector(".zoom output").textContent === "4×"');
  t.same(await phone.corners(), before, 'a pinch moves no corner');
  t.ok((await apartPx()) >= 44, `${(await apartPx()).toFixed(1)} px apart`);
  await phone.tap('#zoom-out');
  await phone.tap('#zoom-out');
  t.ok(await phone.page.$('#zoom-out:disabled'), 'the whole picture');
  await phone.page.$eval('.stage-frame', (frame) => frame.scrollIntoView({ block: 'center' }));
  const { touchscreen } = phone.page;
  const [x, y] = await phone.at(0.5, 0.62);
  await touchscreen.touchStart(x, y);
  for (const step of [8, 16, 24]) await touchscreen.touchMove(x + step, y - step);
  await phone.untilTrue('a loupe', 'document.querySelector(".loupe.left img") !== null');
  t.same(await phone.page.evaluate(LOUPE_FAULTS(x + 24, y - 24)), []);
  t.same(await phone.check('36-loupe'), []);
  await touchscreen.touchEnd();
  await phone.untilTrue('no loupe', 'document.querySelector(".loupe") === null');
  await phone.tap('#undo');
  t.same(await phone.settled((corners) => String(corners) === String(before)), before);
  t.same(phone.pageErrors, []);
}

/** Faults of the loupe: it must lie off the finger, and show the corner in its middle. */
const LOUPE_FAULTS = (x: number, y: number): string => `(() => {
  const loupe = document.querySelector('.loupe').getBoundingClientRect();
  const cross = document.querySelector('.loupe .cross').getBoundingClientRect();
  const middle = [loupe.left + loupe.width / 2, loupe.top + loupe.height / 2];
  const off = Math.hypot(cross.left + cross.width / 2 - middle[0], cross.top + cross.height / 2 - middle[1]);
  return [
    Math.hypot(middle[0] - ${x}, middle[1] - ${y}) < loupe.width / 2 + 24 && 'under the finger',
    off > 3 && 'the corner is ' + off + ' px off',
  ].filter(Boolean);
})()`;

async function testLostPairing(t: Test, parts: Parts): Promise<void> {
  const { box, phone } = await openApp(t, parts, { paired: false, hash: '#7xkq-93md-22pv-h0tt' });
  box.lostAnswers = 1;
  await phone.tap('#pair');
  await phone.untilTrue('told', UNSENT);
  t.same(await phone.check('37-pair-unsent'), []);
  await phone.untilTrue('paired', 'document.querySelector("[data-screen=aim]") !== null');
  const attempts = box.requests.filter((line) => line.startsWith('POST /api/pair'));
  t.equal(attempts.length, 2);
  t.equal(attempts[0], attempts[1], 'the same attempt');
  t.same(phone.errorsOnline, []);
}

/** Number of requests of a path that have reached the box. */
function arrivals({ requests }: StandIn, path: string): number {
  return requests.filter((line) => line.startsWith(`POST /api/${path} `)).length;
}

/** Acts without a network, and restores it; the act must be shown as not sent, and then arrive once. */
async function actOffline(t: Test, phone: Phone, box: StandIn, button: string, path: string): Promise<void> {
  const before = arrivals(box, path);
  await phone.page.waitForSelector(`${button}:enabled`);
  await phone.setOffline(true);
  await phone.tap(button);
  await phone.untilTrue(`${path} is not sent`, UNSENT);
  t.equal(arrivals(box, path), before);
  await phone.setOffline(false);
  await phone.untilTrue(`${path} is sent`, ALL_SENT);
  t.equal(arrivals(box, path), before + 1, path);
}

async function testOfflineSteps(t: Test, parts: Parts): Promise<void> {
  const { box, phone } = await openApp(t, parts, { look: ['fr', 'light'] });
  const answers = 'document.querySelector("main [aria-live=assertive] .notice.bad") === null';
  await phone.go('camera');
  await phone.setOffline(true);
  await phone.tap('#find-cameras');
  await phone.untilTrue('told', `!(${answers})`);
  await phone.setOffline(false);
  await phone.tap('#find-cameras');
  await phone.untilTrue('found', 'document.querySelector("[aria-pressed=false]") !== null');
  await phone.go('aim');
  await phone.picture();
  box.isStalled = true;
  await phone.untilTrue('no frozen picture', 'document.querySelector(".stage img") === null');
  await phone.setOffline(true);
  box.isStalled = false;
  await phone.go('zones');
  await phone.tap('[data-add=mask]');
  await phone.go('rules');
  await phone.go('fires');
  await phone.setOffline(false);
  await phone.picture();

  await phone.go('try');
  await actOffline(t, phone, box, '#try', 'config/try');
  await phone.untilTrue('a trial', TRIAL);
  await phone.setOffline(true);
  await phone.tap('#keep');
  await phone.untilTrue('not sent', UNSENT);
  t.same(await phone.check('38-unsent'), []);
  await phone.tap('#clear-acts');
  await phone.untilTrue('cleared', ALL_SENT);
  await phone.setOffline(false);
  await phone.untilTrue('reached', answers);
  t.equal(arrivals(box, 'config/keep'), 0, 'a cleared act is not sent');
  await actOffline(t, phone, box, '#keep', 'config/keep');
  await phone.untilTrue('kept', 'document.querySelector("[data-fate=kept]") !== null');
  t.equal(box.installed.masks.length, 1);

  await actOffline(t, phone, box, '#walk-start', 'walk/start');
  await actOffline(t, phone, box, '#walk-go', 'walk/answer');
  await phone.untilTrue('a pass', 'document.querySelector("#walk[data-phase=watching]") !== null');
  await phone.go('go');
  box.isMoved = true;
  await phone.untilTrue('moved', 'document.querySelector("#confirm-view") !== null');
  await actOffline(t, phone, box, '#confirm-view', 'view/confirm');
  await phone.untilTrue('confirmed', 'document.querySelector("#confirm-view") === null');
  await phone.go('receipt');
  await phone.setOffline(true);
  await phone.tap('#fresh-code');
  await phone.untilTrue('told', `!(${answers})`);
  await phone.setOffline(false);
  await phone.tap('#fresh-code');
  await phone.untilTrue('a code', 'document.body.textContent.includes("7XKQ")');
  t.same(phone.errorsOnline, []);
}

async function testLostAnswers(t: Test, parts: Parts): Promise<void> {
  const { box, phone } = await openApp(t, parts);
  const lose = async (button: string, path: string, effect: string): Promise<void> => {
    const before = arrivals(box, path);
    await phone.page.waitForSelector(button);
    box.lostAnswers = 1;
    await phone.tap(button);
    await phone.untilTrue(path, effect);
    await phone.untilTrue('no act is open', `${ALL_SENT} && sessionStorage.getItem("acts") === null`);
    t.equal(arrivals(box, path), before + 1, `${path} arrives once`);
  };
  await phone.go('zones');
  await phone.tap('[data-add=mask]');
  await phone.go('try');
  await phone.untilTrue('checked', 'document.querySelector("#try:enabled") !== null');
  await lose('#try', 'config/try', TRIAL);
  await lose('#revert', 'config/revert', 'document.querySelector("[data-fate]") !== null');
  t.same(box.installed, INSTALLED);
  await lose('#try', 'config/try', TRIAL);
  await lose('#keep', 'config/keep', 'document.querySelector("[data-fate=kept]") !== null');
  t.equal(box.installed.masks.length, 1);
  await phone.go('walk');
  await lose('#walk-start', 'walk/start', 'document.querySelector("#walk[data-phase=ready]") !== null');
  await lose('#walk-go', 'walk/answer', 'document.querySelector("#walk[data-phase=watching]") !== null');
  t.same(phone.errorsOnline, []);
}

async function testReload(t: Test, parts: Parts): Promise<void> {
  const { box, phone } = await openApp(t, parts);
  await phone.go('zones');
  await phone.tap('[data-add=mask]');
  const keepOffline = async (): Promise<void> => {
    await phone.go('try');
    await phone.tap('#try');
    await phone.untilTrue('a trial', TRIAL);
    await phone.setOffline(true);
    await phone.tap('#keep');
    await phone.untilTrue('not sent', UNSENT);
  };
  box.trialS = 3;
  await keepOffline();
  await phone.untilTrue('the time is up', 'document.querySelector(".trial").textContent.includes("Unless")');
  await new Promise((resolve) => setTimeout(resolve, 200));
  await phone.setOffline(false);
  await phone.untilTrue('too late', 'document.querySelector("[data-fate=too-late]") !== null');
  t.same(box.installed, INSTALLED);
  t.equal(arrivals(box, 'config/keep'), 0);
  t.same(await phone.check('39-too-late'), []);
  box.trialS = 120;
  await keepOffline();
  await phone.page.goto('about:blank');
  await phone.setOffline(false);
  await phone.reload();
  await phone.untilTrue('sent', 'sessionStorage.getItem("acts") === null');
  t.equal(arrivals(box, 'config/keep'), 1);
  t.equal(box.installed.masks.length, 1, 'applied in time');
  await phone.go('try');
  await phone.untilTrue('kept', 'document.querySelector("[data-fate=kept]") !== null');
  t.same(phone.errorsOnline, []);
}
