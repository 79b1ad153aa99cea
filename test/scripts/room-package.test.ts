/** The room's package on a Debian of its own: what is in it, and its units booted for real, behind nginx. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { CertificateAuthority } from '../../scripts/lib/certificates.ts';
import { BROKER, buildPackage, install, roomPackage } from '../lib/box-package.ts';
import { makeSigner } from '../lib/commands.ts';
import { Container, ownArch } from '../lib/nspawn.ts';
import { ROOT, scratch } from '../lib/paths.ts';
import { until } from '../lib/room.ts';

const UNITS = ['vigie-room-archive', 'vigie-room-console', 'vigie-room-signer'];
const EXAMPLES = join(ROOT, 'scripts/programs/room/examples');
const SOCKET = '/run/vigie-room-signer/signer.sock';
/** On a busy machine: start of node, and tables. */
const PATIENCE_MS = 60_000;

const skip = Container.unavailable();
if (skip === false) buildPackage(ownArch());
const deb = skip === false ? roomPackage(ownArch()) : '';

void t.test('what is in the package', { skip }, async (t) => {
  const listed = execFileSync('dpkg-deb', ['-c', deb], { encoding: 'utf8', maxBuffer: 1e8 });
  const files = listed.split('\n').map((line) => line.split(/\s+/)[5]?.slice(1) ?? '');
  const modules = files.filter((file) => file.includes('/node_modules/'));
  for (const name of [
    'pg',
    'mqtt',
    'better-sqlite3',
    'commander',
    'fastify',
    'openid-client',
    'canonicalize',
  ]) {
    t.ok(
      modules.some((file) => file.includes(`/node_modules/${name}/`)),
      name,
    );
  }
  for (const name of [
    'typescript',
    'tap',
    'sharp',
    'onnxruntime-node',
    'node-gstreamer-superficial',
    'prebuild-install',
  ]) {
    t.notOk(
      modules.some((file) => file.includes(`/node_modules/${name}/`)),
      `no ${name}`,
    );
  }
  const lib = '/usr/lib/vigie-room/dist';
  t.strictSame(
    files.filter(
      (file) => file.startsWith(`${lib}/agent/vision/`) || /\/(test|\.github)\/|\.test\.js$/.test(file),
    ),
    [],
    'nothing that sees pixels, no tests',
  );
  for (const file of [
    ...['archive', 'console', 'signer', 'enrol', 'metrics'].map(
      (name) => `${lib}/scripts/programs/room/${name}/main.js`,
    ),
    `${lib}/scripts/programs/room/app/index.html`,
    ...UNITS.map((unit) => `/usr/lib/systemd/system/${unit}.service`),
    '/usr/share/man/man1/vigie-room.1.gz',
    '/usr/share/vigie-room/prometheus-rules.yaml',
    '/usr/share/vigie-room/prometheus-fleet-rules.yaml',
    '/usr/share/vigie-room/events.schema.json',
    '/usr/share/vigie-room/asyncapi.yaml',
    '/usr/share/doc/vigie-room/console.md',
    ...['nginx.conf', 'console.yaml', 'room.env', 'signer-room.yaml'].map(
      (name) => `/usr/share/doc/vigie-room/examples/${name}`,
    ),
  ]) {
    t.ok(files.includes(file), file);
  }
  t.ok(statSync(deb).size < 8e6, `${(statSync(deb).size / 1e6).toFixed(1)} MB`);
});

/** Broker, certificates, settings made of the examples; as an administrator would. */
async function setUp(t: Test, container: Container): Promise<CertificateAuthority> {
  const authority = new CertificateAuthority(join(scratch(t), 'pki'));
  await authority.start();
  const [broker, room] = [await authority.broker(), await authority.client('room')];
  container.write('/etc/mosquitto/conf.d/test.conf', BROKER);
  const pki = [
    ['/etc/mosquitto/pki', [authority.ca, 'ca.crt'], [broker.cert, 'broker.crt'], [broker.key, 'broker.key']],
    ['/etc/vigie-room/archive', [authority.ca, 'ca.crt'], [room.cert, 'room.crt'], [room.key, 'room.key']],
    ['/etc/vigie-room/signer', [authority.ca, 'ca.crt'], [room.cert, 'room.crt'], [room.key, 'room.key']],
  ] as const;
  for (const [folder, ...files] of pki) {
    for (const [file, name] of files) container.write(`${folder}/${name}`, readFileSync(file), 0o600);
  }
  const example = (name: string): string =>
    readFileSync(join(EXAMPLES, name), 'utf8').replaceAll(/(room|console)\.example/g, 'localhost');
  container.write('/etc/vigie-room/room.env', example('room.env'));
  container.write('/etc/vigie-room/signer/room.yaml', example('signer-room.yaml'));
  const pem = makeSigner().privateKey.export({ type: 'pkcs8', format: 'pem' });
  container.write('/etc/vigie-room/signer/desk.pem', pem, 0o600);
  container.write('/etc/vigie-room/console/oidc.secret', 'a secret of the provider\n', 0o640);
  container.write('/etc/vigie-room/console.yaml', example('console.yaml').replace('#signer:', 'signer:'));
  container.run('chown', '-R', 'mosquitto:', '/etc/mosquitto/pki');
  container.run('chgrp', 'vigie-room', '/etc/vigie-room/console/oidc.secret');
  return authority;
}

