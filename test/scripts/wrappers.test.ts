/** Tests the programs that people run off the box: test counts, alerts on a terminal, long steps, and arguments. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { VigieEvent } from '../../agent/contract/event.ts';
import { alertLine, isMomentaryEnd, snapshotName } from '../../scripts/programs/room/archive/alert-line.ts';
import { Tally } from '../../scripts/programs/test/tally.ts';
import { ROOT, scratch } from '../lib/paths.ts';
import { start } from '../lib/program.ts';
import { WarmProgram } from '../lib/warm-program.ts';

const scripts = join(ROOT, 'scripts');

function tallyOf(tap: string): { counts: string; failures: string[]; skips: string[] } {
  const tally = new Tally();
  // In small pieces, as a pipe may deliver it.
  for (const piece of tap.match(/.{1,61}/gs) ?? []) tally.write(piece);
  tally.end();
  const { passed, failed, skipped, failures, skips } = tally;
  return { counts: `${passed}/${failed}/${skipped}`, failures: failures.map(({ name }) => name), skips };
}

const file = (name: string, inside: string, closing: string): string =>
  `# Subtest: ${name}\n${inside.replace(/^(?=.)/gm, '    ')}${closing}\n`;

void t.test('assertions are counted once, at any depth', async (t) => {
  const deep = file('deep', 'ok 1 - x\n1..1\n', 'ok 2 - deep # time=1ms');
  const a = file('a', `ok 1 - one\n${deep}1..2\n`, 'ok 1 - a # time=2ms');
  const tapText = `TAP version 14\n1..1\n${file('f.js', `${a}1..1\n`, 'ok 1 - f.js # time=3ms')}`;
  t.strictSame(tallyOf(tapText), { counts: '2/0/0', failures: [], skips: [] });
});

void t.test('a file that failed, crashed, hung or ran no test is a failure', async (t) => {
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
  const timeout = 'not ok 6 - timeout!\n  ---\n  expired: h.js\n  ...\n';
  const result = tallyOf(`TAP version 14\n1..6\n${failing}${crashed}${empty}${exited}${hung}${timeout}`);
  t.strictSame(result, {
    counts: '2/5/0',
    failures: ['f.js > wrong', 'c.js', 'e.js: ran no test', 'x.js', 'h.js > timeout!'],
    skips: [],
  });
});

void t.test('skips are counted and named', async (t) => {
  const skipLines = 'ok 1 - camera # SKIP no camera\nok 2 - fine\nok 3 - later # TODO\n1..3\n';
  const inFile = file('s.js', skipLines, 'ok 1 - s.js # time=1ms');
  const skippedFile = file('w.js', '1..0 # no data\n', 'ok 2 - w.js # SKIP no data');
  t.strictSame(tallyOf(`TAP version 14\n1..2\n${inFile}${skippedFile}`), {
    counts: '1/0/3',
    failures: [],
    skips: ['s.js > camera: no camera', 's.js > later', 'w.js: no data'],
  });
});

void t.test('a stream that is cut off does not pass', async (t) => {
  t.match(tallyOf('TAP version 14\n1..3\nok 1 - one\n').counts, /^1\/1\//, 'plan not met');
  t.match(tallyOf('TAP version 14\nok 1 - one\nBail out! no more\n').counts, /^1\/1\//, 'bail out');
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
      clock: { synced: true, timeZone: 'Europe/Paris' },
      ...data,
    },
  }) as unknown as VigieEvent;
const NOW_MS = Date.parse('2026-11-24T15:00:00.000Z');
const person = { label: 'person', track: 630228974371 };

void t.test('an event is one line for a person', async (t) => {
  const start = event({ objects: [person], cause: { dwellS: 10.2, durationS: 0 } }, 'zone/square');
  t.match(
    alertLine(start, NOW_MS),
    /^15:00:05 CET {2}ALERT {3}loitering: person #4371 in zone square, there for 10.2 s$/,
  );
  const end = event(
    { phase: 'end', objects: [person], cause: { dwellS: 15, durationS: 4.8 } },
    'zone/square',
  );
  t.match(alertLine(end, NOW_MS), /ended {3}loitering: person #4371 in zone square, lasted 4.8 s$/);
  const rule = { id: 'r2', kind: 'line-crossing' };
  const crossing = event(
    { rule, objects: [person], cause: { direction: 'left', durationS: 0 } },
    'line/kerb',
  );
  t.match(alertLine(crossing, NOW_MS), /line-crossing: person #4371 over line kerb, to the left$/);
  const lostEvent = event({ severity: 'system', rule: { id: 'built-in', kind: 'stream-lost' } }, 'camera');
  t.match(alertLine(lostEvent, NOW_MS), /SYSTEM {2}stream-lost: the camera$/);
  const unset = event(
    { cause: { reason: 'x' }, clock: { synced: false, timeZone: 'Europe/Paris' } },
    'zone/square',
  );
  t.match(alertLine(unset, NOW_MS), /zone square, x \(its clock was not synchronised\)$/);
  t.match(alertLine(unset, NOW_MS, true), /zone square, x$/, 'told elsewhere');
  const futureEvent = { ...unset, time: '2199-01-01T00:00:00.000Z' };
  t.match(
    alertLine(futureEvent, NOW_MS),
    /^--:--:-- {2}ALERT .* \(its clock says 2199-01-01T00:00:00.000Z\)$/,
  );
  t.equal(isMomentaryEnd(event({ phase: 'end', cause: { durationS: 0 } }, 'line/kerb')), true);
  t.equal(isMomentaryEnd(end), false);
  t.equal(snapshotName(start), '2026-11-24-140005-r1-a1b2-7.jpg');
  t.equal(
    snapshotName({ ...start, id: '../../etc/x' }),
    '2026-11-24-140005-r1-______etc_x.jpg',
    'no way out',
  );
});

void t.test('a long step shows its log and its failure, and ends on Ctrl-C', async (t) => {
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

/** Programs in scripts/ that a person runs. */
const WRAPPERS = readdirSync(scripts, { withFileTypes: true })
  .filter((entry) => entry.isFile() && (statSync(join(scripts, entry.name)).mode & 0o111) !== 0)
  .map(({ name }) => name);

