/** The technician's page under test, with an agent and a helper that speak its contracts at the other ends. */
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { connect, type TLSSocket } from 'node:tls';
import type { Test } from 'tap';
import { LinkEnd } from '../../agent/base/link-end.ts';
import type { Logger } from '../../agent/base/log.ts';
import type { ConfigReply, ConfigRequest } from '../../agent/contract/config-trial.ts';
import { type AgentView, FromPage, type ToPage } from '../../agent/contract/page-link.ts';
import { makeSetupCode, setupCodeHash } from '../../agent/contract/setup-code.ts';
import { PAGE_LIMITS, type PageLimits, PageServer } from '../../agent/page/server/page-server.ts';
import { STATUS } from './local-status.ts';
import { HandClock } from './outbox.ts';
import { scratch } from './paths.ts';
import { rectangle } from './shapes.ts';

export const VIEW: AgentView = {
  site: 'marseille-1',
  box: 'canebiere-017',
  version: '0.1.0',
  mode: 'active',
  reason: null,
  order: {
    order: '2026/1234',
    authority: 'Préfecture des Bouches-du-Rhône',
    camera: 'rtsp://10.0.0.2/1',
    notAfter: '2027-11-24T00:00:00.000Z',
    installation: false,
    rules: [],
    outlines: [],
    masks: [],
  },
  refusedRules: [],
  detectorInputPx: [416, 256],
  timeZone: 'Europe/Paris',
  running: { zones: [], lines: [], masks: [] },
  configSha256: 'a'.repeat(64),
  preview: { running: false, leftS: 600, leftTodayS: 3600, viewers: 0 },
  walk: null,
  receipt: null,
  receiptWaits: false,
  findings: [{ name: 'camera', verdict: 'ok', detail: '25 frames a second', fix: null }],
  status: STATUS,
};

export const REPLY: ConfigReply = {
  refused: null,
  problems: [],
  installed: {
    cameraAddress: 'rtsp://10.0.0.2/1',
    groundPlane: null,
    zones: [
      {
        id: 'forecourt',
        polygon: rectangle(0.1, 0.1, 0.9, 0.9),
      },
    ],
    lines: [],
    masks: [],
    rules: [
      {
        id: 'long-stay',
        kind: 'loitering',
        purpose: 'safety',
        zone: 'forecourt',
        classes: ['person'],
        afterS: 120,
      },
    ],
  },
  sha256: 'a'.repeat(64),
  shownSha256: 'b'.repeat(64),
  trial: null,
};

/** The agent's end of page.sock. */
export class PeerAgent {
  readonly requests: FromPage[] = [];
  readonly #file: string;
  readonly #ends = new Map<Socket, LinkEnd<typeof FromPage>>();
  #server: Server | undefined;
  /** Its reply to a request; undefined sends none. */
  answer: (message: FromPage) => Pick<Extract<ToPage, { kind: 'answer' }>, 'refused' | 'state'> | undefined =
    ({ ask }) => ({ refused: null, state: ask.op === 'state' ? VIEW : null });

  constructor(file: string) {
    this.#file = file;
  }

