/**
 * Browser tests of how the console's screens look: axe finds nothing and no screen is too wide, in both languages and
 * themes, at a desk and on a phone.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import t from 'tap';
import { browserMissing } from '../lib/browser.ts';
import { ROOT, scratch } from '../lib/paths.ts';
import { browserOf, LOOKS, type OpenConsole, openConsole, problemsOf } from '../lib/room-browser.ts';
import { city, cityMapFile, SEARCH } from '../lib/room-city.ts';
import { evening } from '../lib/room-evening.ts';
import { FULL } from '../lib/run.ts';
import { sampled } from '../lib/sampled.ts';

/** Number of cameras, of every condition; axe takes its time for each. */
const CAMERAS = FULL ? 1500 : 450;

interface Step {
  readonly name: string;
  /** Screen that is opened first; the present one is kept without it. */
  readonly path?: string;
  readonly keys?: readonly string[];
  readonly act?: (console: OpenConsole) => Promise<unknown>;
  /** Element that the screen then has. */
  readonly ready: string;
}

const EVENING: readonly Step[] = [
  { name: 'login', ready: '[data-account]' },
  { name: 'queue', act: ({ page }) => page.click('[data-account=Omar]'), ready: '.link-live' },
  { name: 'chosen', keys: ['j'], ready: '.row[aria-selected=true]' },
  { name: 'incident', path: '/incidents/2', ready: '.told .notes' },
  { name: 'full size', keys: ['v'], ready: '.picture-stage canvas[style*=visible]' },
  { name: 'keys', path: '/incidents/2', keys: ['?'], ready: 'dialog[open] .keys' },
  { name: 'note', path: '/incidents/2', keys: ['n'], ready: 'dialog[open] textarea' },
  { name: 'dispatch', path: '/incidents/1', keys: ['d'], ready: 'dialog[open] .option' },
  { name: 'suppress', path: '/incidents/2', keys: ['s'], ready: 'dialog[open] input' },
  {
    name: 'suppressed',
    act: ({ page }) => page.keyboard.type('low sun').then(() => page.keyboard.press('Enter')),
    ready: '.suppression',
  },
  { name: 'selected', path: '/queue', keys: ['j', 'x'], ready: '.bulk' },
  { name: 'unseen', keys: ['f'], ready: '#judge-unseen' },
  { name: 'closed list', path: '/closed', ready: '.closed-list .row' },
  { name: 'closed', keys: ['j'], ready: '.closed-list [aria-selected=true]' },
  { name: 'closed incident', path: '/closed/10', ready: '.incident .facts' },
  { name: 'week', path: '/week', ready: '.d-week' },
];

const CITY: readonly Step[] = [
  { name: 'cameras', path: '/cameras', ready: `[role=option]:nth-of-type(2)` },
  { name: 'camera', act: ({ page }) => page.click('[role=option].blind'), ready: '.d-rows.d-links li' },
  { name: 'plan', path: '/plan', ready: '.d-marker.offline' },
  { name: 'search', path: '/search', ready: 'form' },
  {
    name: 'found',
    act: async ({ page }) => {
      await page.type('[name=case]', '2026/1432');
      await page.type('[name=reason]', 'theft of a bicycle');
      await page.click('[type=submit]');
    },
    ready: 'table',
  },
  { name: 'tracks', path: '/tracks', ready: 'form' },
  { name: 'figures', path: '/figures', ready: '.d-precision' },
  { name: 'hand-over', path: '/hand-over', ready: '.d-sums' },
  { name: 'print', act: ({ page }) => page.emulateMediaType('print'), ready: '.d-sums' },
  { name: 'audit', act: ({ page }) => page.emulateMediaType('screen'), path: '/audit', ready: '.d-hash' },
];

async function problemsIn(console: OpenConsole, steps: readonly Step[], look: string): Promise<string[]> {
  const { page, press, waitUntil } = console;
  const problems: string[] = [];
  for (const { name, path, keys = [], act, ready } of steps) {
    if (path !== undefined) {
      if ((await page.$('dialog[open]')) !== null) await press('Escape');
      await page.evaluate(
        `history.pushState(null, '', '${path}'); dispatchEvent(new PopStateEvent('popstate'))`,
      );
      await page.waitForSelector(path.includes('/', 1) ? '.incident .facts' : 'main h1, .queue .row');
    }
    await press(...keys);
    await act?.(console);
    await waitUntil(`document.querySelector(${JSON.stringify(ready)}) !== null`);
    problems.push(...(await problemsOf(console, `${name}-${look}`)));
  }
  return [...problems, ...console.pageErrors];
}

t.test('the console’s screens look right', { skip: browserMissing(), timeout: 300_000 }, async (t) => {
  const browser = await browserOf(t);
  const jpeg = await sharp(join(ROOT, 'docs/alert.jpg')).jpeg({ quality: 60 }).toBuffer();
  const plan = join(scratch(t), 'city.geojson');
  writeFileSync(plan, JSON.stringify(cityMapFile(CAMERAS)));
  for (const [look, size] of sampled(t, 'looks', LOOKS, 2)) {
    const name = `${look.join('-')}-${size.width}`;
    await t.test(name, async (t) => {
      const before = `localStorage.setItem('theme', '${look[1]}')`;
      const patrols = [{ name: 'Îlotage centre', sites: ['centre'], webhook: undefined }];
      const ofEvening = await openConsole(t, browser, {
        look,
        size,
        before,
        user: null,
        settings: { patrols },
        fill: (db) => evening(db, jpeg),
      });
      t.strictSame(await problemsIn(ofEvening, EVENING, name), []);
      const ofCity = await openConsole(t, browser, {
        look,
        size,
        before,
        user: 'Omar',
        fill: (db) => city(db, CAMERAS),
        settings: { plan, signer: 'unused' },
        handlers: { search: async () => SEARCH, searchState: async () => SEARCH },
      });
      t.strictSame(await problemsIn(ofCity, CITY, name), []);
    });
  }
});
