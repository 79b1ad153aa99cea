/**
 * Tests the technician's app in a real browser at a phone's size: by finger and by keyboard, in both languages, in
 * light and dark.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import sharp from 'sharp';
import t, { type Test } from 'tap';
import { browserMissing } from '../lib/browser.ts';
import { FULL } from '../lib/run.ts';
import { ROOT, scratch } from '../lib/paths.ts';
import { AUTHORISATION, CAMERA, INSTALLED } from './canned.ts';
import { MESSAGE_PLACE } from './in-page.ts';
import { type Look, openBrowser, type Phone } from './phone.ts';
import type { StandIn } from './stand-in.ts';
import { keyboard, openApp, type Parts, testDrawing } from './ways.ts';

/** Limit for everything that a phone loads, gzip, kB. */
const WEIGHT_KB_MAX = 60;
const LOOKS: readonly Look[] = [
  ['fr', 'light'],
  ['en', 'dark'],
  ...(FULL
    ? ([
        ['fr', 'dark'],
        ['en', 'light'],
      ] as const)
    : []),
];
const skip = browserMissing();

t.test('the app weighs little, and brings no schema library', async (t) => {
  const files = ['index.html', 'app.js', 'style.css'].map((name) =>
    readFileSync(join(ROOT, 'dist/agent/page/app', name)),
  );
  const kB = files.reduce((sum, file) => sum + gzipSync(file).length, 0) / 1000;
  t.comment(`${kB.toFixed(1)} kB gzip`);
  t.ok(kB <= WEIGHT_KB_MAX, `${kB} kB`);
  t.notMatch(files.join(''), /TypeBox|https?:\/\/(?!www\.w3\.org)/);
});

t.test('the app works in a browser', { skip, timeout: 180_000 }, async (t) => {
  // The content of a published picture, without people.
  const jpeg = await sharp(join(ROOT, 'docs/alert.jpg')).jpeg({ quality: 60 }).toBuffer();
  const browser = await openBrowser(join(scratch(t), 'profile'));
  t.teardown(() => browser.close());
  const parts = { browser, jpeg };
  for (const look of LOOKS)
    await t.test(`every screen is correct in ${look.join(', ')}`, (t) => everyScreen(t, parts, look));
  await t.test('a phone is paired by the code of its link, and refusals are explained', (t) =>
    testPairing(t, parts),
  );
  await t.test('shapes are drawn with a finger', (t) => testDrawing(t, parts));
  await t.test('a proposal outside of the authorisation is named', (t) => testAuthorisation(t, parts));
  await t.test('the second stream is off until it is ticked', (t) => secondStream(t, parts));
  await t.test('the app works by keyboard alone', (t) => keyboard(t, parts));
  await t.test('a missing picture is explained', (t) => noPicture(t, parts));
  await t.test('a phone that slept through its trial learns the outcome', (t) => testSleptTrial(t, parts));
});

