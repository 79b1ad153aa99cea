/**
 * Tests the doctor: its conclusions from given observations, and the whole program with real files, streams and
 * brokers.
 */
import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { stringify } from 'yaml';
import { PRESETS } from '../../agent/cli/doctor/accelerator-presets.ts';
import { elementsOf } from '../../agent/cli/doctor/accelerators.ts';
import { diskFinding, fileFindings, stateFinding } from '../../agent/cli/doctor/machine.ts';
import { visionFindings } from '../../agent/cli/doctor/vision.ts';
import type { VisionTrial } from '../../agent/cli/doctor/vision-trial.ts';
import { inspectText } from '../../agent/config/load.ts';
import type { Config } from '../../agent/contract/config.ts';
import { type Finding, findingText } from '../../agent/contract/finding.ts';
import { Latency } from '../../agent/contract/latency.ts';
import { NO_LIMITS, type VisionStats } from '../../agent/contract/link.ts';
import { Journal } from '../../agent/restraint/journal/journal.ts';
import { Suspension } from '../../agent/restraint/suspension.ts';
import { RoomAuthorities } from '../../scripts/lib/certificates.ts';
import { freePort, Mosquitto } from '../../scripts/lib/mosquitto.ts';
import { authorised } from '../lib/authority.ts';
import { viewOf } from '../lib/local-status.ts';
import { STREET_CLIP, scratch } from '../lib/paths.ts';
import { RtspServer, rtspMissing } from '../lib/rtsp-server.ts';

const VIGIE = fileURLToPath(new URL('../../agent/cli/main.js', import.meta.url));

function configFrom(changes: object): Config {
  const { config, problems } = inspectText(stringify({ site: 'lab', box: 'lab-1', ...changes }), {
    env: {},
    mode: 'check',
    files: false,
  });
  if (config === undefined) throw new Error(JSON.stringify(problems));
  return config;
}

const RTSP = configFrom({ camera: { source: 'rtsp://admin:hunter2@10.0.0.2/main', fps: 5 } });

const STATS: VisionStats = {
  framesRead: 260,
  packetsWatched: 0,
  quiet: null,
  framesAnalysed: 50,
  framesHeld: 0,
  looksFine: 0,
  framesShed: 0,
  framesShort: 0,
  framesDropped: 0,
  observationsDropped: 0,
  reconnects: 0,
  rebuilds: 0,
  detections: 0,
  impossible: 0,
  limits: NO_LIMITS,
  stages: { detect: { cpuMs: 600, wallMs: 1000, latency: new Latency().counts } },
  cpuMs: 900,
  wallMs: 11_000,
  rssMiB: 140,
  rssPeakMiB: 150,
  fds: 60,
};

/** Ten seconds of a healthy camera. */
const HEALTHY: VisionTrial = {
  detector: {
    kind: 'detector',
    model: 'nanodet-g-city10',
    sha256: 'ab'.repeat(32),
    provider: 'cpu',
    fallback: null,
  },
  stream: {
    kind: 'opened',
    source: { widthPx: 1280, heightPx: 720 },
    decoder: 'avdec_h264',
    fps: 25,
    durationMs: null,
    connected: 'rtsp://10.0.0.7:554',
  },
  firstStats: { ...STATS, framesRead: 12, wallMs: 1000 },
  stats: STATS,
  frames: 55,
  watchedFrames: 50,
  watchedMs: 9800,
  view: viewOf({}),
};

const findingOf = (findings: readonly Finding[], name: string): Finding | undefined =>
  findings.find((finding) => finding.name === name);

void t.test('a healthy camera shows its size, rates, decoder, model and speed', async (t) => {
  const findings = visionFindings(RTSP, HEALTHY);
  t.same(findings.map(findingText), [
    '✓ camera       rtsp://10.0.0.2/main: 1280×720, 25 fps announced, 24.8 delivered, 5 analysed of 5 wanted',
    '✓ decoder      avdec_h264',
    '✓ detector     nanodet-g-city10, sha256 abababababab…, on cpu',
    '✓ inference    20 ms a frame at 416×256, 10 % of the 200 ms between frames',
  ]);
});

