/**
 * Tests the technician's app in the conditions of a site: fingers on close corners, a phone in a pocket, and a Wi-Fi
 * that ends in the middle of each step. Also tests a box whose root program does not answer.
 */
import type { Browser } from 'puppeteer-core';
import t, { type Test } from 'tap';
import { CONFIGURATION_SCREENS } from '../../agent/page/app/screens.ts';
import { EN } from '../../agent/page/app/words/en.ts';
import { FR } from '../../agent/page/app/words/fr.ts';
import { browserMissing } from '../lib/browser.ts';
import { INSTALLED } from './canned.ts';
import { LOUPE_FAULTS, REASON_FAULTS, RECORDER } from './in-page.ts';
import type { Phone } from './phone.ts';
import type { StandIn } from './stand-in.ts';
import { cornerIs, openApp, sharedBrowser } from './ways.ts';

t.test('the app works on site', { skip: browserMissing(), timeout: 180_000 }, async (t) => {
  const browser = await sharedBrowser(t);
  await t.test('shapes are drawn with a finger', (t) => drawing(t, browser));
  await t.test('two fingers zoom, and a loupe shows the corner under a finger', (t) => zoom(t, browser));
  await t.test('a pass begins after a countdown and ends with a cue', (t) => cues(t, browser));
  await t.test('a phone whose pairing was not answered is paired by the same attempt', (t) =>
    lostPairing(t, browser),
  );
  await t.test('each step survives the loss of the network', (t) => offlineSteps(t, browser));
  await t.test('an act without an answer takes effect once', (t) => lostAnswers(t, browser));
  await t.test('a decision outlives a reload, and one that is too late is named', (t) => reload(t, browser));
});

/** Tests what the geometry of app.unit.test.ts does on a screen: drags, steps back, reasons and a dropped page. */
async function drawing(t: Test, browser: Browser): Promise<void> {
  const { box, phone } = await openApp(t, browser);
  await phone.go('zones');
  await phone.picture();
  await phone.tap('[data-chip="zone/lawn"]');
  await phone.drag([0.5, 0.62], [0.6, 0.4]);
  await cornerIs(t, phone, 2, [60, 40]);
  await phone.drag([0.62, 0.43], [0.52, 0.65]);
  await cornerIs(t, phone, 2, [50, 62], 'a finger beside a corner takes it, and it does not jump');
  await phone.tap('#undo');
  await phone.tap('#undo');
  await phone.tap('#redo');
  await cornerIs(t, phone, 2, [60, 40]);
  await phone.tap('#undo');
  await phone.drag([0.0, 0.73], [0.3, 0.75]);
  await cornerIs(t, phone, 6, [30, 75], 'the middle of the side from the last corner to the first');
  await phone.tap('#remove-corner');
  t.equal((await phone.settled(({ length }) => length === 6)).length, 6);
  // From the gutter, because half of an edge corner is outside the screen.
  await phone.drag([-0.05, 0.46], [0.2, 0.2]);
  await cornerIs(t, phone, 0, [25, 20]);
  await phone.tap('#undo');

  await phone.drag([0.2, 0.48], [0.8, 0.95]);
  await phone.untilThere("[data-reason='zone/lawn']");
  t.same(await phone.page.evaluate(REASON_FAULTS), []);
  t.same(await phone.check('21-crossing'), []);
  await phone.go('try');
  await phone.untilThere('#try:disabled');
  await phone.untilThere('[data-problem=shape-crosses]');
  await phone.go('zones');
  await phone.tap('#undo');
  await phone.untilGone('.shape.bad');
  await phone.tap('[data-add=zone]');
  await phone.drag([0.3, 0.3], [0.1, 0.1]);
  await phone.untilThere("[data-reason='zone/square']");
  t.match(await phone.text('[data-reason]'), 'Outside');
  await phone.tap('#delete');

  await phone.touch([0.8, 0.55]);
  await phone.untilThere('[data-chip="line/east-road"][aria-pressed=true]');
  await phone.untilThere('[data-side=right][data-watched=true]');
  await phone.tap('#swap');
  await phone.tap('[data-add=mask]');
  const fill = 'getComputedStyle(document.querySelector(".mask .stroke")).fill';
  t.equal(await phone.page.evaluate(fill), 'rgb(0, 0, 0)', 'black at once');
  await phone.reload();
  await phone.go('zones');
  t.ok(await phone.page.$('[data-chip="mask/mask-1"]'), 'a page that was dropped keeps its drawing');
  await phone.go('try');
  await phone.tap('#try');
  await phone.untilThere('.trial');
  const lines = [{ id: 'east-road', from: [0.7, 0.75], to: [0.9, 0.34] }];
  t.match(box.proposals, [{ lines, zones: INSTALLED.zones, masks: [{ id: 'mask-1' }] }]);
  t.notOk('source' in (box.proposals[0] ?? {}), 'the camera is unchanged');
  await phone.tap('#revert');
  await phone.untilThere('[data-fate=reverted]');
  t.same(box.installed, INSTALLED);
  t.same(phone.pageErrors, []);
}

