/**
 * Makes a scene's clip: reads the stage by ffmpeg, paints into its pictures, and encodes them as a camera would (H.264,
 * a key frame every 10 s). The same scene gives the same clip.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import {
  type Degradation,
  degradationOf,
  encoderOf,
  filterGraph,
} from '../../scripts/programs/evaluate/degradations.ts';
import { ROOT } from '../lib/paths.ts';
import { randomOf } from '../lib/random.ts';
import { type Canvas, type Picture, paint, paintNoise } from './paint.ts';
import { labelOf, type Scene } from './scene.ts';

export const SCENES_FPS = 5;
const SCENES_DIR = join(ROOT, '.cache', 'scenes');
/** Number of pictures whose median is the empty stage. */
const SAMPLES = 15;
/** Noise of a picture that is held, in levels: a street camera's sensor noise at dusk. */
const HELD_SIGMA = 2;
const COMPOSER_VERSION = 1;
/** An example film. The degradation's graph for it shows whether a cached scene is still up to date. */
const EXEMPLARY = { widthPx: 512, heightPx: 288, fps: SCENES_FPS, lengthS: 30 };

/** Makes a scene's clip and label unless they exist; returns their folder. */
export async function compose(scene: Scene, clipOf: (clip: string) => string): Promise<string> {
  const degradation = scene.degradation === undefined ? undefined : degradationOf(scene.degradation);
  const graphs = degradation === undefined ? [] : [filterGraph(degradation, EXEMPLARY)];
  const hash = createHash('sha256')
    .update(JSON.stringify([COMPOSER_VERSION, scene, ...graphs]))
    .digest();
  const name = `${scene.name}-${hash.toString('hex').slice(0, 12)}`;
  const dir = join(SCENES_DIR, name);
  const clip = join(dir, 'clip.mp4');
  const label = join(dir, `${scene.name}.json`);
  mkdirSync(dir, { recursive: true });
  writeFileSync(label, `${JSON.stringify({ clip: 'clip.mp4', ...labelOf(scene) }, null, 1)}\n`);
  if (existsSync(clip)) return dir;
  const stage = await readStage(scene, clipOf);
  const part = join(dir, 'part.mp4');
  const [size] = stage as [Picture];
  const film = { ...size, fps: SCENES_FPS, lengthS: stage.length / SCENES_FPS };
  const filter = degradation === undefined ? [] : ['-vf', filterGraph(degradation, film)];
  await encode(painted(scene, stage, hash.readUInt32BE(0)), size, filter, part, degradation);
  renameSync(part, clip);
  return dir;
}

async function readStage({ stage }: Scene, clipOf: (clip: string) => string): Promise<Picture[]> {
  const { clip, startS, lengthS, widthPx, hold } = stage;
  const pictures = await read(
    ['-ss', String(startS), '-t', String(lengthS), '-i', clipOf(clip)],
    `fps=${SCENES_FPS},scale=${widthPx}:-2`,
    widthPx,
  );
  if (hold === undefined) return pictures;
  const at = Math.round(hold.fromS * SCENES_FPS);
  const still = pictures[at];
  if (still === undefined) throw new Error(`nothing to hold at ${hold.fromS} s`);
  const heldPictures = Array.from({ length: Math.round(hold.lengthS * SCENES_FPS) }, (_, k): Picture => {
    const picture = { ...still, rgb: still.rgb.slice() };
    paintNoise({ picture, random: randomOf(k) }, HELD_SIGMA);
    return picture;
  });
  return [...pictures.slice(0, at), ...heldPictures, ...pictures.slice(at)];
}

/** Reads pictures of a known width; the height comes from the first one. */
async function read(input: string[], filter: string, widthPx: number): Promise<Picture[]> {
  const heightPx = await heightOf(input, filter);
  const bytes = await run([...input, '-vf', filter, '-pix_fmt', 'rgb24', '-f', 'rawvideo', '-']);
  const size = widthPx * heightPx * 3;
  return Array.from({ length: Math.floor(bytes.length / size) }, (_, k) => ({
    widthPx,
    heightPx,
    rgb: new Uint8Array(bytes.subarray(k * size, (k + 1) * size)),
  }));
}

async function heightOf(input: string[], filter: string): Promise<number> {
  // A PPM's header is "P6 <width> <height> <max>", separated by white space.
  const ppm = await run([...input, '-frames:v', '1', '-vf', filter, '-f', 'image2pipe', '-c:v', 'ppm', '-']);
  const height = Number(ppm.toString('latin1', 0, 32).split(/\s+/)[2]);
  if (!(height > 0)) throw new Error('ffmpeg made no picture');
  return height;
}

async function run(args: string[]): Promise<Buffer> {
  const child = spawn('ffmpeg', ['-v', 'error', '-threads', '1', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exitCode = new Promise<number | null>((resolve, reject) =>
    child.once('error', reject).once('close', resolve),
  );
  const bytes = await buffer(child.stdout);
  const code = await exitCode;
  if (code !== 0) throw new Error(`ffmpeg ended with ${code}`);
  return bytes;
}

function* painted(scene: Scene, pictures: readonly Picture[], seed: number): Generator<Uint8Array> {
  const empty = medianOf(pictures);
  const table = Float64Array.from({ length: 1024 }, randomOf(seed));
  const fixed = (index: number): number => table[Math.abs(Math.trunc(index)) % table.length] as number;
  for (const [frame, original] of pictures.entries()) {
    const picture = { ...original, rgb: original.rgb.slice() };
    const canvas: Canvas = {
      picture,
      empty,
      atS: frame / SCENES_FPS,
      random: randomOf(seed + frame + 1),
      fixed,
    };
    for (const edit of scene.edits) paint(edit, canvas);
    yield picture.rgb;
  }
}

function medianOf(pictures: readonly Picture[]): Picture {
  const first = pictures[0] as Picture;
  const count = Math.min(SAMPLES, pictures.length);
  const samples = Array.from(
    { length: count },
    (_, k) => pictures[Math.floor((k * pictures.length) / count)] as Picture,
  );
  const values = new Uint8Array(samples.length);
  const rgb = first.rgb.map((_, at) => {
    for (const [k, picture] of samples.entries()) values[k] = picture.rgb[at] as number;
    return values.sort()[values.length >> 1] as number;
  });
  return { ...first, rgb };
}

async function encode(
  pictures: Iterable<Uint8Array>,
  size: Picture,
  filter: readonly string[],
  file: string,
  degradation: Degradation = degradationOf('none'),
): Promise<void> {
  const raw = ['-f', 'rawvideo', '-pix_fmt', 'rgb24', '-s', `${size.widthPx}x${size.heightPx}`];
  const child = spawn(
    'ffmpeg',
    [
      '-v',
      'error',
      '-y',
      ...raw,
      '-r',
      String(SCENES_FPS),
      '-i',
      '-',
      ...filter,
      ...encoderOf(degradation, SCENES_FPS),
      file,
    ],
    { stdio: ['pipe', 'inherit', 'inherit'] },
  );
  const exitCode = new Promise<number | null>((resolve, reject) =>
    child.once('error', reject).once('close', resolve),
  );
  for (const rgb of pictures) {
    if (!child.stdin.write(rgb)) await new Promise((resolve) => child.stdin.once('drain', resolve));
  }
  child.stdin.end();
  const code = await exitCode;
  if (code !== 0) throw new Error(`ffmpeg ended with ${code}`);
}
