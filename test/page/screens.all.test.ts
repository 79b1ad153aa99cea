/**
 * Tests every screen of the technician's app in a real browser: by finger and by keyboard, upright and on its side, in
 * both languages, in light and dark.
 */

import type { Browser } from 'puppeteer-core';
import sharp from 'sharp';
import t, { type Test } from 'tap';
import { browserMissing } from '../lib/browser.ts';
import { waitUntil } from '../lib/room.ts';
import { FULL } from '../lib/run.ts';
import { rectangle } from '../lib/shapes.ts';
import { AUTHORISATION, CAMERA, INSTALLED, RECEIPT } from './canned.ts';
import { hiddenParts, MESSAGE_PLACE } from './in-page.ts';
import type { Look, Phone } from './phone.ts';
import type { StandIn } from './stand-in.ts';
import { cornerIs, LOOKS, openApp, sharedBrowser } from './ways.ts';

const MORE_LOOKS: readonly Look[] = [
  ['fr', 'dark'],
  ['en', 'light'],
];

t.test('the app works in a browser', { skip: browserMissing(), timeout: 300_000 }, async (t) => {
  const browser = await sharedBrowser(t);
  for (const look of [...LOOKS, ...(FULL ? MORE_LOOKS : [])])
    await t.test(`every screen is correct in ${look.join(', ')}`, (t) => everyScreen(t, browser, look));
  await t.test('refusals of a code are explained', (t) => refusedPairing(t, browser));
  await t.test('the second stream is off until it is ticked', (t) => secondStream(t, browser));
  await t.test('the app works by keyboard alone', (t) => keyboard(t, browser));
  await t.test('a missing picture is explained', (t) => noPicture(t, browser));
});

const TEXTS = {
  fr: { clock: /Horloge/, sent: /Vous pouvez partir/, delivered: /Le CSU l’a reçu/, no: /Sans image : la/ },
  en: {
    clock: /Clock/,
    sent: /You may leave/,
    delivered: /control room has it/,
    no: /Without a still: la/,
  },
} as const;

