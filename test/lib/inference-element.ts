/**
 * Tools for tests of the detector's backends: an element that plays faults, models for elements, and a process for each
 * test.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DetectorConfig } from '../../agent/contract/config.ts';
import type { HailoCard, ModelCard } from '../../agent/vision/detect/card.ts';
import type { Outcome, Step, Task } from './backend-child.ts';
import { bundledHelper } from './bundled.ts';
import { type BoardChange, hailoBoard, writeTree } from './hailo-board.ts';
import { MODEL_DIR, ROOT, STREET_CLIP, scratch } from './paths.ts';

export const MODEL = 'nanodet-g-city10';
export const INPUT = [416, 256] as const;
/** Debian's interpreter, which has the packages; another python3 may come first in PATH. */
const PYTHON = '/usr/bin/python3';

const installed = (command: string, ...args: string[]): boolean => spawnSync(command, args).status === 0;

/** Reason why tests with the fake element cannot run here, or false. */
export const noCompiler = installed('cc', '--version') ? false : 'cc is not installed: apt-get install gcc';
export const noPython = installed(PYTHON, '-c', 'import onnx, onnxruntime, numpy')
  ? false
  : 'python3-onnx or python3-onnxruntime is not installed: scripts/setup --for test';
export const noElement = installed('gst-inspect-1.0', 'onnxinference')
  ? false
  : 'GStreamer has no onnxinference: apt-get install gstreamer1.0-plugins-bad';
export const noClip = existsSync(STREET_CLIP) ? false : 'no .cache/vtest.avi: run scripts/setup';

/**
 * Environment in which GStreamer has the fake element (fake-element.c), compiled once for each content of it. Its
 * plugin list is separate from that of every other program.
 */
export function fakeElement(): Record<string, string> {
  const source = join(ROOT, 'test/lib/fake-element/fake-element.c');
  const sha256 = createHash('sha256').update(readFileSync(source)).digest('hex').slice(0, 12);
  const dir = join(ROOT, '.cache', `fake-element-${sha256}`);
  const library = join(dir, 'libgstfakeelement.so');
  if (!existsSync(library)) {
    mkdirSync(dir, { recursive: true });
    const parts = ['', '-base', '-video', '-analytics'].map((part) => `gstreamer${part}-1.0`);
    const flags = String(execFileSync('pkg-config', ['--cflags', '--libs', ...parts])).split(/\s+/);
    // Another test may load it while it is written.
    const newFile = join(dir, `made-by-${process.pid}`);
    const compile = ['-shared', '-fPIC', '-O1', '-Wall', '-Wextra', '-Werror', '-o', newFile, source];
    execFileSync('cc', [...compile, ...flags.filter(Boolean)], { stdio: 'inherit' });
    renameSync(newFile, library);
  }
  return { GST_PLUGIN_PATH: dir, GST_REGISTRY: join(dir, 'registry.bin') };
}

/** Environment in which Node also sees a board with a complete Hailo-8, changed by `change` (hailo-board.ts). */
export function fakeBoard(
  t: Parameters<typeof scratch>[0],
  change: BoardChange = {},
): Record<string, string> {
  const root = writeTree(scratch(t), hailoBoard(change));
  const preload = join(ROOT, 'dist/test/lib/fake-root.js');
  return { ...fakeElement(), FAKE_ROOT: root, NODE_OPTIONS: `--import=file://${preload}` };
}

/** See element-models.py. */
export function elementModels(...args: readonly string[]): string {
  const script = join(ROOT, 'test/lib/element-models.py');
  return execFileSync(PYTHON, [script, ...args], { maxBuffer: 2 ** 28, encoding: 'utf8' });
}

/** Output of a network with our classes at their own indices, as the fake hailonet gives it. */
export const HAILO_OUTPUT: HailoCard = {
  output: 'nms',
  order: 'by-class',
  classes: 80,
  boxesMax: 100,
  labels: { 0: 0, 1: 1, 2: 2, 3: 3, 5: 5, 7: 7, 16: 16, 24: 24, 26: 26, 28: 28 },
};

/** Returns the real model's card as that of a .hef. */
export function hailoCard(output: Partial<HailoCard>): ModelCard {
  const { features: _, ...real } = JSON.parse(
    readFileSync(join(MODEL_DIR, `${MODEL}.json`), 'utf8'),
  ) as ModelCard;
  return { ...real, file: `${MODEL}.hef`, hailo: { ...HAILO_OUTPUT, ...output } };
}

