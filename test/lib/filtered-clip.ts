/** A clip with a fault made by a filter of ffmpeg, or looped, as the frames that vision would analyse. */
import { spawn } from 'node:child_process';
import type { SizePx } from '../../agent/contract/geometry.ts';
import { placementOf } from '../../agent/contract/letterbox.ts';
import type { Frame } from '../../agent/contract/picture.ts';
import { STREET_CLIP } from './paths.ts';

/** Of the street clip. */
const SOURCE = { widthPx: 768, heightPx: 576 };
const INPUT = { widthPx: 416, heightPx: 256 };
const FPS = 5;

export interface ClipOptions {
  readonly clip?: string;
  readonly source?: SizePx;
  /** Plays it again and again for so long. */
  readonly loopS?: number;
}

export async function* filteredClip(
  filter: string,
  { clip = STREET_CLIP, source = SOURCE, loopS }: ClipOptions = {},
): AsyncGenerator<Frame> {
  const { widthPx, heightPx, leftPx, topPx } = placementOf(source, INPUT);
  const { widthPx: width, heightPx: height } = INPUT;
  const letterbox = `fps=${FPS},scale=${widthPx}:${heightPx}:flags=area,pad=${width}:${height}:${leftPx}:${topPx}`;
  const raw = ['-pix_fmt', 'rgb24', '-f', 'rawvideo', '-'];
  const loop = loopS === undefined ? [] : ['-stream_loop', '-1'];
  const length = loopS === undefined ? [] : ['-t', String(loopS)];
  const input = ['-v', 'error', '-threads', '1', ...loop, '-i', clip, ...length];
  const args = [...input, '-vf', `${filter},${letterbox}`, ...raw];
  const child = spawn('ffmpeg', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise<number | null>((resolve, reject) =>
    child.once('error', reject).once('close', resolve),
  );
  const frameBytes = width * height * 3;
  let pending = Buffer.alloc(0);
  let index = 0;
  for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
    pending = Buffer.concat([pending, chunk]);
    for (; pending.length >= frameBytes; pending = pending.subarray(frameBytes)) {
      const atMs = (index * 1000) / FPS;
      index += 1;
      const rgb = new Uint8Array(pending.subarray(0, frameBytes));
      yield { index, ptsNs: 0n, atMs, wallMs: atMs, source, input: INPUT, rgb };
    }
  }
  const code = await ended;
  if (code !== 0) throw new Error(`ffmpeg ended with ${code}`);
}
