/** Tests the control room's package on a Debian of its own: its units on a real boot behind nginx. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { CertificateAuthority } from '../../scripts/lib/certificates.ts';
import { asVersion, boxPackages, install, provision, roomPackage } from '../lib/box-package.ts';
import { makeSigner } from '../lib/commands.ts';
import { installedContainer } from '../lib/installed-root.ts';
import { Container, ownArch } from '../lib/nspawn.ts';
import { ROOT, STREET_CLIP, scratch } from '../lib/paths.ts';
import { waitUntil } from '../lib/room.ts';

const UNITS = ['archive', 'console', 'signer', 'metrics', 'readers', 'enrol'].map(
  (name) => `vigie-room-${name}`,
);
const EXAMPLES = join(ROOT, 'scripts/products/room/examples');
const SOCKET = '/run/vigie-room-signer/signer.sock';
/** Time on a busy machine for the start of node and for creating tables. */
const PATIENCE_MS = 60_000;

const skip = Container.unavailable();
const boxDebs = skip === false ? boxPackages(ownArch()) : [];
const deb = skip === false ? roomPackage(ownArch()) : '';

/** Token of a program that reads the console, made as in the guide. */
const TOKEN = randomBytes(32).toString('hex');

/** Sets up a box with a clip, its broker, and the room's settings from the examples, as an administrator would. */
async function setUp(t: Test, container: Container): Promise<CertificateAuthority> {
  const authority = await provision(t, container, { clip: STREET_CLIP });
  setUpEnrolment(t, container);
  const pem = makeSigner().privateKey.export({ type: 'pkcs8', format: 'pem' });
  container.write('/etc/vigie-room/signer/desk.pem', pem, 0o600);
  container.write('/etc/vigie-room/signer/room.yaml', example('signer-room.yaml'));
  container.write('/etc/vigie-room/authority.pub', container.read('/boot/firmware/vigie/authority.pub'));
  const authorisation = container.read('/boot/firmware/vigie/authorisation.dsse.json');
  container.write('/etc/vigie-room/orders/box-1.dsse.json', authorisation);
  container.write('/etc/vigie-room/console/oidc.secret', 'a secret of the provider\n', 0o640);
  container.run('chgrp', 'vigie-room', '/etc/vigie-room/console/oidc.secret');
  return authority;
}

/** The enrolment's folder, as the guide names it. */
const ENROLMENT = '/var/lib/vigie-room-enrol';
const BROKER = '/usr/share/doc/vigie-room/examples/broker/mosquitto';

function enrol(t: Test, container: Container, ...args: readonly string[]): string {
  const words = ['runuser', '-u', 'vigie-room-enrol', '--', 'vigie-room', 'enrol', ...args];
  const program = container.run(...words, '--dir', ENROLMENT);
  t.match(program, { status: 0 }, `enrol ${args.join(' ')}: ${program.err}`);
  return program.out;
}

/** The shipped broker with the enrolment's lists, and certificates of the programs and the box, signed by hand. */
function setUpEnrolment(t: Test, container: Container): void {
  const copy = (from: string, to: string, mode = 0o600): void =>
    container.write(to, container.read(from), mode);
  enrol(t, container, 'init');
  enrol(t, container, 'server', 'localhost', '--out', ENROLMENT);
  for (const role of ['archive', 'desk', 'metrics', 'bridge'])
    enrol(t, container, 'program', role, '--out', ENROLMENT);
  enrol(t, container, 'program', 'reader', 'map', '--out', ENROLMENT);
  for (const [folder, role] of [
    ['archive', 'archive'],
    ['signer', 'desk'],
    ['metrics', 'metrics'],
  ] as const) {
    for (const file of ['ca.crt', `${role}.room.crt`, `${role}.room.key`]) {
      copy(`${ENROLMENT}/${file}`, `/etc/vigie-room/${folder}/${file}`);
    }
  }
  container.run('rm', '-r', '/etc/mosquitto/conf.d/test.conf', '/etc/mosquitto/pki');
  copy(`${BROKER}/mosquitto.conf`, '/etc/mosquitto/mosquitto.conf', 0o644);
  const ofBridge = ['bridge.room.key', 'bridge.room.crt'];
  for (const file of ['broker.key', 'broker.crt', 'ca.crt', 'programs-ca.crt', ...ofBridge]) {
    copy(`${ENROLMENT}/${file}`, `/etc/mosquitto/vigie/${file}`);
  }
  container.run('chown', '-R', 'mosquitto:', '/etc/mosquitto/vigie');
  const pki = '/boot/firmware/vigie/pki';
  const csr = `${ENROLMENT}/box.csr`;
  const curve = ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'];
  container.run('openssl', 'genpkey', ...curve, '-out', `${pki}/box.key`);
  container.run('openssl', 'req', '-new', '-key', `${pki}/box.key`, '-subj', '/CN=box-1', '-out', csr);
  container.write(`${pki}/box.crt`, enrol(t, container, 'sign', 'site-1', 'box-1', csr));
  copy(`${ENROLMENT}/ca.crt`, `${pki}/ca.crt`);
}

