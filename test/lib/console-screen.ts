/** A browser at the room's console, and what the page has received and drawn since it was opened. */
import type { Browser, CDPSession, Page } from 'puppeteer-core';
import { printableLine } from '../../agent/base/printable.ts';
import { beginning } from '../page/in-page.ts';
import type { ConsoleProgram } from './console-program.ts';

/**
 * Script that runs before anything else of the page. The stream and the queue report incidents, which are drawn as rows
 * and counts.
 */
const HOOKS = `
  window.told = new Set();
  window.firstDrawn = {};
  window.counted = [];
  window.announcedSum = 0;
  window.twice = [];
  const take = (incidents) => { for (const { no } of incidents) window.told.add(no); };
  const Source = window.EventSource;
  window.EventSource = class extends Source {
    constructor(...given) {
      super(...given);
      this.addEventListener('incidents', (event) => take(JSON.parse(event.data)));
    }
  };
  const ask = window.fetch;
  window.fetch = async (...given) => {
    const answer = await ask(...given);
    if (String(given[0]).endsWith('/api/queue') && answer.ok)
      void answer.clone().json().then(({ incidents }) => take(incidents));
    return answer;
  };
  addEventListener('DOMContentLoaded', () => {
    let announced = '';
    new MutationObserver(() => {
      const now = Date.now();
      const rows = new Set();
      for (const row of document.querySelectorAll('.row[data-no]')) {
        const { no } = row.dataset;
        if (rows.has(no)) window.twice.push(no);
        rows.add(no);
        window.firstDrawn[no] ??= now;
      }
      const waiting = Number(/\\d+/.exec(document.querySelector('.counts strong')?.textContent ?? '')?.[0] ?? 0);
      if (waiting !== window.counted.at(-1)?.[1]) window.counted.push([now, waiting]);
      const said = document.querySelector('.queue [role=status]')?.textContent ?? '';
      if (said !== announced && said !== '') window.announcedSum += Number(/\\d+/.exec(said)?.[0] ?? 1);
      announced = said;
    }).observe(document, { subtree: true, childList: true, characterData: true });
  });`;

export class ConsoleScreen {
  readonly page: Page;
  /** Errors of the page, messages of the browser, requests that leave the console. */
  readonly pageErrors: string[] = [];
  #devtools: CDPSession | undefined;

