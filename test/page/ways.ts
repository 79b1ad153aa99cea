/** A phone at a box, and the two longest tests of the app: drawing with a finger, and everything by keyboard. */
import type { Browser } from 'puppeteer-core';
import type { Test } from 'tap';
import { INSTALLED } from './canned.ts';
import { type Look, Phone } from './phone.ts';
import { StandIn } from './stand-in.ts';

export interface Parts {
  readonly browser: Browser;
  readonly jpeg: Buffer;
}

/** Opens a phone at a box. Each part checks the phone's complaints at its end. */
export async function openApp(
  t: Test,
  { browser, jpeg }: Parts,
  { look = ['en', 'light'] as Look, hash = '', paired = true } = {},
): Promise<{ box: StandIn; phone: Phone }> {
  const box = new StandIn(jpeg);
  box.paired = paired;
  const home = await box.start();
  const phone = await Phone.open(browser, home, look, hash);
  t.teardown(async () => {
    await phone.close();
    await box.stop();
  });
  return { box, phone };
}

async function cornerIs(
  t: Test,
  phone: Phone,
  index: number,
  expected: readonly number[] | undefined,
  message = `corner ${index}`,
): Promise<void> {
  const settledCorners = await phone.settled((corners) => String(corners[index]) === String(expected));
  t.same(settledCorners[index], expected, message);
}

export async function testDrawing(t: Test, parts: Parts): Promise<void> {
  const { box, phone } = await openApp(t, parts);
  await phone.go('zones');
  await phone.picture();
  await phone.tap('[data-chip="zone/lawn"]');
  const [first, second, third] = (await phone.corners()) as [number[], number[], number[]];
  t.same(
    [first, second, third],
    [
      [0, 46],
      [20, 48],
      [50, 62],
    ],
  );

  await phone.drag([0.5, 0.62], [0.6, 0.4]);
  await cornerIs(t, phone, 2, [60, 40]);
  await phone.drag([0.62, 0.43], [0.52, 0.65]);
  await cornerIs(t, phone, 2, [50, 62], 'a finger beside a corner takes it, and it does not jump');
  await phone.tap('#undo');
  await cornerIs(t, phone, 2, [60, 40]);
  await phone.tap('#undo');
  await cornerIs(t, phone, 2, third);
  await phone.tap('#redo');
  await cornerIs(t, phone, 2, [60, 40]);
  await phone.tap('#undo');

  await phone.drag([0.0, 0.73], [0.3, 0.75]);
  await cornerIs(t, phone, 6, [30, 75], 'the middle of the side from the last corner to the first');
  t.equal((await phone.settled(({ length }) => length === 7)).length, 7);
  await phone.tap('#remove-corner');
  t.equal((await phone.settled(({ length }) => length === 6)).length, 6);

  // From the gutter, because half of an edge corner is outside the screen.
  await phone.drag([-0.05, 0.46], [0.2, 0.2]);
  await cornerIs(t, phone, 0, [25, 20]);
  await phone.drag([0.25, 0.2], [0.02, 0.2]);
  await cornerIs(t, phone, 0, [0, 20], 'snaps to the edge');
  await phone.drag([0.2, 0.48], [0.21, 0.26]);
  await cornerIs(t, phone, 1, [20, 25], 'snaps to the corner of an outline');
  await phone.tap('#undo');
  await phone.tap('#undo');
  await phone.tap('#undo');

  await phone.drag([0.2, 0.48], [0.8, 0.95]);
  t.ok(await phone.page.$('[data-shape="zone/lawn"].bad'), 'sides that cross are marked');
  t.same(await phone.check('21-crossing'), []);
  await phone.go('try');
  t.ok(await phone.page.$('#try:disabled'));
  t.ok(await phone.page.$('[data-problem=shape-crosses]'));
  await phone.go('zones');
  await phone.tap('#undo');
  await phone.untilTrue('mended', 'document.querySelector(".shape.bad") === null');

  await phone.drag([0.3, 0.8], [0.3, 0.75]);
  await cornerIs(t, phone, 4, [96, 95], 'the whole, by its inside');
  await phone.tap('#undo');
  await phone.touch([0.8, 0.55]);
  t.ok(await phone.page.$('[data-chip="line/east-road"][aria-pressed=true]'), 'a tap chooses another');
  t.ok(await phone.page.$('[data-side=right][data-watched=true]'));
  t.ok(await phone.page.$('[data-side=left][data-watched=false]'), 'its rule watches one side');
  await phone.tap('#swap');
  t.same(await phone.corners(), [
    [70, 75],
    [90, 34],
  ]);
  await phone.tap('[data-add=mask]');
  t.equal(
    await phone.page.evaluate('getComputedStyle(document.querySelector(".mask .stroke")).fill'),
    'rgb(0, 0, 0)',
    'black at once',
  );

  await phone.reload();
  await phone.go('zones');
  t.ok(await phone.page.$('[data-chip="mask/mask-1"]'), 'a page that was dropped keeps its drawing');
  await phone.go('try');
  await phone.tap('#try');
  await phone.untilTrue('a trial', 'document.querySelector(".trial") !== null');
  const [proposal] = box.proposals;
  t.same(proposal?.lines, [{ id: 'east-road', from: [0.7, 0.75], to: [0.9, 0.34] }]);
  t.equal(proposal?.masks.length, 1);
  t.same(proposal?.zones, INSTALLED.zones);
  t.notOk('source' in (proposal ?? {}), 'the camera is unchanged');
  await phone.tap('#revert');
  await phone.untilTrue('reverted', 'document.querySelector("[data-fate=reverted]") !== null');
  t.same(box.installed, INSTALLED);
  await phone.tap('#discard');
  await phone.untilTrue('nothing to try', 'document.querySelector("#try:disabled") !== null');
  t.same(phone.pageErrors, []);
}

