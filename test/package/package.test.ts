/**
 * Tests the packages of box, room and oversight: their content, and a box of them that boots, takes its card, and
 * analyses video. `package.all.test.ts` and its neighbours install, upgrade, use and remove them.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { BootedBox } from '../lib/booted-box.ts';
import { boxPackages, oversightPackage, provision, roomPackage } from '../lib/box-package.ts';
import { installedContainer } from '../lib/installed-root.ts';
import { Container, ownArch } from '../lib/nspawn.ts';

const skip = Container.unavailable();
const [rootDeb, deb] = skip === false ? boxPackages(ownArch()) : ['', ''];

function filesOf(file: string): string[] {
  const listing = execFileSync('dpkg-deb', ['-c', file], { encoding: 'utf8', maxBuffer: 1e8 });
  return listing.split('\n').map((line) => line.split(/\s+/)[5]?.slice(1) ?? '');
}

const field = (file: string, name: string): string =>
  execFileSync('dpkg-deb', ['-f', file, name], { encoding: 'utf8' }).trim();

/** Size of a package and of its installed files, MB. */
const sizesOf = (file: string): readonly [number, number] => [
  statSync(file).size / 1e6,
  Number(field(file, 'Installed-Size')) / 1000,
];

/** The listed names that a package brings as modules of npm. */
const modulesIn = (files: readonly string[], names: readonly string[]): string[] =>
  names.filter((name) => files.some((file) => file.includes(`/node_modules/${name}/`)));

const TOOLS = ['typescript', 'tap', 'oxlint', '@biomejs', 'knip', 'fast-check', 'prebuild-install', 'nan'];