  async start(): Promise<void> {
    this.#server = createServer((socket) => {
      const end = new LinkEnd(socket, FromPage, {
        onMessage: ({ message }) => {
          this.requests.push(message);
          const reply = this.answer(message);
          if (reply !== undefined)
            this.say({
              kind: 'answer',
              request: message.request,
              refused: reply.refused,
              state: reply.state,
            });
        },
        onClosed: () => this.#ends.delete(socket),
      });
      this.#ends.set(socket, end);
    }).listen(this.#file);
    await once(this.#server, 'listening');
  }

  get connected(): boolean {
    return this.#ends.size > 0;
  }

  /** Sends a message to all connected pages; any object, so that tests can send what no agent would. */
  say(message: object, binary: Uint8Array = new Uint8Array(0)): void {
    const header = Buffer.from(JSON.stringify(message));
    const lengths = Buffer.alloc(8);
    lengths.writeUInt32BE(4 + header.length + binary.length, 0);
    lengths.writeUInt32BE(header.length, 4);
    for (const end of this.#ends.values()) end.send(Buffer.concat([lengths, header, binary]));
  }

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    const closed = once(server, 'close');
    server.close();
    for (const socket of this.#ends.keys()) socket.destroy();
    await closed;
  }
}

/** Root's helper, which replies to each line with a line. */
export class PeerHelper {
  readonly requests: ConfigRequest[] = [];
  answer: (request: ConfigRequest) => unknown = () => REPLY;
  readonly #server: Server;

  constructor(file: string) {
    this.#server = createServer((socket) => {
      let text = '';
      socket.on('error', () => socket.destroy());
      socket.on('data', (chunk) => {
        text += String(chunk);
        if (!text.endsWith('\n')) return;
        const request = JSON.parse(text) as ConfigRequest;
        this.requests.push(request);
        const reply = this.answer(request);
        socket.end(typeof reply === 'string' ? reply : `${JSON.stringify(reply)}\n`);
      });
    }).listen(file);
  }

  stop(): void {
    this.#server.close();
  }
}

export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  // biome-ignore lint/suspicious/noExplicitAny: a test looks into what it expects
  readonly json: any;
}

export interface Asking {
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string | undefined>>;
}

/** A browser as far as the page can tell: it sends its origin, and stores the cookie. */
export class Phone {
  cookie: string | undefined;
  readonly #page: Page;
  readonly #from: string | undefined;

  constructor(page: Page, from?: string) {
    this.#page = page;
    this.#from = from;
  }

  get(path: string, asking: Asking = {}): Promise<Reply> {
    return this.ask('GET', path, asking);
  }

  post(path: string, body: unknown = {}, headers: Asking['headers'] = {}): Promise<Reply> {
    return this.ask('POST', path, { body, headers });
  }

  async pair(code = this.#page.code): Promise<Reply> {
    return this.post('/api/pair', { code });
  }

  async ask(method: string, path: string, { body, headers = {} }: Asking): Promise<Reply> {
    const { port, dir } = this.#page;
    const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
    const all: Record<string, string | undefined> = {
      Host: `localhost:${port}`,
      'Sec-Fetch-Site': 'same-origin',
      ...(method === 'POST' && { Origin: `https://localhost:${port}`, 'Content-Type': 'application/json' }),
      ...(text !== undefined && { 'Content-Length': String(Buffer.byteLength(text)) }),
      ...(this.cookie !== undefined && { Cookie: this.cookie }),
      ...headers,
    };
    const headerFields = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
    const outgoing = request({
      host: '127.0.0.1',
      port,
      servername: 'localhost',
      ca: readFileSync(join(dir, 'state', 'page.crt')),
      method,
      path,
      agent: false,
      localAddress: this.#from,
      headers: headerFields as never,
    }).end(text);
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
    const content = await buffer(response);
    this.cookie = response.headers['set-cookie']?.[0]?.split(';')[0] ?? this.cookie;
    return {
      status: response.statusCode ?? 0,
      headers: response.headers,
      body: content,
      json: response.headers['content-type'] === 'application/json' ? JSON.parse(String(content)) : undefined,
    };
  }
}

/** Key and certificate that the first page of this process has made; the others begin with them. */
const ownPair = new Map<string, Buffer>();

export class Page {
  readonly dir: string;
  readonly code = makeSetupCode();
  readonly clock = new HandClock();
  readonly lines: string[] = [];
  readonly agent: PeerAgent;
  readonly helper: PeerHelper;
  readonly #limits: PageLimits;
  #server: PageServer | undefined;

