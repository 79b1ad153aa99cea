/** Makes copies of clips with ffmpeg: in a loop, or through filters. */
import { spawn, spawnSync } from 'node:child_process';
import { extname, join } from 'node:path';
import { AgentError } from '../../../agent/base/errors.ts';

/**
 * Runs ffmpeg on one thread, so that the same input gives the same bytes. Throws AgentError `unavailable` with its last
 * line, or if it is not installed.
 */
export function ffmpeg(args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn('ffmpeg', ['-v', 'error', '-nostdin', '-y', '-threads', '1', ...args], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let stderr = '';
    child.stderr.on('data', (chunk) => {
      stderr = (stderr + String(chunk)).slice(-2000);
    });
    child.once('error', (error) =>
      reject(new AgentError('unavailable', `ffmpeg cannot be run: ${error.message}`, error)),
    );
    child.once('close', (code) => {
      if (code === 0) return resolve();
      reject(new AgentError('unavailable', `ffmpeg ended with ${code}: ${stderr.trim().split('\n').at(-1)}`));
    });
  });
}

/** Repeats the clip for `lengthS` without re-encoding; returns the file in `dir`. */
export async function loopedClip(clip: string, lengthS: number, dir: string): Promise<string> {
  const looped = join(dir, `looped${extname(clip)}`);
  await ffmpeg(['-stream_loop', '-1', '-i', clip, '-t', String(lengthS), '-an', '-c', 'copy', looped]);
  return looped;
}

export interface ClipFacts {
  readonly widthPx: number;
  readonly heightPx: number;
  readonly fps: number;
  readonly lengthS: number;
}

/** Throws AgentError `unavailable` if ffprobe is not installed or the clip lacks metadata. */
export function factsOf(clip: string): ClipFacts {
  const show = ['-select_streams', 'v:0', '-show_entries', 'stream=width,height,r_frame_rate,duration'];
  const { stdout } = spawnSync('ffprobe', ['-v', 'error', ...show, '-of', 'csv=p=0', clip], {
    encoding: 'utf8',
  });
  const [width, height, rate = '', length] = (stdout ?? '').trim().split(',');
  const [frames, perS] = rate.split('/').map(Number);
  const [widthPx, heightPx, lengthS] = [width, height, length].map(Number);
  const fps = Number(frames) / Number(perS);
  const facts = { widthPx: Number(widthPx), heightPx: Number(heightPx), fps, lengthS: Number(lengthS) };
  if (Object.values(facts).every((value) => value > 0)) return facts;
  throw new AgentError('unavailable', `${clip}: ffprobe does not say how large, fast and long it is`);
}
