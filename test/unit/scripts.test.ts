/** The programs that people run off the box: counting tests, showing alerts, long steps, arguments. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { packageRoot } from '../../agent/base/package-root.ts';
import type { VigieEvent } from '../../agent/contract/event.ts';
import { Tally } from '../../scripts/report-tests/tally.ts';
import { alertLine, isMomentaryEnd, snapshotName } from '../../scripts/room-archive/alert-line.ts';

const scripts = join(packageRoot(), 'scripts');

function tallied(tap: string): { counts: string; failures: string[]; skips: string[] } {
  const tally = new Tally();
  // In small pieces, as a pipe may deliver it.
  for (const piece of tap.match(/.{1,61}/gs) ?? []) tally.write(piece);
  tally.end();
  const { passed, failed, skipped, failures, skips } = tally;
  return { counts: `${passed}/${failed}/${skipped}`, failures: failures.map(({ name }) => name), skips };
}

const file = (name: string, inside: string, closing: string): string =>
  `# Subtest: ${name}\n${inside.replace(/^(?=.)/gm, '    ')}${closing}\n`;

void t.test('assertions are counted, at any depth, once', async (t) => {
  const deep = file('deep', 'ok 1 - x\n1..1\n', 'ok 2 - deep # time=1ms');
  const a = file('a', `ok 1 - one\n${deep}1..2\n`, 'ok 1 - a # time=2ms');
  const whole = `TAP version 14\n1..1\n${file('f.js', `${a}1..1\n`, 'ok 1 - f.js # time=3ms')}`;
  t.strictSame(tallied(whole), { counts: '2/0/0', failures: [], skips: [] });
});

void t.test('what failed, crashed, hung or ran nothing is a failure', async (t) => {
  const failing = file('f.js', 'ok 1 - fine\nnot ok 2 - wrong\n1..2\n', 'not ok 1 - f.js # time=3ms');
  const crashed = file(
    'c.js',
    'ok 1 - before\n',
    'not ok 2 - c.js # time=3ms\n  ---\n  signal: SIGSEGV\n  ...',
  );
  const empty = file('e.js', '1..0 # no tests found\n', 'ok 3 - e.js # SKIP no tests found');
  const exited = file(
    'x.js',
    '1..0 # no tests found\n',
    'not ok 4 - x.js # time=3ms\n  ---\n  exitCode: 3\n  ...',
  );
  const hung = file('h.js', 'not ok 1 - timeout!\n1..1\n', 'not ok 5 - h.js # time=5000ms');
  const again = 'not ok 6 - timeout!\n  ---\n  expired: h.js\n  ...\n';
  const result = tallied(`TAP version 14\n1..6\n${failing}${crashed}${empty}${exited}${hung}${again}`);
  t.strictSame(result, {
    counts: '2/5/0',
    failures: ['f.js > wrong', 'c.js', 'e.js: ran no test', 'x.js', 'h.js > timeout!'],
    skips: [],
  });
});

void t.test('skips are counted and named', async (t) => {
  const some = 'ok 1 - camera # SKIP no camera\nok 2 - fine\nok 3 - later # TODO\n1..3\n';
  const inFile = file('s.js', some, 'ok 1 - s.js # time=1ms');
  const whole = file('w.js', '1..0 # no data\n', 'ok 2 - w.js # SKIP no data');
  t.strictSame(tallied(`TAP version 14\n1..2\n${inFile}${whole}`), {
    counts: '1/0/3',
    failures: [],
    skips: ['s.js > camera: no camera', 's.js > later', 'w.js: no data'],
  });
});

void t.test('a stream that is cut off does not pass', async (t) => {
  t.match(tallied('TAP version 14\n1..3\nok 1 - one\n').counts, /^1\/1\//, 'plan not met');
  t.match(tallied('TAP version 14\nok 1 - one\nBail out! no more\n').counts, /^1\/1\//, 'bail out');
});

const event = (data: object, subject: string): VigieEvent =>
  ({
    id: 'a1b2-7',
    time: '2026-11-24T14:00:05.250Z',
    subject,
    data: {
      phase: 'start',
      severity: 'alert',
      rule: { id: 'r1', kind: 'loitering' },
      objects: [],
      cause: {},
      clock: { synced: true },
      ...data,
    },
  }) as unknown as VigieEvent;
const NOW_MS = Date.parse('2026-11-24T15:00:00.000Z');
const person = { label: 'person', track: 630228974371 };

void t.test('an event is one line for a person', async (t) => {
  const start = event({ objects: [person], cause: { stayedS: 10.2, standingS: 0 } }, 'zone/square');
  t.match(
    alertLine(start, NOW_MS),
    /^\d\d:\d\d:\d\d {2}ALERT {3}loitering: person #4371 in zone square, there for 10.2 s$/,
  );
  const end = event(
    { phase: 'end', objects: [person], cause: { stayedS: 15, standingS: 4.8 } },
    'zone/square',
  );
  t.match(alertLine(end, NOW_MS), /ended {3}loitering: person #4371 in zone square, lasted 4.8 s$/);
  const rule = { id: 'r2', kind: 'line-crossing' };
  const crossing = event(
    { rule, objects: [person], cause: { direction: 'left', standingS: 0 } },
    'line/kerb',
  );
  t.match(alertLine(crossing, NOW_MS), /line-crossing: person #4371 over line kerb, to the left$/);
  const lost = event({ severity: 'system', rule: { id: 'built-in', kind: 'stream-lost' } }, 'camera');
  t.match(alertLine(lost, NOW_MS), /SYSTEM {2}stream-lost: the camera$/);
  const unset = event({ cause: { reason: 'x' }, clock: { synced: false } }, 'zone/square');
  t.match(alertLine(unset, NOW_MS), /zone square, x \(its clock was not synchronised\)$/);
  const ahead = { ...unset, time: '2199-01-01T00:00:00.000Z' };
  t.match(alertLine(ahead, NOW_MS), /^--:--:-- {2}ALERT .* \(its clock says 2199-01-01T00:00:00.000Z\)$/);
  t.equal(isMomentaryEnd(event({ phase: 'end', cause: { standingS: 0 } }, 'line/kerb')), true);
  t.equal(isMomentaryEnd(end), false);
  t.equal(snapshotName(start), '2026-11-24-140005-r1-a1b2-7.jpg');
  t.equal(
    snapshotName({ ...start, id: '../../etc/x' }),
    '2026-11-24-140005-r1-______etc_x.jpg',
    'no way out',
  );
});

void t.test('a long step: its log, its failure, its end on Ctrl-C', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'vigie-steps-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const program = join(dir, 'program');
  writeFileSync(
    program,
    `set -euo pipefail; STEP_LOG=${dir}/log; : >"$STEP_LOG"; source ${scripts}/lib/steps.sh
     step fine 'none' echo hello
     case $1 in
       fail) step wrong 'look it up' bash -c 'echo reason; exit 7' ;;
       hang) step long 'none' bash -c 'echo $$ >${dir}/pid; exec sleep 60' ;;
     esac`,
  );
  const failed = spawnSync('bash', [program, 'fail']);
  t.equal(failed.status, 7, 'the status of the command');
  t.match(
    String(failed.stderr),
    /fine: done in \d+ s\nwrong: FAILED after \d+ s \(status 7\).*reason\nWhat to do: look it up\n$/s,
  );
  t.match(readFileSync(join(dir, 'log'), 'utf8'), /== fine: echo hello\nhello/, 'the log has it all');

  const hanging = spawn('bash', [program, 'hang'], { stdio: ['ignore', 'ignore', 'pipe'], detached: true });
  await once(hanging.stderr, 'data');
  let pid = 0;
  while (pid === 0) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    pid = Number(spawnSync('cat', [join(dir, 'pid')]).stdout);
  }
  hanging.kill('SIGINT');
  const [code] = await once(hanging, 'exit');
  t.equal(code, 130, 'interrupted');
  await new Promise((resolve) => setTimeout(resolve, 200));
  t.throws(() => process.kill(pid, 0), { code: 'ESRCH' }, 'and the command is gone');
});

void t.test('arguments are refused in one line before anything is done', async (t) => {
  const cases: [string, string[], RegExp][] = [
    ['demo', ['--sauce'], /^demo: unknown argument '--sauce' \(see --help\)\n$/],
    ['demo', ['--source', 'camera1'], /^demo: --source takes rtsp:.* not 'camera1' \(see --help\)\n$/],
    ['demo', ['--alerts=0'], /^demo: --alerts takes a number from 1 on, not '0' \(see --help\)\n$/],
    ['test', ['--fast'], /^test: unknown argument --fast \(see --help\)\n$/],
    ['setup', ['--for', 'fun'], /^setup: --for takes demo, test, package or arm64, not 'fun'\n$/],
  ];
  for (const [name, args, said] of cases) {
    const { status, stdout, stderr } = spawnSync(join(scripts, name), args);
    t.equal(status, 2, `${name} ${args.join(' ')}: exit code 2`);
    t.match(`${stdout}${stderr}`, said);
  }
  for (const name of ['demo', 'test', 'setup']) {
    const { status, stdout } = spawnSync(join(scripts, name), ['--help']);
    t.equal(status, 0);
    t.match(String(stdout), /^Usage: \S*scripts\//, `${name} --help`);
  }
});

void t.test('evaluate: a clip that is not there is one line, and exit code 2', async (t) => {
  const program = join(packageRoot(), 'dist/scripts/evaluation/main.js');
  const { status, stderr } = spawnSync(process.execPath, [program, 'bytes', '--clip', '/nonexistent.avi'], {
    encoding: 'utf8',
  });
  t.match(
    { status, stderr },
    { status: 2, stderr: 'evaluate: /nonexistent.avi: no such clip; name another with --clip\n' },
  );
});
