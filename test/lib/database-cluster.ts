/**
 * Three machines with PostgreSQL, Patroni and etcd, and the room's proxy before them, all on this machine. They use the
 * files of scripts/products/room/failover as shipped, with other paths, ports and addresses.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { get } from 'node:https';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import { freePort } from '../../scripts/lib/mosquitto.ts';
import { ROOT, scratch } from './paths.ts';
import { newestPostgres } from './postgres.ts';
import { childrenOf } from './proc.ts';

const SHIPPED = join(ROOT, 'scripts/products/room/failover');
const PROGRAMS = ['/usr/bin/patroni', '/usr/bin/etcd', '/usr/bin/etcdctl', '/usr/sbin/haproxy'];

const IS_ROOT = process.getuid?.() === 0;
/** Debian's user; PostgreSQL refuses root. */
const USER = IS_ROOT ? 'postgres' : userInfo().username;

const READY_WITHIN_MS = 180_000;
const REST_WITHIN_MS = 3000;

/** Addresses of the guide. */
const ADDRESSES = { db1: '10.0.0.1', db2: '10.0.0.2', db3: '10.0.0.3' } as const;
export type Machine = keyof typeof ADDRESSES;
export const MACHINES = Object.keys(ADDRESSES) as Machine[];

export interface Member {
  readonly name: Machine;
  /** Patroni's role: `leader`, `sync_standby`, `replica`, … */
  readonly role: string;
  /** `running` for the leader, `streaming` for a standby that follows. */
  readonly state: string;
}

interface Ports {
  readonly sql: number;
  readonly rest: number;
  readonly client: number;
  readonly peer: number;
}

/** Literal text and its replacement here; each text occurs at least once. */
type Changes = readonly (readonly [shipped: string, here: string])[];

export class DatabaseCluster {
  readonly #dir: string;
  readonly #ports: Record<Machine, Ports>;
  readonly #proxyPort: number;
  readonly #password = randomBytes(12).toString('hex');
  /** Child processes by machine and program. */
  readonly #children = new Map<string, ChildProcess>();

  private constructor(dir: string, ports: Record<Machine, Ports>, proxyPort: number) {
    this.#dir = dir;
    this.#ports = ports;
    this.#proxyPort = proxyPort;
  }

  /** False if all required programs are there, otherwise the reason. */
  static unavailable(): string | false {
    const missing = PROGRAMS.filter((file) => !existsSync(file));
    return missing.length > 0 && `${missing.join(', ')}: missing; scripts/setup --for full installs them`;
  }

