/** Images as vendors make them, small but complete, and a site's folder, for tests of `scripts/flash`. */
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import type { Authorisation } from '../../agent/contract/authorisation.ts';
import { CertificateAuthority } from '../../scripts/lib/certificates.ts';
import { systemPath } from '../../scripts/lib/system-path.ts';
import { authoriseFile } from './authority.ts';
import { boxPackages } from './box-package.ts';
import { ownArch } from './nspawn.ts';
import { ROOT, scratch } from './paths.ts';

const MIB = 1024 * 1024;
/** The built program. */
export const FLASH = join(ROOT, 'dist/scripts/products/flash/main.js');

const run = (program: string, args: readonly string[], input?: string): Buffer =>
  execFileSync(program, args, {
    input,
    env: { ...process.env, PATH: systemPath() },
    stdio: ['pipe', 'pipe', 'pipe'],
    maxBuffer: 1e8,
  });

interface Parts {
  readonly fatMib: number;
  readonly rootMib: number;
  /** Folder that the root file system is made from. */
  readonly root: string;
  readonly label?: 'dos' | 'gpt';
}

/** Offset of the FAT partition of such an image, bytes. */
export const BOOT_START = 4 * MIB;

/** Makes a partition table, a FAT partition at 4 MiB and an ext4 root behind it, without root's rights or a mount. */
export function makeImage(file: string, { fatMib, rootMib, root, label = 'dos' }: Parts): void {
  const [fat, ext] = [`${file}.fat`, `${file}.ext4`];
  writeFileSync(file, '');
  truncateSync(file, (4 + fatMib + rootMib + 1) * MIB);
  const types = label === 'gpt' ? ['U', 'L'] : ['c', '83'];
  const table = `label: ${label}\nstart=4MiB,size=${fatMib}MiB,type=${types[0]}\nstart=${4 + fatMib}MiB,size=${rootMib}MiB,type=${types[1]}\n`;
  run('sfdisk', ['--no-reread', '--no-tell-kernel', file], table);
  run('mkfs.vfat', ['-n', 'bootfs', '-C', fat, String(fatMib * 1024)]);
  run('mkfs.ext4', ['-q', '-d', root, ext, `${rootMib}m`]);
  for (const [part, at] of [
    [fat, 4],
    [ext, 4 + fatMib],
  ] as const) {
    run('dd', [`if=${part}`, `of=${file}`, 'bs=1M', `seek=${at}`, 'conv=notrunc,sparse']);
    rmSync(part);
  }
}

/** Makes an image that `flash card` accepts as baked, in 25 MiB. */
export function cardImage(dir: string, name = 'baked.img'): string {
  const root = join(dir, 'some-root');
  mkdirSync(root, { recursive: true });
  writeFileSync(join(root, 'hostname'), 'vendor\n');
  const file = join(dir, name);
  makeImage(file, { fatMib: 12, rootMib: 8, root });
  putOnFat(file, 'cmdline.txt', 'console=tty1 root=PARTUUID=1-02 ds=nocloud rootwait\n');
  putOnFat(file, 'vigie-files/baked.json', '{"version":"0.1.0"}\n');
  return file;
}

const fatOf = (image: string): string[] => ['-i', `${image}@@${BOOT_START}`];

export function putOnFat(image: string, path: string, content: string): void {
  const folder = path.split('/').slice(0, -1).join('/');
  if (folder !== '') run('mmd', [...fatOf(image), `::${folder}`]);
  run('mcopy', [...fatOf(image), '-', `::${path}`], content);
}

/** Copies all files of the FAT partition to a folder, as if it were mounted there. */
export function copyFat(image: string, folder: string): void {
  mkdirSync(folder, { recursive: true });
  run('mcopy', [...fatOf(image), '-s', '-n', '-Q', '::*', folder]);
}

const CAMERA = 'rtsp://192.0.2.7/stream';
const configOf = (site: string, box: string): string => `site: ${site}
box: ${box}
camera: { source: "${CAMERA}", fps: 5 }
zones: [{ id: square, polygon: [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9]] }]
rules: [{ id: stays, kind: loitering, zone: square, afterS: 20, purpose: public-safety }]
authorisation: /etc/vigie/authorisation.dsse.json
authorityKey: /etc/vigie/authority.pub
mqtt:
  url: mqtts://room.example:8883
  ca: /etc/vigie/pki/ca.crt
  cert: /etc/vigie/pki/box.crt
  key: /etc/vigie/pki/box.key
`;

