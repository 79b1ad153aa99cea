/**
 * The room's console with its app in Chromium: the real server on a real database, and a link between that can hang.
 */
import diagnostics from 'node:diagnostics_channel';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import type { Browser, BrowserContext, Page, Viewport } from 'puppeteer-core';
import type { Test } from 'tap';
import { freePort } from '../../scripts/lib/mosquitto.ts';
import type { DataHandlers } from '../../scripts/products/room/console/routes.ts';
import type { Settings } from '../../scripts/products/room/console/settings.ts';
import type { Sql } from '../../scripts/products/room/database/sql.ts';
import { beginning, violations } from '../page/in-page.ts';
import { type Look, openBrowser, savePicture } from '../page/phone.ts';
import {
  ask,
  cookieOf,
  enter,
  from,
  fullConsole,
  type Reply,
  roomDatabase,
  type TestConsole,
} from './console.ts';
import { DATABASES } from './databases.ts';
import { ROOT, scratch } from './paths.ts';
import { TcpProxy } from './proxy.ts';

/** Folder of the pictures that are taken with WRITE_SCREENS=1. */
const SCREENS_DIR = join(ROOT, '.cache/console-screens');

export const PEOPLE = [
  { name: 'Nadia', role: 'operator' },
  { name: 'Omar', role: 'supervisor' },
  { name: 'Anna', role: 'auditor' },
] as const;

export interface AppRoom {
  readonly db: Sql;
  /** Address that browsers use, through `link`. */
  readonly home: string;
  readonly link: TcpProxy;
  readonly console: TestConsole;
  /** Number of streams that are open at the server, and that were ever opened. */
  readonly streams: { openCount: number; openedCount: number };
  /** Acts as another person beside the browser, bypassing the link. */
  postAs(user: string, path: string, body: unknown, key?: string): Promise<Reply>;
  /** Entries of the audit log for these actions, in order. */
  record(...actions: string[]): Promise<{ account: string; act: string; incident: number | null }[]>;
}

export interface Setup {
  readonly fill?: (db: Sql) => Promise<unknown>;
  readonly settings?: Partial<Settings>;
  readonly handlers?: Partial<DataHandlers>;
  /** Address for `--database`; an SQLite file by default. */
  readonly address?: string;
}

export async function appRoom(t: Test, { fill, settings, handlers, address }: Setup = {}): Promise<AppRoom> {
  const db = await roomDatabase(t, address ?? (await DATABASES.sqlite(t)).address);
  await fill?.(db);
  const port = await freePort();
  const link = new TcpProxy(port);
  await link.start();
  t.teardown(() => link.stop());
  const home = `http://127.0.0.1:${link.port}`;
  const own = { listen: { host: '127.0.0.1', port }, origin: home, accounts: PEOPLE, patrols: [] };
  const streams = streamsOf(t, port);
  const server = await fullConsole(t, db, { ...own, ...settings }, handlers);
  const postAs = async (user: string, path: string, body: unknown, key?: string): Promise<Reply> => {
    const past = { host: new URL(home).host, ...from(home) };
    const session = await ask(`${server.url}/api/login`, {
      method: 'POST',
      headers: past,
      body: { name: user },
    });
    const headers = {
      ...past,
      cookie: cookieOf(session),
      ...(key !== undefined && { 'idempotency-key': key }),
    };
    return ask(server.url + path, { method: 'POST', headers, body });
  };
  const record = async (...actions: string[]) => {
    const rows = await db.all<{ account: string; act: string; incident: number | null }>(
      'SELECT account, act, incident FROM audit ORDER BY no',
    );
    return rows.filter((row) => actions.includes(row.act));
  };
  return { db, home, link, console: server, streams, postAs, record };
}

