/**
 * Runs a private Mosquitto on free loopback ports, with the configuration that a room gets; for demos, benches and
 * tests.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AgentError, messageOf } from '../../agent/base/errors.ts';
import { packageRoot } from '../../agent/base/package-root.ts';
import { type BoxPlace, brokerAcl, PROGRAM_RULES, ROLES } from './broker-acl.ts';
import { type BrokerTls, RoomAuthorities } from './certificates.ts';
import { systemPath } from './system-path.ts';

const START_WITHIN_MS = 5000;
const RUNNING = ' running';
const STOP_WITHIN_MS = 3000;

/** Configuration of a room, used here with other paths and on the loopback. */
const SHIPPED = join(packageRoot(), 'scripts/products/room/broker/mosquitto');

export interface MosquittoOptions {
  /** Receives configuration, log and, if requested, the broker's persistent data. */
  readonly dir: string;
  /** Files for TLS. If absent, there is one anonymous listener for all clients, without ACL. */
  readonly tls?: BrokerTls;
  /** Boxes that have access rules from the start; `enrol` adds more. */
  readonly boxes?: readonly BoxPlace[];
  /** Access rules that another program writes, as the enrolment does: instead of `boxes` and `rules`. */
  readonly aclFile?: string;
  /** Replaces the shipped rights of the room's programs. */
  readonly rules?: string;
  /** Keeps queued and retained messages across restarts. */
  readonly persistent?: boolean;
  /** Further lines of mosquitto.conf. */
  readonly extra?: readonly string[];
}

export class Mosquitto {
  readonly #options: MosquittoOptions;
  readonly #boxes: Map<string, BoxPlace>;
  /** Programs that have access rules, from the start one of each role. */
  readonly #programs = new Set(ROLES.map((role) => `${role}.room`));
  #rules: string;
  /** Ports of the boxes, of the programs and of the archive. */
  readonly #ports = [0, 0, 0];
  #child: ChildProcess | undefined;

  constructor(options: MosquittoOptions) {
    this.#options = options;
    this.#boxes = new Map(options.boxes?.map((place) => [place.box, place]));
    this.#rules = options.rules ?? PROGRAM_RULES;
  }

  /** Port for the boxes; the same across restarts. */
  get port(): number {
    return this.#ports[0] ?? 0;
  }

  get url(): string {
    return this.#urlOf(0);
  }

  /** Address for the room's programs. Without TLS it is that for all clients, as `archiveUrl` is. */
  get programsUrl(): string {
    return this.#urlOf(1);
  }

  get archiveUrl(): string {
    return this.#urlOf(2);
  }

