/**
 * Tests that the arm64 package, on an arm64 Debian under qemu-user, raises the alerts of this machine from the same
 * clip, each with a redacted still. An inference takes seconds here.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { buildPackage, unpack } from '../lib/box-package.ts';
import { Container } from '../lib/nspawn.ts';
import { STREET_CLIP, scratch } from '../lib/paths.ts';
import { VIGIE } from '../lib/program.ts';

/** Two frames a second: in the third, a person has crossed the line. */
const FRAMES = 4;
const CONFIG = `site: s
box: b
lines: [{ id: path, from: [0.66, 0.2], to: [0.66, 0.9] }]
rules: [{ id: over, kind: line-crossing, line: path, purpose: test }]
`;

interface Alert {
  readonly type: string;
  readonly data: { phase: string; objects: object[]; evidence?: { snapshot?: object } };
}

const skip = Container.unavailable('arm64');
void t.test('the arm64 package raises the alerts of this machine', { skip }, async (t) => {
  const dir = scratch(t);
  const clip = join(dir, 'clip.avi');
  const everyFifth = "select='lt(mod(n,5),1)',setpts=N/(2*TB)";
  const ffmpeg = [
    '-v',
    'error',
    '-i',
    STREET_CLIP,
    '-vf',
    everyFifth,
    '-r',
    '2',
    '-frames:v',
    String(FRAMES),
  ];
  execFileSync('ffmpeg', [...ffmpeg, '-c:v', 'mjpeg', '-q:v', '3', clip], { stdio: 'pipe' });
  writeFileSync(join(dir, 'box.yaml'), CONFIG);
  const wordsIn = (folder: string): string[] => [
    'replay',
    join(folder, 'clip.avi'),
    '--config',
    join(folder, 'box.yaml'),
    '--out',
    join(folder, 'out'),
  ];
  const alertsOf = (events: string): object[] =>
    events
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Alert)
      .filter(({ data }) => data.phase === 'start')
      .map(({ type, data }) => ({
        type,
        objects: data.objects.length,
        still: data.evidence?.snapshot !== undefined,
      }));

  const container = new Container(t, 'arm64');
  unpack(container, buildPackage('arm64'));
  t.equal(container.run('uname', '-m').out.trim(), 'aarch64', 'on another machine than this (control)');
  // Not in /tmp, which is the container's own.
  const inside = '/root';
  container.write(join(inside, 'clip.avi'), readFileSync(clip));
  container.write(join(inside, 'box.yaml'), CONFIG);
  // Only the box's package is unpacked: the root package, which is not, brings /usr/bin/vigie.
  const emulated = container.run('/usr/lib/vigie/current/dist/agent/cli/main.js', ...wordsIn(inside));
  t.equal(emulated.status, 0, emulated.status === 0 ? 'a clip is replayed' : emulated.err.slice(-2000));

  execFileSync(process.execPath, [VIGIE, ...wordsIn(dir)], { stdio: 'pipe' });
  const expected = alertsOf(readFileSync(join(dir, 'out/events.jsonl'), 'utf8'));
  t.match(expected[0], { type: 'vigie.line-crossing.v1', still: true }, 'an alert (control)');
  t.strictSame(alertsOf(container.read(join(inside, 'out/events.jsonl'))), expected);
});
