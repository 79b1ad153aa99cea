/**
 * The Debian package of this checkout, built once per test run, and a box made from it.
 * @starts agent/ scripts/ systemd/ models/
 */

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { CertificateAuthority } from '../../scripts/lib/certificates.ts';
import { authoriseFile } from './authority.ts';
import { emptyStreet } from './encoded-clip.ts';
import type { Container, Output } from './nspawn.ts';
import { ROOT, scratch } from './paths.ts';

export const SITE = 'site-1';
export const BOX = 'box-1';
/** Clip below /usr, the only folder that vision can read. */
export const CLIP = '/usr/share/vigie-test/street.avi';

/** Path in the package of the release that becomes current on a box without one. */
const FIRST_RELEASE = 'usr/share/vigie/first-release';
/** The same path for root's program. */
export const FIRST_ROOT = 'usr/share/vigie-root/first-release';

/** Packages that a box is installed from: root's package, and the agent's, which depends on it. */
export function boxPackages(arch: string): readonly [string, string] {
  const deb = buildPackage(arch);
  return [rootPackage(), deb];
}

/** Architectures whose packages this process has built. */
const built = new Set<string>();

/** Builds the package unless it exists for this exact state of the sources; returns its path. */
export function buildPackage(arch: string): string {
  const out = join(ROOT, '.cache', 'package');
  if (!built.has(arch))
    execFileSync(join(ROOT, 'scripts/package'), ['--arch', arch, '--out', out], { stdio: 'pipe' });
  built.add(arch);
  return join(out, `vigie_${packageVersion()}_${arch}.deb`);
}

/** Path of root's package, which is built with the agent's. */
export function rootPackage(): string {
  return join(ROOT, '.cache', 'package', `vigie-root_${packageVersion()}_all.deb`);
}

/** Path of the room's package, which is built with the agent's. */
export function roomPackage(arch: string): string {
  return join(ROOT, '.cache', 'package', `vigie-room_${packageVersion()}_${arch}.deb`);
}

/** Path of the oversight package, which is built with the others. */
export function oversightPackage(arch: string): string {
  buildPackage(arch);
  return join(ROOT, '.cache', 'package', `vigie-oversight_${packageVersion()}_all.deb`);
}

function packageVersion(): string {
  return (JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }).version;
}

/** Repacks the package with another version, for an upgrade: it contains another release, which would run. */
export function withVersion(t: Test, deb: string, version: string, first = FIRST_RELEASE): string {
  return repacked(t, deb, version, (tree) => {
    const release = join(tree, first);
    const other = (file: string, from: RegExp, to: string): string => {
      const text = readFileSync(join(release, file), 'utf8').replace(from, to);
      writeFileSync(join(release, file), text);
      return text;
    };
    const versionFile = other(
      'VERSION',
      /"seq":\d+,"version":"[^"]*"/,
      `"seq":999999,"version":"${version}"`,
    );
    const sha256 = createHash('sha256').update(versionFile).digest('hex');
    const entry = `$1 size=${versionFile.length} sha256digest=${sha256}`;
    other('MANIFEST', /^(\.\/VERSION .*) size=\S+ sha256digest=\S+$/m, entry);
  });
}

/** Repacks a package with another version and no other change, for a room, whose programs are its files. */
export function asVersion(t: Test, deb: string, version: string): string {
  return repacked(t, deb, version, () => undefined);
}

function repacked(t: Test, deb: string, version: string, change: (tree: string) => void): string {
  const dir = scratch(t);
  const tree = join(dir, 'tree');
  execFileSync('dpkg-deb', ['-R', deb, tree]);
  execFileSync('sed', ['-i', `s/^Version: .*/Version: ${version}/`, join(tree, 'DEBIAN/control')]);
  change(tree);
  const file = join(dir, `vigie_${version}.deb`);
  execFileSync('dpkg-deb', ['--root-owner-group', '-Znone', '-b', tree, file], { stdio: 'pipe' });
  return file;
}

export function install(container: Container, ...debs: readonly string[]): Output {
  mkdirSync(join(container.root, 'root'), { recursive: true });
  const files = debs.map((deb, index) => {
    const file = `/root/package-${index}.deb`;
    copyFileSync(deb, join(container.root, file));
    return file;
  });
  return container.run('dpkg', '--force-confold', '-i', ...files);
}

