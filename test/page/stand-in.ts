/** Stand-in for the page's server: speaks contract/page-api.ts with canned answers. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { ConfigReply } from '../../agent/contract/config-trial.ts';
import type {
  CameraStreams,
  EnrolmentView,
  FoundCamera,
  Hello,
  PageState,
  PreviewHeader,
} from '../../agent/contract/page-api.ts';
import type { AuthorisationView, NoPicture, ReceiptView, WalkView } from '../../agent/contract/page-link.ts';
import type { Proposable, Proposal } from '../../agent/contract/proposal.ts';
import { EVENT } from '../lib/local-status.ts';
import { ROOT } from '../lib/paths.ts';
import { AUTHORISATION, CAMERA, cannedAgent, cannedTracks, INSTALLED } from './canned.ts';

/** Header that the page's server sends with every file. */
const CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";
const FILES: Readonly<Record<string, readonly [file: string, type: string]>> = {
  '/': ['index.html', 'text/html; charset=utf-8'],
  '/app.js': ['app.js', 'text/javascript'],
  '/style.css': ['style.css', 'text/css'],
};
const ENROLMENT: EnrolmentView = { state: 'enrolled', reason: null, notAfter: '2027-11-24T00:00:00.000Z' };
const FRAME_MS = 200;
const CAMERAS: FoundCamera[] = [{ name: 'IPC-4', address: '192.0.2.7:8000' }];

const streamsAt = (host: string): CameraStreams => ({
  source: `rtsp://admin:secret@${host}/live`,
  substream: `rtsp://admin:secret@${host}/small`,
});

type Answer = readonly [status: number, body: unknown];

