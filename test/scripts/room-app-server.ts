/** A small server of the room's interface with a few incidents, for the app alone; the room's own has its own tests. */
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Login, Session } from '../../scripts/programs/room/contract/api.ts';
import type { Incident, IncidentDetail, Queue } from '../../scripts/programs/room/contract/incident.ts';
import type { Role } from '../../scripts/programs/room/contract/roles.ts';
import { CLAIM_S } from '../../scripts/programs/room/contract/terms.ts';
import { ROOT } from '../lib/paths.ts';

const APP = join(ROOT, 'dist/scripts/programs/room/app');
const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'";

export function incidentOf(no: number, more: Partial<Incident> = {}): Incident {
  const received = new Date(Date.now() - 20_000).toISOString();
  return {
    ...{
      no,
      rev: no,
      revision: 0,
      site: 'centre',
      box: `cam-${no % 7}`,
      episode: `e-${no}`,
      severity: 'alert',
    },
    ...{
      priority: 2,
      kind: 'illegal-parking',
      rule: 'tram-track',
      place: 'zone/tram-stop',
      started: received,
    },
    ...{ ended: null, received, clockDoubt: false, objects: [{ label: 'car', track: 94371 }] },
    ...{
      cause: { stoodS: 62.4, presence: 'seen' },
      events: 1,
      still: 'a.jpg',
      state: 'new',
      claimedBy: null,
    },
    ...{ claimedUntil: null, dispatchedBy: null, dispatchedAt: null, verdict: null, verdictAt: null },
    ...{ closedAt: null, reopens: null },
    ...more,
  } as Incident;
}

export class AppServer {
  readonly incidents = new Map<number, Incident>();
  readonly posts: { readonly path: string; readonly body: unknown }[] = [];
  readonly stills: string[] = [];
  readonly streams = new Set<ServerResponse>();
  readonly #server: Server;
  readonly #jpeg: Buffer;
  user: { readonly name: string; readonly role: Role } | undefined = { name: 'Nadia', role: 'operator' };
  /** Somebody has acted meanwhile: the next act is refused with it. */
  first: Incident | undefined;
  answerMs = 0;
  opened = 0;
  #rev = 1000;