  #urlOf(listener: number): string {
    const isOpen = this.#options.tls === undefined;
    return `${isOpen ? 'mqtt' : 'mqtts'}://localhost:${this.#ports[isOpen ? 0 : listener]}`;
  }

  get logFile(): string {
    return join(this.#options.dir, 'mosquitto.log');
  }

  get aclFile(): string {
    return this.#options.aclFile ?? join(this.#options.dir, 'broker.acl');
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Resolves when the ports answer and signals are heard. */
  async start(): Promise<void> {
    const { dir } = this.#options;
    await mkdir(dir, { recursive: true });
    for (const [index] of this.#ports.entries()) {
      while (this.#ports.indexOf(this.#ports[index] ?? 0) < index || this.#ports[index] === 0)
        this.#ports[index] = await freePort();
    }
    const file = join(dir, 'mosquitto.conf');
    if (this.#options.aclFile === undefined) await this.#writeAcl();
    await writeFile(file, this.#configuration(await readFile(join(SHIPPED, 'mosquitto.conf'), 'utf8')));
    // setpriv(1): the broker ends with this process, however that ends.
    const command = ['--pdeathsig', 'TERM', 'mosquitto', '-c', file];
    const env = { ...process.env, PATH: systemPath() };
    // The broker opens its ports before it handles signals, and logs this when it does: a SIGHUP before would end it.
    const running = this.#logs(RUNNING);
    const child = spawn('setpriv', command, { stdio: ['ignore', 'ignore', 'pipe'], env });
    this.#child = child;
    let errorOutput = '';
    child.stderr?.on('data', (chunk: Buffer) => {
      errorOutput = (errorOutput + chunk.toString()).slice(-2000);
    });
    const failed = once(child, 'error').then(([error]) => messageOf(error));
    const exitText = once(child, 'exit').then(([code]) => `exit code ${String(code)}`);
    const wrong = await Promise.race([failed, exitText, running]);
    if (wrong === undefined) return;
    this.kill();
    throw new AgentError(
      'unavailable',
      `mosquitto did not start (is it installed?): ${wrong} ${errorOutput.trim()}`,
    );
  }

  /**
   * Gives boxes their access rules; resolves when a running broker has read them. A box that has rules keeps its site.
   */
  async enrol(...boxes: readonly BoxPlace[]): Promise<void> {
    const further = boxes.filter(({ box }) => !this.#boxes.has(box));
    if (further.length === 0) return;
    for (const place of further) this.#boxes.set(place.box, place);
    await this.#writeAcl();
    await this.reload();
  }

  /** Gives a program the rights of its role; resolves when a running broker has read them. */
  async admit(program: string): Promise<void> {
    if (this.#programs.has(program) || this.#options.aclFile !== undefined) return;
    this.#programs.add(program);
    await this.#writeAcl();
    await this.reload();
  }

  /** Gives the roles of programs these rights; resolves when a running broker has read them. */
  async allow(rules: string): Promise<void> {
    this.#rules = rules;
    await this.#writeAcl();
    await this.reload();
  }

  async #writeAcl(): Promise<void> {
    const text = brokerAcl(this.#rules, this.#programs, this.#boxes.values());
    await writeFile(this.aclFile, text, { mode: 0o600 });
  }

  /** Makes a running broker read its files again; resolves when it has. */
  async reload(): Promise<void> {
    if (this.#child === undefined) return;
    // The broker logs this before it reads, and answers no one until it has read. A signal that arrives while it reads is
    // lost, because it clears the request afterwards: the signal is repeated.
    const wrong = await this.#logs('Reloading config', () => this.signal('SIGHUP'));
    if (wrong !== undefined)
      throw new AgentError('unavailable', `mosquitto did not read its files: ${wrong}`);
  }

  /** Resolves when the log has this text once more than now, or with what is wrong. */
  async #logs(text: string, ask?: () => void): Promise<string | undefined> {
    const count = (): number =>
      existsSync(this.logFile) ? readFileSync(this.logFile, 'utf8').split(text).length : 1;
    const before = count();
    const deadlineMs = Date.now() + START_WITHIN_MS;
    while (Date.now() < deadlineMs) {
      ask?.();
      await sleep(20);
      if (count() > before) return undefined;
    }
    return `its log does not say “${text}” within ${START_WITHIN_MS / 1000} s`;
  }

  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name);
  }

  /** Ends at once, as in a crash. */
  kill(): void {
    this.#child?.kill('SIGKILL');
  }

  /** Resolves when the process has ended; may be called twice. */
  async stop(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    this.#child = undefined;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, 'exit');
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_WITHIN_MS);
    await exit;
    clearTimeout(timer);
  }

  #configuration(shipped: string): string {
    const { dir, tls, persistent, extra } = this.#options;
    const memory = { persistence: String(persistent === true), persistence_location: `${dir}/` };
    const own = [`user ${userInfo().username}`, `log_dest file ${this.logFile}`, ...(extra ?? [])];
    const [common = [], boxes = [], ...ofPrograms] = sectionsOf(shipped);
    if (tls === undefined) {
      const open = settled(common, { ...memory, acl_file: undefined, allow_anonymous: 'true' });
      const plain = settled(boxes, { ...PLAIN, listener: `${this.port} 127.0.0.1` });
      return [...open, ...plain, ...own, ''].join('\n');
    }
    const { ca, programsCa, cert: certfile, key: keyfile, crl: crlfile, programsCrl } = tls;
    return [
      ...settled(common, { ...memory, acl_file: this.aclFile }),
      ...own,
      ...settled(boxes, {
        listener: `${this.port} 127.0.0.1`,
        cafile: ca,
        certfile,
        keyfile,
        crlfile,
      }),
      ...ofPrograms.flatMap((section, index) =>
        settled(section, {
          listener: `${this.#ports[index + 1]} 127.0.0.1`,
          cafile: programsCa,
          certfile,
          keyfile,
          crlfile: programsCrl,
        }),
      ),
      '',
    ].join('\n');
  }
}

/** Creates the broker of a room on this machine with authorities of its own, without starting it. */
export async function roomBroker(
  dir: string,
  boxes: readonly BoxPlace[],
): Promise<{ readonly authorities: RoomAuthorities; readonly broker: Mosquitto }> {
  const authorities = new RoomAuthorities(join(dir, 'pki'));
  await authorities.start();
  const tls = await authorities.brokerTls();
  return { authorities, broker: new Mosquitto({ dir: join(dir, 'broker'), tls, boxes }) };
}

/** Settings that admit any client. */
const PLAIN = {
  cafile: undefined,
  certfile: undefined,
  keyfile: undefined,
  crlfile: undefined,
  require_certificate: undefined,
  use_identity_as_username: undefined,
  use_username_as_clientid: undefined,
};

/** Settings that belong to a listener: they apply from its line on. */
const OF_A_LISTENER = [...Object.keys(PLAIN), 'listener', 'max_connections'];

/** Returns the lines of the shipped file: those of all listeners, then of the boxes', programs' and archive's. */
function sectionsOf(text: string): readonly string[][] {
  const sections: string[][] = [[], [], [], []];
  let listener = 0;
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const name = line.split(' ')[0] ?? '';
    if (name === 'listener') listener += 1;
    sections[OF_A_LISTENER.includes(name) ? listener : 0]?.push(line);
  }
  return sections;
}

/** Returns the lines with other values; undefined removes the line. */
function settled(lines: readonly string[], settings: Readonly<Record<string, string | undefined>>): string[] {
  const names = lines.map((line) => line.split(' ')[0] ?? '');
  for (const name of Object.keys(settings)) {
    const count = names.filter((other) => other === name).length;
    if (count !== 1)
      throw new AgentError('bug', `scripts/products/room/broker/mosquitto: ${count} lines with ${name}`);
  }
  return lines.flatMap((line, index) => {
    const name = names[index] ?? '';
    if (!(name in settings)) return [line];
    const value = settings[name];
    return value === undefined ? [] : [`${name} ${value}`];
  });
}

/** Returns a port of the loopback that is free now. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new AgentError('bug', 'a TCP server has a port');
  return address.port;
}

/** Resolves when the port answers, or with the failure. */
export async function listening(port: number, withinMs = START_WITHIN_MS): Promise<string | undefined> {
  const deadlineMs = Date.now() + withinMs;
  while (Date.now() < deadlineMs) {
    const socket = connect(port, '127.0.0.1');
    const answer = await Promise.race([
      once(socket, 'connect').then(() => true),
      once(socket, 'error').then(() => false),
    ]).catch(() => false);
    socket.destroy();
    if (answer) return undefined;
    await sleep(20);
  }
  return `port ${port} did not answer within ${withinMs / 1000} s`;
}
