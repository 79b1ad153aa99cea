/** A phone for tests: Debian's Chromium at 360×740 with touch, and the actions of a test on it. */
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Browser, launch, type Page } from 'puppeteer-core';
import sharp from 'sharp';
import { CHROMIUM } from '../lib/browser.ts';
import { ROOT } from '../lib/paths.ts';
import { FULL } from '../lib/run.ts';
import { beginning, FRAME_PLACE, MISFITS, violations } from './in-page.ts';

const SCREENS_DIR = join(ROOT, '.cache/page-screens');
const GUIDE_DIR = join(ROOT, 'docs/guide/technician');
/** Screens that the guide shows. */
const DOCUMENTED = ['01-pair', '04-aim', '06-zone', '09-fires', '11-trial', '14-walk', '18-go', '20-issued'];
const WIDTH = 360;
const HEIGHT = 740;

export type Look = readonly [language: 'fr' | 'en', scheme: 'light' | 'dark'];

/** Opens the browser. As root, as tests may run, Chromium has no sandbox; the page is the project's own. */
export function openBrowser(
  profile: string,
  { program = CHROMIUM, args = [] as string[] } = {},
): Promise<Browser> {
  return launch({
    executablePath: program,
    headless: 'shell',
    userDataDir: profile,
    // A box's page uses a self-signed certificate.
    acceptInsecureCerts: true,
    // The browser may run where no port of it is reachable.
    pipe: true,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-dev-shm-usage',
      '--no-first-run',
      '--lang=fr',
      ...args,
    ],
  });
}

/** Saves a picture of the screen for people, with WRITE_SCREENS=1 and in the full run. No test reads it. */
export async function savePicture(page: Page, file: string, fullPage = false): Promise<void> {
  if (process.env['WRITE_SCREENS'] !== '1' && !FULL) return;
  mkdirSync(dirname(file), { recursive: true });
  await page.screenshot({ path: file as `${string}.png`, fullPage });
}

/** Places of two fingers: x and y of each. */
type Fingers = readonly [x1: number, y1: number, x2: number, y2: number];

export class Phone {
  readonly page: Page;
  readonly look: Look;
  /** Complaints of the browser, and each request that leaves the box. */
  readonly pageErrors: string[] = [];
  readonly #home: string;

  private constructor(page: Page, look: Look, home: string) {
    this.page = page;
    this.look = look;
    this.#home = home;
    page.on('pageerror', (error) => this.pageErrors.push(`error: ${String(error)}`));
    page.on('console', (message) => {
      const url = message.location().url ?? '';
      // A refusal of the API is an answer, and a browser always requests an icon.
      if (/the server responded with a status of 4/.test(message.text()) && /\/api\/|favicon\.ico$/.test(url))
        return;
      // So is the complaint about a request that the test has cut.
      if (/net::ERR_(INTERNET_DISCONNECTED|CONTENT_LENGTH_MISMATCH)/.test(message.text())) return;
      if (['error', 'warn'].includes(message.type())) this.pageErrors.push(`${message.text()} ${url}`);
    });
    page.on('request', (request) => {
      const url = request.url();
      if (!url.startsWith(home) && !url.startsWith(`blob:${home}`)) this.pageErrors.push(`request: ${url}`);
    });
  }