  /** Starts a cluster with a role and a database for the room; ended with the test. */
  static async start(t: Test): Promise<DatabaseCluster> {
    const ports: Partial<Record<Machine, Ports>> = {};
    for (const name of MACHINES) {
      const [sql, rest, client, peer] = [
        await freePort(),
        await freePort(),
        await freePort(),
        await freePort(),
      ];
      ports[name] = { sql, rest, client, peer };
    }
    const dir = join(scratch(t), 'c');
    const cluster = new DatabaseCluster(dir, ports as Record<Machine, Ports>, await freePort());
    t.teardown(() => cluster.#end());
    cluster.#make();
    for (const name of MACHINES) cluster.startEtcd(name);
    for (const name of MACHINES) cluster.startDatabase(name);
    await cluster.waitUntilComplete();
    cluster.#run('proxy', 'proxy', ['/usr/sbin/haproxy', '-db', '-f', join(dir, 'haproxy.cfg')]);
    await cluster.#makeRoom();
    return cluster;
  }

  /** Address for `--database`: the proxy, with the certificate of the leading machine. */
  get url(): string {
    const query = `sslmode=verify-full&sslrootcert=${join(this.#dir, 'ca.crt')}`;
    return `postgres://vigie-room:${this.#password}@127.0.0.1:${this.#proxyPort}/vigie?${query}`;
  }

  logOf(name: Machine, program: 'etcd' | 'patroni'): string {
    return readFileSync(join(this.#dir, name, `${program}.log`), 'utf8');
  }

  startEtcd(name: Machine): void {
    const env = Object.fromEntries(
      readFileSync(join(this.#dir, name, 'etcd.env'), 'utf8')
        .split('\n')
        .filter((line) => /^\w+=/.test(line))
        .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
    );
    this.#run(name, 'etcd', ['/usr/bin/etcd'], env);
  }

  startDatabase(name: Machine): void {
    this.#run(name, 'patroni', ['/usr/bin/patroni', join(this.#dir, name, 'patroni.yaml')]);
  }

  /** Kills Patroni and its PostgreSQL immediately, as a power cut does. */
  killDatabase(name: Machine): void {
    for (const pid of this.#databasePids(name)) signal(pid, 'SIGKILL');
  }

  killEtcd(name: Machine): void {
    signal(this.#pid(name, 'etcd'), 'SIGKILL');
  }

  /** Pauses a whole machine, as when its network or its host hangs; open connections stay open. */
  pause(name: Machine): void {
    for (const pid of [...this.#databasePids(name), this.#pid(name, 'etcd')]) signal(pid, 'SIGSTOP');
  }

  resume(name: Machine): void {
    for (const pid of [...this.#databasePids(name), this.#pid(name, 'etcd')]) signal(pid, 'SIGCONT');
  }

  /** Members as Patroni reports them, from the first machine that answers; empty where none does. */
  async members(): Promise<readonly Member[]> {
    for (const name of MACHINES) {
      const answer = await this.#clusterState(name).catch(() => undefined);
      if (answer !== undefined) return (JSON.parse(answer) as { members: Member[] }).members;
    }
    return [];
  }

  async leader(): Promise<Machine> {
    const leader = (await this.members()).find(({ role }) => role === 'leader');
    if (leader === undefined) throw new Error('no machine leads');
    return leader.name;
  }

  /** Resolves when one machine leads and both others follow, one of them synchronously. */
  async waitUntilComplete(): Promise<void> {
    let roleText = '';
    for (const untilMs = performance.now() + READY_WITHIN_MS; ; await sleep(500)) {
      const members = await this.members();
      const roles = members.map(({ role, state }) => `${role} ${state}`).sort();
      roleText = roles.join(', ');
      if (roleText === 'leader running, replica streaming, sync_standby streaming') return;
      if (performance.now() < untilMs) continue;
      const logs = MACHINES.map((name) => this.logOf(name, 'patroni').slice(-1500));
      throw new Error(`the cluster is not whole (${roleText}):\n${logs.join('\n')}`);
    }
  }

  /** Runs Patroni's and etcd's own commands, with their certificates. */
  patronictl(...args: string[]): string {
    return this.#as(['patronictl', '-c', join(this.#dir, 'db1/patroni.yaml'), ...args]);
  }

  etcdLeader(): Machine {
    const files = { cacert: 'ca.crt', cert: 'node.crt', key: 'node.key' };
    const tls = Object.entries(files).map(([name, file]) => `--${name}=${join(this.#dir, 'db1', file)}`);
    const endpoints = MACHINES.map((name) => `https://127.0.0.1:${this.#ports[name].client}`).join(',');
    const answer = this.#as([
      'etcdctl',
      ...tls,
      `--endpoints=${endpoints}`,
      'endpoint',
      'status',
      '-w',
      'json',
    ]);
    const states = JSON.parse(answer) as {
      Endpoint: string;
      Status: { header: { member_id: number }; leader: number };
    }[];
    const port = states
      .find(({ Status }) => Status.header.member_id === Status.leader)
      ?.Endpoint.split(':')[2];
    const leader = MACHINES.find((name) => String(this.#ports[name].client) === port);
    if (leader === undefined) throw new Error(`no etcd leads: ${answer}`);
    return leader;
  }

  #make(): void {
    const dir = this.#dir;
    mkdirSync(dir, { mode: 0o755 });
    own(dir);
    // The scratch folder is private to its maker; another user must pass through it.
    chmodSync(join(dir, '..'), 0o711);
    const machines = MACHINES.map((name) => `${name}=127.0.0.1`);
    this.#as([join(SHIPPED, 'certificates.sh'), ...machines]);
    chmodSync(join(dir, 'ca.crt'), 0o644);
    for (const name of MACHINES) {
      for (const folder of ['', 'socket']) {
        mkdirSync(join(dir, name, folder));
        own(join(dir, name, folder));
      }
      for (const [from, to] of [
        ['ca.crt', 'ca.crt'],
        [`${name}.crt`, 'node.crt'],
        [`${name}.key`, 'node.key'],
      ] as const) {
        copyFileSync(join(dir, from), join(dir, name, to));
        own(join(dir, name, to));
      }
      writeFileSync(join(dir, name, 'etcd.env'), this.#etcd(name));
      writeFileSync(join(dir, name, 'patroni.yaml'), this.#patroni(name));
    }
    writeFileSync(join(dir, 'haproxy.cfg'), this.#haproxy());
  }

  #etcd(name: Machine): string {
    const { client, peer } = this.#ports[name];
    return withChanges('etcd.env', [
      ['ETCD_NAME=db1', `ETCD_NAME=${name}`],
      ['/var/lib/etcd/vigie', join(this.#dir, name, 'etcd')],
      ['/etc/vigie-db', join(this.#dir, name)],
      ...MACHINES.map(
        (other) =>
          [
            `${other}=https://${ADDRESSES[other]}:2380`,
            `${other}=https://127.0.0.1:${this.#ports[other].peer}`,
          ] as const,
      ),
      ['10.0.0.1:2379', `127.0.0.1:${client}`],
      ['10.0.0.1:2380', `127.0.0.1:${peer}`],
    ]);
  }

  #patroni(name: Machine): string {
    const { sql, rest } = this.#ports[name];
    const dir = join(this.#dir, name);
    return withChanges('patroni.yaml', [
      ['name: db1', `name: ${name}`],
      ...MACHINES.map(
        (other) => [`${ADDRESSES[other]}:2379`, `127.0.0.1:${this.#ports[other].client}`] as const,
      ),
      ['10.0.0.1:8008', `127.0.0.1:${rest}`],
      ['10.0.0.1:5432', `127.0.0.1:${sql}`],
      ['/etc/vigie-db', dir],
      ['/var/lib/postgresql/17/vigie', join(dir, 'data')],
      ['/usr/lib/postgresql/17/bin', join(newestPostgres(), 'bin')],
      ['/var/lib/postgresql/vigie.pgpass', join(dir, 'pgpass')],
      ['/var/run/postgresql', join(dir, 'socket')],
      ['username: postgres', `username: ${USER}`],
      ['local all postgres peer', `local all ${USER} peer`],
      ['REPLICATION-PASSWORD', this.#password],
      ['REWIND-PASSWORD', this.#password],
    ]);
  }

  #haproxy(): string {
    return withChanges('haproxy.cfg', [
      ['  user haproxy\n  group haproxy\n', ''],
      ['127.0.0.1:5000', `127.0.0.1:${this.#proxyPort}`],
      ['/etc/vigie-db', this.#dir],
      ...MACHINES.map(
        (name) =>
          [
            `server ${name} ${ADDRESSES[name]}:5432 check port 8008`,
            `server ${name} 127.0.0.1:${this.#ports[name].sql} check port ${this.#ports[name].rest}`,
          ] as const,
      ),
    ]);
  }

  async #makeRoom(): Promise<void> {
    const leader = await this.leader();
    const connection = ['-h', join(this.#dir, leader, 'socket'), '-p', String(this.#ports[leader].sql)];
    const role = `CREATE ROLE "vigie-room" LOGIN PASSWORD '${this.#password}'`;
    const database = 'CREATE DATABASE vigie OWNER "vigie-room"';
    this.#as(['psql', ...connection, '-U', USER, '-d', 'postgres', '-q', '-c', role, '-c', database]);
  }

  /** Returns the output of a command, run by the cluster's user in the cluster's folder. */
  #as(command: readonly string[]): string {
    const [program = '', ...args] = [...PREFIX, ...command];
    return execFileSync(program, args, {
      cwd: this.#dir,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }

  #run(name: string, program: string, command: readonly string[], env: NodeJS.ProcessEnv = {}): void {
    const folder = name === 'proxy' ? this.#dir : join(this.#dir, name);
    const log = openSync(join(folder, `${program}.log`), 'a');
    const [file = '', ...args] = [...PREFIX, ...command];
    const child = spawn(file, args, {
      cwd: folder,
      stdio: ['ignore', log, log],
      env: { PATH: '/usr/bin:/usr/sbin', ...env },
    });
    this.#children.set(`${name} ${program}`, child);
  }

  #pid(name: Machine, program: string): number | undefined {
    const child = this.#children.get(`${name} ${program}`);
    const runs = child !== undefined && child.exitCode === null && child.signalCode === null;
    return runs ? child.pid : undefined;
  }

  /** Process ids, Patroni first: it would start PostgreSQL again. */
  #databasePids(name: Machine): number[] {
    const file = join(this.#dir, name, 'data/postmaster.pid');
    const postmaster = existsSync(file) ? Number(readFileSync(file, 'utf8').split('\n')[0]) : undefined;
    const patroni = this.#pid(name, 'patroni');
    const pids = [patroni, ...(patroni === undefined ? [] : childrenOf(patroni).map(Number))];
    if (postmaster !== undefined) pids.push(postmaster, ...childrenOf(postmaster).map(Number));
    return pids.filter((pid): pid is number => pid !== undefined && pid > 1);
  }

  /** State of all machines, as this machine's Patroni reports it. */
  #clusterState(name: Machine): Promise<string> {
    const ca = readFileSync(join(this.#dir, 'ca.crt'));
    const { rest: port } = this.#ports[name];
    return new Promise((resolve, reject) => {
      const request = get({ host: '127.0.0.1', port, path: '/cluster', ca, agent: false }, (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => {
          text += chunk.toString();
        });
        response.on('end', () => resolve(text));
      });
      request.setTimeout(REST_WITHIN_MS, () => request.destroy(new Error('no answer')));
      request.on('error', reject);
    });
  }

  async #end(): Promise<void> {
    const exits = [...this.#children.values()].map(
      (child) =>
        new Promise<void>((resolve) => {
          if (child.exitCode !== null || child.signalCode !== null) resolve();
          else child.once('exit', () => resolve());
        }),
    );
    for (const name of MACHINES) this.killDatabase(name);
    for (const child of this.#children.values()) child.kill('SIGKILL');
    await Promise.all(exits);
  }
}

/** Command by setpriv(1) that makes a child end with this process, even if this process crashes. */
const PREFIX = [
  'setpriv',
  ...(IS_ROOT ? [`--reuid=${USER}`, `--regid=${USER}`, '--init-groups'] : []),
  ...['--pdeathsig', 'TERM', '--'],
];

function own(path: string): void {
  if (!IS_ROOT) return;
  const [uid = 0, gid = 0] = ['-u', '-g'].map((flag) => Number(execFileSync('id', [flag, USER]).toString()));
  chownSync(path, uid, gid);
}

/** Returns a shipped file with replaced texts; throws where one of them does not occur. */
function withChanges(file: string, changes: Changes): string {
  let text = readFileSync(join(SHIPPED, file), 'utf8');
  for (const [shipped, replacement] of changes) {
    if (!text.includes(shipped)) throw new Error(`${file}: has no '${shipped}'`);
    text = text.replaceAll(shipped, replacement);
  }
  if (/10\.0\.0\./.test(text)) throw new Error(`${file}: an address is left`);
  return text;
}

function signal(pid: number | undefined, name: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(pid, name);
  } catch (error) {
    // It has ended in the meantime.
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}