export interface SiteFolder {
  readonly folder: string;
  readonly yaml: string;
  readonly authorisation: string;
  /** The room's authority, with its key. */
  readonly authority: CertificateAuthority;
}

/** Makes the folder of docs/guide/flash.md. `yaml` is used instead of a usual configuration. */
export async function siteFolder(
  dir: string,
  {
    site = 'marseille-1',
    box = 'canebiere-017',
    yaml = configOf(site, box),
    change = {} as Partial<Authorisation>,
  } = {},
): Promise<SiteFolder> {
  const folder = join(dir, 'site');
  const own = join(folder, 'boxes', box);
  mkdirSync(own, { recursive: true });
  const file = join(own, 'vigie.yaml');
  writeFileSync(file, yaml);
  const authorisationDir = join(dir, 'order');
  mkdirSync(authorisationDir, { recursive: true });
  writeFileSync(join(authorisationDir, 'vigie.yaml'), yaml);
  authoriseFile(join(authorisationDir, 'vigie.yaml'), authorisationDir, change);
  const authorisation = join(own, 'authorisation.dsse.json');
  copyFileSync(join(authorisationDir, 'authorisation.dsse.json'), authorisation);
  copyFileSync(join(authorisationDir, 'authority.pub'), join(folder, 'authority.pub'));
  const authority = new CertificateAuthority(join(dir, 'ca'));
  await authority.start();
  copyFileSync(authority.ca, join(folder, 'ca.crt'));
  return { folder, yaml: file, authorisation, authority };
}

/** Packages that a test needs inside and a vendor does not deliver: a broker. */
const PACKAGES = 'systemd,systemd-sysv,dbus,ca-certificates,openssl,mosquitto,mosquitto-clients';

/** A bare Debian 13 that boots, as a vendor delivers it; built once (.cache, about a minute). Needs root. */
export function vendorImage(): string {
  const dir = join(ROOT, '.cache', 'flash');
  const file = join(dir, `vendor-${ownArch()}.img`);
  if (existsSync(file)) return file;
  mkdirSync(dir, { recursive: true });
  const root = join(dir, 'vendor-root');
  rmSync(root, { recursive: true, force: true });
  run('mmdebstrap', ['--variant=minbase', `--include=${PACKAGES}`, 'trixie', root]);
  writeFileSync(join(root, 'etc/hosts'), '127.0.0.1 localhost\n');
  // As in an image that leaves manuals out.
  rmSync(join(root, 'usr/share/man'), { recursive: true });
  const fresh = `${file}.new`;
  makeImage(fresh, { fatMib: 64, rootMib: 700, root });
  rmSync(root, { recursive: true, force: true });
  putOnFat(fresh, 'cmdline.txt', 'console=tty1 root=/dev/vda2 rootwait\n');
  renameSync(fresh, file);
  return file;
}

/** The same with this checkout’s package, by `flash bake`; built once for a package (.cache, about a minute). */
export function bakedImage(): string {
  const vendor = vendorImage();
  const [root, deb] = boxPackages(ownArch());
  const file = vendor.replace('vendor', 'baked');
  if (
    existsSync(file) &&
    statSync(file).mtimeMs > Math.max(...[root, deb].map((one) => statSync(one).mtimeMs))
  )
    return file;
  for (const stale of [file, `${file}.sha256`]) rmSync(stale, { force: true });
  run(process.execPath, [FLASH, 'bake', '--image', vendor, '--out', file, '--deb', deb]);
  return file;
}

/** Mounts the root of an image read-only until the test ends. Needs root. */
export function mountedRoot(t: Test, image: string): string {
  const dir = join(scratch(t), 'root-of-image');
  mkdirSync(dir);
  const table = JSON.parse(run('sfdisk', ['--json', image]).toString()) as {
    partitiontable: { partitions: { start: number; size: number }[] };
  };
  const { start = 0, size = 0 } = table.partitiontable.partitions[1] ?? {};
  const place = `loop,ro,noload,offset=${start * 512},sizelimit=${size * 512}`;
  run('mount', ['-t', 'ext4', '-o', place, image, dir]);
  t.teardown(() => run('umount', ['-l', dir]));
  return dir;
}
