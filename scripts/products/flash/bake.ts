/**
 * `flash bake`: makes a vendor's image with the project's package and all its dependencies, so that nothing is
 * downloaded on site.
 *
 * INVARIANTS:
 * - The vendor's image is only read.
 * - The new image gets its name only when it is complete.
 * - In every case of termination, nothing stays mounted (install-root.sh).
 */
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, statSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { AgentError } from '../../../agent/base/errors.ts';
import { packageRoot, programVersion } from '../../../agent/base/package-root.ts';
import { BAKED_FILE, type Baked } from './baked.ts';
import { json } from './boot-files.ts';
import type { Surroundings } from './card.ts';
import { Fat } from './fat.ts';
import { type Layout, type Partition, readLayout } from './image.ts';
import { sumOf, writeSum } from './sum.ts';
import { tool } from './tool.ts';

export interface BakeOptions {
  readonly image: string;
  readonly out?: string;
  readonly deb?: string;
}

/** Debian 13 has node 20 and the C library for which the package is built. */
const CODENAME = 'trixie';
/**
 * Free space for installation and operation. The installation takes 0.8 GB, measured (docs/guide/install.md). The box
 * uses the rest until it grows its root.
 */
const ROOM_BYTES = 1536 * 1024 * 1024;
const ALIGN_BYTES = 1024 * 1024;
/** ELF's e_machine (elf.h), with Debian's name and the emulator's in binfmt_misc. */
const MACHINES: Readonly<Record<number, { readonly arch: string; readonly qemu: string }>> = {
  62: { arch: 'amd64', qemu: 'qemu-x86_64' },
  183: { arch: 'arm64', qemu: 'qemu-aarch64' },
};

interface Rooted extends Layout {
  readonly root: Partition;
}

/** @throws AgentError in one line */
export async function bake(options: BakeOptions, { say, signal }: Surroundings): Promise<void> {
  if (process.getuid?.() !== 0) {
    throw new AgentError('config', 'bake needs root, to mount the image and install in it: run it with sudo');
  }
  const { image } = options;
  const out = resolve(options.out ?? `${image.replace(/\.img$/, '')}-vigie.img`);
  if (existsSync(out)) throw new AgentError('config', `${out} is there already; name another with --out`);
  const layout = rooted(image, await readLayout(image));
  const arch = await archOf(image, layout);
  const { debs, version } = await packagesFor(arch, options.deb, signal);
  const baked: Baked = { version, image: await sumOf(image), time: new Date().toISOString() };
  const partFile = `${out}.part`;
  const work = mkdtempSync(join(tmpdir(), 'vigie-bake-'));
  try {
    await tool('cp', ['--sparse=always', '--reflink=auto', '--', image, partFile], { signal });
    const grown = await withRoom(partFile, layout);
    const packages = await install(partFile, grown, { debs, arch, baked, root: work, signal });
    await new Fat(partFile, grown.boot.start).write([json(BAKED_FILE, baked)]);
    renameSync(partFile, out);
    await writeSum(out);
    const { size, blocks } = statSync(out);
    const [bytes, onDisk] = [size, blocks * 512].map((count) => (count / 1e9).toFixed(2));
    say(`${out}: vigie ${version} for ${arch}, ${packages} packages; ${bytes} GB, ${onDisk} GB of it in use`);
  } finally {
    rmSync(partFile, { force: true });
    rmSync(work, { recursive: true, force: true });
  }
}

function rooted(image: string, layout: Layout): Rooted {
  const { root } = layout;
  if (root === undefined)
    throw new AgentError('config', `${image} lacks an ext4 partition; it must contain a Debian root`);
  return { ...layout, root };
}

/** Returns Debian's name of the image's architecture, which this machine must be able to run. */
async function archOf(image: string, { root }: Rooted): Promise<string> {
  const release = (await cat(image, root, '/usr/lib/os-release')).toString();
  if (!new RegExp(`^VERSION_CODENAME="?${CODENAME}"?$`, 'm').test(release)) {
    const name = /^PRETTY_NAME="?([^"\n]*)/m.exec(release)?.[1] ?? 'no Debian';
    throw new AgentError('config', `${image} is ${name}; must be Debian 13 or made from it (${CODENAME})`);
  }
  const program = await cat(image, root, '/usr/bin/dpkg');
  const machine = program.length > 20 ? MACHINES[program.readUInt16LE(18)] : undefined;
  if (machine === undefined) throw new AgentError('config', `${image} is neither for amd64 nor for arm64`);
  const own = (await tool('dpkg', ['--print-architecture'])).toString().trim();
  if (machine.arch !== own && !existsSync(`/proc/sys/fs/binfmt_misc/${machine.qemu}`)) {
    const message = `${image} is for ${machine.arch} and this machine is ${own}: apt-get install qemu-user-static (which registers ${machine.qemu})`;
    throw new AgentError('config', message);
  }
  return machine.arch;
}