/** Uses only Tab, arrows, Enter and Space, from the code to the receipt. */
export async function keyboard(t: Test, parts: Parts): Promise<void> {
  const { box, phone } = await openApp(t, parts, { paired: false });
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
  await to('[name=code]');
  await keys.type('7XKQ93MD22PVH0TT');
  await keys.press('Enter');
  for (const screen of ['aim', 'zones']) {
    await phone.untilTrue(screen, `document.querySelector("[data-screen=${screen}]") !== null`);
    await phone.untilTrue('told', 'document.activeElement.tagName === "H1"');
    if (screen === 'aim') {
      await phone.picture();
      await to('[data-handle="0"]');
      const before = (await phone.corners())[0];
      for (let i = 0; i < 2; i++) await keys.press('ArrowUp');
      const after = await phone.settled((corners) => String(corners[0]) !== String(before));
      t.not(String(after[0]), String(before));
      await to('.check input');
      await keys.press('Space');
    }
    if (screen !== 'zones') await press('#next');
  }
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
    await phone.untilTrue(screen, `document.querySelector("[data-screen=${screen}]") !== null`);
    await phone.untilTrue('told', 'document.activeElement.tagName === "H1"');
  }
  // A drawn shape can be tried, and the button to continue does so at once.
  await press('#next');
  await phone.untilTrue('a trial', 'document.querySelector(".trial") !== null');
  await press('#keep');
  await phone.untilTrue('kept', 'document.querySelector("[data-fate=kept]") !== null');
  t.same(box.installed.zones[0]?.polygon[1], [0.23, 0.48]);
  t.ok(box.installed.groundPlane);
  for (const screen of ['go', 'receipt']) {
    await press('#next');
    await phone.untilTrue(screen, `document.querySelector("[data-screen=${screen}]") !== null`);
    await phone.untilTrue('told', 'document.activeElement.tagName === "H1"');
  }
  await press('#unpair');
  await phone.untilTrue('unpaired', 'document.querySelector("[data-screen=pair]") !== null');
  t.same(phone.pageErrors, []);
}