/** A PATH on which every installer fails, and a function that returns the attempts. */
function noInstallation(t: Test): { PATH: string; attempts: () => string } {
  const dir = scratch(t);
  const record = join(dir, 'tried');
  for (const name of ['apt-get', 'apt', 'npm', 'npx', 'node', 'sudo', 'dpkg-query', 'mmdebstrap']) {
    writeFileSync(join(dir, name), `#!/bin/sh\necho "${name} $*" >>${record}\nexit 1\n`, { mode: 0o755 });
  }
  return {
    PATH: `${dir}:/usr/bin:/bin`,
    attempts: () => (existsSync(record) ? readFileSync(record, 'utf8') : ''),
  };
}

/** Makes a checkout whose set-up prints its arguments and a final line. */
function checkout(t: Test, setUp: string): string {
  const dir = scratch(t);
  cpSync(scripts, join(dir, 'scripts'), { recursive: true });
  for (const name of ['dist', 'package.json']) symlinkSync(join(ROOT, name), join(dir, name));
  writeFileSync(join(dir, 'scripts/setup'), setUp);
  return dir;
}

void t.test('programs of the shell answer help and unknown arguments without a set-up', async (t) => {
  const { PATH, attempts } = noInstallation(t);
  const call = (name: string, ...args: string[]) => {
    const beganMs = performance.now();
    const { status, stdout, stderr } = spawnSync(join(scripts, name), args, {
      encoding: 'utf8',
      timeout: 20_000,
      env: { PATH },
    });
    return { status, stdout, stderr, tookMs: performance.now() - beganMs };
  };
  for (const name of ['demo', 'media-tree', 'package', 'setup', 'test']) {
    for (const option of ['--help', '-h']) {
      const help = call(name, option);
      t.match(help, { status: 0, stdout: /^Usage: (?:\.\/)?scripts\//, stderr: '' }, `${name} ${option}`);
      t.ok(help.tookMs < 2000, `${name} ${option}: ${help.tookMs.toFixed(0)} ms`);
    }
    const stray = call(name, '--no-such-thing');
    const errorText = `${name}: unknown argument '--no-such-thing' (see --help)\n`;
    t.match(stray, { status: 2, stdout: '', stderr: errorText }, `${name}: one line`);
    t.equal(attempts(), '', `${name}: nothing was called that installs or builds`);
  }
  const cases: [string, string[], RegExp][] = [
    ['demo', ['--source', 'camera1'], /^demo: --source takes rtsp:.* not 'camera1' \(see --help\)\n$/],
    ['demo', ['--alerts=0'], /^demo: --alerts takes a number from 1 on, not '0' \(see --help\)\n$/],
    ['test', ['--quick', '--full'], /^test: one of --quick, --all and --full at a time \(see --help\)\n$/],
    [
      'setup',
      ['--for', 'fun'],
      /^setup: --for takes demo, test, all, full, package, flash, arm64 or peer, not 'fun'\n$/,
    ],
    ['package', ['--seq', 'x'], /^package: --seq takes a number from 1 on, not 'x'\n$/],
    ['package', ['--release-tree', '/x'], /^package: --release-tree takes one --arch\n$/],
    ['package', ['--release-tree', '/', '--arch', 'amd64'], /^package: \/ is there already\n$/],
    ['model', [], /^model: name one of build, import \(see --help\)\n$/],
    ['model', ['colours'], /^model: unknown argument 'colours' \(see --help\)\n$/],
  ];
  for (const [name, args, errorText] of cases) {
    t.match(call(name, ...args), { status: 2, stdout: '', stderr: errorText }, `${name} ${args.join(' ')}`);
  }
  t.match(call('model', '--help'), { status: 0, stdout: /^Usage: scripts\/model/, stderr: '' });
  t.equal(attempts(), '');
  call('soak', '--hours', '0.5', '--json');
  t.match(attempts(), /dpkg-query|apt-get/, 'the others go to the set-up (control)');
});

void t.test('all other programs set the checkout up and pass on the arguments', async (t) => {
  const dir = checkout(t, `#!/bin/sh\necho "set up $*" >&2\n`);
  const call = (name: string, ...args: string[]) => {
    const { status, stdout, stderr } = spawnSync(join(dir, 'scripts', name), args, { encoding: 'utf8' });
    return { status, stdout, stderr: stderr.replace(/^set up --for [a-z]+\n/, 'SET UP ') };
  };
  const names = ['fleet', 'bench', 'room', 'evaluate', 'flash', 'soak'];
  for (const name of names) {
    t.match(call(name, '--help'), { status: 0, stdout: new RegExp(`^Usage: scripts/${name}`) }, name);
    const needed = name === 'room' ? ['--broker', 'mqtts://room.example'] : [];
    const stray = call(name, ...needed, '--no-such-thing');
    const errorText = `SET UP ${name}: unknown option '--no-such-thing'\n`;
    t.match(stray, { status: 2, stdout: '', stderr: errorText }, `${name}: one line`);
  }
  // Each wrapper is proven above; the following cases are the programs' own.
  const programs = new Map(
    ['bench', 'soak', 'evaluate', 'fleet'].map((name) => [name, new WarmProgram(`scripts/programs/${name}`)]),
  );
  const answer = async (name: string, args: readonly string[]) => {
    const output = await programs.get(name)?.run(args);
    return { status: output?.code, stdout: output?.out, stderr: output?.err };
  };
  const cases: [string, string[], RegExp][] = [
    ['bench', ['--passes', '2', 'more'], /^bench: (?:too many arguments|unknown command)[^\n]*\n$/],
    ['bench', ['--passes'], /^bench: option '--passes <n>' argument missing\n$/],
    ['soak', ['--hours=1', '--colour'], /^soak: unknown option '--colour'\n$/],
    ['evaluate', [], /Commands:\n {2}detector /],
    ['evaluate', ['colours'], /^evaluate: unknown command 'colours'\n$/],
    ['fleet', ['release'], /Commands:\n {2}keygen /],
    ['fleet', ['release', 'sign', 'a', 'b', '--key', 'k'], /^fleet: too many arguments[^\n]*\n$/],
    ['fleet', ['release', 'sign', 'a', '--key'], /^fleet: option '--key <file>' argument missing\n$/],
  ];
  for (const [name, args, errorText] of cases) {
    const outcome = await answer(name, args);
    t.match(outcome, { status: 2, stdout: '', stderr: errorText }, `${name} ${args.join(' ')}`);
  }
  for (const [name, path] of [
    ['evaluate', ['bytes']],
    ['fleet', ['release', 'make']],
  ] as const) {
    const { stdout } = await answer(name, [...path, '--help']);
    t.match(stdout, new RegExp(`^Usage: scripts/${name} ${path.join(' ')} `), 'each command has its help');
  }
  for (const path of ['enrol serve', 'search', 'tracks', 'unseal']) {
    const { stdout } = call('room', ...path.split(' '), '--help');
    t.match(stdout, new RegExp(`^Usage: scripts/room ${path} `), 'each program of the room is started');
  }
});

void t.test('a program that is ended during set-up ends the set-up too', async (t) => {
  const setUp = /^[^#]*\bset_up /m;
  const names = WRAPPERS.filter((name) => setUp.test(readFileSync(join(scripts, name), 'utf8')));
  t.match(names.sort(), [
    'bench',
    'demo',
    'evaluate',
    'flash',
    'fleet',
    'oversight',
    'package',
    'room',
    'soak',
    'test',
  ]);
  for (const name of WRAPPERS) {
    const called = /scripts\/setup"? --for/.test(readFileSync(join(scripts, name), 'utf8'));
    t.equal(called, false, `${name}: calls the set-up by set_up only`);
  }
  await Promise.all(names.map((name) => endedInSetUp(t, name)));
});

/** Ends `name` with TERM in a checkout whose set-up is one long step of a command that ignores TERM. */
async function endedInSetUp(t: Test, name: string): Promise<void> {
  const pidFile = join(scratch(t), 'pid');
  const dir = checkout(
    t,
    `#!/bin/bash
set -euo pipefail; STEP_LOG=${pidFile}.log; : >"$STEP_LOG"; source ${scripts}/lib/steps.sh
step long none bash -c 'trap "" TERM; echo $$ >${pidFile}.new; mv ${pidFile}.new ${pidFile}; while :; do sleep 1; done'
`,
  );
  const program = start(t, join(dir, 'scripts', name), []);
  const wait = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 50));
  while (!existsSync(pidFile)) {
    if (program.code !== undefined) throw new Error(`${name} ended: ${program.err}`);
    await wait();
  }
  const pid = Number(readFileSync(pidFile, 'utf8'));
  const isThere = (): boolean => existsSync(`/proc/${pid}`);
  const beganMs = performance.now();
  program.child.kill('SIGTERM');
  while ((isThere() || program.code === undefined) && performance.now() - beganMs < 30_000) await wait();
  const tookMs = performance.now() - beganMs;
  t.notOk(isThere(), `${name}: the step has ended`);
  t.ok(tookMs < 20_000, `${name}: within ${tookMs.toFixed(0)} ms`);
  if (isThere()) process.kill(pid, 'SIGKILL');
}

void t.test('an evaluation of a clip that does not exist is one line and exit code 2', async (t) => {
  const program = join(ROOT, 'dist/scripts/programs/evaluate/main.js');
  const { status, stderr } = spawnSync(process.execPath, [program, 'bytes', '--clip', '/nonexistent.avi'], {
    encoding: 'utf8',
  });
  t.match(
    { status, stderr },
    { status: 2, stderr: 'evaluate: /nonexistent.avi: no such clip; name another with --clip\n' },
  );
});

/** Removes the variables that an npm running the tests passes on. */
function withoutNpmVariables(...command: string[]): string[] {
  return ['env', '-i', `PATH=${process.env['PATH']}`, `HOME=${process.env['HOME']}`, ...command];
}

void t.test('npm prints nothing about the project’s settings', async (t) => {
  const [program = '', ...args] = withoutNpmVariables('npm', 'config', 'get', 'fund');
  const { status, stderr } = spawnSync(program, args, { cwd: ROOT, encoding: 'utf8' });
  t.match({ status, stderr }, { status: 0, stderr: '' });
});

const npmVersion = spawnSync('npm', ['--version'], { encoding: 'utf8' }).stdout.trim();
const [npmMajor = 0, npmMinor = 0] = npmVersion.split('.').map(Number);
// 11.19 is the oldest tested version; 10.9 does not know allowScripts.
const allows =
  npmMajor > 11 || (npmMajor === 11 && npmMinor >= 19)
    ? false
    : `npm ${npmVersion} may not know allowScripts; scripts/setup runs no package’s script`;

void t.test('npm ci fetches no CUDA', async (t) => {
  const installs = readdirSync(scripts, { recursive: true, encoding: 'utf8' })
    .filter((name) => statSync(join(scripts, name)).isFile())
    .flatMap((name) => readFileSync(join(scripts, name), 'utf8').split('\n'))
    .filter((line) => /\bnpm (?:ci|install)\b/.test(line) && !/^ *#/.test(line));
  t.ok(installs.length >= 2);
  for (const line of installs) t.match(line, /--ignore-scripts/);

  await t.test('npm by hand fetches no CUDA either', { skip: allows }, async (t) => {
    const dir = scratch(t);
    const registry = await oneScriptRegistry(t, dir);
    const own = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { allowScripts: object };
    const ran = async (allowScripts: object): Promise<boolean> => {
      const project = mkdtempSync(join(dir, 'project-'));
      const dependencies = { 'onnxruntime-node': '1.30.0' };
      writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'p', dependencies, allowScripts }));
      copyFileSync(join(ROOT, '.npmrc'), join(project, '.npmrc'));
      const options = ['--prefix', project, '--registry', registry, '--cache', join(dir, 'cache')];
      const [program = '', ...args] = withoutNpmVariables('npm', 'install', ...options);
      const npm = start(t, program, args);
      t.equal(await npm.exit, 0, npm.err);
      t.ok(existsSync(join(project, 'node_modules/onnxruntime-node/package.json')), 'it is installed');
      return existsSync(join(project, 'node_modules/onnxruntime-node/ran'));
    };
    t.equal(await ran(own.allowScripts), false, 'its install script, which would fetch it, is not run');
    t.equal(await ran({}), true, 'and would be (control)');
  });
});