void t.test('the box’s package has all files of a box and no others', { skip }, async (t) => {
  const files = filesOf(deb);
  t.strictSame(modulesIn(files, TOOLS), []);
  const modules = files.filter((file) => file.startsWith('/usr/share/vigie/first-release/node_modules/'));
  t.strictSame(
    modules.filter(
      (file) => /darwin|win32|musl|\.(ts|map|md|cc|h|o)$/.test(file) && !/licen[cs]e/i.test(file),
    ),
    [],
    'no files of other platforms, no sources',
  );
  const own = files.filter((file) => !modules.includes(file));
  t.strictSame(
    own.filter((file) => /\/(test|scripts|design)\/|\.test\.js$/.test(file)),
    [],
    'no tests, no design pages',
  );
  const ofSystem = /\/(systemd|sysusers\.d|tmpfiles\.d)\/|\.(service|socket|path|timer)$/;
  t.strictSame(
    own.filter((file) => ofSystem.test(file)),
    ['/etc/avahi/services/vigie.service'],
    'no unit, no user and no folder: those are of root’s package, and no release brings any',
  );
  const ofRoot = filesOf(rootDeb);
  for (const file of [
    '/usr/lib/vigie-root/start',
    '/usr/bin/vigie-root',
    '/usr/share/vigie-root/first-release/vigie-root.js',
    ...['vigie.service', 'vigie-vision.service', 'vigie-provision.service', 'vigie-hotspot.path'].map(
      (unit) => `/usr/lib/systemd/system/${unit}`,
    ),
    '/usr/lib/sysusers.d/vigie.conf',
    '/usr/lib/tmpfiles.d/vigie.conf',
    ...['hailo', 'coral', 'jetson', 'rk3588', 'onnxinference'].map(
      (name) => `/usr/share/vigie/accelerators/${name}/detector.yaml`,
    ),
    '/usr/share/vigie/accelerators/coral/50-coral-usb.conf',
  ])
    t.ok(ofRoot.includes(file), `root’s package has ${file}`);
  for (const file of [
    '/usr/share/man/man1/vigie.1.gz',
    '/usr/share/vigie/vigie.yaml',
    '/usr/share/doc/vigie/examples/vigie.container',
  ])
    t.ok(files.includes(file), file);
  t.match(
    field(deb, 'Depends'),
    /^vigie-root \(>= .*nodejs \(>= 20\.17~\).*gstreamer1\.0-libav/s,
    'root’s package, node, GStreamer',
  );
  const [mb, installedMb] = sizesOf(deb);
  t.ok(mb < 40 && installedMb < 110, `${mb.toFixed(1)} MB, ${installedMb.toFixed(0)} MB installed`);
});

void t.test('the room’s package has the room’s files and no others', { skip }, async (t) => {
  const roomDeb = roomPackage(ownArch());
  const files = filesOf(roomDeb);
  const needed = ['pg', 'mqtt', 'better-sqlite3', 'commander', 'fastify', 'openid-client', 'canonicalize'];
  t.strictSame(modulesIn(files, needed), needed);
  const ofBox = ['sharp', 'onnxruntime-node', 'node-gstreamer-superficial', 'vigie-native'];
  t.strictSame(modulesIn(files, [...ofBox, ...TOOLS]), []);
  const lib = '/usr/lib/vigie-room/dist';
  t.strictSame(
    files.filter(
      (file) => file.startsWith(`${lib}/agent/vision/`) || /\/(test|\.github)\/|\.test\.js$/.test(file),
    ),
    [],
    'nothing that sees pixels, no tests',
  );
  for (const file of [
    ...['archive', 'console', 'signer', 'enrol', 'metrics', 'search', 'tracks', 'unseal'].map(
      (name) => `${lib}/scripts/products/room/${name}/main.js`,
    ),
    `${lib}/scripts/products/room/app/index.html`,
    ...['archive', 'console', 'signer', 'metrics', 'enrol'].map(
      (name) => `/usr/lib/systemd/system/vigie-room-${name}.service`,
    ),
    '/usr/share/man/man1/vigie-room.1.gz',
    ...['prometheus-rules.yaml', 'prometheus-fleet-rules.yaml', 'grafana-dashboard.json'].map(
      (name) => `/usr/share/vigie-room/${name}`,
    ),
    ...['events.schema.json', 'asyncapi.yaml', 'openapi.yaml'].map((name) => `/usr/share/vigie-room/${name}`),
    '/usr/share/doc/vigie-room/console.md',
    ...['nginx.conf', 'console.yaml', 'room.env', 'enrol.env', 'signer-room.yaml'].map(
      (name) => `/usr/share/doc/vigie-room/examples/${name}`,
    ),
    ...['certificates.sh', 'etcd.env', 'patroni.yaml', 'haproxy.cfg', 'prometheus-rules.yaml'].map(
      (name) => `/usr/share/doc/vigie-room/examples/failover/${name}`,
    ),
  ])
    t.ok(files.includes(file), file);
  t.ok(sizesOf(roomDeb)[0] < 8, `${sizesOf(roomDeb)[0].toFixed(1)} MB`);
});

void t.test('the oversight package has its program and nothing else', { skip }, async (t) => {
  const oversightDeb = oversightPackage(ownArch());
  t.strictSame(
    filesOf(oversightDeb)
      .filter((file) => file !== '' && !file.endsWith('/'))
      .sort(),
    [
      '/usr/bin/vigie-oversight',
      ...['authorisation.md', 'changelog.gz', 'copyright', 'journal.md'].map(
        (name) => `/usr/share/doc/vigie-oversight/${name}`,
      ),
      '/usr/share/lintian/overrides/vigie-oversight',
      '/usr/share/man/man1/vigie-oversight.1.gz',
      '/usr/share/vigie-oversight/package.json',
      '/usr/share/vigie-oversight/vigie-oversight.js',
    ],
  );
  t.equal(field(oversightDeb, 'Architecture'), 'all');
  t.equal(field(oversightDeb, 'Depends'), 'nodejs (>= 20.17~), ca-certificates', 'no other package of Vigie');
  const [mb, installedMb] = sizesOf(oversightDeb);
  t.ok(mb < 1 && installedMb < 4, `${mb.toFixed(2)} MB, ${installedMb.toFixed(1)} MB installed`);
});

void t.test('an installed box boots, takes its card, and analyses video', { skip }, async (t) => {
  const container = await installedContainer(t, rootDeb, deb);
  await provision(t, container);
  container.run('chown', '-R', 'mosquitto:', '/etc/mosquitto/pki');
  await container.boot(t);
  const box = new BootedBox(t, container);
  await box.watches('starts');
  for (const unit of ['vigie.service', 'vigie-renew.timer', 'vigie-provision.service'])
    t.match(container.run('systemctl', 'is-enabled', unit).out, /^enabled/, unit);

  await t.test('the files of the boot partition are taken once', async (t) => {
    const partition = '/boot/firmware/vigie';
    t.match(container.read(`${partition}/result.txt`), /^\S+Z installed\r\n(.*\r\n)*notes.txt: .*left here/m);
    t.strictSame(readdirSync(join(container.root, partition)).sort(), ['notes.txt', 'pki', 'result.txt']);
    t.strictSame(readdirSync(join(container.root, partition, 'pki')), [], 'the key is there no more');
    t.equal(container.run('stat', '-c', '%U:%G %a', '/etc/vigie/pki/box.key').out.trim(), 'root:vigie 640');
    t.equal(container.run('stat', '-c', '%U:%G %a', '/etc/vigie/vigie.yaml').out.trim(), 'root:vigie 640');
  });

  await t.test('vision runs as its own user and reads no secrets', async (t) => {
    const ps = container
      .run('ps', '-o', 'user:16=', '-p', `${box.agent},${box.vision}`)
      .out.trim()
      .split(/\s+/);
    t.strictSame(ps.sort(), ['vigie', 'vigie-vision']);
    const sees = (path: string): boolean =>
      container.run('nsenter', '-t', String(box.vision), '-m', '-r', '/usr/bin/test', '-e', path).status ===
      0;
    t.ok(sees('/usr/lib/vigie/current/package.json'), 'its program (control)');
    for (const path of ['/etc/vigie', '/var/lib/vigie', '/run/credentials', '/run/systemd/notify', '/boot']) {
      t.notOk(sees(path), `no ${path}`);
    }
    const environment = container.run('cat', `/proc/${box.vision}/environ`).out;
    t.notMatch(environment, /VIGIE_MQTT|CREDENTIALS|NOTIFY/, 'no word of a credential');
    t.equal(
      container.show('vigie-vision', 'IPAddressAllow'),
      '',
      'a clip is on no network: no address at all',
    );
    t.match(container.show('vigie-vision', 'IPAddressDeny'), /0\.0\.0\.0\/0/);
  });

  await t.test('only the page’s user can open the page’s socket', async (t) => {
    const socket = '/run/vigie-link/page.sock';
    const ownerOf = (path: string): string => container.run('stat', '-c', '%U:%G %a', path).out.trim();
    t.strictSame(
      [ownerOf('/run/vigie-link'), ownerOf(socket)],
      ['vigie:vigie-page 2750', 'vigie:vigie-page 660'],
    );
    const program =
      "require('net').connect(process.argv[1]).on('connect', () => process.exit(0)).on('error', () => process.exit(1))";
    const connectStatus = (user: string): number | null =>
      container.run('runuser', '-u', user, '--', 'node', '-e', program, socket).status;
    t.strictSame(['vigie-page', 'vigie-vision', 'mosquitto'].map(connectStatus), [0, 1, 1]);
  });
});
