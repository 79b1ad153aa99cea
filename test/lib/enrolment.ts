/** A room's enrolment service in this process and new boxes that call it, with real certificates, sockets and files. */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import type { IncomingHttpHeaders } from 'node:http';
import { request } from 'node:https';
import { join } from 'node:path';
import type { Test } from 'tap';
import { systemClock } from '../../agent/base/clock.ts';
import type { KeyPair } from '../../scripts/lib/certificates.ts';
import { Mosquitto } from '../../scripts/lib/mosquitto.ts';
import type { Authority } from '../../scripts/products/room/enrol/authority.ts';
import { Enrolment } from '../../scripts/products/room/enrol/enrolment.ts';
import { EnrolServer, type Limits } from '../../scripts/products/room/enrol/server.ts';
import type { EnrolStore } from '../../scripts/products/room/enrol/store.ts';
import { type EnrolOptions, enrol } from '../../scripts/products/root/enrolment/enrol.ts';
import { EnrolFiles } from '../../scripts/products/root/enrolment/enrol-files.ts';
import { EnrolReport } from '../../scripts/products/root/enrolment/enrol-report.ts';
import { scratch } from './paths.ts';

export const SITE = 'marseille-1';
export const BOX = 'canebiere-017';

export function ssl(args: readonly string[], input?: string | Buffer): Buffer {
  return execFileSync('openssl', args, { input, stdio: ['pipe', 'pipe', 'pipe'] });
}

export function newKey(file: string): string {
  writeFileSync(file, ssl(['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256']), {
    mode: 0o600,
  });
  return file;
}

export function csrOf(keyFile: string, commonName: string): Buffer {
  return ssl(['req', '-new', '-key', keyFile, '-subj', `/CN=${commonName}`, '-outform', 'DER']);
}

export class TestRoom {
  readonly dir: string;
  readonly enrolment: Enrolment;
  readonly log: string[] = [];
  /** Offset of the room's wall clock, in ms. */
  aheadMs = 0;
  port = 0;
  readonly #limits: Partial<Limits>;
  #server: EnrolServer | undefined;

  constructor(t: Test, limits: Partial<Limits> = { perAddress: { burst: 10_000, perS: 10_000 } }) {
    this.dir = scratch(t);
    Enrolment.make(this.dir, 'test room', Date.now());
    this.enrolment = new Enrolment(this.dir);
    this.#limits = limits;
    t.teardown(async () => {
      await this.stop();
      this.enrolment.close();
    });
  }

  get authority(): Authority {
    return this.enrolment.authority;
  }

  get store(): EnrolStore {
    return this.enrolment.store;
  }

  /** Path of a file that broker and archive read. */
  list(name: string): string {
    return join(this.dir, 'boxes', name);
  }

  /** Key and certificate for a server on this machine. */
  server(name = 'server'): { cert: string; key: string } {
    const key = newKey(join(this.dir, `${name}.key`));
    const profile = { use: 'server', commonName: 'localhost', names: ['DNS:localhost'], days: 30 } as const;
    const { pem } = this.authority.issue(csrOf(key, 'localhost'), profile, Date.now());
    writeFileSync(join(this.dir, `${name}.crt`), pem);
    return { cert: pem, key: readFileSync(key, 'utf8') };
  }

  async start(): Promise<void> {
    this.#server = new EnrolServer({
      authority: this.authority,
      store: this.store,
      tls: this.server(),
      days: 365,
      limits: this.#limits,
      onEnrolled: () => this.enrolment.writeBoxes(),
      clock: { nowMs: () => systemClock.nowMs(), wallMs: () => Date.now() + this.aheadMs },
      log: (line) => this.log.push(line),
    });
    this.port = await this.#server.start(this.port, '127.0.0.1');
  }

  async stop(): Promise<void> {
    await this.#server?.stop();
    this.#server = undefined;
  }

  get url(): string {
    return `https://localhost:${this.port}`;
  }

  get ca(): Buffer {
    return readFileSync(join(this.dir, 'ca.crt'));
  }

  /** Gets a certificate by a token, as a box gets its own. */
  enrol(box: string, site = SITE): KeyPair {
    const [nowMs, key] = [Date.now(), newKey(join(this.dir, `${box}.key`))];
    const profile = { use: 'client', commonName: box, days: 365 } as const;
    const issue = () => this.authority.issue(csrOf(key, box), profile, nowMs);
    const asking = { box, key: randomBytes(32).toString('hex'), nowMs, issue };
    const enrolled = this.store.byToken(this.store.makeToken(site, box, nowMs).token, asking);
    if (enrolled.state !== 'issued') throw new Error(`${box}: ${enrolled.state}`);
    this.enrolment.writeBoxes();
    const cert = join(this.dir, `${box}.crt`);
    writeFileSync(cert, enrolled.pem);
    return { cert, key };
  }

  /** Certificate, key and rights of a program, `ROLE.NAME`. */
  program(name: string): KeyPair {
    const { enrolment } = this;
    const [nowMs, key] = [Date.now(), newKey(join(this.dir, `program-${name}.key`))];
    const profile = { use: 'client', commonName: name, days: 30 } as const;
    const issue = () => enrolment.programs.issue(csrOf(key, name), profile, nowMs);
    const { pem } = this.store.record('program', {
      box: name,
      key: randomBytes(32).toString('hex'),
      nowMs,
      issue,
    });
    enrolment.writeBoxes();
    const cert = join(this.dir, `program-${name}.crt`);
    writeFileSync(cert, pem);
    return { cert, key };
  }

  /** A running broker with the lists that this enrolment writes. */
  async broker(t: Test): Promise<Mosquitto> {
    this.server('broker');
    const [cert, key, ca] = ['broker.crt', 'broker.key', 'ca.crt'].map((name) => join(this.dir, name)) as [
      string,
      string,
      string,
    ];
    const programsCa = join(this.dir, 'programs/ca.crt');
    const lists = { crl: this.list('revoked.pem'), programsCrl: this.list('programs-revoked.pem') };
    const aclFile = this.list('broker.acl');
    const broker = new Mosquitto({ dir: scratch(t), tls: { cert, key, ca, programsCa, ...lists }, aclFile });
    t.teardown(() => broker.stop());
    await broker.start();
    return broker;
  }

  token(box = BOX): string {
    return this.store.makeToken(SITE, box, Date.now() + this.aheadMs).token;
  }
}