/** Writes the real model's card, with changes for the model of an element. */
export function writeCard(dir: string, name: string, bytes: Uint8Array, over: Partial<ModelCard> = {}): void {
  const { features: _, ...real } = JSON.parse(
    readFileSync(join(MODEL_DIR, `${MODEL}.json`), 'utf8'),
  ) as ModelCard;
  const { file = `${name}.onnx` } = over;
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const input = { ...real.input, default: [...INPUT] as [number, number], fixed: true };
  writeFileSync(join(dir, file), bytes);
  writeFileSync(
    join(dir, `${name}.json`),
    JSON.stringify({ ...real, input, ...over, name, file, sha256, bytes: bytes.length }),
  );
}

/** Writes the script of the fake element (fake-element.c), as the model `fake` of that folder. */
export function writeScript(dir: string, lines: readonly string[], over: Partial<ModelCard> = {}): void {
  const bytes = Buffer.from(`${lines.join('\n')}\n`);
  writeCard(dir, 'fake', bytes, { file: 'fake.tflite', ...over });
}

/** Writes the script of the fake hailonet, as the network `fake` of that folder. */
export function writeHailoScript(
  dir: string,
  lines: readonly string[],
  change: Partial<HailoCard> = {},
): void {
  const hailo = { ...HAILO_OUTPUT, ...change };
  const { output, order, classes, boxesMax } = hailo;
  const bytes = Buffer.from(`${[`hailo ${output} ${order} ${classes} ${boxesMax}`, ...lines].join('\n')}\n`);
  writeCard(dir, 'fake', bytes, { file: 'fake.hef', hailo });
}

/** Copies the model that runs on the CPU to the folder, beside those of an element. */
export function copyUsual(dir: string): void {
  for (const ext of ['json', 'onnx'])
    copyFileSync(join(MODEL_DIR, `${MODEL}.${ext}`), join(dir, `${MODEL}.${ext}`));
}

export function elementConfig(
  name: string,
  model: string,
  over: Partial<DetectorConfig> = {},
): DetectorConfig {
  const element = { name, model, properties: [] };
  return {
    model: MODEL,
    input: [...INPUT] as [number, number],
    backend: 'gstreamer' as const,
    providers: ['cpu'],
    element,
    ...over,
  };
}

/** The first `count` frames of the street, letterboxed to the input's size, as consecutive RGB frames. */
export function streetFrames(dir: string, count: number): string {
  const file = join(dir, `street-${count}.rgb`);
  const [width, height] = INPUT;
  const size = `video/x-raw,format=RGB,width=${width},height=${height},pixel-aspect-ratio=1/1`;
  const parts = [
    ...[`filesrc location=${STREET_CLIP}`, 'decodebin', 'videoconvert', 'videoscale add-borders=true', size],
    // GStreamer does not pass on the buffer at which the stream ends.
    ...[`identity eos-after=${count + 1}`, `filesink location=${file}`],
  ];
  execFileSync('gst-launch-1.0', ['-q', ...parts.join(' ! ').split(' ')]);
  return file;
}

/** Result of each step in a process of its own; `endReason` where the process ended before the last. */
export async function inProcess(
  t: { teardown(fn: () => void): void },
  task: Omit<Task, 'frames'> & { readonly frames?: string },
  env: Readonly<Record<string, string>> = {},
  wrapper: readonly string[] = [],
): Promise<{ outcomes: Outcome[]; endReason?: string }> {
  const dir = scratch(t);
  const [from, to, none] = ['task.json', 'outcome.json', 'none.rgb'].map((name) => join(dir, name)) as [
    string,
    string,
    string,
  ];
  writeFileSync(none, '');
  writeFileSync(from, JSON.stringify({ frames: none, ...task }));
  const program = bundledHelper(new URL('./backend-child.js', import.meta.url));
  // Debian's onnxinference prints some thousand times on stderr that its operators are registered already.
  const [command = '', ...args] = [...wrapper, process.execPath, '--enable-source-maps', program, from, to];
  const child = spawn(command, args, {
    stdio: 'ignore',
    env: { ...process.env, ORT_DISABLE_TELEMETRY: '1', ...env },
  });
  const endReason = await new Promise<string>((resolve) => {
    child.once('close', (code, signal) => resolve(signal ?? String(code)));
  });
  if (!existsSync(to)) return { outcomes: [], endReason };
  return { outcomes: JSON.parse(readFileSync(to, 'utf8')) as Outcome[] };
}

export type { Outcome, Step };
