/**
 * The street of the street clip with nobody in it, for tests that need a camera and not what it sees: a detector that has nothing
 * to look at costs a tenth. With a sensor's noise, or the camera would count as frozen.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { sha256Of } from '../../agent/base/sha256.ts';
import { ROOT, STREET_CLIP } from './paths.ts';

/** Who walks is nowhere in the middle one of fifteen pictures, five seconds apart. */
const EMPTY = 'fps=1/5,tmedian=radius=7';
const NOISE = 'noise=alls=4:allf=t';
const PLAYED = ['-loop', '1', '-framerate', '5'];
const CODED = ['-t', '40', '-pix_fmt', 'yuv420p', '-c:v', 'mpeg4', '-q:v', '5'];

/** Path of the clip, 768 x 576 at 5 frames a second; made once for all tests. */
export function emptyStreet(): string {
  const recipe = JSON.stringify([EMPTY, NOISE, PLAYED, CODED]);
  const clip = join(ROOT, '.cache', `empty-street-${sha256Of(recipe).slice(0, 12)}.avi`);
  if (existsSync(clip)) return clip;
  mkdirSync(dirname(clip), { recursive: true });
  // Two tests may make it at once: each moves a whole file into its place.
  const [picture, fresh] = ['png', 'avi'].map((kind) => `${clip}.${process.pid}.${kind}`) as [string, string];
  ffmpeg(['-i', STREET_CLIP, '-vf', EMPTY, '-frames:v', '1', picture]);
  ffmpeg([...PLAYED, '-i', picture, '-vf', NOISE, ...CODED, fresh]);
  rmSync(picture);
  renameSync(fresh, clip);
  return clip;
}

function ffmpeg(args: readonly string[]): void {
  execFileSync('ffmpeg', ['-v', 'error', '-y', ...args], { stdio: ['ignore', 'ignore', 'inherit'] });
}
