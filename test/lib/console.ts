/**
 * A room's console in this process, on a real database, and clients that send requests as a browser or a program would.
 */
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import http, { type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import type { Test } from 'tap';
import { partsOf } from '../../scripts/products/room/console/parts.ts';
import { changesSince } from '../../scripts/products/room/console/queue.ts';
import type { DataHandlers } from '../../scripts/products/room/console/routes.ts';
import { ConsoleServer } from '../../scripts/products/room/console/server.ts';
import { demoSettings, type Settings } from '../../scripts/products/room/console/settings.ts';
import { readStaticFiles } from '../../scripts/products/room/console/static-files.ts';
import type { ChangesSince } from '../../scripts/products/room/console/stream.ts';
import type { Role } from '../../scripts/products/room/contract/roles.ts';
import { databaseOf } from '../../scripts/products/room/database/open.ts';
import { prepare } from '../../scripts/products/room/database/prepare.ts';
import type { Sql } from '../../scripts/products/room/database/sql.ts';
import { ROOT, scratch } from './paths.ts';

export const TIME_ZONE = 'Europe/Paris';
/** Folder of the built app. */
export const BUILT_APP = join(ROOT, 'dist/scripts/products/room/app');

/** A room's database, closed with the test. */
export async function roomDatabase(t: Test, address: string, nowMs = Date.now()): Promise<Sql> {
  const db = databaseOf(address, ({ message }) => t.comment(`idle: ${message}`));
  t.teardown(() => db.close());
  await prepare(db, TIME_ZONE, nowMs);
  return db;
}

/** A folder with the files that the build would put there. */
export function appFolder(t: Test): string {
  const folder = scratch(t);
  writeFileSync(join(folder, 'index.html'), '<!doctype html><title>Vigie</title>');
  writeFileSync(join(folder, 'app.js'), '// the program\n'.repeat(100));
  for (const name of ['style.css', 'views.css']) writeFileSync(join(folder, name), 'body { margin: 0 }');
  mkdirSync(join(folder, 'chunks'));
  writeFileSync(join(folder, 'chunks/audit-ABCD2345.js'), '// one screen');
  writeFileSync(join(folder, 'chunks/secret.txt'), 'no file of the app');
  return folder;
}

export interface TestConsole {
  /** `http://127.0.0.1:port` */
  readonly url: string;
  readonly server: ConsoleServer;
  /** Messages sent to its operator. */
  readonly notices: string[];
  /** Added to the room's clock. */
  readonly clock: { aheadMs: number };
}

/** A console as the program would serve it with these settings, with `handlers` in the place of its own. */
export function fullConsole(
  t: Test,
  db: Sql,
  settings: Partial<Settings> = {},
  handlers: Partial<DataHandlers> = {},
): Promise<TestConsole> {
  const clock = { aheadMs: 0 };
  const parts = partsOf(db, settingsWith(settings), TIME_ZONE, () => Date.now() + clock.aheadMs);
  return startConsole(t, db, {
    clock,
    settings,
    changesSince: parts.changesSince,
    app: BUILT_APP,
    handlers: { ...parts.handlers, ...handlers },
  });
}

const settingsWith = (change: Partial<Settings>): Settings => ({
  ...demoSettings('unused', '127.0.0.1:0'),
  entryToken: undefined,
  ...change,
});

export async function startConsole(
  t: Test,
  db: Sql,
  options: {
    readonly settings?: Partial<Settings>;
    readonly handlers?: Partial<DataHandlers>;
    readonly changesSince?: ChangesSince;
    readonly app?: string;
    readonly clock?: TestConsole['clock'];
  } = {},
): Promise<TestConsole> {
  const notices: string[] = [];
  const { clock = { aheadMs: 0 } } = options;
  const server = new ConsoleServer({
    settings: settingsWith(options.settings ?? {}),
    db,
    handlers: options.handlers ?? {},
    changesSince: options.changesSince ?? ((rev) => changesSince(db, rev, Date.now())),
    app: readStaticFiles(options.app ?? appFolder(t)),
    timeZone: TIME_ZONE,
    onNotice: (line) => notices.push(line),
    nowMs: () => Date.now() + clock.aheadMs,
  });
  t.teardown(() => server.stop());
  return { url: await server.start(), server, notices, clock };
}

export interface Reply {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: what comes is what the tests look at
  readonly json: any;
}

type Headers = Readonly<Record<string, string>>;

/** Sends one request unchanged; only `Content-Type` is added where there is a body. */
export async function ask(
  url: string,
  { method = 'GET', headers = {}, body }: { method?: string; headers?: Headers; body?: unknown } = {},
): Promise<Reply> {
  const payload = body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body);
  const json = payload === undefined ? {} : { 'content-type': 'application/json' };
  const request = http.request(url, { method, headers: { ...json, ...headers }, agent: false });
  request.end(payload);
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString();
  const isJson = /json/.test(String(response.headers['content-type']));
  const { statusCode = 0, headers: got } = response;
  return { status: statusCode, headers: got, text, json: isJson ? JSON.parse(text) : undefined };
}

