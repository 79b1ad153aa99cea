/**
 * A clip of a still picture of a real street, through which a real person moves, painted in colours that occur nowhere
 * else.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import sharp from 'sharp';
import { STREET_CLIP } from './paths.ts';

const SIZE = { widthPx: 768, heightPx: 576 };
export const PAINTED_FPS = 5;
/** A person of the street clip, with a margin: frame after its start, and place. */
const PERSON = { frame: 30, left: 616, top: 240, width: 64, height: 124 };
/** Difference from the street, in levels, from which a pixel belongs to the person. */
const PERSON_LEVELS = 24;
/** Amplitude of a sensor's noise, in levels. */
const NOISE = 2;

interface Raw {
  readonly rgb: Buffer;
  readonly width: number;
  readonly height: number;
}

/**
 * Makes the clip and returns its path. `at` gives the place of the person's crop at a time in seconds; undefined means
 * outside the frame.
 */
export async function paintedClip(
  dir: string,
  seconds: number,
  at: (s: number) => readonly [number, number] | undefined,
): Promise<string> {
  const street = await frameOf(dir, 0);
  const person = await painted(street, await frameOf(dir, PERSON.frame));
  const clip = join(dir, 'painted.mkv');
  const { widthPx, heightPx } = SIZE;
  const input = [
    '-f',
    'rawvideo',
    '-pix_fmt',
    'rgb24',
    '-s',
    `${widthPx}x${heightPx}`,
    '-r',
    String(PAINTED_FPS),
  ];
  // Lossless, and a fraction of the work of ffv1.
  const output = ['-pix_fmt', 'yuv420p', '-c:v', 'ffvhuff', '-y', clip];
  const ffmpeg = spawn('ffmpeg', ['-v', 'error', ...input, '-i', '-', ...output], {
    stdio: ['pipe', 'ignore', 'inherit'],
  });
  const exit = once(ffmpeg, 'close');
  for (let frame = 0; frame < seconds * PAINTED_FPS; frame += 1) {
    const rgb = Buffer.from(street.rgb);
    const place = at(frame / PAINTED_FPS);
    if (place !== undefined) overlay(rgb, person, place);
    const clipped = new Uint8ClampedArray(rgb.buffer, rgb.byteOffset, rgb.length);
    for (let i = 0; i < rgb.length; i += 1)
      clipped[i] = (rgb[i] as number) + ((4 * (i + frame)) % (2 * NOISE + 1)) - NOISE;
    if (!ffmpeg.stdin.write(rgb)) await once(ffmpeg.stdin, 'drain');
  }
  ffmpeg.stdin.end();
  const [code] = (await exit) as [number];
  if (code !== 0) throw new Error(`ffmpeg ended with ${code}`);
  return clip;
}

/** Number of painted pixels in a picture: green is far below red and blue. */
export async function paintedPixels(picture: Uint8Array | string): Promise<number> {
  const { data } = await sharp(picture).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  let count = 0;
  for (let i = 0; i < data.length; i += 3) {
    const [red, green, blue] = [data[i] as number, data[i + 1] as number, data[i + 2] as number];
    if (red - green > 60 && blue - green > 60) count += 1;
  }
  return count;
}

async function frameOf(dir: string, frame: number): Promise<Raw> {
  const file = join(dir, `street-${frame}.png`);
  const selection = ['-vf', `select=eq(n\\,${frame})`, '-frames:v', '1'];
  execFileSync('ffmpeg', ['-v', 'error', '-y', '-i', STREET_CLIP, ...selection, file], { stdio: 'inherit' });
  const { data, info } = await sharp(file).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  return { rgb: data, width: info.width, height: info.height };
}

/** The person's own pixels in magenta of the same lightness; transparent where the street is unchanged. */
async function painted(street: Raw, later: Raw): Promise<Buffer> {
  const { left, top, width, height } = PERSON;
  const rgba = Buffer.alloc(width * height * 4);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const at = ((top + y) * later.width + left + x) * 3;
      const differs = [0, 1, 2].some(
        (i) => Math.abs((later.rgb[at + i] as number) - (street.rgb[at + i] as number)) > PERSON_LEVELS,
      );
      const level = 110 + ((later.rgb[at + 1] as number) >> 1);
      rgba.set(differs ? [level, 0, level, 255] : [0, 0, 0, 0], (y * width + x) * 4);
    }
  }
  return rgba;
}

function overlay(rgb: Buffer, person: Buffer, [left, top]: readonly [number, number]): void {
  const { width, height } = PERSON;
  const [x0, y0] = [Math.round(left), Math.round(top)];
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const from = (y * width + x) * 4;
      const [column, row] = [x0 + x, y0 + y];
      const inside = column >= 0 && column < SIZE.widthPx && row >= 0 && row < SIZE.heightPx;
      if (inside && person[from + 3] === 255)
        person.copy(rgb, (row * SIZE.widthPx + column) * 3, from, from + 3);
    }
  }
}