async function everyScreen(t: Test, parts: Parts, look: Look): Promise<void> {
  const { box, phone } = await openApp(t, parts, { look, paired: false });
  const problems: string[] = [];
  const check = async (name: string): Promise<void> => void problems.push(...(await phone.check(name)));
  await check('01-pair');
  await phone.type('[name=code]', '7XKQ-93MD-22PV-H0TT');
  await phone.tap('#pair');
  await phone.untilTrue('paired', 'document.querySelector("[data-screen=aim]") !== null');
  await phone.go('camera');
  t.equal(await phone.text('#installed-camera'), CAMERA);
  await check('02-camera');
  await phone.tap('#steps');
  await check('03-steps');
  await phone.tap('#steps');
  await phone.tap('#next');
  await phone.picture();
  await check('04-aim');
  await phone.tap('#next');
  await phone.picture();
  await check('05-zones');
  await phone.tap('[data-chip="zone/lawn"]');
  await check('06-zone');
  await phone.tap('[data-chip="line/east-road"]');
  await phone.tap('[data-add=mask]');
  await check('07-mask');
  await phone.tap('#next');
  await phone.picture();
  await phone.tap('[data-rule=stays] button');
  await phone.page.select('[name=rule-kind]', 'illegal-parking');
  await phone.tap('#add-rule');
  await phone.tap('[data-rule=illegal-parking] fieldset:last-of-type button');
  await phone.untilTrue('times', 'document.querySelector(".span") !== null');
  await check('08-rules');
  await phone.tap('[data-rule=illegal-parking] .button.danger');
  await phone.tap('#next');
  await phone.untilTrue(
    'a person stays',
    'document.querySelector("[data-watch=stays][data-fires=true]") !== null',
  );
  await check('09-fires');
  await phone.go('try');
  await check('10-try');
  await phone.tap('#try');
  await phone.untilTrue('a trial', 'document.querySelector(".trial") !== null');
  await check('11-trial');
  await phone.go('fires');
  await phone.picture();
  await check('12-trial-elsewhere');
  await phone.go('try');
  await phone.tap('#keep');
  await phone.untilTrue('kept', 'document.querySelector("[data-fate=kept]") !== null');
  await check('13-kept');
  await phone.go('walk');
  await check('14-walk');
  await walk(t, box, phone, check);
  await phone.tap('#next');
  box.isMoved = true;
  await phone.untilTrue('a camera that moved', 'document.querySelector("#confirm-view") !== null');
  await check('17-no-go');
  await phone.tap('#confirm-view');
  box.brokerFails = false;
  await phone.untilTrue('a good verdict', 'document.querySelector("#verdict.ok") !== null');
  await check('18-go');
  const clockLine = phone.look[0] === 'fr' ? /Horloge/ : /Clock/;
  t.match(
    await phone.text('[data-finding=clock] h2'),
    clockLine,
    'lines have names in the language of the phone',
  );
  await phone.tap('#next');
  await phone.tap('#fresh-code');
  await phone.untilTrue('a code', 'document.body.textContent.includes("7XKQ")');
  await check('19-receipt');
  t.match(await phone.page.$eval('#download', (link) => link.getAttribute('href')), `language=${look[0]}`);
  t.same(problems, []);
  t.equal(await phone.page.$eval('html', (html) => html.getAttribute('lang')), look[0]);
  const before = await phone.text('h1');
  await phone.tap('#language');
  t.not(await phone.text('h1'), before, 'the other language');
  await phone.tap('#unpair');
  await phone.untilTrue('unpaired', 'document.querySelector("[data-screen=pair]") !== null');
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
  await phone.untilTrue('a pass', 'document.querySelector("#walk[data-phase=watching]") !== null');
  await check('15-walk-pass');
  box.passed('seen');
  await phone.tap('#walk-go');
  await phone.untilTrue('a pass', 'document.querySelector("#walk[data-phase=watching]") !== null');
  box.passed('missed');
  await phone.untilTrue('done', 'document.querySelector("#walk[data-phase=done]") !== null');
  await check('16-walk-done');
  await phone.tap('#walk-keep');
  await phone.untilTrue('kept', 'document.querySelector("#walk[data-phase=kept]") !== null');
  t.same(
    box.requests.filter((line) => line.includes('/walk/')),
    [
      'POST /api/walk/start {"rule":"stays","passes":2}',
      'POST /api/walk/answer {"answer":"go"}',
      'POST /api/walk/answer {"answer":"go"}',
      'POST /api/walk/answer {"answer":"go"}',
    ],
  );
}

async function testPairing(t: Test, parts: Parts): Promise<void> {
  const { box, phone } = await openApp(t, parts, { paired: false, hash: '#7xkq-93md-22pv-h0tt' });
  t.equal(
    await phone.page.$eval('[name=code]', (input) => (input as unknown as { value: string }).value),
    '7xkq-93md-22pv-h0tt',
  );
  t.equal(new URL(phone.page.url()).hash, '', 'the code stays in no history');
  await phone.reload();
  const codeOnPage = '[...document.querySelectorAll("[name=code]")].map(({ value }) => value).join()';
  t.equal(await phone.page.evaluate(codeOnPage), '7xkq-93md-22pv-h0tt', 'a reload keeps the code');
  box.pairing = [
    [401, { error: 'wrong', left: 2 }],
    [429, { error: 'locked', retryInS: 2 }],
    [401, { error: 'used' }],
  ];
  await phone.tap('#pair');
  await phone.untilTrue(
    'told',
    'document.querySelector(".notice.bad")?.textContent.includes("2 attempts left")',
  );
  await phone.tap('#pair');
  await phone.untilTrue('locked', 'document.querySelector(".wait")?.textContent.includes("0:0")');
  t.ok(await phone.page.$('#pair:disabled'), 'locked');
  await phone.untilTrue('open again', 'document.querySelector("#pair:not(:disabled)") !== null');
  await phone.tap('#pair');
  await phone.untilTrue(
    'used',
    'document.querySelector(".notice.bad")?.textContent.includes("already been used")',
  );
  t.same(await phone.check('20-code-used'), []);
  // A state request that a busy agent does not answer is repeated before the app returns to the camera screen.
  box.agentBusy = 2;
  await phone.tap('#pair');
  await phone.untilTrue('paired', 'document.querySelector("[data-screen=aim]") !== null');
  t.equal(box.requests.filter((line) => line.includes('"7xkq-93md-22pv-h0tt"')).length, 4);
  t.equal(await phone.page.evaluate('sessionStorage.getItem("setup-code")'), null, 'a used code is removed');
  box.paired = false;
  await phone.untilTrue('sent back to the code', 'document.querySelector("[data-screen=pair]") !== null');
  t.same(phone.pageErrors, []);
}

