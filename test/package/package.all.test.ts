/**
 * Tests the box's packages on a Debian of its own: installation, use by hand, upgrade and removal. Tests its units
 * through crashes and a stop. VIGIE_TEST_RUN=full adds hangs, configurations that are refused, an inference element, and a
 * suspension over a reboot and an update.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { Finding } from '../../agent/contract/finding.ts';
import { BootedBox, outboxIds, PATIENCE_MS } from '../lib/booted-box.ts';
import {
  asVersion,
  BOX,
  boxPackages,
  CLIP,
  FIRST_ROOT,
  install,
  provision,
  SITE,
  shortenClips,
  withVersion,
} from '../lib/box-package.ts';
import { installedContainer } from '../lib/installed-root.ts';
import { Container, ownArch } from '../lib/nspawn.ts';
import { modelOfOneSize } from '../lib/one-size.ts';
import { ROOT, STREET_CLIP, scratch } from '../lib/paths.ts';
import { waitUntil } from '../lib/room.ts';
import { unlessFull } from '../lib/run.ts';

const skip = Container.unavailable();
const [rootDeb, deb] = skip === false ? boxPackages(ownArch()) : ['', ''];

let laterDeb: string | undefined;
/** The package as a later version, made once for the whole test. */
function newerDeb(): string {
  laterDeb ??= withVersion(t, deb, '99.0.0');
  return laterDeb;
}

void t.test('the package is installed, used, upgraded, removed and purged', { skip }, async (t) => {
  const container = new Container(t);
  t.match(install(container, rootDeb, deb), { status: 0 }, 'installs with its dependencies only');
  t.match(container.run('systemd-analyze', 'verify', '--man=no', 'vigie.service', 'vigie-vision.service'), {
    status: 0,
    out: '',
  });
  const rootLinks = (): string[] =>
    ['current', 'judge'].map((name) => container.run('readlink', `/usr/lib/vigie-root/${name}`).out.trim());
  const [firstRoot = ''] = rootLinks();
  t.match(firstRoot, /^releases\/\d+-\d+\.\d+\.\d+$/);
  t.strictSame(rootLinks(), [firstRoot, firstRoot], 'root’s program is a release');
  await usedByHand(t, container);
  await t.test('the container image’s parts of GStreamer are complete', { skip: unlessFull }, async (t) =>
    mediaOfTheImage(t, container),
  );

  container.write('/etc/vigie/vigie.yaml', 'site: mine\n');
  container.write('/etc/default/vigie', 'VIGIE_LOG=debug\n');
  container.write('/var/lib/vigie/outbox.db', 'rows');
  const newer = newerDeb();
  const current = container.run('readlink', '/usr/lib/vigie/current').out.trim();
  t.match(current, /^releases\/\d+-\d+\.\d+\.\d+$/);
  const upgrade = install(container, newer);
  t.match(upgrade, { status: 0 }, 'upgrades');
  t.match(
    upgrade.out,
    /^vigie: the running release .* stays; `vigie-root from-package` switches to 999999-99/m,
  );
  t.match(container.run('dpkg-query', '-W', 'vigie').out, /99\.0\.0/);
  t.equal(
    container.run('readlink', '/usr/lib/vigie/current').out.trim(),
    current,
    'the running release stays',
  );
  const userFiles = (): string[] =>
    ['/etc/vigie/vigie.yaml', '/etc/default/vigie', '/var/lib/vigie/outbox.db'].map((file) =>
      container.read(file),
    );
  const userContent = ['site: mine\n', 'VIGIE_LOG=debug\n', 'rows'];
  t.strictSame(userFiles(), userContent, 'an upgrade keeps configuration and data');
  t.match(container.run('dpkg', '-r', 'vigie'), { status: 0 }, 'is removed');
  t.strictSame(userFiles(), userContent, 'removal keeps configuration and data');
  t.notOk(existsSync(join(container.root, 'usr/lib/vigie')), 'and no program');
  t.match(install(container, newer), { status: 0 }, 'comes again');
  t.match(container.run('vigie', '--version'), { status: 0 }, 'whole');
  const newerRoot = withVersion(t, rootDeb, '99.0.0', FIRST_ROOT);
  t.match(install(container, newerRoot), { status: 0 }, 'root’s package is upgraded');
  const root = 'releases/999999-99.0.0';
  t.strictSame(rootLinks(), [root, root], 'without a running agent no judge runs');
  t.match(install(container, rootDeb), { status: 0 }, 'and an older one comes');
  t.strictSame(rootLinks(), [root, root], 'whose program is not taken');
  t.match(container.run('dpkg', '-P', 'vigie', 'vigie-root'), { status: 0 }, 'is purged');
  const remaining = container.run(
    'find',
    '/etc',
    '/var',
    '/usr',
    '-xdev',
    '-name',
    '*vigie*',
    '-not',
    '-path',
    '*/dpkg/*',
  );
  t.equal(remaining.out, '', 'and nothing is left');
});