/** Serves one package, whose install script leaves a file beside itself. */
async function oneScriptRegistry(t: Test, dir: string): Promise<string> {
  const scripts = { postinstall: 'touch ran' };
  const manifest = { name: 'onnxruntime-node', version: '1.30.0', scripts };
  mkdirSync(join(dir, 'package'));
  writeFileSync(join(dir, 'package/package.json'), JSON.stringify(manifest));
  const tarball = execFileSync('tar', ['-cz', '-C', dir, 'package']);
  const server = createServer((request, response) => {
    if (request.url?.endsWith('.tgz')) return void response.end(tarball);
    const dist = { tarball: `http://${request.headers.host}/onnxruntime-node.tgz` };
    const versions = { '1.30.0': { ...manifest, hasInstallScript: true, dist } };
    response.end(JSON.stringify({ name: manifest.name, 'dist-tags': { latest: '1.30.0' }, versions }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

void t.test('the quick tests are those of the two names, and none is a failure', async (t) => {
  // A checkout with this one's runner and tests of its own.
  const dir = scratch(t);
  for (const name of ['dist/agent/base', 'dist/scripts/programs/test', 'package.json']) {
    cpSync(join(ROOT, name), join(dir, name), { recursive: true });
  }
  symlinkSync(realpathSync(join(ROOT, 'node_modules')), join(dir, 'node_modules'));
  mkdirSync(join(dir, 'dist/test/outbox'), { recursive: true });
  const runner = join(dir, 'dist/scripts/programs/test/main.js');
  const run = () => {
    const [program = '', ...args] = withoutNpmVariables(
      process.execPath,
      runner,
      '--run',
      'quick',
      '--check',
      'passed',
    );
    const { status, stdout } = spawnSync(program, args, { encoding: 'utf8', timeout: 120_000 });
    return { status, stdout };
  };
  const write = (name: string, body: string): void =>
    writeFileSync(join(dir, 'dist/test', name), `import t from 'tap';\n${body}\n`);
  write('slow.test.js', "t.fail('this is none of the quick ones');");
  t.match(run(), { status: 1, stdout: /\n {2}no test file ran\n.*\n1 passed, 1 failed\n$/s });
  write('outbox/rank.unit.test.js', 't.ok(true); t.equal(1, 1);');
  write('clock.contract.test.js', 't.ok(true);');
  t.match(
    run(),
    { status: 0, stdout: /\n2 test files in \d+ s, \d+ CPU-s\n4 passed, 0 failed\n$/ },
    '3, and the check',
  );
  write('outbox/rank.unit.test.js', 't.equal(1, 2);');
  t.match(run(), { status: 1, stdout: /\n2 passed, 1 failed\n$/ });
});

void t.test('the project rules name what breaks them', async (t) => {
  const dir = scratch(t);
  const write = (name: string, text: string): void => {
    mkdirSync(join(dir, name, '..'), { recursive: true });
    writeFileSync(join(dir, name), `/** Parts of a box. */\n${text}`);
  };
  for (const home of ['agent', 'agent/vision'])
    for (const name of ['parts', 'main', 'flow']) write(`${home}/${name}.ts`, '');
  for (const name of ['.lint.mjs', '.wording.mjs', '.listed-files.mjs'])
    copyFileSync(join(ROOT, name), join(dir, name));
  symlinkSync(realpathSync(join(ROOT, 'node_modules')), join(dir, 'node_modules'));
  writeFileSync(join(dir, '.gitignore'), 'node_modules\n');
  writeFileSync(join(dir, '.wording.json'), '{}\n');
  execFileSync('git', ['init', '--quiet'], { cwd: dir });
  const ruleOutput = (): string =>
    spawnSync(process.execPath, ['.lint.mjs'], { cwd: dir, encoding: 'utf8' }).stderr;
  t.equal(ruleOutput(), '');
  write(
    'agent/base/a.ts',
    'export class A {\n  usedCount = 1;\n  unusedCount = 2;\n}\nconsole.log(new A().usedCount);\n',
  );
  write('test/a.test.ts', 'console.log(new A().unusedCount);\n');
  write('agent/base/b.ts', '\n'.repeat(400));
  write('agent/flow.ts', ['a', 'b', 'c', 'd'].map((name) => `import './rules/${name}.ts';\n`).join(''));
  const [unused, long, imports, ...otherLines] = ruleOutput().trimEnd().split('\n').sort();
  t.equal(unused, 'agent/base/a.ts:4: nobody but tests reads A.unusedCount');
  t.match(long, /^agent\/base\/b\.ts: 401 lines, at most 400/);
  t.equal(imports, 'agent/flow.ts: imports 4 files of rules, at most 3');
  t.strictSame(otherLines, []);
});