async function zoom(t: Test, browser: Browser): Promise<void> {
  const { phone } = await openApp(t, browser);
  await phone.go('zones');
  await phone.picture();
  await phone.tap('[data-chip="zone/lawn"]');
  const before = await phone.corners();
  const apartPx = async (): Promise<number> =>
    (await phone.page.evaluate(`(() => {
      const [a, b] = [3, 4].map((i) => document.querySelector('[data-handle="' + i + '"] .knob').getBoundingClientRect());
      return Math.hypot(a.left - b.left, a.top - b.top);
    })()`)) as number;
  t.ok((await apartPx()) < 44, 'too close for fingers');
  t.match(await phone.text('main'), 'close together', 'zoom is offered');
  await phone.pinch([0.6, 0.6, 0.7, 0.7], [0.3, 0.3, 0.95, 0.95]);
  await phone.untilTrue('enlarged', 'document.querySelector(".zoom output").textContent === "4×"');
  t.same(await phone.corners(), before, 'a pinch moves no corner');
  t.ok((await apartPx()) >= 44, `${(await apartPx()).toFixed(1)} px apart`);
  await phone.tap('#zoom-out');
  await phone.tap('#zoom-out');
  await phone.untilThere('#zoom-out:disabled');
  await phone.scrollToPicture();
  const { touchscreen } = phone.page;
  const [x, y] = await phone.at(0.5, 0.62);
  await touchscreen.touchStart(x, y);
  for (const step of [8, 16, 24]) await touchscreen.touchMove(x + step, y - step);
  await phone.untilThere('.loupe.left img');
  t.same(await phone.page.evaluate(LOUPE_FAULTS(x + 24, y - 24)), []);
  t.same(await phone.check('36-loupe'), []);
  await touchscreen.touchEnd();
  await phone.untilGone('.loupe');
  t.same(phone.pageErrors, []);
}

async function cues(t: Test, browser: Browser): Promise<void> {
  const { box, phone } = await openApp(t, browser);
  await phone.page.evaluateOnNewDocument(RECORDER);
  await phone.reload();
  const newCues = async (): Promise<string[]> => (await phone.page.evaluate('cues.splice(0)')) as string[];
  await phone.go('walk');
  await phone.type('input[type=number]', '1');
  await phone.tap('#walk-start');
  await phone.untilThere('#countdown');
  t.match(await phone.text('.countdown'), /^(10|9|8|7)$/);
  t.same(await phone.check('23-countdown'), []);
  t.equal(arrivals(box, 'walk/answer'), 0, 'the pass has not begun');
  await phone.tap('#countdown-stop');
  await phone.untilGone('#countdown');
  await phone.page.select('[name=walk-delay]', '0');
  await phone.tap('#walk-go');
  await phone.untilThere('#walk[data-phase=watching]');
  const beginCues = ['lock', 'vibrate 100', 'tone 660'];
  t.strictSame(await newCues(), beginCues, 'the screen stays on, and a pass begins');
  box.passed('missed');
  await phone.untilThere('#walk[data-phase=done]');
  t.strictSame(await newCues(), ['vibrate 800', 'tone 220', 'release']);
  await phone.reload();
  await phone.go('walk');
  await phone.untilThere('#walk[data-phase=done]');
  t.strictSame(await newCues(), [], 'a reload repeats no cue');
  t.same(phone.pageErrors, []);
}