async function everyScreen(t: Test, browser: Browser, look: Look): Promise<void> {
  const { box, phone } = await openApp(t, browser, { look, paired: false });
  const texts = TEXTS[look[0]];
  const check = async (name: string): Promise<void> => void t.same(await phone.check(name), []);
  /** Taps, and checks the screen that comes. */
  const step = async (tap: string, screen: string, name: string): Promise<void> => {
    await phone.tap(tap);
    await phone.untilThere(screen);
    await check(name);
  };
  /** Turns the phone on its side, where picture and controls share the screen. */
  const side = async (name: string, ...controls: string[]): Promise<void> => {
    await phone.turn(true);
    await phone.picture();
    await check(name);
    t.same(await phone.page.evaluate(hiddenParts(['.stage-frame', ...controls])), [], name);
    await phone.turn(false);
  };
  await check('01-pair');
  await phone.type('[name=code]', '7XKQ-93MD-22PV-H0TT');
  await phone.tap('#pair');
  await phone.untilThere('[data-screen=aim]');
  await phone.go('camera');
  t.equal(await phone.text('#installed-camera'), CAMERA);
  await check('02-camera');
  await step('#steps', '[data-step]', '03-steps');
  await phone.tap('#steps');
  await phone.tap('#next');
  await phone.picture();
  await check('04-aim');
  await side('30-aim-side', '#zoom-in', '#next');
  await phone.tap('#next');
  await phone.picture();
  await check('05-zones');
  await step('[data-chip="zone/lawn"]', '[data-handle]', '06-zone');
  await side('31-zones-side', '#zoom-in', '#next');
  await phone.tap('[data-chip="line/east-road"]');
  await step('[data-add=mask]', '.mask', '07-mask');
  await phone.tap('#next');
  await phone.picture();
  await phone.tap('[data-rule=stays] button');
  await phone.page.select('[name=rule-kind]', 'illegal-parking');
  await phone.tap('#add-rule');
  await step('[data-rule=illegal-parking] fieldset:last-of-type button', '.span', '08-rules');
  await phone.tap('[data-rule=illegal-parking] .button.danger');
  await step('#next', '[data-watch=stays][data-fires=true]', '09-fires');
  await phone.go('try');
  await check('10-try');
  await step('#try', '.trial', '11-trial');
  await side('34-trial-side', '#keep', '#revert', '.trial');
  await phone.go('fires');
  await phone.picture();
  await check('12-trial-elsewhere');
  await phone.go('try');
  await step('#keep', '[data-fate=kept]', '13-kept');
  await phone.go('walk');
  await check('14-walk');
  await walk(t, box, phone, check);
  await phone.tap('#next');
  box.isMoved = true;
  await phone.untilThere('#confirm-view');
  await check('17-no-go');
  await phone.tap('#confirm-view');
  box.brokerFails = false;
  await phone.untilThere('#verdict.ok');
  await check('18-go');
  t.match(await phone.text('[data-finding=clock] h2'), texts.clock);
  await phone.tap('#next');
  await phone.tap('#fresh-code');
  await phone.untilText(/7XKQ/);
  await check('19-receipt');
  t.match(await phone.page.$eval('#download', (link) => link.getAttribute('href')), `language=${look[0]}`);
  box.receipt = RECEIPT;
  await phone.untilTrue('the still', 'document.querySelector("#issued img")?.naturalWidth === 768');
  await phone.untilText(texts.sent);
  await check('20-issued');
  box.receipt = { ...RECEIPT, delivered: true };
  await phone.untilText(texts.delivered);
  box.receipt = { ...RECEIPT, still: null, absent: 'la' };
  await phone.untilText(texts.no);
  t.equal(await phone.page.$('#issued img'), null, 'no picture of an earlier receipt');
  await check('22-issued-without');
  t.equal(await phone.page.$eval('html', (html) => html.getAttribute('lang')), look[0]);
  const before = await phone.text('h1');
  await phone.tap('#language');
  t.not(await phone.text('h1'), before, 'the other language');
  t.same(phone.pageErrors, []);
}

async function walk(
  t: Test,
  box: StandIn,
  phone: Phone,
  check: (name: string) => Promise<void>,
): Promise<void> {
  await phone.type('input[type=number]', '2');
  await phone.page.select('[name=walk-delay]', '0');
  await phone.tap('#walk-start');
  await phone.untilThere('#walk[data-phase=watching]');
  await check('15-walk-pass');
  box.passed('seen');
  await phone.tap('#walk-go');
  await phone.untilThere('#walk[data-phase=watching]');
  box.passed('missed');
  await phone.untilThere('#walk[data-phase=done]');
  await check('16-walk-done');
  await phone.tap('#walk-keep');
  await phone.untilThere('#walk[data-phase=kept]');
  const go = 'POST /api/walk/answer {"answer":"go"}';
  t.same(
    box.requests.filter((line) => line.includes('/walk/')),
    ['POST /api/walk/start {"rule":"stays","passes":2}', go, go, go],
  );
}

async function refusedPairing(t: Test, browser: Browser): Promise<void> {
  const { box, phone } = await openApp(t, browser, { paired: false, hash: '#7xkq-93md-22pv-h0tt' });
  await phone.reload();
  t.equal(await phone.value('[name=code]'), '7xkq-93md-22pv-h0tt', 'a reload keeps the code');
  box.pairing = [
    [401, { error: 'wrong', left: 2 }],
    [429, { error: 'locked', retryInS: 2 }],
    [401, { error: 'used' }],
  ];
  await phone.tap('#pair');
  await phone.untilText(/2 attempts left/);
  await phone.tap('#pair');
  await phone.untilThere('#pair:disabled');
  await phone.untilThere('#pair:not(:disabled)');
  await phone.tap('#pair');
  await phone.untilText(/already been used/);
  t.same(await phone.check('20-code-used'), []);
  // A state request that a busy agent does not answer is repeated before the app returns to the camera screen.
  box.agentBusy = 2;
  await phone.tap('#pair');
  await phone.untilThere('[data-screen=aim]');
  box.paired = false;
  await phone.untilThere('[data-screen=pair]');
  t.same(phone.pageErrors, []);
}