function streamsOf(t: Test, port: number): AppRoom['streams'] {
  const streams = { openCount: 0, openedCount: 0 };
  const onRequest = (message: unknown): void => {
    const { request, response } = message as { request: IncomingMessage; response: ServerResponse };
    if (request.socket.localPort !== port || request.url?.startsWith('/api/stream') !== true) return;
    streams.openCount += 1;
    streams.openedCount += 1;
    response.on('close', () => {
      streams.openCount -= 1;
    });
  };
  diagnostics.subscribe('http.server.request.start', onRequest);
  t.teardown(() => diagnostics.unsubscribe('http.server.request.start', onRequest));
  return streams;
}

export interface Tab {
  readonly page: Page;
  /** Messages of the browser, and every request that leaves the room. */
  readonly pageErrors: string[];
  /** Paths that were requested. */
  readonly requestedPaths: string[];
  /** Actions that the server has carried out. */
  readonly posts: { readonly path: string; readonly body: unknown }[];
  waitUntil(condition: string, timeoutMs?: number): Promise<void>;
  text(selector?: string): Promise<string>;
  press(...keys: readonly string[]): Promise<void>;
}

export const DESK = { width: 1280, height: 800 };
export const PHONE = { width: 390, height: 844, hasTouch: true, isMobile: true };

export interface TabOptions {
  readonly look?: Look;
  readonly path?: string;
  /** Script that runs in the page before anything else. */
  readonly before?: string;
  readonly size?: Viewport;
  /** Message that Chromium may print about a reply to the app. */
  readonly excused?: RegExp;
}

/** Languages and themes, at a desk and on a phone. The run `--all` takes two, which have each of them. */
export const LOOKS: readonly (readonly [look: Look, size: Viewport])[] = [
  [['en', 'light'], DESK],
  [['fr', 'light'], DESK],
  [['fr', 'dark'], PHONE],
  [['en', 'dark'], PHONE],
];

/** A browser that is closed with the test. */
export async function browserOf(t: Test, options?: Parameters<typeof openBrowser>[1]): Promise<Browser> {
  const browser = await openBrowser(join(scratch(t), 'profile'), options);
  t.teardown(() => browser.close());
  return browser;
}

export interface OpenConsole extends Tab {
  readonly room: AppRoom;
  readonly context: BrowserContext;
  /** Opens another tab of the same browser. */
  another(options?: TabOptions): Promise<Tab>;
}

export interface Opening extends Setup, TabOptions {
  /** A room that is there already. */
  readonly room?: AppRoom;
  /** Person who has entered, Nadia by default; null shows the login. */
  readonly user?: string | null;
}

export const LIVE = 'document.querySelector(".link-live") !== null';

/** Opens the console in a browser of its own; resolves when it receives changes. */
export async function openConsole(t: Test, browser: Browser, opening: Opening = {}): Promise<OpenConsole> {
  const { user = 'Nadia' } = opening;
  const room = opening.room ?? (await appRoom(t, opening));
  const context = await contextOf(t, browser, room.home, user);
  const another = (options: TabOptions = {}): Promise<Tab> => tabOf(context, room.home, options);
  const tab = await another(opening);
  if (user !== null) await tab.waitUntil(LIVE);
  return { ...tab, room, context, another };
}

/** Opens a console of the demonstration for an account, which is chosen by keyboard on the page of its link. */
export async function openByLink(
  t: Test,
  browser: Browser,
  { url, link }: { readonly url: string; readonly link: string },
  account: string,
  options: TabOptions = {},
): Promise<Tab> {
  const context = await contextOf(t, browser, url, null);
  const tab = await tabOf(context, url, { ...options, path: link.slice(url.length) });
  await tab.page.waitForSelector(`[data-account="${account}"]`);
  await tab.page.focus(`[data-account="${account}"]`);
  // A person who has entered begins with a new page.
  await Promise.all([tab.page.waitForNavigation({ waitUntil: 'load' }), tab.press('Enter')]);
  await tab.waitUntil(LIVE);
  return tab;
}

