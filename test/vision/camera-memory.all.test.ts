/** Proves that a camera that runs for months leaks nothing, and that a source faster than its sink blocks no opening. */
import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { fakeElement, noCompiler } from '../lib/inference-element.ts';
import { scratch } from '../lib/paths.ts';
import { start } from '../lib/program.ts';
import type { LeftBehind } from '../lib/reopener.ts';

const REOPENER = fileURLToPath(new URL('../lib/reopener.js', import.meta.url));
const [WARMUP, OPENINGS, READS] = [80, 200, 300_000];

void t.test('openings and frames leave no memory behind', async (t) => {
  const clip = join(scratch(t), 'one.avi');
  const text = `videotestsrc num-buffers=2 ! video/x-raw,width=64,height=64,framerate=100/1 ! avimux ! filesink location=${clip}`;
  execFileSync('gst-launch-1.0', ['-q', ...text.split(' ')], { stdio: 'ignore' });
  const program = start(t, 'env', [
    ...[
      'MALLOC_ARENA_MAX=1',
      'UV_THREADPOOL_SIZE=16',
      process.execPath,
      '--expose-gc',
      '--max-semi-space-size=2',
    ],
    ...[REOPENER, clip, String(OPENINGS), String(WARMUP), String(READS)],
  ]);
  t.equal(await program.exit, 0, program.err);
  const { opening, reading } = JSON.parse(program.out) as LeftBehind;
  t.comment(program.out);
  t.ok(opening.heap < 2000, `${opening.heap.toFixed(0)} bytes of V8's heap an opening`);
  t.ok(opening.rss < 20_000, `${opening.rss.toFixed(0)} bytes of resident memory an opening`);
  t.ok(reading.rss < 10, `${reading.rss.toFixed(1)} bytes of resident memory a reading`);
});

const OPENER = fileURLToPath(new URL('../lib/opener.js', import.meta.url));
const SLOW_OPENINGS = 5;
/** Each opening takes 0.1 s. A blocked one never ends, nor does its process. */
const LIMIT_MS = 60_000;

/** Numbers of pictures, one for each opening, while the sink pauses on its way to PLAYING. */
function picturesOf(mode: 'live' | 'replay'): number[] {
  const env = { ...process.env, ...fakeElement(), GST_TRACERS: 'slowsink' };
  const run = spawnSync(process.execPath, [OPENER, mode, String(SLOW_OPENINGS)], {
    env,
    timeout: LIMIT_MS,
    killSignal: 'SIGKILL',
    encoding: 'utf8',
  });
  if (run.stderr !== '') throw new Error(run.stderr);
  return run.stdout.split('\n').filter(Boolean).map(Number);
}

t.test('a sink that is filled before it plays blocks nothing', { skip: noCompiler }, async (t) => {
  await t.test('a replay gets every picture', async (t) => {
    t.strictSame(picturesOf('replay'), Array(SLOW_OPENINGS).fill(8));
  });
  await t.test('a live camera gets at least the last one', async (t) => {
    const pictures = picturesOf('live');
    t.equal(pictures.length, SLOW_OPENINGS);
    t.ok(
      pictures.every((count) => count >= 1 && count <= 8),
      pictures.join(),
    );
  });
});