/** Checks that a revocation reaches the broker automatically: it reads its lists again, and drops the box. */
async function checkRevocation(t: Test, container: Container): Promise<void> {
  t.equal(container.show('vigie-room-boxes.path', 'ActiveState'), 'active');
  const reloads = (): number =>
    container.run('journalctl', '-u', 'mosquitto', '--no-pager').out.split('Reloading config').length - 1;
  // Without a readable list the broker would go on without any rule.
  const acl = '/var/lib/vigie-room-boxes/broker.acl';
  const unread = reloads();
  container.run('chmod', '0600', acl);
  container.run('chown', 'root:', acl);
  t.not(container.run('systemctl', 'start', 'vigie-room-boxes.service').status, 0, 'it is said');
  t.equal(reloads(), unread, 'and the broker keeps the rules that it has');
  container.run('chown', 'vigie-room-enrol:', acl);
  container.run('chmod', '0644', acl);
  t.match(container.run('systemctl', 'start', 'vigie-room-boxes.service'), { status: 0 });
  const before = reloads();
  enrol(t, container, 'revoke', 'box-1');
  await waitUntil(t, 'the broker reads the lists', () => reloads() > before, PATIENCE_MS);
  t.equal(container.run('cat', `${ENROLMENT}/boxes/broker.acl`).out.includes('readwrite'), false);
  const isDenied = (): boolean =>
    /denied/.test(container.run('runuser', '-u', 'vigie', '--', 'vigie', 'status').out);
  await waitUntil(t, 'the box reports that it may not write', isDenied, PATIENCE_MS);
}

/** Writes the settings that a unit waits for. */
function writeSettings(container: Container): void {
  const retention = '--orders /etc/vigie-room/orders --authority /etc/vigie-room/authority.pub';
  const options = /^(VIGIE_ROOM_ARCHIVE_OPTIONS=.*)$/m;
  container.write('/etc/vigie-room/room.env', example('room.env').replace(options, `$1 ${retention}`));
  container.write('/etc/vigie-room/enrol.env', example('enrol.env'));
  const sha256 = createHash('sha256').update(TOKEN).digest('hex');
  const tokens = `tokens: [{ name: test, role: operator, sha256: ${sha256} }]\n`;
  const settings = example('console.yaml').replace('#signer:', 'signer:') + tokens;
  container.write('/etc/vigie-room/console.yaml', settings);
}

function example(name: string): string {
  return readFileSync(join(EXAMPLES, name), 'utf8').replaceAll(/(room|console)\.example/g, 'localhost');
}

/** Runs this machine's nginx in the container's network, with the example's site. */
async function startNginx(t: Test, container: Container, authority: CertificateAuthority): Promise<string> {
  const dir = scratch(t);
  const { cert, key } = await authority.broker();
  copyFileSync(cert, join(dir, 'console.crt'));
  copyFileSync(key, join(dir, 'console.key'));
  for (const name of ['body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']) mkdirSync(join(dir, name));
  const site = readFileSync(join(EXAMPLES, 'nginx.conf'), 'utf8')
    .replaceAll('/etc/nginx/vigie', dir)
    .replaceAll('console.example', 'localhost');
  writeFileSync(join(dir, 'site.conf'), site);
  const temporary = `client_body_temp_path ${dir}/body; proxy_temp_path ${dir}/proxy; fastcgi_temp_path ${dir}/fastcgi; uwsgi_temp_path ${dir}/uwsgi; scgi_temp_path ${dir}/scgi;`;
  const http = `http { access_log ${dir}/access.log; ${temporary} include ${dir}/site.conf; }`;
  writeFileSync(join(dir, 'nginx.conf'), `daemon off; user root; pid ${dir}/pid; events {}\n${http}\n`);
  const [program = '', ...args] = container.inNetwork(
    ...['/usr/sbin/nginx', '-p', dir, '-e', join(dir, 'error.log'), '-c', join(dir, 'nginx.conf')],
  );
  const child = spawn(program, args, { stdio: 'ignore' });
  t.teardown(() => endChild(child));
  return dir;
}

