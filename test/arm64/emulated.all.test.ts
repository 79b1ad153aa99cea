/**
 * Runs the arm64 package on an arm64 Debian under qemu-user: it must decode, infer and replay with the results of this
 * machine. An inference takes seconds here, so there are few.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import { buildPackage, roomPackage, unpack } from '../lib/box-package.ts';
import { Container } from '../lib/nspawn.ts';
import { modelOfOneSize } from '../lib/one-size.ts';
import { ROOT, STREET_CLIP, scratch } from '../lib/paths.ts';

const FRAMES = 100;
/** 768×576 in 4:2:0. */
const FRAME_BYTES = (768 * 576 * 3) / 2;
/** The network computes in integers, which are the same on both machines; only the decoding after it is float. */
const TOLERANCE = 0.001;
/**
 * Only the box's package is unpacked. The root package, which brings /usr/bin/vigie, is not, and root is the only user.
 */
const PROGRAM = '/usr/lib/vigie/current/dist/agent/cli/main.js';
const ON_BOX = 'dist/test/arm64/on-box.js';

interface Inference {
  readonly boxes: number[];
  readonly scores: number[];
  readonly labels: number[];
}

interface Result {
  readonly arch: string;
  readonly decoder: string;
  readonly frames: number;
  readonly sha256: string;
  readonly inferences: readonly Inference[];
}

const skip = Container.unavailable('arm64');
void t.test('the arm64 package decodes, infers and replays like this machine', { skip }, async (t) => {
  const deb = buildPackage('arm64');
  const container = new Container(t, 'arm64');
  unpack(container, deb);
  t.equal(container.run('uname', '-m').out.trim(), 'aarch64', 'on another machine than this (control)');
  await sameResults(t, container);
  await replays(t, container);
  await doctor(t, container);
  room(t, container);
});

async function sameResults(t: Test, container: Container): Promise<void> {
  const dir = scratch(t);
  const [clip, rgb] = [join(dir, 'clip.mp4'), join(dir, 'two.rgb')];
  const ffmpeg = (...args: string[]): unknown =>
    execFileSync('ffmpeg', ['-v', 'error', '-i', STREET_CLIP, ...args], { stdio: 'pipe' });
  ffmpeg('-frames:v', String(FRAMES), '-c:v', 'libx264', '-pix_fmt', 'yuv420p', clip);
  ffmpeg(
    '-vf',
    'select=not(mod(n\\,100)),scale=416:256',
    '-frames:v',
    '2',
    '-fps_mode',
    'vfr',
    '-f',
    'rawvideo',
    '-pix_fmt',
    'rgb24',
    rgb,
  );
  container.write('/root/clip.mp4', readFileSync(clip));
  container.write('/root/two.rgb', readFileSync(rgb));
  const copyPath = join(container.root, 'usr/lib/vigie/current', ON_BOX);
  mkdirSync(dirname(copyPath), { recursive: true });
  copyFileSync(join(ROOT, ON_BOX), copyPath);

  const words = ['env', 'ORT_DISABLE_TELEMETRY=1', 'node'];
  const [clipHere, rgbHere] = [clip, rgb];
  const localOutput = execFileSync(
    'env',
    [...words.slice(1), join(ROOT, ON_BOX), clipHere, String(FRAME_BYTES), rgbHere],
    { encoding: 'utf8' },
  );
  const emulated = container.run(
    ...words,
    join('/usr/lib/vigie/current', ON_BOX),
    '/root/clip.mp4',
    String(FRAME_BYTES),
    '/root/two.rgb',
  );
  t.equal(emulated.status, 0, emulated.status === 0 ? 'decoder and detector run' : emulated.err);
  const [x64, arm64] = [localOutput, emulated.out].map((text) => JSON.parse(text) as Result);
  if (x64 === undefined || arm64 === undefined) throw new Error('two results are expected');
  t.equal(arm64.arch, 'arm64');
  t.equal(arm64.frames, FRAMES, `${FRAMES} frames decoded by ${arm64.decoder}`);
  t.equal(arm64.sha256, x64.sha256, 'to the very bits of this machine');
  for (const [index, one] of arm64.inferences.entries()) {
    const other: Inference | undefined = x64.inferences[index];
    t.ok(one.scores.length > 3, `inference ${index + 1}: ${one.scores.length} boxes (control)`);
    t.equal(one.scores.length, other?.scores.length, 'as many as on this machine');
    if (other !== undefined) sameBoxes(t, one, other);
  }
}