/** Tests also that a password stays out of the page and its storage, and that the box's refusal is shown. */
async function secondStream(t: Test, browser: Browser): Promise<void> {
  const { box, phone } = await openApp(t, browser);
  box.authorisation = { ...AUTHORISATION, camera: 'rtsp://192.0.2.7/live' };
  const choose = async (): Promise<void> => {
    await phone.go('camera');
    await phone.tap('#find-cameras');
    await phone.tap('[aria-pressed]');
    await phone.tap('#ask-camera');
    // A stream that was ticked before is shown until the camera has answered.
    await phone.untilThere('#second-stream input:not(:checked)');
    t.match(await phone.text('#second-stream'), /rtsp:\/\/192\.0\.2\.7\/small/);
  };
  const triedSubstream = async (): Promise<unknown> => {
    await phone.go('try');
    await phone.untilThere('#try:enabled');
    await phone.tap('#try');
    await phone.tap('#revert');
    await phone.untilThere('#try');
    return box.proposals.at(-1)?.substream;
  };
  await choose();
  t.equal(await triedSubstream(), null, 'none');
  await choose();
  await phone.tap('#second-stream input');
  await phone.untilThere('#second-stream .notice.warn');
  t.same(await phone.check('25-second-stream'), []);
  t.equal(await triedSubstream(), 'rtsp://admin:secret@192.0.2.7/small');
  t.notMatch(await phone.page.content(), 'secret', 'a password is not shown');
  t.notMatch(await phone.page.evaluate('JSON.stringify(sessionStorage)'), 'secret', 'and not stored');
  box.problems = [{ path: 'zones[0].polygon', message: 'the helper has another view', order: false }];
  await choose();
  await phone.go('try');
  await phone.untilThere('#try:enabled');
  await phone.tap('#try');
  await phone.untilThere('#box-says');
  t.match(await phone.text('#box-says'), 'zones[0].polygon the helper has another view');
  t.same(phone.pageErrors, []);
}

async function noPicture(t: Test, browser: Browser): Promise<void> {
  const { box, phone } = await openApp(t, browser, { look: ['fr', 'light'] });
  await phone.go('zones');
  await phone.picture();
  // The worst case: a mask over the whole place of the message.
  box.installed = { ...INSTALLED, masks: [{ id: 'all', polygon: rectangle(0, 0, 1, 1) }] };
  await phone.untilThere('.mask');
  await phone.tap('[data-chip="mask/all"]');
  for (const reason of ['detector-down', 'masks-not-applied', 'unauthorised'] as const) {
    box.noPicture = reason;
    await phone.untilGone('.stage img');
    await phone.untilTrue('told', 'document.querySelector(".stage-message").textContent !== ""');
    t.same(await phone.check(`25-no-picture-${reason}`), []);
    t.ok(await isLegible(phone), `${reason} can be read`);
    box.noPicture = undefined;
    await phone.picture();
  }
  box.noPicture = 'time-is-up';
  await phone.untilGone('.stage img');
  t.match(await phone.text('.stage-message'), 'dix minutes');
  box.noPicture = undefined;
  await phone.tap('#look-again');
  await phone.picture();
  await phone.go('camera');
  await waitUntil(t, 'a screen without a picture fetches none', () => box.viewers === 0);
  t.same(phone.pageErrors, []);
}