/** The container image's parts of GStreamer decode H.264 where nothing else is installed. */
function mediaOfTheImage(t: Test, container: Container): void {
  container.write('/root/media-tree', readFileSync(join(ROOT, 'scripts/media-tree')), 0o755);
  const tree = '/root/tree';
  t.match(container.run('/root/media-tree', tree), { status: 0 }, 'GStreamer is copied');
  const loader = `for l in /lib64/ld-linux*.so* /lib/ld-linux*.so*; do [ ! -e "$l" ] || cp -L --parents "$l" ${tree}; done`;
  t.match(container.run('sh', '-c', loader), { status: 0 });
  for (const element of ['avdec_h264', 'avdec_h265', 'rtspsrc', 'jpegenc', 'v4l2src']) {
    const loaded = container.run('chroot', tree, '/usr/bin/gst-inspect-1.0', '--exists', element);
    t.match(loaded, { status: 0 }, `${element} loads with what was copied`);
  }
  const links = container.run('find', tree, '-type', 'l');
  t.equal(links.out, '', 'no link that may lead nowhere');
}

/** Runs the technician's commands of the installed package. */
async function usedByHand(t: Test, container: Container): Promise<void> {
  const clip = join(scratch(t), 'three.avi');
  const ffmpegArgs = ['-v', 'error', '-i', STREET_CLIP, '-frames:v', '3', '-c', 'copy', clip];
  execFileSync('ffmpeg', ffmpegArgs, { stdio: 'pipe' });
  container.write('/var/tmp/three.avi', execFileSync('cat', [clip], { maxBuffer: 1e8 }));
  container.write('/var/tmp/replay.yaml', 'site: s\nbox: b\nrules: []\n');
  const replay = [
    'vigie',
    'replay',
    '/var/tmp/three.avi',
    '--config',
    '/var/tmp/replay.yaml',
    '--out',
    '/var/tmp/out',
  ];
  t.match(container.run(...replay), { status: 0 }, 'replays a clip');
  t.match(JSON.parse(container.read('/var/tmp/out/summary.json')), { frames: 3 }, 'every frame of it');
  shortenClips(container);
  const timed = container.run(
    'vigie',
    'doctor',
    '--benchmark',
    '--config',
    '/var/tmp/replay.yaml',
    '--seconds',
    '1',
    '--json',
  );
  const metrics = JSON.parse(timed.out) as Record<string, unknown>;
  t.strictSame(metrics['notes'], [], 'the board can be timed with what the package depends on');
  for (const name of ['decodeFps', 'inferenceMs', 'frameMs', 'rssMiB']) {
    t.ok(Number(metrics[name]) > 0, `${name}: ${metrics[name]}`);
  }
}