  static async open(browser: Browser, home: string, look: Look, hash = ''): Promise<Phone> {
    const context = await browser.createBrowserContext();
    const page = await context.newPage();
    await page.setViewport({
      width: WIDTH,
      height: HEIGHT,
      hasTouch: true,
      isMobile: true,
      deviceScaleFactor: 1,
    });
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: look[1] }]);
    await page.evaluateOnNewDocument(beginning(look[0]));
    const phone = new Phone(page, look, home);
    await page.goto(`${home}${hash}`, { waitUntil: 'load' });
    await page.waitForSelector('[data-screen]');
    return phone;
  }

  /** Cuts the phone's network, or restores it. */
  setOffline(offline: boolean): Promise<void> {
    return this.page.setOfflineMode(offline);
  }

  async turn(isLandscape: boolean): Promise<void> {
    const [width, height] = isLandscape ? [HEIGHT, WIDTH] : [WIDTH, HEIGHT];
    await this.page.setViewport({ width, height, hasTouch: true, isMobile: true, isLandscape });
    await this.#untilDrawn();
  }

  async close(): Promise<void> {
    await this.page.browserContext().close();
  }

  /** Opens a step through the list of steps. */
  async go(step: string): Promise<void> {
    if ((await this.page.$(`[data-screen="${step}"]`)) !== null) return;
    await this.tap('#steps');
    await this.tap(`[data-step="${step}"]`);
    await this.page.waitForSelector(`[data-screen="${step}"]`);
  }

  /** Scrolls an element to where a thumb can reach it, below the fixed bar, and taps it. */
  async tap(selector: string): Promise<void> {
    const element = await this.page.waitForSelector(selector);
    await element?.evaluate((one) => {
      const target = one as unknown as {
        felt?: boolean;
        addEventListener(type: string, then: () => void): void;
      };
      target.felt = false;
      target.addEventListener('click', () => {
        target.felt = true;
      });
    });
    // Chromium takes a touch soon after a drag as its end and makes no click of it, so a tap without effect is
    // repeated. On a busy machine a click comes late, and an element that it has disabled receives no other, so a late
    // click counts.
    for (let tries = 0; tries < 4; tries++) {
      await element?.evaluate((one) => one.scrollIntoView({ block: 'center' }));
      await this.#untilDrawn();
      await element?.tap();
      for (let waits = 0; waits < 10; waits++) {
        const hasEffect = await element?.evaluate((target) => {
          const { felt, isConnected } = target as unknown as { felt?: boolean; isConnected: boolean };
          return felt === true || !isConnected;
        });
        if (hasEffect !== false) return;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
    const description = await element?.evaluate(
      (one) => `${one.outerHTML} at ${one.getBoundingClientRect().top} px`,
    );
    throw new Error(`${selector} does not feel a finger: ${description}`);
  }

  /** Resolves when scrolling and changes have reached the screen. */
  async #untilDrawn(): Promise<void> {
    await this.page.evaluate(
      'new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))',
    );
  }

  async text(selector: string): Promise<string> {
    return this.page.$eval(selector, (element) => element.textContent ?? '');
  }

  async value(selector: string): Promise<unknown> {
    return this.page.$eval(selector, (input) => (input as unknown as { value: string }).value);
  }

  async type(selector: string, text: string): Promise<void> {
    await this.page.$eval(selector, (element) => (element as unknown as { select(): void }).select());
    await this.page.type(selector, text);
  }

  async untilTrue(label: string, condition: string, withinMs = 40_000): Promise<void> {
    await this.page.waitForFunction(condition, { timeout: withinMs, polling: 50 }).catch(async () => {
      const mainText = await this.text('main');
      throw new Error(`${label}: not so: ${condition}\n${mainText}`);
    });
  }

  /** Waits until an element is there. */
  async untilThere(selector: string): Promise<void> {
    await this.untilTrue(selector, `document.querySelector(${JSON.stringify(selector)}) !== null`);
  }

  /** Waits until no such element is there. */
  async untilGone(selector: string): Promise<void> {
    await this.untilTrue(`no ${selector}`, `document.querySelector(${JSON.stringify(selector)}) === null`);
  }

  /** Waits until the screen says it. */
  async untilText(text: RegExp): Promise<void> {
    await this.untilTrue(String(text), `${text}.test(document.querySelector('main').textContent)`);
  }

  async picture(): Promise<void> {
    await this.untilTrue('a picture', 'document.querySelector(".stage img")?.complete === true');
    await this.untilThere('.stage-shapes');
  }

  /** Faults of the page; also saves a picture of the whole page in .cache/page-screens. */
  async check(name: string): Promise<string[]> {
    await this.page.evaluate('scrollTo(0, 0)');
    const file = join(SCREENS_DIR, `${name}-${this.look.join('-')}.png`);
    // The bar at the bottom would lie across the middle.
    await this.page.evaluate(`document.querySelector('.way')?.style.setProperty('position', 'static')`);
    await savePicture(this.page, file, true);
    await this.page.evaluate(`document.querySelector('.way')?.style.removeProperty('position')`);
    await this.#document(name);
    const misfits = (await this.page.evaluate(MISFITS)) as string[];
    return [...misfits, ...(await violations(this.page))].map((problem) => `${name}: ${problem}`);
  }

  /** Writes a screen of the guide with WRITE_SCREENS=1: a phone's screen, few colours. */
  async #document(name: string): Promise<void> {
    const [language] = this.look;
    if (process.env['WRITE_SCREENS'] !== '1' || !DOCUMENTED.includes(name)) return;
    await this.page.evaluate('scrollTo(0, 0)');
    const screen = await this.page.screenshot();
    mkdirSync(GUIDE_DIR, { recursive: true });
    const file = join(GUIDE_DIR, `${name.slice(3)}-${language}.png`);
    await sharp(screen).png({ palette: true, colours: 64, effort: 10 }).toFile(file);
  }

  /** Scrolls the picture to where fingers can reach all of it. */
  async scrollToPicture(): Promise<void> {
    await this.page.$eval('.stage-frame', (frame) => frame.scrollIntoView({ block: 'center' }));
    await this.#untilDrawn();
  }

  /** Place of a normalised point of the picture on the screen, px. */
  async at(x: number, y: number): Promise<readonly [number, number]> {
    const box = (await this.page.evaluate(FRAME_PLACE)) as [number, number, number, number];
    return [box[0] + x * box[2], box[1] + y * box[3]];
  }

  /** Drags one finger from place to place. */
  async drag(from: readonly [number, number], to: readonly [number, number]): Promise<void> {
    await this.scrollToPicture();
    const [x1, y1] = await this.at(...from);
    const [x2, y2] = await this.at(...to);
    await this.page.touchscreen.touchStart(x1, y1);
    const steps = 6;
    for (let i = 1; i <= steps; i++) {
      await this.page.touchscreen.touchMove(x1 + ((x2 - x1) * i) / steps, y1 + ((y2 - y1) * i) / steps);
    }
    await this.page.touchscreen.touchEnd();
  }

  /** Moves two fingers on the picture, both at once. */
  async pinch(from: Fingers, to: Fingers): Promise<void> {
    await this.scrollToPicture();
    const [left, top, width, height] = (await this.page.evaluate(FRAME_PLACE)) as Fingers;
    const between = (at: 0 | 1 | 2 | 3, step: number): number => from[at] + ((to[at] - from[at]) * step) / 6;
    const point = (index: 0 | 1, step: number): { x: number; y: number; id: number } => {
      const [x, y] = index === 0 ? ([0, 1] as const) : ([2, 3] as const);
      return { x: left + width * between(x, step), y: top + height * between(y, step), id: index };
    };
    const client = await this.page.createCDPSession();
    const send = (type: 'touchStart' | 'touchMove' | 'touchEnd', touchPoints: ReturnType<typeof point>[]) =>
      client.send('Input.dispatchTouchEvent', { type, touchPoints });
    await send('touchStart', [point(0, 0)]);
    await send('touchStart', [point(0, 0), point(1, 0)]);
    for (let step = 1; step <= 6; step++) await send('touchMove', [point(0, step), point(1, step)]);
    await send('touchEnd', []);
    await client.detach();
    await this.#untilDrawn();
  }

  async touch(at: readonly [number, number]): Promise<void> {
    await this.scrollToPicture();
    const [x, y] = await this.at(...at);
    await this.page.touchscreen.tap(x, y);
  }

  /** Corners of the selected shape, in hundredths. */
  async corners(): Promise<number[][]> {
    const texts = await this.page.$$eval('[data-handle]', (handles) =>
      handles.map((handle) => handle.getAttribute('aria-valuetext') ?? ''),
    );
    return texts.map((text) => [...text.matchAll(/\d+/g)].map(Number));
  }

  /** Corners as soon as they fit, because the effect of a tap comes slightly later. */
  async settled(fits: (corners: number[][]) => boolean): Promise<number[][]> {
    let corners = await this.corners();
    for (let waits = 0; waits < 60 && !fits(corners); waits++) {
      await new Promise((resolve) => setTimeout(resolve, 25));
      corners = await this.corners();
    }
    return corners;
  }

  async reload(): Promise<void> {
    await this.page.goto(this.#home, { waitUntil: 'load' });
    await this.page.waitForSelector('[data-screen]');
  }
}
