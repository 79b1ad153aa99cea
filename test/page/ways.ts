/** A phone at a box: what every test of the app in a browser begins with. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser } from 'puppeteer-core';
import type { Test } from 'tap';
import { ROOT, scratch } from '../lib/paths.ts';
import { type Look, openBrowser, Phone } from './phone.ts';
import { StandIn } from './stand-in.ts';

/** A redacted still of 768 × 576, the content of a published picture without people. */
export const JPEG = readFileSync(join(ROOT, 'docs/alert.jpg'));

/** Looks in which every screen is checked. */
export const LOOKS: readonly Look[] = [
  ['fr', 'light'],
  ['en', 'dark'],
];

/** Opens the browser that the tests of a file share. */
export async function sharedBrowser(t: Test): Promise<Browser> {
  // A page that was left must not act from the browser's cache.
  const args = ['--disable-features=BackForwardCache'];
  const browser = await openBrowser(join(scratch(t), 'profile'), { args });
  t.teardown(() => browser.close());
  return browser;
}

/** Opens a phone at a box. Each test checks the phone's complaints at its end. */
export async function openApp(
  t: Test,
  browser: Browser,
  { look = ['en', 'light'] as Look, hash = '', paired = true } = {},
): Promise<{ box: StandIn; phone: Phone }> {
  const box = new StandIn(JPEG);
  box.paired = paired;
  const home = await box.start();
  const phone = await Phone.open(browser, home, look, hash);
  t.teardown(async () => {
    await phone.close();
    await box.stop();
  });
  return { box, phone };
}

export async function cornerIs(
  t: Test,
  phone: Phone,
  index: number,
  expected: readonly number[] | undefined,
  message = `corner ${index}`,
): Promise<void> {
  const settledCorners = await phone.settled((corners) => String(corners[index]) === String(expected));
  t.same(settledCorners[index], expected, message);
}
