/** The systemd files: they are what systemd understands, they are tight, and they say what the program needs. */
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { packageRoot } from '../../agent/base/package-root.ts';
import { ROOT_RECORD_DIR, ROOT_RECORD_SOCKET } from '../../agent/contract/root-record.ts';

const unitDir = join(packageRoot(), 'systemd');
const UNITS = [
  'vigie.service',
  'vigie-vision.service',
  'vigie-vision.socket',
  'vigie-camera-address.service',
  'vigie-provision.service',
  'vigie-restraint.socket',
  'vigie-restraint@.service',
];
const NO_TOOL = 'systemd is not installed';

function available(tool: string): boolean {
  return spawnSync(tool, ['--version']).status === 0;
}

/** All values of a directive, continuation lines joined. */
function valuesOf(unit: string, directive: string): string[] {
  const text = readFileSync(join(unitDir, unit), 'utf8').replaceAll('\\\n', ' ');
  return text
    .split('\n')
    .filter((line) => line.startsWith(`${directive}=`))
    .map((line) => line.slice(directive.length + 1));
}

void t.test('systemd-analyze', { skip: available('systemd-analyze') ? false : NO_TOOL }, async (t) => {
  // A unit is looked for beside the others: verify copies, so that /etc/systemd has no say.
  const dir = mkdtempSync(join(tmpdir(), 'vigie-units-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  for (const unit of UNITS) cpSync(join(unitDir, unit), join(dir, unit));

  const verify = (paths: readonly string[]): { status: number | null; said: string } => {
    const { status, stdout, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', ...paths]);
    return { status, said: `${stdout}${stderr}`.trim() };
  };
  t.strictSame(
    verify(UNITS.map((unit) => join(dir, unit))),
    { status: 0, said: '' },
    'verify has nothing to say about our units',
  );

  writeFileSync(join(dir, 'wrong.service'), '[Service]\nExecStart=/usr/bin/nothing-here\nRestrt=always\n');
  const wrong = verify([join(dir, 'wrong.service')]);
  t.match(wrong.said, /Restrt/, 'verify would have said something (control)');

  // `--threshold` counts tenths of the exposure level.
  for (const [unit, tenths] of [
    ['vigie.service', 15],
    ['vigie-vision.service', 10],
    ['vigie-camera-address.service', 22],
    ['vigie-provision.service', 18],
    ['vigie-restraint@.service', 18],
  ] as const) {
    const { status, stdout } = spawnSync('systemd-analyze', [
      'security',
      '--offline=true',
      '--no-pager',
      `--threshold=${tenths}`,
      join(unitDir, unit),
    ]);
    t.equal(
      status,
      0,
      `${unit}: exposure at most ${tenths / 10} (${/level.*?: (\S+)/.exec(String(stdout))?.[1]})`,
    );
  }
});

void t.test('what a unit must say', async (t) => {
  const environment = valuesOf('vigie-vision.service', 'Environment');
  t.ok(environment.includes('ORT_DISABLE_TELEMETRY=1'), 'no report home from ONNX Runtime');
  t.ok(environment.includes('UV_THREADPOOL_SIZE=16'), 'workers for GStreamer’s waiting calls');
  for (const unit of ['vigie.service', 'vigie-vision.service']) {
    t.match(valuesOf(unit, 'SystemCallFilter')[0], /@pkey/, `${unit}: V8 asks for memory protection keys`);
    t.strictSame(valuesOf(unit, 'MemoryDenyWriteExecute'), ['no'], `${unit}: V8 writes code`);
    t.strictSame(valuesOf(unit, 'CapabilityBoundingSet'), [''], `${unit}: no capability`);
    t.match(valuesOf(unit, 'ExecStart')[0], /^\/usr\/bin\/node /, `${unit}: Debian’s node`);
  }
  t.not(valuesOf('vigie.service', 'User')[0], valuesOf('vigie-vision.service', 'User')[0], 'two users');
  t.strictSame(valuesOf('vigie-vision.service', 'Restart'), ['no'], 'vision never starts by itself');
  t.strictSame(valuesOf('vigie-vision.service', 'BindsTo'), [], 'nor because the agent is restarted');
  t.strictSame(valuesOf('vigie-vision.service', 'IPAddressDeny'), ['any'], 'no address');
  t.strictSame(valuesOf('vigie-vision.service', 'IPAddressAllow'), [], 'but what is allowed at each start');
  t.notMatch(valuesOf('vigie-vision.service', 'RestrictAddressFamilies')[0], /UNIX|NETLINK/);
  t.notOk(
    valuesOf('vigie-vision.service', 'BindReadOnlyPaths')
      .filter((paths) => paths !== '-/var/lib/vigie-restraint')
      .some((paths) => /vigie|credentials/.test(paths)),
    'its root holds no configuration and no key, but what it goes by, which is root’s',
  );
  t.strictSame(valuesOf('vigie.service', 'Type'), ['notify']);
  // Vision's silence may last two watchdog times; a camera that is away is heard of every 30 s at the latest.
  t.strictSame(valuesOf('vigie.service', 'WatchdogSec'), ['30']);
  t.match(
    valuesOf('vigie.service', 'LoadCredential'),
    ['box.key:/etc/vigie/pki/box.key'],
    'the key by systemd',
  );
  const socket = valuesOf('vigie-vision.socket', 'ListenStream')[0] ?? '';
  const ofAgent = valuesOf('vigie.service', 'Environment');
  t.ok(ofAgent.includes(`VIGIE_VISION_SOCKET=${socket}`), 'the agent knows the socket');
  t.ok(ofAgent.includes(`VIGIE_RESTRAINT_SOCKET=${ROOT_RECORD_SOCKET}`), 'and that of root’s record');
  t.strictSame(valuesOf('vigie-restraint.socket', 'ListenStream'), [ROOT_RECORD_SOCKET]);
  for (const of of [ofAgent, environment])
    t.ok(of.includes(`VIGIE_RESTRAINT_DIR=${ROOT_RECORD_DIR}`), 'both know where it is kept');
  t.match(
    readFileSync(join(unitDir, 'vigie.tmpfiles.conf'), 'utf8'),
    'd /run/vigie ',
    'and its folder is made',
  );
});

const QUADLET = '/usr/libexec/podman/quadlet';
const noQuadlet = existsSync(QUADLET)
  ? false
  : 'podman is not installed: its generator judges vigie.container';
void t.test('the container', { skip: noQuadlet }, async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'vigie-quadlet-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  for (const name of ['vigie.container', 'vigie.volume']) cpSync(join(unitDir, name), join(dir, name));
  const env = { ...process.env, QUADLET_UNIT_DIRS: dir };
  const { status, stdout, stderr } = spawnSync(QUADLET, ['-dryrun'], { env, encoding: 'utf8' });
  t.equal(status, 0, stderr);
  t.match(stdout, /podman run --name vigie .*--cap-drop all.*--read-only/, 'Podman’s generator takes it');
});

const asRoot = process.getuid?.() === 0;
const noUsers = !available('systemd-sysusers')
  ? NO_TOOL
  : asRoot
    ? false
    : 'only root can make users in a root of its own';
void t.test('users and folders', { skip: noUsers }, async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'vigie-root-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  mkdirSync(join(dir, 'etc'));
  const run = (tool: string, ...args: string[]): { status: number | null; said: string } => {
    const { status, stderr } = spawnSync(tool, [`--root=${dir}`, ...args]);
    return { status, said: /unknown|invalid|failed/i.exec(`${stderr}`)?.[0] ?? '' };
  };
  const clean = { status: 0, said: '' };
  t.strictSame(
    run('systemd-sysusers', join(unitDir, 'vigie.sysusers.conf')),
    clean,
    'sysusers takes its file',
  );
  const passwd = readFileSync(join(dir, 'etc/passwd'), 'utf8');
  for (const unit of ['vigie.service', 'vigie-vision.service']) {
    t.match(passwd, new RegExp(`^${valuesOf(unit, 'User')[0]}:`, 'm'), `the user of ${unit} is made`);
  }
  const groups = readFileSync(join(dir, 'etc/group'), 'utf8');
  t.match(groups, /^video:.*vigie-vision/m, 'vision may open cameras');
  const tmpfiles = run('systemd-tmpfiles', '--create', join(unitDir, 'vigie.tmpfiles.conf'));
  t.strictSame(tmpfiles, clean, 'tmpfiles takes its file');
  t.equal(
    statSync(join(dir, 'run/vigie')).mode & 0o777,
    0o750,
    'the folder of the socket is for the agent only',
  );
});
