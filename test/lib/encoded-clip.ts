/**
 * A clip made by ffmpeg, cached in `.cache/encoded/`, so that it is encoded once for all runs.
 *
 * INVARIANT: a cached clip belongs to the same arguments, the same content of every file that they name, and the same
 * ffmpeg. A change to any of them has another name.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT, STREET_CLIP } from './paths.ts';

const KEPT_DIR = join(ROOT, '.cache', 'encoded');
let version: string | undefined;

/** Path of the clip that ffmpeg makes with these arguments; `extension` names its container. */
export function encodedClip(args: readonly string[], extension = 'mkv'): string {
  version ??= execFileSync('ffmpeg', ['-version'], { encoding: 'utf8' }).split('\n')[0];
  const hash = createHash('sha256').update(JSON.stringify([version, extension]));
  for (const arg of args) {
    const isFile = statSync(arg, { throwIfNoEntry: false })?.isFile() === true;
    hash.update(isFile ? createHash('sha256').update(readFileSync(arg)).digest() : JSON.stringify(arg));
  }
  const file = join(KEPT_DIR, `${hash.digest('hex').slice(0, 24)}.${extension}`);
  if (existsSync(file)) return file;
  mkdirSync(KEPT_DIR, { recursive: true });
  // Two tests may make the same clip at once, so each moves a complete file into place.
  const newFile = join(KEPT_DIR, `made-by-${process.pid}.${extension}`);
  execFileSync('ffmpeg', ['-v', 'error', '-y', ...args, newFile], { stdio: ['ignore', 2, 2] });
  renameSync(newFile, file);
  return file;
}

/** The street clip at half its size with five frames a second, which is decoded and filtered at a fraction of the cost. */
export function smallStreet(): {
  readonly clip: string;
  readonly source: { widthPx: number; heightPx: number };
} {
  const small = ['-i', STREET_CLIP, '-vf', 'fps=5,scale=384:288:flags=area', '-threads', '1'];
  const clip = encodedClip([...small, '-c:v', 'mpeg4', '-q:v', '1', '-bf', '0'], 'avi');
  return { clip, source: { widthPx: 384, heightPx: 288 } };
}

/**
 * Camera source for a vision that only has to live: small pictures that all differ, for minutes. At one frame a
 * second such a vision takes a tenth of the CPU time that it takes for `test:pattern`.
 */
export function calmSource(fps = 1): string {
  const pictures = ['-f', 'lavfi', '-i', `testsrc2=s=128x96:r=${fps}:d=${fps > 1 ? 120 : 600}`];
  return `file:${encodedClip([...pictures, '-c:v', 'mjpeg', '-q:v', '8'], 'avi')}`;
}

/**
 * The street of the street clip without people or vehicles, for tests that need a camera but not its scene. A detector
 * without objects costs a tenth. The clip has a sensor's noise, or the camera would count as frozen.
 */
export function emptyStreet(): string {
  // In fifteen pictures, five seconds apart, no walker is at the same place in most of them.
  const still = ['-i', STREET_CLIP, '-vf', 'fps=1/5,tmedian=radius=7', '-frames:v', '1'];
  const played = ['-loop', '1', '-framerate', '5', '-i', encodedClip(still, 'png')];
  const coded = [
    '-vf',
    'noise=alls=4:allf=t',
    '-t',
    '40',
    '-pix_fmt',
    'yuv420p',
    '-c:v',
    'mpeg4',
    '-q:v',
    '5',
  ];
  return encodedClip([...played, ...coded], 'avi');
}