/** Reports whether the message is drawn in full and without shapes inside it. */
async function isLegible({ page }: Phone): Promise<boolean> {
  await page.evaluate('scrollTo(0, 0)');
  type Place = [x: number, y: number, width: number, height: number, stage: number];
  const [x, y, width, height, stage] = (await page.evaluate(MESSAGE_PLACE)) as Place;
  if (height < 20 || height > stage) return false;
  // Without its round corners, where anything may show.
  const inset = 10;
  const clip = { x: x + inset, y, width: width - 2 * inset, height };
  const screenshot = await page.screenshot({ clip });
  await page.evaluate('document.querySelector(".stage-shapes").style.visibility = "hidden"');
  const alone = await page.screenshot({ clip });
  await page.evaluate('document.querySelector(".stage-shapes").style.visibility = ""');
  const [grey] = (await sharp(screenshot).greyscale().stats()).channels;
  const pixels = await Promise.all([screenshot, alone].map((png) => sharp(png).raw().toBuffer()));
  return (
    (pixels[0]?.equals(pixels[1] as Buffer) ?? false) && (grey?.max ?? 0) > 200 && (grey?.min ?? 255) < 30
  );
}

/** Uses only Tab, arrows, Enter and Space, from the code to the receipt. */
async function keyboard(t: Test, browser: Browser): Promise<void> {
  const { box, phone } = await openApp(t, browser, { paired: false });
  const { keyboard: keys } = phone.page;
  const to = async (selector: string): Promise<void> => {
    for (let presses = 0; presses < 80; presses++) {
      if (await phone.page.evaluate(`document.activeElement?.matches('${selector}') === true`)) return;
      await keys.press('Tab');
    }
    t.fail(`Tab does not lead to ${selector}`);
  };
  const press = async (selector: string): Promise<void> => {
    await to(selector);
    await keys.press('Enter');
  };
  const screenIs = async (screen: string): Promise<void> => {
    await phone.untilThere(`[data-screen=${screen}]`);
    await phone.untilTrue('its title is read', 'document.activeElement.tagName === "H1"');
  };
  await to('[name=code]');
  await keys.type('7XKQ93MD22PVH0TT');
  await keys.press('Enter');
  await screenIs('aim');
  await phone.picture();
  await to('[data-handle="0"]');
  const before = (await phone.corners())[0];
  for (let i = 0; i < 2; i++) await keys.press('ArrowUp');
  const after = await phone.settled((corners) => String(corners[0]) !== String(before));
  t.not(String(after[0]), String(before));
  await to('.check input');
  await keys.press('Space');
  await press('#next');
  await screenIs('zones');
  await press('[data-chip="zone/lawn"]');
  await phone.page.evaluate('document.querySelector("h1").focus()');
  await to('[data-handle="1"]');
  await keys.press('ArrowRight');
  await keys.down('Shift');
  await keys.press('ArrowRight');
  await keys.up('Shift');
  await cornerIs(t, phone, 1, [23, 48]);
  await keys.press('Insert');
  await phone.untilTrue('a corner more', 'document.activeElement.getAttribute("data-handle") === "2"');
  t.equal((await phone.settled(({ length }) => length === 7)).length, 7);
  await keys.press('Delete');
  await phone.untilTrue('a corner less', 'document.querySelectorAll("[data-handle]").length === 6');
  for (const screen of ['rules', 'fires']) {
    await press('#next');
    await screenIs(screen);
  }
  // A drawn shape can be tried, and the button to continue does so at once.
  await press('#next');
  await phone.untilThere('.trial');
  await press('#keep');
  await phone.untilThere('[data-fate=kept]');
  t.same(box.installed.zones[0]?.polygon[1], [0.23, 0.48]);
  t.ok(box.installed.groundPlane);
  for (const screen of ['go', 'receipt']) {
    await press('#next');
    await screenIs(screen);
  }
  await press('#unpair');
  await phone.untilThere('[data-screen=pair]');
  t.same(phone.pageErrors, []);
}