/** Compares each box with the nearest one of its label, because the order among equal scores may differ. */
function sameBoxes(t: Test, one: Inference, other: Inference): void {
  let worst = { score: 0, px: 0 };
  for (const [at, label] of one.labels.entries()) {
    const box = (of: Inference, index: number): number[] => of.boxes.slice(4 * index, 4 * index + 4);
    const nearest = other.labels
      .map((otherLabel, index) => ({
        px:
          otherLabel === label
            ? Math.max(...box(one, at).map((side, k) => Math.abs(side - (box(other, index)[k] ?? Infinity))))
            : Infinity,
        score: Math.abs((one.scores[at] ?? 0) - (other.scores[index] ?? Infinity)),
      }))
      .sort((a, b) => a.px - b.px)[0];
    if (nearest !== undefined) {
      worst = { px: Math.max(worst.px, nearest.px), score: Math.max(worst.score, nearest.score) };
    }
  }
  t.ok(worst.px <= TOLERANCE, `boxes at most ${worst.px.toFixed(6)} px apart`);
  t.ok(worst.score <= TOLERANCE, `scores at most ${worst.score.toFixed(6)} apart`);
}

async function replays(t: Test, container: Container): Promise<void> {
  const dir = scratch(t);
  const clip = join(dir, 'three.avi');
  execFileSync('ffmpeg', ['-v', 'error', '-i', STREET_CLIP, '-frames:v', '3', '-c', 'copy', clip], {
    stdio: 'pipe',
  });
  container.write('/root/three.avi', readFileSync(clip));
  const onCpu = replayClip(t, container, '');
  t.equal(onCpu.frames, 3, 'every frame of it');
  t.ok(onCpu.detections > 0, `${onCpu.detections} detections`);

  const name = modelOfOneSize(dir);
  for (const end of ['onnx', 'json']) {
    container.write(
      `/usr/lib/vigie/current/models/${name}.${end}`,
      readFileSync(join(dir, `${name}.${end}`)),
    );
  }
  const element = `{ name: onnxinference, model: ${name} }`;
  const byElement = replayClip(t, container, `detector: { backend: gstreamer, element: ${element} }\n`);
  t.strictSame(byElement, onCpu, 'an element of GStreamer runs the same model: the same');
  const byLibrary = replayClip(t, container, 'detector: { backend: onnxruntime-library }\n');
  t.strictSame(byLibrary, onCpu, 'Debian’s ONNX Runtime through our addon: the same');
}

/** Replays a clip with the configuration that the doctor test left behind. */
function replayClip(t: Test, container: Container, detector: string): { frames: number; detections: number } {
  container.write('/root/replay.yaml', `site: s\nbox: b\nrules: []\n${detector}`);
  const words = ['replay', '/root/three.avi', '--config', '/root/replay.yaml', '--out', '/root/out'];
  const replay = container.run(PROGRAM, ...words);
  t.equal(replay.status, 0, replay.status === 0 ? 'a clip is replayed' : replay.err.slice(-2000));
  const { frames, detections } = JSON.parse(container.read('/root/out/summary.json')) as {
    frames: number;
    detections: number;
  };
  container.run('rm', '-r', '/root/out');
  return { frames, detections };
}

async function doctor(t: Test, container: Container): Promise<void> {
  const doctorRun = container.run(
    PROGRAM,
    'doctor',
    '--config',
    '/root/replay.yaml',
    '--seconds',
    '1',
    '--json',
  );
  const { findings } = JSON.parse(doctorRun.out) as {
    findings: { name: string; state: string; detail: string }[];
  };
  for (const name of ['config', 'disk', 'state', 'detector']) {
    const finding = findings.find((one) => one.name === name);
    t.equal(finding?.state, 'ok', `doctor: ${name}: ${finding?.detail}`);
  }
}

/** Starts the room's console, sends it a request, and ends it. */
const CONSOLE = `
const { spawn } = require('node:child_process');
const options = ['--demo', '--database', '/root/room.db', '--listen', '127.0.0.1:0'];
const child = spawn('/usr/bin/vigie-room', ['console', ...options], { stdio: ['ignore', 'pipe', 'inherit'] });
let said = '';
child.stdout.on('data', async (chunk) => {
  said += chunk;
  const [, url] = /^Console on (\\S+);/m.exec(said) ?? [];
  if (url === undefined || said === 'asked') return;
  said = 'asked';
  const answers = await Promise.all([url + 'healthz', url].map((one) => fetch(one)));
  console.log(process.arch, ...answers.map(({ status }) => status));
  child.kill();
});
`;

/** Tests the room's package, whose native addon is also compiled for arm64. */
function room(t: Test, container: Container): void {
  execFileSync('dpkg-deb', ['-x', roomPackage('arm64'), container.root]);
  const consoleRun = container.run('node', '-e', CONSOLE);
  t.match(
    consoleRun,
    { status: 0, out: /^arm64 200 200$/m },
    `the console starts and answers: ${consoleRun.err}`,
  );
}