  constructor(dir: string, limits: Partial<PageLimits>) {
    this.dir = dir;
    for (const folder of ['state', 'room', 'app']) mkdirSync(join(dir, folder));
    writeFileSync(join(dir, 'app', 'index.html'), `<!doctype html><title>Vigie</title>${'<p>'.repeat(200)}`);
    for (const name of ['app.js', 'style.css']) writeFileSync(join(dir, 'app', name), `/* ${name} */`);
    for (const [name, content] of ownPair) writeFileSync(join(dir, 'state', name), content, { mode: 0o600 });
    this.offer(this.code);
    this.agent = new PeerAgent(join(dir, 'page.sock'));
    this.helper = new PeerHelper(join(dir, 'config.sock'));
    const unlimited = { burst: 1e9, perS: 1e9 };
    this.#limits = {
      ...PAGE_LIMITS,
      connectionsOfOneMax: 1000,
      connections: unlimited,
      requests: unlimited,
      ...limits,
    };
  }

  get port(): number {
    return this.#server?.port ?? 0;
  }

  get usedCodesFile(): string {
    return join(this.dir, 'state', 'used-codes.json');
  }

  /** A phone with an address of its own where `from` is given. */
  phone(from?: string): Phone {
    return new Phone(this, from);
  }

  /** Writes the code's hash where the page looks for it. */
  offer(code: string): void {
    const content = { version: 1, sha256: setupCodeHash(code), made: '2026-11-24T00:00:00.000Z' };
    writeFileSync(join(this.dir, 'room', 'setup-code.json'), JSON.stringify(content));
  }

  async start(): Promise<void> {
    const keep = (fields: object, message: string): void =>
      void this.lines.push(`${message} ${JSON.stringify(fields)}`);
    const log: Logger = { error: keep, warn: keep, info: keep, debug: keep };
    this.#server = new PageServer({
      listen: { host: '127.0.0.1', port: 0 },
      appDir: join(this.dir, 'app'),
      stateDir: join(this.dir, 'state'),
      setupCodeFile: join(this.dir, 'room', 'setup-code.json'),
      agentSocket: join(this.dir, 'page.sock'),
      configSocket: join(this.dir, 'config.sock'),
      enrolStatusFile: join(this.dir, 'status.json'),
      version: '0.1.0',
      clock: this.clock,
      log,
      cameras: { interfaces: ['lo'], allows: (host) => host === '127.0.0.1' },
      limits: this.#limits,
    });
    await this.#server.start();
  }

  async stop(): Promise<void> {
    await this.#server?.stop();
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  /** A connection on which anything can be sent. */
  async raw(): Promise<TLSSocket> {
    const socket = connect({ host: '127.0.0.1', port: this.port, rejectUnauthorized: false });
    socket.on('error', () => socket.destroy());
    await new Promise((resolve) => socket.once('secureConnect', resolve).once('close', resolve));
    return socket;
  }

  /** Sends text, and returns everything received until the connection ends. */
  async send(text: string | Buffer): Promise<string> {
    const socket = await this.raw();
    let output = '';
    socket.on('data', (chunk) => {
      output += String(chunk);
    });
    socket.write(text);
    await closed(socket);
    return output;
  }
}

/** Resolves when the socket is closed by any means: a refused client may be reset. */
export function closed(socket: TLSSocket): Promise<void> {
  if (socket.destroyed) return Promise.resolve();
  return new Promise((resolve) => socket.once('close', () => resolve()));
}

export async function openPage(t: Test, limits: Partial<PageLimits> = {}): Promise<Page> {
  const page = new Page(scratch(t), limits);
  await page.agent.start();
  await page.start();
  for (const name of ['page.key', 'page.crt']) ownPair.set(name, readFileSync(join(page.dir, 'state', name)));
  t.teardown(async () => {
    await page.stop();
    await page.agent.stop();
    page.helper.stop();
  });
  return page;
}

/** A page with a phone that is paired. */
export async function openPaired(
  t: Test,
  limits: Partial<PageLimits> = {},
): Promise<{ page: Page; phone: Phone }> {
  const page = await openPage(t, limits);
  const phone = page.phone();
  await phone.pair();
  return { page, phone };
}