async function lostPairing(t: Test, browser: Browser): Promise<void> {
  const { box, phone } = await openApp(t, browser, { paired: false, hash: '#7xkq-93md-22pv-h0tt' });
  box.lostAnswers = 1;
  await phone.tap('#pair');
  await phone.untilThere('#unsent');
  t.same(await phone.check('37-pair-unsent'), []);
  await phone.untilThere('[data-screen=aim]');
  const attempts = box.requests.filter((line) => line.startsWith('POST /api/pair'));
  t.equal(attempts.length, 2);
  t.equal(attempts[0], attempts[1], 'the same attempt');
  t.same(phone.pageErrors, []);
}

/** Number of requests of a path that have reached the box. */
function arrivals({ requests }: StandIn, path: string): number {
  return requests.filter((line) => line.startsWith(`POST /api/${path} `)).length;
}

/** Acts without a network, and restores it; the act must be shown as not sent, and then arrive once. */
async function actOffline(t: Test, phone: Phone, box: StandIn, button: string, path: string): Promise<void> {
  const before = arrivals(box, path);
  await phone.untilThere(`${button}:enabled`);
  await phone.setOffline(true);
  await phone.tap(button);
  await phone.untilThere('#unsent');
  t.equal(arrivals(box, path), before);
  await phone.setOffline(false);
  await phone.untilGone('#unsent');
  t.equal(arrivals(box, path), before + 1, path);
}

async function offlineSteps(t: Test, browser: Browser): Promise<void> {
  const { box, phone } = await openApp(t, browser, { look: ['fr', 'light'] });
  await phone.go('aim');
  await phone.picture();
  box.isStalled = true;
  await phone.untilGone('.stage img');
  await phone.setOffline(true);
  box.isStalled = false;
  await phone.go('zones');
  await phone.tap('[data-add=mask]');
  await phone.go('fires');
  await phone.setOffline(false);
  await phone.picture();

  await phone.go('try');
  await actOffline(t, phone, box, '#try', 'config/try');
  await phone.untilThere('.trial');
  await phone.setOffline(true);
  await phone.tap('#keep');
  await phone.untilThere('#unsent');
  t.same(await phone.check('38-unsent'), []);
  await phone.tap('#clear-acts');
  await phone.untilGone('#unsent');
  await phone.setOffline(false);
  await phone.untilThere('#keep:enabled');
  t.equal(arrivals(box, 'config/keep'), 0, 'a cleared act is not sent');
  await actOffline(t, phone, box, '#keep', 'config/keep');
  await phone.untilThere('[data-fate=kept]');
  t.equal(box.installed.masks.length, 1);
  await phone.go('go');
  box.isMoved = true;
  await phone.untilThere('#confirm-view');
  await actOffline(t, phone, box, '#confirm-view', 'view/confirm');
  await phone.untilGone('#confirm-view');
  await phone.go('receipt');
  await phone.setOffline(true);
  await phone.tap('#fresh-code');
  await phone.untilThere('main [aria-live=assertive] .notice.bad');
  await phone.setOffline(false);
  await phone.tap('#fresh-code');
  await phone.untilText(/7XKQ/);
  t.same(phone.pageErrors, []);
}

async function lostAnswers(t: Test, browser: Browser): Promise<void> {
  const { box, phone } = await openApp(t, browser);
  const lose = async (button: string, path: string, effect: string): Promise<void> => {
    const before = arrivals(box, path);
    await phone.untilThere(`${button}:enabled`);
    box.lostAnswers = 1;
    await phone.tap(button);
    await phone.untilThere(effect);
    await phone.untilTrue('no act is open', 'sessionStorage.getItem("acts") === null');
    t.equal(arrivals(box, path), before + 1, `${path} arrives once`);
  };
  await phone.go('zones');
  await phone.tap('[data-add=mask]');
  await phone.go('try');
  await lose('#try', 'config/try', '.trial');
  await lose('#revert', 'config/revert', '[data-fate]');
  t.same(box.installed, INSTALLED);
  await lose('#try', 'config/try', '.trial');
  await lose('#keep', 'config/keep', '[data-fate=kept]');
  t.equal(box.installed.masks.length, 1);
  await phone.go('walk');
  await lose('#walk-start', 'walk/start', '#walk[data-phase=ready]');
  await lose('#walk-go', 'walk/answer', '#walk[data-phase=watching]');
  t.same(phone.pageErrors, []);
}