void t.test('the installed room runs behind nginx on a booted machine', { skip }, async (t) => {
  const container = await installedContainer(t, ...boxDebs);
  const installation = install(container, asVersion(t, deb, '0.0.9'));
  t.match(installation, { status: 0 }, `installs with what it depends on: ${installation.err}`);
  checkUnits(t, container);
  const authority = await setUp(t, container);
  await container.boot(t);
  for (const unit of UNITS) {
    t.equal(container.show(unit, 'UnitFileState'), 'enabled', `${unit} is enabled`);
  }
  for (const unit of ['archive', 'console', 'metrics', 'readers', 'enrol'].map(
    (name) => `vigie-room-${name}`,
  )) {
    t.equal(container.show(unit, 'ActiveState'), 'inactive', `${unit} waits for its settings`);
  }
  writeSettings(container);
  container.run('systemctl', 'restart', 'vigie-room-archive', 'vigie-room-metrics', 'vigie-room-enrol');
  const readers = container.read(`${BROKER}/readers.conf`).replace('room.example', 'localhost');
  container.write('/etc/mosquitto/vigie/readers.conf', readers, 0o644);
  container.run('systemctl', 'restart', 'vigie-room-readers');
  const database = (): boolean => container.run('test', '-s', '/var/lib/vigie-room/room.db').status === 0;
  await waitUntil(t, 'the archive makes its tables', database, PATIENCE_MS);
  container.run('systemctl', 'restart', 'vigie-room-console');
  const proxy = await startNginx(t, container, authority);
  const asking = asker(container, authority);
  const ask = (path: string, ...extraArgs: readonly string[]): string => {
    const [program = '', ...args] = asking(path, ...extraArgs);
    return spawnSync(program, args, { encoding: 'utf8' }).stdout;
  };
  const log = (): string => container.run('journalctl', '--no-pager', '-o', 'cat', '-n', '60').out;
  await waitUntil(t, 'the console answers', () => ask('/healthz').includes(' 200 2'), PATIENCE_MS).catch(
    (error: unknown) => {
      t.comment(log());
      throw error;
    },
  );
  t.match(ask('/'), /<script[\s\S]* 200 2$/, 'the browser’s page');
  t.match(ask('/api/queue'), / 401 2$/, 'and nothing without a session');
  t.match(ask('/api/openapi.json', '--header', BEARER), /"openapi":\s*"3\.1\.\d"[\s\S]* 200 2$/);
  const hasAlert = (): boolean => /"box":"box-1"[\s\S]* 200 2$/.test(ask('/api/queue', '--header', BEARER));
  await waitUntil(t, 'a real box’s alerts', hasAlert, PATIENCE_MS);
  t.match(ask('/api/incidents/1/stills/deposit'), / 401 2$/);
  const access = readFileSync(join(proxy, 'access.log'), 'utf8');
  t.match(access, '/api/queue');
  t.notMatch(access, 'stills', 'the proxy’s log names no viewer of a still');
  const scraped = container.inNetwork('curl', '--silent', 'http://127.0.0.1:9465/metrics');
  t.match(
    spawnSync(scraped[0] ?? '', scraped.slice(1), { encoding: 'utf8' }).stdout,
    /vigie_box_up\{[^}]*box="box-1"[^}]*\} 1/,
    'the metrics of the box',
  );
  for (const unit of UNITS) t.equal(container.show(unit, 'ActiveState'), 'active', `${unit}: ${log()}`);
  t.notMatch(log(), /orders: /, 'the order is one that the archive believes');
  const reading = ['-p', '8886', '--cafile', 'ca.crt', '--cert', 'reader.map.crt', '--key', 'reader.map.key'];
  const words = ['mosquitto_sub', '-h', 'localhost', ...reading, '-V', '5', '-C', '1', '-W', '30', '-v'];
  const copied = container.run('env', '-C', ENROLMENT, ...words, '-t', 'vigie/+/+/status');
  t.match(copied.out, /^vigie\/site-1\/box-1\/status /, `a reader has its copy: ${copied.err}`);
  signerAlone(t, container);
  await checkRevocation(t, container);
  await checkUpgrade(t, container, ask);
  checkPurge(t, container);
});

const BEARER = `Authorization: Bearer ${TOKEN}`;