void t.test('each failure is named with its fix', async (t) => {
  const { stream: _, stats: __, ...unopened } = HEALTHY;
  const cases: [string, Config, VisionTrial, string, RegExp, RegExp][] = [
    [
      'refused',
      RTSP,
      { ...unopened, frames: 0, lostReason: '10.0.0.2:554 does not answer' },
      'camera',
      /^10\.0\.0\.2:554 does not answer$/,
      /cable, address and port/,
    ],
    [
      'password',
      RTSP,
      { ...unopened, frames: 0, lostReason: '10.0.0.2:554 refuses the user or password' },
      'camera',
      /refuses/,
      /user and password/,
    ],
    [
      'path',
      RTSP,
      { ...unopened, frames: 0, lostReason: '10.0.0.2:554 has no stream at /main' },
      'camera',
      /has no stream at/,
      /no such stream/,
    ],
    [
      'clip',
      RTSP,
      {
        ...unopened,
        frames: 0,
        failed: { kind: 'failed', error: 'config', message: 'camera.source: /a is no video; give a clip' },
      },
      'camera',
      /^\/a is no video$/,
      /^give a clip$/,
    ],
    ['silent', RTSP, { ...unopened, frames: 0 }, 'camera', /no picture in time/, /cable/],
    ['crash', RTSP, { ...unopened, frames: 0, died: 'signal SIGSEGV' }, 'camera', /SIGSEGV/, /./],
    [
      'one frame',
      RTSP,
      { ...HEALTHY, frames: 1, watchedFrames: 0, watchedMs: 0 },
      'camera',
      /only 1 frames came/,
      /network/,
    ],
    [
      'slow',
      RTSP,
      { ...HEALTHY, watchedFrames: 20 },
      'camera',
      /1\.94 analysed of 5 wanted/,
      /lower camera\.fps/,
    ],
    [
      'fallback',
      RTSP,
      {
        ...HEALTHY,
        detector: { ...HEALTHY.detector, fallback: 'cuda is not there' } as VisionTrial['detector'] & object,
      },
      'detector',
      /cuda is not there/,
      /providers/,
    ],
    [
      'element',
      configFrom({
        camera: { source: 'rtsp://admin:hunter2@10.0.0.2/main', fps: 5 },
        detector: {
          backend: 'gstreamer',
          element: { name: 'onnxinference', model: 'nanodet-g-city10' },
        },
      }),
      {
        ...HEALTHY,
        detector: { ...HEALTHY.detector, fallback: 'it gives no answer' } as VisionTrial['detector'] & object,
      },
      'detector',
      /runs on cpu: it gives no answer/,
      /accelerators\.md/,
    ],
    [
      'model',
      RTSP,
      {
        frames: 0,
        watchedFrames: 0,
        watchedMs: 0,
        view: viewOf({}),
        failed: { kind: 'failed', error: 'corrupt', message: 'the hash differs' },
      },
      'detector',
      /the hash differs/,
      /reinstall/,
    ],
    [
      'heavy',
      configFrom({ camera: { source: 'test:pattern', fps: 30 } }),
      { ...HEALTHY, watchedFrames: 290 },
      'inference',
      /60 % of the 33\.3 ms/,
      /lower camera\.fps/,
    ],
    [
      'near',
      configFrom({ camera: { source: 'test:pattern' }, detector: { input: [640, 384] } }),
      {
        ...HEALTHY,
        view: viewOf({ input: [640, 384], people: 30, heightHalfNorm: 0.4, heightTenthNorm: 0.3 }),
      },
      'view',
      /half below 40 %/,
      /\[416, 256\]/,
    ],
    [
      'far',
      RTSP,
      { ...HEALTHY, view: viewOf({ people: 30, heightTenthNorm: 0.06 }) },
      'view',
      /14 px for the detector/,
      /\[640, 384\]/,
    ],
    [
      'fast',
      RTSP,
      { ...HEALTHY, view: viewOf({ moving: 30, stepNineTenths: 1.2 }) },
      'view',
      /less than 1\.2 of their length/,
      /camera\.fps: 12:/,
    ],
  ];
  for (const [name, config, trial, findingName, detail, fix] of cases) {
    const findings = visionFindings(config, trial);
    t.match(findingOf(findings, findingName), { state: 'failed', detail, fix }, name);
    t.notMatch(findings.map(findingText).join('\n'), 'hunter2');
    for (const { state, fix } of findings)
      t.equal(fix !== undefined, state === 'failed', 'a fix with each failure, only there');
  }
  t.match(visionFindings(configFrom({}), HEALTHY)[0], { name: 'camera', state: 'unknown' });
  const near = viewOf({ people: 30, heightHalfNorm: 0.4, heightTenthNorm: 0.3 });
  t.match(findingOf(visionFindings(RTSP, { ...HEALTHY, view: near }), 'view'), { state: 'ok' });
});

