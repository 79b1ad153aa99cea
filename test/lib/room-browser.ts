/**
 * The room's console with its app in Chromium: the real server on a real database, and a link between that can hang.
 */
import diagnostics from 'node:diagnostics_channel';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Browser, BrowserContext, Page } from 'puppeteer-core';
import type { Test } from 'tap';
import { freePort } from '../../scripts/lib/mosquitto.ts';
import type { DataHandlers } from '../../scripts/programs/room/console/routes.ts';
import type { Settings } from '../../scripts/programs/room/console/settings.ts';
import type { Sql } from '../../scripts/programs/room/database/sql.ts';
import { beginning } from '../page/in-page.ts';
import type { Look } from '../page/phone.ts';
import { ask, enter, fullConsole, type Reply, roomDatabase, type TestConsole } from './console.ts';
import { DATABASES } from './databases.ts';
import { scratch } from './paths.ts';
import { TcpProxy } from './proxy.ts';

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
    const past = { host: new URL(home).host, origin: home, 'sec-fetch-site': 'same-origin' };
    const session = await ask(`${server.url}/api/login`, {
      method: 'POST',
      headers: past,
      body: { name: user },
    });
    const cookie = String(session.headers['set-cookie']?.[0]).split(';', 1)[0] ?? '';
    const headers = { ...past, cookie, ...(key !== undefined && { 'idempotency-key': key }) };
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
}

/** Languages and themes. The ordinary run takes two, which have each language and each theme. */
export const LOOKS: readonly Look[] = [
  ['fr', 'light'],
  ['fr', 'dark'],
  ['en', 'dark'],
  ['en', 'light'],
];

export interface TabOptions {
  readonly look?: Look;
  readonly path?: string;
  /** Script that runs in the page before anything else. */
  readonly before?: string;
  readonly width?: number;
  /** Message that Chromium may print about a reply to the app. */
  readonly excused?: RegExp;
}

/** A separate browser for a person who has entered, closed with the test. Without a person it shows the login. */
export async function contextOf(
  t: Test,
  browser: Browser,
  home: string,
  user: string | undefined,
): Promise<BrowserContext> {
  // Without a folder for downloads, this browser requests none.
  const downloadBehavior = { policy: 'allow', downloadPath: scratch(t) } as const;
  const context = await browser.createBrowserContext({ downloadBehavior });
  t.teardown(() => context.close());
  if (user !== undefined) {
    const [name = '', value = ''] = (await enter(home, user)).split('=');
    await context.setCookie({
      name,
      value,
      domain: '127.0.0.1',
      path: '/',
      httpOnly: true,
      sameSite: 'Strict',
    });
  }
  return context;
}

export async function tabOf(
  context: BrowserContext,
  home: string,
  { look = ['en', 'light'], path = '/', before, width = 1600, excused = /status of 4/ }: TabOptions = {},
): Promise<Tab> {
  const page = await context.newPage();
  const tab = { page, pageErrors: [] as string[], requestedPaths: [] as string[], posts: [] as Tab['posts'] };
  await page.setViewport({ width, height: 900 });
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: look[1] }]);
  await page.evaluateOnNewDocument(beginning(look[0]));
  if (before !== undefined) await page.evaluateOnNewDocument(before);
  watch(tab, home, excused);
  await page.goto(home + path, { waitUntil: 'load' });
  return {
    ...tab,
    waitUntil: async (condition, timeout = 8000) => {
      await page.waitForFunction(condition, { timeout, polling: 10 }).catch(async () => {
        const text = await page.$eval('body', (body) => body.textContent ?? '');
        throw new Error(`not so: ${condition}\n${text.slice(0, 1500)}`);
      });
    },
    text: (selector = 'main') => page.$eval(selector, (element) => element.textContent ?? ''),
  };
}

function watch(
  { page, pageErrors, requestedPaths, posts }: Omit<Tab, 'waitUntil' | 'text'>,
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
    if (!url.startsWith(home) && !url.startsWith('data:image/svg+xml;base64,'))
      pageErrors.push(`request: ${url}`);
    requestedPaths.push(`${request.method()} ${url.slice(home.length)}`);
  });
  page.on('response', (response) => {
    const request = response.request();
    const path = request.url().slice(home.length);
    if (request.method() !== 'POST' || !response.ok() || !path.startsWith('/api/incidents/')) return;
    posts.push({ path, body: JSON.parse(request.postData() ?? 'null') });
  });
}