export interface Reply {
  readonly method?: string;
  readonly body?: string | Buffer;
  readonly headers?: Readonly<Record<string, string>>;
  readonly login?: string;
  readonly pair?: { readonly cert: string; readonly key: string };
}

/** Sends one HTTPS request, as any client might; status 0 where the connection is cut. */
export function ask(
  room: TestRoom,
  path: string,
  { method = 'POST', body = '', headers = {}, login, pair }: Reply,
): Promise<{ status: number; text: string; headers: IncomingHttpHeaders }> {
  return new Promise((resolve) => {
    const outgoing = request(`${room.url}${path}`, {
      method,
      ca: room.ca,
      agent: false,
      headers,
      ...(login !== undefined && { auth: login }),
      ...pair,
    });
    const reportCut = (): void => resolve({ status: 0, text: '', headers: {} });
    outgoing.on('error', reportCut);
    outgoing.on('response', (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('error', reportCut);
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, text, headers: response.headers }),
      );
    });
    outgoing.end(body);
  });
}

/** A new box: /etc/vigie and the folder on the card. */
export class NewBox {
  readonly etc: string;
  readonly card: string;
  readonly statusFile: string;
  readonly output: string[] = [];
  /** Waits between requests, ms. */
  readonly waits: number[] = [];

  constructor(t: Test, room: TestRoom, token: string | null = null) {
    const dir = scratch(t);
    this.etc = join(dir, 'etc');
    this.card = join(dir, 'card');
    this.statusFile = join(dir, 'run/status.json');
    for (const folder of [join(this.etc, 'pki'), this.card]) mkdirSync(folder, { recursive: true });
    writeFileSync(join(this.etc, 'pki/ca.crt'), room.ca);
    this.request(room, token);
  }

  request(room: TestRoom, token: string | null): void {
    const request = { version: 1, site: SITE, box: BOX, url: room.url, token };
    writeFileSync(join(this.etc, 'enrol.json'), JSON.stringify(request), { mode: 0o600 });
  }

  file(name: string): string {
    return join(this.etc, 'pki', name);
  }

  /** Enrols until the box has its certificate. `onWait` is called instead of waiting; false ends the attempt. */
  async enrol(onWait: (waitMs: number) => Promise<boolean | undefined> | boolean | undefined = () => false) {
    const stopping = new AbortController();
    const say = (line: string): void => void this.output.push(line);
    const options: EnrolOptions = {
      files: new EnrolFiles(this.etc),
      report: new EnrolReport({ from: this.card, statusFile: this.statusFile, say }),
      clock: {
        sleep: async (waitMs) => {
          this.waits.push(waitMs);
          if ((await onWait(waitMs)) === false) stopping.abort();
        },
      },
      boxClock: { say },
      signal: stopping.signal,
    };
    return enrol(options);
  }

  get status(): { state: string; reason: string | null } {
    return JSON.parse(readFileSync(this.statusFile, 'utf8')) as { state: string; reason: string | null };
  }

  get result(): string {
    return readFileSync(join(this.card, 'result.txt'), 'utf8');
  }

  get certificate(): string {
    return ssl(['x509', '-in', this.file('box.crt'), '-noout', '-subject', '-serial']).toString();
  }
}

/** Files below a folder that hold a private key. */
export function keysBelow(dir: string): string[] {
  return readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .map((name) => join(dir, name))
    .filter((file) => statSync(file).isFile() && readFileSync(file, 'latin1').includes('PRIVATE KEY'));
}