void t.test('the doctor checks disk, state folder and files', async (t) => {
  const dir = scratch(t);
  const small = configFrom({ retention: { outboxMiB: 1, archiveMiB: 1, tracksMiB: 1 } });
  t.match(diskFinding(join(dir, 'not', 'yet'), small), {
    state: 'ok',
    detail: /MiB free for .*, 6 MiB needed/,
  });
  t.match(stateFinding(join(dir, 'not', 'yet')), { state: 'ok', detail: /made at the first start/ });
  writeFileSync(join(dir, 'file'), '');
  t.match(stateFinding(join(dir, 'file')), { state: 'failed', detail: /is not a folder/ });
  mkdirSync(join(dir, 'locked'));
  chmodSync(join(dir, 'locked'), 0o500);
  void t.test(
    'a folder of another user is named with its fix',
    { skip: process.geteuid?.() === 0 && 'root may write everywhere' },
    async (t) => {
      t.match(stateFinding(join(dir, 'locked')), { state: 'failed', fix: /sudo install -d/ });
    },
  );
  const config = configFrom({ mqtt: { url: 'mqtts://h', ca: '/a', cert: '/b', key: '/c' } });
  const problem = { path: 'mqtt.key', line: 1, column: 1, variable: null, found: '"/c"' };
  t.match(
    fileFindings(config, [
      { ...problem, message: 'the private key is open to others (mode 0644); chmod 0640 /c' },
    ]),
    [
      {
        name: 'files mqtt.key',
        state: 'failed',
        detail: /open to others \(mode 0644\)$/,
        fix: 'chmod 0640 /c',
      },
    ],
  );
  t.match(fileFindings(config, [{ ...problem, message: 'no such file' }]), [{ fix: /copy it there/ }]);
  t.match(fileFindings(config, []), [{ state: 'ok', detail: /3 files readable/ }]);
  t.same(fileFindings(configFrom({}), []), []);
});

void t.test('the doctor asks GStreamer for its elements', async (t) => {
  const [preset] = PRESETS as [(typeof PRESETS)[number]];
  const acceleratorOf = (element: string) => ({
    preset: { ...preset, element },
    devices: [],
    driver: null,
    nodes: [],
    problems: [],
    dropIn: true,
    group: true,
  });
  t.same(
    [...(await elementsOf([acceleratorOf('fakesink'), acceleratorOf('no-such-element')]))],
    ['fakesink'],
  );
});

interface Report {
  readonly code: number | null;
  readonly ok: boolean;
  readonly findings: Finding[];
  readonly err: string;
}

/** Makes a state folder in which an agent has run once; returns its journal. */
function journalIn(dir: string): Journal {
  const stateDir = join(dir, 'state');
  mkdirSync(stateDir, { recursive: true });
  const journal = new Journal({ stateDir, origin: 'vigie/lab/lab-1' });
  journal.start();
  const suspension = join(stateDir, 'suspension.json');
  if (!existsSync(suspension)) new Suspension(suspension).begin(Date.now());
  return journal;
}

/** Journal entries of the doctor's camera access. */
function accessEntries(dir: string): unknown[] {
  const contents = journalIn(dir)
    .contentsOf(0)
    .map(({ content }) => content);
  return contents.flatMap((content) =>
    content?.type === 'look' ? [[content.by, content.phase, content.framesRead]] : [],
  );
}

/** Examines a box whose authorisation allows analysis, unless `order` changes it. */
async function examine(dir: string, config: object, seconds = 2, change = {}): Promise<Report> {
  const file = join(dir, 'vigie.yaml');
  const { authorisation, authorityKey } = authorised(configFrom(config), join(dir, 'order'), change);
  const content = { site: 'lab', box: 'lab-1', authorisation, authorityKey, ...config };
  writeFileSync(file, stringify(content), { mode: 0o640 });
  const args = [
    VIGIE,
    'doctor',
    '--config',
    file,
    '--state',
    join(dir, 'state'),
    '--seconds',
    String(seconds),
    '--json',
  ];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let [out, err] = ['', ''];
  child.stdout.on('data', (chunk) => {
    out += chunk;
  });
  child.stderr.on('data', (chunk) => {
    err += chunk;
  });
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, err, ...(JSON.parse(out) as { ok: boolean; findings: Finding[] }) };
}