export class StandIn {
  paired = true;
  /** Remaining answers to pairing requests, used from the end. */
  pairing: Answer[] = [];
  authorisation: AuthorisationView | null = AUTHORISATION;
  brokerFails = true;
  /** Number of state requests that the agent leaves unanswered. */
  agentBusy = 0;
  isMoved = false;
  /** Reason why root's program does not answer, or null. */
  configReason: string | null = null;
  /** Number of acts that the box carries out without its answer reaching the phone. */
  lostAnswers = 0;
  trialS = 120;
  problems: ConfigReply['problems'] = [];
  installed: Proposable = INSTALLED;
  walk: WalkView | null = null;
  receipt: ReceiptView | null = null;
  receiptWaits = false;
  /** Method, path and body of each request except those for the state. */
  readonly requests: string[] = [];
  readonly proposals: Proposal[] = [];
  #noPicture: NoPicture | undefined;
  #trial: { id: string; untilMs: number; before: Proposable } | undefined;
  readonly #jpeg: Buffer;
  /** True while the network delivers no frame, and no end of the stream either. */
  isStalled = false;
  readonly #viewers = new Set<ServerResponse>();
  readonly #server = createServer((request, response) => void this.#serve(request, response));
  #frames = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(jpeg: Buffer) {
    this.#jpeg = jpeg;
  }

  /** Starts the server; returns its address. */
  async start(): Promise<string> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    this.#timer = setInterval(() => {
      this.#frames += 1;
      if (!this.isStalled) for (const viewer of this.#viewers) this.#send(viewer);
    }, FRAME_MS);
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`;
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  set noPicture(reason: NoPicture | undefined) {
    this.#noPicture = reason;
    for (const viewer of this.#viewers) this.#send(viewer);
  }

  get viewers(): number {
    return this.#viewers.size;
  }

  #send(viewer: ServerResponse): void {
    const header: PreviewHeader =
      this.#noPicture === undefined
        ? {
            picture: true,
            widthPx: 768,
            heightPx: 576,
            atMs: this.#frames * FRAME_MS,
            tracks: cannedTracks(this.#frames),
          }
        : { picture: false, why: this.#noPicture, reason: 'as the test wants it' };
    const text = Buffer.from(JSON.stringify(header));
    const body = header.picture ? this.#jpeg : Buffer.alloc(0);
    viewer.write(Buffer.concat([lengthOf(text), text, lengthOf(body), body]));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://box');
    const file = FILES[pathname];
    response.setHeader('content-security-policy', CSP);
    response.setHeader('x-content-type-options', 'nosniff');
    if (file !== undefined) {
      response.setHeader('content-type', file[1]);
      response.end(readFileSync(join(ROOT, 'dist/agent/page/app', file[0])));
      return;
    }
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    if (pathname !== '/api/state')
      this.requests.push(`${request.method} ${pathname}${request.url?.slice(pathname.length)} ${text}`);
    if (pathname === '/api/preview' && this.paired) {
      response.setHeader('content-type', 'application/octet-stream');
      response.flushHeaders();
      this.#viewers.add(response);
      response.on('close', () => this.#viewers.delete(response));
      this.#send(response);
      return;
    }
    if (pathname === '/api/receipt.jpg') {
      response.setHeader('content-type', 'image/jpeg');
      response.end(this.#jpeg);
      return;
    }
    const language = searchParams.get('language') === 'fr' ? 'fr' : 'en';
    const [status, body] = this.#answer(pathname, language, text === '' ? {} : (JSON.parse(text) as object));
    if (request.method === 'POST' && this.lostAnswers > 0) {
      this.lostAnswers -= 1;
      // Broken off after its head: a browser repeats a request on its own if a used connection ends without one.
      response.writeHead(200, { 'content-length': '1000' });
      response.write('{', () => response.destroy());
      return;
    }
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(body));
  }

  #answer(path: string, language: 'fr' | 'en', body: object): Answer {
    if (path === '/api/hello') return [200, this.#hello()];
    if (path === '/api/pair') {
      const answer = this.pairing.shift() ?? [200, {}];
      this.paired ||= answer[0] === 200;
      return answer;
    }
    if (!this.paired) return [401, { error: 'unpaired' }];
    switch (path) {
      case '/api/state':
        return [200, this.#state(language)];
      case '/api/unpair':
        this.paired = false;
        return [200, {}];
      case '/api/code':
        return [200, { code: '7XKQ-93MD-22PV-H0TT', minutes: 15 }];
      case '/api/view/confirm':
        this.isMoved = false;
        return [200, {}];
      case '/api/cameras':
        return [200, { cameras: CAMERAS }];
      case '/api/cameras/stream':
        return [200, streamsAt((body as FoundCamera).address.split(':')[0] ?? '')];
      case '/api/receipt':
        this.receiptWaits = true;
        return [200, {}];
      case '/api/walk/start':
        this.#walkStart(body as { rule: string; passes: number });
        return [200, {}];
      case '/api/walk/answer':
        this.#walkAnswer();
        return [200, {}];
      default:
        return [200, this.#config(path, body)];
    }
  }

  #hello(): Hello {
    return { site: 'marseille-1', box: 'square-1', paired: this.paired, version: '0.1.0' };
  }

  #state(language: 'fr' | 'en'): PageState {
    const agent = cannedAgent(language, this.brokerFails);
    const movedEvent = { ...EVENT, kind: 'moved', severity: 'system', subject: 'camera' } as const;
    const status = { ...agent.status, standing: this.isMoved ? [movedEvent] : [] };
    const config = this.#reply();
    const { configReason } = this;
    const parts = {
      config: configReason === null ? config : null,
      configReason,
      enrolment: ENROLMENT,
      sessionLeftS: 27_000,
    };
    if (this.agentBusy > 0) {
      this.agentBusy -= 1;
      return { agent: null, agentReason: 'the agent has not answered in 5 s', ...parts };
    }
    return {
      agent: {
        ...agent,
        status,
        order: this.authorisation,
        walk: this.walk,
        receipt: this.receipt,
        receiptWaits: this.receiptWaits,
        configSha256: config.sha256,
      },
      agentReason: null,
      ...parts,
    };
  }

  #config(path: string, body: object): ConfigReply {
    if (path.endsWith('/check')) return { ...this.#reply(), problems: this.problems };
    if (path.endsWith('/try')) {
      const proposal = body as Proposal;
      this.proposals.push(proposal);
      if (this.problems.length > 0) return { ...this.#reply(), problems: this.problems };
      const { source: _source, substream: _substream, groundPlane = null, ...otherFields } = proposal;
      this.#trial = {
        id: '00112233445566aa',
        untilMs: Date.now() + this.trialS * 1000,
        before: this.installed,
      };
      this.installed = { cameraAddress: CAMERA, groundPlane, ...otherFields };
    }
    const { trial } = body as { trial?: string };
    if (trial !== undefined && trial !== this.#trial?.id)
      return { ...this.#reply(), refused: `no trial ${trial} runs` };
    if (path.endsWith('/keep')) this.#trial = undefined;
    if (path.endsWith('/revert')) this.#goBack();
    return this.#reply();
  }

  #goBack(): void {
    if (this.#trial !== undefined) this.installed = this.#trial.before;
    this.#trial = undefined;
  }

  #reply(): ConfigReply {
    const leftS = ((this.#trial?.untilMs ?? 0) - Date.now()) / 1000;
    if (leftS <= 0) this.#goBack();
    const sha256 = createHash('sha256').update(JSON.stringify(this.installed)).digest('hex');
    return {
      refused: null,
      problems: [],
      installed: this.installed,
      sha256,
      shownSha256: sha256,
      trial: this.#trial === undefined ? null : { id: this.#trial.id, leftS },
    };
  }

  #walkStart({ rule, passes }: { rule: string; passes: number }): void {
    this.walk = { rule, passes, phase: 'ready', outcomes: [], passedS: 0, windowS: 33, last: null };
  }

  /** A pass is watched until the test sets its outcome. */
  #walkAnswer(): void {
    if (this.walk === null) return;
    const { phase } = this.walk;
    if (phase === 'done') this.walk = { ...this.walk, phase: 'kept' };
    else this.walk = { ...this.walk, phase: 'watching', passedS: 4 };
  }

  passed(outcome: 'seen' | 'missed'): void {
    if (this.walk === null) return;
    const outcomes = [...this.walk.outcomes, outcome];
    this.walk = {
      ...this.walk,
      outcomes,
      phase: outcomes.length === this.walk.passes ? 'done' : 'ready',
      last: { code: outcome, seconds: outcome === 'seen' ? 5.2 : null },
    };
  }
}

function lengthOf({ length }: Buffer): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(length);
  return bytes;
}
