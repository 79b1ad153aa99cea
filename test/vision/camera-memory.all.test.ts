/** Proves that a camera that runs for months leaks nothing for each opening and nothing for each frame. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
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