/** A separate browser for a person who has entered, closed with the test. */
export async function contextOf(
  t: Test,
  browser: Browser,
  home: string,
  user: string | null,
): Promise<BrowserContext> {
  // Without a folder for downloads, this browser requests none.
  const downloadBehavior = { policy: 'allow', downloadPath: scratch(t) } as const;
  const context = await browser.createBrowserContext({ downloadBehavior });
  t.teardown(() => context.close());
  if (user !== null) await enterAs(context, home, user);
  return context;
}

export async function enterAs(context: BrowserContext, home: string, user: string): Promise<void> {
  const [name = '', value = ''] = (await enter(home, user)).split('=');
  const cookie = { name, value, domain: '127.0.0.1', path: '/' };
  await context.setCookie({ ...cookie, httpOnly: true, sameSite: 'Strict' });
}

export async function tabOf(
  context: BrowserContext,
  home: string,
  { look = ['en', 'light'], path = '/', before, size = DESK, excused = /status of 4/ }: TabOptions = {},
): Promise<Tab> {
  const page = await context.newPage();
  const tab = { page, pageErrors: [] as string[], requestedPaths: [] as string[], posts: [] as Tab['posts'] };
  await page.setViewport(size);
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: look[1] }]);
  await page.evaluateOnNewDocument(beginning(look[0]));
  if (before !== undefined) await page.evaluateOnNewDocument(before);
  watch(tab, home, excused);
  await page.goto(home + path, { waitUntil: 'load' });
  return {
    ...tab,
    waitUntil: async (condition, timeout = 15_000) => {
      await page.waitForFunction(condition, { timeout, polling: 10 }).catch(async () => {
        const text = await page.$eval('body', (body) => body.textContent ?? '');
        throw new Error(`not so: ${condition}\n${text.slice(0, 1500)}`);
      });
    },
    text: (selector = 'main') => page.$eval(selector, (element) => element.textContent ?? ''),
    press: async (...keys) => {
      for (const key of keys) await page.keyboard.press(key as 'Enter');
    },
  };
}

/** Violations that axe finds on the page in its present state, and a note if it is wider than the screen. */
export async function problemsOf({ page }: Pick<Tab, 'page'>, name: string): Promise<string[]> {
  await savePicture(page, join(SCREENS_DIR, `${name}.png`));
  const isWide = await page.evaluate('document.documentElement.scrollWidth > innerWidth');
  const problems = [...(await violations(page)), ...(isWide === true ? ['is wider than the screen'] : [])];
  return problems.map((problem) => `${name}: ${problem}`);
}

function watch(
  { page, pageErrors, requestedPaths, posts }: Omit<Tab, 'waitUntil' | 'text' | 'press'>,
  home: string,
  excused: RegExp,
): void {
  page.on('pageerror', (error) => pageErrors.push(`error: ${String(error)}`));
  page.on('dialog', (dialog) => pageErrors.push(`dialog: ${dialog.message()}`));
  page.on('console', (message) => {
    const url = message.location().url ?? '';
    if (excused.test(message.text()) && /\/api\/|favicon\.ico$/.test(url)) return;
    if (['error', 'warn'].includes(message.type())) pageErrors.push(`${message.text()} ${url}`);
  });
  page.on('request', (request) => {
    const url = request.url();
    // Chromium draws its date picker with an icon of its own.
    const isOwn = [home, `blob:${home}`, 'data:image/svg+xml;base64,'].some((start) => url.startsWith(start));
    if (!isOwn) pageErrors.push(`request: ${url}`);
    requestedPaths.push(`${request.method()} ${url.slice(home.length)}`);
  });
  page.on('response', (response) => {
    const request = response.request();
    const path = request.url().slice(home.length);
    if (request.method() !== 'POST' || !response.ok() || !path.startsWith('/api/incidents/')) return;
    posts.push({ path, body: JSON.parse(request.postData() ?? 'null') });
  });
}
