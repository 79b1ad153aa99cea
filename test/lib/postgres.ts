/** A private PostgreSQL of Debian's on a free loopback port, as an unprivileged user, in a folder of its own. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { freePort } from '../../scripts/lib/mosquitto.ts';
import { ROOT } from './paths.ts';

/** Folder of Debian's versions, which are not in the PATH. */
const VERSIONS = '/usr/lib/postgresql';
const START_WITHIN_MS = 60_000;

/** User that Debian's package makes; PostgreSQL refuses to run as root. */
const USER = 'postgres';

/** Folder of the cached new database. initdb(1) takes half a second of a processor, and a copy a tenth of that. */
const KEPT_DIR = join(ROOT, '.cache', 'postgres');

/** Folder of the newest version that is installed. */
export function newestPostgres(): string {
  const newest = existsSync(VERSIONS)
    ? readdirSync(VERSIONS).sort((a, b) => Number(b) - Number(a))[0]
    : undefined;
  if (newest === undefined) throw new Error('PostgreSQL is missing: scripts/setup --for test installs it');
  return join(VERSIONS, newest);
}

/** Path of the cached database. It depends on initdb(1), user, language and time zone, which the database contains. */
function keptName(): string {
  const newest = newestPostgres();
  const { mtimeMs } = statSync(join(newest, 'bin/initdb'));
  const locale = Object.entries(process.env).filter(([name]) => /^(?:LANG|LANGUAGE|LC_.*|TZ)$/.test(name));
  const all = JSON.stringify([mtimeMs, process.getuid?.(), locale.sort()]);
  return join(KEPT_DIR, `${basename(newest)}-${createHash('sha256').update(all).digest('hex').slice(0, 12)}`);
}

export class Postgres {
  readonly #dir: string;
  readonly #settings: readonly string[];
  #port = 0;
  #child: ChildProcess | undefined;

  /** Makes a server that is not started; `settings` adds lines to postgresql.conf. */
  constructor(scratch: string, settings: readonly string[] = []) {
    this.#dir = join(scratch, 'postgres');
    this.#settings = settings;
  }

  /** Folder of the server's files; exists after the first start. */
  get data(): string {
    return join(this.#dir, 'data');
  }

  get url(): string {
    return `postgres://${USER}@127.0.0.1:${this.#port}/postgres`;
  }

  /** Starts the server; resolves when it answers a query. After `kill` it has the same port and files. */
  async start(): Promise<void> {
    if (this.#port === 0) {
      this.#port = await freePort();
      this.#make();
    }
    const command = this.#command('postgres', '-D', this.data);
    // setpriv(1): the server ends with this process, even if this process crashes.
    this.#child = spawn('setpriv', ['--pdeathsig', 'INT', '--', ...command], {
      cwd: '/',
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#child.stderr?.on('data', (chunk: Buffer) => appendFileSync(join(this.#dir, 'log'), chunk));
    const deadlineMs = performance.now() + START_WITHIN_MS;
    for (;;) {
      const refusal = await this.#refusalReason();
      if (refusal === undefined) return;
      if (performance.now() > deadlineMs) throw new Error(`PostgreSQL does not answer: ${refusal}`);
      await sleep(100);
    }
  }

  /** Kills the postmaster and its children immediately, as when the machine's memory runs out. */
  async kill(): Promise<void> {
    const children = execFileSync('ps', ['--ppid', String(this.pid), '-o', 'pid=']).toString();
    for (const pid of [this.pid, ...children.trim().split(/\s+/).map(Number)]) this.#signal(pid, 'SIGKILL');
    await this.#waitForExit();
  }

  /** Resolves when it has ended; idempotent. */
  async stop(): Promise<void> {
    if (this.#child === undefined || this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#signal(this.pid, 'SIGINT');
    await this.#waitForExit();
  }

  #make(): void {
    mkdirSync(this.#dir);
    const { data } = this;
    if (process.getuid?.() === 0) {
      const id = (flag: string): number => Number(execFileSync('id', [flag, USER]).toString());
      chownSync(this.#dir, id('-u'), id('-g'));
      // The scratch folder is private to its maker; another user must pass through it.
      chmodSync(join(this.#dir, '..'), 0o711);
    }
    const cachePath = keptName();
    if (!existsSync(cachePath)) this.#initdb(cachePath);
    execFileSync('cp', ['-a', cachePath, data]);
    const settings = [
      `port = ${this.#port}`,
      "listen_addresses = '127.0.0.1'",
      "unix_socket_directories = ''",
      'shared_buffers = 32MB',
      // No replica reads the log, so rows that fill an empty table are written once.
      'wal_level = minimal',
      'max_wal_senders = 0',
      ...this.#settings,
      '',
    ];
    appendFileSync(join(data, 'postgresql.conf'), settings.join('\n'));
  }

  /** Makes a database with initdb(1), in a folder that appears atomically. */
  #initdb(cachePath: string): void {
    const first = join(this.#dir, 'first');
    const command = this.#command('initdb', '-D', first, '-U', USER, '--auth=trust', '-E', 'UTF8');
    const [program = '', ...args] = command;
    execFileSync(program, args, { cwd: '/', stdio: 'pipe' });
    mkdirSync(KEPT_DIR, { recursive: true });
    const newDir = mkdtempSync(`${cachePath}.`);
    execFileSync('cp', ['-a', first, join(newDir, 'data')]);
    rmSync(first, { recursive: true });
    try {
      renameSync(join(newDir, 'data'), cachePath);
    } catch (error) {
      // Another test has made it in the meantime.
      if (!existsSync(cachePath)) throw error;
    } finally {
      rmSync(newDir, { recursive: true });
    }
  }

  #command(program: string, ...args: string[]): string[] {
    const command = [join(newestPostgres(), 'bin', program), ...args];
    return process.getuid?.() === 0
      ? ['setpriv', `--reuid=${USER}`, `--regid=${USER}`, '--init-groups', ...command]
      : command;
  }

  /** Undefined when it answers, otherwise the reason. */
  async #refusalReason(): Promise<string | undefined> {
    const child = this.#child;
    if (child?.exitCode !== null || child.signalCode !== null) {
      throw new Error(`PostgreSQL ended: ${readFileSync(join(this.#dir, 'log'), 'utf8').slice(-1000)}`);
    }
    const client = new pg.Client({ connectionString: this.url, connectionTimeoutMillis: 2000 });
    try {
      await client.connect();
      await client.query('SELECT 1');
      return undefined;
    } catch (error) {
      return String(error);
    } finally {
      await client.end();
    }
  }

  get pid(): number {
    const pid = this.#child?.pid;
    if (pid === undefined) throw new Error('PostgreSQL is not running');
    return pid;
  }

  #signal(pid: number, name: NodeJS.Signals): void {
    try {
      process.kill(pid, name);
    } catch (error) {
      // It has ended in the meantime.
      if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
    }
  }

  async #waitForExit(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    await once(child, 'close');
  }
}