async function testAuthorisation(t: Test, parts: Parts): Promise<void> {
  const { box, phone } = await openApp(t, parts);
  await phone.go('zones');
  await phone.picture();
  await phone.tap('[data-add=zone]');
  t.ok(await phone.page.$('[data-chip="zone/square"]'), 'named as the order names it');
  t.notOk(await phone.page.$('.shape.bad'));
  await phone.drag([0.6, 0.6], [0.95, 0.62]);
  await phone.drag([0.3, 0.3], [0.1, 0.1]);
  t.ok(await phone.page.$('[data-shape="zone/square"].bad'), 'out of its outline');
  t.match(await phone.text('#shape-panel'), /outline/);
  t.same(await phone.check('22-outline'), []);
  await phone.tap('#delete');

  await phone.go('rules');
  await phone.page.select('[name=rule-kind]', 'graffiti');
  await phone.tap('#add-rule');
  t.match(await phone.text('[data-rule=graffiti]'), /does not name this type/);
  t.same(await phone.check('23-rule-refused'), []);
  await phone.go('try');
  t.ok(await phone.page.$('#try:disabled'));
  await phone.go('camera');
  await phone.type('[name=address]', 'http://camera');
  await phone.tap('#take-address');
  await phone.untilTrue('told', 'document.querySelector(".fault") !== null');
  await phone.tap('#find-cameras');
  await phone.untilTrue('found', 'document.querySelector("[aria-pressed=false]") !== null');
  await phone.tap('[aria-pressed=false]');
  await phone.tap('#ask-camera');
  await phone.untilTrue('chosen', 'document.querySelector("#chosen-camera") !== null');
  t.match(
    await phone.text('#chosen-camera'),
    /rtsp:\/\/192\.0\.2\.7\/live.*authorisation is for another camera/s,
  );
  t.same(await phone.check('24-camera-refused'), []);
  t.notMatch(await phone.page.content(), 'secret', 'a password is not shown');
  t.notMatch(await phone.page.evaluate('JSON.stringify(sessionStorage)'), 'secret', 'and not stored');

  box.authorisation = { ...AUTHORISATION, installation: true };
  await phone.go('rules');
  await phone.untilTrue('a permit', 'document.querySelector(".notice.warn") !== null');
  box.authorisation = null;
  await phone.untilTrue('no order', 'document.querySelector("main > .notice.bad") !== null');
  t.ok(await phone.page.$('[data-rule=stays] .card.refused'));
  box.authorisation = AUTHORISATION;
  await phone.go('try');
  await phone.tap('#discard');
  box.problems = [{ path: 'zones[0].polygon', message: 'the helper has another view', order: false }];
  await phone.go('aim');
  await phone.picture();
  await phone.tap('.check input');
  await phone.go('try');
  await phone.tap('#try');
  await phone.untilTrue('the box’s word', 'document.querySelector("#box-says") !== null');
  t.match(await phone.text('#box-says'), 'zones[0].polygon the helper has another view');
  t.same(phone.pageErrors, []);
}

