/**
 * A Debian 13 of this machine's architecture, or of another one under qemu-user, in which packages are installed and
 * units boot. It is an overlay on a root file system that is made once (see root-file-system).
 *
 * systemd needs a pure cgroup v2 tree; each container starts in a mount namespace that has one. It has a cgroup of its
 * own. In a common one, the systemd of one container removes the cgroups of another's units, which then cannot start.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Test } from 'tap';
import { ROOT, scratch } from './paths.ts';
import { allPids, childrenOf, procText } from './proc.ts';
import { waitUntil } from './room.ts';

/**
 * Complete environment of programs inside. A test's starter may add to a child's environment (tap adds a NODE_OPTIONS
 * with a file of this machine), and with that no node inside starts.
 */
const INSIDE = ['PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'DEBIAN_FRONTEND=noninteractive'];
const BOOT_WITHIN_MS = 120_000;

const PURE_CGROUP2 = `
awk '$2 ~ /^\\/sys\\/fs\\/cgroup/ {print $2}' /proc/mounts | sort -ru | while read -r m; do umount -l "$m"; done
mount -t cgroup2 none /sys/fs/cgroup || exit 97
`;
const inPureCgroup2 = (script: string, ...args: readonly string[]): string[] => [
  ...['unshare', '-m', '--propagation', 'private', 'sh', '-c', PURE_CGROUP2 + script, 'sh', ...args],
];
/** Runs the words after the name of a cgroup in it. */
const IN_OWN_CGROUP =
  'own=/sys/fs/cgroup/$1; shift; mkdir -p "$own" && echo $$ >"$own/cgroup.procs" && exec "$@"';
const REMOVE_CGROUP = 'find "/sys/fs/cgroup/$1" -depth -type d -exec rmdir {} +';

export interface Output {
  readonly status: number | null;
  readonly out: string;
  readonly err: string;
}

export class Container {
  /** Its root folder, as this machine sees it. */
  readonly root: string;
  #nspawn: ChildProcess | undefined;
  #leader: number | undefined;
  #console = '';
  #isMounted = false;

  /**
   * Mounts the overlay until the test ends. `lower` is the root file system, which stays unchanged; where it is several,
   * separated by colons, the first covers the others. Written files are in `dir`, below upper/.
   */
  constructor(t: Test, arch = ownArch(), lower = baseRoot(arch), dir = scratch(t)) {
    this.root = join(dir, 'root');
    for (const name of ['root', 'upper', 'work']) mkdirSync(join(dir, name));
    // As on a plain disk, a folder of a lower layer can be renamed.
    const layers = `lowerdir=${lower},upperdir=${dir}/upper,workdir=${dir}/work,redirect_dir=on`;
    execFileSync('mount', ['-t', 'overlay', 'overlay', '-o', layers, this.root], { stdio: 'pipe' });
    this.#isMounted = true;
    // Nothing asks a machine at the end of its test, so it need not shut down.
    t.teardown(async () => {
      if (this.#leader !== undefined) await this.cutPower();
      await this.powerOff();
      this.unmount();
    });
  }

  /** Name of the machine, and of its cgroup. */
  get #name(): string {
    return basename(dirname(this.root));
  }

  unmount(): void {
    if (!this.#isMounted) return;
    execFileSync('umount', ['-l', this.root], { stdio: 'pipe' });
    this.#isMounted = false;
    const [program = '', ...args] = inPureCgroup2(REMOVE_CGROUP, this.#name);
    spawnSync(program, args);
  }

  /** Reason why this machine cannot run containers, or false. */
  static unavailable(arch?: string): string | false {
    if (process.getuid?.() !== 0) return 'a container needs root';
    for (const tool of ['systemd-nspawn', 'mmdebstrap', 'dpkg-deb', 'dh']) {
      if (spawnSync('sh', ['-c', `command -v ${tool}`]).status !== 0) return `${tool} is not installed`;
    }
    const [program = '', ...args] = inPureCgroup2('true');
    if (spawnSync(program, args).status !== 0)
      return 'this machine does not allow a cgroup2 mount of one’s own';
    if (arch !== undefined && arch !== ownArch() && !existsSync('/proc/sys/fs/binfmt_misc/qemu-aarch64')) {
      return 'qemu-user is not registered for arm64 (scripts/setup --for all does it, as root)';
    }
    return /\boverlay$/m.test(readFileSync('/proc/filesystems', 'utf8'))
      ? false
      : 'the kernel has no overlayfs';
  }

  write(path: string, content: string | Uint8Array, mode = 0o644): void {
    mkdirSync(dirname(join(this.root, path)), { recursive: true });
    writeFileSync(join(this.root, path), content, { mode });
  }

  read(path: string): string {
    return readFileSync(join(this.root, path), 'utf8');
  }

  /** Runs a program inside: in the booted system, or alone where none is booted. */
  run(...command: readonly string[]): Output {
    const [program = '', ...args] = this.#inside(...command);
    const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', timeout: 900_000 });
    return { status, out: stdout, err: stderr };
  }

  /** Command that starts a program of this machine in the booted container's network, with the same loopback. */
  inNetwork(...command: readonly string[]): string[] {
    if (this.#leader === undefined) throw new Error('it is not booted');
    return ['nsenter', '-t', String(this.#leader), '-n', '--', ...command];
  }

  /** One property of a unit, as systemd reports it. */
  show(unit: string, property: string): string {
    return this.run('systemctl', 'show', unit, '-p', property, '--value').out.trim();
  }

  /** State and status text of units, `active, watching …` each, in one request. */
  states(...units: readonly string[]): string[] {
    const { out } = this.run('systemctl', 'show', ...units, '-p', 'ActiveState', '-p', 'StatusText');
    return out.split('\n\n').map((lines) => {
      const of = (property: string): string => new RegExp(`^${property}=(.*)$`, 'm').exec(lines)?.[1] ?? '';
      return `${of('ActiveState')}, ${of('StatusText')}`;
    });
  }

  async boot(t: Test): Promise<void> {
    const booting = [...this.#spawnWords(), '--console=pipe', '--boot'];
    // The container ends with the test, even if the test crashes.
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...booting], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        this.#console = `${this.#console}${chunk.toString()}`.slice(-4000);
      });
    }
    this.#nspawn = child;
    // systemd-nspawn's child is the container's first process; before that, the shell has children of its own.
    await waitUntil(t, 'the container begins', () => initOf(child.pid) !== undefined, BOOT_WITHIN_MS);
    this.#leader = initOf(child.pid);
    t.match(procText(this.#leader ?? 0, 'cgroup'), this.#name, 'it shares no cgroup with another container');
    const bus = `/proc/${this.#leader}/root/run/dbus/system_bus_socket`;
    await waitUntil(t, 'its bus is there', () => existsSync(bus), BOOT_WITHIN_MS);
    // Frequent requests would take CPU time that the boot needs.
    const [waits = '', ...words] = this.#inside('timeout', '30', 'systemctl', 'is-system-running', '--wait');
    await once(spawn(waits, words, { stdio: 'ignore' }), 'exit');
    const up = (): boolean => /running|degraded/.test(this.run('systemctl', 'is-system-running').out);
    await waitUntil(t, 'the container is up', up, BOOT_WITHIN_MS);
  }

  /** The last lines of its console, for diagnosing a failure. */
  get console(): string {
    return this.#console;
  }

  async powerOff(): Promise<void> {
    const child = this.#nspawn;
    if (child === undefined || child.exitCode !== null) return;
    const exit = new Promise((resolve) => child.once('exit', resolve));
    // systemd powers off on SIGRTMIN+4, which systemd-nspawn sends it on SIGTERM.
    child.kill('SIGTERM');
    const enough = setTimeout(() => child.kill('SIGKILL'), 20_000);
    await exit;
    clearTimeout(enough);
    this.#leader = undefined;
  }

  /** Cuts the power: every process inside ends immediately, without a message. */
  async cutPower(): Promise<void> {
    const child = this.#nspawn;
    if (child === undefined || this.#leader === undefined) throw new Error('it is not booted');
    const exit = new Promise((resolve) => child.once('exit', resolve));
    // All are stopped first, or the last ones would record the end of the others.
    for (const pid of processesWith(this.#leader)) signalled(pid, 'SIGSTOP');
    process.kill(this.#leader, 'SIGKILL');
    await exit;
    this.#leader = undefined;
    this.#nspawn = undefined;
  }

  #inside(...command: readonly string[]): string[] {
    const words = ['env', '-i', ...INSIDE, ...command];
    return this.#leader === undefined
      ? [...this.#spawnWords(), '--pipe', '--', ...words]
      : ['nsenter', '-t', String(this.#leader), '-a', ...words];
  }

  #spawnWords(): string[] {
    const flags = [
      '--quiet',
      '--register=no',
      '--keep-unit',
      '--private-network',
      '--hostname=box',
      `--machine=${this.#name}`,
      `--directory=${this.root}`,
    ];
    return inPureCgroup2(IN_OWN_CGROUP, this.#name, 'systemd-nspawn', ...flags);
  }
}

function initOf(pid: number | undefined): number | undefined {
  if (pid === undefined) return undefined;
  const init = childrenOf(pid).find((child) => procText(child, 'comm').trim() === 'systemd');
  return init === undefined ? undefined : Number(init);
}

/** Processes of its process namespace. */
function processesWith(leader: number): number[] {
  const space = (pid: string): string | undefined => {
    try {
      return readlinkSync(`/proc/${pid}/ns/pid`);
    } catch {
      // It has ended in the meantime.
      return undefined;
    }
  };
  const own = space(String(leader));
  return allPids()
    .filter((pid) => own !== undefined && space(pid) === own)
    .map(Number);
}

function signalled(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

export function ownArch(): string {
  return execFileSync('dpkg', ['--print-architecture'], { encoding: 'utf8' }).trim();
}

/** Path of the root file system of an architecture, which is made where it is missing (about two minutes). */
export function baseRoot(arch: string): string {
  return execFileSync(join(ROOT, 'test/lib/root-file-system'), [arch], {
    encoding: 'utf8',
    stdio: 'pipe',
  }).trim();
}