/** Returns a file of the root without mounting it; empty if missing. */
function cat(image: string, { start }: Partition, path: string): Promise<Buffer> {
  return tool('debugfs', ['-R', `cat ${path}`, `${image}?offset=${start}`]);
}

interface Packages {
  /** Packages of the agent, and of the updater beside it. */
  readonly debs: readonly [string, string];
  readonly version: string;
}

async function packagesFor(
  arch: string,
  debFile: string | undefined,
  signal: AbortSignal,
): Promise<Packages> {
  const cache = join(packageRoot(), '.cache', 'package');
  if (debFile === undefined)
    await tool(join(packageRoot(), 'scripts', 'package'), ['--arch', arch], { signal });
  const deb = resolve(debFile ?? join(cache, `vigie_${programVersion()}_${arch}.deb`));
  const version = await versionOf(deb, 'vigie', arch);
  const updater = join(dirname(deb), `vigie-root_${version}_all.deb`);
  await versionOf(updater, 'vigie-root', 'all');
  return { debs: [deb, updater], version };
}

async function versionOf(deb: string, name: string, arch: string): Promise<string> {
  if (!existsSync(deb)) throw new AgentError('config', `${deb}: no such package`);
  const field = async (fieldName: string): Promise<string> =>
    (await tool('dpkg-deb', ['-f', deb, fieldName])).toString().trim();
  const [isName, isArch] = [await field('Package'), await field('Architecture')];
  if (isName === name && isArch === arch) return await field('Version');
  throw new AgentError('config', `${deb} is ${isName} for ${isArch}; must be ${name} for ${arch}`);
}

/** Enlarges the last partition if the root has too little space; its file system follows when it is mounted. */
async function withRoom(file: string, layout: Rooted): Promise<Rooted> {
  const { root, label, last, bytes } = layout;
  const stats = (
    await tool('debugfs', ['-R', 'show_super_stats -h', `${file}?offset=${root.start}`])
  ).toString();
  const figure = (name: string): number => Number(new RegExp(`^${name}: +(\\d+)$`, 'm').exec(stats)?.[1]);
  const free = figure('Free blocks') * figure('Block size');
  if (!(free >= 0)) throw new AgentError('config', `${file}: its ext4 file system cannot be read`);
  if (free >= ROOM_BYTES) return layout;
  if (last.number !== root.number) {
    const message = `only ${free} bytes are free on its root, and another partition lies behind it; needs ${ROOM_BYTES}`;
    throw new AgentError('config', `${file}: ${message}`);
  }
  const extraBytes = Math.ceil((ROOM_BYTES - free) / ALIGN_BYTES) * ALIGN_BYTES;
  truncateSync(file, bytes + extraBytes);
  if (label === 'gpt') await tool('sfdisk', ['--relocate', 'gpt-bak-std', file]);
  const partition = ['--no-reread', '--no-tell-kernel', '-N', String(root.number), file];
  await tool('sfdisk', partition, { input: Buffer.from(', +\n') });
  return rooted(file, await readLayout(file));
}

interface Installation {
  readonly debs: readonly [string, string];
  readonly arch: string;
  readonly baked: Baked;
  readonly root: string;
  readonly signal: AbortSignal;
}

/** Returns the number of packages in the image. */
async function install(file: string, { root, boot }: Rooted, installation: Installation): Promise<number> {
  const cache = join(packageRoot(), '.cache', 'flash');
  mkdirSync(cache, { recursive: true });
  const env = {
    IMAGE: file,
    START: String(root.start),
    BYTES: String(root.bytes),
    ROOT: installation.root,
    DEB: installation.debs[0],
    UPDATER: installation.debs[1],
    CACHE: join(cache, `apt-${installation.arch}`),
    LOG: join(cache, 'bake.log'),
    BOOT_UUID: boot.uuid,
    BAKED: JSON.stringify(installation.baked),
  };
  rmSync(env.LOG, { force: true });
  const script = join(packageRoot(), 'scripts', 'products', 'flash', 'install-root.sh');
  const alone = [
    'unshare',
    '--mount',
    '--propagation',
    'private',
    '--pid',
    '--mount-proc',
    '--fork',
    '--kill-child=KILL',
  ];
  const output = await tool('setpriv', ['--pdeathsig', 'KILL', '--', ...alone, '--', 'bash', script], {
    env,
    signal: installation.signal,
  });
  return Number(output.toString().trim());
}