void t.test(
  'the doctor examines a real clip and a real broker',
  { skip: !existsSync(STREET_CLIP) && 'no .cache/vtest.avi' },
  async (t) => {
    const dir = scratch(t);
    const authorities = new RoomAuthorities(join(dir, 'ca'));
    await authorities.start();
    const authority = authorities.boxes;
    const broker = new Mosquitto({
      dir: join(dir, 'broker'),
      tls: await authorities.brokerTls(),
      boxes: [{ site: 'lab', box: 'lab-1' }],
    });
    await broker.start();
    t.teardown(() => broker.stop());
    const mqtt = { url: broker.url, ca: authority.ca, ...(await authority.client('lab-1')) };
    const camera = { source: `file:${STREET_CLIP}`, fps: 5 };

    const unproved = await examine(dir, { camera, mqtt });
    t.match(findingOf(unproved.findings, 'camera'), {
      state: 'unknown',
      detail: /has no journal to record/,
    });
    t.notOk(existsSync(join(dir, 'state')), 'nothing was begun for it');
    journalIn(dir);
    const fine = await examine(dir, { camera, mqtt });
    t.equal(fine.err, '', 'nothing on standard error');
    for (const name of [
      'config',
      'files',
      'state',
      'disk',
      'broker',
      'camera',
      'decoder',
      'detector',
      'inference',
      'advice',
    ]) {
      t.match(findingOf(fine.findings, name), { state: 'ok' }, name);
    }
    t.match(findingOf(fine.findings, 'camera')?.detail, /768×576/);
    t.match(findingOf(fine.findings, 'advice')?.detail, /^model nanodet-g-city10, input \d+×\d+, the CPU/);
    const [begin, end] = accessEntries(dir) as [unknown, [string, string, number]];
    t.same(begin, ['doctor', 'begin', null], 'before the camera was opened');
    t.match(end, ['doctor', 'end', Number]);
    t.ok(end[2] > 5, `${end[2]} frames are on record`);
    // Depends on this machine's clock, so the test accepts either result.
    const clock = findingOf(fine.findings, 'clock');
    t.equal(fine.code, clock?.state === 'failed' ? 1 : 0);
    t.equal(fine.ok, fine.code === 0);

    const port = await freePort();
    const broken = await examine(dir, {
      camera: { source: `rtsp://admin:hunter2@127.0.0.1:${port}/main`, fps: 5 },
      mqtt: { ...mqtt, ...(await authority.client('another-box')) },
    });
    t.equal(broken.code, 1);
    t.equal(broken.err, '', 'nothing on standard error');
    t.match(findingOf(broken.findings, 'camera'), { state: 'failed', fix: /cable, address and port/ });
    t.match(findingOf(broken.findings, 'broker'), { state: 'failed', detail: /CN is another-box/ });
    t.match(findingOf(broken.findings, 'detector'), { state: 'ok' }, 'the rest is still reported');
    t.notMatch(JSON.stringify(broken), 'hunter2');

    const barred = await examine(dir, { camera, mqtt }, 2, { box: 'another-box' });
    t.match(findingOf(barred.findings, 'authorisation'), {
      state: 'failed',
      detail: /is for another-box at lab/,
    });
    t.match(findingOf(barred.findings, 'camera'), { state: 'unknown', detail: /not opened/ });
    t.match(findingOf(barred.findings, 'detector'), { state: 'ok' }, 'a test picture shows that it works');
    writeFileSync(join(dir, 'state', 'suspension.json'), 'damaged');
    const before = accessEntries(dir).length;
    const suspended = await examine(dir, { camera, mqtt });
    t.match(findingOf(suspended.findings, 'suspended'), { state: 'failed', detail: /is damaged/ });
    t.match(findingOf(suspended.findings, 'camera'), { state: 'unknown', detail: /not opened/ });
    new Suspension(join(dir, 'state', 'suspension.json')).resume('', '', 0);
    const [at, id] = [new Date().toISOString(), '0123456789abcdef'];
    journalIn(dir).append({
      at,
      type: 'suspend',
      id,
      reason: 'order',
      by: 'box',
      framesRead: 0,
      packetsWatched: 0,
    });
    const removed = await examine(dir, { camera, mqtt });
    t.match(findingOf(removed.findings, 'suspended'), {
      state: 'failed',
      detail: /put back.*as the journal shows/,
    });
    t.match(findingOf(removed.findings, 'camera'), { state: 'unknown', detail: /not opened/ });
    t.equal(accessEntries(dir).length, before, 'and no camera access without a journal entry');
  },
);

void t.test(
  'the doctor examines an RTSP camera and never shows its password',
  { skip: rtspMissing() },
  async (t) => {
    const dir = scratch(t);
    const login = { user: 'admin', password: 'hunter2' };
    const server = await RtspServer.start({ width: 640, height: 480, fps: 15, ...login });
    t.teardown(() => server.kill());
    const source = (password: string, path: string): string =>
      `rtsp://${login.user}:${password}@127.0.0.1:${server.port}/${path}`;
    journalIn(dir);
    const inspect = (source: string): Promise<Report> => examine(dir, { camera: { source, fps: 5 } }, 5);

    const fine = await inspect(source(login.password, 'main'));
    t.match(findingOf(fine.findings, 'camera'), {
      state: 'ok',
      detail: /640×480, 15 fps announced, 1[3-6]\S* delivered, [45]\S* analysed of 5/,
    });
    t.match(findingOf(fine.findings, 'decoder'), { state: 'ok' });
    const refusal = await inspect(source('wrong', 'main'));
    t.match(findingOf(refusal.findings, 'camera'), {
      state: 'failed',
      detail: /refuses the user/,
      fix: /user and password/,
    });
    const absent = await inspect(source(login.password, 'other'));
    t.match(findingOf(absent.findings, 'camera'), {
      state: 'failed',
      detail: /no stream at \/other/,
      fix: /correct the path/,
    });
    t.notMatch(JSON.stringify([fine, refusal, absent]), 'hunter2');
  },
);
