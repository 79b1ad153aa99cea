/**
 * The street of the street clip without people or vehicles, for tests that need a camera but not its scene. A detector
 * without objects costs a tenth. The clip has a sensor's noise, or the camera would count as frozen.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { sha256Of } from '../../agent/base/sha256.ts';
import { ROOT, STREET_CLIP } from './paths.ts';

/** Median filter: in fifteen pictures, five seconds apart, no walker is at the same place in most of them. */
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
  // Two tests may make it at once, so each moves a complete file into place.
  const [picture, newClip] = ['png', 'avi'].map((kind) => `${clip}.${process.pid}.${kind}`) as [
    string,
    string,
  ];
  ffmpeg(['-i', STREET_CLIP, '-vf', EMPTY, '-frames:v', '1', picture]);
  ffmpeg([...PLAYED, '-i', picture, '-vf', NOISE, ...CODED, newClip]);
  rmSync(picture);
  renameSync(newClip, clip);
  return clip;
}

function ffmpeg(args: readonly string[]): void {
  execFileSync('ffmpeg', ['-v', 'error', '-y', ...args], { stdio: ['ignore', 'ignore', 'inherit'] });
}