/**
 * Unpacks only its files, for a root file system whose packages were never configured: its release is the current one.
 */
export function unpack(container: Container, deb: string): void {
  execFileSync('dpkg-deb', ['-x', deb, container.root]);
  mkdirSync(join(container.root, 'usr/lib/vigie'));
  renameSync(join(container.root, FIRST_RELEASE), join(container.root, 'usr/lib/vigie/current'));
}

const CONFIG = `site: ${SITE}
box: ${BOX}
alertsPerHour: 3600
camera:
  source: file:${CLIP}
  fps: 2
zones:
  - id: lawn
    polygon: [[0.00, 0.46], [0.20, 0.48], [0.50, 0.62], [0.96, 0.92], [0.96, 1.00], [0.00, 1.00]]
lines:
  - id: east-road
    from: [0.90, 0.34]
    to: [0.82, 0.75]
rules:
  - { id: coming-in, kind: line-crossing, line: east-road, purpose: demo }
  - { id: on-the-lawn, kind: loitering, zone: lawn, afterS: 2, purpose: demo }
authorisation: /etc/vigie/authorisation.dsse.json
authorityKey: /etc/vigie/authority.pub
mqtt:
  url: mqtts://localhost:8883
  ca: /etc/vigie/pki/ca.crt
  cert: /etc/vigie/pki/box.crt
  key: /etc/vigie/pki/box.key
  ack: broker
`;

/** Two listeners: one for boxes, with certificates, and a plain one for the test to listen on, inside. */
export const BROKER = `listener 8883 127.0.0.1
cafile /etc/mosquitto/pki/ca.crt
certfile /etc/mosquitto/pki/broker.crt
keyfile /etc/mosquitto/pki/broker.key
require_certificate true
use_identity_as_username true
max_queued_messages 0
listener 1883 127.0.0.1
allow_anonymous true
`;

/**
 * Installs everything that a box needs to watch a street: clip, broker, and the files that a technician puts on the
 * boot partition. Whatever else a box will need before it may start belongs here. `more` adds lines to its
 * configuration; `clip` is the camera's video, of which `fps` frames a second are analysed. Returns the room's authority.
 */
export async function provision(
  t: Test,
  container: Container,
  { more = '', clip = emptyStreet(), fps = 2 } = {},
): Promise<CertificateAuthority> {
  const config = CONFIG.replace('fps: 2', `fps: ${fps}`) + more;
  const authority = new CertificateAuthority(join(scratch(t), 'pki'));
  await authority.start();
  const [broker, box] = [await authority.broker(), await authority.client(BOX)];
  container.write(CLIP, readFileSync(clip));
  container.write('/etc/mosquitto/conf.d/test.conf', BROKER);
  for (const [file, name] of [
    [authority.ca, 'ca.crt'],
    [broker.cert, 'broker.crt'],
    [broker.key, 'broker.key'],
  ] as const) {
    container.write(`/etc/mosquitto/pki/${name}`, readFileSync(file));
  }
  const partition = '/boot/firmware/vigie';
  container.write(`${partition}/vigie.yaml`, config);
  const authorisationDir = scratch(t);
  writeFileSync(join(authorisationDir, 'vigie.yaml'), config);
  authoriseFile(join(authorisationDir, 'vigie.yaml'), authorisationDir);
  for (const name of ['authorisation.dsse.json', 'authority.pub']) {
    container.write(`${partition}/${name}`, readFileSync(join(authorisationDir, name)));
  }
  container.write(`${partition}/pki/ca.crt`, readFileSync(authority.ca));
  container.write(`${partition}/pki/box.crt`, readFileSync(box.cert));
  container.write(`${partition}/pki/box.key`, readFileSync(box.key));
  container.write(`${partition}/notes.txt`, 'mounted on the lamp post, 4 m\n');
  return authority;
}

/** Makes each clip that gst-launch-1.0 generates a second long; the measured rates are not judged. */
export function shortenClips(container: Container): void {
  const [program, original] = ['/usr/bin/gst-launch-1.0', '/usr/bin/gst-launch-1.0.original'];
  container.run('mv', program, original);
  const script = `#!/bin/bash\nexec ${original} "\${@/#num-buffers=*/num-buffers=25}"\n`;
  container.write(program, script, 0o755);
}