async function reload(t: Test, browser: Browser): Promise<void> {
  const { box, phone } = await openApp(t, browser);
  await phone.go('zones');
  await phone.tap('[data-add=mask]');
  const tries = async (trialS: number): Promise<void> => {
    box.trialS = trialS;
    await phone.go('try');
    await phone.tap('#try');
    await phone.untilThere('.trial');
  };
  const keepOffline = async (): Promise<void> => {
    await phone.setOffline(true);
    await phone.tap('#keep');
    await phone.untilThere('#unsent');
  };
  await tries(2);
  await phone.page.goto('about:blank');
  await new Promise((resolve) => setTimeout(resolve, 2200));
  await phone.reload();
  await phone.go('try');
  await phone.untilThere('[data-fate=went-back]');
  t.same(await phone.check('26-went-back'), [], 'a phone that slept through its trial');
  t.match(await phone.text('#changes'), 'masks', 'the draft is still there');

  await tries(3);
  await keepOffline();
  await phone.untilTrue('the time is up', 'document.querySelector(".trial").textContent.includes("Unless")');
  await new Promise((resolve) => setTimeout(resolve, 200));
  await phone.setOffline(false);
  await phone.untilThere('[data-fate=too-late]');
  t.same(box.installed, INSTALLED);
  t.equal(arrivals(box, 'config/keep'), 0);
  t.same(await phone.check('39-too-late'), []);

  await tries(120);
  await keepOffline();
  await phone.page.goto('about:blank');
  await phone.setOffline(false);
  await phone.reload();
  await phone.untilTrue('sent', 'sessionStorage.getItem("acts") === null');
  t.equal(arrivals(box, 'config/keep'), 1);
  t.equal(box.installed.masks.length, 1, 'applied in time');
  await phone.go('try');
  await phone.untilThere('[data-fate=kept]');
  t.same(phone.pageErrors, []);
}

const REASON = 'a configuration is tried by vigie-root, which is not here';
t.test(
  'a configuration that cannot be read is one state on steps 3 to 7',
  { skip: browserMissing(), timeout: 120_000 },
  async (t) => {
    const browser = await sharedBrowser(t);
    for (const [language, words] of [
      ['en', EN],
      ['fr', FR],
    ] as const)
      await t.test(language, async (t) => {
        const { box, phone } = await openApp(t, browser, { look: [language, 'light'], paired: false });
        box.configReason = REASON;
        await phone.type('[name=code]', '7XKQ-93MD-22PV-H0TT');
        await phone.tap('#pair');
        await phone.untilTrue('paired', 'document.querySelector("[data-screen=aim]") !== null');
        const screenText = (): Promise<string> => phone.text('main');
        for (const screen of CONFIGURATION_SCREENS) {
          await phone.go(screen);
          const text = await screenText();
          for (const part of [words.configUnavailable, words.configFix, REASON]) t.match(text, part, screen);
          for (const empty of [words.walk.none, words.fires.none, words.rules.none, words.try.intro])
            t.notMatch(text, empty, `${screen} calls nothing empty`);
          t.same(await phone.check(screen), []);
        }
        box.configReason = null;
        await phone.untilTrue('read', 'document.querySelector("#unreadable-config") === null');
        t.notMatch(await screenText(), words.walk.none, 'the walk test offers the installed rules');
        box.configReason = REASON;
        await phone.untilTrue('unreadable again', 'document.querySelector("#unreadable-config") !== null');
        t.match(await screenText(), words.walk.intro, 'a screen whose configuration was read stays');
      });
  },
);