void t.test('the units run on a booted box', { skip }, async (t) => {
  const container = await installedContainer(t, rootDeb, deb);
  await provision(t, container);
  container.run('chown', '-R', 'mosquitto:', '/etc/mosquitto/pki');
  // A watchdog time for the test; the test of units checks the unit's own.
  container.write('/etc/systemd/system/vigie.service.d/test.conf', '[Service]\nWatchdogSec=9\n');
  await container.boot(t);
  const box = new BootedBox(t, container);
  await box.watches('starts');

  await t.test('a newer package restarts nothing', async (t) => {
    t.match(container.run('cat', `/proc/${box.agent}/cmdline`).out, /\/usr\/lib\/vigie\/current\//);
    const running = { agent: box.agent, vision: box.vision };
    t.match(install(container, newerDeb()), { status: 0, out: /release .* stays/ });
    t.match(install(container, asVersion(t, rootDeb, '98.0.0')), { status: 0 });
    t.strictSame({ agent: box.agent, vision: box.vision }, running, 'a newer package restarts nothing');
  });

  await t.test('vision is restarted after kill -9, and the agent goes on', async (t) => {
    const before = { agent: box.agent, vision: box.vision };
    box.signal('KILL', before.vision);
    await waitUntil(t, 'another vision', () => box.vision > 0 && box.vision !== before.vision, PATIENCE_MS);
    await box.watches('again');
    t.equal(box.agent, before.agent, 'the agent lives');
  });

  await t.test('the agent is restarted after kill -9, with a new vision', async (t) => {
    const before = { agent: box.agent, vision: box.vision };
    box.signal('KILL', before.agent);
    await waitUntil(t, 'another agent', () => box.agent > 0 && box.agent !== before.agent, PATIENCE_MS);
    await box.watches('again');
    t.not(box.vision, before.vision, 'with a vision of its own');
  });

  await t.test('an agent that hangs is killed by the watchdog', { skip: unlessFull }, async (t) => {
    const before = box.agent;
    box.signal('STOP', before);
    await waitUntil(t, 'another agent', () => box.agent > 0 && box.agent !== before, PATIENCE_MS);
    await box.watches('again');
    t.match(container.run('journalctl', '-u', 'vigie', '-o', 'cat').out, /Watchdog timeout/);
  });

  await t.test('missing frames trip the watchdog', { skip: unlessFull }, async (t) => {
    const before = { agent: box.agent, vision: box.vision };
    box.signal('STOP', before.vision);
    await waitUntil(t, 'another agent', () => box.agent > 0 && box.agent !== before.agent, PATIENCE_MS);
    await box.watches('again');
    t.not(box.vision, before.vision, 'vision that hung is gone');
    t.match(container.run('journalctl', '-u', 'vigie', '-o', 'cat').out, /vision is silent/);
  });

  await t.test('an inference element runs under vision’s unit unchanged', { skip: unlessFull }, (t) =>
    runsElement(t, container, box),
  );

  await t.test('SIGTERM loses no event', (t) => losesNothing(t, container, box));

  await t.test(
    'a suspended box stays suspended after kill -9, a reboot and an update',
    { skip: unlessFull },
    async (t) => {
      const words = ['runuser', '-u', 'vigie', '--', 'vigie', 'suspend', '--reason', 'order of the court'];
      t.match(container.run(...words), { status: 0, err: '' }, 'vigie suspend is obeyed');
      await box.staysSuspended('suspended');
      const killed = box.agent;
      box.signal('KILL', killed);
      await waitUntil(t, 'another agent', () => box.agent > 0 && box.agent !== killed, PATIENCE_MS);
      await box.staysSuspended('killed');
      await container.powerOff();
      await container.boot(t);
      await box.staysSuspended('rebooted');
      t.match(install(container, withVersion(t, deb, '100.0.0')), { status: 0 });
      await box.staysSuspended('updated');
      t.match(box.resume(), { status: 0 });
      await box.watches('resumed');
    },
  );
});

void t.test('a card that takes too long is tried again, and says so', { skip }, async (t) => {
  const container = await installedContainer(t, rootDeb, deb);
  await provision(t, container);
  container.run('chown', '-R', 'mosquitto:', '/etc/mosquitto/pki');
  const result = '/boot/firmware/vigie/result.txt';
  const hangs = (attempts: number): void => {
    container.write(
      '/usr/local/bin/slow-card',
      `#!/bin/sh
n=$(($(cat /var/cache/attempts 2>/dev/null || echo 0) + 1)); echo $n >/var/cache/attempts
[ $n -gt ${attempts} ] || exec sleep infinity
cp ${result} /var/cache/earlier-result; exec /usr/lib/vigie-root/start "$@"
`,
      0o755,
    );
  };
  // A limit for the test; the test of units checks the unit's own.
  container.write(
    '/etc/systemd/system/vigie-provision.service.d/test.conf',
    `[Service]
TimeoutStartSec=4
ReadWritePaths=/var/cache
ExecStart=
ExecStart=/usr/local/bin/slow-card current boot-partition --from /boot/firmware/vigie
`,
  );
  hangs(1);
  await container.boot(t);
  const box = new BootedBox(t, container);
  await box.watches('starts with what the second attempt installed');
  t.match(
    container.read('/var/cache/earlier-result'),
    /^\S+Z unfinished\r\nan attempt failed \(timeout\).*\r\n$/,
  );
  t.match(container.read(result), /^\S+Z installed\r\n/);

  const request = { version: 1, site: SITE, box: BOX, url: 'https://localhost:1', token: null };
  container.write('/boot/firmware/vigie/vigie.yaml', container.read('/etc/vigie/vigie.yaml'));
  container.write('/boot/firmware/vigie/enrol.json', JSON.stringify(request));
  const stateOf = (unit: string): string => container.show(unit, 'ActiveState');
  container.run('rm', '/var/cache/attempts');
  hangs(3);
  // The boot has used up two of the three attempts.
  const startsAnew = (): number | null => {
    container.run('systemctl', 'reset-failed', 'vigie-provision');
    return container.run('systemctl', 'start', 'vigie-provision').status;
  };
  t.not(startsAnew(), 0, 'it gives up after three attempts');
  t.equal(container.read('/var/cache/attempts'), '3\n');
  t.match(container.read(result), /^\S+Z unfinished\r\n/);
  t.equal(stateOf('vigie'), 'active', 'and the box goes on with what it has');
  t.equal(startsAnew(), 0);
  await waitUntil(t, 'the box enrols', () => stateOf('vigie-enrol') === 'active', PATIENCE_MS);
  await waitUntil(t, 'a word', () => /enrolment: /.test(container.read(result)), PATIENCE_MS);
  t.match(container.read(result), /^\S+Z installed\r\n/);
});

/** Tests a plugin with its own ONNX Runtime: no device, a root of its own, and a readable journal. */
async function runsElement(t: Test, container: Container, box: BootedBox): Promise<void> {
  const dir = scratch(t);
  const name = modelOfOneSize(dir);
  const file = `/usr/lib/vigie/current/models/${name}`;
  for (const end of ['onnx', 'json'])
    container.write(`${file}.${end}`, readFileSync(join(dir, `${name}.${end}`)));
  const config = '/etc/vigie/vigie.yaml';
  const before = container.read(config);
  const detectorLine = `detector: { backend: gstreamer, element: { name: onnxinference, model: ${name} } }\n`;
  container.write(config, `${before}${detectorLine}`);
  const startTime = container.run('date', '+%F %T').out.trim();
  container.run('systemctl', 'restart', 'vigie');
  await box.watches('with an element');
  const detector = (...command: readonly string[]): Finding | undefined => {
    const doctorOutput = JSON.parse(container.run('vigie', ...command, '--json').out) as {
      findings: Finding[];
    };
    return doctorOutput.findings.find(({ name }) => name === 'detector');
  };
  t.match(detector('status'), { state: 'ok', detail: `${name} on onnxinference` }, 'the element looks');
  const journal = (): string =>
    container.run('journalctl', '--no-pager', '-o', 'cat', '-u', 'vigie-vision', '--since', startTime).out;
  t.notMatch(journal(), /Schema error|pthread_setaffinity/, 'its output at the start is dropped');

  container.write('/usr/share/vigie-test/element.yaml', `site: s\nbox: b\nrules: []\n${detectorLine}`);
  const words = ['doctor', '--config', '/usr/share/vigie-test/element.yaml', '--seconds', '1'];
  const byHand = container.run('vigie', ...words);
  t.match(byHand.out, `✓ detector     ${name}`, 'by hand, without the unit');
  t.notMatch(byHand.err, /Schema error/, 'and on the terminal neither');

  container.run('rm', `${file}.onnx`);
  container.run('systemctl', 'restart', 'vigie');
  await box.watches('without its model');
  const missingModel = /^nanodet-g-city10 runs on cpu: model file .* is missing/;
  for (const command of ['status', 'doctor'])
    t.match(detector(command), { state: 'failed', detail: missingModel });
  t.match(journal(), /detector runs on cpu instead: model file .* is missing/, 'and the journal');
  container.write(config, before);
  container.run('rm', `${file}.json`);
  container.run('systemctl', 'restart', 'vigie');
  await box.watches('the CPU again');
}

async function losesNothing(t: Test, container: Container, box: BootedBox): Promise<void> {
  // From here on a person is in the street.
  container.run('systemctl', 'stop', 'vigie', 'mosquitto');
  container.write(CLIP, readFileSync(STREET_CLIP));
  container.run('systemctl', 'start', 'vigie');
  let before: string[] = [];
  const hasEvents = (): boolean => {
    before = outboxIds(container);
    return before.length >= 3;
  };
  await waitUntil(t, 'events wait', hasEvents, PATIENCE_MS);
  const stop = 'b=$(date +%s%N); systemctl stop vigie; echo $(( ($(date +%s%N) - b) / 1000000 ))';
  const stopMs = Number(container.run('sh', '-c', stop).out.trim());
  t.ok(stopMs <= 5000, `stopped in ${stopMs} ms`);
  t.equal(container.show('vigie', 'Result'), 'success', 'it ended on its own');
  t.equal(container.show('vigie-vision', 'ActiveState'), 'inactive', 'and no vision is left');
  const after = outboxIds(container);
  t.ok(
    before.every((id) => after.includes(id)),
    `${before.length} events waited before, ${after.length} after`,
  );

  const outputFile = '/root/heard.txt';
  container.run('systemctl', 'start', 'mosquitto');
  const listen = `mosquitto_sub -t 'vigie/${SITE}/${BOX}/evt/#' -q 1 -F '%p' >${outputFile}`;
  container.run('systemd-run', '--quiet', '--unit=listener', 'sh', '-c', listen);
  await waitUntil(
    t,
    'the listener is connected',
    () => existsSync(join(container.root, outputFile)),
    PATIENCE_MS,
  );
  container.run('systemctl', 'start', 'vigie');
  await box.watches('again');
  const haveArrived = (): boolean => after.every((id) => container.read(outputFile).includes(`"${id}"`));
  await waitUntil(t, 'every one of them arrives', haveArrived, PATIENCE_MS);
  t.pass(`${after.length} events arrived that were accepted before the stop`);
}
