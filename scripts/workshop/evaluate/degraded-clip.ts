/** Makes copies of clips through a degradation, cached in .cache/conditions. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { basename, extname, join } from 'node:path';
import { packageRoot } from '../../../agent/base/package-root.ts';
import { type Degradation, encoderOf, filterGraph } from './degradations.ts';
import { factsOf, ffmpeg } from './ffmpeg.ts';

export interface DegradedClipOptions {
  /** Frames a second of the copy; by default the clip's own rate. */
  readonly fps?: number;
  /** Length for which the clip is repeated, s. */
  readonly loopS?: number;
}

/** Returns the path of the copy. Throws AgentError `unavailable` if ffmpeg is missing or fails. */
export async function degradedClip(
  clip: string,
  one: Degradation,
  { fps, loopS }: DegradedClipOptions = {},
): Promise<string> {
  const facts = factsOf(clip);
  const rate = fps ?? facts.fps;
  const graph = filterGraph(one, { ...facts, fps: rate });
  const encoder = encoderOf(one, rate);
  const hash = createHash('sha256')
    .update(JSON.stringify([graph, encoder, loopS ?? null]))
    .update(readFileSync(clip))
    .digest('hex');
  const dir = join(packageRoot(), '.cache', 'conditions');
  const name = `${basename(clip, extname(clip))}-${one.name}-${hash.slice(0, 12)}`;
  const file = join(dir, `${name}.mp4`);
  if (existsSync(file)) return file;
  mkdirSync(dir, { recursive: true });
  const [before, after] =
    loopS === undefined
      ? [[], []]
      : [
          ['-stream_loop', '-1'],
          ['-t', String(loopS)],
        ];
  const part = join(dir, `${name}.${process.pid}.part.mp4`);
  await ffmpeg([...before, '-i', clip, ...after, '-an', '-vf', graph, ...encoder, part]);
  renameSync(part, file);
  return file;
}