  constructor(jpeg: Buffer) {
    this.#jpeg = jpeg;
    this.#server = createServer((request, response) => void this.#answer(request, response));
  }

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  put(...incidents: Incident[]): Incident[] {
    const told = incidents.map((incident) => ({ ...incident, rev: ++this.#rev }));
    for (const incident of told) this.incidents.set(incident.no, incident);
    this.say('incidents', told);
    return told;
  }

  say(event: string, data: unknown): void {
    for (const stream of this.streams)
      stream.write(`id: ${this.#rev}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://room');
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    const body = text === '' ? undefined : (JSON.parse(text) as Record<string, unknown>);
    if (!pathname.startsWith('/api/')) return this.#file(pathname, response);
    if (pathname === '/api/login') return this.#login(body, response);
    if (this.user === undefined) return this.#json(response, 401, { type: '', title: 'log in', status: 401 });
    if (pathname === '/api/session') return this.#json(response, 200, this.#session());
    if (pathname === '/api/queue') return this.#queue(response);
    if (pathname === '/api/stream') return this.#stream(Number(searchParams.get('after')), response);
    const [, no = '', act = ''] = /^\/api\/incidents\/(\d+)\/?(.*)$/.exec(pathname) ?? [];
    const incident = this.incidents.get(Number(no));
    if (incident === undefined) return this.#json(response, 404, { type: '', title: 'no', status: 404 });
    if (act.startsWith('stills/')) return this.#still(pathname, response);
    if (act === '') return this.#json(response, 200, this.#detail(incident));
    if (this.answerMs > 0) await new Promise((resolve) => setTimeout(resolve, this.answerMs));
    this.posts.push({ path: pathname, body });
    return this.#act(incident, act, body ?? {}, response);
  }

  #act(incident: Incident, act: string, body: Record<string, unknown>, response: ServerResponse): void {
    const { first } = this;
    this.first = undefined;
    if (first !== undefined || ('revision' in body && body['revision'] !== incident.revision)) {
      const now = first ?? incident;
      if (first !== undefined) this.put(first);
      this.#json(response, 409, { type: '', title: 'changed', status: 409, incident: now });
      return;
    }
    const who = this.user?.name ?? '';
    const at = new Date().toISOString();
    const until = new Date(Date.now() + CLAIM_S * 1000).toISOString();
    const changes: Record<string, Partial<Incident>> = {
      claim: { state: 'claimed', claimedBy: who, claimedUntil: until },
      release: { state: 'new', claimedBy: null, claimedUntil: null },
      dispatch: { state: 'dispatched', dispatchedBy: who, dispatchedAt: at },
      verdict: { state: 'closed', verdict: body['verdict'] as 'true', verdictAt: at, closedAt: at },
      note: {},
    };
    const [now] = this.put({ ...incident, ...changes[act], revision: incident.revision + 1 });
    this.#json(response, 200, now);
  }

  #session(): Session {
    const { name = '', role = 'operator' } = this.user ?? {};
    const now = new Date().toISOString();
    return {
      ...{ user: name, role, ends: now, now, timeZone: 'Europe/Brussels', people: ['Nadia', 'Omar'] },
      ...{ signer: true, plan: true, demo: true },
    };
  }

  #login(body: Record<string, unknown> | undefined, response: ServerResponse): void {
    const accounts = [
      { name: 'Nadia', role: 'operator' },
      { name: 'Omar', role: 'supervisor' },
      { name: 'Anna', role: 'auditor' },
    ] as const;
    if (body === undefined) {
      const login: Login = { method: 'local', accounts: [...accounts] };
      this.#json(response, 200, login);
      return;
    }
    this.user = accounts.find(({ name }) => name === body['name']);
    this.#json(response, 200, this.#session());
  }

  #queue(response: ServerResponse): void {
    const open = [...this.incidents.values()].filter(({ state }) => state !== 'closed');
    const incidents = open.slice(0, 2000);
    const queue: Queue = { rev: this.#rev, incidents, more: open.length - incidents.length };
    this.#json(response, 200, queue);
  }

  #stream(after: number, response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    const missed = [...this.incidents.values()].filter(({ rev }) => rev > after);
    response.write(`event: incidents\ndata: ${JSON.stringify(missed)}\n\n`);
    this.streams.add(response);
    this.opened += 1;
    response.on('close', () => this.streams.delete(response));
  }

  #detail(incident: Incident): IncidentDetail {
    const { received } = incident;
    const still = { name: 'a.jpg', time: received, here: true };
    return {
      ...{
        incident,
        stillAbsent: null,
        purpose: 'tram traffic',
        legalBasis: 'Council decision 2026-114, §3',
      },
      stills: [
        { ...still, moment: 'before', sha256: 'a'.repeat(64) },
        { ...still, moment: 'deposit', sha256: 'b'.repeat(64) },
        { ...still, moment: 'snapshot', sha256: 'c'.repeat(64) },
      ],
      ...{ validUntil: '2027-06-30T22:00:00.000Z', seen: [], where: null, degraded: ['defocused'] },
      ...{ event: 'ev-1', sealed: true },
      precision: { alerts: 80, true: 48, false: 9, unclear: 3, share: 0.842, low: 0.726, high: 0.915 },
      notes: [{ at: received, who: 'Omar', text: 'The same delivery van as <b>yesterday</b>.' }],
      nearby: [{ ...incident, no: 9001, state: 'closed', verdict: 'false', kind: 'line-crossing' }],
    };
  }

  #still(path: string, response: ServerResponse): void {
    this.stills.push(path);
    response.writeHead(200, { 'content-type': 'image/jpeg' });
    response.end(this.#jpeg);
  }

  #json(response: ServerResponse, status: number, body: unknown): void {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(body));
  }

  #file(path: string, response: ServerResponse): void {
    const type = path === '/app.js' ? 'text/javascript' : path === '/style.css' ? 'text/css' : 'text/html';
    const name = type === 'text/html' ? 'index.html' : path.slice(1);
    response.writeHead(200, { 'content-type': type, 'content-security-policy': CSP });
    response.end(readFileSync(join(APP, name)));
  }
}
