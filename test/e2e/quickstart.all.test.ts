/**
 * Tests the quick start as a newcomer types it: its commands in order, in one shell, with real openssl and Mosquitto.
 * Some words are replaced, and each must be present: the ports, the home folder, the replayed clip, and two programs.
 * Those of room and authority are the built ones, without set-up. The archive ends when it has shown an alert.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { freePort } from '../../scripts/lib/mosquitto.ts';
import { bundled } from '../lib/bundled.ts';
import { ROOT, STREET_CLIP, scratch } from '../lib/paths.ts';
import { roomProgram } from '../lib/program.ts';

const GUIDE = join(ROOT, 'docs/guide/quickstart.md');
const ROOM_PROGRAM = roomProgram('archive');
const OVERSIGHT_PROGRAM = bundled('scripts/products/oversight');
const ENROL_PROGRAM = roomProgram('enrol');

/** Length of the clip that is replayed. */
const REPLAYED_S = 10;

/** Definitions that the shell has before the guide's first line. */
const PREAMBLE = `
set -Eeuo pipefail
trap 'echo "FAILED: $BASH_COMMAND" >&2' ERR
room_program() {
  node '${ROOM_PROGRAM}' "$@" >room/shown.txt &
  local room=$! tenths
  for ((tenths = 0; tenths < 1200; tenths++)); do
    ! grep -q ALERT room/shown.txt || break
    kill -0 "$room" || return 1
    sleep 0.1
  done
  kill -INT "$room"
  wait "$room"
  cat room/shown.txt
}
`;

/** The commands of sections 3 to 7. */
function guideCommands(): string[] {
  const guide = readFileSync(GUIDE, 'utf8');
  const part = /^## 3\. .*?(?=^## 8\. )/ms.exec(guide)?.[0] ?? '';
  return [...part.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block]) => String(block));
}

t.setTimeout(400_000);

const skip = existsSync(STREET_CLIP) ? false : 'no street clip (scripts/setup)';

void t.test('the quick start works as written', { skip }, async (t) => {
  const blocks = guideCommands();
  t.ok(blocks.length >= 12, `${blocks.length} blocks`);
  const [port, programsPort, archivePort] = [await freePort(), await freePort(), await freePort()];
  let script = blocks.join('\n');
  for (const [written, replacement] of [
    ['mqtts://localhost:8883', `mqtts://localhost:${port}`],
    ['mqtts://localhost:8885', `mqtts://localhost:${archivePort}`],
    ['"$VIGIE/scripts/room" enrol ', `node '${ENROL_PROGRAM}' `],
    ['"$VIGIE/scripts/room" ', 'room_program '],
    ['"$VIGIE/scripts/oversight" ', `node '${OVERSIGHT_PROGRAM}' `],
    ['vigie replay "$VIGIE/.cache/vtest.avi"', 'vigie replay short.avi'],
    // The doctor's findings on this machine's clock and disk do not matter to the guide.
    ['--state box/state\n', '--state box/state || doctor=$?\n'],
  ] as const) {
    t.ok(script.includes(written), `the guide says ${written.trim()}`);
    script = script.replaceAll(written, replacement);
  }
  // The broker uses the shipped file, which contains its port.
  const started = 'echo "user $(id -un)"';
  t.ok(script.includes(started), 'the guide finishes the broker’s configuration');
  script = script.replace(
    started,
    `sed -i -e 's/^listener 8883/listener ${port} 127.0.0.1/' -e 's/^listener 8884/listener ${programsPort} 127.0.0.1/' -e 's/^listener 8885/listener ${archivePort} 127.0.0.1/' room/mosquitto.conf\n${started}`,
  );

  const home = scratch(t);
  mkdirSync(join(home, 'tmp'));
  mkdirSync(join(home, 'street'));
  // The first events are in these seconds, and the detector looks at every frame of a replay.
  const shortClip = join(home, 'street/short.avi');
  const ffmpegArgs = ['-v', 'error', '-i', STREET_CLIP, '-t', String(REPLAYED_S), '-c', 'copy', shortClip];
  execFileSync('ffmpeg', ffmpegArgs, { stdio: 'pipe' });
  // The PATH of a user who is not root: without sbin.
  const child = spawn('bash', ['-c', `${PREAMBLE}${script}\nwait\necho ended`], {
    cwd: ROOT,
    env: { HOME: home, PATH: '/usr/local/bin:/usr/bin:/bin', LANG: 'C.UTF-8', TMPDIR: join(home, 'tmp') },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  t.teardown(() => {
    if (child.exitCode === null && child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  });
  let [out, err] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    err += chunk.toString();
  });
  const [code] = (await once(child, 'close')) as [number | null];
  t.equal(code, 0, `every command did what it says${code === 0 ? '' : `:\n${out}\n${err}`}`);

  const street = join(home, 'street');
  t.match(
    out,
    /box\/vigie\.yaml: ok: 1 zone, 1 line, 1 mask, 2 rules\n(.*\n)*? +use +`vigie replay` only: no mqtt/,
  );
  t.match(out, /"specversion":"1\.0"/, 'the replay has found something');
  t.match(`${out}${err}`, /self-signature verify OK/, 'the request is checked');
  t.match(out, / use +`vigie run` and `vigie replay`/);
  for (const rule of ['coming-in', 'waiting'])
    t.match(out, new RegExp(` ${rule}: covered: none: a trial, until 20`));
  t.match(out, /^✓ broker +mqtts:/m, 'doctor reaches the broker with the box’s certificate');
  const failures = out.match(/^✗ +\S+/gm) ?? [];
  t.same(
    failures.filter((line) => !/clock|disk/.test(line)),
    [],
    'and finds nothing to fix',
  );
  t.match(out, /ALERT {3}.*\[my-town\/box-1\] .*\n(.*\n)*Ended: /, 'the room has shown an alert');
  t.match(out, /ended\n$/, 'agent and broker end on request');
  t.ok(readdirSync(join(street, 'room/snapshots')).length > 0, 'with its still');
  t.equal(statSync(join(street, 'box/box.key')).mode & 0o777, 0o600);
  t.notOk(existsSync(join(street, 'room/box.key')), 'the box’s key has not left it');
});
