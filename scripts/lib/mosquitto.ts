/** A private Mosquitto on a free loopback port, with the configuration that a room gets; for demos, benches and tests. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AgentError, messageOf } from '../../agent/base/errors.ts';
import { packageRoot } from '../../agent/base/package-root.ts';
import type { KeyPair } from './certificates.ts';

const START_WITHIN_MS = 5000;
const STOP_WITHIN_MS = 3000;

/** What a room runs; here with other paths and on the loopback. */
const SHIPPED = join(packageRoot(), 'scripts/programs/room/broker/mosquitto');

export interface MosquittoOptions {
  /** Receives configuration, log and, where asked for, the broker's memory. */
  readonly dir: string;
  /** Without TLS when absent: anonymous, no ACL. */
  readonly tls?: KeyPair & { readonly ca: string };
  readonly acl?: string;
  /** Keep queued and retained messages across restarts. */
  readonly persistent?: boolean;
  /** Further lines of mosquitto.conf. */
  readonly extra?: readonly string[];
}

export class Mosquitto {
  readonly #options: MosquittoOptions;
  #port = 0;
  #child: ChildProcess | undefined;

  constructor(options: MosquittoOptions) {
    this.#options = options;
  }

  /** The same across restarts. */
  get port(): number {
    return this.#port;
  }

  get url(): string {
    return `${this.#options.tls ? 'mqtts' : 'mqtt'}://localhost:${this.#port}`;
  }

  get logFile(): string {
    return join(this.#options.dir, 'mosquitto.log');
  }

  get aclFile(): string {
    return join(this.#options.dir, 'acl');
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Resolves when the port answers. */
  async start(): Promise<void> {
    const { dir } = this.#options;
    await mkdir(dir, { recursive: true });
    if (this.#port === 0) this.#port = await freePort();
    const file = join(dir, 'mosquitto.conf');
    const acl = this.#options.acl ?? (await readFile(join(SHIPPED, 'acl'), 'utf8'));
    await writeFile(this.aclFile, acl, { mode: 0o600 });
    await writeFile(file, this.#configuration(await readFile(join(SHIPPED, 'mosquitto.conf'), 'utf8')));
    // setpriv(1): the broker ends with this process, however that ends.
    const command = ['--pdeathsig', 'TERM', 'mosquitto', '-c', file];
    // Debian has the broker in /usr/sbin, which is not in the PATH of a user who is not root.
    const env = { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin` };
    const child = spawn('setpriv', command, { stdio: ['ignore', 'ignore', 'pipe'], env });
    this.#child = child;
    let said = '';
    child.stderr?.on('data', (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-2000);
    });
    const failed = once(child, 'error').then(([error]) => messageOf(error));
    const ended = once(child, 'exit').then(([code]) => `exit code ${String(code)}`);
    const wrong = await Promise.race([failed, ended, listening(this.#port)]);
    if (wrong === undefined) return;
    this.kill();
    throw new AgentError(
      'unavailable',
      `mosquitto did not start (is it installed?): ${wrong} ${said.trim()}`,
    );
  }

  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name);
  }

  /** At once, as a crash does. */
  kill(): void {
    this.#child?.kill('SIGKILL');
  }

  /** Resolves when the process is gone; may be called twice. */
  async stop(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    this.#child = undefined;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_WITHIN_MS);
    await gone;
    clearTimeout(timer);
  }

  #configuration(shipped: string): string {
    const { dir, tls, persistent, extra } = this.#options;
    const settings: Record<string, string | undefined> = {
      listener: `${this.#port} 127.0.0.1`,
      cafile: tls?.ca,
      certfile: tls?.cert,
      keyfile: tls?.key,
      acl_file: this.aclFile,
      persistence: String(persistent === true),
      persistence_location: `${dir}/`,
      ...(tls === undefined && { ...PLAIN, acl_file: undefined }),
    };
    const own = [`user ${userInfo().username}`, `log_dest file ${this.logFile}`, ...(extra ?? [])];
    return [...settled(shipped, settings), ...own, ''].join('\n');
  }
}

const PLAIN = {
  allow_anonymous: 'true',
  require_certificate: undefined,
  use_identity_as_username: undefined,
};

/** The lines of a configuration with other values; undefined leaves the line out. */
function settled(text: string, settings: Readonly<Record<string, string | undefined>>): string[] {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  const names = lines.map((line) => line.split(' ')[0] ?? '');
  for (const name of Object.keys(settings)) {
    const count = names.filter((other) => other === name).length;
    if (count !== 1)
      throw new AgentError('bug', `scripts/programs/room/broker/mosquitto: ${count} lines with ${name}`);
  }
  return lines.flatMap((line, index) => {
    const name = names[index] ?? '';
    if (!(name in settings)) return [line];
    const value = settings[name];
    return value === undefined ? [] : [`${name} ${value}`];
  });
}

/** A port of the loopback that is free now. */
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

/** Resolves when the port answers, or with what is wrong. */
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