  private constructor(page: Page, home: string) {
    this.page = page;
    page.on('pageerror', (error) => this.pageErrors.push(`error: ${String(error)}`));
    page.on('dialog', (dialog) => {
      this.pageErrors.push(`dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    page.on('console', (message) => {
      // A refusal, or an unreachable server, is not an error of the page.
      const text = message.text();
      if (/the server responded with a status of|net::ERR_|favicon/.test(text)) return;
      if (['error', 'warn'].includes(message.type())) this.pageErrors.push(text);
    });
    page.on('request', (request) => {
      // Chromium loads its own icons of a date field as data.
      if (!request.url().startsWith(home) && !request.url().startsWith('data:'))
        this.pageErrors.push(`request: ${request.url()}`);
    });
  }

  /** Opens the console for a person who has entered by the keyboard, at the live queue. */
  static async open(
    browser: Browser,
    { url: home, link }: Pick<ConsoleProgram, 'url' | 'link'>,
    account: string,
  ): Promise<ConsoleScreen> {
    const context = await browser.createBrowserContext();
    const page = await context.newPage();
    await page.setViewport({ width: 1400, height: 900, deviceScaleFactor: 1 });
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'light' }]);
    await page.evaluateOnNewDocument(beginning('en') + HOOKS);
    const screen = new ConsoleScreen(page, home);
    // The link's page continues automatically.
    await page.goto(link, { waitUntil: 'load' });
    await page.waitForSelector(`[data-account="${account}"]`);
    await page.focus(`[data-account="${account}"]`);
    // A person who has entered begins with a new page.
    await Promise.all([page.waitForNavigation({ waitUntil: 'load' }), page.keyboard.press('Enter')]);
    await page.waitForSelector('.queue');
    await page.waitForFunction(`document.body.textContent.includes('live')`);
    return screen;
  }

  async waitUntil(label: string, condition: string, withinMs = 40_000): Promise<void> {
    await this.page.waitForFunction(condition, { timeout: withinMs, polling: 20 }).catch(async () => {
      const text = await this.page.evaluate('document.body.innerText.slice(0, 2000)');
      throw new Error(`${label}: not so within ${withinMs} ms: ${condition}\n${printableLine(String(text))}`);
    });
  }

  async keys(...keys: readonly string[]): Promise<void> {
    for (const key of keys) await this.page.keyboard.press(key as 'Enter');
  }

  /** Numbers of the incidents that the stream and the queue have reported. */
  async reportedIncidents(): Promise<Set<number>> {
    return new Set((await this.page.evaluate('[...window.told]')) as number[]);
  }

  /** Sends a request from within the page and returns the reply. */
  async request(path: string, body?: object): Promise<{ status: number; text: string }> {
    const reply =
      body === undefined
        ? '{}'
        : `{ method: 'POST', headers: { 'content-type': 'application/json', 'idempotency-key': crypto.randomUUID() }, body: ${JSON.stringify(JSON.stringify(body))} }`;
    return (await this.page.evaluate(
      `fetch(${JSON.stringify(path)}, ${reply}).then(async (answer) => ({ status: answer.status, text: await answer.text() }))`,
    )) as { status: number; text: string };
  }

  /** JavaScript heap after garbage collection, MB. */
  async heapMB(): Promise<number> {
    if (this.#devtools === undefined) {
      this.#devtools = await this.page.createCDPSession();
      await this.#devtools.send('HeapProfiler.enable');
      await this.#devtools.send('Performance.enable');
    }
    await this.#devtools.send('HeapProfiler.collectGarbage');
    const { metrics } = await this.#devtools.send('Performance.getMetrics');
    return (metrics.find(({ name }) => name === 'JSHeapUsedSize')?.value ?? Number.NaN) / 1e6;
  }

  /**
   * Claims, opens, views and closes an incident by keyboard, from the selected line; returns false where there was
   * none.
   */
  async closeNext(verdict: 't' | 'f' | 'u'): Promise<boolean> {
    const line = await this.page.evaluate(`(() => {
      const row = document.querySelector('.row[aria-selected=true]');
      if (row === null || row.dataset.no !== undefined)
        return row === null ? 'none' : row.classList.contains('new') ? 'new' : 'other';
      return row.querySelector('.fold')?.textContent === '▾' ? 'open' : 'folded';
    })()`);
    if (line === 'folded') await this.keys('Enter');
    if (line === 'none' || line === 'folded' || line === 'open') await this.keys('j');
    if (line !== 'new') return false;
    await this.keys('Enter');
    // A further alert may have made the line one of a storm just before the key, which then expands the storm.
    const storm = `document.querySelector('.row[aria-selected=true] .fold') !== null`;
    await this.waitUntil('opened', `document.querySelector('.incident .acts .claim') !== null || ${storm}`);
    if ((await this.page.$('.incident .acts .claim')) === null) return false;
    await this.keys('c');
    await this.waitUntil(
      'a picture',
      `[...document.querySelectorAll('.pictures img, .no-picture')].some((one) => one.tagName !== 'IMG' || (one.complete && one.naturalWidth > 0))`,
    );
    const no = await this.page.$eval('.incident', (one) => one.getAttribute('data-incident'));
    await this.keys(verdict);
    // The next incident opens as soon as the verdict is stored.
    await this.waitUntil(
      'closed',
      `document.querySelector('.incident .mark.closed') !== null || document.querySelector('[data-incident="${no}"]') === null`,
    );
    await this.keys('Escape');
    return true;
  }
}
