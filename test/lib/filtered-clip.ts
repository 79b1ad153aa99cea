/** A clip with a fault made by an ffmpeg filter, or looped, as the frames that vision would analyse. */
import { spawn } from 'node:child_process';
import type { SizePx } from '../../agent/contract/geometry.ts';
import { placementOf } from '../../agent/contract/letterbox.ts';
import type { Frame } from '../../agent/contract/picture.ts';
import { STREET_CLIP } from './paths.ts';

/** Size of the street clip. */
const SOURCE = { widthPx: 768, heightPx: 576 };
const INPUT = { widthPx: 416, heightPx: 256 };
export const FILTERED_FPS = 5;

export interface ClipOptions {
  readonly clip?: string;
  readonly source?: SizePx;
  /** Seconds for which the clip is looped. */
  readonly loopS?: number;
  /** Seconds from the clip's start; the whole clip by default. */
  readonly lengthS?: number;
}

export async function* filteredClip(
  filter: string,
  { clip = STREET_CLIP, source = SOURCE, loopS, lengthS = loopS }: ClipOptions = {},
): AsyncGenerator<Frame> {
  const { widthPx, heightPx, leftPx, topPx } = placementOf(source, INPUT);
  const { widthPx: width, heightPx: height } = INPUT;
  const letterbox = `fps=${FILTERED_FPS},scale=${widthPx}:${heightPx}:flags=area,pad=${width}:${height}:${leftPx}:${topPx}`;
  const raw = ['-pix_fmt', 'rgb24', '-f', 'rawvideo', '-'];
  const loop = loopS === undefined ? [] : ['-stream_loop', '-1'];
  const length = lengthS === undefined ? [] : ['-t', String(lengthS)];
  const input = ['-v', 'error', '-threads', '1', ...loop, '-i', clip, ...length];
  const args = [...input, '-vf', `${filter},${letterbox}`, ...raw];
  const child = spawn('ffmpeg', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const exitCode = new Promise<number | null>((resolve, reject) =>
    child.once('error', reject).once('close', resolve),
  );
  const frameBytes = width * height * 3;
  let rgb = new Uint8Array(frameBytes);
  let [index, filled] = [0, 0];
  for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
    for (let from = 0; from < chunk.length; ) {
      const part = chunk.subarray(from, from + frameBytes - filled);
      rgb.set(part, filled);
      filled += part.length;
      from += part.length;
      if (filled < frameBytes) continue;
      const atMs = (index * 1000) / FILTERED_FPS;
      index += 1;
      yield { index, ptsNs: 0n, atMs, wallMs: atMs, source, input: INPUT, rgb };
      rgb = new Uint8Array(frameBytes);
      filled = 0;
    }
  }
  const code = await exitCode;
  if (code !== 0) throw new Error(`ffmpeg ended with ${code}`);
}