/** Headers that a browser on one of the console's own pages sends with a POST. */
export const from = (url: string): Headers => ({
  origin: new URL(url).origin,
  'sec-fetch-site': 'same-origin',
});

/** The first cookie of that name that a reply sets, in the form that is sent back. */
export function cookieOf({ headers }: Reply, name = 'vigie'): string {
  const line = (headers['set-cookie'] ?? []).find((one) => one.startsWith(`${name}=`)) ?? '';
  return line.split(';', 1)[0] ?? '';
}

/** The link that a console started with --demo has printed for anyone who may enter. */
export const linkIn = (output: string): string => /http:\S+\?token=\S+/.exec(output)?.[0] ?? 'http://none';

/** Cookie of a person with an account of the demonstration, entered by its link where it needs one. */
export async function enter(url: string, name: Role | string, link?: string): Promise<string> {
  const by = link === undefined ? {} : { cookie: cookieOf(await ask(link), 'vigie-demo') };
  const headers = { ...from(url), ...by };
  const answer = await ask(`${url}/api/login`, { method: 'POST', headers, body: { name } });
  if (answer.status !== 200) throw new Error(`${name} does not enter: ${answer.text}`);
  return cookieOf(answer);
}

export interface StreamEvent {
  readonly id: number | undefined;
  readonly name: string;
  // biome-ignore lint/suspicious/noExplicitAny: what comes is what the tests look at
  readonly data: any;
}

/** A stream of server-sent events, read as a browser reads it, but without reconnecting. */
export class StreamReader {
  readonly events: StreamEvent[] = [];
  status = 0;
  /** Last event id, as a browser stores it. */
  lastId: number | undefined;
  isOver = false;
  readonly #request: http.ClientRequest;
  #rest = '';

  constructor(url: string, headers: Headers) {
    this.#request = http.get(url, { headers, agent: false }, (response) => {
      this.status = response.statusCode ?? 0;
      response.setEncoding('utf8');
      response.on('data', (text: string) => this.#take(text));
      response.on('close', () => {
        this.isOver = true;
      });
    });
    this.#request.on('error', () => {
      this.isOver = true;
    });
  }

  /** Numbers of all incidents that were received, in the order of arrival. */
  get revs(): number[] {
    return this.events.flatMap(({ name, data }) =>
      name === 'incidents' ? (data as { rev: number }[]).map(({ rev }) => rev) : [],
    );
  }

  names(): string[] {
    return this.events.map(({ name }) => name);
  }

  close(): void {
    this.#request.destroy();
  }

  #take(text: string): void {
    const blocks = (this.#rest + text).split('\n\n');
    this.#rest = blocks.pop() ?? '';
    for (const block of blocks) {
      const fields = new Map(
        block.split('\n').map((line) => {
          const at = line.indexOf(':');
          return [line.slice(0, at), line.slice(at + 1).trim()] as const;
        }),
      );
      const id = fields.get('id');
      if (id !== undefined) this.lastId = Number(id);
      const name = fields.get('event');
      if (name === undefined) continue;
      const data = JSON.parse(fields.get('data') ?? 'null');
      this.events.push({ id: id === undefined ? undefined : Number(id), name, data });
    }
  }
}

/** Reads a stream that is closed with the test. */
export function readStream(
  t: Test,
  url: string,
  cookie: string,
  after?: number,
  lastId?: number,
): StreamReader {
  const query = after === undefined ? '' : `?after=${after}`;
  const last = lastId === undefined ? {} : { 'last-event-id': String(lastId) };
  const reader = new StreamReader(`${url}/api/stream${query}`, { cookie, ...last });
  t.teardown(() => reader.close());
  return reader;
}
