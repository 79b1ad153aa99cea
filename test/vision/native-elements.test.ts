/**
 * Runs the tests of the native elements, which need no Node, under AddressSanitizer and UndefinedBehaviorSanitizer, and
 * loads the library of the elements into GStreamer's own tools.
 */
import { execFile } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { ROOT, scratch } from '../lib/paths.ts';

const run = promisify(execFile);
/** Results are kept: make compiles what has changed since. */
const OUT = join(ROOT, '.cache', 'native-tests');

void t.test('the elements pass their own tests', { timeout: 300_000 }, async (t) => {
  mkdirSync(OUT, { recursive: true });
  const tests = join(ROOT, 'agent/vision/native/test');
  const { stdout } = await run('make', ['-s', '-j2', '-C', tests, `OUT=${OUT}`, 'check'], {
    timeout: 280_000,
  });
  const names = [...stdout.matchAll(/^ok \d+ (.+)$/gm)].map(([, name]) => name);
  t.notMatch(stdout, /^not ok/m);
  t.equal(names.length, 26, names.join(', '));
});

void t.test('GStreamer’s own tools know the elements', async (t) => {
  const env = { ...process.env, GST_PLUGIN_PATH: OUT, GST_REGISTRY: join(scratch(t), 'registry.bin') };
  const inspect = async (element: string): Promise<string> =>
    (await run('gst-inspect-1.0', [element], { env })).stdout;
  const sink = await inspect('picturesink');
  t.match(sink, /Picture sink/);
  t.match(sink, /License\s+Apache 2\.0/);
  t.match(sink, /Number of this sink in the process/);
  const gate = await inspect('packetgate');
  t.match(gate, /Only key frames are wanted/);
  t.match(gate, /SINK template: 'sink'[\s\S]*video\/x-h265/);
  const text =
    'videotestsrc num-buffers=5 ! video/x-raw,format=I420 ! picturesink sync=false wait-on-eos=false';
  await run('gst-launch-1.0', ['-q', ...text.split(' ')], { env });
});
