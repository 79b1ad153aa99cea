/**
 * Process that opens a clip repeatedly, as a live camera does: `CLIP OPENINGS WARMUP READS`. Prints one line of JSON:
 * the memory leaked by each opening after the warm-up, and by each reading of a property.
 */
import { systemClock } from '../../agent/base/clock.ts';
import { AgentError } from '../../agent/base/errors.ts';
import type { Camera } from '../../agent/vision/camera/camera.ts';
import { NativePipeline } from '../../agent/vision/native/gstreamer.ts';
import { cameraOf } from './camera.ts';

interface MemoryUse {
  readonly rss: number;
  readonly heap: number;
}

/** Bytes that each opening, or reading, leaks. */
export interface LeftBehind {
  readonly opening: MemoryUse;
  readonly reading: MemoryUse;
}

const [clip = '', openings, warmup, reads] = process.argv.slice(2);

function memoryUse(): MemoryUse {
  const { gc } = globalThis;
  if (gc === undefined) throw new AgentError('bug', 'the reopener needs --expose-gc');
  gc();
  gc();
  const { rss, heapUsed } = process.memoryUsage();
  return { rss, heap: heapUsed };
}

function growth(before: MemoryUse, after: MemoryUse, times: number): MemoryUse {
  return { rss: (after.rss - before.rss) / times, heap: (after.heap - before.heap) / times };
}

async function reopen(camera: Camera, times: number): Promise<void> {
  let lastNs = -1n;
  for (let count = 0; count < times; ) {
    const frame = await camera.next();
    if (frame === null) throw new AgentError('bug', 'a live camera ended');
    if (frame.ptsNs <= lastNs) count += 1;
    lastNs = frame.ptsNs;
  }
}

async function ofOpening(): Promise<MemoryUse> {
  const input = { widthPx: 64, heightPx: 64 };
  const camera = cameraOf({ source: `file:${clip}`, fps: null, input, mode: 'live' });
  await camera.start();
  await reopen(camera, Number(warmup));
  const before = memoryUse();
  await reopen(camera, Number(openings));
  const grown = growth(before, memoryUse(), Number(openings));
  await camera.stop();
  return grown;
}

/** Measures a 64-bit counter, of which the camera reads two for each frame. */
async function ofReading(): Promise<MemoryUse> {
  const pipeline = new NativePipeline('videorate name=rate ! fakesink', systemClock);
  const read = (times: number): void => {
    for (let i = 0; i < times; i += 1) pipeline.get('rate', 'in');
  };
  read(Number(reads) / 10);
  const before = memoryUse();
  read(Number(reads));
  const grown = growth(before, memoryUse(), Number(reads));
  await pipeline.dispose();
  return grown;
}

const leaks: LeftBehind = { reading: await ofReading(), opening: await ofOpening() };
process.stdout.write(`${JSON.stringify(leaks)}\n`);