/** Checks the units by systemd itself and by hand. */
function checkUnits(t: Test, container: Container): void {
  const files = UNITS.map((unit) => `${unit}.service`);
  t.match(container.run('systemd-analyze', 'verify', '--man=no', ...files), { status: 0, out: '' });
  for (const unit of files) {
    const words = ['security', '--offline=true', '--no-pager', '--threshold=15'];
    const { status, stdout } = spawnSync('systemd-analyze', [
      ...words,
      `${ROOT}/scripts/products/room/systemd/${unit}`,
    ]);
    t.equal(status, 0, `${unit}: exposure ${/level.*?: (\S+)/.exec(String(stdout))?.[1]}`);
  }
  t.match(container.run('vigie-room'), { status: 2, err: /name one of archive .*console .*signer/ });
}

/** The command line of a request to the console through the proxy. */
function asker(container: Container, { ca }: CertificateAuthority) {
  return (path: string, ...options: readonly string[]): string[] =>
    container.inNetwork(
      ...['curl', '--silent', '--cacert', ca, '-w', ' %{http_code} %{http_version}', ...options],
      `https://localhost${path}`,
    );
}

async function endChild(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit');
  if (child.exitCode === null && child.kill('SIGTERM')) await exited;
}

/** Upgrades a running older package: settings and data stay, and the units run the new files. */
async function checkUpgrade(t: Test, container: Container, ask: (path: string) => string): Promise<void> {
  const settings = ['room.env', 'console.yaml', 'enrol.env', 'signer/desk.pem', 'signer/room.yaml'];
  const readSettings = (): string[] => settings.map((file) => container.read(`/etc/vigie-room/${file}`));
  const pids = (): string[] => UNITS.map((unit) => container.show(unit, 'MainPID'));
  const [before, ran] = [readSettings(), pids()];
  t.match(install(container, deb), { status: 0 }, 'upgrades');
  t.notMatch(container.run('dpkg-query', '-W', 'vigie-room').out, '0.0.9');
  t.strictSame(readSettings(), before, 'an upgrade keeps the settings');
  await waitUntil(t, 'the console is back', () => ask('/healthz').includes(' 200 2'), PATIENCE_MS);
  for (const [at, unit] of UNITS.entries()) {
    t.equal(container.show(unit, 'ActiveState'), 'active', `${unit} runs`);
    t.not(pids()[at], ran[at], 'anew');
  }
}

function checkPurge(t: Test, container: Container): void {
  t.match(container.run('dpkg', '-P', 'vigie-room'), { status: 0 }, 'is purged');
  const findArgs = ['find', '/etc', '/var', '/usr', '-xdev', '-name', '*vigie-room*'];
  const exceptions = ['*/dpkg/*', '*/systemd/*'].flatMap((path) => ['-not', '-path', path]);
  t.equal(container.run(...findArgs, ...exceptions).out, '', 'and nothing is left');
}

/** Checks that the key belongs to the signer alone, and the socket to the console. */
function signerAlone(t: Test, container: Container): void {
  t.equal(container.run('stat', '-c', '%U:%G %a', SOCKET).out.trim(), 'vigie-room-signer:vigie-room 660');
  const request = JSON.stringify({
    account: 'test',
    site: 'elsewhere',
    box: 'b',
    event: 'e',
    request: { case: '1', reason: 'test' },
  });
  const program = `const r = require('http').request({ socketPath: '${SOCKET}', method: 'POST', path: '/sealed' }, (a) => a.pipe(process.stdout));
    r.on('error', (e) => console.log(e.code)); r.end(process.argv[1]);`;
  const ask = (user: string): string =>
    container.run('runuser', '-u', user, '--', 'node', '-e', program, request).out.trim();
  t.match(ask('vigie-room'), /this signer is for site my-city, not for elsewhere/, 'the console asks');
  t.equal(ask('mosquitto'), 'EACCES', 'and to no one else');
  const key = '/etc/vigie-room/signer/desk.pem';
  const reads = (user: string, file: string): number | null =>
    container.run('runuser', '-u', user, '--', 'cat', file).status;
  for (const user of ['vigie-room', 'vigie-room-signer'])
    t.not(reads(user, key), 0, `${user} does not read the key’s file`);
  const credential = '/run/credentials/vigie-room-signer.service/desk.pem';
  t.equal(container.run('cat', credential).status, 0, 'it is handed to the signer (control)');
  t.not(reads('vigie-room', credential), 0, 'and to it alone');
}
