/** Tests the systemd files: systemd accepts them, they are restrictive, and they contain what the programs need. */
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import t from 'tap';
import { packageRoot } from '../../agent/base/package-root.ts';
import { DEFAULT_PAGE_SOCKET, DEFAULT_SETUP_CODE } from '../../agent/cli/page-places.ts';
import { DEFAULT_STATE_DIR } from '../../agent/cli/state-dir.ts';
import { CONFIG_SOCKET } from '../../agent/contract/config-trial.ts';
import { LOGS_SOCKET, RENEW_FILE } from '../../agent/contract/diagnosis.ts';
import { ENROL_STATUS_FILE } from '../../agent/contract/enrolment.ts';
import { OPEN_HOTSPOT_FILE } from '../../agent/contract/hotspot.ts';
import { ROOT_RECORD_DIR, ROOT_RECORD_SOCKET } from '../../agent/contract/root-record.ts';
import { CONFIG_ORDER_FILE, UPDATE_DIR, UPDATE_ORDER_FILE } from '../../agent/contract/update.ts';
import { LOCAL_MODE_FILE } from '../../agent/restraint/mode-files.ts';

const unitDir = join(packageRoot(), 'systemd');
const UNITS = [
  'vigie.service',
  'vigie-vision.service',
  'vigie-vision.socket',
  'vigie-camera-address.service',
  'vigie-provision.service',
  'vigie-enrol.service',
  'vigie-certificates.service',
  'vigie-renew.service',
  'vigie-renew.timer',
  'vigie-renew.path',
  'vigie-restraint.socket',
  'vigie-restraint@.service',
  'vigie-logs.socket',
  'vigie-logs@.service',
  'vigie-page.socket',
  'vigie-page.service',
  'vigie-hotspot.service',
  'vigie-hotspot.path',
  'vigie-hotspot-dhcp@.service',
  'vigie-config.socket',
  'vigie-config@.service',
  'vigie-root.service',
  'vigie-root.path',
  'vigie-root-config.path',
  'vigie-root-mode.path',
  'vigie-root-mode.service',
  'vigie-root.timer',
  'vigie-root-boot.service',
  'vigie-root-judge.service',
];
/** Programs of the running release, each with a user of its own. */
const OF_RELEASE = ['vigie.service', 'vigie-vision.service', 'vigie-page.service'];
/** Programs that outlive a trial of root's program are started by the link `judge`. */
const ROOTS_PROGRAM =
  /^-?\/usr\/lib\/vigie-root\/start (?:judge (?:boot|judge)|current (?!(?:boot|judge)(?: |$))[a-z-]+)( --.*)?$/;
/** Command of the unit that checks a configuration after a change of mode. */
const STARTS_ROOT = '/usr/bin/systemctl --no-block start vigie-root.service';
function isAvailable(tool: string): boolean {
  return spawnSync(tool, ['--version']).status === 0;
}

const NO_SYSTEMD = 'systemd is not installed';

function whyNotAnalysed(): string | false {
  if (!isAvailable('systemd-analyze')) return NO_SYSTEMD;
  // systemd-analyze(1) makes this folder, which a machine that systemd has not booted lacks.
  if (process.getuid?.() === 0 || existsSync('/run/systemd')) return false;
  return '/run/systemd is missing, and only root can make it';
}

const WITHOUT_ANALYSIS = whyNotAnalysed();

/** All values of a directive, with continuation lines joined. */
function valuesOf(unit: string, directive: string): string[] {
  const text = readFileSync(join(unitDir, unit), 'utf8').replaceAll('\\\n', ' ');
  return text
    .split('\n')
    .filter((line) => line.startsWith(`${directive}=`))
    .map((line) => line.slice(directive.length + 1));
}