async function noPicture(t: Test, parts: Parts): Promise<void> {
  const { box, phone } = await openApp(t, parts, { look: ['fr', 'light'] });
  await phone.go('zones');
  await phone.picture();
  // The worst case: a mask over the whole place of the message.
  box.installed = {
    ...INSTALLED,
    masks: [
      {
        id: 'all',
        polygon: [
          [0, 0],
          [1, 0],
          [1, 1],
          [0, 1],
        ],
      },
    ],
  };
  await phone.untilTrue('the mask', 'document.querySelector(".mask") !== null');
  await phone.tap('[data-chip="mask/all"]');
  for (const reason of ['detector-down', 'masks-not-applied', 'unauthorised'] as const) {
    box.noPicture = reason;
    await phone.untilTrue('no picture', 'document.querySelector(".stage img") === null');
    await phone.untilTrue('told', 'document.querySelector(".stage-message").textContent !== ""');
    t.same(await phone.check(`25-no-picture-${reason}`), []);
    t.ok(await isLegible(phone), `${reason} can be read`);
    box.noPicture = undefined;
    await phone.picture();
  }
  box.noPicture = 'time-is-up';
  await phone.untilTrue('no picture', 'document.querySelector(".stage img") === null');
  t.match(await phone.text('.stage-message'), 'dix minutes');
  box.noPicture = undefined;
  await phone.tap('#look-again');
  await phone.picture();
  await phone.go('camera');
  await phone.untilTrue('the preview has ended', 'document.querySelector(".stage") === null');
  for (let waits = 0; box.viewers > 0 && waits < 50; waits++)
    await new Promise((resolve) => setTimeout(resolve, 20));
  t.equal(box.viewers, 0, 'a screen without a picture fetches none');
  t.same(phone.pageErrors, []);
}

/** Tests that the second stream is off until someone ticks it, and is then proposed with the camera. */
async function secondStream(t: Test, parts: Parts): Promise<void> {
  const { box, phone } = await openApp(t, parts);
  box.authorisation = { ...AUTHORISATION, camera: 'rtsp://192.0.2.7/live' };
  const choose = async (): Promise<void> => {
    await phone.go('camera');
    await phone.tap('#find-cameras');
    await phone.untilTrue('found', 'document.querySelector("[aria-pressed]") !== null');
    await phone.tap('[aria-pressed]');
    await phone.tap('#ask-camera');
    await phone.untilTrue('chosen', 'document.querySelector("#second-stream") !== null');
    t.match(await phone.text('#second-stream'), /rtsp:\/\/192\.0\.2\.7\/small/);
    t.equal(await phone.page.$('#second-stream input:checked'), null, 'off until it is ticked');
  };
  const triedSubstream = async (): Promise<unknown> => {
    await phone.go('try');
    await phone.untilTrue('the new order', 'document.querySelector("#try:enabled") !== null');
    await phone.tap('#try');
    await phone.untilTrue('a trial', 'document.querySelector("#revert") !== null');
    await phone.tap('#revert');
    await phone.untilTrue('no trial', 'document.querySelector("#try") !== null');
    return box.proposals.at(-1)?.substream;
  };
  await choose();
  t.equal(await triedSubstream(), null, 'none');
  await choose();
  await phone.tap('#second-stream input');
  await phone.untilTrue('told', 'document.querySelector("#second-stream .notice.warn") !== null');
  t.same(await phone.check('25-second-stream'), []);
  t.equal(await triedSubstream(), 'rtsp://admin:secret@192.0.2.7/small');
  t.notMatch(await phone.page.content(), 'secret', 'a password is not shown');
  t.same(phone.pageErrors, []);
}

/** Reports whether the message is drawn in full and without shapes inside it. */
async function isLegible({ page }: Phone): Promise<boolean> {
  await page.evaluate('scrollTo(0, 0)');
  const [x, y, width, height, stage] = (await page.evaluate(MESSAGE_PLACE)) as [
    number,
    number,
    number,
    number,
    number,
  ];
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

async function testSleptTrial(t: Test, parts: Parts): Promise<void> {
  const { box, phone } = await openApp(t, parts);
  box.trialS = 2;
  await phone.go('zones');
  await phone.tap('[data-add=mask]');
  await phone.go('try');
  await phone.tap('#try');
  await phone.untilTrue('a trial', 'document.querySelector(".trial") !== null');
  await phone.page.goto('about:blank');
  await new Promise((resolve) => setTimeout(resolve, 2200));
  await phone.reload();
  await phone.go('try');
  await phone.untilTrue('told', 'document.querySelector("[data-fate=went-back]") !== null');
  t.same(await phone.check('26-went-back'), []);
  t.same(box.installed, INSTALLED);
  t.match(await phone.text('#changes'), 'masks', 'the draft is still there');
  box.trialS = 120;
  await phone.tap('#try');
  await phone.untilTrue('a trial', 'document.querySelector(".trial") !== null');
  await phone.tap('#keep');
  await phone.untilTrue('kept', 'document.querySelector("[data-fate=kept]") !== null');
  await phone.go('try');
  t.ok(await phone.page.$('#try:disabled'));
  t.same(phone.pageErrors, []);
}