/** This machine's nginx in the container's network, with the example's site. */
async function nginx(t: Test, container: Container, authority: CertificateAuthority): Promise<string> {
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
  t.teardown(async () => {
    const gone = once(child, 'exit');
    if (child.exitCode === null && child.kill('SIGTERM')) await gone;
  });
  return dir;
}

void t.test('installed and booted', { skip }, async (t) => {
  const container = new Container(t);
  const said = install(container, deb);
  t.match(said, { status: 0 }, `installs with what it depends on: ${said.err}`);
  const files = UNITS.map((unit) => `${unit}.service`);
  t.match(container.run('systemd-analyze', 'verify', '--man=no', ...files), { status: 0, out: '' });
  for (const unit of files) {
    const words = ['security', '--offline=true', '--no-pager', '--threshold=15'];
    const { status, stdout } = spawnSync('systemd-analyze', [
      ...words,
      `${ROOT}/scripts/programs/room/systemd/${unit}`,
    ]);
    t.equal(status, 0, `${unit}: exposure ${/level.*?: (\S+)/.exec(String(stdout))?.[1]}`);
  }
  t.match(container.run('vigie-room'), { status: 2, err: /name one of archive .*console .*signer/ });
  t.match(
    container.run('vigie-room', 'enrol', 'init', '--dir', '/root/enrolment'),
    { status: 0 },
    'the addon runs',
  );
  await container.boot(t);
  for (const unit of UNITS) {
    t.equal(container.show(unit, 'ActiveState'), 'inactive', `${unit} waits for its settings`);
    t.equal(container.show(unit, 'UnitFileState'), 'enabled');
  }
  const authority = await setUp(t, container);
  container.run('systemctl', 'restart', 'mosquitto', 'vigie-room-archive', 'vigie-room-signer');
  const database = (): boolean => container.run('test', '-s', '/var/lib/vigie-room/room.db').status === 0;
  await until(t, 'the archive makes its tables', database, PATIENCE_MS);
  container.run('systemctl', 'restart', 'vigie-room-console');
  const proxy = await nginx(t, container, authority);
  const ask = (path: string): string => {
    const words = ['curl', '--silent', '--cacert', authority.ca, '-w', ' %{http_code} %{http_version}'];
    const [program = '', ...args] = container.inNetwork(...words, `https://localhost${path}`);
    return spawnSync(program, args, { encoding: 'utf8' }).stdout;
  };
  const log = (): string => container.run('journalctl', '--no-pager', '-o', 'cat', '-n', '40').out;
  await until(t, 'the console answers', () => ask('/healthz').includes(' 200 2'), PATIENCE_MS).catch(
    (error: unknown) => {
      t.comment(log());
      throw error;
    },
  );
  t.match(ask('/'), /<script[\s\S]* 200 2$/, 'the browser’s page');
  t.match(ask('/api/queue'), / 401 2$/, 'and nothing without a session');
  t.match(ask('/api/incidents/1/stills/deposit'), / 401 2$/);
  const access = readFileSync(join(proxy, 'access.log'), 'utf8');
  t.match(access, '/api/queue');
  t.notMatch(access, 'stills', 'who looks at a still is in no log of the proxy');
  for (const unit of UNITS) t.equal(container.show(unit, 'ActiveState'), 'active', unit);
  signerAlone(t, container);
  t.match(container.run('dpkg', '-P', 'vigie-room'), { status: 0 }, 'is purged');
  const left = [
    'find',
    '/etc',
    '/var',
    '/usr',
    '-xdev',
    '-name',
    '*vigie-room*',
    '-not',
    '-path',
    '*/dpkg/*',
  ];
  const stamps = ['-not', '-path', '*/systemd/*'];
  t.equal(container.run(...left, ...stamps).out, '', 'and nothing is left');
});

/** The key is the signer's, the socket the console's; neither is anybody else's. */
function signerAlone(t: Test, container: Container): void {
  t.equal(container.run('stat', '-c', '%U:%G %a', SOCKET).out.trim(), 'vigie-room-signer:vigie-room 660');
  const asked = JSON.stringify({
    ...{ who: 'test', site: 'elsewhere', box: 'b', event: 'e' },
    request: { case: '1', reason: 'test' },
  });
  const program = `const r = require('http').request({ socketPath: '${SOCKET}', method: 'POST', path: '/sealed' }, (a) => a.pipe(process.stdout));
    r.on('error', (e) => console.log(e.code)); r.end(process.argv[1]);`;
  const ask = (user: string): string =>
    container.run('runuser', '-u', user, '--', 'node', '-e', program, asked).out.trim();
  t.match(ask('vigie-room'), /this signer is for site my-city, not for elsewhere/, 'the console asks');
  t.equal(ask('mosquitto'), 'EACCES', 'and nobody else');
  const key = '/etc/vigie-room/signer/desk.pem';
  const reads = (user: string, file: string): number | null =>
    container.run('runuser', '-u', user, '--', 'cat', file).status;
  for (const user of ['vigie-room', 'vigie-room-signer'])
    t.not(reads(user, key), 0, `${user} does not read the key’s file`);
  const credential = '/run/credentials/vigie-room-signer.service/desk.pem';
  t.equal(container.run('cat', credential).status, 0, 'it is handed to the signer (control)');
  t.not(reads('vigie-room', credential), 0, 'and to it alone');
}
