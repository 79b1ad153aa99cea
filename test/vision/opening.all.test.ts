/** Tests that a source that is faster than its sink does not block the opening of a pipeline. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { fakeElement, noCompiler } from '../lib/inference-element.ts';

const OPENER = fileURLToPath(new URL('../lib/opener.js', import.meta.url));
const OPENINGS = 5;
/** Each opening takes 0.1 s. A blocked one never ends, nor does its process. */
const LIMIT_MS = 60_000;

/** Numbers of pictures, one for each opening, while the sink pauses on its way to PLAYING. */
function picturesOf(mode: 'live' | 'replay'): number[] {
  const env = { ...process.env, ...fakeElement(), GST_TRACERS: 'slowsink' };
  const run = spawnSync(process.execPath, [OPENER, mode, String(OPENINGS)], {
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
    t.strictSame(picturesOf('replay'), Array(OPENINGS).fill(8));
  });
  await t.test('a live camera gets at least the last one', async (t) => {
    const pictures = picturesOf('live');
    t.equal(pictures.length, OPENINGS);
    t.ok(
      pictures.every((count) => count >= 1 && count <= 8),
      pictures.join(),
    );
  });
});