void t.test('systemd-analyze accepts all units', { skip: WITHOUT_ANALYSIS }, async (t) => {
  // verify finds units beside the given one, so they are copied: /etc/systemd must not matter.
  const dir = mkdtempSync(join(tmpdir(), 'vigie-units-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  // The program that starts root's program is not installed here, nor is dnsmasq.
  for (const unit of UNITS) {
    const text = readFileSync(join(unitDir, unit), 'utf8');
    const missing = /\/usr\/lib\/vigie-root\/start|\/usr\/sbin\/dnsmasq/g;
    writeFileSync(join(dir, unit), text.replaceAll(missing, '/usr/bin/env'));
  }

  const verify = (paths: readonly string[]): { status: number | null; output: string } => {
    const { status, stdout, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', ...paths]);
    return { status, output: `${stdout}${stderr}`.trim() };
  };
  t.strictSame(
    verify(UNITS.map((unit) => join(dir, unit))),
    { status: 0, output: '' },
    'verify has nothing to say about our units',
  );

  writeFileSync(join(dir, 'wrong.service'), '[Service]\nExecStart=/usr/bin/nothing-here\nRestrt=always\n');
  const wrong = verify([join(dir, 'wrong.service')]);
  t.match(wrong.output, /Restrt/, 'verify would have said something (control)');

  // `--threshold` counts tenths of the exposure level.
  for (const [unit, tenths] of [
    ['vigie.service', 15],
    ['vigie-vision.service', 10],
    ['vigie-camera-address.service', 22],
    ['vigie-provision.service', 18],
    // It needs a network, and sets the clock.
    ['vigie-enrol.service', 28],
    ['vigie-renew.service', 28],
    ['vigie-certificates.service', 18],
    ['vigie-restraint@.service', 18],
    ['vigie-logs@.service', 12],
    ['vigie-page.service', 15],
    ['vigie-hotspot.service', 18],
    // It answers phones without an address.
    ['vigie-hotspot-dhcp@.service', 20],
    ['vigie-config@.service', 20],
    // It needs a network, releases, the configuration, and a child as the agent's user.
    ['vigie-root.service', 26],
    ['vigie-root-judge.service', 18],
    ['vigie-root-boot.service', 18],
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

void t.test('each unit that reads the configuration also reads its environment file', async (t) => {
  const readers = UNITS.filter((unit) =>
    valuesOf(unit, 'ExecStart').some((line) => line.includes(' --config ')),
  );
  t.ok(readers.length >= 5, readers.join(' '));
  for (const unit of [...readers, 'vigie-root.service', 'vigie-config@.service'])
    t.strictSame(valuesOf(unit, 'EnvironmentFile'), ['-/etc/default/vigie'], unit);
});

void t.test(
  'accelerator drop-ins are valid, and open devices of the accelerator only',
  { skip: WITHOUT_ANALYSIS },
  async (t) => {
    const folder = join(unitDir, 'accelerators');
    const conf = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
      name.endsWith('.conf'),
    );
    t.ok(conf.length >= 5, conf.join(' '));
    const vision = ['vigie-vision.service', 'vigie-vision.socket'];
    const analyse = (dir: string, ...args: string[]): { status: number | null; output: string } => {
      const env = { ...process.env, SYSTEMD_UNIT_PATH: `${dir}:` };
      const { status, stdout, stderr } = spawnSync('systemd-analyze', args, { env });
      return { status, output: `${stdout}${stderr}`.trim() };
    };
    /** Makes a folder like /etc/systemd/system with this drop-in alone. */
    const withDropIn = (text: string): string => {
      const dir = mkdtempSync(join(tmpdir(), 'vigie-drop-in-'));
      t.teardown(() => rmSync(dir, { recursive: true, force: true }));
      for (const unit of vision) cpSync(join(unitDir, unit), join(dir, unit));
      mkdirSync(join(dir, 'vigie-vision.service.d'));
      writeFileSync(join(dir, 'vigie-vision.service.d/50-accelerator.conf'), text);
      return dir;
    };
    for (const name of conf) {
      const text = readFileSync(join(folder, name), 'utf8');
      const dir = withDropIn(text);
      const analysis = analyse(dir, 'verify', '--man=no', join(dir, 'vigie-vision.service'));
      t.strictSame(analysis, { status: 0, output: '' }, `${name}: verify has nothing to say`);
      const directives = text.split('\n').filter((line) => /^[A-Z]/.test(line));
      const may =
        /^(DeviceAllow=(\/dev\/\S+|char-(accel|usb_device)) rw|SupplementaryGroups=\w+|RestrictAddressFamilies=AF_NETLINK|Environment=HAILORT_LOGGER_PATH=NONE)$/;
      t.same(
        directives.filter((line) => !may.test(line)),
        [],
        `${name}: opens the accelerator’s devices only`,
      );
    }
    const wrong = withDropIn('[Service]\nDeviceAlow=/dev/hailo0 rw\n');
    const refusal = analyse(wrong, 'verify', '--man=no', join(wrong, 'vigie-vision.service'));
    t.match(refusal.output, /DeviceAlow/, 'verify would have said something (control)');
  },
);

void t.test('no code of a release runs as root', (t) => {
  const unitFiles = readdirSync(unitDir).filter((name) => /\.(service|socket|path|timer)$/.test(name));
  t.strictSame(unitFiles.sort(), [...UNITS].sort(), 'every unit is tested here');
  for (const unit of UNITS.filter((name) => name.endsWith('.service'))) {
    const commands = [
      'ExecStartPre',
      'ExecStart',
      'ExecStartPost',
      'ExecReload',
      'ExecStop',
      'ExecStopPost',
    ].flatMap((directive) => valuesOf(unit, directive));
    const user = valuesOf(unit, 'User').at(-1);
    if (OF_RELEASE.includes(unit)) {
      t.match(user, /^vigie(-[a-z]+)?$/, `${unit}: a user of its own`);
      const raised = commands.filter((line) => /^[@:|-]*[+!]/.test(line) && line.includes('/usr/lib/vigie/'));
      t.strictSame(raised, [], `${unit}: no program of a release with more rights`);
      continue;
    }
    t.notMatch(commands.join('\n'), '/usr/lib/vigie/', `${unit}: no program of a release`);
    if (unit === 'vigie-hotspot-dhcp@.service') {
      t.match(commands, [/^\/usr\/sbin\/dnsmasq /], `${unit}: Debian's program`);
      t.strictSame(valuesOf(unit, 'DynamicUser'), ['yes'], `${unit}: a user of its own`);
      continue;
    }
    t.ok(
      valuesOf(unit, 'ExecStart').every((line) => ROOTS_PROGRAM.test(line) || line === STARTS_ROOT),
      `${unit}: root's program`,
    );
  }
  t.end();
});

void t.test('each unit has its required directives', async (t) => {
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
  t.strictSame(valuesOf('vigie-vision.service', 'Restart'), ['no'], 'vision never restarts automatically');
  t.strictSame(valuesOf('vigie-vision.service', 'BindsTo'), [], 'nor because the agent is restarted');
  t.strictSame(valuesOf('vigie-vision.service', 'IPAddressDeny'), ['any'], 'no address');
  t.strictSame(
    valuesOf('vigie-vision.service', 'IPAddressAllow'),
    [],
    'except the addresses set at each start',
  );
  t.notMatch(valuesOf('vigie-vision.service', 'RestrictAddressFamilies')[0], /UNIX|NETLINK/);
  t.notOk(
    valuesOf('vigie-vision.service', 'BindReadOnlyPaths')
      .filter((paths) => paths !== '-/var/lib/vigie-restraint')
      .some((paths) => /vigie|credentials/.test(paths)),
    'vision sees root’s settings for it, and no configuration or key',
  );
  t.strictSame(valuesOf('vigie.service', 'Type'), ['notify']);
  // Vision may be silent for two watchdog times; an unavailable camera is reported every 30 s at the latest.
  t.strictSame(valuesOf('vigie.service', 'WatchdogSec'), ['30']);
  t.strictSame(valuesOf('vigie.service', 'LoadCredential'), [], 'a renewed key needs no restart');
  t.ok(
    valuesOf('vigie.service', 'ConditionPathExists').includes('!/etc/vigie/enrol.json'),
    'no start without',
  );
  t.strictSame(valuesOf('vigie-enrol.service', 'ConditionPathExists'), ['/etc/vigie/enrol.json']);
  for (const unit of ['vigie-enrol.service', 'vigie-renew.service']) {
    t.match(valuesOf(unit, 'CapabilityBoundingSet')[0], /CAP_SYS_TIME/, `${unit}: may set the clock`);
    t.match(valuesOf(unit, 'SystemCallFilter')[0], /@clock/, `${unit}: and its filter lets it`);
    t.strictSame(
      valuesOf(unit, 'RuntimeDirectory'),
      [ENROL_STATUS_FILE.split('/')[2]],
      `${unit}: says how far`,
    );
  }
  const socket = valuesOf('vigie-vision.socket', 'ListenStream')[0] ?? '';
  const ofAgent = valuesOf('vigie.service', 'Environment');
  t.ok(ofAgent.includes(`VIGIE_VISION_SOCKET=${socket}`), 'the agent knows the socket');
  t.ok(ofAgent.includes('VIGIE_PAGE_SOCKET=/run/vigie-link/page.sock'), 'and where the page asks');
  t.ok(valuesOf('vigie.service', 'ReadWritePaths').includes('-/run/vigie-link'), 'where it may listen');
  t.ok(ofAgent.includes(`VIGIE_RESTRAINT_SOCKET=${ROOT_RECORD_SOCKET}`), 'and that of root’s record');
  t.ok(ofAgent.includes(`VIGIE_LOGS_SOCKET=${LOGS_SOCKET}`), 'and that of the log');
  t.ok(ofAgent.includes(`VIGIE_UPDATE_DIR=${UPDATE_DIR}`), 'and where the updater tells');
  t.strictSame(valuesOf('vigie-logs.socket', 'ListenStream'), [LOGS_SOCKET]);
  t.strictSame(valuesOf('vigie-restraint.socket', 'ListenStream'), [ROOT_RECORD_SOCKET]);
  for (const of of [ofAgent, environment])
    t.ok(of.includes(`VIGIE_RESTRAINT_DIR=${ROOT_RECORD_DIR}`), 'both know where it is kept');
  t.strictSame(valuesOf('vigie-config.socket', 'ListenStream'), [CONFIG_SOCKET]);
  t.strictSame(valuesOf('vigie-config.socket', 'SocketGroup'), ['vigie-page'], 'not the agent’s group');
  t.match(
    readFileSync(join(unitDir, 'vigie.tmpfiles.conf'), 'utf8'),
    'd /run/vigie ',
    'and its folder is made',
  );
});

void t.test('the page reaches only its own folder and local networks', async (t) => {
  const page = (directive: string): string[] => valuesOf('vigie-page.service', directive);
  t.strictSame(page('User'), ['vigie-page']);
  t.strictSame(page('CapabilityBoundingSet'), [''], 'no capability: the port is handed to it');
  t.strictSame(valuesOf('vigie-page.socket', 'ListenStream'), ['443']);
  t.strictSame(page('TemporaryFileSystem'), ['/etc/vigie:ro']);
  t.strictSame(
    page('BindReadOnlyPaths'),
    [dirname(DEFAULT_SETUP_CODE)],
    'the rest of /etc/vigie is not there',
  );
  t.strictSame(page('StateDirectoryMode'), ['0700']);
  t.match(page('InaccessiblePaths'), [/-\/var\/lib\/vigie -\/var\/lib\/vigie-restraint/]);
  t.notOk(
    page('Environment').some((variable) => /MQTT|KEY/.test(variable)),
    'no file of MQTT',
  );
  t.strictSame(page('LoadCredential'), []);
  for (const unit of ['vigie-page.service', 'vigie-page.socket']) {
    t.strictSame(valuesOf(unit, 'IPAddressDeny'), ['any'], unit);
    const allowed = valuesOf(unit, 'IPAddressAllow').join(' ').split(' ');
    const local = ['localhost', 'link-local', '10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'];
    t.strictSame(
      allowed.filter((each) => each !== 'multicast'),
      local,
      `${unit}: local networks alone`,
    );
    t.ok(valuesOf(unit, 'ConditionPathExists').includes(DEFAULT_SETUP_CODE), `${unit}: only where a code is`);
  }
  for (const [variable, path] of [
    ['VIGIE_PAGE_SOCKET', DEFAULT_PAGE_SOCKET],
    ['VIGIE_CONFIG_SOCKET', CONFIG_SOCKET],
    ['VIGIE_PAGE_SETUP_CODE', DEFAULT_SETUP_CODE],
  ] as const)
    t.ok(page('Environment').includes(`${variable}=${path}`), variable);
  const folders = readFileSync(join(unitDir, 'vigie.tmpfiles.conf'), 'utf8');
  t.match(folders, `d ${dirname(DEFAULT_SETUP_CODE)} 0750 root vigie-page -`);
  t.match(folders, `d ${dirname(DEFAULT_PAGE_SOCKET)} 2750 vigie vigie-page -`);
  t.match(valuesOf('vigie-hotspot.service', 'ConditionPathExists'), [/\/hotspot-key$/]);
  // The awaited file may appear after the boot, and a failed condition is never evaluated again.
  for (const unit of ['vigie-hotspot.path', 'vigie-renew.path', 'vigie-root.path'])
    t.strictSame(valuesOf(unit, 'ConditionPathExists'), [], `${unit}: looks from the boot on`);
  t.strictSame(valuesOf('vigie-root.path', 'PathChanged'), [`${DEFAULT_STATE_DIR}/${UPDATE_ORDER_FILE}`]);
  t.strictSame(valuesOf('vigie-root-config.path', 'PathChanged'), [
    `${DEFAULT_STATE_DIR}/${CONFIG_ORDER_FILE}`,
  ]);
  t.strictSame(valuesOf('vigie-root-mode.path', 'PathChanged'), [`${DEFAULT_STATE_DIR}/${LOCAL_MODE_FILE}`]);
  t.strictSame(valuesOf('vigie-hotspot.path', 'PathChanged'), [`${DEFAULT_STATE_DIR}/${OPEN_HOTSPOT_FILE}`]);
  t.strictSame(valuesOf('vigie-renew.path', 'PathChanged'), [`${DEFAULT_STATE_DIR}/${RENEW_FILE}`]);
  for (const unit of ['vigie-hotspot.service', 'vigie-renew.service']) {
    t.strictSame(valuesOf(unit, 'StateDirectory'), [basename(ROOT_RECORD_DIR)], unit);
    t.match(valuesOf(unit, 'ExecStart'), [` --state ${DEFAULT_STATE_DIR}`], unit);
  }
});

const QUADLET = '/usr/libexec/podman/quadlet';
const noQuadlet = existsSync(QUADLET)
  ? false
  : 'podman is not installed: its generator judges vigie.container';
void t.test('Podman’s generator accepts the container unit', { skip: noQuadlet }, async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'vigie-quadlet-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  for (const name of ['vigie.container', 'vigie.volume']) cpSync(join(unitDir, name), join(dir, name));
  const env = { ...process.env, QUADLET_UNIT_DIRS: dir };
  const { status, stdout, stderr } = spawnSync(QUADLET, ['-dryrun'], { env, encoding: 'utf8' });
  t.equal(status, 0, stderr);
  t.match(stdout, /podman run --name vigie .*--cap-drop all.*--read-only/, 'Podman’s generator takes it');
});

const asRoot = process.getuid?.() === 0;
const noUsers = !isAvailable('systemd-sysusers')
  ? NO_SYSTEMD
  : asRoot
    ? false
    : 'only root can make users in a root of its own';
void t.test('sysusers and tmpfiles make the users and folders', { skip: noUsers }, async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'vigie-root-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  mkdirSync(join(dir, 'etc'));
  const run = (tool: string, ...args: string[]): { status: number | null; output: string } => {
    const { status, stderr } = spawnSync(tool, [`--root=${dir}`, ...args]);
    return { status, output: /unknown|invalid|failed/i.exec(`${stderr}`)?.[0] ?? '' };
  };
  const clean = { status: 0, output: '' };
  t.strictSame(
    run('systemd-sysusers', join(unitDir, 'vigie.sysusers.conf')),
    clean,
    'sysusers takes its file',
  );
  const passwd = readFileSync(join(dir, 'etc/passwd'), 'utf8');
  for (const unit of ['vigie.service', 'vigie-vision.service', 'vigie-page.service']) {
    t.match(passwd, new RegExp(`^${valuesOf(unit, 'User')[0]}:`, 'm'), `the user of ${unit} is made`);
  }
  const groups = readFileSync(join(dir, 'etc/group'), 'utf8');
  t.match(groups, /^video:.*vigie-vision/m, 'vision may open cameras');
  t.match(passwd, /^vigie-page:/m, 'the user of the technician’s page too');
  // As a person may have put it there.
  mkdirSync(join(dir, 'etc/vigie/pki'), { recursive: true });
  writeFileSync(join(dir, 'etc/vigie/pki/box.key'), 'key', { mode: 0o600 });
  const tmpfiles = run('systemd-tmpfiles', '--create', join(unitDir, 'vigie.tmpfiles.conf'));
  t.strictSame(tmpfiles, clean, 'tmpfiles takes its file');
  t.equal(
    statSync(join(dir, 'run/vigie')).mode & 0o777,
    0o750,
    'the folder of the socket is for the agent only',
  );
  const ofPage = statSync(join(dir, 'run/vigie-link'));
  const page = new RegExp(`^vigie-page:x:${ofPage.gid}:`, 'm');
  t.match(groups, page, 'files made for the page belong to its group');
  t.equal(ofPage.mode & 0o7777, 0o2750);
  const key = statSync(join(dir, 'etc/vigie/pki/box.key'));
  t.equal(key.mode & 0o777, 0o640, 'a key that was put there by hand is read by the agent');
  t.match(groups, new RegExp(`^vigie:x:${key.gid}:`, 'm'));
});
